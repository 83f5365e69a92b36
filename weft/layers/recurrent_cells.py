"""Recurrent cells: one step of a recurrent network, and what runs a whole sequence of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from weft import activations
from weft.engine import Op, SeedGenerator, ShapeError, Tensor, draw, spec
from weft.engine.control import Body
from weft.kernels import recurrent as kernels
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, positive, set_options
from weft.ops import zeros
from weft.random import dropped

__all__ = ["FusedCell", "GRUCell", "LSTMCell", "SimpleRNNCell"]


# -- the operation --------------------------------------------------------------------------


def _over_sequence(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    *rest: Any,
    how: kernels.Recurrence,
    given: tuple[str, ...],
    each: bool,
    zero_skipped: bool,
    channels_first: bool,
) -> Any:
    """(outputs, *last states) for x of shape (batch, steps, ...).

    `rest` is what `given` names, and then the first states, if there are any; zeros if not.
    """
    named = dict(zip(given, rest, strict=False))
    states = tuple(s.astype(x.dtype) for s in rest[len(given) :])
    dtype = jnp.result_type(x.dtype, kernel.dtype)
    x = jnp.swapaxes(x, 0, 1).astype(dtype)
    if "input_drop" in named:
        x = x * named["input_drop"]
    if channels_first:
        x = jnp.moveaxis(x, 2, -1)
        states = tuple(jnp.moveaxis(s, 1, -1) for s in states)
    drop = named.get("state_drop")
    if drop is not None and channels_first:
        drop = jnp.moveaxis(drop, 1, -1)
    if not states:
        like = jax.eval_shape(how.input_product, x[0], kernel)
        zero = jnp.zeros((*like.shape[:-1], like.shape[-1] // how.gates), dtype)
        states = (zero,) * how.states
    mask = named.get("mask")
    if mask is not None:
        mask = mask.astype(bool).T.reshape(*x.shape[:2], *(1,) * (states[0].ndim - 1))
    weights = kernels.Weights(kernel, recurrent_kernel, named.get("bias"))
    outputs, last = kernels.recurrent(
        x, states, weights, kernels.Given(mask, drop), how, sequences=each
    )
    y = outputs if each else last[0]
    if mask is not None and zero_skipped:
        y = jnp.where(mask if each else mask[-1], y, 0)
    if channels_first:
        y = jnp.moveaxis(y, -1, 2 if each else 1)
        last = tuple(jnp.moveaxis(s, -1, 1) for s in last)
    return (jnp.swapaxes(y, 0, 1) if each else y, *last)


_over_sequence_op = Op(_over_sequence, "recurrent")


def _factors(key: Any, *, shape: tuple[int, ...], dtype: Any, rate: float) -> Any:
    return dropped(key, jnp.ones(shape, dtype), rate, noise_shape=None)


def _identity(x: Any) -> Any:
    return x


def _pure(activation: Callable[..., Any], layer: str, dtype: Any) -> Callable[[Any], Any]:
    """The JAX function that an activation is."""
    if activation is activations.linear:
        return _identity
    function = inspect.unwrap(activation, stop=lambda f: isinstance(f, Op))
    if isinstance(function, Op):
        return function.fn
    if hasattr(activation, "public_name"):  # a function of weft's own, the same at every call
        return _traced_once(activation, dtype)
    return _traced(activation, layer, dtype)


def _traced(activation: Callable[..., Any], layer: str, dtype: Any) -> Callable[[Any], Any]:
    sample = spec((2, 3), dtype)  # graphs of elementwise functions work at any shape
    body = Body(activation, "activation", jax.tree.structure((0,)), [sample])
    graph, captured = body.cut(())
    if captured or body.written or [t.spec.shape for t in body.outs] != [sample.shape]:
        name = getattr(activation, "__name__", type(activation).__name__)
        raise ValueError(
            f"{layer}: an activation here is a function of its argument alone, elementwise; "
            f"{name} uses variables or random numbers, or changes the shape. Write a cell of your "
            "own for that, and run it with RNN(cell)."
        )
    return _Graph(graph)


@functools.lru_cache(256)
def _traced_once(activation: Callable[..., Any], dtype: Any) -> Callable[[Any], Any]:
    return _traced(activation, "", dtype)


class _Graph:
    """A graph of one input and one output as a function; equal if the graphs are."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __call__(self, x: Any) -> Any:
        return self.graph(x)[0]

    def __hash__(self) -> int:
        return hash(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Graph) and self.graph is other.graph


