"""`Monitor`: a callback that follows one metric and knows which way is better."""

from __future__ import annotations

import math
import re
import warnings
from difflib import get_close_matches
from typing import Any

import numpy as np

from weft.training.callback import Callback

__all__ = ["Monitor"]

# What larger values mean, by the words in a metric's name; a metric's own `_direction` ("up",
# "down") is asked first.
_UP = re.compile(
    r"(^|_)(acc|accuracy|auc|precision|recall|sensitivity|specificity|f1|fbeta|iou|io_u|dice|r2"
    r"|similarity|correlation|score)(_|\d|$)|_at_|true_(positives|negatives)"
)
_DOWN = re.compile(
    r"(^|_)(loss|error|mse|mae|mape|msle|rmse|crossentropy|entropy|divergence|hinge|perplexity"
    r"|poisson|logcosh)(_|\d|$)|false_(positives|negatives)"
)


class Monitor(Callback):
    """Base of the callbacks that compare a metric with the best it has been.

    Args:
        monitor: the name in the logs, such as "val_loss".
        mode: "min" (smaller is better), "max", or "auto": by the metric and its name.
        min_delta: a change has to be larger than this to count.

    Raises:
        ValueError: an unknown mode.
        TypeError: `monitor` is no name, or `min_delta` no number.
    """

    _without = "nothing is done"  # what happens where the metric is missing

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}."
            )
        if not isinstance(monitor, str):
            raise TypeError(
                f"{type(self).__name__}: monitor must be the name of one metric, such as "
                f"'val_loss', got {monitor!r}."
            )
        self._need_numbers(min_delta=min_delta)
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self._sign = {"min": -1, "max": 1, "auto": 0}[mode]
        self._warned = False

    def _need_numbers(self, **given: Any) -> None:
        """
        Raises:
            TypeError: one of the arguments is no number.
        """
        for name, value in given.items():
            if not isinstance(value, int | float | np.number):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}.")

    def value(self, logs: dict[str, Any] | None) -> float | None:
        """The metric in `logs`; None, with one warning in each run, where it is missing."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            there = ", ".join(logs or ()) or "none"
            warnings.warn(
                f"{type(self).__name__}: there is no metric {self.monitor!r} to monitor at this "
                f"point, so {self._without}. The metrics there are: {there}."
                f"{self._hint(list(logs or ()))}",
                stacklevel=3,
            )
        if isinstance(value, np.ndarray):
            raise ValueError(
                f"{type(self).__name__} needs one number to monitor; {self.monitor!r} has shape "
                f"{value.shape}. Monitor a metric that is averaged, or add one to the logs."
            )
        return value

    def _hint(self, names: list[str]) -> str:
        """What may have been meant."""
        if self.monitor.startswith("val_") and self.monitor[4:] in names:
            return (
                " Values of validation need validation_data or validation_split, and are there "
                "when an epoch ends that is validated (validation_freq)."
            )
        val = "val_" if self.monitor.startswith("val_") else ""  # too much in common by itself
        bare = [name.removeprefix(val) for name in names if name.startswith(val)]
        found = get_close_matches(self.monitor.removeprefix(val), bare)
        return f" Did you mean {' or '.join(repr(val + name) for name in found)}?" if found else ""

    def improved(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than `best` by more than `min_delta`; NaN never is."""
        if not self._sign:
            self._sign = self._find_sign()
        if best is None:
            return not math.isnan(value)
        return self._sign * (value - best) > self.min_delta

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._warned = False

    def _find_sign(self) -> int:
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", ()):
            if getattr(metric, "name", None) == name and getattr(metric, "_direction", None):
                return 1 if metric._direction == "up" else -1
        if _DOWN.search(name):
            return -1
        if _UP.search(name):
            return 1
        warnings.warn(
            f"{type(self).__name__}: the name {self.monitor!r} does not tell whether larger is "
            "better; smaller is assumed. Say so with mode='min' or mode='max'.",
            stacklevel=3,
        )
        return -1
