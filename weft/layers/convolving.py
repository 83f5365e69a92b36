"""`Convolving`: what layers that move a kernel over one, two or three spatial axes share."""

from __future__ import annotations

from typing import Any

from weft import activations
from weft.engine import ArrayOp, ShapeError, Tensor
from weft.engine.names import looked_up
from weft.layers.layer import Layer
from weft.layers.options import (
    check_rank,
    data_format_of,
    make_weight,
    option_config,
    padding_of,
    positive_many,
    set_options,
)

__all__ = ["Convolving"]

_AXES = {1: ("steps",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}
_INPUTS = {1: "Sequences", 2: "Images", 3: "Volumes"}


class Convolving(Layer):
    """activation(operation(x, kernels) + bias), the kernels made for x's channels.

    A call is one node, and one more for an activation. Subclasses say the kernels' shapes and how
    many channels come out.

    Args:
        given: `initializer`, `regularizer` and `constraint` of each weight, by the beginning of
            the options' names; the first are the kernels', in their order.
        kwargs: as of every layer.

    The others are those of the public layers.
    """

    rank: int
    operation: ArrayOp
    kernels: tuple[str, ...] = ("kernel",)
    paddings: tuple[str, ...] = ("valid", "same")
    dilates_strided = False  # whether strides and a dilation may come together

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        activation: Any,
        use_bias: Any,
        given: dict[str, tuple[Any, Any, Any]],
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        if kwargs.pop("groups", 1) != 1:  # Keras 2 writes 1 into every such layer's config
            raise ValueError(f"{kind} has no groups: those are of Conv1D, Conv2D and Conv3D.")
        super().__init__(**kwargs)
        self.kernel_size = positive_many(kind, "kernel_size", kernel_size, self.rank)
        self.strides = positive_many(kind, "strides", strides, self.rank)
        self.padding = padding_of(kind, padding, self.paddings)
        self.data_format = data_format_of(kind, data_format)
        self.dilation_rate = positive_many(kind, "dilation_rate", dilation_rate, self.rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1 and not self.dilates_strided:
            raise ValueError(
                f"{kind}: strides above 1 do not go with a dilation_rate above 1; leave one of "
                f"them at 1. Got strides={self.strides}, dilation_rate={self.dilation_rate}."
            )
        self.activation = looked_up(self, "activation", activations.get, activation)
        self.use_bias = bool(use_bias)
        self._options = tuple(given)
        for weight, (initializer, regularizer, constraint) in given.items():
            set_options(
                self, weight, initializer=initializer, regularizer=regularizer,
                constraint=constraint,
            )  # fmt: skip
        self._channel_axis = -1 if self.data_format == "channels_last" else 1

    def _parameters(self) -> dict[str, Any]:
        """The operation's static parameters."""
        return {
            "strides": self.strides,
            "padding": self.padding.upper(),
            "dilation": self.dilation_rate,
            "first": self._channel_axis == 1,
        }

    def _shapes(self, channels: int) -> tuple[list[tuple[int, ...]], int]:
        """(the kernels' shapes, the number of channels that come out)."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        check_rank(input_shape, self.rank + 2, self._expected(), self._hint(input_shape))
        channels = input_shape[self._channel_axis]
        if not channels:
            raise ShapeError(
                f"the number of channels must be known, and not 0, to make the kernel; got "
                f"{channels} in an input of shape {tuple(input_shape)} ({self.data_format})."
            )
        shapes, out = self._shapes(channels)
        for name, options, shape in zip(self.kernels, self._options, shapes, strict=False):
            setattr(self, name, make_weight(self, options, shape, name=name))
        self.bias = make_weight(self, "bias", (out,)) if self.use_bias else None
        self._channels = channels
        self._static = self._parameters()

    def call(self, inputs: Any) -> Tensor:
        # The operation itself would take a multiple of the channels for groups.
        shape = inputs.shape
        if len(shape) != self.rank + 2 or shape[self._channel_axis] != self._channels:
            raise ShapeError(
                f"expected an input of shape {self._expected(self._channels)}, got shape "
                f"{tuple(shape)}."
            )
        weights = [getattr(self, name) for name in self.kernels]
        if self.bias is not None:
            weights.append(self.bias)
        return self.activation(self.operation(inputs, *weights, **self._static))  # type: ignore[no-any-return]

    def _expected(self, channels: Any = "channels") -> str:
        """The shape of an input, in words."""
        around = ["batch", *_AXES[self.rank]]
        around.insert(len(around) if self._channel_axis == -1 else 1, str(channels))
        return f"({', '.join(around)})"

    def _hint(self, input_shape: Any) -> str:
        if input_shape is not None and len(input_shape) == self.rank + 1:
            return f" {_INPUTS[self.rank]} without channels get one with x[..., None]."
        return ""

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **option_config(self, *self._options),
        }
