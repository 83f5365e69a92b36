"""What `compile` was given, as a config and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from weft import losses, metrics, optimizers
from weft.engine import ArrayLike, nest
from weft.engine.custom_objects import custom_object
from weft.optimizers import schedules
from weft.training.trainer import Trainer

__all__ = ["compile_config", "compile_from_config"]


def compile_config(model: Any) -> dict[str, Any] | None:
    """What `compile` was given as plain values, in Keras 3's form.

    Args:
        model: a model.

    Returns:
        A dict; None where the model was not compiled, or, with a warning, where something that it
        was compiled with has no config.
    """
    compiled = model._compiled
    if compiled is None:
        return None
    try:
        return {
            "optimizer": optimizers.serialize(compiled.optimizer),
            "loss": _written(losses.serialize, compiled.loss.given),
            "loss_weights": _written(_weight, compiled.loss.weights),
            "metrics": _written(metrics.serialize, compiled.metrics.given),
            "weighted_metrics": _written(metrics.serialize, compiled.metrics.weighted),
            "run_eagerly": model.run_eagerly,
            "steps_per_execution": model.steps_per_execution,
            "jit_compile": True,
        }
    except (NotImplementedError, TypeError) as error:
        warnings.warn(
            f"model {model.name!r} is saved without what it was compiled with: {error} Compile it "
            "again after loading.",
            stacklevel=4,
        )
        return None


def _written(serialize: Callable[[Any], Any], given: Any) -> Any:
    """A nest of losses or metrics, strings left as they are."""
    return nest.mapped(
        lambda v: v if v is None or isinstance(v, str) else serialize(v), given
    )  # fmt: skip


def _weight(weight: Any) -> Any:
    if isinstance(weight, ArrayLike):
        return float(weight.numpy())  # type: ignore[attr-defined]
    if isinstance(weight, schedules.LearningRateSchedule):
        return schedules.serialize(weight)
    raise TypeError(f"the loss weight {weight!r} is a function, which has no config.")


def compile_from_config(model: Any, config: dict[str, Any]) -> None:
    """Compile a model with what `compile_config` gave.

    Args:
        model: a model.
        config: of weft or Keras.

    Raises:
        ValueError: a loss, metric or optimizer that is not known.
    """
    given = {
        "optimizer": optimizers.deserialize(config.get("optimizer")),
        "loss": _read(losses.deserialize, config.get("loss")),
        "loss_weights": _read(schedules.deserialize, config.get("loss_weights")),
        "metrics": _read(metrics.deserialize, config.get("metrics")),
        "weighted_metrics": _read(metrics.deserialize, config.get("weighted_metrics")),
        "run_eagerly": bool(config.get("run_eagerly", False)),
        "steps_per_execution": config.get("steps_per_execution") or 1,
    }
    try:
        model.compile(**given)
    except TypeError as error:
        if type(model).compile is Trainer.compile:
            raise
        warnings.warn(
            f"model {model.name!r} ({type(model).__name__}) was loaded but not compiled: its own "
            f"compile takes other arguments ({error}). Override get_compile_config and "
            "compile_from_config, or compile it now.",
            stacklevel=4,
        )
        return


def _read(deserialize: Callable[[Any], Any], config: Any) -> Any:
    """A nest of configs; plain strings and numbers are left as they are, the user's names found."""
    if isinstance(config, dict) and "class_name" not in config:
        return {k: _read(deserialize, v) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [_read(deserialize, v) for v in config]
    if isinstance(config, dict):
        return deserialize(config)
    own = custom_object(config) if isinstance(config, str) else None
    return config if own is None else own
