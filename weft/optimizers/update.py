"""The update as one node: pure JAX on the gradients and on everything that an optimizer changes.

A `Plan` is the static part, fixed once the hyperparameters and the variables are: it is interned,
so that equal plans are one object and the recording path hashes it by identity. The arrays it is
called with are, in this order,

    step, learning rate, gradients, parameters, averages, sums, slots, whether to do it

where the averages are there under `use_ema`, the sums under `gradient_accumulation_steps`, the
slots are the optimizer's own, and the last only if the update is guarded. It returns the new value
of each but the learning rate, the gradients and the guard, of unchanged dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from weft.engine import Op, ShapeError

__all__ = [
    "PLAIN",
    "Plan",
    "Settings",
    "accumulate",
    "average",
    "centralized",
    "clipped",
    "columns",
    "decayed",
    "interleaved",
    "kept_unless",
    "own",
    "plan",
    "prepare",
    "update",
]

Arrays = Sequence[jax.Array]
# (gradients, parameters, slots, learning rate, updates done so far) -> (parameters, slots)
Rule = Callable[..., tuple[Arrays, Arrays]]


class Settings(NamedTuple):
    """What every optimizer has, as it stands at one update."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    ema_momentum: float | None  # None: no averages are kept
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    centralize_gradients: bool = False
    guarded: bool = False  # whether a last operand says if the update is done at all


PLAIN = Settings(None, None, None, None, None, None, None, None)


