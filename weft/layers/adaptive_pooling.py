"""Adaptive pooling layers: windows chosen such that the output has a given size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.engine import Tensor
from weft.layers.options import positive_many
from weft.layers.spatial import Spatial
from weft.ops import adaptive_average_pool, adaptive_max_pool

__all__ = [
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
]  # fmt: skip


class _AdaptivePooling(Spatial):
    """What the layers below share; a subclass says what is done with a window."""

    pool: Callable[..., Tensor]

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.output_size = positive_many(type(self).__name__, "output_size", output_size, self.rank)

    def _apply(self, inputs: Tensor) -> Tensor:
        return self.pool(inputs, self.output_size, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": list(self.output_size)}


class _AdaptiveAveragePooling(_AdaptivePooling):
    pool = staticmethod(adaptive_average_pool)


class _AdaptiveMaxPooling(_AdaptivePooling):
    pool = staticmethod(adaptive_max_pool)


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The means of as many windows as the output is to have, whatever the size of the input.

    Along each axis window i of m over n elements goes from ⌊i·n/m⌋ up to ⌈(i+1)·n/m⌉, the latter
    not in it: neighbouring windows overlap by at most one element.

    Args:
        output_size: an int, or (rows, columns).
        data_format: "channels_last" (default) or "channels_first".
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, *output_size, channels), or with the channels first.

    Raises:
        ValueError: sizes that are not positive, an unknown data_format.
        ShapeError: an input of another rank, or without elements.

    Example:
        >>> import weft
        >>> weft.layers.AdaptiveAveragePooling2D((2, 3))(weft.ops.ones((1, 7, 8, 4))).shape
        (1, 2, 3, 4)
    """

    rank = 2


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The means of `output_size` windows of steps; as `AdaptiveAveragePooling2D`.

    Call arguments:
        inputs: shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Example:
        >>> import weft
        >>> steps = [[[1.0], [2.0], [3.0]]]
        >>> weft.layers.AdaptiveAveragePooling1D(2)(steps).tolist()
        [[[1.5], [2.5]]]
    """

    rank = 1


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The means of `output_size` windows of a volume; as `AdaptiveAveragePooling2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).
    """

    rank = 3


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest values of `output_size` windows; as `AdaptiveAveragePooling2D`."""

    rank = 2


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest values of `output_size` windows of steps; as `AdaptiveAveragePooling1D`."""

    rank = 1


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The largest values of `output_size` windows of a volume; as `AdaptiveAveragePooling3D`."""

    rank = 3
