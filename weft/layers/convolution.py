"""Convolution layers."""

from __future__ import annotations

from typing import Any

from weft import activations
from weft.engine import ArrayOp, ShapeError, Tensor
from weft.layers.layer import Layer
from weft.layers.options import (
    check_rank,
    data_format_of,
    make_weight,
    option_config,
    padding_of,
    positive,
    positive_many,
    set_options,
)
from weft.ops import conv

__all__ = ["Conv2D", "Convolution2D"]


_add_to_channels = ArrayOp(lambda y, bias: y + bias.reshape(-1, *[1] * (y.ndim - 2)), "add_bias")


class Conv2D(Layer):
    """activation(x ⋆ kernel + bias), the kernel moved over rows and columns (not flipped).

    Args:
        filters: the number of output channels.
        kernel_size: an int, or (rows, columns).
        strides: an int, or (rows, columns).
        padding: "valid" (none) or "same" (zeros, so that the output has size ⌈n / stride⌉).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance of the kernel's points; an int, or (rows, columns).
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
        ValueError: sizes that are not positive, filters that `groups` does not divide, an unknown
            padding, data_format or activation.
        ShapeError: an input of another rank, with other channels than the kernel has, or smaller
            than the kernel.

    Example:
        >>> import weft
        >>> weft.layers.Conv2D(8, 3, padding="same")(weft.ops.ones((2, 5, 5, 1))).shape
        (2, 5, 5, 8)
    """

    rank = 2
    axes = ("rows", "columns")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        kind = type(self).__name__
        self.filters = positive(kind, "filters", filters)
        self.kernel_size = positive_many(kind, "kernel_size", kernel_size, self.rank)
        self.strides = positive_many(kind, "strides", strides, self.rank)
        self.padding = padding_of(kind, padding)
        self.data_format = data_format_of(kind, data_format)
        self.dilation_rate = positive_many(kind, "dilation_rate", dilation_rate, self.rank)
        self.groups = positive(kind, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{kind}: filters must be a multiple of groups, got filters={filters}, "
                f"groups={groups}."
            )
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        set_options(
            self, "kernel", initializer=kernel_initializer, regularizer=kernel_regularizer,
            constraint=kernel_constraint,
        )  # fmt: skip
        set_options(
            self, "bias", initializer=bias_initializer, regularizer=bias_regularizer,
            constraint=bias_constraint,
        )  # fmt: skip
        self._channel_axis = -1 if self.data_format == "channels_last" else 1

    def build(self, input_shape: Any) -> None:
        check_rank(input_shape, self.rank + 2, self._expected(), _grey_hint(input_shape, self.rank))
        channels = input_shape[self._channel_axis]
        if channels is None or channels % self.groups:
            raise ShapeError(
                f"the number of channels must be known and a multiple of groups={self.groups}, "
                f"got {channels} in an input of shape {tuple(input_shape)} ({self.data_format})."
            )
        self._channels = channels
        self.kernel = make_weight(
            self, "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self.bias = make_weight(self, "bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Any) -> Tensor:
        # The operation itself would take a multiple of the channels for groups.
        shape = inputs.shape
        if len(shape) != self.rank + 2 or shape[self._channel_axis] != self._channels:
            raise ShapeError(
                f"expected an input of shape {self._expected(self._channels)}, got shape "
                f"{tuple(shape)}."
            )
        y = conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        if self.bias is not None:
            y = y + self.bias if self._channel_axis == -1 else _add_to_channels(y, self.bias)
        return self.activation(y)  # type: ignore[no-any-return]

    def _expected(self, channels: Any = "channels") -> str:
        """The shape of an input, in words."""
        around = ["batch", *self.axes]
        around.insert(3 if self._channel_axis == -1 else 1, str(channels))
        return f"({', '.join(around)})"

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "groups": self.groups,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **option_config(self, "kernel", "bias"),
        }


Convolution2D = Conv2D


def _grey_hint(input_shape: Any, rank: int) -> str:
    if input_shape is not None and len(input_shape) == rank + 1:
        return " Images without channels get one with x[..., None]."
    return ""
