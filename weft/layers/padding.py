"""Layers that cut the borders off, or put zeros around."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.layers.spatial import Spatial, pairs_of

__all__ = [
    "Cropping1D", "Cropping2D", "Cropping3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
]  # fmt: skip


class _Bordering(Spatial):
    """What the layers below share: an amount before and after each spatial axis."""

    what: str  # the argument's name
    op: ArrayOp

    def __init__(self, amounts: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pairs = pairs_of(type(self).__name__, self.what, amounts, self.rank)
        # A single axis has its pair itself.
        setattr(self, self.what, self._pairs[0] if self.rank == 1 else self._pairs)

    def _apply(self, inputs: Tensor) -> Tensor:
        return self.op(inputs, pairs=self._pairs, first=self._axes[0])

    def get_config(self) -> dict[str, Any]:
        pairs = [list(pair) for pair in self._pairs]
        return {**super().get_config(), self.what: pairs[0] if self.rank == 1 else pairs}


def _crop(x: Any, *, pairs: tuple[tuple[int, int], ...], first: int) -> Any:
    spatial = x.shape[first : first + len(pairs)]
    if any(n <= before + after for n, (before, after) in zip(spatial, pairs, strict=True)):
        raise ValueError(
            f"cropping {pairs} leaves nothing of the input's spatial shape {spatial}; cut less off."
        )
    inner = [slice(b, n - a) for n, (b, a) in zip(spatial, pairs, strict=True)]
    return x[(slice(None),) * first + tuple(inner)]


class _Cropping(_Bordering):
    what = "cropping"
    op = ArrayOp(_crop, "crop")


class Cropping2D(_Cropping):
    """The image without some rows and columns at its borders.

    Args:
        cropping: an int for all sides; (rows, columns), the same on both sides; or ((top, bottom),
            (left, right)).
        data_format: "channels_last" (default) or "channels_first".
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, rows - top - bottom, columns - left - right, channels), or with the channels
        first.

    Raises:
        ValueError: a negative number or another form of `cropping`, an unknown data_format.
        ShapeError: an input of another rank, or of which nothing is left.

    Example:
        >>> import weft
        >>> weft.layers.Cropping2D(((1, 0), (2, 2)))(weft.ops.ones((1, 5, 6, 3))).shape
        (1, 4, 2, 3)
    """

    rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format=data_format, **kwargs)


class Cropping1D(_Cropping):
    """The sequence without some steps at its ends.

    Args:
        cropping: an int for both ends, or (before, after).
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, steps, channels).

    Returns:
        Shape (batch, steps - before - after, channels).

    Raises:
        ValueError, ShapeError: as of `Cropping2D`.

    Example:
        >>> import weft
        >>> weft.layers.Cropping1D((1, 0))([[[1.0], [2.0], [3.0]]]).tolist()
        [[[2.0], [3.0]]]
    """

    rank = 1
    takes_data_format = False

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, **kwargs)


class Cropping3D(_Cropping):
    """The volume without some planes, rows and columns at its borders; as `Cropping2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).

    Example:
        >>> import weft
        >>> weft.layers.Cropping3D((0, 1, 2))(weft.ops.ones((1, 5, 5, 5, 3))).shape
        (1, 5, 3, 1, 3)
    """

    rank = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cropping, data_format=data_format, **kwargs)


def _pad(x: Any, *, pairs: tuple[tuple[int, int], ...], first: int) -> Any:
    around = [(0, 0)] * x.ndim
    around[first : first + len(pairs)] = pairs
    return jnp.pad(x, around)


class _ZeroPadding(_Bordering):
    what = "padding"
    op = ArrayOp(_pad, "zero_padding")


class ZeroPadding2D(_ZeroPadding):
    """The image with rows and columns of zeros around it.

    Args:
        padding: an int for all sides; (rows, columns), the same on both sides; or ((top, bottom),
            (left, right)).
        data_format: "channels_last" (default) or "channels_first".
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, rows, columns, channels); channels_first: (batch, channels, rows,
            columns).

    Returns:
        Shape (batch, rows + top + bottom, columns + left + right, channels), or with the channels
        first.

    Raises:
        ValueError: a negative number or another form of `padding`, an unknown data_format.
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> weft.layers.ZeroPadding2D(((1, 0), (2, 2)))(weft.ops.ones((1, 5, 6, 3))).shape
        (1, 6, 10, 3)
    """

    rank = 2

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(padding, data_format=data_format, **kwargs)


class ZeroPadding1D(_ZeroPadding):
    """The sequence with steps of zeros at its ends; as `ZeroPadding2D`.

    Args:
        padding: an int for both ends, or (before, after).

    Call arguments:
        inputs: shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Example:
        >>> import weft
        >>> weft.layers.ZeroPadding1D((2, 0))([[[1.0], [2.0]]]).tolist()
        [[[0.0], [0.0], [1.0], [2.0]]]
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format=data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """The volume with planes, rows and columns of zeros around it; as `ZeroPadding2D`.

    Call arguments:
        inputs: shape (batch, planes, rows, columns, channels); channels_first: (batch, channels,
            planes, rows, columns).

    Example:
        >>> import weft
        >>> weft.layers.ZeroPadding3D((0, 1, 2))(weft.ops.ones((1, 5, 5, 5, 3))).shape
        (1, 5, 7, 9, 3)
    """

    rank = 3

    def __init__(
        self,
        padding: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(padding, data_format=data_format, **kwargs)
