"""`FusedCell`: a recurrent cell whose whole sequence is one operation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from weft import activations
from weft.engine import Op, SeedGenerator, ShapeError, Tensor, draw, spec
from weft.engine.control import Body
from weft.engine.names import looked_up
from weft.engine.trace import SymbolicTrace, isolated, state
from weft.kernels import recurrent as kernels
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, rate_of, set_options
from weft.ops import zeros
from weft.random import dropped

__all__ = ["FusedCell", "interned", "pure", "runs_whole"]


# -- the operation --------------------------------------------------------------------------


# Objects that are part of a program's key, one for equal arguments: their hash is their identity.
interned = functools.lru_cache(1024)


@interned
@dataclass(frozen=True, eq=False)
class _Plan:
    """What is static of a sequence."""

    how: kernels.Recurrence
    given: tuple[str, ...]  # which operands come after the kernels, before the first states
    each: bool
    zero_skipped: bool
    channels_first: bool


def _over_sequence(
    x: Any, kernel: Any, recurrent_kernel: Any, *rest: Any, plan: Any
) -> tuple[Any, ...]:
    """(outputs, *last states) for x of shape (batch, steps, ...); the states begin at 0 if none."""
    how, given, each = plan.how, plan.given, plan.each
    zero_skipped, channels_first = plan.zero_skipped, plan.channels_first
    named = dict(zip(given, rest, strict=False))
    dtype = jnp.result_type(x.dtype, kernel.dtype)
    states = tuple(s.astype(dtype) for s in rest[len(given) :])
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
    y: Any = outputs if each else last[0]
    if mask is not None and zero_skipped:
        y = jnp.where(mask if each else mask[-1], y, 0)
    if channels_first:
        y = jnp.moveaxis(y, -1, 2 if each else 1)
        last = tuple(jnp.moveaxis(s, -1, 1) for s in last)
    return (jnp.swapaxes(y, 0, 1) if each else y, *last)


_over_sequence_op = Op(_over_sequence, "recurrent")


def _factors(key: Any, *, shape: tuple[int, ...], dtype: Any, rate: float) -> Any:
    return dropped(key, jnp.ones(shape, dtype), rate, noise_shape=None)


def pure(activation: Callable[..., Any], layer: str, dtype: Any) -> Callable[[Any], Any]:
    """The JAX function that an activation is."""
    own = getattr(activations, getattr(activation, "__name__", ""), None)
    if activation is own:  # a function of weft's, the same at every call
        return _pure_once(activation, dtype)
    return _traced(activation, layer, dtype)


@interned
def _pure_once(activation: Callable[..., Any], dtype: Any) -> Callable[[Any], Any]:
    function = inspect.unwrap(activation, stop=lambda f: isinstance(f, Op))
    return function.fn if isinstance(function, Op) else _traced(activation, "", dtype)


def _traced(activation: Callable[..., Any], layer: str, dtype: Any) -> Callable[[Any], Any]:
    sample = spec((2, 3), dtype)  # graphs of elementwise functions work at any shape
    with isolated(SymbolicTrace(state.trace, embeds_numbers=True)):  # constants become its own
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

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Make the cell from the arguments of a subclass's `__init__`, its `locals()`."""
        kwargs = dict(arguments["kwargs"])
        kwargs.pop("implementation", None)  # Keras 2's: ways of computing the same
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.activation = looked_up(self, "activation", activations.get, arguments["activation"])
        self.use_bias = bool(arguments["use_bias"])
        for weight in ("kernel", "recurrent", "bias"):
            kinds = ("initializer", "regularizer", "constraint")
            set_options(self, weight, **{k: arguments[f"{weight}_{k}"] for k in kinds})
        self.dropout = rate_of(kind, "dropout", arguments["dropout"])
        self.recurrent_dropout = rate_of(kind, "recurrent_dropout", arguments["recurrent_dropout"])
        self.seed = arguments["seed"]
        self.seed_generator = SeedGenerator(self.seed)

    # -- weights --------------------------------------------------------------------------

    def _make_weights(
        self, kernel: tuple[int, ...], recurrent: tuple[int, ...], bias: tuple[int, ...]
    ) -> None:
        self.kernel = make_weight(self, "kernel", kernel)
        self.recurrent_kernel = make_weight(self, "recurrent", recurrent, "recurrent_kernel")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=bias,
                name="bias",
                initializer=self._first_bias(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _first_bias(self) -> Any:
        """The initializer of the bias."""
        return self.bias_initializer

    # -- calling --------------------------------------------------------------------------

    def _recurrence(self, unroll: bool) -> kernels.Recurrence:
        raise NotImplementedError

    def state_shape(self, step: Sequence[Any]) -> tuple[int, ...]:
        """The shape of each state, for inputs of shape `step`, (batch, ...), at one step."""
        raise NotImplementedError

    def _check(self, shape: Sequence[Any]) -> None:
        """Refuse an input of this shape at one step, if the weights do not fit."""
        raise NotImplementedError

    def factors(self, step: tuple[int, ...], training: Any) -> tuple[Any, Any]:
        """What inputs and state are multiplied by: dropout's draw for one sequence, or None."""
        if self._held is not None:
            return self._held
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        made = []
        shapes = step, self.state_shape(step)
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
            drops = self.factors((shape[0], *shape[2:]), training)
            for name, value in zip(("input_drop", "state_drop"), drops, strict=True):
                if value is not None:
                    given.append(name)
                    rest.append(value)
        outputs, *last = _over_sequence_op(
            x, self.kernel, self.recurrent_kernel, *rest, *(states or ()),
            plan=_Plan(
                self._recurrence(unroll), tuple(given), each, zero_skipped, self.channels_first
            ),
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
        shape = self.state_shape((batch_size,))
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
