"""What is known of a value before it is computed: its shape, its dtype, and whether it is weak.

A `Spec` is interned: equal specs are one object, so that the caches on the recording path compare
and hash them by identity.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import ml_dtypes  # noqa: F401  (registers "bfloat16" and its kin with NumPy)
import numpy as np

__all__ = ["Shape", "Spec", "as_dtype", "spec", "spec_of"]


class Shape(tuple[int, ...]):
    """A static shape: a tuple of ints that also answers TensorFlow's `TensorShape` questions.

    In the shape of a symbolic tensor None is an unknown dimension.
    """

    __slots__ = ()

    def as_list(self) -> list[int]:
        """The dimensions as a list."""
        return list(self)

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self)

    ndims = rank

    def num_elements(self) -> int:
        """The product of the dimensions; None if one is unknown."""
        return math.prod(self) if None not in self else None  # type: ignore[return-value]

    def is_fully_defined(self) -> bool:
        """Whether every dimension is known."""
        return None not in self


class Spec:
    """The shape and dtype of a value.

    `weak` marks a Python number's dtype, which gives way to the other operand's (JAX's weak types).
    """

    __slots__ = ("dtype", "inexact", "shape", "struct", "weak")

    def __init__(self, shape: Shape, dtype: np.dtype[Any], weak: bool) -> None:
        self.shape = shape
        self.dtype = dtype
        self.weak = weak
        self.inexact = bool(jax.numpy.issubdtype(dtype, jax.numpy.inexact))
        self.struct = jax.ShapeDtypeStruct(shape, dtype, weak_type=weak)

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}{'~' if self.weak else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        return spec, (tuple(self.shape), self.dtype, self.weak)


_interned: dict[tuple[Any, ...], Spec] = {}


def spec(shape: tuple[int, ...], dtype: Any, weak: bool = False) -> Spec:
    """The one `Spec` of this shape, dtype and weakness."""
    key = (shape, dtype, weak)
    found = _interned.get(key)
    if found is None:
        sizes = Shape(int(n) for n in shape)
        kind = np.dtype(dtype)
        canonical = (sizes, kind, bool(weak))
        found = _interned.setdefault(canonical, Spec(*canonical))
        _interned[key] = found
    return found


def spec_of(array: Any) -> Spec:
    """The spec of a NumPy or JAX array."""
    return spec(array.shape, array.dtype, getattr(array, "weak_type", False))


_ALIASES = {"half": "float16", "float": "float32", "double": "float64", "int": "int32"}
_PYTHON: dict[type, str] = {float: "float32", int: "int32", bool: "bool"}
_WIDE = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype that values of `dtype` have here.

    Args:
        dtype: a name, a NumPy or JAX scalar type, a dtype, or a Python number type. Without JAX's
            x64 mode the 64-bit types become their 32-bit ones, as everywhere in JAX.

    Raises:
        TypeError: `dtype` names no numeric dtype.
    """
    if isinstance(dtype, str):
        dtype = _ALIASES.get(dtype, dtype)
    elif isinstance(dtype, type):
        dtype = _PYTHON.get(dtype, dtype)
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or (kind.kind in "OSUMm"):
        raise TypeError(
            f"{dtype!r} is not a dtype that weft can compute with. Use one of 'float32', "
            "'float16', 'bfloat16', 'int32', 'uint8', 'bool', ... or their NumPy types."
        )
    if kind.name in _WIDE and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        kind = np.dtype(_WIDE[kind.name])
    return kind
