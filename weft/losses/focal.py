"""Focal losses: cross-entropies in which what is predicted well counts little.

(1 - p)^γ and log p are taken from logits without forming p first where `from_logits` is given, so
that a confident mistake costs what the formula says, and not what a clipped p leaves of it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import FRACTION, NOT_NEGATIVE
from weft.losses.pairs import pair, pair_function
from weft.ops import nn
from weft.ops.arguments import check_axis

__all__ = [
    "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
]  # fmt: skip


def _factor(missing: Any, gamma: Any) -> Any:
    """(1 - p)^γ, of which the derivative is finite at p = 1 for γ < 1 too."""
    return jnp.maximum(missing, jnp.finfo(missing.dtype).tiny) ** gamma


@pair_function(label_smoothing=FRACTION, alpha=FRACTION, gamma=NOT_NEGATIVE)
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean(a·(1 - q)^γ·(-t·log p - (1 - t)·log(1 - p))) along `axis`, q = t·p + (1 - t)·(1 - p).

    Args:
        y_true: t, in [0, 1], shape (batch, ..., d).
        y_pred: p, of the same shape; in the logarithms clipped to [1e-7, 1 - 1e-7].
        apply_class_balancing: whether a is t·alpha + (1 - t)·(1 - alpha); else it is 1.
        alpha: the weight of class 1; that of class 0 is 1 - alpha.
        gamma: γ; 0 gives `binary_crossentropy`.
        from_logits: whether y_pred holds logits x, p = sigmoid(x); exact for any x (Keras clips p
            here too).
        label_smoothing: s: t becomes t·(1 - s) + s/2.
        axis: the axis of the mean.

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: alpha or label_smoothing outside [0, 1], a negative gamma.

    Example:
        >>> from weft.losses import binary_focal_crossentropy
        >>> loss = binary_focal_crossentropy([[1.0], [1.0]], [[0.9], [0.1]])
        >>> [round(x, 4) for x in loss.tolist()]
        [0.0011, 1.8651]

    Reference: Lin et al., Focal Loss for Dense Object Detection (2017), eq. 4 and 5.
    """
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred, exact=True)
    check_axis("binary_focal_crossentropy", y_pred, axis)
    t, y_pred = jnp.broadcast_arrays(y_true, y_pred)
    if label_smoothing:
        t = t * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        one, zero = jax.nn.sigmoid(y_pred), jax.nn.sigmoid(-y_pred)
    else:
        one, zero = y_pred, 1.0 - y_pred
    losses = nn._binary(t, y_pred, from_logits=from_logits)
    losses = losses * _factor(t * zero + (1.0 - t) * one, gamma)
    if apply_class_balancing:
        losses = losses * (t * alpha + (1.0 - t) * (1.0 - alpha))
    return jnp.mean(losses, axis)


@pair_function(label_smoothing=FRACTION, alpha=NOT_NEGATIVE, gamma=NOT_NEGATIVE)
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-Σ alpha·(1 - p)^γ·t·log p over the classes.

    Args:
        y_true: t, one-hot or probabilities, shape (batch, ..., classes).
        y_pred: p, of the same shape; divided by its sum and clipped to [1e-7, 1 - 1e-7].
        alpha: a weight, or one for each class.
        gamma: γ; 0 gives alpha times `categorical_crossentropy`.
        from_logits: whether y_pred holds logits x, p = softmax(x); exact for any x (Keras clips p
            here too).
        label_smoothing: s: t becomes t·(1 - s) + s/classes (Keras: over the last axis's size).
        axis: the axis of the classes; those of alpha too (Keras: always the last).

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: unlike shapes, or another number of alphas than of classes.
        ValueError: label_smoothing outside [0, 1], a negative alpha or gamma.

    Example:
        >>> from weft.losses import categorical_focal_crossentropy
        >>> loss = categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]], alpha=[0.1, 0.9])
        >>> round(float(loss), 4)
        0.156

    Reference: Lin et al., Focal Loss for Dense Object Detection (2017), eq. 5.
    """
    name = "categorical_focal_crossentropy"
    t, y_pred = pair(name, y_true, y_pred, exact=True)
    t, y_pred = jnp.broadcast_arrays(t, y_pred)
    classes = y_pred.shape[check_axis(name, y_pred, axis)]
    if label_smoothing:
        t = t * (1.0 - label_smoothing) + label_smoothing / classes
    if np.ndim(alpha):
        alpha = jnp.asarray(alpha, y_pred.dtype)
        if alpha.shape != (classes,):
            raise ValueError(
                f"alpha must be a number or one for each of the {classes} classes of y_pred "
                f"(axis {axis} of {y_pred.shape}), got shape {alpha.shape}."
            )
        alpha = jnp.moveaxis(alpha.reshape((1,) * (y_pred.ndim - 1) + (-1,)), -1, axis)
    logp = nn._log_probabilities(y_pred, from_logits, axis)
    return -jnp.sum(alpha * _factor(-jnp.expm1(logp), gamma) * t * logp, axis)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Focal cross-entropy of yes-or-no targets: see `binary_focal_crossentropy`.

    Args:
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis: as in
            `binary_focal_crossentropy`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy, name, reduction, dtype,
            apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Focal cross-entropy of one-hot targets: see `categorical_focal_crossentropy`.

    Args:
        alpha, gamma, from_logits, label_smoothing, axis: as in `categorical_focal_crossentropy`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy, name, reduction, dtype,
            alpha=alpha.tolist() if isinstance(alpha, np.ndarray) else alpha,
            gamma=gamma, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip
