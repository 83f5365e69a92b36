"""Transposed convolution: the gradient of a convolution with respect to its input."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax

from weft.kernels.conv import convolve

__all__ = ["transposed"]


def transposed(
    x: jax.Array,
    kernel: jax.Array,
    sizes: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> jax.Array:
    """What `convolve(·, kernel, strides, pads, dilation)`, from `sizes` to x's, is the adjoint of.

    Args:
        x: shape (batch, spatial..., in).
        kernel: shape (spatial..., out, in).
        sizes: the output's spatial sizes.
        strides, pads, dilation: of the convolution, for each spatial axis.

    Returns:
        Shape (batch, *sizes, out).
    """
    return _transposed(x, kernel, tuple(sizes), tuple(strides), tuple(pads), tuple(dilation))


# With a rule of its own, as both gradients are a plain convolution's. What JAX derives instead runs
# element by element on CPU: 35 ms forward + backward and 1.8 with the rule (8×16×16×64→32, 3×3,
# stride 2); 93 and 3.8 with 5×5; 5.8 and 0.4 for 8×128×64→64, 3.
@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _transposed(x: Any, kernel: Any, sizes: Any, *how: Any) -> Any:
    shape = jax.ShapeDtypeStruct((x.shape[0], *sizes, kernel.shape[-2]), x.dtype)
    adjoint = jax.linear_transpose(lambda z: convolve(z, kernel, *how), shape)
    return adjoint(x)[0]


def _forward(x: Any, kernel: Any, *how: Any) -> Any:
    return _transposed(x, kernel, *how), (x, kernel)


def _backward(sizes: Any, strides: Any, pads: Any, dilation: Any, kept: Any, d_y: Any) -> Any:
    x, kernel = kept
    d_x, of_kernel = jax.vjp(lambda k: convolve(d_y, k, strides, pads, dilation), kernel)
    return d_x, of_kernel(x)[0]


_transposed.defvjp(_forward, _backward)
