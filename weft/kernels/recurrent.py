"""Recurrent networks over whole sequences: one product before the loop, the weights' after it.

The loop holds nothing but what must follow step by step: the product of the state, and the gates.
The inputs' product is taken for all steps at once. The backward loop finds the gradients of the
gates before their functions, dz; the weights' gradients are then one product each, x'·dz and h'·dz,
where differentiating the loop itself would add up as many matrices as there are steps. All of it
is differentiable JAX, so gradients of gradients work.

Measured for an LSTM of 128 units on 64 inputs, 64 steps, batch 64, forward + backward in ms of CPU
time on 2 cores: 45 with the inputs' product hoisted and the loop left to autodiff, 21.7 with
`[x, h]·[W; U]` in the loop left to autodiff, 17.3 as here. What makes the difference:

- a hoisted product kept as one (time, batch, 4·units) array is cut into gates in the loop, which
  XLA's CPU fusions read badly: the forward loop alone takes 6.7 ms so, 3.5 with an array a gate;
- autodiff keeps nine arrays of (time, batch, units) or more. Beyond 32 MiB of temporaries the C
  library takes fresh pages at each call, and 12,000 page faults cost 18 ms here. Kept are the
  gates before their functions and the states, and the functions are computed again (0.2 ms).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from weft.kernels.conv import convolve

__all__ = [
    "Convolution", "Given", "Recurrence", "Weights", "gru", "gru_reset_before", "lstm", "recurrent",
    "simple",
]  # fmt: skip

States = tuple[jax.Array, ...]
Gates = Sequence[jax.Array]
Product = Callable[[jax.Array], Gates]


class Convolution(NamedTuple):
    """How kernels meet inputs (or states, with strides of 1 and "SAME")."""

    strides: tuple[int, ...]
    padding: str
    dilation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Recurrence:
    """What a step does.

    `step(x, states, product, *activations)` gets what the inputs give to each gate and the states,
    and returns new states, the first of which is the output. `product(v)` is v times the next of
    the recurrent kernel's parts, a gate each.
    """

    step: Callable[..., States]
    gates: int
    states: int
    activations: tuple[Callable[[jax.Array], jax.Array], ...]
    parts: tuple[int, ...]  # how many gates each product gives
    summed: tuple[bool, ...]  # gates that depend on the sum of both parts alone
    convolution: Convolution | None = None
    unroll: bool = False

    def products(self, x: jax.Array, kernel: jax.Array) -> Gates:
        """What the inputs (steps·batch, ..., in) give to each gate."""
        if self.convolution is not None:
            return jnp.split(self.input_product(x, kernel), self.gates, -1)
        return [x @ part for part in jnp.split(kernel, self.gates, -1)]

    def input_product(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        if self.convolution is None:
            return x @ kernel
        how = self.convolution
        pads = lax.padtype_to_pads(
            x.shape[1:-1],
            [(k - 1) * d + 1 for k, d in zip(kernel.shape, how.dilation, strict=False)],
            how.strides,
            how.padding,
        )
        return convolve(x, kernel, how.strides, pads, how.dilation)

    def state_product(self, h: jax.Array, kernel: jax.Array) -> jax.Array:
        if self.convolution is None:
            return h @ kernel
        ones = (1,) * (h.ndim - 2)
        pads = lax.padtype_to_pads(h.shape[1:-1], kernel.shape[:-2], ones, "SAME")
        return convolve(h, kernel, ones, pads, ones)

    def cut(self, kernel: jax.Array) -> list[jax.Array]:
        """The recurrent kernel's parts, one for each product."""
        ends = list(itertools.accumulate(self.parts))[:-1]
        unit = kernel.shape[-1] // self.gates
        return jnp.split(kernel, [unit * end for end in ends], -1)


# -- steps ----------------------------------------------------------------------------------


def simple(x: Gates, states: States, product: Product, activation: Any) -> States:
    """h' = activation(x + h·U)."""
    (p,) = product(states[0])
    return (activation(x[0] + p),)


def lstm(x: Gates, states: States, product: Product, activation: Any, gate: Any) -> States:
    """i, f, o = gate(x + h·U); c' = f·c + i·activation(x + h·U); h' = o·activation(c')."""
    h, c = states
    i, f, g, o = (a + b for a, b in zip(x, product(h), strict=True))
    c = gate(f) * c + gate(i) * activation(g)
    return gate(o) * activation(c), c


def gru(x: Gates, states: States, product: Product, activation: Any, gate: Any) -> States:
    """z, r = gate(x + h·U); h' = z·h + (1 - z)·activation(x + r·(h·U))."""
    (h,) = states
    pz, pr, ph = product(h)
    z, r = gate(x[0] + pz), gate(x[1] + pr)
    return (z * h + (1 - z) * activation(x[2] + r * ph),)


