"""The learning rates of a model's optimizer, or of those it is made of."""

from __future__ import annotations

from typing import Any

from weft.engine import Variable

__all__ = ["leaves", "rates", "settable"]


def leaves(optimizer: Any) -> list[Any]:
    """The optimizers that make the updates: those inside, where one is made of others."""
    parts = getattr(optimizer, "parts", None)
    return [optimizer] if parts is None else [leaf for part in parts for leaf in leaves(part)]


def rates(model: Any) -> dict[str, float]:
    """The learning rates by their names in the logs; none where an optimizer has none.

    It is `learning_rate`; that of the first of several optimizers is `learning_rate_0`.
    """
    optimizers = leaves(getattr(model, "optimizer", None))
    several = len(optimizers) > 1
    found = {}
    for k, optimizer in enumerate(optimizers):
        rate = getattr(optimizer, "learning_rate", None)
        if rate is not None:
            found[f"learning_rate_{k}" if several else "learning_rate"] = float(rate)
    return found


def settable(callback: Any) -> list[Any]:
    """The optimizers whose rates a callback is about to change.

    Raises:
        ValueError: one of them has no learning rate, or one that cannot be set.
    """
    name = type(callback).__name__
    given = getattr(callback.model, "optimizer", None)
    optimizers = leaves(given)
    if not optimizers:
        raise ValueError(
            f"{name}: {given.name} has no optimizers yet. Name them all in an OptimizerMap or in "
            "pairs, so that their learning rates can be changed from the first epoch on."
        )
    for optimizer in optimizers:
        rate = getattr(optimizer, "learning_rate", None)
        if rate is None:
            raise ValueError(
                f"{name} needs an optimizer with a learning_rate, got {type(optimizer).__name__}. "
                "Compile the model with one of weft.optimizers."
            )
        held = getattr(optimizer, "_learning_rate", rate)
        if callable(held) and not isinstance(held, Variable):
            kind = getattr(held, "__name__", type(held).__name__)
            raise ValueError(
                f"{name} cannot change the learning rate of {_named(optimizer)}, which follows a "
                f"schedule ({kind}). Give the optimizer a number, or leave the callback out."
            )
    return optimizers


def _named(optimizer: Any) -> str:
    return getattr(optimizer, "name", type(optimizer).__name__)
