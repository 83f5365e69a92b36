"""Pooling layers: the largest value or the mean of windows, or of all places."""

from __future__ import annotations

from typing import Any

from weft.engine import Tensor
from weft.layers.layer import Layer
from weft.layers.options import check_rank, data_format_of, padding_of, positive_many
from weft.ops import average_pool, max_pool

__all__ = [
    "AveragePooling2D", "AvgPool2D", "GlobalAveragePooling2D", "GlobalAvgPool2D",
    "GlobalMaxPool2D", "GlobalMaxPooling2D", "MaxPool2D", "MaxPooling2D",
]  # fmt: skip


class _Pooling(Layer):
    """What the layers below share; a subclass says what is done with a window."""

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        self.pool_size = positive_many(kind, "pool_size", pool_size, 2)
        self.strides = (
            self.pool_size if strides is None else positive_many(kind, "strides", strides, 2)
        )
        self.padding = padding_of(kind, padding)
        self.data_format = data_format_of(kind, data_format)

    def build(self, input_shape: Any) -> None:
        _check(input_shape, self.data_format)

    def call(self, inputs: Any) -> Tensor:
        return self._pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def _pool(self, *args: Any) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "padding": self.padding,
            "strides": list(self.strides),
            "data_format": self.data_format,
        }


class MaxPooling2D(_Pooling):
    """The largest value of each window.

    Args:
        pool_size: the window, an int or (rows, columns).
        strides: likewise; the pool size by default.
        padding: "valid" (only whole windows) or "same" (an output of size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
        name: unique by default.
        kwargs: `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, new rows, new columns, channels), or with the channels first.

    Raises:
        ValueError: sizes that are not positive, an unknown padding or data_format.
        ShapeError: an input of another rank, or smaller than a window.

    Example:
        >>> import weft
        >>> weft.layers.MaxPooling2D()(weft.ops.ones((1, 5, 4, 3))).shape
        (1, 2, 2, 3)
    """

    _pool = staticmethod(max_pool)


class AveragePooling2D(_Pooling):
    """The mean of each window, of the input's own elements; arguments as of `MaxPooling2D`."""

    _pool = staticmethod(average_pool)


class _GlobalPooling(Layer):
    """What the layers below share."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)
        self._axes = (1, 2) if self.data_format == "channels_last" else (2, 3)

    def build(self, input_shape: Any) -> None:
        _check(input_shape, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean over all rows and columns.

    Args:
        data_format: "channels_last" (default) or "channels_first".
        keepdims: whether rows and columns stay, with size 1.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, channels).

    Raises:
        ValueError: an unknown data_format.
        ShapeError: an input of another rank.
    """

    def call(self, inputs: Any) -> Tensor:
        return inputs.mean(self._axes, keepdims=self.keepdims)  # type: ignore[no-any-return]


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value over all rows and columns; arguments as of `GlobalAveragePooling2D`."""

    def call(self, inputs: Any) -> Tensor:
        return inputs.max(self._axes, keepdims=self.keepdims)  # type: ignore[no-any-return]


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D


def _check(input_shape: Any, data_format: str) -> None:
    last = data_format == "channels_last"
    axes = "(batch, rows, columns, channels)" if last else "(batch, channels, rows, columns)"
    check_rank(input_shape, 4, axes)
