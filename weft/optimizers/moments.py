"""What Adam's kin share: two decay rates and an ε."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_at_least, check_decay_rates

__all__ = ["MomentOptimizer", "remainder"]


class MomentOptimizer(Optimizer):
    """An optimizer with β₁, β₂ and ε, and for each variable two moments."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        check_decay_rates(self, beta_1=beta_1, beta_2=beta_2)
        check_at_least(self, 0, epsilon=epsilon)
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)
        self.epsilon = float(epsilon)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("beta_1", self.beta_1), ("beta_2", self.beta_2), ("epsilon", self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}


def remainder(beta: float, t: jax.Array) -> jax.Array:
    """1 - βᵗ, without the cancellation that it has in float32 for β near 1."""
    return -jnp.expm1(t * math.log(beta)) if beta else jnp.ones_like(t)
