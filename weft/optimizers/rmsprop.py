"""RMSprop: steps divided by a running root mean square of the gradients."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax

from weft.optimizers.base import Optimizer
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Gradient descent by gradients g divided by their running root mean square.

        v ← ρv + (1-ρ)g²,   a ← ρa + (1-ρ)g  (centered only)
        s = η g / √(v - a² + ε)              (a = 0 unless centered)
        p ← p - s           or, with momentum μ,  m ← μm + s,  p ← p - m

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        rho: ρ in [0, 1].
        momentum: μ in [0, 1]; with 0 no slot is kept for it.
        epsilon: ε, inside the root.
        centered: whether to divide by the standard deviation instead.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `rho` or `momentum` is not in [0, 1].

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> _ = weft.optimizers.RMSprop(0.1, rho=0.0).apply_gradients([([2.0], v)])
        >>> v.numpy()
        array([0.9], dtype=float32)

    Reference: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, value in (("rho", rho), ("momentum", momentum)):
            if not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(f"RMSprop: {name} must be a number in [0, 1], got {value!r}.")
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum = float(rho), float(momentum)
        self.epsilon, self.centered = float(epsilon), bool(centered)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        groups = [("velocity",)]
        if self.momentum:
            groups.append(("momentum",))
        if self.centered:
            groups.append(("average_gradient",))
        return tuple(groups)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("rho", self.rho),
            ("momentum", self.momentum),
            ("epsilon", self.epsilon),
            ("centered", self.centered),
        )

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        rho: float,
        momentum: float,
        epsilon: float,
        centered: bool,
    ) -> tuple[Arrays, Arrays]:
        import optax

        velocity, *others = columns(slots, len(params))  # then momentum, then the average
        moments: Any
        if centered:
            moments = optax.ScaleByRStdDevState(mu=list(others[-1]), nu=list(velocity))
            steps, moments = optax.scale_by_stddev(rho, epsilon).update(list(grads), moments)
            others[-1] = moments.mu
        else:
            moments = optax.ScaleByRmsState(nu=list(velocity))
            steps, moments = optax.scale_by_rms(rho, epsilon).update(list(grads), moments)
        steps, _ = optax.scale(-rate).update(steps, optax.ScaleState())
        if momentum:
            # Keras's slot holds what is subtracted.
            held: Any = optax.TraceState(trace=[-m for m in others[0]])
            steps, held = optax.trace(momentum).update(steps, held)
            others[0] = [-m for m in held.trace]
        return optax.apply_updates(list(params), steps), interleaved(moments.nu, *others)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}
