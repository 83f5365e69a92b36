"""Reverse mode over recorded nodes.

A tape's `gradient` adds one node. `plan` finds, among the recorded nodes, those on a way from a
source to a target; `Gradient` describes them. When the program is lowered, each of those nodes is
run through `jax.vjp` where it stands, so that the forward pass runs once, whoever needs its
values, and the gradient's node walks the pullbacks backwards. To be differentiated itself (nested
tapes), the node is a pure function of what enters its region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine.spec import Spec, spec

__all__ = ["Gradient", "backward", "pull", "reach"]

Node = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Gradient:
    """What a gradient's node computes.

    Attributes:
        region: nodes on the way, in order: (first output slot, node, operand positions to follow).
        targets: slots whose sum, weighted by the seeds, is differentiated.
        seeded: for each target, whether a seed is among the node's operands (else: ones).
        sources: for each source, the slots whose cotangents are summed.
        mode: "gradient", "jacobian" or "batch_jacobian" (one target each for the last two).
        external: slots that enter the region; the node's operands before the seeds.
    """

    region: tuple[tuple[int, Node, tuple[int, ...]], ...]
    targets: tuple[int, ...]
    seeded: tuple[bool, ...]
    sources: tuple[tuple[int, ...], ...]
    mode: str
    external: tuple[int, ...]


def reach(
    nodes: Sequence[tuple[int, int, Node]],
    starts: dict[int, float],
    goals: set[int] | None,
    inexact: Callable[[int], bool],
) -> tuple[list[tuple[int, Node, tuple[int, ...]]], dict[int, float]]:
    """The nodes on differentiable ways from `starts` to `goals`.

    Args:
        nodes: (index, first output slot, node) in order.
        starts: slot -> index from which its uses count (a tensor watched late).
        goals: slots; None for all.
        inexact: whether the value of an input slot can be differentiated.

    Returns:
        The region, as in `Gradient`, and the slots connected to a goal (or reached, without one),
        each with the index from which its uses count.
    """
    reached = {slot: since for slot, since in starts.items() if slot >= 0 or inexact(slot)}
    region = []
    for index, first, node in nodes:
        instr = node[0]
        if not instr.differentiable:
            continue
        follow = tuple(
            position
            for position, slot in enumerate(node[1:])
            if slot in reached and reached[slot] <= index and instr.in_specs[position].inexact
        )
        outs = [first + k for k, kind in enumerate(instr.out_specs) if kind.inexact]
        if follow and outs:
            region.append((first, node, follow))
            # What is computed from a source is followed from the start, watched later or not.
            reached.update(dict.fromkeys(outs, -1))
    if goals is None:
        return region, reached
    needed = set(goals)
    kept = []
    for first, node, follow in reversed(region):
        if any(first + k in needed for k in range(len(node[0].out_specs))):
            kept.append((first, node, follow))
            needed.update(node[1 + p] for p in follow)
    kept.reverse()
    return kept, {slot: reached[slot] for slot in needed if slot in reached}


def pull(
    instr: Any, arguments: Sequence[Any], follow: tuple[int, ...], eager: bool
) -> tuple[tuple[Any, ...], Any]:
    """Run an instruction through `jax.vjp` in the operands `follow`.

    Returns:
        Its outputs, and (pullback, indices of the outputs whose cotangents it takes).
    """
    fn = instr.jitted if eager else instr.fn
    wanted = [k for k, kind in enumerate(instr.out_specs) if kind.inexact]

    def partial(*followed: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        full = list(arguments)
        for position, value in zip(follow, followed, strict=True):
            full[position] = value
        outs = fn(*full)
        return tuple(outs[k] for k in wanted), tuple(outs)

    entering = [jnp.asarray(arguments[p]) for p in follow]
    _, pullback, outs = jax.vjp(partial, *entering, has_aux=True)
    return outs, (pullback, wanted)


def backward(
    gradient: Gradient,
    seeds: Sequence[Any],
    env: dict[int, Any],
    pulls: dict[int, tuple[Any, Any, tuple[int, ...]]],
) -> tuple[Any, ...]:
    """The gradient's outputs, given each region node's pullback (by its first output slot)."""
    given = iter(seeds)
    first_seed = [
        next(given) if seeded else jnp.ones_like(env[slot])
        for slot, seeded in zip(gradient.targets, gradient.seeded, strict=True)
    ]

    def run(*target_seeds: Any) -> tuple[Any, ...]:
        found: dict[int, Any] = {}
        for slot, seed in zip(gradient.targets, target_seeds, strict=True):
            seed = jnp.broadcast_to(seed, jnp.shape(env[slot])).astype(env[slot].dtype)
            seed = _conjugate(seed)
            found[slot] = found[slot] + seed if slot in found else seed
        for first, node, follow in reversed(gradient.region):
            pullback, wanted, vjp_follow = pulls[first]
            if not any(first + k in found for k in wanted):
                continue
            cotangents = tuple(
                found[first + k] if first + k in found else jnp.zeros_like(env[first + k])
                for k in wanted
            )
            pulled = dict(zip(vjp_follow, pullback(cotangents), strict=True))
            for position in follow:
                slot = node[1 + position]
                value = pulled[position]
                found[slot] = found[slot] + value if slot in found else value
        outs = []
        for slots in gradient.sources:
            parts = [found[slot] for slot in slots if slot in found]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            outs.append(_conjugate(total))
        return tuple(outs)

    if gradient.mode == "gradient":
        return run(*first_seed)
    return _jacobian(gradient, run, env)


def _conjugate(x: Any) -> Any:
    """TensorFlow's gradient of a complex function is the conjugate of JAX's."""
    return jnp.conj(x) if jnp.iscomplexobj(x) else x


def _jacobian(
    gradient: Gradient, run: Callable[..., tuple[Any, ...]], env: dict[int, Any]
) -> tuple[Any, ...]:
    """All pullbacks of one target's unit cotangents, in one vmapped run."""
    target = env[gradient.targets[0]]
    shape = target.shape
    if gradient.mode == "jacobian":
        basis = jnp.eye(max(target.size, 0), dtype=target.dtype).reshape((-1, *shape))
        return tuple(
            rows.reshape(shape + rows.shape[1:]) for rows in jax.vmap(run)(basis)
        )
    inner = shape[1:]
    size = int(target.size // max(shape[0], 1))
    basis = jnp.eye(size, dtype=target.dtype).reshape((size, 1, *inner))
    rows = jax.vmap(run)(jnp.broadcast_to(basis, (size, *shape)))
    return tuple(
        jnp.moveaxis(r, 0, 1).reshape((shape[0], *inner, *r.shape[2:])) for r in rows
    )


def result_specs(
    mode: str, target: Spec | None, sources: Sequence[Spec]
) -> tuple[Spec, ...]:
    """The specs of a gradient node's outputs."""
    if mode == "gradient":
        return tuple(spec(tuple(s.shape), s.dtype) for s in sources)
    assert target is not None
    if mode == "jacobian":
        return tuple(spec((*target.shape, *s.shape), s.dtype) for s in sources)
    return tuple(spec((*target.shape, *s.shape[1:]), s.dtype) for s in sources)
