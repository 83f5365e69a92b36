"""`InputSpec`: what a layer demands of its inputs, checked before they are used."""

from __future__ import annotations

from typing import Any

import jax

from weft.engine import ShapeError, as_dtype

__all__ = ["InputSpec", "check"]


class InputSpec:
    """The rank, shape and dtype that an input must have; whatever is None is not looked at.

    A layer's `input_spec` is one of these, or a list or dict of them like the layer's inputs.

    Args:
        dtype: the dtype.
        shape: the sizes, batch axis included; None where any will do.
        ndim: the rank; that of `shape`, if that is given.
        max_ndim, min_ndim: bounds of the rank.
        axes: axis → size, for those axes that must have one.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing or too many.
        name: the input's key, where inputs come as a dict and specs as a list.
        optional: whether the input may be None.

    Raises:
        TypeError: `axes` is no dict of integers.
        ValueError: a shape with other than sizes in it, a rank that is no size, an axis that an
            input of the greatest rank allowed does not have.

    Example:
        >>> import weft
        >>> class Sum(weft.layers.Layer):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.input_spec = weft.layers.InputSpec(ndim=3, axes={-1: 8})
        ...     def call(self, inputs):
        ...         return weft.ops.sum(inputs, -1)
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else as_dtype(dtype).name
        self.shape = None if shape is None else _sizes(shape)
        ranks = {"ndim": ndim, "max_ndim": max_ndim, "min_ndim": min_ndim}
        for what, rank in ranks.items():
            if rank is not None and not _size(rank):
                raise ValueError(f"InputSpec: {what} is a rank, a non-negative int, got {rank!r}.")
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        if axes is not None and not (
            isinstance(axes, dict) and all(isinstance(a, int) for a in axes)
        ):
            raise TypeError(f"InputSpec: axes is a dict from axes (ints) to sizes, got {axes!r}.")
        self.axes = dict(axes or {})
        most = self.ndim if self.ndim is not None else max_ndim
        beyond = [a for a in self.axes if most is not None and not -most <= a < most]
        if beyond:
            raise ValueError(
                f"InputSpec: axes names axis {beyond[0]}, which an input of rank {most} has not."
            )
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make an equal one."""
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
            "optional": self.optional,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The specification of a config."""
        return cls(**config)

    def __repr__(self) -> str:
        said = {k: v for k, v in self.get_config().items() if v not in (None, {}, False)}
        return f"InputSpec({', '.join(f'{k}={v}' for k, v in said.items())})"

    def mismatch(self, value: Any) -> str | None:
        """What an input (None, or anything with a shape and a dtype) lacks; None if nothing."""
        if value is None:
            return None if self.optional else "a tensor was expected, got None"
        shape = tuple(value.shape)
        expected = self.shape
        if expected is not None and self.allow_last_axis_squeeze:
            if len(shape) == len(expected) + 1 and shape[-1] in (1, None):
                shape = shape[:-1]
            elif len(shape) == len(expected) - 1 and expected[-1] == 1:
                expected = expected[:-1]
        rank, needed = len(shape), self.ndim if expected is None else len(expected)
        if needed is not None and rank != needed:
            return f"rank {needed} was expected, got rank {rank} (shape {shape})"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"a rank of at most {self.max_ndim} was expected, got {rank} (shape {shape})"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"a rank of at least {self.min_ndim} was expected, got {rank} (shape {shape})"
        if self.dtype is not None and as_dtype(value.dtype).name != self.dtype:
            return f"dtype {self.dtype} was expected, got {as_dtype(value.dtype).name}"
        for axis, size in self.axes.items():
            if not -rank <= axis < rank:
                return f"an axis {axis} was expected, got shape {shape}"
            if None not in (size, shape[axis]) and shape[axis] != size:
                return f"axis {axis} must have size {size}, got shape {shape}"
        for size, came in zip(expected or (), shape, strict=False):
            if None not in (size, came) and size != came:
                return f"shape {self.shape} was expected, got shape {tuple(value.shape)}"
        return None


def check(input_spec: Any, inputs: Any, layer_name: str) -> None:
    """Raise unless `inputs`, a tensor or a nest of them, are what `input_spec` says.

    Args:
        input_spec: an InputSpec, or a nest of them (None where anything will do).
        inputs: the layer's first argument; shapes may have None in them.
        layer_name: named in the error.

    Raises:
        ShapeError: an input does not fit, or their number does not.
    """
    if isinstance(input_spec, InputSpec) and hasattr(inputs, "shape"):
        pairs = [("the input", input_spec, inputs)]
    else:
        specs = jax.tree.leaves(input_spec, is_leaf=_is_leaf)
        names = [getattr(s, "name", None) for s in specs]
        if isinstance(inputs, dict) and all(names):
            missing = [n for n in names if n not in inputs]
            if missing:
                raise ShapeError(
                    f"layer {layer_name!r}: there is no input {missing[0]!r} among {list(inputs)}; "
                    f"expected a dict with the keys {names}."
                )
            pairs = [(f"input {n!r}", s, inputs[n]) for n, s in zip(names, specs, strict=True)]
        else:
            given, _ = jax.tree_util.tree_flatten_with_path(inputs, is_leaf=_is_leaf)
            if len(given) != len(specs):
                raise ShapeError(
                    f"layer {layer_name!r} takes {len(specs)} inputs, got {len(given)}."
                )
            pairs = [
                (f"input {jax.tree_util.keystr(path)}" if path else "the input", s, value)
                for s, (path, value) in zip(specs, given, strict=True)
            ]
    for which, spec, value in pairs:
        wrong = None if spec is None else spec.mismatch(value)
        if wrong is not None:
            raise ShapeError(f"layer {layer_name!r} does not take {which}: {wrong}.")


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, InputSpec) or hasattr(value, "shape")


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _sizes(shape: Any) -> tuple[int | None, ...]:
    if not isinstance(shape, list | tuple) or not all(n is None or _size(n) for n in shape):
        raise ValueError(
            f"InputSpec: a shape is a tuple of sizes, None where any will do; got {shape!r}."
        )
    return tuple(shape)
