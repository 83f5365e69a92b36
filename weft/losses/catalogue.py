"""The losses by name: what the strings of `compile` and the configs of files stand for."""

from __future__ import annotations

from weft.losses import margin, probabilistic, regression
from weft.losses.lookup import FunctionRegistry
from weft.losses.loss import LossFunctionWrapper

__all__ = ["deserialize", "functions", "get", "serialize"]

_families = (regression, probabilistic, margin)
_public = {name: getattr(family, name) for family in _families for name in family.__all__}
_short = {
    "mse": "mean_squared_error", "MSE": "mean_squared_error",
    "mae": "mean_absolute_error", "MAE": "mean_absolute_error",
    "bce": "binary_crossentropy", "BCE": "binary_crossentropy",
    "kld": "kl_divergence", "KLD": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh", "huber_loss": "huber",
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
serialize = _registry.serialize
deserialize = _registry.deserialize
