"""The metrics by name: what the strings of `compile` and the configs of files stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.losses import catalogue as losses
from weft.losses.lookup import FunctionRegistry
from weft.metrics import (
    accuracy,
    auc,
    confusion,
    correlation,
    errors,
    fscore,
    iou,
    mean,
    operating_points,
    r2,
)
from weft.metrics.metric import Metric

__all__ = ["accuracy_for", "crossentropy_for", "deserialize", "get", "serialize"]

_families = (
    mean, accuracy, errors, auc, confusion, operating_points, fscore, iou, r2, correlation,
)  # fmt: skip
_public = {name: getattr(family, name) for family in _families for name in family.__all__}
_classes = {name: value for name, value in _public.items() if isinstance(value, type)}
_short = {
    "acc": "Accuracy",
    "mse": "MeanSquaredError", "MSE": "MeanSquaredError",
    "mae": "MeanAbsoluteError", "MAE": "MeanAbsoluteError",
    "bce": "BinaryCrossentropy", "BCE": "BinaryCrossentropy",
    "mape": "MeanAbsolutePercentageError", "MAPE": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError", "MSLE": "MeanSquaredLogarithmicError",
    "kld": "KLDivergence", "KLD": "KLDivergence", "kullback_leibler_divergence": "KLDivergence",
    "logcosh": "LogCoshError", "log_cosh": "LogCoshError", "cosine_proximity": "CosineSimilarity",
    "fbeta_score": "FBetaScore",
    "rmse": "RootMeanSquaredError", "RMSE": "RootMeanSquaredError",
}  # fmt: skip
functions = {
    **losses.functions,
    **{name: value for name, value in _public.items() if not isinstance(value, type)},
}
# A loss without a metric of its own is found as its function, for `MeanMetricWrapper` to average.
_registry = FunctionRegistry(
    "metric",
    "keras.metrics",
    _classes.values(),
    functions,
    {short: _classes[name] for short, name in _short.items()},
)
get = _registry.get
deserialize = _registry.deserialize


def serialize(metric: Any) -> Any:
    """The config that `deserialize` makes an equal metric from, as Keras's files have it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return _registry.serialize(metric)


def accuracy_for(y_true_shape: Sequence[int], y_pred_shape: Sequence[int]) -> type[Metric]:
    """The class that the string "accuracy" means for targets and predictions of these shapes.

    Args:
        y_true_shape, y_pred_shape: with the batch.

    Returns:
        BinaryAccuracy for one score a sample, SparseCategoricalAccuracy for labels beside scores
        of classes, CategoricalAccuracy for targets of the scores' shape.

    Example:
        >>> from weft.metrics import accuracy_for
        >>> accuracy_for((32,), (32, 10)).__name__
        'SparseCategoricalAccuracy'
    """
    return _for("Accuracy", y_true_shape, y_pred_shape)


def crossentropy_for(y_true_shape: Sequence[int], y_pred_shape: Sequence[int]) -> type[Metric]:
    """The class that "crossentropy" (or "ce") means for these shapes: as `accuracy_for`."""
    return _for("Crossentropy", y_true_shape, y_pred_shape)


def _for(kind: str, y_true: Sequence[int], y_pred: Sequence[int]) -> type[Metric]:
    if len(y_pred) < 2 or y_pred[-1] == 1:
        return _classes[f"Binary{kind}"]
    if len(y_true) < len(y_pred) or y_true[-1] == 1:
        return _classes[f"SparseCategorical{kind}"]
    return _classes[f"Categorical{kind}"]
