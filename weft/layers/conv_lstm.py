"""Convolutional LSTMs: long short-term memories whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft import activations
from weft.engine import ShapeError
from weft.engine.names import looked_up
from weft.kernels import recurrent as kernels
from weft.layers.fused_cell import FusedCell, interned, pure
from weft.layers.options import data_format_of, padding_of, positive, positive_many
from weft.layers.recurrent import CellRNN
from weft.layers.recurrent_cells import forget_gate_open
from weft.ops import zeros

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]

_convolution = interned(kernels.Convolution)
_recurrence = interned(kernels.Recurrence)
_AXES = {1: ("places",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}


class ConvLSTMCell(FusedCell):
    """One step: `LSTMCell`'s equations with convolutions for products.

    The inputs are convolved with the strides, padding and dilation given, the state with strides of
    1 and zeros around it, so that its size stays.
    """

    n_states = 2

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        recurrent_activation: Any,
        unit_forget_bias: bool,
        **more: Any,
    ) -> None:
        kind = f"ConvLSTM{rank}D"
        filters = positive(kind, "filters", filters)
        sizes = {"kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
        sizes = {k: positive_many(kind, k, v, rank) for k, v in sizes.items()}
        if max(sizes["strides"]) > 1 and max(sizes["dilation_rate"]) > 1:
            raise ValueError(
                f"{kind}: strides and dilation_rate cannot both be above 1, got "
                f"strides={strides}, dilation_rate={dilation_rate}."
            )
        padding, data_format = padding_of(kind, padding), data_format_of(kind, data_format)
        every_layer = {k: more[k] for k in ("name", "dtype", "trainable") if k in more}
        super().__init__({**more, "kwargs": every_layer})
        self.rank, self.filters = rank, filters
        self.kernel_size, self.strides = sizes["kernel_size"], sizes["strides"]
        self.dilation_rate = sizes["dilation_rate"]
        self.padding, self.data_format = padding, data_format
        self.channels_first = data_format == "channels_first"
        self.recurrent_activation = looked_up(
            self, "recurrent_activation", activations.get, recurrent_activation
        )
        self.unit_forget_bias = bool(unit_forget_bias)
        self.state_size = [filters, filters]

    def build(self, input_shape: Any) -> None:
        if input_shape is None or len(input_shape) != self.rank + 2:
            came = "nothing with a shape" if input_shape is None else f"steps of {input_shape}"
            raise ShapeError(f"expected steps of shape {self._expected()}, got {came}.")
        channels = input_shape[1 if self.channels_first else -1]
        if channels is None:
            raise ShapeError(
                f"the number of channels must be known, got steps of {tuple(input_shape)} "
                f"({self.data_format})."
            )
        self.channels = int(channels)
        self._built_for = tuple(input_shape)
        columns = 4 * self.filters
        self._make_weights(
            (*self.kernel_size, self.channels, columns),
            (*self.kernel_size, self.filters, columns),
            (columns,),
        )

    def _first_bias(self) -> Any:
        first = self.bias_initializer
        return forget_gate_open(first) if self.unit_forget_bias else first

    def _expected(self, channels: Any = "channels") -> str:
        axes = ["batch", *_AXES[self.rank]]
        axes.insert(1 if self.channels_first else len(axes), str(channels))
        return f"({', '.join(axes)})"

    def state_shape(self, step: Sequence[Any]) -> tuple[int, ...]:
        whole = step if len(step) > 1 else (*step, *self._built_for[1:])
        sides = whole[2:] if self.channels_first else whole[1:-1]
        if None in sides:
            raise ShapeError(
                f"the states' shape follows from the inputs', which is unknown: {tuple(whole)}. "
                "Build the layer with known sides, or pass initial_state."
            )
        ways = zip(sides, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        if self.padding == "same":
            sides = [-(-n // s) for n, _, s, _ in ways]
        else:
            sides = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in ways]
        channels = (self.filters,)
        return (step[0], *channels, *sides) if self.channels_first else (step[0], *sides, *channels)

    def _check(self, shape: Sequence[Any]) -> None:
        axis = 1 if self.channels_first else -1
        if len(shape) != self.rank + 2 or shape[axis] != self.channels:
            raise ShapeError(
                f"expected steps of shape {self._expected(self.channels)}, got {tuple(shape)}."
            )
        if min(self.state_shape(shape)[1:]) < 1:
            raise ShapeError(
                f"a window of {self.kernel_size} with dilation {self.dilation_rate} does not fit "
                f"into steps of {tuple(shape)}. Use padding='same', or a smaller kernel_size."
            )

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        kind, dtype = type(self).__name__, self.dtype_policy.compute
        functions = (
            pure(self.activation, kind, dtype),
            pure(self.recurrent_activation, kind, dtype),
        )
        how = _convolution(self.strides, self.padding.upper(), self.dilation_rate)
        return _recurrence(
            kernels.lstm, 4, 2, functions, (4,), (True,) * 4, convolution=how, unroll=unroll
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": list(self.dilation_rate),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "unit_forget_bias": self.unit_forget_bias,
        }


class _ConvLSTM(CellRNN):
    """What the layers below share."""

    rank: int
    cell_name = "conv_lstm_cell"
    cell_class = ConvLSTMCell
    cell_options = (
        "rank", "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate",
        "recurrent_activation", "unit_forget_bias", *CellRNN.cell_options,
    )  # fmt: skip

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__({**locals(), "rank": type(self).rank})

    def _usual_states(self, shape: Any) -> list[Any]:
        own = self.cell.state_shape((shape[0], *shape[2:]))
        return [zeros(own, self.compute_dtype) for _ in range(2)]


class ConvLSTM2D(_ConvLSTM):
    """A long short-term memory on sequences of images: its products are convolutions.

    With ⋆ as in `Conv2D`: i = σ(x⋆W₁ + h⋆U₁ + b₁), f = σ(x⋆W₂ + h⋆U₂ + b₂),
    o = σ(x⋆W₄ + h⋆U₄ + b₄), c' = f·c + i·activation(x⋆W₃ + h⋆U₃ + b₃), h' = o·activation(c').
    The inputs of all steps are convolved at once.

    Args:
        filters: the number of output channels.
        kernel_size: an int, or one for each axis.
        strides, padding, dilation_rate: of the inputs' convolution, as of `Conv2D`; the state's
            keeps its size.
        data_format: "channels_last" (default) or "channels_first".
        activation: of what is stored, and of the output.
        recurrent_activation: σ, of the gates.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        unit_forget_bias: whether the forget gate's bias begins at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties
            that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps.
        seed: of the dropouts.
        return_sequences, return_state, go_backwards, stateful: as of `RNN`.
        kwargs: `unroll` and `zero_output_for_mask`, as of `RNN`; `name`, `dtype` and `trainable`.

    Call arguments:
        sequences: (batch, steps, rows, columns, channels); channels_first: (batch, steps, channels,
            rows, columns).
        initial_state: the first states h and c, each of an output's shape.
        mask: bool, (batch, steps): where it is False the states stay as they are.
        training: whether dropout acts.

    Returns:
        The last output, (batch, new rows, new columns, filters), or those of all steps with an axis
        of them after the first; with `return_state` a tuple of that and the states h and c.

    Raises:
        ValueError: sizes that are not positive, strides together with dilation, a rate outside
            [0, 1], an unknown name.
        ShapeError: an input of another rank, with other channels, or smaller than the kernel;
            states or a mask of another shape.

    Example:
        >>> import weft
        >>> frames = weft.ops.ones((2, 5, 8, 8, 1))
        >>> weft.layers.ConvLSTM2D(4, 3, padding="same")(frames).shape
        (2, 8, 8, 4)

    Reference: Shi et al., Convolutional LSTM network (2015), without its peepholes.
    """

    rank = 2


class ConvLSTM1D(_ConvLSTM):
    """A long short-term memory on sequences of rows: its products are convolutions.

    Args, Call arguments, Returns, Raises: as of `ConvLSTM2D`, with one axis in place of rows and
        columns; sequences are (batch, steps, places, channels).

    Example:
        >>> import weft
        >>> weft.layers.ConvLSTM1D(4, 3)(weft.ops.ones((2, 5, 8, 1))).shape
        (2, 6, 4)

    Reference: Shi et al., Convolutional LSTM network (2015).
    """

    rank = 1


class ConvLSTM3D(_ConvLSTM):
    """A long short-term memory on sequences of volumes: its products are convolutions.

    Args, Call arguments, Returns, Raises: as of `ConvLSTM2D`, with three axes in place of rows and
        columns; sequences are (batch, steps, planes, rows, columns, channels).

    Example:
        >>> import weft
        >>> weft.layers.ConvLSTM3D(4, 3)(weft.ops.ones((2, 5, 4, 4, 4, 1))).shape
        (2, 2, 2, 2, 4)

    Reference: Shi et al., Convolutional LSTM network (2015).
    """

    rank = 3
