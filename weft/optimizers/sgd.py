"""Stochastic gradient descent."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax

from weft.optimizers.base import Optimizer
from weft.optimizers.update import Arrays

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with momentum μ and learning rate η, on parameters p with gradients g.

        m ← μm - ηg
        p ← p + m               or, by Nesterov,  p ← p + μm - ηg

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        momentum: μ in [0, 1]; with 0 no slot is kept.
        nesterov: whether to look ahead along the momentum.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `momentum` is not in [0, 1].

    Example:
        >>> import weft
        >>> from weft.optimizers import SGD
        >>> v = weft.Variable([1.0, 2.0])
        >>> _ = SGD(learning_rate=0.5).apply_gradients([([1.0, 1.0], v)])
        >>> v.numpy()
        array([0.5, 1.5], dtype=float32)

    Reference: Sutskever et al., On the importance of initialization and momentum in deep learning
    (2013), eq. 1-4.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(momentum, Real) or not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum must be a number in [0, 1], got {momentum!r}.")
        super().__init__(learning_rate, **kwargs)
        self.momentum = float(momentum)
        self.nesterov = nesterov

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum",),) if self.momentum else ()

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("momentum", self.momentum), ("nesterov", self.nesterov))

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        momentum: float,
        nesterov: bool,
    ) -> tuple[Arrays, Arrays]:
        import optax

        updates, _ = optax.scale(-rate).update(list(grads), optax.ScaleState())
        if momentum:
            state: Any = optax.TraceState(trace=list(slots))
            updates, state = optax.trace(momentum, nesterov).update(updates, state)
            slots = state.trace
        return optax.apply_updates(list(params), updates), slots

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
