"""Products: of matrices, of tensors over chosen axes, and the dense layer's."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from weft.engine import ArrayOp, Tensor
from weft.engine.operators import matmul
from weft.ops.arguments import binary_op

__all__ = [
    "cross", "dense", "dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "trace",
    "vdot",
]  # fmt: skip

dot = binary_op(jnp.dot, "dot", "NumPy's dot: over x1's last axis and x2's last but one.")
outer = binary_op(jnp.outer, "outer", "x1ᵢ·x2ⱼ of the flattened arguments, shape (m, n).")
inner = binary_op(jnp.inner, "inner", "Σ x1·x2 over the last axes.")
vdot = binary_op(jnp.vdot, "vdot", "Σ conj(x1)·x2 of the flattened arguments, a scalar.")
kron = binary_op(jnp.kron, "kron", "The Kronecker product.")

_einsum = ArrayOp(lambda *operands, subscripts: jnp.einsum(subscripts, *operands), "einsum")
_tensordot = ArrayOp(lambda x1, x2, *, axes: jnp.tensordot(x1, x2, axes), "tensordot")
_trace = ArrayOp(lambda x, *, offset, axis1, axis2: jnp.trace(x, offset, axis1, axis2), "trace")
_cross = ArrayOp(
    lambda x1, x2, *, axisa, axisb, axisc, axis: jnp.cross(x1, x2, axisa, axisb, axisc, axis),
    "cross",
)


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein's summation: the product of the operands, summed over indices not in the output.

    Example:
        >>> from weft import ops
        >>> ops.einsum("bij,bjk->bik", ops.ones((2, 3, 4)), ops.ones((2, 4, 5))).shape
        (2, 3, 5)
    """
    return _einsum(*operands, subscripts=subscripts)


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The product summed over chosen axes.

    Args:
        x1, x2: tensors.
        axes: an int n (x1's last n axes with x2's first n), or two lists of axes.
    """
    if not isinstance(axes, int):
        axes = tuple((a,) if isinstance(a, int) else tuple(a) for a in axes)
    return _tensordot(x1, x2, axes=axes)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return _trace(x, offset=offset, axis1=axis1, axis2=axis2)


def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The cross product of 3-vectors."""
    return _cross(x1, x2, axisa=axisa, axisb=axisb, axisc=axisc, axis=axis)


def _dense(x: jnp.ndarray, kernel: jnp.ndarray, *bias: jnp.ndarray) -> jnp.ndarray:
    if x.ndim == 0 or kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            "the input's last axis must have the kernel's first size: "
            f"input {x.shape}, kernel {kernel.shape}."
        )
    # Over any leading axes as they are: flattening them first would cost XLA a layout.
    kind = jnp.result_type(x, kernel)
    over_last = (((x.ndim - 1,), (0,)), ((), ()))
    y = lax.dot_general(x.astype(kind), kernel.astype(kind), over_last)
    return y + bias[0] if bias else y


_dense_op = ArrayOp(_dense, "dense")


def dense(x: Any, kernel: Any, bias: Any = None) -> Tensor:
    """x·kernel + bias over the last axis, one node.

    Args:
        x: float, shape (..., in).
        kernel: float, shape (in, out).
        bias: float, shape (out,), or None.

    Returns:
        Shape (..., out).
    """
    return _dense_op(x, kernel) if bias is None else _dense_op(x, kernel, bias)
