"""Convolution layers."""

from __future__ import annotations

from typing import Any

from weft.engine import ShapeError
from weft.layers.convolving import Convolving
from weft.layers.options import positive
from weft.ops.convolution import conv_op

__all__ = ["Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D"]


class _Convolution(Convolving):
    """What the layers below share; they say over how many axes the kernel is moved."""

    operation = conv_op

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
                "bias": (bias_initializer, bias_regularizer, bias_constraint),
            },
            activity_regularizer=activity_regularizer,
            **kwargs,
        )  # fmt: skip
        kind = type(self).__name__
        self.filters = positive(kind, "filters", filters)
        self.groups = positive(kind, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{kind}: filters must be a multiple of groups, got filters={filters}, "
                f"groups={groups}."
            )

    def _shapes(self, channels: int) -> tuple[list[tuple[int, ...]], int]:
        if channels % self.groups:
            raise ShapeError(
                f"the number of channels must be a multiple of groups={self.groups}, got "
                f"{channels}."
            )
        return [(*self.kernel_size, channels // self.groups, self.filters)], self.filters

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}


class Conv1D(_Convolution):
    """activation(x ⋆ kernel + bias), the kernel moved over the steps of a sequence (not flipped).

    y[i, o] = activation(Σ x[s·i + d·a - before, c]·kernel[a, c, o] + bias[o]) over a and c, with s
    the stride and d the dilation.

    Args:
        padding: "valid" (none), "same" (zeros, so that the output has size ⌈n / stride⌉) or
            "causal" (zeros before alone, so that no output sees a later step).
        filters, kernel_size, strides, data_format, dilation_rate, groups, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as of `Conv2D`, the sizes
            being one int.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Returns:
        Shape (batch, new steps, filters); channels_first: (batch, filters, new steps).

    Raises:
        ValueError, ShapeError: as `Conv2D`.

    Example:
        >>> import weft
        >>> weft.layers.Conv1D(4, 3, padding="causal")(weft.ops.ones((2, 10, 6))).shape
        (2, 10, 4)

    Reference: van den Oord et al., WaveNet (2016), §2.1, for causal and dilated kernels.
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Convolution):
    """activation(x ⋆ kernel + bias), the kernel moved over rows and columns (not flipped).

    y[i, j, o] = activation(Σ x[s·i + d·a - above, s·j + d·b - left, c]·kernel[a, b, c, o] +
    bias[o]) over a, b and c, with s the stride and d the dilation.

    Args:
        filters: the number of output channels.
        kernel_size: an int, or (rows, columns).
        strides: an int, or (rows, columns).
        padding: "valid" (none) or "same" (zeros, so that the output has size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance of the kernel's points; an int, or (rows, columns). Not above 1
            together with strides above 1.
        groups: into how many groups the channels are split, each convolved by itself.
        activation: a name or a callable; none by default.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties that become losses.
        kernel_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, rows, columns, channels); channels_first: (batch, channels,
            rows, columns).

    Returns:
        Shape (batch, new rows, new columns, filters); channels_first: (batch, filters, ...).

    Raises:
        ValueError: sizes that are not positive, filters that `groups` does not divide, strides
            together with a dilation, an unknown padding, data_format or activation.
        ShapeError: an input of another rank, with unknown channels or others than the kernel has,
            or smaller than the kernel.

    Example:
        >>> import weft
        >>> weft.layers.Conv2D(8, 3, padding="same")(weft.ops.ones((2, 5, 5, 1))).shape
        (2, 5, 5, 8)
    """

    rank = 2


class Conv3D(_Convolution):
    """activation(x ⋆ kernel + bias), the kernel moved over planes, rows and columns (not flipped).

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as of `Conv2D`, the sizes
            being an int or (planes, rows, columns).
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, planes, rows, columns, channels); channels_first: (batch,
            channels, planes, rows, columns).

    Returns:
        Shape (batch, new planes, new rows, new columns, filters); channels_first: (batch, filters,
        ...).

    Raises:
        ValueError, ShapeError: as `Conv2D`.

    Example:
        >>> import weft
        >>> weft.layers.Conv3D(4, 2, strides=2)(weft.ops.ones((1, 4, 4, 6, 3))).shape
        (1, 2, 2, 3, 4)
    """

    rank = 3


Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
