"""Pooling as a fold over slices, an axis at a time, for any number of spatial axes.

XLA's own `reduce_window` is differentiated by `select_and_scatter`, which runs one element at a
time on CPU. Largest of windows, forward + backward in ms on 2 cores, reduce_window against this:
6.6 and 0.5 for 64×26×26×32 with windows of 2×2; 41 and 2.3 for 8×56×56×64 with 3×3, stride 2; 23
and 2.4 for 32×16×16×64 with 3×3, stride 1; 0.35 and 0.10 for 8×256×64 with windows of 2; 0.9 and
0.2 for 2×16×16×16×16 with 2×2×2; 53 and 1.9 for 8×1024×16 with windows of 64, stride 1. Ties give
the gradient to the first of a window's largest elements, in row-major order, as there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["adaptive_average", "adaptive_largest", "average_windows", "largest"]

Combine = Callable[[Any, Any], Any]

# Windows that share blocks longer than this are made of those.
_BLOCK = 4
# A longer window would be a long program one element at a time; it is put together from halves.
_LONGEST = 32


def largest(x: jax.Array, size: Any, strides: Any, padding: str) -> jax.Array:
    """The largest element of each window; x is (batch, spatial..., channels)."""
    pads = tuple(lax.padtype_to_pads(x.shape[1:-1], size, strides, padding))
    if tuple(size) == tuple(strides):
        return _largest_apart(x, tuple(size), pads)
    return _windows(x, _larger, _lowest(x), size, strides, pads)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _largest_apart(x: jax.Array, size: tuple[int, ...], pads: Any) -> jax.Array:
    """Windows side by side: XLA's own, and `_windows` where it is differentiated.

    XLA makes one loop of a convolution and the `reduce_window` behind it, which the choices of
    `_windows` prevent: 6.3 and 43 ms for the forward pass of a small network at 256×28×28×1.
    """
    window, around = (1, *size, 1), [(0, 0), *pads, (0, 0)]
    least = np.asarray(_lowest(x), x.dtype)
    return lax.reduce_window(x, least, lax.max, window, window, around)


@_largest_apart.defjvp
def _tangent(size: tuple[int, ...], pads: Any, primals: Any, tangents: Any) -> Any:
    choose = functools.partial(_windows, combine=_larger, filler=_lowest(primals[0]))
    return jax.jvp(lambda x: choose(x, size=size, strides=size, pads=pads), primals, tangents)


def average_windows(x: jax.Array, size: Any, strides: Any, padding: str) -> jax.Array:
    """The mean of each window's own elements (not of the padding)."""
    spatial = x.shape[1:-1]
    pads = tuple(lax.padtype_to_pads(spatial, size, strides, padding))
    total = _windows(_wide(x), lax.add, 0, size, strides, pads)
    if any(map(any, pads)):
        ones = jnp.ones((1, *spatial, 1), total.dtype)
        mean = total / _windows(ones, lax.add, 0, size, strides, pads)
    else:
        mean = total / math.prod(size)
    return mean.astype(x.dtype)


