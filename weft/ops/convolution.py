"""Convolution and pooling over one, two or three spatial axes."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
from jax import lax

from weft.engine import ArrayOp, Tensor
from weft.kernels.conv import convolve
from weft.kernels.conv_transpose import transposed
from weft.kernels.pool import average_windows, largest
from weft.ops.arguments import axes_of, tensor_of

__all__ = [
    "average_pool", "conv", "conv_transpose", "depthwise_conv", "max_pool", "separable_conv",
]  # fmt: skip


def _many(value: Any, n: int, name: str, what: str, least: int = 1) -> tuple[int, ...]:
    """One int for each spatial axis, none below `least`."""
    value = value if value.__class__ in (int, tuple) else axes_of(value)
    return _checked(value, n, name, what, least)


@functools.cache
def _checked(value: Any, n: int, name: str, what: str, least: int) -> tuple[int, ...]:
    value = axes_of(value)
    many = (value,) * n if isinstance(value, int) else value
    if not isinstance(many, tuple) or len(many) != n or min(many) < least:
        kind = "positive" if least else "non-negative"
        raise ValueError(f"{name}: {what} must be a {kind} int or {n} of them, got {value!r}.")
    return many


def _layout(name: str, x: Any, data_format: str | None) -> tuple[int, bool]:
    """The number of spatial axes, and whether channels come first."""
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            f"{name}: data_format is 'channels_last' or 'channels_first', got {data_format!r}."
        )
    n = len(x.shape) - 2
    if not 1 <= n <= 3:
        raise ValueError(
            f"{name} needs an input of shape (batch, spatial..., channels) with 1 to 3 spatial "
            f"axes, got shape {tuple(x.shape)}."
        )
    return n, data_format == "channels_first"


def _padding(name: str, padding: Any) -> str:
    if not isinstance(padding, str) or padding.upper() not in ("VALID", "SAME"):
        raise ValueError(f"{name}: padding is 'valid' or 'same', got {padding!r}.")
    return padding.upper()


def _check_fits(x: Any, window: Any, padding: str, first: bool) -> None:
    spatial = x.shape[2:] if first else x.shape[1:-1]
    if padding == "VALID" and any(n < w for n, w in zip(spatial, window, strict=True)):
        raise ValueError(
            f"a window of {tuple(window)} does not fit into the input's spatial shape {spatial}. "
            "Use padding='same', a larger input or a smaller window."
        )


# -- convolution --------------------------------------------------------------------------


def _conv(
    x: jnp.ndarray, kernel: jnp.ndarray, *bias: jnp.ndarray, first: bool, **how: Any
) -> jnp.ndarray:
    return _finished(_plain(_channels_last(x, first), kernel, **how), bias, first)


def _depthwise(
    x: jnp.ndarray, kernel: jnp.ndarray, *bias: jnp.ndarray, first: bool, **how: Any
) -> jnp.ndarray:
    return _finished(_each_channel(_channels_last(x, first), kernel, **how), bias, first)


def _separable(
    x: jnp.ndarray,
    depthwise: jnp.ndarray,
    pointwise: jnp.ndarray,
    *bias: jnp.ndarray,
    first: bool,
    **how: Any,
) -> jnp.ndarray:
    between = _each_channel(_channels_last(x, first), depthwise, **how)
    channels, ones = between.shape[-1], (1,) * (x.ndim - 2)
    if pointwise.shape[:-1] != (*ones, channels):
        raise ValueError(
            f"the pointwise kernel must have shape {(*ones, channels, 'filters')}: the depthwise "
            f"convolution gives {channels} channels. Got shape {pointwise.shape}."
        )
    y = _plain(between, pointwise, strides=ones, padding="VALID", dilation=ones)
    return _finished(y, bias, first)


def _transpose(
    x: jnp.ndarray,
    kernel: jnp.ndarray,
    *bias: jnp.ndarray,
    strides: Any,
    padding: str,
    output_padding: Any,
    dilation: Any,
    first: bool,
) -> jnp.ndarray:
    x = _channels_last(x, first)
    x, kernel = _one_kind(x, kernel, "(spatial..., out, in)")
    if kernel.shape[-1] != x.shape[-1]:
        raise ValueError(
            f"the input has {x.shape[-1]} channels, the kernel {kernel.shape} is for "
            f"{kernel.shape[-1]}."
        )
    sizes, pads = [], []
    more = output_padding or (None,) * len(strides)
    each = zip(x.shape[1:-1], kernel.shape[:-2], strides, dilation, more, strict=True)
    for n, k, s, d, extra in each:
        reach = (k - 1) * d + 1
        full = (n - 1) * s + reach  # all that x reaches
        if padding == "VALID":
            size = n * s + max(reach - s, 0) if extra is None else full + extra
            before = 0
        else:
            size = n * s if extra is None else full - reach // 2 * 2 + extra
            before = max(full - size, 0) // 2
        sizes.append(size)
        pads.append((before, full - size - before))
    y = transposed(x, kernel, sizes, strides, pads, dilation)
    return _finished(y, bias, first)


def _channels_last(x: jnp.ndarray, first: bool) -> jnp.ndarray:
    # XLA chooses the layout by itself: convolutions written either way take the same time.
    return jnp.moveaxis(x, 1, -1) if first else x


def _finished(y: jnp.ndarray, bias: Any, first: bool) -> jnp.ndarray:
    y = y + bias[0] if bias else y
    return jnp.moveaxis(y, -1, 1) if first else y


def _one_kind(x: jnp.ndarray, kernel: jnp.ndarray, axes: str) -> tuple[jnp.ndarray, jnp.ndarray]:
    if kernel.ndim != x.ndim:
        raise ValueError(f"the kernel must have {x.ndim} axes {axes}, got shape {kernel.shape}.")
    kind = jnp.result_type(x, kernel)
    return x.astype(kind), kernel.astype(kind)


def _plain(
    x: jnp.ndarray, kernel: jnp.ndarray, *, strides: Any, padding: str, dilation: Any
) -> jnp.ndarray:
    x, kernel = _one_kind(x, kernel, "(spatial..., in, out)")
    channels, within, out = x.shape[-1], *kernel.shape[-2:]
    if not within or channels % within or out % (channels // within):
        raise ValueError(
            f"the input has {channels} channels, the kernel {kernel.shape} is for {within} (or a "
            "multiple, in groups that divide the output's channels)."
        )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True)]
    _check_fits(x, reach, padding, False)
    pads = (
        [(n - 1, 0) for n in reach]
        if padding == "CAUSAL"
        else lax.padtype_to_pads(x.shape[1:-1], reach, strides, padding)
    )
    return convolve(x, kernel, strides, pads, dilation)


def _each_channel(x: jnp.ndarray, kernel: jnp.ndarray, **how: Any) -> jnp.ndarray:
    if kernel.ndim == x.ndim:
        if kernel.shape[-2] != x.shape[-1]:
            raise ValueError(
                f"the input has {x.shape[-1]} channels, the kernel {kernel.shape} is for "
                f"{kernel.shape[-2]}."
            )
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    return _plain(x, kernel, **how)


# What layers call too, with a bias at the end. Padding "CAUSAL" is known here alone: zeros before.
conv_op = ArrayOp(_conv, "conv")
depthwise_op = ArrayOp(_depthwise, "depthwise_conv")
separable_op = ArrayOp(_separable, "separable_conv")
transpose_op = ArrayOp(_transpose, "conv_transpose")


def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution (cross-correlation: the kernel is not flipped).

    Args:
        inputs: shape (batch, spatial..., in), with 1 to 3 spatial axes.
        kernel: shape (spatial..., in / groups, out).
        strides: an int, or one for each spatial axis.
        padding: "valid" (none) or "same" (zeros, so that the output has size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: an int, or one for each spatial axis.

    Returns:
        Shape (batch, spatial..., out).

    Raises:
        ShapeError, ValueError: shapes or options that do not fit.
    """
    inputs = tensor_of(inputs)
    how = _options("conv", inputs, strides, padding, data_format, dilation_rate)
    return conv_op(inputs, kernel, **how)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Transposed convolution: each element adds the kernel, times itself, where `conv` read it.

    Along each axis y[s·i + d·j - before] += x[i]·kernel[j], s the stride and d the dilation; with
    padding "same", half of what the output is shorter than all these places is cut off before.
    With n the input's size and r = d·(k - 1) + 1 the kernel's reach, the output has size

    - "valid": n·s + max(r - s, 0); with an output padding p, (n - 1)·s + r + p;
    - "same": n·s; with an output padding p, (n - 1)·s + r - 2·⌊r / 2⌋ + p.

    Args:
        inputs: shape (batch, spatial..., in), with 1 to 3 spatial axes.
        kernel: shape (spatial..., out, in).
        strides: an int, or one for each spatial axis.
        padding: "valid" or "same".
        output_padding: an int, or one for each spatial axis; chosen by the other options if None.
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: an int, or one for each spatial axis.

    Returns:
        Shape (batch, spatial..., out).

    Raises:
        ShapeError, ValueError: shapes or options that do not fit.

    Example:
        >>> from weft import ops
        >>> ops.conv_transpose([[[1.0], [2.0]]], ops.ones((2, 1, 1)), strides=2).numpy().ravel()
        array([1., 1., 2., 2.], dtype=float32)

    Reference: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), §4.
    """
    inputs = tensor_of(inputs)
    how = _options("conv_transpose", inputs, strides, padding, data_format, dilation_rate)
    if output_padding is not None:
        n = len(inputs.shape) - 2
        output_padding = _many(output_padding, n, "conv_transpose", "output_padding", 0)
    return transpose_op(inputs, kernel, output_padding=output_padding, **how)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution of each channel by itself.

    Args:
        inputs: shape (batch, spatial..., in).
        kernel: shape (spatial..., in, multiplier); the output has in·multiplier channels.
        strides, padding, data_format, dilation_rate: as of `conv`.
    """
    inputs = tensor_of(inputs)
    how = _options("depthwise_conv", inputs, strides, padding, data_format, dilation_rate)
    return depthwise_op(inputs, kernel, **how)


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """`depthwise_conv`, then `conv` with a kernel of spatial size 1.

    Args:
        inputs: shape (batch, spatial..., in).
        depthwise_kernel: shape (spatial..., in, multiplier).
        pointwise_kernel: shape (1..., in·multiplier, out).
        strides, padding, data_format, dilation_rate: as of `conv`, of the depthwise convolution.

    Returns:
        Shape (batch, spatial..., out).
    """
    inputs = tensor_of(inputs)
    how = _options("separable_conv", inputs, strides, padding, data_format, dilation_rate)
    return separable_op(inputs, depthwise_kernel, pointwise_kernel, **how)


