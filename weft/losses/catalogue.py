"""The losses by name: what the strings of `compile` and the configs of files stand for."""

from __future__ import annotations

from typing import Any

from weft.losses import (
    focal,
    margin,
    metric_learning,
    noisy_labels,
    overlap,
    probabilistic,
    regression,
    sequence,
)
from weft.losses.lookup import FunctionRegistry
from weft.losses.loss import LossFunctionWrapper

__all__ = ["deserialize", "functions", "get", "serialize"]

_families = (
    regression, probabilistic, focal, noisy_labels, margin, overlap, metric_learning, sequence,
)  # fmt: skip
_public = {name: getattr(family, name) for family in _families for name in family.__all__}
_short = {
    "mse": "mean_squared_error", "MSE": "mean_squared_error",
    "mae": "mean_absolute_error", "MAE": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "MAPE": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "MSLE": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy", "BCE": "binary_crossentropy",
    "kld": "kl_divergence", "KLD": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh", "huber_loss": "huber", "cosine_proximity": "cosine_similarity",
}  # fmt: skip

#: The loss functions under all their names.
functions = {name: value for name, value in _public.items() if not isinstance(value, type)}
functions |= {short: functions[name] for short, name in _short.items()}

_registry = FunctionRegistry(
    "loss",
    "keras.losses",
    [*(value for value in _public.values() if isinstance(value, type)), LossFunctionWrapper],
    functions,
    functions,
)
get = _registry.get


def serialize(loss: Any) -> Any:
    """The config that `deserialize` makes an equal loss from, as Keras's files have it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return _registry.serialize(loss)


def deserialize(name: Any, custom_objects: Any = None) -> Any:
    """The loss, or function, of a name or a config.

    Raises:
        ValueError: the name is not known, or the config is none.
    """
    return _registry.deserialize(name, custom_objects)
