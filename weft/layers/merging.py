"""Layers that make one tensor of several: element by element, end to end, or by products."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
from jax import lax

from weft.engine import ArrayOp, ShapeError, Tensor
from weft.engine.symbolic import KerasTensor
from weft.layers.layer import Layer

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add",
    "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip


# (input, axis) pairs, and whether a size of 1 may stand among the equal ones.
_Group = tuple[list[tuple[int, int]], bool]


class _Merge(Layer):
    """The base of layers whose input is a list of tensors.

    A subclass says which axes must have equal sizes (`_groups`): an unknown size follows from them.
    """

    _count: int | None = None  # how many inputs it takes; None for any number

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def _several(self, inputs: Any) -> Any:
        """`inputs`, checked to be a list of as many as the layer takes."""
        several = isinstance(inputs, list | tuple)
        if several and len(inputs) and self._count in (None, len(inputs)):
            return inputs
        wanted = f"exactly {self._count}" if self._count else "one or more"
        shape = getattr(inputs, "shape", None)
        came = f"one {type(inputs).__name__}" if shape is None else f"one of shape {tuple(shape)}"
        came = f"a list of {len(inputs)}" if several else came
        raise ShapeError(f"it merges a list of {wanted} tensors, got {came}.")

    def _groups(self, ranks: list[int]) -> list[_Group]:
        """The axes whose sizes are equal."""
        raise NotImplementedError

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs["inputs"]
        if isinstance(inputs, list | tuple) and all(isinstance(t, KerasTensor) for t in inputs):
            sizes = [list(t.shape) for t in inputs]
            for group, broadcast in self._groups([len(s) for s in sizes]):
                unsaid = (None, 1) if broadcast else (None,)
                known = [sizes[i][axis] for i, axis in group if sizes[i][axis] not in unsaid]
                for i, axis in group:
                    if sizes[i][axis] is None and known:
                        sizes[i][axis] = known[0]
            inputs = [KerasTensor(s, t.dtype) for s, t in zip(sizes, inputs, strict=True)]
        return super().compute_output_spec(inputs)


# -- element by element ---------------------------------------------------------------------


def _insertion(rank: int, most: int) -> range:
    """The axes that a tensor of fewer axes gets, behind its batch axis."""
    return range(1, 1 + most - rank)


def _aligned(xs: Any) -> list[Any]:
    """The tensors with equal ranks, checked to broadcast."""
    shapes = [x.shape for x in xs]
    if not all(shapes):
        raise ShapeError(f"a merged tensor needs a batch axis, got the shapes {_listed(shapes)}.")
    if len({s[0] for s in shapes}) > 1:
        raise ShapeError(
            f"merged tensors must have the same batch size, got the shapes {_listed(shapes)}."
        )
    most = max(map(len, shapes))
    xs = [jnp.expand_dims(x, tuple(_insertion(x.ndim, most))) for x in xs]
    sides = zip(*(x.shape for x in xs), strict=True)
    if any(len({n for n in sizes if n != 1}) > 1 for sizes in sides):
        raise ShapeError(
            f"the shapes {_listed(shapes)} do not fit: behind the batch axis, counted from the "
            "last axis, sizes must be equal, or 1."
        )
    return xs


def _listed(shapes: Any) -> str:
    return ", ".join(map(str, shapes))


def _elementwise(name: str, merge: Any) -> ArrayOp:
    return ArrayOp(lambda *xs: merge(_aligned(xs)), name)


def _or(*masks: Any, insert: tuple[tuple[int, ...], ...]) -> Any:
    aligned = [jnp.expand_dims(m.astype(bool), i) for m, i in zip(masks, insert, strict=True)]
    return functools.reduce(jnp.logical_or, aligned)


_or_op = ArrayOp(_or, "merge_masks")


class _Elementwise(_Merge):
    """The base of merges element by element; `_op` is the operation, one node for all inputs."""

    _op: ArrayOp

    def call(self, inputs: Any) -> Tensor:
        return self._op(*self._several(inputs))  # type: ignore[no-any-return]

    def _groups(self, ranks: list[int]) -> list[_Group]:
        batch = [(i, 0) for i, rank in enumerate(ranks) if rank]
        behind = [
            [(i, -axis) for i, rank in enumerate(ranks) if axis < rank]
            for axis in range(1, max(ranks, default=0))
        ]
        return [(batch, False), *((group, True) for group in behind)]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """A step counts if it does in any input; all of them must have a mask."""
        if not isinstance(previous_mask, list | tuple) or any(m is None for m in previous_mask):
            return None
        ranks = [len(t.shape) for t in inputs]
        insert = tuple(tuple(_insertion(rank, max(ranks))) for rank in ranks)
        return _or_op(*previous_mask, insert=insert)


class Add(_Elementwise):
    """x₁ + x₂ + …

    Tensors of fewer axes get axes of size 1 behind the batch axis; then sizes are equal or 1. The
    result has a mask if every input has one: True where any of them is.

    Args:
        kwargs: `name`, `dtype`, as of every layer.

    Call arguments:
        inputs: a list of tensors of the same batch size.

    Returns:
        The shape that the inputs broadcast to.

    Raises:
        ShapeError: no list, or shapes that do not fit.

    Example:
        >>> import weft
        >>> weft.layers.Add()([weft.ops.ones((2, 3, 4)), weft.ops.ones((2, 4))]).shape
        (2, 3, 4)
    """

    _op = _elementwise("add", lambda xs: functools.reduce(jnp.add, xs))


class Subtract(_Elementwise):
    """x₁ - x₂, of exactly two tensors; shapes and masks as in `Add`.

    Example:
        >>> import weft
        >>> weft.layers.Subtract()([weft.ops.ones((1, 2)), weft.ops.ones((1, 2))]).tolist()
        [[0.0, 0.0]]
    """

    _count = 2
    _op = _elementwise("subtract", lambda xs: jnp.subtract(*xs))


class Average(_Elementwise):
    """(x₁ + x₂ + …) / n; shapes and masks as in `Add`.

    Example:
        >>> import weft
        >>> weft.layers.Average()([weft.ops.ones((1, 2)), weft.ops.zeros((1, 2))]).tolist()
        [[0.5, 0.5]]
    """

    _op = _elementwise("average", lambda xs: functools.reduce(jnp.add, xs) / len(xs))


def _left_out(*arrays: Any, masked: tuple[bool, ...], merge: Any, none: Any) -> Any:
    """The merge of those inputs that count at each step; the masks come behind the inputs."""
    count = len(masked)
    xs, given = arrays[:count], iter(arrays[count:])
    most = max(x.ndim for x in xs)
    parts = []
    for x, aligned, has in zip(xs, _aligned(xs), masked, strict=True):
        mask = jnp.ones((), bool)
        if has:
            mask = next(given).astype(bool)
            mask = jnp.expand_dims(mask, tuple(range(mask.ndim, x.ndim)))
            mask = jnp.expand_dims(mask, tuple(_insertion(x.ndim, most)))
        parts.append((aligned, mask))

    def both(a: Any, b: Any) -> Any:
        (x, counts), (y, also) = a, b
        return jnp.where(counts & also, merge(x, y), jnp.where(also, y, x)), counts | also

    merged, counts = functools.reduce(both, parts)
    return merged if none is None else jnp.where(counts, merged, jnp.asarray(none, merged.dtype))


_left_out_op = ArrayOp(_left_out, "masked_merge")


class _Selective(_Elementwise):
    """The base of merges that leave out an input at the steps where its mask is False."""

    _merge: Any  # of two arrays
    _none: float | None = None  # where no input counts; None for the first one's value

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        inputs = self._several(inputs)
        if mask is None:
            return self._op(*inputs)  # type: ignore[no-any-return]
        return _left_out_op(  # type: ignore[no-any-return]
            *inputs,
            *[m for m in mask if m is not None],
            masked=tuple(m is not None for m in mask),
            merge=self._merge,
            none=self._none,
        )


class Multiply(_Selective):
    """x₁ · x₂ · …, element by element; shapes and masks as in `Add`.

    At a step where an input's mask is False, that input is left out; where all are, the result
    is 0.

    Example:
        >>> import weft
        >>> x = weft.ops.array([[2.0, 3.0]])
        >>> weft.layers.Multiply()([x, x, x]).tolist()
        [[8.0, 27.0]]
    """

    _merge = staticmethod(jnp.multiply)
    _none = 0
    _op = _elementwise("multiply", lambda xs: functools.reduce(jnp.multiply, xs))


class Maximum(_Selective):
    """The largest of x₁, x₂, … at each place; shapes and masks as in `Add`.

    At a step where an input's mask is False, that input is left out; where all are, the result
    is the first input's.

    Example:
        >>> import weft
        >>> weft.layers.Maximum()([weft.ops.ones((1, 2)), weft.ops.zeros((1, 2))]).tolist()
        [[1.0, 1.0]]
    """

    _merge = staticmethod(jnp.maximum)
    _op = _elementwise("maximum", lambda xs: functools.reduce(jnp.maximum, xs))


class Minimum(_Selective):
    """The smallest of x₁, x₂, … at each place; shapes and masks as in `Add`.

    At a step where an input's mask is False, that input is left out; where all are, the result
    is the first input's.

    Example:
        >>> import weft
        >>> weft.layers.Minimum()([weft.ops.ones((1, 2)), weft.ops.zeros((1, 2))]).tolist()
        [[0.0, 0.0]]
    """

    _merge = staticmethod(jnp.minimum)
    _op = _elementwise("minimum", lambda xs: functools.reduce(jnp.minimum, xs))


# -- end to end -----------------------------------------------------------------------------


def _concatenate(*xs: Any, axis: int) -> Any:
    shapes = [x.shape for x in xs]
    rank = len(shapes[0])
    if not -rank <= axis < rank:
        raise ShapeError(f"there is no axis {axis} in the shapes {_listed(shapes)}.")
    rest = {(*s[: axis % rank], *s[axis % rank + 1 :]) for s in shapes}
    if len({len(s) for s in shapes}) > 1 or len(rest) > 1:
        raise ShapeError(
            f"concatenated tensors must have equal shapes but for axis {axis}, got "
            f"{_listed(shapes)}."
        )
    return jnp.concatenate(xs, axis)


_concatenate_op = ArrayOp(_concatenate, "concatenate")


def _joined(*masks: Any, shapes: tuple[tuple[int, ...], ...], given: Any, axis: int) -> Any:
    """The masks joined as their tensors are: True for those without, any along the axes behind."""
    ranks = [m.ndim for m in masks]
    parts = iter(masks)
    full = []
    for shape, has in zip(shapes, given, strict=True):
        mask = next(parts).astype(bool) if has else jnp.ones((), bool)
        if has:
            sizes = zip(mask.shape, shape, strict=False)
            if mask.ndim > len(shape) or any(m not in (1, n) for m, n in sizes):
                raise ValueError(
                    f"the mask of an input of shape {shape} must have its first sizes, got "
                    f"{mask.shape}."
                )
            mask = jnp.expand_dims(mask, tuple(range(mask.ndim, len(shape))))
        full.append(jnp.broadcast_to(mask, shape))
    whole = jnp.concatenate(full, axis)
    return jnp.any(whole, tuple(range(max(ranks), whole.ndim)))


_joined_op = ArrayOp(_joined, "concatenate_masks")


class Concatenate(_Merge):
    """The tensors joined along an axis.

    A mask of the result is joined in the same way, where an input without one counts everywhere;
    along an axis behind those of the masks, a step counts if it does in any input.

    Args:
        axis: the axis.
        kwargs: `name`, `dtype`, as of every layer.

    Call arguments:
        inputs: a list of tensors of equal shapes but for the axis.

    Returns:
        That shape, with the sum of the sizes along the axis.

    Raises:
        ValueError: an axis that is no integer.
        ShapeError: no list, an axis that is not there, or shapes that differ elsewhere.

    Example:
        >>> import weft
        >>> weft.layers.Concatenate()([weft.ops.ones((2, 3)), weft.ops.ones((2, 4))]).shape
        (2, 7)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"Concatenate: axis must be an integer, got axis={axis!r}.")
        self.axis = axis

    def call(self, inputs: Any) -> Tensor:
        return _concatenate_op(*self._several(inputs), axis=self.axis)  # type: ignore[no-any-return]

    def _groups(self, ranks: list[int]) -> list[_Group]:
        if len(set(ranks)) != 1 or not -ranks[0] <= self.axis < ranks[0]:
            return []
        axes = [a for a in range(ranks[0]) if a != self.axis % ranks[0]]
        return [([(i, a) for i in range(len(ranks))], False) for a in axes]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        if not isinstance(previous_mask, list | tuple):
            return None
        masks = [m for m in previous_mask if m is not None]
        if not masks:
            return None
        return _joined_op(
            *masks,
            shapes=tuple(tuple(t.shape) for t in inputs),
            given=tuple(m is not None for m in previous_mask),
            axis=self.axis,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


# -- products -------------------------------------------------------------------------------


def _dot(x: Any, y: Any, *, axes: tuple[int, int], normalize: bool) -> Any:
    shapes = f"{x.shape}, {y.shape}"
    if min(x.ndim, y.ndim) < 2 or x.shape[0] != y.shape[0]:
        raise ShapeError(
            f"Dot takes two tensors of 2 axes or more, of the same batch size, got {shapes}."
        )
    if not all(map(_has_axis, (x.ndim, y.ndim), axes)):
        raise ShapeError(
            f"axes={axes} must be axes of the inputs behind the batch axis, got {shapes}."
        )
    a, b = axes[0] % x.ndim, axes[1] % y.ndim
    if x.shape[a] != y.shape[b]:
        raise ShapeError(
            f"axis {a} of the first input and axis {b} of the second must have equal sizes, got "
            f"{shapes}."
        )
    if normalize:
        x, y = _unit(x, a), _unit(y, b)
    kind = jnp.result_type(x, y)
    product = lax.dot_general(x.astype(kind), y.astype(kind), (((a,), (b,)), ((0,), (0,))))
    return product[:, None] if product.ndim == 1 else product


def _has_axis(rank: int, axis: int) -> bool:
    """Whether there is such an axis, behind the batch axis."""
    return -rank < axis < rank and axis != 0


def _unit(x: Any, axis: int) -> Any:
    # In float32 at least: the square of the smallest norm is no number of less precision.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    squares = jnp.sum(jnp.square(wide), axis, keepdims=True)
    return (wide * lax.rsqrt(jnp.maximum(squares, 1e-14))).astype(x.dtype)


_dot_op = ArrayOp(_dot, "dot")


class Dot(_Merge):
    """Σ x·y over an axis of each of two tensors, for each sample.

    Args:
        axes: the axis, or the first tensor's and the second's, not the batch axis.
        normalize: whether both are divided by their norm along the axis before (no less than
            1e-7): the result is then the cosine of their angle.
        kwargs: `name`, `dtype`, as of every layer.

    Call arguments:
        inputs: a list of two tensors, of shapes (batch, ...).

    Returns:
        Shape (batch, the first's other axes, the second's other axes); (batch, 1) where there
        are none.

    Raises:
        ValueError: axes that are no integers, more than two, or the batch axis.
        ShapeError: no list of two, another batch size, or sizes along the axes that differ.

    Example:
        >>> import weft
        >>> x, y = weft.ops.ones((2, 3, 5)), weft.ops.ones((2, 10, 3))
        >>> weft.layers.Dot(axes=(1, 2))([x, y]).shape
        (2, 5, 10)
    """

    _count = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        both = tuple(axes) if isinstance(axes, list | tuple) else (axes, axes)
        whole = all(isinstance(a, int) and not isinstance(a, bool) for a in both)
        if len(both) != 2 or not whole or 0 in both:
            raise ValueError(
                "Dot: axes must be an integer or two, an axis of each input, none of them 0, the "
                f"batch axis; got axes={axes!r}."
            )
        self.axes = axes if isinstance(axes, int) else list(axes)
        self._both = both
        self.normalize = bool(normalize)

    def call(self, inputs: Any) -> Tensor:
        return _dot_op(*self._several(inputs), axes=self._both, normalize=self.normalize)  # type: ignore[no-any-return]

    def _groups(self, ranks: list[int]) -> list[_Group]:
        if len(ranks) != 2 or not all(map(_has_axis, ranks, self._both)):
            return []
        return [([(0, 0), (1, 0)], False), (list(enumerate(self._both)), False)]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


# -- as functions ---------------------------------------------------------------------------


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`.

    Example:
        >>> import weft
        >>> weft.layers.add([weft.ops.ones((1, 2)), weft.ops.ones((1, 2))]).tolist()
        [[2.0, 2.0]]
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`; `normalize` is one of the keyword arguments."""
    return Dot(axes=axes, **kwargs)(inputs)