def gru_reset_before(
    x: Gates, states: States, product: Product, activation: Any, gate: Any
) -> States:
    """z, r = gate(x + h·U); h' = z·h + (1 - z)·activation(x + (r·h)·U)."""
    (h,) = states
    pz, pr = product(h)
    z, r = gate(x[0] + pz), gate(x[1] + pr)
    (ph,) = product(r * h)
    return (z * h + (1 - z) * activation(x[2] + ph),)


# -- a sequence -----------------------------------------------------------------------------


class Weights(NamedTuple):
    kernel: jax.Array
    recurrent: jax.Array
    bias: jax.Array | None  # (gates·units,), or (2, gates·units): the inputs' and the states'


class Given(NamedTuple):
    """What may come with a sequence."""

    mask: jax.Array | None = None  # (steps, batch, 1...): bool; a step that is False is skipped
    drop: jax.Array | None = None  # factors of the state where it is multiplied by the kernel


def recurrent(
    x: jax.Array,
    states: States,
    weights: Weights,
    given: Given,
    how: Recurrence,
    sequences: bool,
) -> tuple[jax.Array | None, States]:
    """Run a recurrence over a sequence.

    Args:
        x: (steps, batch, ..., in).
        states: the first states, each (batch, ..., units).
        weights, given, how: see there.
        sequences: whether the output of each step is wanted.

    Returns:
        The first state after each step, (steps, batch, ..., units), or None; and the last states.
    """
    return _run(how, sequences, x, states, weights, given)


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(-1, *x.shape[2:])


def _biases(weights: Weights, how: Recurrence) -> tuple[Any, Any]:
    """The biases of the inputs' and of the states' products, a gate each."""
    bias = weights.bias
    if bias is None:
        return [0] * how.gates, [0] * how.gates
    both = bias if bias.ndim == 2 else bias[None]
    gates = [jnp.split(b, how.gates, -1) for b in both]
    return gates[0], gates[1] if bias.ndim == 2 else [0] * how.gates


def _select(mask: jax.Array | None, new: States, old: States) -> States:
    if mask is None:
        return new
    return tuple(jnp.where(mask, a, b) for a, b in zip(new, old, strict=True))


def _forward(
    how: Recurrence, x: jax.Array, states: States, weights: Weights, given: Given, keep: Any
) -> Any:
    """The loop; `keep(x gates, state gates, states before, states after)` says what it stacks."""
    steps, batch = x.shape[:2]
    gates = [g.reshape(steps, batch, *g.shape[1:]) for g in how.products(_flat(x), weights.kernel)]
    x_bias, h_bias = _biases(weights, how)
    parts = how.cut(weights.recurrent)

    def step(states: States, now: Any) -> Any:
        gates, mask = now
        gates = [g + b for g, b in zip(gates, x_bias, strict=True)]
        found: list[jax.Array] = []
        left = iter(zip(parts, how.parts, strict=True))

        def product(v: jax.Array) -> Gates:
            part, n = next(left)
            p = how.state_product(v if given.drop is None else v * given.drop, part)
            made = [a + b for a, b in zip(jnp.split(p, n, -1), h_bias[len(found) :], strict=False)]
            found.extend(made)
            return made

        new = _select(mask, how.step(gates, states, product, *how.activations), states)
        return new, keep(gates, found, states, new)

    return lax.scan(step, states, (gates, given.mask), unroll=how.unroll)


def _plain(
    how: Recurrence, sequences: bool, x: Any, states: States, weights: Weights, given: Given
) -> Any:
    keep = lambda gates, found, old, new: new[0] if sequences else None  # noqa: E731
    last, outputs = _forward(how, x, states, weights, given, keep)
    return outputs, last


_run = jax.custom_vjp(_plain, nondiff_argnums=(0, 1))


def _kept(
    how: Recurrence, sequences: bool, x: Any, states: States, weights: Weights, given: Given
) -> Any:
    def keep(gates: Any, found: Any, old: States, new: States) -> Any:
        sums = [
            a + b if summed else a for a, b, summed in zip(gates, found, how.summed, strict=True)
        ]
        apart = [b for b, summed in zip(found, how.summed, strict=True) if not summed]
        return sums, apart, old

    last, stacks = _forward(how, x, states, weights, given, keep)
    before = stacks[2][0]
    outputs = jnp.concatenate([before[1:], last[0][None]]) if sequences else None
    return (outputs, last), (x, weights, given, stacks)


