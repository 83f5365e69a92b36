"""Callbacks that change the optimizer's learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.callbacks.monitor import Monitor
from weft.callbacks.rates import rates, settable
from weft.engine.names import near
from weft.training.callback import Callback

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch.

    The rate in use is added to the epoch's logs as `learning_rate`; where the optimizer is made
    of several, each has its own: `learning_rate_0` and so on.

    Args:
        schedule: `schedule(epoch, learning_rate)`, or `schedule(epoch)`, gives the new rate;
            epochs are counted from 0. Of several optimizers each is asked for with its own rate.
        verbose: 1 prints each change.

    Raises:
        ValueError: (in training) the optimizer follows a schedule of its own, `schedule` gives
            something that is not a number, or one rate for several optimizers.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                "LearningRateScheduler: schedule must be a function of the epoch (and the rate), "
                f"got {schedule!r} of type {type(schedule).__name__}."
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizers = settable(self)
        if len(optimizers) > 1 and not self._takes_rate:
            raise ValueError(
                f"LearningRateScheduler: schedule(epoch) would give all {len(optimizers)} "
                "optimizers one rate. Write schedule(epoch, learning_rate), which is asked for "
                "each of them."
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        optimizers = settable(self)
        wanted = [self._wanted(epoch, float(each.learning_rate)) for each in optimizers]
        for optimizer, rate in zip(optimizers, wanted, strict=True):
            optimizer.learning_rate = rate
        if self.verbose:
            text = ", ".join(f"{rate:g}" for rate in wanted)
            print(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {text}.")

    def _wanted(self, epoch: int, now: float) -> float:
        given = self.schedule(epoch, now) if self._takes_rate else self.schedule(epoch)
        rate = _number(given)
        if rate is None:
            raise ValueError(
                f"LearningRateScheduler: the schedule must give a number, got {given!r} of type "
                f"{type(given).__name__} for epoch {epoch}."
            )
        return rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(rates(self.model))


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a metric has stopped improving.

    After `patience` epochs without improvement the rate becomes `max(rate × factor, min_lr)`.
    The rate in use is added to the epoch's logs as `learning_rate`. Where the optimizer is made
    of several, the rates of all are lowered, and logged as `learning_rate_0` and so on.

    Args:
        monitor: the metric's name in the logs.
        factor: what to multiply the rate by, less than 1.
        patience: how many epochs without improvement are allowed.
        verbose: 1 prints each change.
        mode: "min", "max" or "auto" (by the metric's name).
        min_delta: a change has to be larger than this to count.
        cooldown: epochs after a reduction that are not counted.
        min_lr: the rate never goes below this.
        epsilon: Keras 2's name of `min_delta`.

    Raises:
        ValueError: `factor` is 1 or more; (in training) the optimizer follows a schedule.
        TypeError: an unknown argument, or one that is no number.
    """

    _state = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, kwargs.pop("epsilon", min_delta))
        for name in kwargs:
            known = list(inspect.signature(ReduceLROnPlateau).parameters)[:-1]
            raise TypeError(
                f"ReduceLROnPlateau has no argument {name!r}. {near(name, [*known, 'epsilon'])}"
            )
        self._need_numbers(factor=factor, patience=patience, cooldown=cooldown, min_lr=min_lr)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be less than 1, got {factor}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        settable(self)
        self._reset()

    def in_cooldown(self) -> bool:
        """Whether the epochs after a reduction that do not count are still going on."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(rates(self.model))
        value = self.value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        lowest = np.float32(self.min_lr)
        higher = [each for each in settable(self) if float(each.learning_rate) > lowest]
        if not higher:
            return
        for optimizer in higher:
            rate = max(float(optimizer.learning_rate) * self.factor, self.min_lr)
            optimizer.learning_rate = rate
            if self.verbose:
                print(f"Epoch {epoch + 1}: ReduceLROnPlateau lowers the learning rate to {rate:g}.")
        self.cooldown_counter, self.wait = self.cooldown, 0


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether a schedule can be called with the epoch and the rate."""
    try:
        inspect.signature(schedule).bind(0, 0.1)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes | bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
