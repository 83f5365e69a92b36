"""Convolution of each channel by itself, alone or followed by a mixing of the channels."""

from __future__ import annotations

from typing import Any

from weft.layers.convolving import Convolving
from weft.layers.options import positive
from weft.ops.convolution import depthwise_op, separable_op

__all__ = [
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "SeparableConvolution1D", "SeparableConvolution2D",
]  # fmt: skip


class _Depthwise(Convolving):
    """What the depthwise layers share; they say over how many axes the kernel is moved."""

    operation = depthwise_op
    dilates_strided = True

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "depthwise": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
                "bias": (bias_initializer, bias_regularizer, bias_constraint),
            },
            activity_regularizer=activity_regularizer,
            **kwargs,
        )  # fmt: skip
        self.depth_multiplier = positive(type(self).__name__, "depth_multiplier", depth_multiplier)

    def _shapes(self, channels: int) -> tuple[list[tuple[int, ...]], int]:
        multiplier = self.depth_multiplier
        return [(*self.kernel_size, channels, multiplier)], channels * multiplier

    @property
    def depthwise_kernel(self) -> Any:
        """Keras 2's name of `kernel`."""
        return self.kernel

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}


class _Separable(Convolving):
    """What the separable layers share; they say over how many axes the kernel is moved."""

    operation = separable_op
    kernels = ("depthwise_kernel", "pointwise_kernel")
    dilates_strided = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        for unused in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            kwargs.pop(unused, None)  # Keras 2's configs hold them
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "depthwise": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
                "pointwise": (pointwise_initializer, pointwise_regularizer, pointwise_constraint),
                "bias": (bias_initializer, bias_regularizer, bias_constraint),
            },
            activity_regularizer=activity_regularizer,
            **kwargs,
        )  # fmt: skip
        kind = type(self).__name__
        self.filters = positive(kind, "filters", filters)
        self.depth_multiplier = positive(kind, "depth_multiplier", depth_multiplier)

    def _shapes(self, channels: int) -> tuple[list[tuple[int, ...]], int]:
        multiplier = self.depth_multiplier
        ones = (1,) * self.rank
        pointwise = (*ones, channels * multiplier, self.filters)
        return [(*self.kernel_size, channels, multiplier), pointwise], self.filters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
        }


class DepthwiseConv1D(_Depthwise):
    """Each channel convolved by itself, over the steps of a sequence.

    Args:
        kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation,
            use_bias, depthwise_initializer, bias_initializer, depthwise_regularizer,
            bias_regularizer, activity_regularizer, depthwise_constraint, bias_constraint: as of
            `DepthwiseConv2D`, the sizes being one int.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Returns:
        Shape (batch, new steps, channels·depth_multiplier), or with the channels first.

    Raises:
        ValueError, ShapeError: as `DepthwiseConv2D`.

    Example:
        >>> import weft
        >>> weft.layers.DepthwiseConv1D(3)(weft.ops.ones((2, 10, 6))).shape
        (2, 8, 6)
    """

    rank = 1


class DepthwiseConv2D(_Depthwise):
    """Each channel convolved by itself, over rows and columns.

    y[i, j, c·m + q] = activation(Σ x[s·i + d·a - above, s·j + d·b - left, c]·kernel[a, b, c, q] +
    bias[c·m + q]) over a and b, with m the multiplier, s the stride and d the dilation.

    Args:
        kernel_size: an int, or (rows, columns).
        strides: an int, or (rows, columns).
        padding: "valid" (none) or "same" (zeros, so that the output has size ⌈n / stride⌉).
        depth_multiplier: the number of kernels, and so of output channels, of each channel.
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance of the kernel's points; an int, or (rows, columns).
        activation: a name or a callable; none by default.
        use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer: first values.
        depthwise_regularizer, bias_regularizer, activity_regularizer: penalties that become losses.
        depthwise_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, rows, columns, channels); channels_first: (batch, channels,
            rows, columns).

    Returns:
        Shape (batch, new rows, new columns, channels·depth_multiplier), or with the channels first.

    Raises:
        ValueError: sizes that are not positive, an unknown padding, data_format or activation.
        ShapeError: an input of another rank, with unknown channels or others than the kernel has,
            or smaller than the kernel.

    Example:
        >>> import weft
        >>> weft.layers.DepthwiseConv2D(3, depth_multiplier=2)(weft.ops.ones((2, 5, 5, 4))).shape
        (2, 3, 3, 8)

    Reference: Howard et al., MobileNets (2017), §3.1.
    """

    rank = 2


class SeparableConv1D(_Separable):
    """Each channel convolved by itself over the steps of a sequence, then the channels mixed.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier,
            activation, use_bias, depthwise_initializer, pointwise_initializer, bias_initializer,
            depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer,
            depthwise_constraint, pointwise_constraint, bias_constraint: as of `SeparableConv2D`,
            the sizes being one int.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Returns:
        Shape (batch, new steps, filters); channels_first: (batch, filters, new steps).

    Raises:
        ValueError, ShapeError: as `SeparableConv2D`.

    Example:
        >>> import weft
        >>> weft.layers.SeparableConv1D(4, 3)(weft.ops.ones((2, 10, 6))).shape
        (2, 8, 4)
    """

    rank = 1


class SeparableConv2D(_Separable):
    """Each channel convolved by itself over rows and columns, then the channels mixed.

    activation(z·pointwise_kernel + bias), with z what `DepthwiseConv2D` makes of depthwise_kernel:
    fewer weights and products than a `Conv2D`, whose kernel this writes as a product of two.

    Args:
        filters: the number of output channels.
        kernel_size: an int, or (rows, columns).
        strides: an int, or (rows, columns).
        padding: "valid" (none) or "same" (zeros, so that the output has size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance of the kernel's points; an int, or (rows, columns).
        depth_multiplier: the number of depthwise kernels of each channel.
        activation: a name or a callable; none by default.
        use_bias: whether a bias is added.
        depthwise_initializer, pointwise_initializer, bias_initializer: first values.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer:
            penalties that become losses.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, rows, columns, channels); channels_first: (batch, channels,
            rows, columns).

    Returns:
        Shape (batch, new rows, new columns, filters); channels_first: (batch, filters, ...).

    Raises:
        ValueError: sizes that are not positive, an unknown padding, data_format or activation.
        ShapeError: an input of another rank, with unknown channels or others than the kernels
            have, or smaller than the kernel.

    Example:
        >>> import weft
        >>> weft.layers.SeparableConv2D(8, 3)(weft.ops.ones((2, 5, 5, 4))).shape
        (2, 3, 3, 8)

    Reference: Chollet, Xception (2017), §3; its separable modules are this with nothing between.
    """

    rank = 2


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
