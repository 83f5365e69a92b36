"""Schedule-free AdamW: an average of the iterates in place of a schedule."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import Variable
from weft.optimizers.moments import MomentOptimizer, remainder
from weft.optimizers.ranges import check_at_least
from weft.optimizers.state import value_of
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["ScheduleFreeAdamW"]


class ScheduleFreeAdamW(MomentOptimizer):
    """RMSprop on a fast sequence z, with gradients taken between it and its average x.

    The variables hold y = (1 - β₁)z + β₁x, where the gradients g are to be taken. At update
    t = 1, 2, ..., with the rate γ = η min(1, t / warmup_steps),

        v ← β₂v + (1 - β₂)g²
        z ← z - γ g / (√(v / (1 - β₂ᵗ)) + ε)
        x ← x + (z - x) / t
        y ← (1 - β₁)z + β₁x

    x is not kept, as y and z are enough. The average is plain, as in Keras, where the paper's
    gives each z the weight γ². Weight decay is of y.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_1: β₁, how near to the average gradients are taken, in [0, 1).
        beta_2: β₂, of the second moment, in [0, 1).
        epsilon: ε.
        warmup_steps: over how many updates the rate rises to η.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> optimizer = weft.optimizers.ScheduleFreeAdamW(0.5)
        >>> _ = optimizer.apply_gradients([([3.0], v)])
        >>> v.numpy().round(4)
        array([0.5], dtype=float32)

    Reference: Defazio et al., The road less scheduled (2024), algorithm 1.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        check_at_least(self, 0, whole=True, warmup_steps=warmup_steps)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.warmup_steps = int(warmup_steps)

    def first_value(self, variable: Variable, name: str) -> Any:
        if name != "momentum":
            return super().first_value(variable, name)
        return value_of(variable)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (*super().options(), ("warmup_steps", self.warmup_steps))

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
        warmup_steps: int,
    ) -> tuple[Arrays, Arrays]:
        # Optax's contrib.schedule_free gives each z the weight of the largest rate so far.
        t = (count + 1).astype(jnp.float32)
        if warmup_steps:
            rate = rate * jnp.minimum(1, t / warmup_steps)
        correction = 1 / remainder(beta_2, t)

        def one(g: Any, y: Any, z: Any, v: Any) -> tuple[Any, Any, Any]:
            v = beta_2 * v + (1 - beta_2) * g**2
            step = rate * g / (jnp.sqrt(v * correction) + epsilon)
            # y - z = β₁(x - z), so that x need not be found, for which β₁ is divided by.
            return z - step + (1 - 1 / t) * (y - z + beta_1 * step), z - step, v

        news, *held = zip(*map(one, grads, params, *columns(slots, len(params))), strict=True)
        return news, interleaved(*held)
