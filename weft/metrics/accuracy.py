"""Accuracies: the share of samples whose prediction is right."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ShapeError
from weft.losses.pairs import floats, pair_function, same_rank
from weft.metrics.mean import MeanMetricWrapper

__all__ = [
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "accuracy", "binary_accuracy",
    "categorical_accuracy", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]  # fmt: skip


@pair_function
def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_pred equals y_true, else 0: float32, of their shape.

    Raises:
        ShapeError: the shapes do not fit.
    """
    y_true, y_pred = same_rank("accuracy", y_true, y_pred)
    return (y_true == y_pred).astype(jnp.float32)


@pair_function
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where (y_pred > threshold) is y_true, else 0: float32, of their shape.

    Args:
        y_true: 0 or 1.
        y_pred: scores, of the same shape.
        threshold: what a score must exceed to count as 1.

    Raises:
        ShapeError: the shapes do not fit.
    """
    y_true, y_pred = same_rank("binary_accuracy", *floats(y_true, y_pred))
    return (y_true == (y_pred > threshold)).astype(jnp.float32)


@pair_function
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_true and y_pred are largest at the same class, else 0.

    Args:
        y_true: one-hot or probabilities, shape (batch, ..., classes).
        y_pred: scores, of the same shape.

    Returns:
        float32, shape (batch, ...).

    Raises:
        ShapeError: unlike shapes.
    """
    labels = _labels("categorical_accuracy", y_true, y_pred)
    return (labels == jnp.argmax(y_pred, -1)).astype(jnp.float32)


@pair_function
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where y_pred is largest at the class y_true, else 0.

    Args:
        y_true: labels, shape (batch, ...) or (batch, ..., 1).
        y_pred: scores, shape (batch, ..., classes).

    Returns:
        float32, shape (batch, ...).

    Raises:
        ShapeError: the shapes do not fit.
    """
    labels = _sparse_labels("sparse_categorical_accuracy", y_true, y_pred)
    return (labels == jnp.argmax(y_pred, -1)).astype(jnp.float32)


@pair_function
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where y_true's class is among the k highest of y_pred (ties count as in), else 0.

    Args, Returns, Raises: as `categorical_accuracy`.
    """
    return _within(_labels("top_k_categorical_accuracy", y_true, y_pred), y_pred, k)


@pair_function
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """1 where the class y_true is among the k highest of y_pred (ties count as in), else 0.

    Args:
        y_true: labels, shape (batch, ...) or (batch, ..., 1).
        y_pred: scores, shape (batch, ..., classes).
        k: how many.
        from_sorted_ids: whether y_pred holds the classes themselves, the best first.

    Returns:
        float32, shape (batch, ...).

    Raises:
        ShapeError: the shapes do not fit.
    """
    labels = _sparse_labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        return jnp.any(labels[..., None] == y_pred[..., :k], -1).astype(jnp.float32)
    return _within(labels.astype(jnp.int32), y_pred, k)


def _labels(name: str, y_true: Any, y_pred: Any) -> Any:
    if y_true.shape != y_pred.shape or not y_pred.ndim:
        raise ShapeError(
            f"{name}: y_true of shape {y_true.shape} and y_pred of shape {y_pred.shape} must have "
            f"one shape, with an axis of classes. Integer labels go with sparse_{name}."
        )
    return jnp.argmax(y_true, -1)


def _sparse_labels(name: str, y_true: Any, y_pred: Any) -> Any:
    places = y_pred.shape[:-1]
    if not y_pred.ndim or y_true.shape not in (places, (*places, 1)):
        raise ShapeError(
            f"{name}: y_true of shape {y_true.shape} does not fit y_pred of shape {y_pred.shape}: "
            f"labels of shape {places} are expected, one for each place. One-hot targets go with "
            f"{name.removeprefix('sparse_')}."
        )
    return y_true.reshape(places)


def _within(labels: Any, scores: Any, k: int) -> Any:
    classes = scores.shape[-1]
    known = (labels >= 0) & (labels < classes)
    at = jnp.clip(labels, 0, classes - 1)[..., None]
    score = jnp.take_along_axis(scores, at, -1)
    higher = jnp.sum(scores > score, -1)
    return (known & (higher < k) & jnp.isfinite(score[..., 0])).astype(jnp.float32)


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels; the arguments are those of `Metric`.

    Example:
        >>> from weft.metrics import Accuracy
        >>> float(Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]))
        0.75
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often scores are on the side of the threshold that the labels (0 or 1) say.

    Args:
        name, dtype: as in `Metric`.
        threshold: what a score must exceed to count as 1.
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the highest score is that of the one-hot target; arguments as `Metric`."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the highest score is that of the integer label; arguments as `Metric`."""

    def __init__(
        self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot target is among the k highest scores.

    Args:
        k: how many.
        name, dtype: as in `Metric`.
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the integer label is among the k highest scores.

    Args:
        k: how many.
        name, dtype: as in `Metric`.
        from_sorted_ids: whether predictions are classes, the best first.
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )
