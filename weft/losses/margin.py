"""Maximum-margin losses."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.losses.loss import LossFunctionWrapper
from weft.losses.pairs import pair, pair_function

__all__ = [
    "CategoricalHinge", "Hinge", "SquaredHinge", "categorical_hinge", "hinge", "squared_hinge",
]  # fmt: skip


def _short_of_margin(name: str, y_true: Any, y_pred: Any) -> Any:
    """max(1 - t·y, 0), where targets that are all 0 or 1 stand for -1 and 1."""
    y_true, y_pred = pair(name, y_true, y_pred)
    zero_one = jnp.all((y_true == 0) | (y_true == 1))
    y_true = jnp.where(zero_one, 2.0 * y_true - 1.0, y_true)
    return jnp.maximum(1.0 - y_true * y_pred, 0.0)


@pair_function
def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t·y, 0)) over the last axis.

    Args:
        y_true: t, -1 or 1, shape (batch, ..., d); if all of them are 0 or 1, 0 is read as -1.
        y_pred: y, of the same shape.

    Returns:
        shape (batch, ...).
    """
    return jnp.mean(_short_of_margin("hinge", y_true, y_pred), -1)


@pair_function
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t·y, 0)²) over the last axis; arguments and result as in `hinge`.

    Example:
        >>> from weft.losses import squared_hinge
        >>> squared_hinge([[1.0, -1.0]], [[0.0, -3.0]]).tolist()
        [0.5]
    """
    return jnp.mean(jnp.square(_short_of_margin("squared_hinge", y_true, y_pred)), -1)


@pair_function
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(max((1 - t)·y) - Σ t·y + 1, 0) over the last axis.

    Args:
        y_true: t, one-hot, shape (batch, ..., classes).
        y_pred: y, the classes' scores, of the same shape.

    Returns:
        shape (batch, ...): 0 where the true class leads by 1 or more.

    Raises:
        ShapeError: unlike shapes.

    Example:
        >>> from weft.losses import categorical_hinge
        >>> categorical_hinge([[0.0, 1.0], [1.0, 0.0]], [[0.5, 1.0], [0.0, 2.0]]).tolist()
        [0.5, 3.0]

    Reference: Crammer & Singer, On the Algorithmic Implementation of Multiclass Kernel-based
    Vector Machines (2001).
    """
    t, y = jnp.broadcast_arrays(*pair("categorical_hinge", y_true, y_pred, exact=True))
    return jnp.maximum(jnp.max((1.0 - t) * y, -1) - jnp.sum(t * y, -1) + 1.0, 0.0)


class Hinge(LossFunctionWrapper):
    """The hinge of a support vector machine: see `hinge`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(hinge, name, reduction, dtype)


class SquaredHinge(LossFunctionWrapper):
    """The hinge squared: see `squared_hinge`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, name, reduction, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """The hinge of one class against all: see `categorical_hinge`; arguments as in `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, name, reduction, dtype)