def _backward(how: Recurrence, sequences: bool, kept: Any, cotangents: Any) -> Any:
    x, weights, given, stacks = kept
    d_outputs, d_last = cotangents
    parts = how.cut(weights.recurrent)
    own: list[bool] = []  # which products are of the state itself, which is stacked already

    def step(d_new: States, now: Any) -> Any:
        (sums, apart, states), mask, d_output = now
        if d_output is not None:
            d_new = (d_new[0] + d_output, *d_new[1:])

        def opened(sums: Any, apart: Any, states: States) -> Any:
            """The step with its products given, and what they are taken of."""
            fed: list[jax.Array] = []
            free = iter(apart)
            values = iter(
                [
                    jnp.zeros_like(s) if z else next(free)
                    for s, z in zip(sums, how.summed, strict=True)
                ]
            )
            own.clear()

            def product(v: jax.Array) -> Gates:
                own.append(v is states[0])
                n = how.parts[len(fed)]
                fed.append(v if given.drop is None else v * given.drop)
                return list(itertools.islice(values, n))

            new = how.step(sums, states, product, *how.activations)
            return _select(mask, new, states), fed

        (_, fed), pull = jax.vjp(opened, sums, apart, states)
        d_fed = [jnp.zeros_like(v) for v in fed]
        # A product may depend on those before it: the last one's gradient is known first.
        for k in reversed(range(len(parts))):
            d_sums, d_apart, _ = pull((d_new, d_fed))
            d_gates = _state_gates(how, d_sums, d_apart)
            start = sum(how.parts[:k])
            d_part = jnp.concatenate(d_gates[start : start + how.parts[k]], -1)
            product = lambda v, k=k: how.state_product(v, parts[k])  # noqa: E731
            (d_fed[k],) = jax.linear_transpose(product, fed[k])(d_part)
        d_sums, d_apart, d_states = pull((d_new, d_fed))
        d_x = jnp.concatenate(d_sums, -1)
        d_h = None if all(how.summed) else jnp.concatenate(_state_gates(how, d_sums, d_apart), -1)
        return d_states, (
            d_x,
            d_h,
            [v for v, is_state in zip(fed, own, strict=True) if not is_state],
        )

    d_states, (d_x, d_h, fed) = lax.scan(
        step, d_last, (stacks, given.mask, d_outputs), reverse=True, unroll=how.unroll
    )
    others = iter(fed)
    before = stacks[2][0] if given.drop is None else stacks[2][0] * given.drop
    fed = [before if is_state else next(others) for is_state in own]
    d_inputs, d_weights = _after(how, x, weights, fed, d_x, d_x if d_h is None else d_h)
    return d_inputs, d_states, d_weights, jax.tree.map(_nothing, given)


def _after(
    how: Recurrence, x: Any, weights: Weights, fed: Any, d_x: jax.Array, d_h: jax.Array
) -> tuple[jax.Array, Weights]:
    """The gradients of the inputs and the weights, a product each.

    Args:
        how, x, weights: as of `recurrent`.
        fed: what the recurrent kernel's parts were multiplied by, (steps, batch, ..., units) each.
        d_x, d_h: the gradients of the inputs' and of the states' parts of the gates, (steps, batch,
            ..., gates·units).
    """
    d_parts = []
    starts = itertools.accumulate((0, *how.parts[:-1]))
    unit = d_h.shape[-1] // how.gates
    each = zip(fed, how.cut(weights.recurrent), starts, how.parts, strict=True)
    for v, part, start, n in each:
        product = lambda u, v=v: how.state_product(_flat(v), u)  # noqa: E731
        d_part = _flat(d_h[..., start * unit : (start + n) * unit])
        d_parts += jax.linear_transpose(product, part)(d_part)
    x_flat, d_flat = _flat(x), _flat(d_x)
    of_inputs = lambda v: how.input_product(v, weights.kernel)  # noqa: E731
    of_kernel = lambda w: how.input_product(x_flat, w)  # noqa: E731
    (d_inputs,) = jax.linear_transpose(of_inputs, x_flat)(d_flat)
    (d_kernel,) = jax.linear_transpose(of_kernel, weights.kernel)(d_flat)
    d_bias = _d_bias(weights.bias, d_x, d_h)
    return d_inputs.reshape(x.shape), Weights(d_kernel, jnp.concatenate(d_parts, -1), d_bias)


_run.defvjp(_kept, _backward)


def _state_gates(how: Recurrence, d_sums: Gates, d_apart: Gates) -> Gates:
    """The gradients of the states' parts of all gates."""
    apart = iter(d_apart)
    return [s if summed else next(apart) for s, summed in zip(d_sums, how.summed, strict=True)]


def _d_bias(bias: Any, d_x: jax.Array, d_h: jax.Array) -> Any:
    if bias is None:
        return None
    axes = tuple(range(d_x.ndim - 1))
    total = d_x.sum(axes)
    return total if bias.ndim == 1 else jnp.stack([total, d_h.sum(axes)])


def _nothing(value: jax.Array) -> Any:
    """The gradient of what has none: masks and dropout's factors."""
    if jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.zeros_like(value)
    return np.zeros(value.shape, jax.dtypes.float0)
