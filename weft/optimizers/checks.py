"""What an optimizer is given, looked at before anything changes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine import ArrayLike, ShapeError, Tensor, Variable, as_tensor
from weft.optimizers.schedules import LearningRateSchedule
from weft.optimizers.update import kept_unless, own

__all__ = [
    "check_arguments",
    "check_variables",
    "checked_gradient",
    "checked_rate",
    "constrained",
    "described",
    "named",
    "static_options",
]


def checked_rate(rate: Any, owner: str) -> Any:
    """A learning rate as a float, a variable, a tensor, or a callable."""
    if isinstance(rate, ArrayLike) or (callable(rate) and not isinstance(rate, type)):
        if isinstance(rate, ArrayLike) and tuple(rate.shape) != ():
            raise ShapeError(
                f"{owner}: the learning rate is a scalar, got shape {tuple(rate.shape)}."
            )
        if not isinstance(rate, ArrayLike | LearningRateSchedule) and _needs(rate):
            raise TypeError(
                f"{owner}: a learning rate that is a callable is called without arguments, but "
                f"{described(rate)} needs {', '.join(_needs(rate))}. A function of the step, as "
                "Optax's schedules are, goes into a LearningRateSchedule: "
                "def __call__(self, step): return weft.op(function)(step)."
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


def _needs(function: Any) -> list[str]:
    """The arguments that a callable cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of what is written in C, it may not be known
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind in named]


def constrained(variable: Variable, value: Tensor, proceed: Any = None) -> Tensor:
    """What a variable's constraint makes of its new value, as a tensor of its own.

    Where `proceed` is false, the value has not changed and stays as it is.
    """
    result = variable.constraint(value)  # type: ignore[misc]
    if result is None:
        raise TypeError(
            f"the constraint of variable {variable.path!r} returned None: end it with `return` "
            "and the value that the variable is to have."
        )
    result = as_tensor(result)
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


_NUMBERS = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "ema_momentum",
    "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


def check_arguments(optimizer: Any, kind: str) -> None:
    """Refuse hyperparameters out of their range; NumPy's numbers become Python's."""
    for key in _NUMBERS:
        value = _plain(getattr(optimizer, key))
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise _not_static(kind, key, value)
        setattr(optimizer, key, value)
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


def static_options(optimizer: Any) -> tuple[tuple[str, Any], ...]:
    """The options of an optimizer's rule, NumPy's numbers among them as Python's.

    Raises:
        TypeError: one that a compiled step cannot hold.
    """
    options = tuple((key, _plain(value)) for key, value in optimizer.options())
    for key, value in options:
        if isinstance(value, ArrayLike | np.ndarray):
            raise _not_static(optimizer.name, key, value)
    return options


def _plain(value: Any) -> Any:
    number = isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0
    return value.item() if number else value


def _not_static(owner: str, key: str, value: Any) -> TypeError:
    return TypeError(
        f"{owner}: {key} must be a number, got {described(value)}. It is a constant of the "
        "compiled step: assign another number to change it (a step is compiled for each)."
    )


def checked_gradient(owner: str, grad: Any, variable: Variable) -> Tensor:
    """A gradient as a tensor, if it can be that of this variable."""
    try:
        tensor = as_tensor(grad)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{owner}: the gradient for variable {variable.path!r}: {error}"
        ) from error
    if tensor.spec.shape != variable.spec.shape:
        raise ShapeError(
            f"{owner}: the gradient for variable {variable.path!r} has shape "
            f"{tuple(tensor.shape)}, the variable {tuple(variable.shape)}. Give each "
            "variable its own gradient, in the same order."
        )
    if not variable.spec.inexact:
        raise TypeError(
            f"{owner}: variable {variable.path!r} is of dtype {variable.dtype}, which steps of an "
            "optimizer would be rounded to. Make it with a float dtype, or with trainable=False."
        )
    if tensor.spec.dtype.kind == "c" != variable.spec.dtype.kind:
        raise TypeError(
            f"{owner}: the gradient for variable {variable.path!r} is of dtype "
            f"{tensor.dtype.name}, the variable of {variable.dtype}. Take the gradient's real part."
        )
    return tensor


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
