"""Nadam: Adam that looks ahead along its momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Variable
from weft.optimizers.moments import MomentOptimizer, remainder
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Nadam"]


class Nadam(MomentOptimizer):
    """Adam with Nesterov's momentum, whose strength μ grows, at update t = 1, 2, ...

        μₜ = β₁(1 - 0.96ᵗ / 2),   u ← u μₜ
        m ← β₁m + (1 - β₁)g
        v ← β₂v + (1 - β₂)g²
        m̂ = μₜ₊₁ m / (1 - u μₜ₊₁) + (1 - μₜ) g / (1 - u)
        p ← p - η m̂ / (√(v / (1 - β₂ᵗ)) + ε)

    where the product u of all μ, 1 at first, is kept once for all variables.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_1: β₁, of the first moment, in [0, 1).
        beta_2: β₂, of the second, in [0, 1).
        epsilon: ε.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: β₁ or β₂ is not in [0, 1), or ε is negative.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> _ = weft.optimizers.Nadam(0.5, beta_1=0.0).apply_gradients([([3.0], v)])
        >>> v.numpy().round(4)
        array([0.5], dtype=float32)

    Reference: Dozat, Incorporating Nesterov momentum into Adam (2015), algorithm 8, with the
    momentum's schedule of its section 3.
    """

    def _state_of(self, variables: Sequence[Variable]) -> tuple[list[Variable], Any]:
        slots, further = super()._state_of(variables)
        product = self._slots.get("u_product")
        if product is None:
            product = self._slots["u_product"] = self._new_variable(np.float32(1), "u_product")
        return [*slots, product], further

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> tuple[Arrays, Arrays]:
        # Optax's nadam keeps the momentum's strength constant.
        first, second = columns(slots[:-1], len(params))
        t = (count + 1).astype(jnp.float32)
        mu, mu_next = (beta_1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product = slots[-1] * mu
        first = [beta_1 * m + (1 - beta_1) * g for m, g in zip(first, grads, strict=True)]
        second = [beta_2 * v + (1 - beta_2) * g**2 for v, g in zip(second, grads, strict=True)]
        ahead, here = mu_next / (1 - product * mu_next), (1 - mu) / (1 - product)
        correction = 1 / remainder(beta_2, t)
        news = [
            p - rate * (ahead * m + here * g) / (jnp.sqrt(v * correction) + epsilon)
            for p, g, m, v in zip(params, grads, first, second, strict=True)
        ]
        return news, [*interleaved(first, second), product]
