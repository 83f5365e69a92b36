"""Adagrad and Adadelta: steps divided by what the gradients were so far."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from weft.engine import Variable
from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_at_least, check_decay_rates
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(Optimizer):
    """Gradient descent by gradients g divided by the root of the sum of their squares.

        a ← a + g²
        p ← p - η g / √(a + ε)

    What is often updated moves ever less; with sparse gradients, rare features keep long steps.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments. The paper's
            steps are those of 1.
        initial_accumulator_value: a before the first update, not negative.
        epsilon: ε, inside the root.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `initial_accumulator_value` or `epsilon` is negative.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> adagrad = weft.optimizers.Adagrad(0.5, initial_accumulator_value=0.0)
        >>> _ = adagrad.apply_gradients([([2.0], v)])
        >>> v.numpy()
        array([0.5], dtype=float32)

    Reference: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and
    stochastic optimization (2011), the diagonal matrices of figure 1.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        check_at_least(
            self, 0, initial_accumulator_value=initial_accumulator_value, epsilon=epsilon
        )
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.epsilon = float(epsilon)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulator",),)

    def first_value(self, variable: Variable, name: str) -> Any:
        zeros = super().first_value(variable, name)
        if name == "accumulator":
            return np.full_like(zeros, self.initial_accumulator_value)
        return zeros

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("epsilon", self.epsilon),)

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        epsilon: float,
    ) -> tuple[Arrays, Arrays]:
        import optax

        sums: Any = optax.ScaleByRssState(sum_of_squares=list(slots))
        steps, sums = optax.scale_by_rss(eps=epsilon).update(list(grads), sums)
        steps, _ = optax.scale(-rate).update(steps, optax.ScaleState())
        return optax.apply_updates(list(params), steps), sums.sum_of_squares

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Steps in the units of the parameters: gradients g by the ratio of two running averages.

        a ← ρa + (1-ρ)g²
        s = g √(d + ε) / √(a + ε)
        d ← ρd + (1-ρ)s²
        p ← p - ηs

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments. The paper's
            steps are those of 1.
        rho: ρ in [0, 1).
        epsilon: ε, which also starts the whole thing off.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `rho` is not in [0, 1), or `epsilon` is negative.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> adadelta = weft.optimizers.Adadelta(1.0, rho=0.0, epsilon=0.25)
        >>> _ = adadelta.apply_gradients([([1.0], v)])  # a step of 0.5 / √1.25
        >>> v.numpy().round(4)
        array([0.5528], dtype=float32)

    Reference: Zeiler, Adadelta: an adaptive learning rate method (2012), algorithm 1.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        check_decay_rates(self, rho=rho)
        check_at_least(self, 0, epsilon=epsilon)
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = float(rho), float(epsilon)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulated_grad", "accumulated_delta_var"),)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("rho", self.rho), ("epsilon", self.epsilon))

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        rho: float,
        epsilon: float,
    ) -> tuple[Arrays, Arrays]:
        import optax

        squares, deltas = columns(slots, len(params))
        held: Any = optax.ScaleByAdaDeltaState(e_g=list(squares), e_x=list(deltas))
        steps, held = optax.scale_by_adadelta(rho, epsilon).update(list(grads), held)
        steps, _ = optax.scale(-rate).update(steps, optax.ScaleState())
        return optax.apply_updates(list(params), steps), interleaved(held.e_g, held.e_x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}
