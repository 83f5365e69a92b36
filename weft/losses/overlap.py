"""Losses of regions: how far what was predicted and what is there overlap."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import Tensor
from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import NOT_NEGATIVE
from weft.losses.pairs import backed_by, pair, pair_function
from weft.ops.arguments import axes_of

__all__ = ["Dice", "Tversky", "dice", "tversky"]

_EPSILON = 1e-7


@pair_function
def _dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    t, p = jnp.broadcast_arrays(*pair("dice", y_true, y_pred, exact=True))
    return 1.0 - 2.0 * jnp.sum(t * p, axis) / (jnp.sum(t, axis) + jnp.sum(p, axis) + _EPSILON)


@pair_function(alpha=NOT_NEGATIVE, beta=NOT_NEGATIVE)
def _tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Any:
    t, p = jnp.broadcast_arrays(*pair("tversky", y_true, y_pred, exact=True))
    both = jnp.sum(t * p, axis)
    false_alarms, misses = jnp.sum((1.0 - t) * p, axis), jnp.sum(t * (1.0 - p), axis)
    return 1.0 - both / (both + alpha * misses + beta * false_alarms + _EPSILON)


@backed_by(_dice, by_row=False)
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """1 - 2·Σ t·p / (Σ t + Σ p + 1e-7): 0 where both regions agree, 1 where they are disjoint.

    Args:
        y_true: t, in [0, 1], shape (batch, ...).
        y_pred: p, of the same shape.
        axis: the axis or axes of a region; (1, 2, 3) gives one loss for each image, None one for
            all of them together.

    Returns:
        the shape without `axis`, at least float32; 1 where both regions are empty.

    Raises:
        ShapeError: the shapes do not fit, or there is no such axis.

    Example:
        >>> from weft.losses import dice
        >>> [round(x, 4) for x in dice([[1, 1, 0], [0, 1, 1]], [[1, 0, 0], [0, 1, 1]], 1).tolist()]
        [0.3333, 0.0]

    Reference: Milletari et al., V-Net (2016), section 3, without the squares.
    """
    return _dice(y_true, y_pred, axis=axes_of(axis))


@backed_by(_tversky, by_row=False)
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Tensor:
    """1 - Σ t·p / (Σ t·p + alpha·Σ t·(1 - p) + beta·Σ (1 - t)·p + 1e-7).

    Args:
        y_true: t, in [0, 1], shape (batch, ...).
        y_pred: p, of the same shape.
        alpha: what misses (false negatives) cost.
        beta: what false alarms (false positives) cost. The paper, and Keras's documentation, have
            the letters the other way round; Keras computes this, so models keep their meaning.
            Both 0.5 give `dice`, both 1 one less the Jaccard index.
        axis: as in `dice`.

    Returns:
        the shape without `axis`, at least float32; 1 where both regions are empty.

    Raises:
        ShapeError: the shapes do not fit, or there is no such axis.
        ValueError: a negative alpha or beta.

    Example:
        >>> from weft.losses import tversky
        >>> round(float(tversky([1, 1, 0, 0], [1, 0, 0, 0], alpha=0.7, beta=0.3)), 4)
        0.4118

    Reference: Salehi et al., Tversky Loss Function for Image Segmentation (2017), eq. 2.
    """
    return _tversky(y_true, y_pred, alpha=alpha, beta=beta, axis=axes_of(axis))


class Dice(LossFunctionWrapper):
    """One less the overlap of regions: see `dice`.

    Args:
        axis: as in `dice`; with None all samples are one region, and a mask or weights cannot
            tell them apart.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, name, reduction, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """One less the overlap, where misses and false alarms cost unlike: see `tversky`.

    Args:
        alpha, beta, axis: as in `tversky`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, name, reduction, dtype, alpha=alpha, beta=beta, axis=axis)
