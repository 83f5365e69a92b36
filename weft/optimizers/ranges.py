"""Refusing hyperparameters that are out of their range."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

__all__ = ["check_at_least", "check_decay_rates"]


def check_decay_rates(owner: Any, **values: Any) -> None:
    """Refuse what is not the share that a moving average keeps, a number in [0, 1).

    Args:
        owner: the optimizer, for the message.
        values: the hyperparameters by name.

    Raises:
        ValueError: one is out of range, or no number.
    """
    for name, value in values.items():
        if not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(
                f"{type(owner).__name__}: {name} must be a number in [0, 1), got {value!r}."
            )


def check_at_least(owner: Any, least: int, *, whole: bool = False, **values: Any) -> None:
    """Refuse what is no number, or one below `least`.

    Args:
        owner: the optimizer, for the message.
        least: the smallest value allowed.
        whole: whether only integers are.
        values: the hyperparameters by name.

    Raises:
        ValueError: one is out of range, or no number.
    """
    kind, title = (Integral, "an integer") if whole else (Real, "a number")
    for name, value in values.items():
        if not isinstance(value, kind) or not value >= least:
            raise ValueError(
                f"{type(owner).__name__}: {name} must be {title} of at least {least}, got "
                f"{value!r}."
            )
