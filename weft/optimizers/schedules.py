"""Learning rates that depend on the step: each schedule is one operation on `iterations`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import Op

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule:
    """A function of the step that an optimizer takes in place of a learning rate.

    A subclass defines `__call__(step)`, with `step` an int32 scalar, in terms of tensors or as
    plain Python on `int(step)`, and `get_config` if it is to be saved.

    Example:
        >>> from weft.optimizers import SGD, schedules
        >>> class Halving(schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5**step
        >>> float(SGD(Halving()).learning_rate)
        0.1...
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate at `step`, a scalar."""
        raise NotImplementedError(
            f"{type(self).__name__} is a LearningRateSchedule without __call__(self, step)."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        raise NotImplementedError(
            f"{type(self).__name__} has no get_config(), so it cannot be saved: return the "
            "arguments of its __init__ as a dict there."
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule of a config."""
        return cls(**config)


class _Formula(LearningRateSchedule):
    """A schedule given by a pure function of the step and of its config."""

    _op: Op

    def __init__(self, name: str, **config: Any) -> None:
        self.name = name
        self._config = config
        self._static = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in config.items())
        for key, value in config.items():
            setattr(self, key, value)

    def __call__(self, step: Any) -> Any:
        return self._op(step, **dict(self._static))

    def get_config(self) -> dict[str, Any]:
        return {**self._config, "name": self.name}


def _positive(cls: str, name: str, value: Any) -> None:
    if not value > 0:
        raise ValueError(f"{cls}: {name} must be positive, got {value!r}.")


def _exponential(
    step: jax.Array, *, initial_learning_rate: float, decay_steps: float, decay_rate: float,
    staircase: bool,
) -> jax.Array:  # fmt: skip
    passed = _float(step) / decay_steps
    return initial_learning_rate * decay_rate ** (jnp.floor(passed) if staircase else passed)


class ExponentialDecay(_Formula):
    """η(t) = η₀ rᵗᐟᵀ, with t/T rounded down if `staircase`.

    Args:
        initial_learning_rate: η₀.
        decay_steps: T > 0.
        decay_rate: r.
        staircase: whether to change at whole multiples of T only.

    Example:
        >>> schedule = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
        >>> float(schedule(20))
        0.025...
    """

    _op = Op(_exponential, "exponential_decay")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _positive("ExponentialDecay", "decay_steps", decay_steps)
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
            staircase=staircase,
        )


def _inverse_time(
    step: jax.Array, *, initial_learning_rate: float, decay_steps: float, decay_rate: float,
    staircase: bool,
) -> jax.Array:  # fmt: skip
    passed = _float(step) / decay_steps
    return initial_learning_rate / (1 + decay_rate * (jnp.floor(passed) if staircase else passed))


class InverseTimeDecay(_Formula):
    """η(t) = η₀ / (1 + r t/T), with t/T rounded down if `staircase`.

    Args:
        initial_learning_rate: η₀.
        decay_steps: T > 0.
        decay_rate: r.
        staircase: whether to change at whole multiples of T only.
    """

    _op = Op(_inverse_time, "inverse_time_decay")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _positive("InverseTimeDecay", "decay_steps", decay_steps)
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
            staircase=staircase,
        )


def _piecewise(
    step: jax.Array, *, boundaries: tuple[float, ...], values: tuple[float, ...]
) -> jax.Array:
    passed = jnp.sum(step > jnp.asarray(boundaries))
    return jnp.asarray(values, jnp.float32)[passed]


class PiecewiseConstantDecay(_Formula):
    """The value of the interval that the step lies in: values[k] for b[k-1] < t ≤ b[k].

    Args:
        boundaries: b, increasing steps.
        values: one more than the boundaries.

    Raises:
        ValueError: their lengths do not fit, or the boundaries do not increase.
    """

    _op = Op(_piecewise, "piecewise_constant_decay")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: there is one more value than there are boundaries, got "
                f"{len(boundaries)} boundaries and {len(values)} values."
            )
        if any(b <= a for a, b in itertools.pairwise(boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must increase, got {list(boundaries)}."
            )
        super().__init__(name, boundaries=list(boundaries), values=list(values))


def _polynomial(
    step: jax.Array, *, initial_learning_rate: float, decay_steps: float,
    end_learning_rate: float, power: float, cycle: bool,
) -> jax.Array:  # fmt: skip
    passed = _float(step)
    if cycle:
        span = decay_steps * jnp.maximum(1.0, jnp.ceil(passed / decay_steps))
    else:
        span = jnp.float32(decay_steps)
        passed = jnp.minimum(passed, span)
    drop = initial_learning_rate - end_learning_rate
    return drop * (1 - passed / span) ** power + end_learning_rate


class PolynomialDecay(_Formula):
    """η(t) = (η₀ - η₁)(1 - t/T)ᵖ + η₁ up to step T, and η₁ from there on.

    Args:
        initial_learning_rate: η₀.
        decay_steps: T > 0.
        end_learning_rate: η₁.
        power: p.
        cycle: whether to go on past T with the next multiple of T in its place.
    """

    _op = Op(_polynomial, "polynomial_decay")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive("PolynomialDecay", "decay_steps", decay_steps)
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            power=power,
            cycle=cycle,
        )


def _cosine(
    step: jax.Array, *, initial_learning_rate: float, decay_steps: float, alpha: float,
    warmup_target: float | None, warmup_steps: float,
) -> jax.Array:  # fmt: skip
    passed = _float(step)
    top = initial_learning_rate if warmup_target is None else warmup_target
    start = 0 if warmup_target is None else warmup_steps
    done = jnp.minimum(passed - start, decay_steps) / decay_steps
    decayed = top * ((1 - alpha) * 0.5 * (1 + jnp.cos(math.pi * done)) + alpha)
    if not start:
        return decayed
    rising = initial_learning_rate + (top - initial_learning_rate) * (passed / warmup_steps)
    return jnp.where(passed < warmup_steps, rising, decayed)


class CosineDecay(_Formula):
    """η(t) = η₀((1 - α)(1 + cos πt/T)/2 + α) up to step T, and αη₀ from there on.

    With `warmup_target` w, η first rises in a line from η₀ to w over `warmup_steps`; the decay
    starts there, from w.

    Args:
        initial_learning_rate: η₀.
        decay_steps: T > 0, counted from the end of the warm-up.
        alpha: α, the lowest value as a fraction of the highest.
        warmup_target: w, or None for no warm-up.
        warmup_steps: how long the warm-up takes.

    Reference: Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts (2017),
    eq. 5.
    """

    _op = Op(_cosine, "cosine_decay")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        _positive("CosineDecay", "decay_steps", decay_steps)
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
        )


def _float(step: jax.Array) -> jax.Array:
    return jnp.asarray(step).astype(jnp.float32)


_KNOWN = {
    cls.__name__: cls
    for cls in (
        CosineDecay, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
    )
}  # fmt: skip


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """A schedule as plain data, in the form of Keras's files."""
    return {
        "module": "keras.optimizers.schedules",
        "class_name": type(schedule).__name__,
        "config": schedule.get_config(),
        "registered_name": None,
    }


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, type] | None = None
) -> LearningRateSchedule:
    """The schedule that `serialize` described.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: further classes, by name.

    Raises:
        ValueError: the class is unknown.
    """
    known = {**_KNOWN, **(custom_objects or {})}
    name = config.get("class_name")
    if name not in known:
        raise ValueError(
            f"unknown learning-rate schedule {name!r}. Known are {sorted(known)}; pass your own "
            "class in custom_objects."
        )
    return known[name].from_config(config["config"])
