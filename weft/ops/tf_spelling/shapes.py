"""Tensors made, and their elements moved about, in TensorFlow's spelling."""

from __future__ import annotations

import builtins
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft import engine, ops
from weft.engine import ArrayOp, Tensor, as_dtype, as_tensor
from weft.engine.symbolic import publish
from weft.ops.arguments import axes_of, host_value, shape_of, tensor_of
from weft.ops.tf_spelling.dtypes import float32

__all__ = [
    "argsort",
    "boolean_mask",
    "broadcast_to",
    "concat",
    "constant",
    "convert_to_tensor",
    "expand_dims",
    "eye",
    "fill",
    "gather",
    "gather_nd",
    "linspace",
    "one_hot",
    "pad",
    "range",
    "rank",
    "repeat",
    "reshape",
    "reverse",
    "roll",
    "scatter_nd",
    "shape",
    "size",
    "slice",
    "sort",
    "split",
    "squeeze",
    "stack",
    "tensor_scatter_nd_add",
    "tensor_scatter_nd_update",
    "tile",
    "transpose",
    "unstack",
    "where",
]


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of that value; with `shape`, reshaped, or one number at every place."""
    made = ops.convert_to_tensor(value, dtype)
    if shape is None:
        return made
    sizes = shape_of(shape)
    return ops.broadcast_to(made, sizes) if made.size == 1 else ops.reshape(made, sizes)


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Tensor:
    """`value` as a tensor."""
    return ops.convert_to_tensor(value, dtype)


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """`value` at every place of a tensor of shape `dims`."""
    value = ops.convert_to_tensor(value)
    return ops.full(dims, value, value.dtype)


def eye(
    num_rows: int, num_columns: int | None = None, batch_shape: Any = None, dtype: Any = float32,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The identity matrix, repeated over `batch_shape`."""
    made = ops.eye(num_rows, num_columns, dtype=dtype)
    return made if batch_shape is None else ops.broadcast_to(made, (*batch_shape, *made.shape))


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None
) -> Tensor:
    """`start`, `start + delta`, ... up to but without `limit`."""
    return ops.arange(start, limit, delta, dtype)


