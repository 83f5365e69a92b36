"""Tensors made from nothing or from host data, and what is known of a tensor."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayLike, ArrayOp, Tensor, as_dtype, as_tensor, to_numpy
from weft.engine.operators import astype
from weft.ops.arguments import host_value, shape_of, tensor_of

__all__ = [
    "arange", "array", "convert_to_numpy", "convert_to_tensor", "copy", "dtype", "empty",
    "empty_like", "eye", "full", "full_like", "identity", "is_tensor", "linspace", "logspace",
    "meshgrid", "ndim", "ones", "ones_like", "shape", "size", "stop_gradient", "tri", "zeros",
    "zeros_like",
]  # fmt: skip

# Made inside the program: a constant from the host would be sent to the device at every step.
_full = ArrayOp(lambda value, *, shape, dtype: jnp.full(shape, value, dtype), "full")
_zeros = ArrayOp(lambda *, shape, dtype: jnp.zeros(shape, dtype), "zeros")
_ones = ArrayOp(lambda *, shape, dtype: jnp.ones(shape, dtype), "ones")
_eye = ArrayOp(lambda *, n, m, k, dtype: jnp.eye(n, m, k, dtype), "eye")
_tri = ArrayOp(lambda *, n, m, k, dtype: jnp.tri(n, m, k, dtype), "tri")
_arange = ArrayOp(lambda *, bounds, dtype: jnp.arange(*bounds, dtype=dtype), "arange")
_linspace = ArrayOp(
    lambda start, stop, *, num, endpoint, retstep, dtype, axis: jnp.linspace(
        start, stop, num, endpoint, retstep, dtype, axis
    ),
    "linspace",
)
_logspace = ArrayOp(
    lambda start, stop, base, *, num, endpoint, dtype, axis: jnp.logspace(
        start, stop, num, endpoint, base, dtype, axis
    ),
    "logspace",
)
_meshgrid = ArrayOp(lambda *x, indexing: tuple(jnp.meshgrid(*x, indexing=indexing)), "meshgrid")
_copy = ArrayOp(lambda x: jnp.asarray(x), "copy")
_stop = ArrayOp(lambda x: jnp.asarray(x), "stop_gradient", differentiable=False)

_FLOAT = np.dtype("float32")


def _or_float(dtype: Any) -> np.dtype[Any]:
    return _FLOAT if dtype is None else as_dtype(dtype)


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros of that shape, float32 by default."""
    return _zeros(shape=shape_of(shape), dtype=_or_float(dtype))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones of that shape, float32 by default."""
    return _ones(shape=shape_of(shape), dtype=_or_float(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value at every place, float32 by default."""
    return _full(fill_value, shape=shape_of(shape), dtype=_or_float(dtype))


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor whose values mean nothing yet (zeros: XLA has no uninitialised arrays)."""
    return zeros(shape, dtype)


def _like(x: Any, dtype: Any) -> dict[str, Any]:
    x = tensor_of(x)
    return {"shape": tuple(x.shape), "dtype": as_dtype(x.dtype if dtype is None else dtype)}


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of x's shape and, unless given, dtype."""
    return _zeros(**_like(x, dtype))


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of x's shape and, unless given, dtype."""
    return _ones(**_like(x, dtype))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value at every place, in x's shape and, unless given, dtype."""
    return _full(fill_value, **_like(x, dtype))


def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of x's shape and, unless given, dtype, to be overwritten."""
    return zeros_like(x, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the k-th diagonal of an (N, M) matrix of zeros."""
    return _eye(n=int(N), m=None if M is None else int(M), k=k, dtype=_or_float(dtype))


def identity(n: int, dtype: Any = None) -> Tensor:
    """The (n, n) identity matrix. (`copy` is the operation that changes nothing.)"""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on and below the k-th diagonal of an (N, M) matrix of zeros."""
    return _tri(n=int(N), m=None if M is None else int(M), k=k, dtype=_or_float(dtype))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """`start`, `start + step`, ... up to but without `stop`; one argument counts from zero.

    The arguments set the result's shape, so tensors among them are computed. Whole numbers give
    int32, others float32.
    """
    given = (0, start) if stop is None else (start, stop)
    bounds = tuple(
        np.asarray(host_value(b, "arange's bound")).item()
        for b in (*given, 1 if step is None else step)
    )
    if dtype is None:
        dtype = "float32" if any(isinstance(b, float) for b in bounds) else "int32"
    return _arange(bounds=bounds, dtype=as_dtype(dtype))


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop` (included unless `endpoint` is False).

    Returns:
        The numbers along a new `axis`; with `retstep`, a tuple of them and the spacing.
    """
    kind = None if dtype is None else as_dtype(dtype)
    return _linspace(
        start, stop, num=int(num), endpoint=endpoint, retstep=retstep, dtype=kind, axis=axis
    )


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """`num` numbers from base**start to base**stop, their logarithms evenly spaced."""
    kind = None if dtype is None else as_dtype(dtype)
    return _logspace(start, stop, base, num=int(num), endpoint=endpoint, dtype=kind, axis=axis)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate arrays of the grid that 1-D coordinates span.

    Args:
        *x: 1-D tensors.
        indexing: "xy" (the first two axes swapped, as for images) or "ij".
    """
    return list(_meshgrid(*x, indexing=indexing))


# -- conversion ---------------------------------------------------------------------------

_NUMBERS = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}


def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """`x` as a tensor of its own (or the given) dtype.

    Args:
        x: a tensor, variable, number, array or nested list. A Python float becomes float32, an
            int int32; 64-bit arrays become 32-bit ones unless JAX's x64 mode is on.
        dtype: the dtype wanted.
        sparse, ragged: only dense tensors exist here; True is refused.

    Raises:
        TypeError: `x` is not numeric, or `dtype` names no numeric dtype.
    """
    if sparse or ragged:
        raise ValueError("convert_to_tensor: weft has dense tensors only.")
    if dtype is None:
        dtype = _NUMBERS.get(x.__class__)
        return as_tensor(x, dtype)
    return astype(as_tensor(x, dtype), dtype)


def array(x: Any, dtype: Any = None) -> Tensor:
    """`convert_to_tensor`, by NumPy's name."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """The value of `x` as a NumPy array; waits for it."""
    return to_numpy(x)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor, a variable or a JAX array."""
    return isinstance(x, ArrayLike | jax.Array)


def copy(x: Any) -> Tensor:
    """`x`, as a new tensor of equal value (a variable's value stays as it is now)."""
    return _copy(x)


def stop_gradient(variable: Any) -> Any:
    """`x`, through which no gradient goes: a constant to every tape.

    Args:
        variable: a tensor, or a nest of tensors.
    """
    if isinstance(variable, list | tuple | dict):
        return jax.tree.map(stop_gradient, variable)
    return _stop(variable)


def shape(x: Any) -> tuple[int, ...]:
    """The shape, a tuple of ints: shapes are always known."""
    return tensor_of(x).shape


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(tensor_of(x).shape)


def size(x: Any) -> int:
    """The number of elements."""
    return tensor_of(x).shape.num_elements()


def dtype(x: Any) -> str:
    """The name of the dtype, such as "float32"."""
    return tensor_of(x).spec.dtype.name
