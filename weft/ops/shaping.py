"""Operations that move elements about: reshaping, joining, cutting, taking, ordering."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from weft.engine import ArrayOp, Tensor, as_dtype, as_tensor
from weft.engine.operators import getitem
from weft.engine.operators import reshape as _reshape
from weft.engine.operators import stack as _stack
from weft.engine.operators import transpose as _transpose
from weft.engine.operators import unstack as _unstack
from weft.ops.arguments import axes_of, check_axis, host_value, shape_of, tensor_of

__all__ = [
    "append", "argsort", "bincount", "broadcast_to", "concatenate", "diag", "diagonal", "digitize",
    "expand_dims", "flip", "fliplr", "flipud", "get_item", "hstack", "in_top_k", "isin", "moveaxis",
    "multi_hot", "nonzero", "one_hot", "pad", "ravel", "repeat", "reshape", "roll", "rot90",
    "scatter", "scatter_update", "searchsorted", "segment_max", "segment_min", "segment_sum",
    "slice", "slice_update", "sort", "split", "squeeze", "stack", "swapaxes", "take",
    "take_along_axis", "tile", "top_k", "transpose", "tril", "triu", "unstack", "vstack",
]  # fmt: skip

# -- axes ---------------------------------------------------------------------------------

_expand_dims = ArrayOp(lambda x, *, axis: jnp.expand_dims(x, axis), "expand_dims")
_squeeze = ArrayOp(lambda x, *, axis: jnp.squeeze(x, axis), "squeeze")
_swapaxes = ArrayOp(lambda x, *, axis1, axis2: jnp.swapaxes(x, axis1, axis2), "swapaxes")
_moveaxis = ArrayOp(
    lambda x, *, source, destination: jnp.moveaxis(x, source, destination), "moveaxis"
)
_broadcast = ArrayOp(lambda x, *, shape: jnp.broadcast_to(x, shape), "broadcast_to")
_flip = ArrayOp(lambda x, *, axis: jnp.flip(x, axis), "flip")
_roll = ArrayOp(lambda x, *, shift, axis: jnp.roll(x, shift, axis), "roll")
_rot90 = ArrayOp(lambda x, *, k, axes: jnp.rot90(x, k, axes), "rot90")


def reshape(x: Any, newshape: Any) -> Tensor:
    """The elements of `x` in another shape; one size may be -1, and follows from the rest."""
    return _reshape(x, shape=shape_of(newshape))


def transpose(x: Any, axes: Any = None) -> Tensor:
    """The axes in another order, reversed by default."""
    return _transpose(x, axes=axes_of(axes))


def ravel(x: Any) -> Tensor:
    """The elements in one axis."""
    return _reshape(x, shape=(-1,))


def expand_dims(x: Any, axis: Any) -> Tensor:
    """New axes of size 1, at the places `axis` (an int or several) of the result."""
    return _expand_dims(x, axis=axes_of(axis))


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without the axes of size 1, or without those in `axis`."""
    return _squeeze(x, axis=axes_of(axis))


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    return _swapaxes(x, axis1=axis1, axis2=axis2)


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes `source` moved to the places `destination`; the others keep their order."""
    return _moveaxis(x, source=axes_of(source), destination=axes_of(destination))


def broadcast_to(x: Any, shape: Any) -> Tensor:
    """`x` repeated along axes of size 1, and new ones in front, to fill `shape`."""
    return _broadcast(x, shape=shape_of(shape))


def flip(x: Any, axis: Any = None) -> Tensor:
    """The order of elements reversed along `axis`, or along all axes."""
    return _flip(x, axis=axes_of(axis))


def fliplr(x: Any) -> Tensor:
    """The second axis reversed."""
    return _flip(x, axis=1)


def flipud(x: Any) -> Tensor:
    """The first axis reversed."""
    return _flip(x, axis=0)


def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """Elements moved by `shift` places along `axis`, those that fall off put in at the start."""
    return _roll(x, shift=axes_of(shift), axis=axes_of(axis))


def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by k quarters in the plane of two axes, from the first towards the second."""
    return _rot90(array, k=k, axes=axes_of(axes))


# -- joining and cutting ------------------------------------------------------------------

