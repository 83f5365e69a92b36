"""Adam and what differs from it by little."""

from __future__ import annotations

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp

from weft.optimizers.base import Optimizer
from weft.optimizers.update import Arrays, columns, interleaved

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Descent along moments of the gradient g, with learning rate η, at update t = 1, 2, ...

        m ← β₁m + (1 - β₁)g
        v ← β₂v + (1 - β₂)g²
        p ← p - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)

    With `amsgrad`, the largest v so far stands in its place in the last line. This ε is the
    paper's ε̂, which stands beside the uncorrected √v.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_1: β₁, of the first moment, in [0, 1).
        beta_2: β₂, of the second, in [0, 1).
        epsilon: ε.
        amsgrad: whether v may only grow.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: β₁ or β₂ is not in [0, 1).

    Example:
        >>> import weft
        >>> from weft.optimizers import Adam
        >>> v = weft.Variable([1.0, 2.0])
        >>> _ = Adam(learning_rate=0.5).apply_gradients([([3.0, -3.0], v)])
        >>> v.numpy().round(4)
        array([0.5, 2.5], dtype=float32)

    Reference: Kingma & Ba, Adam: a method for stochastic optimization (2015), the end of section 2;
    Reddi et al., On the convergence of Adam and beyond (2018), algorithm 2.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not isinstance(value, Real) or not 0 <= value < 1:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be a number in [0, 1), got {value!r}."
                )
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)
        self.amsgrad = amsgrad

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"), *([("velocity_hat",)] if self.amsgrad else []))

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("beta_1", self.beta_1),
            ("beta_2", self.beta_2),
            ("epsilon", self.epsilon),
            ("amsgrad", self.amsgrad),
        )

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
        amsgrad: bool,
    ) -> tuple[Arrays, Arrays]:
        import optax

        first, second, *largest = columns(slots, len(params))
        before: Any = optax.ScaleByAdamState(count=count, mu=list(first), nu=list(second))
        # Of Optax the moments alone: its ε stands beside √(v / (1 - β₂ᵗ)), and its AMSGrad
        # compares the corrected v.
        _, after = optax.scale_by_adam(beta_1, beta_2).update(list(grads), before)
        kept, tops = [after.mu, after.nu], after.nu
        if amsgrad:
            tops = [jnp.maximum(h, v) for h, v in zip(largest[0], after.nu, strict=True)]
            kept.append(tops)
        t = (count + 1).astype(jnp.float32)
        scale = rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        news = [
            p - scale * (m / (jnp.sqrt(v) + epsilon))
            for p, m, v in zip(params, after.mu, tops, strict=True)
        ]
        return news, interleaved(*kept)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}


class AdamW(Adam):
    """Adam with decoupled weight decay λ: before each update, p ← p - ηλp.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        weight_decay: λ; `exclude_from_weight_decay` names variables that it spares.
        beta_1: β₁, of the first moment, in [0, 1).
        beta_2: β₂, of the second, in [0, 1).
        epsilon: ε.
        amsgrad: whether the second moment may only grow.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: no `weight_decay`.

    Reference: Loshchilov & Hutter, Decoupled weight decay regularization (2019), algorithm 2.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW needs a weight_decay, got None. Without one, use Adam.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )
