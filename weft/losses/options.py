"""What the options of losses may be, said once: for their functions and for their classes."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from weft.engine import ArrayLike

__all__ = ["FRACTION", "NOT_NEGATIVE", "POSITIVE", "Rule", "check_options"]


class Rule(NamedTuple):
    """A condition on a number, or on each of a list of numbers, in code and in words."""

    holds: Callable[[float], bool]
    words: str


FRACTION = Rule(lambda x: 0 <= x <= 1, "between 0 and 1")
NOT_NEGATIVE = Rule(lambda x: x >= 0, "0 or more")
POSITIVE = Rule(lambda x: x > 0, "above 0")


def check_options(owner: str, rules: Mapping[str, Rule], options: Mapping[str, Any]) -> None:
    """Refuse options that break their rules; tensors are not looked at, as that would wait.

    Raises:
        ValueError: names the owner, the option, what it must be, and what it is.
    """
    for option, rule in rules.items():
        value: Any = options.get(option)
        if option not in options or isinstance(value, ArrayLike | jax.Array):
            continue
        each = np.ravel(value).tolist() if np.ndim(value) else [value]
        if not all(isinstance(x, numbers.Real) and rule.holds(float(x)) for x in each):
            raise ValueError(f"{owner}: {option} must be {rule.words}, got {value!r}.")
