"""Losses of predicted distributions: cross-entropies, Kullback-Leibler divergence, Poisson.

The cross-entropies proper are `weft.ops`'s; here they are given smoothed labels, ignored classes
and the ranks of Keras's losses, still one node each.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import Tensor
from weft.losses.labels import at_labels, check_labels, counted_labels, host_checked, known_only
from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import FRACTION
from weft.losses.pairs import backed_by, pair, pair_function
from weft.ops import nn
from weft.ops.arguments import check_axis

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "kl_divergence", "poisson", "sparse_categorical_crossentropy",
]  # fmt: skip

_EPSILON = 1e-7


@pair_function(label_smoothing=FRACTION)
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean(-t·log p - (1 - t)·log(1 - p)) along `axis`.

    Args:
        y_true: t, in [0, 1], shape (batch, ..., d).
        y_pred: p, of the same shape; clipped to [1e-7, 1 - 1e-7].
        from_logits: whether y_pred holds logits x, p = sigmoid(x); stable for any x.
        label_smoothing: s: t becomes t·(1 - s) + s/2.
        axis: the axis of the mean.

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: label_smoothing outside [0, 1].

    Example:
        >>> from weft.losses import binary_crossentropy
        >>> round(float(binary_crossentropy([[1.0]], [[0.0]], from_logits=True)), 4)
        0.6931
    """
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred, exact=True)
    check_axis("binary_crossentropy", y_pred, axis)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    y_true, y_pred = jnp.broadcast_arrays(y_true, y_pred)
    return jnp.mean(nn._binary(y_true, y_pred, from_logits=from_logits), axis)


@pair_function(label_smoothing=FRACTION)
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-Σ t·log p over the classes.

    Args:
        y_true: t, one-hot or probabilities, shape (batch, ..., classes).
        y_pred: p, of the same shape; divided by its sum and clipped to [1e-7, 1 - 1e-7].
        from_logits: whether y_pred holds logits x, p = softmax(x); stable for any x.
        label_smoothing: s: t becomes t·(1 - s) + s/classes (Keras: over the last axis's size).
        axis: the axis of the classes.

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: unlike shapes.
        ValueError: label_smoothing outside [0, 1].

    Example:
        >>> from weft.losses import categorical_crossentropy
        >>> loss = categorical_crossentropy([[0.0, 1.0]], [[1e4, -1e4]], from_logits=True)
        >>> loss.tolist()
        [20000.0]
    """
    y_true, y_pred = pair("categorical_crossentropy", y_true, y_pred, exact=True)
    y_true, y_pred = jnp.broadcast_arrays(y_true, y_pred)
    if label_smoothing:
        classes = y_pred.shape[check_axis("categorical_crossentropy", y_pred, axis)]
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / classes
    return nn._categorical(y_true, y_pred, from_logits=from_logits, axis=axis)


@pair_function
def _sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    name = "sparse_categorical_crossentropy"
    y_pred, labels, known, ignored = at_labels(name, y_true, y_pred, axis, ignore_class)
    losses = nn._sparse(labels, y_pred, from_logits=from_logits, axis=axis)
    return known_only(losses, known, ignored)


@backed_by(_sparse_categorical_crossentropy, check_targets=check_labels)
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log p of each label's class.

    Args:
        y_true: labels 0 to classes - 1, shape (batch, ...) or (batch, ..., 1).
        y_pred: p, shape (batch, ..., classes); divided by its sum and clipped to
            [1e-7, 1 - 1e-7].
        from_logits: whether y_pred holds logits x, p = softmax(x); stable for any x.
        ignore_class: a label, among the classes or not, whose loss is 0.
        axis: the axis of the classes.

    Returns:
        shape (batch, ...), at least float32.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: a label outside the classes, where `y_true` is on the host; `fit` and `evaluate`
            look at whole arrays before they start. Where looking would mean waiting for the
            device, such a label's loss and gradient are NaN instead.

    Example:
        >>> from weft.losses import sparse_categorical_crossentropy
        >>> sparse_categorical_crossentropy([1], [[1e4, -1e4]], from_logits=True).tolist()
        [20000.0]
    """
    options = {"ignore_class": ignore_class, "axis": axis}
    y_true, y_pred = host_checked(check_labels, y_true, y_pred, **options)
    return _sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, **options)


@pair_function
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Σ t·log(t / p) over the last axis, t and p clipped to [1e-7, 1].

    Args:
        y_true, y_pred: probabilities, shape (batch, ..., classes).

    Returns:
        shape (batch, ...).

    Reference: Kullback & Leibler, On Information and Sufficiency (1951).
    """
    y_true, y_pred = pair("kl_divergence", y_true, y_pred, exact=True)
    y_true, y_pred = (jnp.clip(v, _EPSILON, 1.0) for v in (y_true, y_pred))
    return jnp.sum(y_true * jnp.log(y_true / y_pred), -1)


@pair_function
def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(p - t·log(p + 1e-7)) over the last axis: counts t drawn with the rates p.

    Args:
        y_true: counts, shape (batch, ..., d).
        y_pred: rates, of the same shape.

    Returns:
        shape (batch, ...).
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return jnp.mean(y_pred - y_true * jnp.log(y_pred + _EPSILON), -1)


class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy of yes-or-no targets: see `binary_crossentropy`.

    Args:
        from_logits, label_smoothing, axis: as in `binary_crossentropy`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy, name, reduction, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of one-hot targets: see `categorical_crossentropy`.

    Args:
        from_logits, label_smoothing, axis: as in `categorical_crossentropy`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy, name, reduction, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of integer labels: see `sparse_categorical_crossentropy`.

    Args:
        from_logits, ignore_class, axis: as in `sparse_categorical_crossentropy`. Labels of
            `ignore_class` do not count in a mean.
        reduction, name, dtype: as in `Loss`.

    Example:
        >>> from weft.losses import SparseCategoricalCrossentropy
        >>> loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        >>> round(float(loss([0, -1], [[0.0, 0.0], [0.0, 9.0]])), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, name, reduction, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip

    def _mask(self, y_true: Any, y_pred: Any) -> Any:
        return counted_labels(y_true, y_pred, super()._mask(y_true, y_pred), **self._fn_kwargs)


class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence: see `kl_divergence`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, name, reduction, dtype)


class Poisson(LossFunctionWrapper):
    """Negative log-likelihood of counts: see `poisson`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(poisson, name, reduction, dtype)
