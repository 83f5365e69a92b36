"""Convolution lowered by shape, where XLA's own is slow on CPU; elsewhere as XLA has it.

Arrays are (batch, spatial..., channels), kernels (spatial..., in / groups, out).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weft.kernels.depthwise import by_shifts

__all__ = ["by_blocks", "by_patches", "by_planes", "convolve", "worthwhile"]

_BYTES = 16 * 2**20
_LEAST = 16

Pads = Sequence[tuple[int, int]]


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
) -> jax.Array:
    """The convolution of `x`, in as many groups as the kernel's channels go into its own.

    Args:
        x: shape (batch, spatial..., channels).
        kernel: shape (spatial..., channels / groups, out).
        strides, dilation: for each spatial axis.
        pads: the zeros before and after, for each spatial axis; below zero, elements cut off.
    """
    groups = x.shape[-1] // kernel.shape[-2]
    how = (strides, pads, dilation)
    if jax.default_backend() == "cpu" and jnp.issubdtype(x.dtype, jnp.floating):
        if groups > 1:
            return (by_shifts if kernel.shape[-2] == 1 else by_blocks)(x, kernel, *how)
        if worthwhile(x, kernel, *how):
            pointwise = math.prod(kernel.shape[:-2]) == 1
            return (by_patches if pointwise else _in_training)(x, kernel, tuple(strides))
        if len(strides) == 3:
            return by_planes(x, kernel, *how)
    return _by_xla(x, kernel, strides, pads, dilation, groups)


def _by_xla(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    groups: int = 1,
) -> jax.Array:
    letters = "DHW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=pads,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=groups,
    )


def by_blocks(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
) -> jax.Array:
    """Convolution in groups as several without: of groups, or of a few groups together.

    XLA runs the gradient of a grouped convolution element by element on CPU. Measured on 2 cores
    in float32, ms forward + backward, XLA's own against this: 71 and 1.3 (8×16×16×64→64, 3×3, 8
    groups); 405 and 3.0 (8×16×16×128→128, 32 groups). A group of few channels makes a thin product:
    with zeros between them, several become one (7.5 instead of 3.0 without that).
    """
    within = kernel.shape[-2]
    groups = x.shape[-1] // within
    enough = [m for m in range(1, groups) if groups % m == 0 and m * within >= _LEAST]
    many = min(enough, default=groups)
    out = kernel.shape[-1] // groups
    parts = kernel.reshape(*kernel.shape[:-1], groups, out)
    blocks = []
    for start in range(0, groups, many):
        each = lax.slice_in_dim(x, start * within, (start + many) * within, axis=-1)
        own = parts[..., start : start + many, :]  # (spatial..., within, many, out)
        # Zero wherever the group of the input's channel is not that of the output's.
        diagonal = jnp.eye(many, dtype=kernel.dtype)[:, None, :, None] * own[..., None, :, :, :]
        diagonal = diagonal.reshape(*kernel.shape[:-2], many * within, many * out)
        blocks.append(convolve(each, diagonal, strides, pads, dilation))
    return jnp.concatenate(blocks, -1)


def by_planes(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
) -> jax.Array:
    """Convolution over three axes as one over two, the planes under the kernel being channels.

    XLA's own is a plain loop on CPU. Measured on 2 cores in float32, ms forward + backward, XLA's
    own against this: 5.7 and 0.7 (4×8×8×8×16→16, 3×3×3, padded); 10 and 0.4 with stride 2; 217 and
    32 (2×24×24×24×16→16); 84 and 3.2 (1×16×32×32×3→32).
    """
    depth = kernel.shape[0]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (*pads[0], 0), *[(0, 0, 0)] * 3])
    (planes,) = _sizes(x.shape[1:2], (depth,), strides[:1], [(0, 0)], dilation[:1])
    reach = (planes - 1) * strides[0] + 1
    starts = [i * dilation[0] for i in range(depth)]
    under = [lax.slice_in_dim(x, i, i + reach, strides[0], 1) for i in starts]
    stacked = jnp.concatenate(under, -1)
    flat = jnp.moveaxis(kernel, 0, 2).reshape(*kernel.shape[1:3], -1, kernel.shape[-1])
    images = stacked.reshape(-1, *stacked.shape[2:])
    y = convolve(images, flat, strides[1:], pads[1:], dilation[1:])
    return y.reshape(x.shape[0], planes, *y.shape[1:])


def _sizes(
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
) -> list[int]:
    """The output's spatial sizes."""
    each = zip(spatial, window, strides, pads, dilation, strict=True)
    return [(n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, pad, d in each]


def worthwhile(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
) -> bool:
    """Whether `by_patches` is faster than XLA's convolution, forward and backward together.

    Measured on 2 cores in float32, ms for both passes, XLA's own against patches:

    - kernels of size 1: 4.3 and 2.0 (32×32×32×16→64); 0.9 and 0.4 with stride 2 (→32);
    - without padding: 7.5 and 3.6 (64×13×13×32→64, 3×3); 9.8 and 6.0 (32×15×15×64→64);
      1.1 and 0.8 (64×28×28×1→32). The weight's gradient gains, XLA's being twice its forward;
    - not with padding (3.1 and 5.2 for 32×16×16×32→32; 40 and 97 for 8×56×56×64→64), as copying
      from a padded array is slow, nor where patches outgrow the caches (14 and 22 for
      32×30×30×32→32, whose patches take 29 MB). Neither a row of patches stacked as channels nor
      a sum of one product for each point of the kernel did better there (2.7, 3.2 and 4.5 for
      8×32×32×32→32).
    """
    if jax.default_backend() != "cpu" or x.dtype != jnp.float32:
        return False
    window = kernel.shape[:-2]
    if any(map(any, pads)) or set(dilation) != {1} or kernel.shape[-2] != x.shape[-1]:
        return False
    if math.prod(window) == 1:
        return True
    if set(strides) != {1}:
        return False
    places = math.prod(_sizes(x.shape[1:-1], window, strides, pads, dilation))
    return 0 < 4 * x.shape[0] * places * math.prod(kernel.shape[:-1]) <= _BYTES


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _in_training(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...]) -> jax.Array:
    """XLA's convolution without padding, and `by_patches` where it is differentiated.

    XLA's forward pass alone is the faster one (ms, XLA's own and patches: 0.23 and 0.53 for
    64×28×28×1→32, 3×3; 1.7 and 2.6 for 64×13×13×32→64), its gradients are the slow part.
    """
    return _by_xla(x, kernel, strides, [(0, 0)] * len(strides), [1] * len(strides))


@_in_training.defjvp
def _tangent(strides: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    return jax.jvp(lambda x, kernel: by_patches(x, kernel, strides), primals, tangents)


def by_patches(x: jax.Array, kernel: jax.Array, strides: Sequence[int]) -> jax.Array:
    """Convolution without padding: windows as rows, times the kernel as a matrix."""
    window, out, ones = kernel.shape[:-2], kernel.shape[-1], (1,) * len(strides)
    sizes = _sizes(x.shape[1:-1], window, strides, [(0, 0)] * len(strides), ones)
    columns = []
    for start in itertools.product(*map(range, window)):
        end = [i + (n - 1) * s + 1 for i, n, s in zip(start, sizes, strides, strict=True)]
        limits = (x.shape[0], *end, x.shape[-1])
        columns.append(lax.slice(x, (0, *start, 0), limits, (1, *strides, 1)))
    rows = jnp.concatenate(columns, -1) if len(columns) > 1 else columns[0]
    product = rows.reshape(-1, rows.shape[-1]) @ kernel.reshape(-1, out)
    return product.reshape(x.shape[0], *sizes, out)