_concatenate = ArrayOp(lambda *xs, axis: jnp.concatenate(xs, axis), "concatenate")
_vstack = ArrayOp(lambda *xs: jnp.vstack(xs), "vstack")
_hstack = ArrayOp(lambda *xs: jnp.hstack(xs), "hstack")
_append = ArrayOp(lambda x1, x2, *, axis: jnp.append(x1, x2, axis), "append")
_split = ArrayOp(lambda x, *, parts, axis: tuple(jnp.split(x, parts, axis)), "split")
_tile = ArrayOp(lambda x, *, repeats: jnp.tile(x, repeats), "tile")
_repeat = ArrayOp(
    lambda x, *, repeats, axis: jnp.repeat(
        x, np.asarray(repeats) if isinstance(repeats, tuple) else repeats, axis
    ),
    "repeat",
)
_pad = ArrayOp(lambda x, *value, width, mode: _padded(x, value, width, mode), "pad")
_tril = ArrayOp(lambda x, *, k: jnp.tril(x, k), "tril")
_triu = ArrayOp(lambda x, *, k: jnp.triu(x, k), "triu")
_diag = ArrayOp(lambda x, *, k: jnp.diag(x, k), "diag")
_diagonal = ArrayOp(
    lambda x, *, offset, axis1, axis2: jnp.diagonal(x, offset, axis1, axis2), "diagonal"
)


def concatenate(xs: Any, axis: int = 0) -> Tensor:
    """Tensors joined along an axis they have.

    Args:
        xs: a sequence of tensors of equal shapes but for `axis`.
        axis: the axis.
    """
    return _concatenate(*xs, axis=axes_of(axis))


def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors of equal shape joined along a new axis."""
    return _stack(*x, axis=axes_of(axis))


def vstack(xs: Any) -> Tensor:
    """Tensors joined along the first axis; 1-D ones as rows."""
    return _vstack(*xs)


def hstack(xs: Any) -> Tensor:
    """Tensors joined along the second axis; 1-D ones along their only one."""
    return _hstack(*xs)


def append(x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    """`x2` after `x1` along `axis`; both flattened if it is None."""
    return _append(x1, x2, axis=axes_of(axis))


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis, without it.

    Raises:
        ValueError: `num` is given and is not the axis's size.
    """
    x = tensor_of(x)
    axis = check_axis("unstack", x, axis)
    if num is not None and num != x.shape[axis]:
        raise ValueError(
            f"unstack: num is {num}, but axis {axis} of shape {tuple(x.shape)} has size "
            f"{x.shape[axis]}."
        )
    return list(_unstack(x, axis=axis))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """`x` cut along an axis.

    Args:
        x: a tensor.
        indices_or_sections: the number of equal parts, or the indices to cut before.
        axis: the axis.
    """
    return list(_split(x, parts=axes_of(indices_or_sections), axis=axis))


