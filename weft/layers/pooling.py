"""Pooling layers over windows: the largest value or the mean of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.engine import Tensor
from weft.layers.options import padding_of, positive_many
from weft.layers.spatial import Spatial
from weft.ops import average_pool, max_pool

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D",
    "AvgPool3D", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D",
]  # fmt: skip


class _Pooling(Spatial):
    """What the layers below share; a subclass says what is done with a window."""

    pool: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        kind = type(self).__name__
        self.pool_size = positive_many(kind, "pool_size", pool_size, self.rank)
        self.strides = (
            self.pool_size
            if strides is None
            else positive_many(kind, "strides", strides, self.rank)
        )
        self.padding = padding_of(kind, padding)

    def _apply(self, inputs: Tensor) -> Tensor:
        return self.pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "padding": self.padding,
            "strides": list(self.strides),
        }


class _MaxPooling(_Pooling):
    pool = staticmethod(max_pool)


class _AveragePooling(_Pooling):
    pool = staticmethod(average_pool)


class MaxPooling2D(_MaxPooling):
    """The largest value of each window: y[i, j] = max x[i·s + a, j·s + b], a and b in the window.

    Of equal largest values the first, in row-major order, gets the gradient.

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
        Shape (batch, new rows, new columns, channels), or with the channels first; the new sizes
        are ⌊(n - window) / stride⌋ + 1 with "valid", ⌈n / stride⌉ with "same".

    Raises:
        ValueError: sizes that are not positive, an unknown padding or data_format.
        ShapeError: an input of another rank, or smaller than a window without padding.

    Example:
        >>> import weft
        >>> weft.layers.MaxPooling2D()(weft.ops.ones((1, 5, 4, 3))).shape
        (1, 2, 2, 3)

    Reference:
        Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex", 1999.
    """

    rank = 2


class MaxPooling1D(_MaxPooling):
    """The largest value of each window of steps; arguments as of `MaxPooling2D`.

    Call arguments:
        inputs: shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Example:
        >>> import weft
        >>> weft.layers.MaxPooling1D(2, strides=1)([[[1.0], [3.0], [2.0]]]).tolist()
        [[[3.0], [3.0]]]
    """

    rank = 1


class MaxPooling3D(_MaxPooling):
    """The largest value of each window of a volume; arguments as of `MaxPooling2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).

    Example:
        >>> import weft
        >>> weft.layers.MaxPooling3D((1, 2, 2))(weft.ops.ones((1, 3, 4, 4, 2))).shape
        (1, 3, 2, 2, 2)
    """

    rank = 3


class AveragePooling2D(_AveragePooling):
    """The mean of each window; arguments as of `MaxPooling2D`.

    With padding "same" a window at the border is the mean of those of its elements that are in the
    input: the padding does not count.

    Example:
        >>> import weft
        >>> image = [[[[1.0], [3.0]], [[5.0], [7.0]]]]
        >>> weft.layers.AveragePooling2D(2, 1, padding="same")(image)[0, :, :, 0].tolist()
        [[4.0, 5.0], [6.0, 7.0]]
    """

    rank = 2


class AveragePooling1D(_AveragePooling):
    """The mean of each window of steps, of the input's own elements; as `MaxPooling1D`.

    Example:
        >>> import weft
        >>> weft.layers.AveragePooling1D(2)([[[1.0], [3.0], [2.0]]]).tolist()
        [[[2.0]]]
    """

    rank = 1


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume, of the input's own elements; as `MaxPooling3D`.

    Example:
        >>> import weft
        >>> weft.layers.AveragePooling3D(2)(weft.ops.ones((1, 4, 4, 4, 2))).shape
        (1, 2, 2, 2, 2)
    """

    rank = 3


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
