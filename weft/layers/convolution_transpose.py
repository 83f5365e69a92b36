"""Transposed convolution layers: from small images to larger ones, with weights."""

from __future__ import annotations

from typing import Any

from weft.layers.convolving import Convolving
from weft.layers.options import positive, positive_many
from weft.ops.convolution import transpose_op

__all__ = [
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Convolution1DTranspose",
    "Convolution2DTranspose", "Convolution3DTranspose",
]  # fmt: skip


class _Transposed(Convolving):
    """What the layers below share; they say over how many axes the kernel is moved."""

    operation = transpose_op

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        self.output_padding = (
            None
            if output_padding is None
            else positive_many(kind, "output_padding", output_padding, self.rank, least=0)
        )
        more = self.output_padding or (0,) * self.rank
        if any(p >= s for p, s in zip(more, self.strides, strict=True)):
            raise ValueError(
                f"{kind}: output_padding must be below strides along each axis, got "
                f"output_padding={self.output_padding}, strides={self.strides}."
            )

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "output_padding": self.output_padding}

    def _shapes(self, channels: int) -> tuple[list[tuple[int, ...]], int]:
        return [(*self.kernel_size, self.filters, channels)], self.filters

    def get_config(self) -> dict[str, Any]:
        more = None if self.output_padding is None else list(self.output_padding)
        return {**super().get_config(), "filters": self.filters, "output_padding": more}


class Conv1DTranspose(_Transposed):
    """activation(x ⋆ᵀ kernel + bias): what `Conv1D` with that kernel maps from, its adjoint.

    Args:
        filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: as of
            `Conv2DTranspose`, the sizes being one int.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, steps, channels); channels_first: (batch, channels, steps).

    Returns:
        Shape (batch, new steps, filters); channels_first: (batch, filters, new steps).

    Raises:
        ValueError, ShapeError: as `Conv2DTranspose`.

    Example:
        >>> import weft
        >>> weft.layers.Conv1DTranspose(4, 3, strides=2)(weft.ops.ones((2, 10, 6))).shape
        (2, 21, 4)
    """

    rank = 1


class Conv2DTranspose(_Transposed):
    """activation(x ⋆ᵀ kernel + bias): what `Conv2D` with that kernel maps from, its adjoint.

    Each element of the input adds the kernel, times itself, to the places of the output that
    `Conv2D` would read it from: y[s·i + d·a - above, s·j + d·b - left, o] += x[i, j, c]·kernel[a,
    b, o, c], with s the stride and d the dilation.

    Args:
        filters: the number of output channels.
        kernel_size: an int, or (rows, columns).
        strides: an int, or (rows, columns): how much larger the output is.
        padding: "valid" (the output holds all places that are reached) or "same" (it has size
            n·stride). `weft.ops.conv_transpose` says the sizes exactly.
        output_padding: an int, or (rows, columns), below the strides: of the sizes that `Conv2D`
            maps to the same, which one comes out. Chosen by the other options if None.
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance of the kernel's points; an int, or (rows, columns). Not above 1
            together with strides above 1.
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
        ValueError: sizes that are not positive, strides together with a dilation, an output_padding
            not below the strides, an unknown padding, data_format or activation.
        ShapeError: an input of another rank, with unknown channels or others than the kernel has.

    Example:
        >>> import weft
        >>> layer = weft.layers.Conv2DTranspose(8, 3, strides=2, padding="same")
        >>> layer(weft.ops.ones((2, 5, 5, 1))).shape
        (2, 10, 10, 8)

    Reference: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), §4.
    """

    rank = 2


class Conv3DTranspose(_Transposed):
    """activation(x ⋆ᵀ kernel + bias): what `Conv3D` with that kernel maps from, its adjoint.

    Args:
        filters, kernel_size, strides, padding, data_format, output_padding, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: as of
            `Conv2DTranspose`, the sizes being an int or (planes, rows, columns). As in Keras,
            data_format comes before output_padding here.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, planes, rows, columns, channels); channels_first: (batch,
            channels, planes, rows, columns).

    Returns:
        Shape (batch, new planes, new rows, new columns, filters); channels_first: (batch, filters,
        ...).

    Raises:
        ValueError, ShapeError: as `Conv2DTranspose`.

    Example:
        >>> import weft
        >>> weft.layers.Conv3DTranspose(4, 2, strides=2)(weft.ops.ones((1, 2, 2, 3, 3))).shape
        (1, 4, 4, 6, 4)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs
        )


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