def tile(x: Any, repeats: Any) -> Tensor:
    """`x` laid side by side `repeats[i]` times along each axis."""
    return _tile(x, repeats=shape_of(repeats))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated: `repeats` times, or as often as its own entry says.

    Args:
        x: a tensor.
        repeats: an int, or one for each place along `axis`. It sets the result's shape, so a
            tensor is computed.
        axis: the axis; None flattens first.
    """
    return _repeat(x, repeats=axes_of(repeats), axis=axes_of(axis))


def _padded(x: Any, value: tuple[Any, ...], width: Any, mode: str) -> Any:
    if mode == "constant":
        return jnp.pad(x, width, mode, constant_values=value[0] if value else 0)
    return jnp.pad(x, width, mode)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """`x` with a border.

    Args:
        x: a tensor.
        pad_width: (before, after) for each axis; or one pair, or one number, for all.
        mode: "constant", "reflect", "symmetric", "edge" or another of NumPy's modes.
        constant_values: the border's value in mode "constant"; 0 by default.

    Raises:
        ValueError: `constant_values` with another mode.
    """
    if constant_values is not None and mode != "constant":
        raise ValueError(
            f"pad: constant_values is for mode 'constant', got mode {mode!r}. Leave one out."
        )
    if not isinstance(pad_width, int):
        pad_width = tuple(axes_of(pair) for pair in pad_width)
    given = () if constant_values is None else (constant_values,)
    return _pad(x, *given, width=pad_width, mode=mode)


def tril(x: Any, k: int = 0) -> Tensor:
    """Zeros above the k-th diagonal of the last two axes."""
    return _tril(x, k=k)


def triu(x: Any, k: int = 0) -> Tensor:
    """Zeros below the k-th diagonal of the last two axes."""
    return _triu(x, k=k)


def diag(x: Any, k: int = 0) -> Tensor:
    """A matrix's k-th diagonal, or the matrix with a vector on that diagonal."""
    return _diag(x, k=k)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as a new last axis."""
    return _diagonal(x, offset=offset, axis1=axis1, axis2=axis2)


# -- taking and putting -------------------------------------------------------------------

_take = ArrayOp(lambda x, indices, *, axis: jnp.take(x, indices, axis), "take")
_take_along = ArrayOp(lambda x, i, *, axis: jnp.take_along_axis(x, i, axis), "take_along_axis")
_slice = ArrayOp(lambda x, start, *, shape: lax.dynamic_slice(x, start, shape), "slice")
_update = ArrayOp(
    lambda x, start, new: lax.dynamic_update_slice(x, new.astype(x.dtype), start), "slice_update"
)
_scatter = ArrayOp(
    lambda i, v, *, shape: jnp.zeros(shape, v.dtype).at[tuple(jnp.moveaxis(i, -1, 0))].add(v),
    "scatter",
)


def _scatter_into(x: Any, indices: Any, updates: Any, *, how: str) -> Any:
    return getattr(x.at[tuple(jnp.moveaxis(indices, -1, 0))], how)(updates.astype(x.dtype))


_scatter_update = ArrayOp(_scatter_into, "scatter_update")
_one_hot = ArrayOp(
    lambda x, *, n, axis, dtype: jax.nn.one_hot(x.astype(jnp.int32), n, dtype=dtype, axis=axis),
    "one_hot",
)
_multi_hot = ArrayOp(
    lambda x, *, n, axis, dtype: jnp.max(
        jax.nn.one_hot(x.astype(jnp.int32), n, dtype=dtype, axis=axis), axis=max(x.ndim - 1, 0)
    ),
    "multi_hot",
)


def get_item(x: Any, key: Any) -> Tensor:
    """`x[key]`."""
    return getitem(tensor_of(x), key)


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The elements at `indices` along `axis`, or of the flattened tensor.

    Args:
        x: a tensor.
        indices: ints; negative ones count from the end. One out of range gives NaN (for integers,
            the dtype's extreme value), as no exception can come from inside a program.
        axis: the axis.

    Returns:
        Shape x.shape[:axis] + indices.shape + x.shape[axis + 1:].
    """
    return _take(x, as_tensor(indices), axis=axes_of(axis))


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The elements whose places along `axis` are given, one index for each element taken."""
    return _take_along(x, as_tensor(indices), axis=axes_of(axis))


def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """The block of that shape from `start_indices` on (clamped so that it fits).

    Args:
        inputs: a tensor.
        start_indices: one int for each axis, or a tensor of them; inputs of the program.
        shape: the block's shape.
    """
    return _slice(inputs, _start(start_indices), shape=shape_of(shape))


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """`inputs` with the block from `start_indices` on replaced by `updates`."""
    return _update(inputs, _start(start_indices), as_tensor(updates))


def _start(indices: Any) -> Any:
    return list(indices) if isinstance(indices, tuple) else indices


def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros of `shape` with `values` added at `indices`.

    Args:
        indices: int, shape (..., k), each row the first k coordinates of a place.
        values: shape (..., *shape[k:]).
        shape: of the result.
    """
    return _scatter(as_tensor(indices), as_tensor(values), shape=shape_of(shape))


_HOW = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """`inputs` with `updates` put at `indices`.

    Args:
        inputs: a tensor.
        indices: int, shape (..., k), each row the first k coordinates of a place.
        updates: shape (..., *inputs.shape[k:]).
        reduction: None to replace, or "add", "max", "min", "mul" to combine.
    """
    if reduction not in _HOW:
        raise ValueError(f"scatter_update: reduction is one of {list(_HOW)}, got {reduction!r}.")
    return _scatter_update(
        as_tensor(inputs), as_tensor(indices), as_tensor(updates), how=_HOW[reduction]
    )


