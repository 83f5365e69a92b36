"""Recurrent cells: one step of a recurrent network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import activations
from weft.engine import ShapeError
from weft.engine.names import looked_up
from weft.kernels import recurrent as kernels
from weft.layers.fused_cell import FusedCell, interned, pure
from weft.layers.options import positive

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "forget_gate_open"]

_recurrence = interned(kernels.Recurrence)


class _UnitsCell(FusedCell):
    """A cell on vectors."""

    gates = 1

    def __init__(self, arguments: dict[str, Any]) -> None:
        units = positive(type(self).__name__, "units", arguments["units"])
        super().__init__(arguments)
        self.units = self.output_size = units
        self.state_size: Any = [units] * self.n_states if self.n_states > 1 else units

    def build(self, input_shape: Any) -> None:
        if input_shape is None or len(input_shape) != 2 or input_shape[-1] is None:
            raise ShapeError(f"expected a step of shape (batch, features), got {input_shape}.")
        self.features = int(input_shape[-1])
        columns = self.gates * self.units
        self._make_weights((self.features, columns), (self.units, columns), self._bias_shape())

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def state_shape(self, step: Sequence[Any]) -> tuple[int, ...]:
        return (step[0], self.units)

    def _check(self, shape: Sequence[Any]) -> None:
        if len(shape) != 2 or shape[1] != self.features:
            raise ShapeError(
                f"expected steps of {self.features} features each, got a step of shape "
                f"{tuple(shape)} (batch, features)."
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class SimpleRNNCell(_UnitsCell):
    """One step of a simple recurrent network.

    h' = activation(x·kernel + h·recurrent_kernel + bias).

    Args:
        units: the size of the state and of the output.
        activation: a name or a callable.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps in an RNN.
        seed: of the dropouts.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: one step, (batch, features).
        states: a list of the state, (batch, units).
        training: whether dropout acts.

    Returns:
        (h', [h']).

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: inputs of another rank or with other features.

    Example:
        >>> import weft
        >>> cell = weft.layers.SimpleRNNCell(4)
        >>> y, states = cell(weft.ops.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, len(states)
        ((2, 4), 1)

    Reference: Elman, Finding structure in time (1990).
    """

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        act = pure(self.activation, type(self).__name__, self.dtype_policy.compute)
        return _recurrence(kernels.simple, 1, 1, (act,), (1,), (True,), unroll=unroll)


class _GatedCell(_UnitsCell):
    """A cell with gates that have an activation of their own."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        given = arguments["recurrent_activation"]
        self.recurrent_activation = looked_up(self, "recurrent_activation", activations.get, given)

    def _both(self) -> tuple[Any, Any]:
        kind, dtype = type(self).__name__, self.dtype_policy.compute
        return pure(self.activation, kind, dtype), pure(self.recurrent_activation, kind, dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
        }


class GRUCell(_GatedCell):
    """One step of a gated recurrent unit.

    With W = kernel, U = recurrent_kernel, each cut into three, and σ = recurrent_activation:
    z = σ(x·W₁ + h·U₁ + b₁), r = σ(x·W₂ + h·U₂ + b₂), h' = z·h + (1 - z)·n, where
    n = activation(x·W₃ + b₃ + r·(h·U₃ + b₄)) with `reset_after`, and
    n = activation(x·W₃ + b₃ + (r·h)·U₃) without.

    Args:
        units: the size of the state and of the output.
        activation: of n; a name or a callable.
        recurrent_activation: of the gates.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps in an RNN.
        reset_after: whether r is applied after the product. The bias has shape (2, 3·units) then:
            one for the inputs, one for the state.
        seed: of the dropouts.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: one step, (batch, features).
        states: a list of the state, (batch, units).
        training: whether dropout acts.

    Returns:
        (h', [h']).

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: inputs of another rank or with other features.

    Example:
        >>> import weft
        >>> cell = weft.layers.GRUCell(4)
        >>> y, states = cell(weft.ops.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, len(states)
        ((2, 4), 1)

    Reference: Cho et al., Learning phrase representations (2014); with `reset_after` as cuDNN.
    """

    gates = 3

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        if self.reset_after:
            return _recurrence(
                kernels.gru, 3, 1, self._both(), (3,), (True, True, False), unroll=unroll
            )
        return _recurrence(
            kernels.gru_reset_before, 3, 1, self._both(), (2, 1), (True,) * 3, unroll=unroll
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}


class LSTMCell(_GatedCell):
    """One step of a long short-term memory.

    With W = kernel, U = recurrent_kernel, b = bias, each cut into four, and
    σ = recurrent_activation: i = σ(x·W₁ + h·U₁ + b₁), f = σ(x·W₂ + h·U₂ + b₂),
    o = σ(x·W₄ + h·U₄ + b₄), c' = f·c + i·activation(x·W₃ + h·U₃ + b₃), h' = o·activation(c').

    Args:
        units: the size of each state and of the output.
        activation: of what is stored, and of the output; a name or a callable.
        recurrent_activation: of the gates.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: first values.
        unit_forget_bias: whether the bias of f begins at 1, so that much is kept at first.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties that become losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: while training, the share of the inputs' and of the state's
            elements that are 0 where they meet the kernels; the same ones at all steps in an RNN.
        seed: of the dropouts.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: one step, (batch, features).
        states: a list of h and c, (batch, units) each.
        training: whether dropout acts.

    Returns:
        (h', [h', c']).

    Raises:
        ValueError: units that are no positive integer, a rate outside [0, 1], an unknown name.
        ShapeError: inputs of another rank or with other features.

    Example:
        >>> import weft
        >>> cell = weft.layers.LSTMCell(4)
        >>> y, states = cell(weft.ops.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, len(states)
        ((2, 4), 2)

    Reference: Hochreiter & Schmidhuber, Long short-term memory (1997); the forget gate: Gers,
    Schmidhuber & Cummins (2000); its bias: Jozefowicz et al. (2015).
    """

    gates = 4
    n_states = 2

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals())
        self.unit_forget_bias = bool(unit_forget_bias)

    def _first_bias(self) -> Any:
        first = self.bias_initializer
        return forget_gate_open(first) if self.unit_forget_bias else first

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        return _recurrence(kernels.lstm, 4, 2, self._both(), (4,), (True,) * 4, unroll=unroll)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


def forget_gate_open(initializer: Callable[..., Any]) -> Callable[..., Any]:
    """The initializer of an LSTM's bias: 1 for the forget gate, the second of four."""

    def first(shape: Any, dtype: Any = None) -> Any:
        unit = shape[0] // 4
        parts = [initializer((n,), dtype) for n in (unit, 2 * unit)]
        return np.concatenate([np.asarray(parts[0]), np.ones(unit, dtype), np.asarray(parts[1])])

    return first
