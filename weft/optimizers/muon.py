"""Muon: matrices by an orthogonalized momentum, everything else by Adam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import Variable
from weft.optimizers.adam import Adam
from weft.optimizers.base import Optimizer
from weft.optimizers.ranges import check_at_least, check_decay_rates
from weft.optimizers.update import Arrays

__all__ = ["Muon"]


class Muon(Optimizer):
    """Descent on each matrix along the nearest semi-orthogonal matrix to its momentum.

        m ← μm + g
        s = orthogonalized(μm + g)              (of m itself without `nesterov`)
        p ← p - η s · rms_rate √max(rows, columns)

    The orthogonalization is Newton and Schulz's: X = s / |s|₂ first, then, `ns_steps` times,
    X ← aX + (bXXᵀ + c(XXᵀ)²)X, which takes all singular values near to 1.

    Variables that are no matrices go by `Adam`, and so do embeddings, and what `exclude_layers`
    says: the model's output layer should be among them.

    Args:
        learning_rate: η, a number, variable, schedule, or callable without arguments.
        adam_beta_1: Adam's β₁, in [0, 1).
        adam_beta_2: Adam's β₂, in [0, 1).
        adam_weight_decay: the weight decay of variables that go by Adam, or None.
        epsilon: Adam's ε.
        weight_decay: that of the others, or None.
        exclude_layers: variables whose path has one of these (regular expressions) in it go by
            Adam.
        exclude_embeddings: whether those with "embedding" in their path do.
        muon_a: a.
        muon_b: b.
        muon_c: c.
        adam_lr_ratio: Adam's learning rate over η.
        momentum: μ in [0, 1).
        ns_steps: how often the polynomial is applied.
        nesterov: whether to look ahead along the momentum.
        rms_rate: gives each step the root mean square that Adam's would have; None: no scaling.
        kwargs: what every `Optimizer` takes.

    Raises:
        ValueError: a share is not in [0, 1), `ns_steps` is below 1, or another rate is negative.
        TypeError: `exclude_layers` is no list of strings.

    Example:
        >>> import weft
        >>> v = weft.Variable([[2.0, 0.0], [0.0, 2.0]])
        >>> muon = weft.optimizers.Muon(1.0, weight_decay=None, rms_rate=None, ns_steps=20,
        ...                             muon_a=1.5, muon_b=-0.5, muon_c=0.0)
        >>> _ = muon.apply_gradients([([[3.0, 0.0], [0.0, -0.5]], v)])
        >>> v.numpy().round(4)
        array([[1., 0.],
               [0., 3.]], dtype=float32)

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024);
    Liu et al., Muon is scalable for LLM training (2025), eq. 4, for `rms_rate`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        check_decay_rates(self, adam_beta_1=adam_beta_1, adam_beta_2=adam_beta_2, momentum=momentum)
        check_at_least(
            self,
            0,
            epsilon=epsilon,
            adam_lr_ratio=adam_lr_ratio,
            adam_weight_decay=adam_weight_decay or 0,
            rms_rate=rms_rate or 0,
        )
        check_at_least(self, 1, whole=True, ns_steps=ns_steps)
        names = exclude_layers or []
        if isinstance(names, str) or not all(isinstance(n, str) for n in names):
            raise TypeError(
                f"Muon: exclude_layers must be a list of strings, got {exclude_layers!r}."
            )
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        self.adam_beta_1, self.adam_beta_2 = adam_beta_1, adam_beta_2
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.epsilon = epsilon
        self.exclude_layers = list(names)
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.nesterov = momentum, nesterov
        self.ns_steps, self.rms_rate = ns_steps, rms_rate

    def _by_adam(self, variable: Variable) -> bool:
        path = variable.path
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in path.lower())
            or any(re.search(pattern, path) for pattern in self.exclude_layers)
        )

    def _decays(self, variable: Variable) -> bool:
        return not self._by_adam(variable) and super()._decays(variable)

    def _state_of(self, variables: Sequence[Variable]) -> tuple[list[Variable], Any]:
        slots, decays = [], []
        for variable in variables:
            by_adam = self._by_adam(variable)
            names = ("momentum", "velocity") if by_adam else ("momentum",)
            slots += [self._slot(variable, name) for name in names]
            decays.append(super()._decays(variable) if by_adam else None)
        return slots, (("adam_decays", tuple(decays)),)

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("beta_1", self.adam_beta_1),
            ("beta_2", self.adam_beta_2),
            ("epsilon", self.epsilon),
            ("adam_weight_decay", self.adam_weight_decay or 0.0),
            ("ratio", self.adam_lr_ratio),
            ("momentum", self.momentum),
            ("nesterov", self.nesterov),
            ("coefficients", (self.muon_a, self.muon_b, self.muon_c)),
            ("ns_steps", self.ns_steps),
            ("rms_rate", self.rms_rate),
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
        adam_weight_decay: float,
        ratio: float,
        momentum: float,
        nesterov: bool,
        coefficients: tuple[float, float, float],
        ns_steps: int,
        rms_rate: float | None,
        adam_decays: tuple[bool | None, ...],
    ) -> tuple[Arrays, Arrays]:
        """`adam_decays` says of each variable that goes by Adam whether it decays; else None."""
        # Optax's scale_by_muon corrects its momentum as Adam does, and has the iteration inside.
        news, held, rest = list(params), [], list(slots)
        directions = {}
        for k, (g, p, decays) in enumerate(zip(grads, params, adam_decays, strict=True)):
            if decays is None:
                m = momentum * rest.pop(0) + g
                directions[k] = momentum * m + g if nesterov else m
                held.append(m)
                continue
            mine, rest = rest[:2], rest[2:]
            p = p * (1 - rate * adam_weight_decay) if decays else p
            (news[k],), mine = Adam.rule(
                [g], [p], mine, rate * ratio, count,
                beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, amsgrad=False,
            )  # fmt: skip
            held += mine
        steps = _orthogonalized([*directions.values()], coefficients, ns_steps)
        for k, step in zip(directions, steps, strict=True):
            scale = 1.0 if rms_rate is None else rms_rate * max(step.shape) ** 0.5
            news[k] = params[k] - rate * (scale * step)
        return news, held

    def get_config(self) -> dict[str, Any]:
        names = (
            "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers",
            "exclude_embeddings", "muon_a", "muon_b", "muon_c", "adam_lr_ratio", "momentum",
            "ns_steps", "nesterov", "rms_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _orthogonalized(
    matrices: Arrays, coefficients: tuple[float, float, float], ns_steps: int
) -> Arrays:
    """The matrices with singular values near 1; those of one shape together, as one batch."""
    a, b, c = coefficients
    wide = [x.T if x.shape[0] > x.shape[1] else x for x in matrices]
    done: dict[int, jax.Array] = {}
    for shape in dict.fromkeys(x.shape for x in wide):
        places = [k for k, x in enumerate(wide) if x.shape == shape]
        x = jnp.stack([wide[k] for k in places])
        x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
        for _ in range(ns_steps):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        done.update(zip(places, x, strict=True))
    return [done[k].T if x.shape != done[k].shape else done[k] for k, x in enumerate(matrices)]