def one_hot(
    x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """1 at each label's place along a new axis, 0 elsewhere; all zeros for a label out of range.

    Args:
        x: integer labels.
        num_classes: the new axis's size.
        axis: where it goes.
        dtype: float32 by default.
        sparse: only dense tensors exist here; True is refused.
    """
    if sparse:
        raise ValueError("one_hot: weft has dense tensors only.")
    kind = as_dtype(dtype or "float32")
    return _one_hot(as_tensor(x), n=int(num_classes), axis=axis, dtype=kind)


def multi_hot(inputs: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Tensor:
    """1 at the places of all labels of a row: the largest of their one-hot vectors.

    Args:
        inputs: integer labels, shape (..., labels of a row), or (labels,).
        num_classes: the new axis's size.
        axis: where it goes.
        dtype: float32 by default.
    """
    kind = as_dtype(dtype or "float32")
    return _multi_hot(as_tensor(inputs), n=int(num_classes), axis=axis, dtype=kind)


def _segments(reduce: Any, name: str) -> ArrayOp:
    return ArrayOp(
        lambda data, ids, *, n, sorted: reduce(data, ids, n, indices_are_sorted=sorted), name
    )


_segment_sum = _segments(jax.ops.segment_sum, "segment_sum")
_segment_max = _segments(jax.ops.segment_max, "segment_max")
_segment_min = _segments(jax.ops.segment_min, "segment_min")


def _segment(op: ArrayOp, data: Any, ids: Any, n: int | None, sorted: bool) -> Tensor:
    ids = as_tensor(ids)
    if n is None:
        n = int(ids.numpy().max(initial=-1)) + 1
    return op(data, ids, n=int(n), sorted=sorted)


def segment_sum(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sums of the rows of `data` that have equal ids.

    Args:
        data: shape (n, ...).
        segment_ids: int, shape (n,); a row whose id is out of range is left out.
        num_segments: the number of ids; None computes the largest.
        sorted: whether the ids are known to ascend (faster).

    Returns:
        Shape (num_segments, ...).
    """
    return _segment(_segment_sum, data, segment_ids, num_segments, sorted)


def segment_max(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The largest of the rows that have equal ids; arguments as of `segment_sum`."""
    return _segment(_segment_max, data, segment_ids, num_segments, sorted)


def segment_min(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The smallest of the rows that have equal ids; arguments as of `segment_sum`."""
    return _segment(_segment_min, data, segment_ids, num_segments, sorted)


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """The places of what is not zero, an int32 tensor for each axis.

    Their length depends on values, so `x` is computed.
    """
    return tuple(as_tensor(i.astype("int32")) for i in np.nonzero(host_value(x, "x")))


# -- ordering -----------------------------------------------------------------------------

_sort = ArrayOp(lambda x, *, axis: jnp.sort(x, axis), "sort")
_argsort = ArrayOp(lambda x, *, axis: jnp.argsort(x, axis), "argsort")
_top_k = ArrayOp(lambda x, *, k: tuple(lax.top_k(x, k)), "top_k")
_in_top_k = ArrayOp(lambda targets, predictions, *, k: _within(targets, predictions, k), "in_top_k")
_searchsorted = ArrayOp(lambda s, v, *, side: jnp.searchsorted(s, v, side), "searchsorted")
_digitize = ArrayOp(lambda x, bins: jnp.digitize(x, bins).astype(jnp.int32), "digitize")
_isin = ArrayOp(
    lambda x1, x2, *, unique, invert: jnp.isin(x1, x2, assume_unique=unique, invert=invert), "isin"
)
_bincount = ArrayOp(
    lambda x, *weights, length: jnp.bincount(x, *weights, length=length), "bincount"
)


def sort(x: Any, axis: int | None = -1) -> Tensor:
    """The elements in ascending order along `axis`; all of them, flattened, if it is None."""
    return _sort(x, axis=axes_of(axis))


def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """The indices (int32) that sort `x` along `axis`; equal elements keep their order."""
    return _argsort(x, axis=axes_of(axis))


def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest along the last axis, largest first, and their indices (int32)."""
    return _top_k(x, k=int(k))


def _within(targets: Any, predictions: Any, k: int) -> Any:
    rows = jnp.take_along_axis(predictions, targets[..., None].astype(jnp.int32), -1)
    above = jnp.sum(predictions > rows, axis=-1)
    return (above < k) & jnp.isfinite(rows[..., 0])


def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether each target's score is among the k highest of its row (ties count as in).

    Args:
        targets: int, shape (n,).
        predictions: float, shape (n, classes).
        k: how many.

    Returns:
        bool, shape (n,); False where the target's score is not finite.
    """
    return _in_top_k(as_tensor(targets), predictions, k=int(k))


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """Where each value would go into an ascending 1-D sequence, int32."""
    return _searchsorted(as_tensor(sorted_sequence), as_tensor(values), side=side)


def digitize(x: Any, bins: Any) -> Tensor:
    """The bin (int32) that each element falls in; bins are ascending lower edges."""
    return _digitize(as_tensor(x), as_tensor(bins))


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of `x1` is somewhere in `x2`."""
    return _isin(as_tensor(x1), as_tensor(x2), unique=assume_unique, invert=invert)


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in `x`, or the sum of its weights.

    The result's length depends on the largest value, so `x` is computed.
    """
    if sparse:
        raise ValueError("bincount: weft has dense tensors only.")
    x = as_tensor(x)
    length = max(int(x.numpy().max(initial=-1)) + 1, int(minlength))
    given = () if weights is None else (as_tensor(weights),)
    return _bincount(x, *given, length=length)
