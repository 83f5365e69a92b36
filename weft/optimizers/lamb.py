"""Lamb: Adam's directions, at the scale of each variable."""

from __future__ import annotations

from typing import Any

import jax

from weft.optimizers.moments import MomentOptimizer
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Lamb"]


class Lamb(MomentOptimizer):
    """Adam whose step on each variable is as long as the variable, times η, for large batches.

        m ← β₁m + (1 - β₁)g,   v ← β₂v + (1 - β₂)g²
        s = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
        p ← p - η s |p|₂ / |s|₂        (p - ηs where either norm is 0)

    Weight decay, if any, comes before it, as in every optimizer here, and not inside s.

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
        >>> v = weft.Variable([4.0, 3.0])
        >>> _ = weft.optimizers.Lamb(0.1).apply_gradients([([1.0, 0.0], v)])
        >>> v.numpy().round(4)
        array([3.5, 3. ], dtype=float32)

    Reference: You et al., Large batch optimization for deep learning (2020), algorithm 2.
    """

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
        import optax

        first, second = columns(slots, len(params))
        held: Any = optax.ScaleByAdamState(count=count, mu=list(first), nu=list(second))
        steps, held = optax.scale_by_adam(beta_1, beta_2, epsilon).update(list(grads), held)
        steps, _ = optax.scale_by_trust_ratio().update(steps, optax.EmptyState(), list(params))
        steps, _ = optax.scale(-rate).update(steps, optax.ScaleState())
        return optax.apply_updates(list(params), steps), interleaved(held.mu, held.nu)