def adaptive_largest(x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The largest elements of as many windows as `sizes` says; x is (batch, spatial..., channels).

    Window i of m over n elements goes from ⌊i·n/m⌋ up to ⌈(i+1)·n/m⌉, the latter not in it.
    """
    for axis in range(len(sizes), 0, -1):
        x = _parts(x, _larger, _lowest(x), sizes[axis - 1], axis)
    return x


def adaptive_average(x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The means of as many windows as `sizes` says, as of `adaptive_largest`."""
    total = _wide(x)
    for axis in range(len(sizes), 0, -1):
        starts, ends = _bounds(x.shape[axis], sizes[axis - 1])
        total = _parts(total, lax.add, 0, sizes[axis - 1], axis)
        lengths = (ends - starts).reshape(-1, *[1] * (x.ndim - axis - 1))
        total = total / lengths.astype(total.dtype)
    return total.astype(x.dtype)


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    # A choice, not a maximum: the gradient of equal elements goes to the first alone.
    return jnp.where((a >= b) | (a != a), a, b)  # a != a: a NaN stays


def _lowest(x: jax.Array) -> Any:
    return -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min


def _wide(x: jax.Array) -> jax.Array:
    """Half precision in single precision: sums are rounded once."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _windows(
    x: jax.Array,
    combine: Combine,
    filler: Any,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
) -> jax.Array:
    """Each window's elements combined, in row-major order.

    Args:
        x: shape (batch, spatial..., channels).
        combine: an associative function, elementwise on two arrays.
        filler: what the padding is made of.
        size, strides, pads: for each spatial axis.
    """
    # The last axis first, so that what is left of each row is compared in the rows' order.
    for axis in range(len(size), 0, -1):
        pad = pads[axis - 1]
        if any(pad):
            config = [(*pad, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
            x = lax.pad(x, jnp.asarray(filler, x.dtype), config)
        x = _along(x, combine, size[axis - 1], strides[axis - 1], axis)
    return x


def _parts(x: jax.Array, combine: Combine, filler: Any, m: int, axis: int) -> jax.Array:
    """An axis as m windows of about equal size, the elements of each combined."""
    starts, ends = _bounds(x.shape[axis], m)
    lengths = ends - starts
    k, distances = int(lengths.max()), set(np.diff(starts).tolist()) or {int(lengths[0])}
    if len(distances) == 1 and 0 not in distances and lengths.min() == k:
        return _along(x, combine, k, distances.pop(), axis)
    places = starts[:, None] + np.arange(k)
    inside = places < ends[:, None]
    x = jnp.take(x, np.where(inside, places, 0).ravel(), axis=axis)
    inside = inside.reshape(-1, *[1] * (x.ndim - axis - 1))
    return _folded(jnp.where(inside, x, jnp.asarray(filler, x.dtype)), combine, k, axis)


def _bounds(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of m windows over n elements begins and ends."""
    i = np.arange(m)
    return i * n // m, -(-(i + 1) * n // m)


def _along(x: jax.Array, combine: Combine, k: int, s: int, axis: int) -> jax.Array:
    """Windows of k elements, s apart, along one axis."""
    # Windows and their distances are made of whole blocks; what is over no window reaches.
    block = math.gcd(k, s)
    if block > _BLOCK:
        x, k, s = _folded(x, combine, block, axis), k // block, s // block
    if k > _LONGEST:
        return _doubled(x, combine, k, s, axis)
    reach = (x.shape[axis] - k) // s * s + 1
    parts = [lax.slice_in_dim(x, i, i + reach, s, axis) for i in range(k)]
    return functools.reduce(combine, parts)


def _folded(x: jax.Array, combine: Combine, block: int, axis: int) -> jax.Array:
    """Blocks along an axis, each combined to one element, neighbours first."""
    n = x.shape[axis] // block
    x = lax.slice_in_dim(x, 0, n * block, 1, axis)
    x = x.reshape(*x.shape[:axis], n, block, *x.shape[axis + 1 :])
    axis, rest = axis + 1, None
    while (n := x.shape[axis]) > 1:
        if n % 2:
            last = lax.slice_in_dim(x, n - 1, n, 1, axis)
            rest = last if rest is None else combine(last, rest)
        even, odd = (lax.slice_in_dim(x, i, n - n % 2, 2, axis) for i in (0, 1))
        x = combine(even, odd)
    return lax.squeeze(x if rest is None else combine(x, rest), (axis,))


def _doubled(x: jax.Array, combine: Combine, k: int, s: int, axis: int) -> jax.Array:
    """Windows of k put together from windows of 1, 2, 4, ... as k's binary digits say."""
    n, power, done, parts = x.shape[axis], 1, 0, []
    reach = (n - k) // s * s + 1
    while True:
        if k & power:
            parts.append(lax.slice_in_dim(x, done, done + reach, s, axis))
            done += power
        if done == k:
            return functools.reduce(combine, parts)
        n -= power
        first, second = (lax.slice_in_dim(x, i, i + n, 1, axis) for i in (0, power))
        x = combine(first, second)
        power *= 2