class Plan:
    """One update of given variables, with given hyperparameters.

    Args:
        rule: the optimizer's mathematics; it is given `options` as keyword arguments.
        settings: what is done around it.
        decays: for each variable, whether weight decay applies to it.
        own_dtypes: whether the rule works in the variables' own dtypes. Otherwise it is given
            float32 for narrower ones, where β₂ = 0.999 is not even representable.
    """

    def __init__(
        self,
        rule: Rule,
        options: tuple[tuple[str, Any], ...],
        settings: Settings,
        decays: tuple[bool, ...],
        own_dtypes: bool,
    ) -> None:
        self.rule = rule
        self.options = dict(options)
        self.settings = settings
        self.decays = decays
        self.own_dtypes = own_dtypes

    def __call__(self, step: jax.Array, rate: jax.Array, *arrays: jax.Array) -> tuple[Any, ...]:
        if not self.settings.guarded:
            return self._update(step, rate, *arrays)
        n = len(self.decays)
        *arrays, proceed = arrays
        return jax.lax.cond(
            proceed,
            lambda: self._update(step, rate, *arrays),
            lambda: (step, *arrays[n:]),
        )

    def _update(self, step: jax.Array, rate: jax.Array, *arrays: jax.Array) -> tuple[Any, ...]:
        s, n = self.settings, len(self.decays)
        own = [x.dtype for x in arrays]
        wide = [_widened(x) for x in arrays]
        # A gradient may have another dtype than its variable.
        grads = [g.astype(p.dtype) for g, p in zip(wide[:n], wide[n : 2 * n], strict=True)]
        params, rest = wide[n : 2 * n], wide[2 * n :]
        averages, rest = _split(rest, n if s.ema_momentum is not None else 0)
        sums, slots = _split(rest, n if s.gradient_accumulation_steps else 0)

        if s.loss_scale_factor is not None:
            grads = [g / s.loss_scale_factor for g in grads]
        every, count = s.gradient_accumulation_steps, step
        if every:
            count = step // every
            totals = [g + total for g, total in zip(grads, sums, strict=True)]
            params, slots, sums = jax.lax.cond(
                (step + 1) % every == 0,
                lambda: (
                    *self._step([t / every for t in totals], params, slots, rate, count, own),
                    [jnp.zeros_like(t) for t in totals],
                ),
                lambda: (params, slots, totals),
            )
        else:
            params, slots = self._step(grads, params, slots, rate, count, own)
        if s.ema_momentum is not None:
            params, averages = _averaged(params, averages, count, s)
        news = [*params, *averages, *sums, *slots]
        kept = [x.astype(dtype) for x, dtype in zip(news, own[n:], strict=True)]
        return (step + 1, *kept)

    def _step(
        self,
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        own: Sequence[Any],
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Clip, decay, and the rule."""
        before = [*params, *slots]
        grads = clipped(centralized(grads, self.settings), self.settings)
        params = decayed(params, rate, self.settings, self.decays)
        if self.own_dtypes:
            n = len(params)
            kinds = own[n : 2 * n]
            grads = [g.astype(k) for g, k in zip(grads, kinds, strict=True)]
            params = [p.astype(k) for p, k in zip(params, kinds, strict=True)]
            ends = own[len(own) - len(slots) :]
            slots = [x.astype(k) for x, k in zip(slots, ends, strict=True)]
        made = self.rule(grads, params, slots, rate, count, **self.options)
        params, slots = _checked(self.rule, made, params, slots)
        # Of one dtype whether or not this was a step that only accumulates.
        news = [x.astype(b.dtype) for x, b in zip([*params, *slots], before, strict=True)]
        return news[: len(params)], news[len(params) :]


def _checked(rule: Rule, made: Any, params: Arrays, slots: Arrays) -> tuple[Arrays, Arrays]:
    """What a rule returned, if it is of the shapes that it was given."""
    name = getattr(rule, "__qualname__", rule)
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise TypeError(
            f"{name} must return two lists, the new parameters and the new slots, got "
            f"{type(made).__name__}{f' of length {len(made)}' if hasattr(made, '__len__') else ''}."
        )
    for what, news, olds in zip(("parameters", "slots"), made, (params, slots), strict=True):
        came, wanted = [jnp.shape(x) for x in news], [x.shape for x in olds]
        if len(came) != len(wanted):
            raise ShapeError(f"{name} returned {len(came)} {what}, it was given {len(wanted)}.")
        for k, (new, old) in enumerate(zip(came, wanted, strict=True)):
            if new != old:
                raise ShapeError(
                    f"{name} returned shape {new} for number {k} of the {what}, whose shape is "
                    f"{old}. A variable's shape is fixed."
                )
    return made[0], made[1]


@cache
def plan(
    rule: Rule,
    options: tuple[tuple[str, Any], ...],
    settings: Settings,
    decays: tuple[bool, ...],
    own_dtypes: bool = False,
) -> Plan:
    """The one `Plan` of these."""
    return Plan(rule, options, settings, decays, own_dtypes)


# The steps around a rule ---------------------------------------------------------------------


def centralized(grads: Arrays, settings: Settings) -> Arrays:
    """Gradients of matrices and convolutions less their mean over all axes but the last.

    Each output's weights then keep their mean. Reference: Yong et al., Gradient Centralization
    (2020), eq. 1.
    """
    if not settings.centralize_gradients:
        return grads
    return [
        g - jnp.mean(g, tuple(range(g.ndim - 1)), keepdims=True) if g.ndim > 1 else g for g in grads
    ]


def clipped(grads: Arrays, settings: Settings) -> Arrays:
    """Gradients g limited in size, by the one of three ways that is set.

    `clipvalue` c: each element to [-c, c]. `clipnorm` c: each gradient to g · min(1, c / |g|₂).
    `global_clipnorm` c: the same, with the norm of all gradients taken together.
    """
    if settings.clipvalue is not None:
        return [jnp.clip(g, -settings.clipvalue, settings.clipvalue) for g in grads]
    norm = settings.clipnorm if settings.clipnorm is not None else settings.global_clipnorm
    if norm is None:
        return grads
    from optax import EmptyState, clip_by_global_norm

    clip = clip_by_global_norm(norm).update
    if settings.global_clipnorm is not None:
        return clip(list(grads), EmptyState())[0]
    return [clip(g, EmptyState())[0] for g in grads]


def decayed(
    params: Arrays, rate: jax.Array, settings: Settings, decays: tuple[bool, ...]
) -> Arrays:
    """Decoupled weight decay before the update, p ← p - ηλp (Loshchilov & Hutter, 2019)."""
    if not settings.weight_decay:
        return params
    factor = 1 - rate * settings.weight_decay
    return [
        (p * factor).astype(p.dtype) if decays_ else p
        for p, decays_ in zip(params, decays, strict=True)
    ]


def _averaged(
    params: Arrays, averages: Arrays, count: jax.Array, settings: Settings
) -> tuple[Arrays, Arrays]:
    """Moving averages of the new parameters, which now and then take their place."""
    momentum = jnp.where(count == 0, 0.0, settings.ema_momentum)
    averages = [
        (momentum * a + (1 - momentum) * p).astype(a.dtype)
        for a, p in zip(averages, params, strict=True)
    ]
    if settings.ema_overwrite_frequency:
        due = (count + 1) % settings.ema_overwrite_frequency == 0
        params = [jnp.where(due, a, p) for a, p in zip(averages, params, strict=True)]
    return params, averages


def _widened(x: jax.Array) -> jax.Array:
    narrow = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize < 4
    return x.astype(jnp.float32) if narrow else x


def _split(arrays: Arrays, n: int) -> tuple[Arrays, Arrays]:
    return arrays[:n], arrays[n:]


def columns(slots: Arrays, n: int) -> list[Arrays]:
    """Slots kept variable by variable, as one list for each name."""
    width = len(slots) // n
    return [slots[k::width] for k in range(width)]


def interleaved(*lists: Arrays) -> list[jax.Array]:
    """The inverse of `columns`."""
    return [x for row in zip(*lists, strict=True) for x in row]


update = Op(lambda *arrays, plan: plan(*arrays), "apply_gradients", differentiable=False)
# A tensor that nobody else holds, for a variable to take.
own = Op(lambda x, *, dtype: x.astype(dtype), "constrained", differentiable=False)
kept_unless = Op(
    lambda proceed, x, old: jnp.where(proceed, x.astype(old.dtype), old),
    "constrained",
    differentiable=False,
)


# For optimizers whose rule is an `update_step` in terms of tensors and variables -------------


def _prepare(rate: jax.Array, *arrays: jax.Array, plan: Plan) -> tuple[Any, ...]:
    """The gradients and the parameters that `update_step` starts from."""
    n = len(plan.decays)
    params = [_widened(p) for p in arrays[n:]]
    grads = [_widened(g).astype(p.dtype) for g, p in zip(arrays[:n], params, strict=True)]
    if plan.settings.loss_scale_factor and not plan.settings.gradient_accumulation_steps:
        grads = [g / plan.settings.loss_scale_factor for g in grads]
    grads = clipped(centralized(grads, plan.settings), plan.settings)
    params = decayed(params, rate, plan.settings, plan.decays)
    own = [p.dtype for p in arrays[n:]] * 2
    return tuple(x.astype(k) for x, k in zip([*grads, *params], own, strict=True))


def _accumulate(*arrays: jax.Array, plan: Plan) -> tuple[Any, ...]:
    """The means of the gradients so far and now, and the sums."""
    n, settings = len(plan.decays), plan.settings
    grads = [_widened(g) / (settings.loss_scale_factor or 1.0) for g in arrays[:n]]
    totals = [g + _widened(total) for g, total in zip(grads, arrays[n:], strict=True)]
    means = [t / settings.gradient_accumulation_steps for t in totals]
    return tuple(
        x.astype(held.dtype) for x, held in zip([*means, *totals], [*arrays[n:]] * 2, strict=True)
    )


def _average(step: jax.Array, *arrays: jax.Array, plan: Plan) -> tuple[Any, ...]:
    """The parameters and averages after an update."""
    n = len(plan.decays)
    wide = [_widened(x) for x in arrays]
    params, averages = _averaged(wide[:n], wide[n:], step, plan.settings)
    return tuple(x.astype(a.dtype) for x, a in zip([*params, *averages], arrays, strict=True))


accumulate = Op(_accumulate, "accumulate_gradients", differentiable=False)
prepare = Op(_prepare, "prepare_gradients", differentiable=False)
average = Op(_average, "average_variables", differentiable=False)
