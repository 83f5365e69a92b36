"""Layers that move no numbers, only change their shape."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.layers.layer import Layer
from weft.layers.options import data_format_of

__all__ = ["Flatten", "Reshape"]


def _flatten(x: Any, *, channels_first: bool) -> Any:
    if channels_first and x.ndim > 2:  # the order in which channels_last would give them
        x = jnp.moveaxis(x, 1, -1)
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


_flatten_op = ArrayOp(_flatten, "flatten")


class Flatten(Layer):
    """All axes but the first as one.

    Args:
        data_format: "channels_last" (default), or "channels_first": the channels then move behind
            the other axes first.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, ...).

    Returns:
        Shape (batch, n), n the product of the other axes.

    Raises:
        ValueError: an unknown data_format.
        ShapeError: an input without axes.

    Example:
        >>> import weft
        >>> weft.layers.Flatten()(weft.ops.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of("Flatten", data_format)
        self._first = self.data_format == "channels_first"

    def call(self, inputs: Any) -> Tensor:
        return _flatten_op(inputs, channels_first=self._first)  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


def _reshape(x: Any, *, target: tuple[int, ...]) -> Any:
    size = math.prod(x.shape[1:])
    known = math.prod(n for n in target if n != -1)
    if size % known if -1 in target and known else size != known:
        raise ValueError(
            f"a sample of shape {x.shape[1:]} has {size} numbers, which do not fit in "
            f"target_shape {target}."
        )
    sizes = tuple(size // known if n == -1 else n for n in target)
    return x.reshape(x.shape[0], *sizes)


_reshape_op = ArrayOp(_reshape, "reshape")


class Reshape(Layer):
    """Each sample in another shape.

    Args:
        target_shape: the shape without the batch axis; one size may be -1, and follows then.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, ...).

    Returns:
        Shape (batch, *target_shape).

    Raises:
        ValueError: a shape with other than sizes in it, or with more than one -1.
        ShapeError: an input whose samples have another number of elements.

    Example:
        >>> import weft
        >>> weft.layers.Reshape((3, -1))(weft.ops.ones((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = tuple(target_shape) if isinstance(target_shape, list | tuple) else (target_shape,)
        whole = all(isinstance(n, int) and n >= -1 for n in sizes)
        if not whole or sizes.count(-1) > 1 or (-1 in sizes and 0 in sizes):
            raise ValueError(
                "Reshape: target_shape is a tuple of sizes, at most one of them -1, got "
                f"{target_shape!r}."
            )
        self.target_shape = sizes

    def call(self, inputs: Any) -> Tensor:
        return _reshape_op(inputs, target=self.target_shape)  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}
