"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from weft.optimizers.moments import MomentOptimizer, remainder
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Adamax"]


class Adamax(MomentOptimizer):
    """Descent along the mean of the gradients g, by their largest, at update t = 1, 2, ...

        m ← β₁m + (1 - β₁)g
        u ← max(β₂u, |g|)
        p ← p - η / (1 - β₁ᵗ) · m / (u + ε)

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_1: β₁ of the mean, in [0, 1).
        beta_2: β₂ of the largest, in [0, 1).
        epsilon: ε.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: β₁ or β₂ is not in [0, 1), or ε is negative.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0, 2.0])
        >>> _ = weft.optimizers.Adamax(0.5).apply_gradients([([3.0, -3.0], v)])
        >>> v.numpy().round(4)
        array([0.5, 2.5], dtype=float32)

    Reference: Kingma & Ba, Adam: a method for stochastic optimization (2015), algorithm 2.
    """

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "norm"),)

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
        # Optax's scale_by_adamax adds ε to |g| inside the maximum, and so to the slot.
        means, norms = columns(slots, len(params))
        means = [beta_1 * m + (1 - beta_1) * g for m, g in zip(means, grads, strict=True)]
        norms = [jnp.maximum(beta_2 * u, jnp.abs(g)) for u, g in zip(norms, grads, strict=True)]
        scale = rate / remainder(beta_1, (count + 1).astype(jnp.float32))
        news = [p - scale * m / (u + epsilon) for p, m, u in zip(params, means, norms, strict=True)]
        return news, interleaved(means, norms)
