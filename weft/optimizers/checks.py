"""What an optimizer is given, looked at before anything changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine import ArrayLike, ShapeError, Tensor, Variable, as_tensor
from weft.optimizers.update import kept_unless, own

__all__ = [
    "check_arguments",
    "check_variables",
    "checked_rate",
    "constrained",
    "described",
    "named",
]


def checked_rate(rate: Any, owner: str) -> Any:
    """A learning rate as a float, a variable, a tensor, or a callable."""
    if isinstance(rate, ArrayLike) or (callable(rate) and not isinstance(rate, type)):
        if isinstance(rate, ArrayLike) and tuple(rate.shape) != ():
            raise ShapeError(
                f"{owner}: the learning rate is a scalar, got shape {tuple(rate.shape)}."
            )
        return rate
    scalar = isinstance(rate, int | float | np.number) or (
        hasattr(rate, "__array__") and np.ndim(rate) == 0 and np.asarray(rate).dtype.kind in "iuf"
    )
    if isinstance(rate, bool) or not scalar:
        raise TypeError(
            f"{owner}: the learning rate must be a number, a weft.Variable, a "
            f"LearningRateSchedule or a callable without arguments, got {described(rate)}."
        )
    rate = float(rate)
    if math.isnan(rate) or rate < 0:
        raise ValueError(f"{owner}: the learning rate cannot be negative or NaN, got {rate}.")
    return rate


def constrained(variable: Variable, value: Tensor, proceed: Any = None) -> Tensor:
    """What a variable's constraint makes of its new value, as a tensor of its own.

    Where `proceed` is false, the value has not changed and stays as it is.
    """
    result = as_tensor(variable.constraint(value))  # type: ignore[misc]
    if result.spec.shape != variable.spec.shape:
        raise ShapeError(
            f"the constraint of variable {variable.path!r} returned shape {tuple(result.shape)}, "
            f"not the variable's {tuple(variable.shape)}."
        )
    if proceed is not None:
        return kept_unless(proceed, result, value)
    return own(result, dtype=variable.spec.dtype)


def named(paths: Sequence[str]) -> str:
    shown = ", ".join(map(repr, paths[:8]))
    return shown + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")


def described(value: Any) -> str:
    if isinstance(value, ArrayLike):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    text = repr(value)
    return f"{text[:60]} of type {type(value).__name__}"


def check_arguments(optimizer: Any, kind: str) -> None:
    """Refuse hyperparameters out of their range."""
    clips = {k: getattr(optimizer, k) for k in ("clipnorm", "clipvalue", "global_clipnorm")}
    given = {k: v for k, v in clips.items() if v is not None}
    if len(given) > 1:
        raise ValueError(
            f"{kind}: only one of clipnorm, clipvalue and global_clipnorm can be used, got "
            + ", ".join(f"{k}={v}" for k, v in given.items())
            + "."
        )
    positive = {**given, "loss_scale_factor": optimizer.loss_scale_factor}
    for key, value in positive.items():
        if value is not None and not value > 0:
            raise ValueError(f"{kind}: {key} must be positive, got {value!r}.")
    if optimizer.weight_decay is not None and not optimizer.weight_decay >= 0:
        raise ValueError(
            f"{kind}: weight_decay cannot be negative, got {optimizer.weight_decay!r}."
        )
    if not optimizer._decay >= 0:
        raise ValueError(f"{kind}: decay cannot be negative, got {optimizer._decay!r}.")
    if not 0 <= optimizer.ema_momentum <= 1:
        raise ValueError(f"{kind}: ema_momentum must be in [0, 1], got {optimizer.ema_momentum!r}.")
    for key, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
        value = getattr(optimizer, key)
        if value is not None and (not isinstance(value, int) or value < least):
            raise ValueError(
                f"{kind}: {key} must be an integer of at least {least} or None, got {value!r}."
            )


def check_variables(owner: str, variables: Sequence[Any]) -> None:
    """Refuse what is no variable, and a variable given twice."""
    seen = set()
    for variable in variables:
        if not isinstance(variable, Variable):
            hint = (
                " A tensor has no place to keep a new value; pairs are (gradient, variable)."
                if isinstance(variable, ArrayLike)
                else ""
            )
            raise TypeError(
                f"{owner}: an optimizer updates objects of type weft.Variable, got "
                f"{type(variable).__name__}.{hint}"
            )
        if id(variable) in seen:
            raise ValueError(
                f"{owner}: variable {variable.path!r} was given twice in one update. Add "
                "its gradients and give it once."
            )
        seen.add(id(variable))
