"""Convolution and pooling over one, two or three spatial axes."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
from jax import lax

from weft.engine import ArrayOp, Tensor
from weft.kernels.conv import by_patches, worthwhile
from weft.kernels.pool import average_windows, largest
from weft.ops.arguments import axes_of, tensor_of

__all__ = ["average_pool", "conv", "depthwise_conv", "max_pool", "separable_conv"]

_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def _many(value: Any, n: int, name: str, what: str) -> tuple[int, ...]:
    """One int for each spatial axis."""
    return _checked(value if value.__class__ in (int, tuple) else axes_of(value), n, name, what)


@functools.cache
def _checked(value: Any, n: int, name: str, what: str) -> tuple[int, ...]:
    value = axes_of(value)
    many = (value,) * n if isinstance(value, int) else value
    if not isinstance(many, tuple) or len(many) != n or min(many) < 1:
        raise ValueError(f"{name}: {what} must be a positive int or {n} of them, got {value!r}.")
    return many


def _layout(name: str, x: Any, data_format: str | None) -> tuple[int, bool]:
    """The number of spatial axes, and whether channels come first."""
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            f"{name}: data_format is 'channels_last' or 'channels_first', got {data_format!r}."
        )
    n = len(x.shape) - 2
    if n not in _LETTERS:
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
    x: jnp.ndarray, kernel: jnp.ndarray, *, strides: Any, padding: str, dilation: Any, first: bool,
    depthwise: bool = False,
) -> jnp.ndarray:  # fmt: skip
    letters = _LETTERS[x.ndim - 2]
    layout = f"NC{letters}" if first else f"N{letters}C"
    channels = x.shape[1 if first else -1]
    if kernel.ndim != x.ndim:
        raise ValueError(
            f"the kernel must have {x.ndim} axes (spatial..., in, out), got shape {kernel.shape}."
        )
    if depthwise:
        if kernel.shape[-2] != channels:
            raise ValueError(
                f"the input has {channels} channels, the kernel {kernel.shape} is for "
                f"{kernel.shape[-2]}."
            )
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    if channels % kernel.shape[-2]:
        raise ValueError(
            f"the input has {channels} channels, the kernel {kernel.shape} is for "
            f"{kernel.shape[-2]} (or a multiple, in groups)."
        )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True)]
    _check_fits(x, reach, padding, first)
    kind = jnp.result_type(x, kernel)
    x, kernel = x.astype(kind), kernel.astype(kind)
    if not first and worthwhile(x, kernel, strides, padding, dilation):
        return by_patches(x, kernel, strides)
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=(layout, f"{letters}IO", layout),
        feature_group_count=channels // kernel.shape[-2],
    )


_conv_op = ArrayOp(_conv, "conv")
_depthwise_op = ArrayOp(_conv, "depthwise_conv")


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
    return _convolve(_conv_op, "conv", inputs, kernel, strides, padding, data_format, dilation_rate)


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
    return _convolve(
        _depthwise_op, "depthwise_conv", inputs, kernel, strides, padding, data_format,
        dilation_rate, depthwise=True,
    )  # fmt: skip


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """`depthwise_conv`, then `conv` with a kernel of spatial size 1."""
    between = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(between, pointwise_kernel, 1, "valid", data_format, 1)


def _convolve(
    op: ArrayOp, name: str, inputs: Any, kernel: Any, strides: Any, padding: Any, data_format: Any,
    dilation_rate: Any, **more: Any,
) -> Tensor:  # fmt: skip
    inputs = tensor_of(inputs)
    n, first = _layout(name, inputs, data_format)
    return op(
        inputs,
        kernel,
        strides=_many(strides, n, name, "strides"),
        padding=_padding(name, padding),
        dilation=_many(dilation_rate, n, name, "dilation_rate"),
        first=first,
        **more,
    )


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
