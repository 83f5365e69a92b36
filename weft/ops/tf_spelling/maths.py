"""Reductions and arithmetic in TensorFlow's spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weft import ops
from weft.engine import ArrayOp, Tensor, as_tensor
from weft.engine.symbolic import publish
from weft.ops.arguments import axes_of, tensor_of

__all__ = [
    "add_n",
    "argmax",
    "argmin",
    "cast",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "global_norm",
    "identity",
    "matmul",
    "norm",
    "reduce_all",
    "reduce_any",
    "reduce_logsumexp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_std",
    "reduce_sum",
    "reduce_variance",
    "squared_difference",
    "stop_gradient",
]


def _reduction(name: str, reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduction(
        input_tensor: Any, axis: Any = None, keepdims: Any = False, name: str | None = None
    ) -> Tensor:
        return reduce(input_tensor, axis, keepdims)

    reduction.__name__ = reduction.__qualname__ = name
    reduction.__doc__ = reduce.__doc__
    return reduction


reduce_sum = _reduction("reduce_sum", ops.sum)
reduce_mean = _reduction("reduce_mean", ops.mean)
reduce_max = _reduction("reduce_max", ops.max)
reduce_min = _reduction("reduce_min", ops.min)
reduce_prod = _reduction("reduce_prod", ops.prod)
reduce_any = _reduction("reduce_any", ops.any)
reduce_all = _reduction("reduce_all", ops.all)
reduce_std = _reduction("reduce_std", ops.std)
reduce_variance = _reduction("reduce_variance", ops.var)
reduce_logsumexp = _reduction("reduce_logsumexp", ops.logsumexp)


def argmax(
    input: Any, axis: int | None = None, output_type: Any = None, name: str | None = None
) -> Tensor:
    """The index of the largest along `axis`, the first by default."""
    made = ops.argmax(input, 0 if axis is None else axis)
    return made if output_type is None else ops.cast(made, output_type)


def argmin(
    input: Any, axis: int | None = None, output_type: Any = None, name: str | None = None
) -> Tensor:
    """The index of the smallest along `axis`, the first by default."""
    made = ops.argmin(input, 0 if axis is None else axis)
    return made if output_type is None else ops.cast(made, output_type)


def count_nonzero(
    input: Any, axis: Any = None, keepdims: Any = False, dtype: Any = "int32",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The number of elements that are not zero."""
    return ops.cast(ops.sum(ops.not_equal(input, 0), axis, keepdims), dtype)


def _cumulative(x: Any, *, kind: str, axis: int, exclusive: Any, backwards: Any) -> Any:
    x = jnp.flip(x, axis) if backwards else x
    if exclusive:
        first = jnp.full_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis), kind == "cumprod")
        x = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)], axis)
    total = getattr(jnp, kind)(x, axis)
    return jnp.flip(total, axis) if backwards else total


_cumulative_op = ArrayOp(_cumulative, "cumulative")


def cumsum(
    x: Any, axis: int = 0, exclusive: Any = False, reverse: Any = False, name: str | None = None
) -> Tensor:
    """The running sum along `axis`; exclusive leaves out the element itself."""
    return _cumulative_op(x, kind="cumsum", axis=axis, exclusive=exclusive, backwards=reverse)


def cumprod(
    x: Any, axis: int = 0, exclusive: Any = False, reverse: Any = False, name: str | None = None
) -> Tensor:
    """The running product along `axis`; exclusive leaves out the element itself."""
    return _cumulative_op(x, kind="cumprod", axis=axis, exclusive=exclusive, backwards=reverse)


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """A norm; the Euclidean one of all elements by default."""
    return ops.norm(tensor, None if ord == "euclidean" else ord, axis, keepdims)


def matmul(
    a: Any, b: Any, transpose_a: Any = False, transpose_b: Any = False, adjoint_a: Any = False,
    adjoint_b: Any = False, name: str | None = None, **_: Any,
) -> Tensor:  # fmt: skip
    """a·b, of the last two axes; either transposed (adjoint: and conjugated) first."""
    a, b = tensor_of(a), tensor_of(b)
    if transpose_a or adjoint_a:
        a = ops.swapaxes(ops.conj(a) if adjoint_a else a, -1, -2)
    if transpose_b or adjoint_b:
        b = ops.swapaxes(ops.conj(b) if adjoint_b else b, -1, -2)
    return ops.matmul(a, b)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """`x` with another dtype."""
    return ops.cast(x, dtype)


def identity(input: Any, name: str | None = None) -> Tensor:
    """A tensor equal to `input`."""
    return ops.copy(input)


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """`input`, a constant to every tape."""
    return ops.stop_gradient(input)


squared_difference = ArrayOp(lambda x, y: jnp.square(x - y), "squared_difference")
squared_difference.__doc__ = "(x - y)²."
_add_n = ArrayOp(lambda *xs: sum(xs[1:], xs[0]), "add_n")


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of the tensors of a list."""
    return _add_n(*inputs)


def clip_by_value(
    t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None
) -> Tensor:
    """`t` kept between two bounds."""
    return ops.clip(t, clip_value_min, clip_value_max)


def _clip_norm(t: Any, limit: Any, *, axes: Any) -> Any:
    squares = jnp.sum(jnp.square(t), axes, keepdims=True)
    # The inner choice keeps the root's gradient finite for a zero tensor.
    norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), squares)
    return t * limit / jnp.maximum(norm, limit)


def _clip_global(limit: Any, norm: Any, *tensors: Any) -> tuple[Any, ...]:
    scale = limit * jnp.minimum(1 / norm, 1 / limit)
    scale = jnp.where(jnp.isfinite(norm), scale, jnp.nan)
    return tuple(t * scale.astype(t.dtype) for t in tensors)


_clip_norm_op = ArrayOp(_clip_norm, "clip_by_norm")
_clip_global_op = ArrayOp(_clip_global, "clip_by_global_norm")
_global_norm_op = ArrayOp(
    lambda *ts: jnp.sqrt(sum(jnp.sum(jnp.square(t)) for t in ts)), "global_norm"
)


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """`t` scaled down where its norm (along `axes`) is above `clip_norm`."""
    return _clip_norm_op(t, clip_norm, axes=axes_of(axes))


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """The root of the sum of all squares in a list of tensors; None in it is left out."""
    return _global_norm_op(*[t for t in t_list if t is not None])


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Tensor]:
    """Tensors scaled down together where their global norm is above `clip_norm`.

    Returns:
        The tensors (None stays None), and the norm before. A norm that is not finite gives NaN.
    """
    tensors = list(t_list)
    norm = global_norm(tensors) if use_norm is None else as_tensor(use_norm)
    scaled = iter(_clip_global_op(clip_norm, norm, *[t for t in tensors if t is not None]))
    return [None if t is None else next(scaled) for t in tensors], norm

publish(globals(), __all__, "tf.")
