"""Lion: steps of one size, along the signs of a momentum."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax

from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_decay_rates
from weft.optimizers.update import Arrays

__all__ = ["Lion"]


class Lion(Optimizer):
    """Descent by the sign of a mean of the gradients g, which is the only thing kept.

        p ← p - η sign(β₁m + (1 - β₁)g)
        m ← β₂m + (1 - β₂)g

    A good η is 3 to 10 times smaller than AdamW's, and a good weight decay as much larger.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_1: β₁, of the direction, in (0, 1]; 0 would leave the gradient's sign alone.
        beta_2: β₂, of the mean, in [0, 1).
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: β₁ or β₂ is out of its range.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0, 2.0])
        >>> _ = weft.optimizers.Lion(0.5).apply_gradients([([3.0, -0.1], v)])
        >>> v.numpy()
        array([0.5, 2.5], dtype=float32)

    Reference: Chen et al., Symbolic discovery of optimization algorithms (2023), algorithm 2.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        check_decay_rates(self, beta_2=beta_2)
        if not isinstance(beta_1, Real) or not 0 < beta_1 <= 1:
            raise ValueError(f"Lion: beta_1 must be a number in (0, 1], got {beta_1!r}.")
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum",),)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("beta_1", self.beta_1), ("beta_2", self.beta_2))

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
    ) -> tuple[Arrays, Arrays]:
        import optax

        held: Any = optax.ScaleByLionState(count=count, mu=list(slots))
        steps, held = optax.scale_by_lion(beta_1, beta_2).update(list(grads), held)
        steps, _ = optax.scale(-rate).update(steps, optax.ScaleState())
        return optax.apply_updates(list(params), steps), held.mu

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}
