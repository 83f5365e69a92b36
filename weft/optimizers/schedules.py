"""Learning rates that depend on the step: each schedule is one operation on `iterations`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Op
from weft.engine.names import Registry

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
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


# What each argument may be, whichever schedule it is of.
_POSITIVE = ("a positive number", lambda x: x > 0)
_NOT_NEGATIVE = ("a number not below 0", lambda x: x >= 0)
_FRACTION = ("a number in [0, 1]", lambda x: 0 <= x <= 1)
_ALLOWED = {
    "alpha": _FRACTION,
    "decay_rate": _NOT_NEGATIVE,
    "decay_steps": _POSITIVE,
    "end_learning_rate": _NOT_NEGATIVE,
    "first_decay_steps": _POSITIVE,
    "initial_learning_rate": _NOT_NEGATIVE,
    "m_mul": _POSITIVE,
    "power": _NOT_NEGATIVE,
    "t_mul": _POSITIVE,
    "values": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "warmup_target": _NOT_NEGATIVE,
}


def _number(owner: str, name: str, value: Any) -> Any:
    """`value` as a Python number, if the argument `name` may be that."""
    what, holds = _ALLOWED.get(name, ("a finite number", math.isfinite))
    number = value.item() if isinstance(value, np.generic) else value
    plain = isinstance(number, int | float) and not isinstance(number, bool)
    if not plain or not math.isfinite(number) or not holds(number):
        raise ValueError(f"{owner}: {name} must be {what}, got {value!r}.")
    return number


class _Formula(LearningRateSchedule):
    """A schedule given by a pure function of the step, with the arguments as static options."""

    _op: Op

    def __init__(self, name: str, **config: Any) -> None:
        kind = type(self).__name__
        self.name = name
        self._arguments = tuple(config)
        for key, value in config.items():
            if isinstance(value, list):
                value = [_number(kind, key, v) for v in value]
            elif value is not None and not isinstance(value, bool):
                value = _number(kind, key, value)
            setattr(self, key, value)

    def __call__(self, step: Any) -> Any:
        given = {name: getattr(self, name) for name in self._arguments}
        return self._op(
            step, **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        )

    def get_config(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in self._arguments}, "name": self.name}


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

    Raises:
        ValueError: an argument out of its range.

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

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> schedule = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
        >>> float(schedule(30))
        0.025...
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
        ValueError: their lengths do not fit, the boundaries do not increase, a negative value.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [0.5, 0.25, 0.125])
        >>> [float(schedule(step)) for step in (100, 101, 500)]
        [0.5, 0.25, 0.125]
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
        super().__init__(name, boundaries=list(boundaries), values=list(values))
        if any(b <= a for a, b in itertools.pairwise(boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must increase, got {list(boundaries)}."
            )


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

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> schedule = PolynomialDecay(0.5, decay_steps=10, end_learning_rate=0.0)
        >>> float(schedule(5))
        0.25
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

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=10, warmup_target=0.5, warmup_steps=5)
        >>> [round(float(schedule(step)), 2) for step in (0, 5, 10, 15)]
        [0.0, 0.5, 0.25, 0.0]

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
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
        )


def _periods(first: float, factor: float) -> tuple[list[float], float]:
    """The steps at which periods begin, and the length of the last, which is repeated for ever."""
    starts, length = [0.0], float(first)
    # Far enough for any int32 step; shorter than a step no period gets.
    while factor != 1 and starts[-1] < 2**31 and len(starts) < 10_000 and length * factor >= 1:
        starts.append(starts[-1] + length)
        length *= factor
    return starts, length


def _restarts(
    step: jax.Array, *, initial_learning_rate: float, first_decay_steps: float, t_mul: float,
    m_mul: float, alpha: float,
) -> jax.Array:  # fmt: skip
    # A table, as the period found by a logarithm is off by one at some of its boundaries.
    starts, last = _periods(first_decay_steps, t_mul)
    begins = jnp.asarray(starts, jnp.float32)
    lengths = jnp.append(jnp.diff(begins), jnp.float32(last))
    passed = _float(step)
    k = jnp.maximum(jnp.sum(passed >= begins) - 1, 0)
    done = (passed - begins[k]) / lengths[k]
    repeated = jnp.floor(done)
    height = (1 - alpha) * m_mul ** _float(k + repeated)
    cosine = 0.5 * (1 + jnp.cos(math.pi * (done - repeated)))
    return initial_learning_rate * (height * cosine + alpha)


class CosineDecayRestarts(_Formula):
    """Cosine decay that starts again and again: η = η₀((1 - α) mⁱ (1 + cos πs)/2 + α).

    The i-th period (from 0) lasts T tⁱ steps, and s in [0, 1) is the part of it that has passed.

    Args:
        initial_learning_rate: η₀.
        first_decay_steps: T > 0, the length of the first period.
        t_mul: t > 0, by which each period is longer than the one before. With t < 1, where Keras
            gives NaN after T / (1 - t) steps, periods get no shorter than a step.
        m_mul: m > 0, by which each period starts higher than the one before.
        alpha: α, the lowest value as a fraction of η₀.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> schedule = CosineDecayRestarts(0.5, first_decay_steps=10)
        >>> [round(float(schedule(step)), 2) for step in (0, 5, 10, 20, 30)]
        [0.5, 0.25, 0.5, 0.25, 0.5]

    Reference: Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts (2017),
    section 3.
    """

    _op = Op(_restarts, "cosine_decay_restarts")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        super().__init__(
            name,
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=first_decay_steps,
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
        )


def _float(step: jax.Array) -> jax.Array:
    return jnp.asarray(step).astype(jnp.float32)


_registry = Registry(
    "learning-rate schedule",
    "keras.optimizers.schedules",
    [
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay,
        PiecewiseConstantDecay, PolynomialDecay,
    ],
)  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """A schedule as plain data, in the form of Keras's files."""
    return _registry.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: dict[str, type] | None = None) -> LearningRateSchedule:
    """The schedule that `serialize` described.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: further classes, by name, beside those that are registered or in scope.

    Raises:
        ValueError: the class is unknown, or `config` is no config.
    """
    return _registry.deserialize(config, custom_objects)