# -- cells ----------------------------------------------------------------------------------


class FusedCell(Layer):
    """The base class of cells whose whole sequence is one operation.

    Subclasses say in `_recurrence` what a step is, and make `kernel`, `recurrent_kernel` and
    `bias` in `build`.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any
    channels_first = False
    n_states = 1
    _held: Any = None  # dropout's factors, the same for all steps of a sequence that goes on

    def __init__(
        self,
        activation: Any,
        use_bias: Any,
        options: dict[str, Any],
        dropout: Any,
        recurrent_dropout: Any,
        seed: Any,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # Keras 2's: ways of computing the same
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        for weight in ("kernel", "recurrent", "bias"):
            kinds = ("initializer", "regularizer", "constraint")
            set_options(self, weight, **{kind: options[f"{weight}_{kind}"] for kind in kinds})
        self.dropout = _rate(type(self).__name__, "dropout", dropout)
        self.recurrent_dropout = _rate(type(self).__name__, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    # -- weights --------------------------------------------------------------------------

    def _make_weights(
        self, kernel: tuple[int, ...], recurrent: tuple[int, ...], bias: tuple[int, ...]
    ) -> None:
        self.kernel = make_weight(self, "kernel", kernel)
        self.recurrent_kernel = self.add_weight(
            shape=recurrent,
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = make_weight(self, "bias", bias) if self.use_bias else None

    # -- calling --------------------------------------------------------------------------

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        raise NotImplementedError

    def _drop_shapes(self, batch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of the inputs and of the state at one step."""
        raise NotImplementedError

    def _check(self, shape: Sequence[Any]) -> None:
        """Refuse an input of this shape at one step, if the weights do not fit."""
        raise NotImplementedError

    def factors(self, batch: int, training: Any) -> tuple[Any, Any]:
        """What inputs and state are multiplied by: dropout's draw for one sequence, or None."""
        if self._held is not None:
            return self._held  # type: ignore[no-any-return]
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        made = []
        shapes = self._drop_shapes(batch)
        for rate, shape in zip((self.dropout, self.recurrent_dropout), shapes, strict=True):
            made.append(
                draw(
                    self.seed_generator, _factors, shape=shape, dtype=self.dtype_policy.compute,
                    rate=rate,
                )
                if rate
                else None
            )  # fmt: skip
        return made[0], made[1]

    def over_sequence(
        self,
        x: Any,
        states: Sequence[Any] | None,
        mask: Any,
        training: Any,
        *,
        each: bool,
        unroll: bool = False,
        zero_skipped: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """The output of the last step, or of `each`, and the last states.

        Args:
            x: (batch, steps, ...).
            states: the first states; zeros by default.
            mask: (batch, steps): a step that is False leaves the states as they are.
            training: whether dropout acts.
            each: whether the output of every step is wanted, (batch, steps, ...).
            unroll: whether the loop is laid out in line.
            zero_skipped: whether a skipped step's output is 0, and not the one before it.
        """
        shape = x.shape
        self._check((shape[0], *shape[2:]))
        given, rest = [], []
        if self.bias is not None:
            given.append("bias")
            rest.append(self.bias)
        if mask is not None:
            given.append("mask")
            rest.append(mask)
        if training or self._held is not None:
            drops = self.factors(shape[0], training)
            for name, value in zip(("input_drop", "state_drop"), drops, strict=True):
                if value is not None:
                    given.append(name)
                    rest.append(value)
        outputs, *last = _over_sequence_op(
            x, self.kernel, self.recurrent_kernel, *rest, *(states or ()),
            how=self._recurrence(unroll), given=tuple(given), each=each,
            zero_skipped=zero_skipped, channels_first=self.channels_first,
        )  # fmt: skip
        return outputs, last

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        flat = jax.tree.leaves(states)
        if len(flat) != self.n_states:
            raise ShapeError(
                f"expected {self.n_states} state{'s' * (self.n_states > 1)}, got {len(flat)}."
            )
        output, last = self.over_sequence(inputs[:, None], flat, None, training, each=False)
        return output, last

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """States of zeros.

        Args:
            batch_size: the number of sequences.
        """
        _, shape = self._drop_shapes(batch_size)  # type: ignore[arg-type]
        return [zeros(shape, self.compute_dtype) for _ in range(self.n_states)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **option_config(self, "kernel", "recurrent", "bias"),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def runs_whole(cell: Any) -> bool:
    """Whether a sequence of this cell is one operation: not if a subclass wrote its own step."""
    return isinstance(cell, FusedCell) and type(cell).call is FusedCell.call


def _rate(layer: str, what: str, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ValueError(f"{layer}: {what} must be a number in [0, 1], got {what}={rate!r}.")
    return rate


class _UnitsCell(FusedCell):
    """A cell on vectors."""

    gates = 1

    def __init__(self, units: int, **kwargs: Any) -> None:
        units = positive(type(self).__name__, "units", units)
        super().__init__(**kwargs)
        self.units = self.output_size = units
        self.state_size: Any = [units] * self.n_states if self.n_states > 1 else units

    def build(self, input_shape: Any) -> None:
        if input_shape is None or len(input_shape) != 2 or input_shape[-1] is None:
            raise ShapeError(f"expected a step of shape (batch, features), got {input_shape}.")
        self._features = int(input_shape[-1])
        columns = self.gates * self.units
        self._make_weights((self._features, columns), (self.units, columns), self._bias_shape())

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _drop_shapes(self, batch: int) -> Any:
        return (batch, getattr(self, "_features", None)), (batch, self.units)

    def _check(self, shape: Sequence[Any]) -> None:
        if len(shape) != 2 or shape[1] != self._features:
            raise ShapeError(
                f"expected steps of {self._features} features each, got a step of shape "
                f"{tuple(shape)} (batch, features)."
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class SimpleRNNCell(_UnitsCell):
    """One step of a simple recurrent network: h' = activation(x·kernel + h·recurrent_kernel + bias).

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
        options = locals()
        super().__init__(
            units, activation=activation, use_bias=use_bias, options=options, dropout=dropout,
            recurrent_dropout=recurrent_dropout, seed=seed, **kwargs,
        )  # fmt: skip

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        act = _pure(self.activation, type(self).__name__, self.dtype_policy.compute)
        return kernels.Recurrence(kernels.simple, 1, 1, (act,), (1,), (True,), unroll=unroll)


class _GatedCell(_UnitsCell):
    """A cell with gates that have an activation of their own."""

    def __init__(self, units: int, recurrent_activation: Any, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def _both(self) -> tuple[Any, Any]:
        kind, dtype = type(self).__name__, self.dtype_policy.compute
        return _pure(self.activation, kind, dtype), _pure(self.recurrent_activation, kind, dtype)

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
        options = locals()
        super().__init__(
            units, activation=activation, recurrent_activation=recurrent_activation,
            use_bias=use_bias, options=options, dropout=dropout,
            recurrent_dropout=recurrent_dropout, seed=seed, **kwargs,
        )  # fmt: skip
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        if self.reset_after:
            step, parts, summed = kernels.gru, (3,), (True, True, False)
        else:
            step, parts, summed = kernels.gru_reset_before, (2, 1), (True, True, True)
        return kernels.Recurrence(step, 3, 1, self._both(), parts, summed, unroll=unroll)

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
        options = locals()
        super().__init__(
            units, activation=activation, recurrent_activation=recurrent_activation,
            use_bias=use_bias, options=options, dropout=dropout,
            recurrent_dropout=recurrent_dropout, seed=seed, **kwargs,
        )  # fmt: skip
        self.unit_forget_bias = bool(unit_forget_bias)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            open_forget_gate(self.bias)

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        return kernels.Recurrence(
            kernels.lstm, 4, 2, self._both(), (4,), (True,) * 4, unroll=unroll
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


def open_forget_gate(bias: Any) -> None:
    """Set the forget gate's part of a fresh bias to 1."""
    value = bias.numpy()
    unit = len(value) // 4
    value[unit : 2 * unit] = 1
    bias.assign(value)