def linspace(start: Any, stop: Any, num: int, name: str | None = None, axis: int = 0) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`, both included."""
    return ops.linspace(start, stop, num, axis=axis)


def shape(input: Any, out_type: Any = None, name: str | None = None) -> np.ndarray[Any, Any]:
    """The shape as a NumPy array: shapes are always known, so it can be used anywhere."""
    return np.array(tensor_of(input).shape, "int32")


def rank(input: Any, name: str | None = None) -> int:
    """The number of axes."""
    return ops.ndim(input)


def size(input: Any, out_type: Any = None, name: str | None = None) -> int:
    """The number of elements."""
    return ops.size(input)


_one_hot = ArrayOp(
    lambda i, on, off, *, n, axis, dtype: jnp.where(
        jax.nn.one_hot(i.astype(jnp.int32), n, dtype=jnp.bool_, axis=axis), on, off
    ).astype(dtype),
    "one_hot",
)


def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int | None = None,
    dtype: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """`on_value` (1) at each index's place along a new axis, `off_value` (0) elsewhere."""
    on, off = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    given = [v for v in (on_value, off_value) if v is not None]
    kind = as_dtype(dtype or (ops.convert_to_tensor(given[0]).dtype if given else "float32"))
    axis = -1 if axis is None else axis
    return _one_hot(as_tensor(indices), on, off, n=int(host_value(depth, "depth")), axis=axis,
                    dtype=kind)  # fmt: skip


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The elements in another shape."""
    return ops.reshape(tensor, shape)


def transpose(a: Any, perm: Any = None, conjugate: Any = False, name: str | None = None) -> Tensor:
    """The axes in the order `perm`, reversed by default."""
    made = ops.transpose(a, perm)
    return ops.conj(made) if conjugate else made


def expand_dims(input: Any, axis: Any, name: str | None = None) -> Tensor:
    """A new axis of size 1."""
    return ops.expand_dims(input, axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Without axes of size 1."""
    return ops.squeeze(input, axis)


def concat(values: Any, axis: Any, name: str | None = None) -> Any:
    """Tensors joined along an axis; shapes (NumPy arrays from `tf.shape`, lists) give an array."""
    values = list(values)
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    if arrays and not any(isinstance(v, engine.ArrayLike | jax.Array) for v in values):
        return np.concatenate([np.asarray(v, arrays[0].dtype) for v in values], axes_of(axis))
    return ops.concatenate(values, axis)


def stack(values: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Tensors joined along a new axis."""
    return ops.stack(values, axis)


def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """The slices along an axis."""
    return ops.unstack(value, num, axis)


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: str | None = None
) -> list[Tensor]:
    """`value` cut along an axis: into equal parts, or into parts of those sizes (one may be -1)."""
    parts = axes_of(num_or_size_splits)
    if isinstance(parts, int):
        return ops.split(value, parts, axis)
    if -1 in parts:
        total = tensor_of(value).shape[axis]
        parts = tuple(total - sum(parts) - 1 if n == -1 else n for n in parts)
    if sum(parts) != tensor_of(value).shape[axis]:
        raise ValueError(
            f"split: the sizes {list(parts)} do not sum to {tensor_of(value).shape[axis]}, the "
            f"size of axis {axis} of shape {tuple(tensor_of(value).shape)}."
        )
    return ops.split(value, [int(n) for n in np.cumsum(parts[:-1])], axis)


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """`input` laid side by side."""
    return ops.tile(input, multiples)


def repeat(input: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Each element repeated."""
    return ops.repeat(input, repeats, axis)


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """`tensor` with a border of (before, after) for each axis."""
    paddings = host_value(paddings, "paddings")
    mode = mode.lower()
    return ops.pad(tensor, paddings, mode, constant_values if mode == "constant" else None)


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """The order of elements reversed along `axis`."""
    return ops.flip(tensor, axis)


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """Elements moved by `shift` places along `axis`."""
    return ops.roll(input, shift, axis)


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """`input` repeated to fill `shape`."""
    return ops.broadcast_to(input, shape)


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """The block of that size from `begin` on; a size of -1 reaches to the end."""
    sizes = shape_of(size)
    if -1 in sizes:
        starts = shape_of(begin)
        full = tensor_of(input_).shape
        sizes = tuple(f - b if n == -1 else n for n, b, f in zip(sizes, starts, full, strict=True))
    return ops.slice(input_, begin, sizes)


def _gather_rows(x: Any, indices: Any, *, axis: int, batch_dims: int) -> Any:
    take = lambda a, i: jnp.take(a, i, axis - batch_dims)  # noqa: E731
    for _ in builtins.range(batch_dims):
        take = jax.vmap(take)
    return take(x, indices)


def _gather_places(x: Any, indices: Any, *, batch_dims: int) -> Any:
    pick = lambda a, i: a[tuple(jnp.moveaxis(i, -1, 0))]  # noqa: E731
    for _ in builtins.range(batch_dims):
        pick = jax.vmap(pick)
    return pick(x, indices)


_gather = ArrayOp(_gather_rows, "gather")
_gather_nd = ArrayOp(_gather_places, "gather_nd")


def gather(
    params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The slices of `params` at `indices` along `axis`, by default the first after the batch's."""
    axis = batch_dims if axis is None else axes_of(axis)
    axis = axis % len(tensor_of(params).shape)
    return _gather(params, as_tensor(indices), axis=axis, batch_dims=batch_dims)


def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Tensor:
    """The slices of `params` at places: the last axis of `indices` holds their coordinates."""
    return _gather_nd(params, as_tensor(indices), batch_dims=batch_dims)


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Tensor:
    """Zeros of `shape` with `updates` added at `indices`."""
    return ops.scatter(indices, updates, shape)


def tensor_scatter_nd_update(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """`tensor` with `updates` put at `indices`."""
    return ops.scatter_update(tensor, indices, updates)


def tensor_scatter_nd_add(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """`tensor` with `updates` added at `indices`."""
    return ops.scatter_update(tensor, indices, updates, "add")


def boolean_mask(tensor: Any, mask: Any, axis: int = 0, name: str = "boolean_mask") -> Tensor:
    """The slices where `mask` holds; their number depends on values, so the mask is computed."""
    keep = np.asarray(host_value(mask, "mask"), "bool")
    rank = len(tensor_of(tensor).shape)
    index = (builtins.slice(None),) * (axis % rank) + (keep,)
    return ops.get_item(tensor, index)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """`x` where the condition holds, else `y`; alone, the places where it holds, one a row."""
    if x is None and y is None:
        return ops.stack(ops.nonzero(condition), axis=1)
    return ops.where(condition, x, y)


def sort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """The elements in order along `axis`."""
    made = ops.sort(values, axis)
    return ops.flip(made, axis) if _descends(direction) else made


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: Any = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The indices that sort `values`."""
    return ops.argsort(ops.negative(values) if _descends(direction) else values, axis)


def _descends(direction: str) -> Any:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"direction is 'ASCENDING' or 'DESCENDING', got {direction!r}.")
    return direction == "DESCENDING"

publish(globals(), __all__, "tf.")
