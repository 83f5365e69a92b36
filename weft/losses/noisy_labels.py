"""Losses for labels of which some are wrong."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import Tensor
from weft.losses.labels import at_labels, check_labels, host_checked, known_only
from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import Rule
from weft.losses.pairs import backed_by, pair_function

__all__ = ["CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"]

_NAME = "categorical_generalized_cross_entropy"


@pair_function(q=Rule(lambda q: 0 < q <= 1, "above 0 and at most 1"))
def _categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    y_pred, labels, known, ignored = at_labels(_NAME, y_true, y_pred)
    places = jax.lax.broadcasted_iota(labels.dtype, y_pred.shape, y_pred.ndim - 1)
    p = jnp.sum(jnp.where(places == labels[..., None], y_pred, 0.0), -1)
    # p = 0 costs 1/q and, where the slope is infinite, has the gradient 0.
    tiny = jnp.finfo(p.dtype).tiny
    losses = jnp.where(p > tiny, (1.0 - jnp.maximum(p, tiny) ** q) / q, 1.0 / q)
    return known_only(losses, known, ignored)


def _check_targets(labels: Any, shape: tuple[int, ...], **_: Any) -> None:
    check_labels(labels, shape, name=_NAME)


@backed_by(_categorical_generalized_cross_entropy, check_targets=_check_targets)
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """(1 - p^q) / q, p the probability of each label's class.

    Args:
        y_true: labels 0 to classes - 1, shape (batch, ...) or (batch, ..., 1).
        y_pred: probabilities, shape (batch, ..., classes).
        q: in (0, 1]: near 0 it is the cross-entropy, at 1 the mean absolute error, which wrong
            labels disturb least.

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: q outside (0, 1]; a label outside the classes, where `y_true` is on the host
            (elsewhere its loss is NaN).

    Example:
        >>> from weft.losses import categorical_generalized_cross_entropy
        >>> loss = categorical_generalized_cross_entropy([0, 1], [[0.25, 0.75], [0.5, 0.5]], q=0.5)
        >>> [round(x, 4) for x in loss.tolist()]
        [1.0, 0.5858]

    Reference: Zhang & Sabuncu, Generalized Cross Entropy Loss (2018), eq. 6.
    """
    y_true, y_pred = host_checked(check_labels, y_true, y_pred, name=_NAME)
    return _categorical_generalized_cross_entropy(y_true, y_pred, q=q)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A cross-entropy that wrong labels disturb less: see its function.

    Args:
        q: as in `categorical_generalized_cross_entropy`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_generalized_cross_entropy, name, reduction, dtype, q=q)
