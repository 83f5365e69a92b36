"""Ftrl: follow the regularized leader, whose weights are exactly zero where they may be."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Variable
from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_at_least
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Ftrl"]


class Ftrl(Optimizer):
    """The minimum of all past linear losses with penalties, for sparse linear models.

    With gradient g, learning rate η, power -k, and penalties λ₁, λ₂ and (shrinkage) λₛ:

        n' = n + g²
        z ← z + g + 2λₛp - (n'ᵏ - nᵏ)/η · p,   n ← n'
        p ← (sign(z) λ₁ - z) / ((β + nᵏ)/η + 2λ₂)   where |z| > λ₁, else 0

    So p is a function of the state: its value before the first update counts only by way of z.

    Args:
        learning_rate: η, a number above 0, variable, schedule, or callable without arguments.
        learning_rate_power: -k, at most 0; with 0 the rate does not fall.
        initial_accumulator_value: n before the first update, not negative.
        l1_regularization_strength: λ₁, which makes weights zero.
        l2_regularization_strength: λ₂.
        l2_shrinkage_regularization_strength: λₛ, of a penalty on the size of the weights, which
            counts in z alone.
        beta: β, which slows the first steps.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `learning_rate_power` is above 0, a learning rate is 0, or another argument is
            negative.

    Example:
        >>> import weft
        >>> v = weft.Variable([0.0, 0.0])
        >>> ftrl = weft.optimizers.Ftrl(1.0, l1_regularization_strength=1.0,
        ...                             initial_accumulator_value=0.0)
        >>> _ = ftrl.apply_gradients([([2.0, 0.5], v)])
        >>> v.numpy()
        array([-0.5,  0. ], dtype=float32)

    Reference: McMahan et al., Ad click prediction: a view from the trenches (2013), algorithm 1,
    whose λ₂ is 2λ₂ here.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not isinstance(learning_rate_power, Real) or not learning_rate_power <= 0:
            raise ValueError(
                "Ftrl: learning_rate_power must be a number of at most 0, got "
                f"{learning_rate_power!r}."
            )
        if isinstance(learning_rate, Real) and learning_rate == 0:
            raise ValueError("Ftrl: the learning rate must be above 0, for it is divided by.")
        check_at_least(
            self,
            0,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            beta=beta,
        )
        super().__init__(learning_rate, **kwargs)
        self.learning_rate_power = float(learning_rate_power)
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.l1_regularization_strength = float(l1_regularization_strength)
        self.l2_regularization_strength = float(l2_regularization_strength)
        self.l2_shrinkage_regularization_strength = float(l2_shrinkage_regularization_strength)
        self.beta = float(beta)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulator", "linear"),)

    def first_value(self, variable: Variable, name: str) -> Any:
        zeros = super().first_value(variable, name)
        if name == "accumulator":
            return np.full_like(zeros, self.initial_accumulator_value)
        return zeros

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("power", -self.learning_rate_power),
            ("l1", self.l1_regularization_strength),
            ("l2", self.l2_regularization_strength),
            ("shrinkage", self.l2_shrinkage_regularization_strength),
            ("beta", self.beta),
        )

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        power: float,
        l1: float,
        l2: float,
        shrinkage: float,
        beta: float,
    ) -> tuple[Arrays, Arrays]:
        def one(g: Any, p: Any, n: Any, z: Any) -> tuple[Any, Any, Any]:
            grown = n + g**2
            z = z + g + 2 * shrinkage * p - (grown**power - n**power) / rate * p
            curvature = (beta + grown**power) / rate + 2 * l2
            new = jnp.where(jnp.abs(z) > l1, (jnp.sign(z) * l1 - z) / curvature, 0)
            return new, grown, z

        both = columns(slots, len(params))
        news, sums, linears = zip(*map(one, grads, params, *both), strict=True)
        return news, interleaved(sums, linears)

    def get_config(self) -> dict[str, Any]:
        names = (
            "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength",
            "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
