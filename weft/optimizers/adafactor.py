"""Adafactor: second moments of matrices kept as rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Variable
from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_at_least
from weft.optimizers.update import Arrays

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """RMSprop with a factored second moment and steps relative to the parameters' size.

    At update t = 1, 2, ..., with gradient g and the share β = 1 - t^d that the averages keep,

        r ← βr + (1-β) mean(g² + ε₁) over columns,   c ← the same over rows
        v = r c / mean(r)                    for matrices; over all but the last two axes, each
        v ← βv + (1-β)(g² + ε₁)              for vectors and scalars
        s = g / √v
        p ← p - α s / max(1, rms(s) / clip),   α = min(η, 1/√t) max(ε₂, rms(p))

    With `relative_step=False`, α = η max(ε₂, rms(p)). As in Keras's files, matrices too have a slot
    for v; it is not used.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        beta_2_decay: d, negative as a rule.
        epsilon_1: ε₁, which keeps v from 0.
        epsilon_2: ε₂, the least scale of a step.
        clip_threshold: the largest root mean square of a step s, above 0.
        relative_step: whether steps shrink at least as 1/√t.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: `beta_2_decay` is above 0, an ε is negative, or `clip_threshold` not above 0.

    Example:
        >>> import weft
        >>> v = weft.Variable([[2.0, 2.0], [2.0, 2.0]])
        >>> _ = weft.optimizers.Adafactor(0.25).apply_gradients([([[1.0, 1.0], [-4.0, -4.0]], v)])
        >>> v.numpy()
        array([[1.5, 1.5],
               [2.5, 2.5]], dtype=float32)

    Reference: Shazeer & Stern, Adafactor: adaptive learning rates with sublinear memory cost
    (2018), algorithms 4 and 5.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        check_at_least(self, 0, epsilon_1=epsilon_1, epsilon_2=epsilon_2)
        if not beta_2_decay <= 0:
            raise ValueError(f"Adafactor: beta_2_decay must be at most 0, got {beta_2_decay!r}.")
        if not clip_threshold > 0:
            raise ValueError(f"Adafactor: clip_threshold must be above 0, got {clip_threshold!r}.")
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1, self.epsilon_2 = float(epsilon_1), float(epsilon_2)
        self.clip_threshold = float(clip_threshold)
        self.relative_step = bool(relative_step)

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        return (("row", "column", "velocity"),)

    def first_value(self, variable: Variable, name: str) -> Any:
        if name not in ("row", "column"):
            return super().first_value(variable, name)
        shape = variable.spec.shape
        if len(shape) < 2:
            return np.zeros((), np.int32)  # holds the place that Keras's files have for it
        return np.zeros(
            shape[:-1] if name == "row" else shape[:-2] + shape[-1:], variable.spec.dtype
        )

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("beta_2_decay", self.beta_2_decay),
            ("epsilon_1", self.epsilon_1),
            ("epsilon_2", self.epsilon_2),
            ("clip_threshold", self.clip_threshold),
            ("relative_step", self.relative_step),
        )

    def _state_of(self, variables: Sequence[Variable]) -> tuple[list[Variable], Any]:
        super()._state_of(variables)
        used = [(v, ("row", "column") if len(v.shape) > 1 else ("velocity",)) for v in variables]
        return [self._slot(v, name) for v, names in used for name in names], ()

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        beta_2_decay: float,
        epsilon_1: float,
        epsilon_2: float,
        clip_threshold: float,
        relative_step: bool,
    ) -> tuple[Arrays, Arrays]:
        # Optax's scale_by_factored_rms factors the two longest axes, if they are long, and keeps
        # no v for them.
        t = (count + 1).astype(jnp.float32)
        kept = 1 - t**beta_2_decay
        if relative_step:
            rate = jnp.minimum(rate, 1 / jnp.sqrt(t))

        news, held, rest = [], [], iter(slots)
        for g, p in zip(grads, params, strict=True):
            square = g**2 + epsilon_1
            if p.ndim < 2:
                moments = [kept * next(rest) + (1 - kept) * square]
                scale = jax.lax.rsqrt(moments[0])
            else:
                r, c = moments = [
                    kept * next(rest) + (1 - kept) * _mean(square, axis) for axis in (-1, -2)
                ]
                # One after the other: r times c can vanish in float32.
                rows = jax.lax.rsqrt(r / _mean(r, -1, keepdims=True))
                scale = rows[..., None] * jax.lax.rsqrt(c)[..., None, :]
            step = g * scale
            step = step / jnp.maximum(1, _rms(step) / clip_threshold)
            news.append(p - rate * jnp.maximum(epsilon_2, _rms(p)) * step)
            held += moments
        return news, held

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **dict(self.options())}


def _mean(x: jax.Array, axis: int | None = None, keepdims: bool = False) -> jax.Array:
    # The mean of nothing is 0 here.
    count = max(1, x.size if axis is None else x.shape[axis])
    return jnp.sum(x, axis, keepdims=keepdims) / count


def _rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(_mean(x**2))
