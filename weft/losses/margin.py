"""Maximum-margin losses."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.losses.loss import LossFunctionWrapper
from weft.losses.pairs import pair, pair_function

__all__ = ["Hinge", "hinge"]


@pair_function
def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t·y, 0)) over the last axis.

    Args:
        y_true: t, -1 or 1, shape (batch, ..., d); if all of them are 0 or 1, 0 is read as -1.
        y_pred: y, of the same shape.

    Returns:
        shape (batch, ...).
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    zero_one = jnp.all((y_true == 0) | (y_true == 1))
    y_true = jnp.where(zero_one, 2.0 * y_true - 1.0, y_true)
    return jnp.mean(jnp.maximum(1.0 - y_true * y_pred, 0.0), -1)


class Hinge(LossFunctionWrapper):
    """The hinge of a support vector machine: see `hinge`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(hinge, name, reduction, dtype)
