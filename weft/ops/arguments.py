"""How static arguments of operations are read: axes, shapes and sizes given in many ways."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft.engine import ArrayLike, ArrayOp, Tensor, as_tensor

__all__ = ["axes_of", "binary_op", "check_axis", "host_value", "shape_of", "tensor_of", "unary_op"]


def unary_op(fn: Any, name: str, doc: str) -> ArrayOp:
    """An operation of one argument, `x`, with its one-line documentation."""
    made = ArrayOp(lambda x: fn(x), name)
    made.__doc__ = doc
    return made


def binary_op(fn: Any, name: str, doc: str) -> ArrayOp:
    """An operation of two arguments, `x1` and `x2`, with its one-line documentation."""
    made = ArrayOp(lambda x1, x2: fn(x1, x2), name)
    made.__doc__ = doc
    return made


def axes_of(axis: Any) -> Any:
    """An axis argument as None, an int, or a tuple of ints."""
    if axis is None or axis.__class__ is int:
        return axis
    if isinstance(axis, list | tuple):
        return tuple(operator.index(a) for a in axis)
    axis = host_value(axis, "axis")
    return tuple(map(int, axis)) if np.ndim(axis) else operator.index(axis)


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple of ints: an int, a sequence, an array or a known tensor."""
    if isinstance(shape, ArrayLike | np.ndarray):
        shape = host_value(shape, "shape")
        return tuple(map(int, shape)) if np.ndim(shape) else (int(shape),)
    if isinstance(shape, list | tuple):
        return tuple(operator.index(n) for n in shape)
    return (operator.index(shape),)


def host_value(value: Any, what: str) -> Any:
    """The value of an argument that shapes depend on; a tensor is computed for it."""
    if isinstance(value, ArrayLike):
        return value.numpy()
    if isinstance(value, list | tuple):
        return [host_value(v, what) for v in value]
    if value.__class__ is str:
        raise TypeError(f"{what} must be a number or a sequence of numbers, got {value!r}.")
    return value


def check_axis(name: str, x: Any, axis: int) -> int:
    """`axis` of `x` counted from the front.

    Raises:
        ValueError: there is no such axis.
    """
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ValueError(
            f"{name}: axis {axis} is out of range for a tensor of shape {tuple(x.shape)}, "
            f"which has {rank} dimensions."
        )
    return axis % rank


def tensor_of(x: Any) -> Tensor:
    """`x` as something with a shape: a tensor or variable as it is, anything else converted."""
    return x if isinstance(x, ArrayLike) else as_tensor(x)  # type: ignore[return-value]
