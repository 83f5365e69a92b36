"""Upsampling layers: each place several times, or images in a larger size."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.engine.names import near
from weft.layers.options import positive_many
from weft.layers.spatial import Spatial
from weft.ops import image

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]


def _repeat(x: Any, *, sizes: tuple[int, ...], first: int) -> Any:
    """Each element along the spatial axes, which begin at `first`, as often as `sizes` says."""
    split, wide, new = [], [], []
    for axis, n in enumerate(x.shape):
        k = sizes[axis - first] if 0 <= axis - first < len(sizes) else 1
        split += [n, 1]
        wide += [n, k]
        new.append(n * k)
    return jnp.broadcast_to(x.reshape(split), wide).reshape(new)


_repeat_op = ArrayOp(_repeat, "upsample")


class _UpSampling(Spatial):
    """What the layers below share."""

    def __init__(self, size: Any = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive_many(type(self).__name__, "size", size, self.rank)

    def _apply(self, inputs: Tensor) -> Tensor:
        return _repeat_op(inputs, sizes=self.size, first=self._axes[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": list(self.size)}


class UpSampling1D(_UpSampling):
    """Each step `size` times.

    Args:
        size: a positive int.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, steps, channels).

    Returns:
        Shape (batch, steps · size, channels).

    Raises:
        ValueError: a size that is not positive.
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> weft.layers.UpSampling1D(2)([[[1.0], [2.0]]]).tolist()
        [[[1.0], [1.0], [2.0], [2.0]]]
    """

    rank = 1
    takes_data_format = False

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size[0]}


class UpSampling2D(_UpSampling):
    """Each row and column several times, or the image in a larger size.

    Args:
        size: the factors, an int or (rows, columns).
        data_format: "channels_last" (default) or "channels_first".
        interpolation: "nearest" (each pixel repeated), "bilinear", "bicubic", "lanczos3" or
            "lanczos5", as of `weft.ops.image.resize`.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, rows · size[0], columns · size[1], channels), or with the channels first.

    Raises:
        ValueError: sizes that are not positive, an unknown interpolation or data_format.
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> weft.layers.UpSampling2D((1, 2))([[[[1.0], [2.0]]]])[0, 0, :, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 2

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format=data_format, **kwargs)
        if interpolation not in image.METHODS:
            raise ValueError(
                f"UpSampling2D: unknown interpolation {interpolation!r}. "
                f"{near(interpolation, image.METHODS)}"
            )
        self.interpolation = interpolation

    def _apply(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super()._apply(inputs)
        rows, columns = (inputs.shape[axis] for axis in self._axes)
        size = (rows * self.size[0], columns * self.size[1])
        return image.resize(
            inputs, size, interpolation=self.interpolation, data_format=self.data_format
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """Each plane, row and column several times; as `UpSampling2D`, without interpolation.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).

    Example:
        >>> import weft
        >>> weft.layers.UpSampling3D((1, 2, 3))(weft.ops.ones((1, 2, 2, 2, 4))).shape
        (1, 2, 4, 6, 4)
    """

    rank = 3

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(size, data_format=data_format, **kwargs)
