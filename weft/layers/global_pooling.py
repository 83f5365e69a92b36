"""Global pooling layers: the largest value or the mean over all places."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.layers.spatial import Spatial

__all__ = [
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D",
    "GlobalMaxPool3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
]  # fmt: skip


class _GlobalPooling(Spatial):
    """What the layers below share."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keepdims": self.keepdims}


class _GlobalMaxPooling(_GlobalPooling):
    def _apply(self, inputs: Tensor) -> Tensor:
        return inputs.max(self._axes, keepdims=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def _apply(self, inputs: Tensor) -> Tensor:
        return inputs.mean(self._axes, keepdims=self.keepdims)


class GlobalAveragePooling2D(_GlobalAveragePooling):
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

    Example:
        >>> import weft
        >>> weft.layers.GlobalAveragePooling2D()(weft.ops.ones((2, 5, 4, 3))).shape
        (2, 3)

    Reference:
        Lin, Chen and Yan, "Network in network", 2013, section 3.2.
    """

    rank = 2


def _mean_of_marked(x: Any, mask: Any, *, axis: int, keepdims: bool) -> Any:
    if mask.shape != (x.shape[0], x.shape[axis]):
        raise ValueError(
            f"the mask must have shape (batch, steps) = ({x.shape[0]}, {x.shape[axis]}), got "
            f"{mask.shape}."
        )
    mask = jnp.expand_dims(mask.astype(bool), 3 - axis)
    # Half precision counts no further than to 256.
    wide = jnp.promote_types(x.dtype, jnp.float32)
    total = jnp.sum(jnp.where(mask, x, 0), axis, dtype=wide, keepdims=keepdims)
    count = jnp.sum(mask, axis, dtype=wide, keepdims=keepdims)
    return (total / count).astype(x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else wide)


_mean_of_marked_op = ArrayOp(_mean_of_marked, "masked_mean")


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over all steps, or over those that a mask marks; as `GlobalAveragePooling2D`.

    Call arguments:
        inputs: shape (batch, steps, channels); channels_first: (batch, channels, steps).
        mask: shape (batch, steps), true for the steps that count; the mask that the inputs carry,
            if none is given. A sample without any has no mean: NaN. The outputs carry no mask.

    Raises:
        ShapeError: besides, a mask of another shape.

    Example:
        >>> import weft
        >>> steps = [[[1.0], [3.0], [8.0]]]
        >>> weft.layers.GlobalAveragePooling1D()(steps, mask=[[True, True, False]]).tolist()
        [[2.0]]
    """

    rank = 1

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None or len(inputs.shape) != 3:
            return super().call(inputs)
        return _mean_of_marked_op(inputs, mask, axis=self._axes[0], keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None  # no steps are left


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean over a volume; as `GlobalAveragePooling2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).
    """

    rank = 3


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest value over all rows and columns; as `GlobalAveragePooling2D`.

    Equal largest values share the gradient.
    """

    rank = 2


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest value over all steps, masked or not; as `GlobalMaxPooling2D`.

    Call arguments:
        inputs: shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Example:
        >>> import weft
        >>> weft.layers.GlobalMaxPooling1D()([[[1.0], [3.0], [2.0]]]).tolist()
        [[3.0]]
    """

    rank = 1


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The largest value over a volume; as `GlobalMaxPooling2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).
    """

    rank = 3


GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