def _options(
    name: str, inputs: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any
) -> dict[str, Any]:
    n, first = _layout(name, inputs, data_format)
    return {
        "strides": _many(strides, n, name, "strides"),
        "padding": _padding(name, padding),
        "dilation": _many(dilation_rate, n, name, "dilation_rate"),
        "first": first,
    }


# -- pooling ------------------------------------------------------------------------------


def _max_pool(x: jnp.ndarray, *, size: Any, strides: Any, padding: str, first: bool) -> Any:
    return _with_channels_last(largest, x, size, strides, padding, first)


def _average_pool(x: jnp.ndarray, *, size: Any, strides: Any, padding: str, first: bool) -> Any:
    x = x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32)
    return _with_channels_last(average_windows, x, size, strides, padding, first)


def _with_channels_last(
    pool: Any, x: Any, size: Any, strides: Any, padding: str, first: bool
) -> Any:
    _check_fits(x, size, padding, first)
    y = pool(jnp.moveaxis(x, 1, -1) if first else x, size, strides, padding)
    return jnp.moveaxis(y, -1, 1) if first else y


_max_pool_op = ArrayOp(_max_pool, "max_pool")
_average_pool_op = ArrayOp(_average_pool, "average_pool")


def _pool(
    op: ArrayOp,
    name: str,
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: Any,
    data_format: Any,
) -> Tensor:
    inputs = tensor_of(inputs)
    n, first = _layout(name, inputs, data_format)
    size = _many(pool_size, n, name, "pool_size")
    steps = size if strides is None else _many(strides, n, name, "strides")
    return op(inputs, size=size, strides=steps, padding=_padding(name, padding), first=first)


def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest value of each window.

    Args:
        inputs: shape (batch, spatial..., channels), with 1 to 3 spatial axes.
        pool_size: an int, or one for each spatial axis.
        strides: likewise; the pool size by default.
        padding: "valid" (only whole windows) or "same" (an output of size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
    """
    return _pool(_max_pool_op, "max_pool", inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window, of the input's own elements; arguments as of `max_pool`."""
    return _pool(_average_pool_op, "average_pool", inputs, pool_size, strides, padding, data_format)
