"""`SimpleRNN`, `GRU` and `LSTM`: recurrent layers over whole sequences."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from weft.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell
from weft.layers.rnn import RNN

__all__ = ["GRU", "LSTM", "CellRNN", "SimpleRNN"]


class CellRNN(RNN):
    """The base class of layers that make their cell from their own arguments."""

    cell_class: type
    cell_name: str
    # The arguments that are the cell's; each is an attribute of the layer too.
    cell_options: tuple[str, ...] = (
        "activation", "use_bias", "kernel_initializer", "recurrent_initializer",
        "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
        "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout",
        "recurrent_dropout", "seed",
    )  # fmt: skip

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.cell_options:
            if not hasattr(cls, name):
                setattr(cls, name, property(attrgetter(f"cell.{name}")))

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Make the layer from the arguments of a subclass's `__init__`, its `locals()`."""
        kwargs = dict(arguments["kwargs"])
        kwargs.pop("implementation", None)  # Keras 2's: ways of computing the same
        own = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")
        kwargs |= {k: arguments[k] for k in (*own, "activity_regularizer") if k in arguments}
        both = {k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs}
        cell = self.cell_class(
            **{k: arguments[k] for k in self.cell_options}, name=self.cell_name, **both
        )
        super().__init__(cell, **kwargs)

    def _cell_config(self) -> dict[str, Any]:
        config = self.cell.get_config()
        config = {k: v for k, v in config.items() if k not in ("name", "trainable", "dtype")}
        return config


class SimpleRNN(CellRNN):
    """A simple recurrent network.

    h' = activation(x·kernel + h·recurrent_kernel + bias).

    Args:
        units: the size of the state and of the output.
        activation: a name or a callable.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties
            that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps.
        seed: of the dropouts.
        return_sequences, return_state, go_backwards, stateful, unroll: as of `RNN`.
        kwargs: `zero_output_for_mask`, as of `RNN`; `name`, `dtype` and `trainable`.

    Call arguments:
        sequences: (batch, steps, features).
        initial_state: the first states, a list; zeros (or those kept) by default.
        mask: bool, (batch, steps): where it is False the states stay as they are, and the output
            is the one before.
        training: whether dropout acts.

    Returns:
        The last output, (batch, units), or those of all steps, (batch, steps, units); with
        `return_state` a tuple of that and the state.

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: an input of another rank or with other features, states or a mask of another
            shape, or another batch size than a stateful layer was built for.

    Example:
        >>> import weft
        >>> x = weft.ops.ones((2, 5, 3))
        >>> weft.layers.SimpleRNN(4)(x).shape
        (2, 4)

    Reference: Elman, Finding structure in time (1990).
    """

    cell_class = SimpleRNNCell
    cell_name = "simple_rnn_cell"
    cell_options = ("units", *CellRNN.cell_options)

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())


class GRU(CellRNN):
    """Gated recurrent units; `GRUCell` has the equations.

    Args:
        units: the size of the state and of the output.
        activation: of what is added to the state; a name or a callable.
        recurrent_activation: of the gates.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties
            that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps.
        seed: of the dropouts.
        return_sequences, return_state, go_backwards, stateful, unroll: as of `RNN`.
        reset_after: whether the reset gate is applied after the product with the state.
        use_cudnn: taken for Keras's sake; XLA compiles every case.
        kwargs: `zero_output_for_mask`, as of `RNN`; `name`, `dtype` and `trainable`.

    Call arguments:
        sequences: (batch, steps, features).
        initial_state: the first states, a list; zeros (or those kept) by default.
        mask: bool, (batch, steps): where it is False the states stay as they are, and the output
            is the one before.
        training: whether dropout acts.

    Returns:
        The last output, (batch, units), or those of all steps, (batch, steps, units); with
        `return_state` a tuple of that and the state.

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: an input of another rank or with other features, states or a mask of another
            shape, or another batch size than a stateful layer was built for.

    Example:
        >>> import weft
        >>> x = weft.ops.ones((2, 5, 3))
        >>> weft.layers.GRU(4)(x).shape
        (2, 4)

    Reference: Cho et al., Learning phrase representations (2014).
    """

    cell_class = GRUCell
    cell_name = "gru_cell"
    cell_options = (
        "units", "recurrent_activation", "reset_after", *CellRNN.cell_options
    )  # fmt: skip

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())


class LSTM(CellRNN):
    """Long short-term memory; `LSTMCell` has the equations.

    Args:
        units: the size of each state and of the output.
        activation: of what is stored, and of the output; a name or a callable.
        recurrent_activation: of the gates.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        unit_forget_bias: whether the forget gate's bias begins at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: penalties
            that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps.
        seed: of the dropouts.
        return_sequences, return_state, go_backwards, stateful, unroll: as of `RNN`.
        use_cudnn: taken for Keras's sake; XLA compiles every case.
        kwargs: `zero_output_for_mask`, as of `RNN`; `name`, `dtype` and `trainable`.

    Call arguments:
        sequences: (batch, steps, features).
        initial_state: the first states, a list; zeros (or those kept) by default.
        mask: bool, (batch, steps): where it is False the states stay as they are, and the output
            is the one before.
        training: whether dropout acts.

    Returns:
        The last output, (batch, units), or those of all steps, (batch, steps, units); with
        `return_state` a tuple of that and the states h and c.

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: an input of another rank or with other features, states or a mask of another
            shape, or another batch size than a stateful layer was built for.

    Example:
        >>> import weft
        >>> x = weft.ops.ones((2, 5, 3))
        >>> y, h, c = weft.layers.LSTM(4, return_sequences=True, return_state=True)(x)
        >>> y.shape, h.shape, c.shape
        ((2, 5, 4), (2, 4), (2, 4))

    Reference: Hochreiter & Schmidhuber, Long short-term memory (1997).
    """

    cell_class = LSTMCell
    cell_name = "lstm_cell"
    cell_options = (
        "units", "recurrent_activation", "unit_forget_bias", *CellRNN.cell_options
    )  # fmt: skip

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())
