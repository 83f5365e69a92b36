"""Attention in several heads, over chosen axes, with masks: the operation of the layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from weft.engine import Op
from weft.kernels.attention import band, scores_of, weigh
from weft.random import dropped

__all__ = ["attend", "attend_dropping"]


class _Axes:
    """How (batch, steps..., heads, size) is laid out for a product of matrices, and back.

    Axes that are not attended over stay in front as a kind of batch, then come the heads, then
    the attended axes, laid together to one.
    """

    def __init__(self, rank: int, attended: tuple[int, ...]) -> None:
        self.attended = attended
        self.free = tuple(i for i in range(1, rank - 2) if i not in attended)
        self.order = (0, *self.free, rank - 2, *attended, rank - 1)
        self.back = tuple(self.order.index(i) for i in range(rank))

    def sizes(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape[i] for i in self.attended)

    def front(self, x: Any) -> Any:
        """(batch, free..., heads, T, size)."""
        x = x.transpose(self.order)
        keep = 2 + len(self.free)
        return x.reshape(*x.shape[:keep], -1, x.shape[-1])

    def restore(self, x: Any, sizes: tuple[int, ...]) -> Any:
        """(batch, steps..., heads, size) from what `front` lays out."""
        return x.reshape(*x.shape[:-2], *sizes, x.shape[-1]).transpose(self.back)

    def of_steps(self, mask: Any, like: Any, name: str, at: int) -> Any:
        """A mask of the steps of a projection, with its T at axis `at` (-2: query, -1: key)."""
        sizes = self.sizes(like)
        attended_only = (like.shape[0], *sizes)
        if mask.shape == like.shape[:-2]:
            mask = mask.transpose((0, *self.free, *self.attended))
        elif len(mask.shape) != len(attended_only) or not _fits(mask.shape, attended_only):
            shapes = " or ".join(str(s) for s in dict.fromkeys((like.shape[:-2], attended_only)))
            raise ValueError(f"{name} must have the shape {shapes}, got {mask.shape}.")
        else:
            mask = jnp.broadcast_to(mask, (mask.shape[0], *sizes))
            mask = mask.reshape(mask.shape[0], *[1] * len(self.free), *sizes)
        keep = 1 + len(self.free)
        flat = mask.reshape(*mask.shape[:keep], 1, math.prod(sizes))
        return jnp.expand_dims(flat, -1 if at == -2 else -2)

    def of_pairs(self, mask: Any, scores: tuple[int, ...], t: Any, s: Any) -> Any:
        """An attention mask: (batch, free..., heads, *t, *s), of which axes in front may lack."""
        steps = (*t, *s)
        whole = (*scores[:-2], *steps)
        lead = mask.shape[: max(0, mask.ndim - len(steps))]
        full = (*lead, *[1] * (len(whole) - mask.ndim), *mask.shape[len(lead) :])
        if mask.ndim < len(steps) or not _fits(full, whole):
            raise ValueError(
                f"attention_mask must have the shape {(whole[0], *steps)} (or {whole}, with sizes "
                f"of 1 where it is the same for all), got {mask.shape}."
            )
        mask = jnp.broadcast_to(mask.reshape(full), (*full[: -len(steps)], *steps))
        return mask.reshape(*full[: -len(steps)], *scores[-2:])


def _fits(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    return len(shape) == len(onto) and all(a in (1, b) for a, b in zip(shape, onto, strict=True))


def _attend(
    query: Any, key: Any, value: Any, *masks: Any, given: str, attended: tuple[int, ...],
    scale: float, causal: bool, window: int | None, zero_empty: bool, with_scores: bool,
    drop: Callable[[Any], Any] | None = None,
) -> Any:  # fmt: skip
    """Attention of projections (batch, steps..., heads, size); the steps' axes named `attended`."""
    axes = _Axes(query.ndim, attended)
    t, s = axes.sizes(query), axes.sizes(key)
    if any(query.shape[i] != key.shape[i] for i in axes.free):
        raise ValueError(
            f"query and key must agree in the axes {axes.free}, which are not attended over."
        )
    front = axes.front(query)
    scores = scores_of(front, axes.front(key), scale)
    mask = None
    if causal or window is not None:
        if len(attended) > 1:
            raise ValueError(
                "use_causal_mask and sliding_window need one attention axis, in which steps have "
                f"an order, got attention_axes={attended}."
            )
        mask = band(scores, causal, window)
    for name, each in zip(given.split(), masks, strict=True):
        each = each.astype(bool)
        if name == "attention_mask":
            each = axes.of_pairs(each, scores.shape, t, s)
        elif name == "query_mask":
            each = axes.of_steps(each, query, name, -2)
        else:
            each = axes.of_steps(each, key, name, -1)
        mask = each if mask is None else mask & each
    result, weights, _ = weigh(scores, axes.front(value), mask, drop=drop, zero_empty=zero_empty)
    result = axes.restore(result, t)
    return (result, weights.reshape(*weights.shape[:-2], *t, *s)) if with_scores else result


attend = Op(_attend, "attention")


def attend_dropping(random_key: Any, *operands: Any, rate: float, **static: Any) -> Any:
    """`attend` as a sampler, which drops a share `rate` of the weights."""

    def drop(weights: Any) -> Any:
        return dropped(random_key, weights, rate, noise_shape=None)

    return _attend(*operands, drop=drop, **static)
