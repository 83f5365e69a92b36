"""`RNN`: a cell run over a sequence; and cells stacked on one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from weft.engine import Op, ShapeError, Variable, scan
from weft.layers.fused_cell import FusedCell, runs_whole
from weft.layers.layer import Layer, set_mask
from weft.layers.serialization import deserialize, serialize
from weft.ops import flip, zeros

__all__ = ["RNN", "StackedRNNCells"]


# -- masks ----------------------------------------------------------------------------------


def _hold_last(outputs: Any, mask: Any, *, zero: bool) -> Any:
    """Outputs (steps, batch, ...): a skipped step has the one before it, or 0."""
    kept = mask.astype(bool).T
    if not zero:
        number = jnp.where(kept, jnp.arange(len(outputs))[:, None], -1)
        last = lax.cummax(number)  # the last step that was not skipped, -1 before the first
        wide = last.reshape(*last.shape, *(1,) * (outputs.ndim - 2))
        outputs = jnp.take_along_axis(outputs, jnp.maximum(wide, 0), 0)
        kept = last >= 0
    return jnp.where(kept.reshape(*kept.shape, *(1,) * (outputs.ndim - 2)), outputs, 0)


def _choose(mask: Any, new: Any, old: Any) -> Any:
    wide = mask.astype(bool).reshape(-1, *(1,) * (new.ndim - 1))
    return jnp.where(wide, new, old)


_hold_last_op = Op(_hold_last, "hold_last")
_choose_op = Op(_choose, "keep_state")
_swap_op = Op(lambda x: jnp.swapaxes(x, 0, 1), "swap_time")


# -- states ---------------------------------------------------------------------------------


class _Kept:
    """The states that a stateful layer keeps, which are none of its weights."""

    def __init__(self, variables: Any) -> None:
        self.variables = variables


def _zero_states(cell: Any, batch: int, dtype: str) -> list[Any]:
    """The first states of a cell, as a list."""
    own = getattr(cell, "get_initial_state", None)
    if own is not None:
        states = own(batch_size=batch)
        return list(states) if isinstance(states, list | tuple) else [states]
    sizes = cell.state_size
    sizes = list(sizes) if isinstance(sizes, list | tuple) else [sizes]
    return jax.tree.map(lambda size: zeros((batch, size), dtype), sizes)


# -- layers ---------------------------------------------------------------------------------


class StackedRNNCells(Layer):
    """Cells on one another: each one's output is the next one's input.

    Args:
        cells: a list of cells.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: one step, (batch, features).
        states: a list with each cell's states.
        training: handed to the cells.

    Returns:
        The last cell's output, and a list of each cell's new states.

    Raises:
        ValueError: no cells, or what has no `call` and `state_size`.

    Example:
        >>> import weft
        >>> cells = [weft.layers.LSTMCell(8), weft.layers.GRUCell(4)]
        >>> weft.layers.RNN(weft.layers.StackedRNNCells(cells))(weft.ops.ones((2, 5, 3))).shape
        (2, 4)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            _check_cell("StackedRNNCells", cell)
        if not cells:
            raise ValueError("StackedRNNCells needs at least one cell, got none.")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """Each cell's state size."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The last cell's output size."""
        return _output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            size = _output_size(cell)
            input_shape = (input_shape[0], *(size if isinstance(size, tuple | list) else (size,)))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Each cell's first states.

        Args:
            batch_size: the number of sequences.
        """
        return [_zero_states(cell, batch_size, self.compute_dtype) for cell in self.cells]  # type: ignore[arg-type]

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> Any:
        after = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, new = _step(cell, inputs, own)
            after.append(new)
        return inputs, after

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The stack of a config, its cells made from theirs."""
        cells = [deserialize(cell, custom_objects) for cell in config["cells"]]
        return cls(**{**config, "cells": cells})


class RNN(Layer):
    """A cell run over the steps of a sequence.

    A cell is a layer with `call(inputs, states) -> (output, new states)` for one step, and
    `state_size`: an int, or a list of them (nested, if the states are). It may have
    `get_initial_state(batch_size)`, where states do not begin as zeros of shape
    (batch, state_size), and `output_size`. weft's own cells run as one operation that takes the
    inputs' product for all steps at once; any other is the body of a loop.

    Args:
        cell: the cell, or a list of cells to be stacked.
        return_sequences: whether the output of each step is wanted, and not the last alone.
        return_state: whether the last states are returned too.
        go_backwards: whether the steps are taken from the last to the first; the outputs are in
            the order in which they are computed.
        stateful: whether a batch goes on from the last states of the batch before it. The batch
            size must be known when the layer is built.
        unroll: whether the loop is laid out in line: faster on short sequences, slow to compile.
        zero_output_for_mask: whether the output of a skipped step is 0, and not the one before.
        kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`.

    Call arguments:
        sequences: (batch, steps, features...).
        initial_state: the first states, a list; zeros (or those kept) by default.
        mask: bool, (batch, steps): where it is False the states stay as they are.
        training: handed to the cell.

    Returns:
        The output, (batch, units), or of each step, (batch, steps, units); with `return_state` a
        tuple of that and the states.

    Raises:
        ValueError: what is no cell.
        ShapeError: an input or states of another shape than the cell takes; a mask of another
            shape than (batch, steps); another batch size than a stateful layer was built for.

    Example:
        >>> import weft
        >>> class Sum(weft.layers.Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> weft.layers.RNN(Sum())(weft.ops.ones((1, 5, 3))).tolist()
        [[5.0, 5.0, 5.0]]
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("time_major", False):
            raise ValueError(
                f"{type(self).__name__}: time_major=True is not offered; inputs are (batch, steps, "
                "...). Swap the first two axes before and after."
            )
        super().__init__(**kwargs)
        if isinstance(cell, list | tuple):
            cell = StackedRNNCells(cell, dtype=self.dtype_policy)
        _check_cell(type(self).__name__, cell)
        self.cell = cell
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.supports_masking = True
        self._kept = _Kept(None)

    # -- states ---------------------------------------------------------------------------

    @property
    def by_row(self) -> bool | None:  # type: ignore[override]
        return False if self.stateful else None

    @property
    def states(self) -> Any:
        """The variables in which a stateful layer keeps its states; None of another."""
        return self._kept.variables

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states before the first step.

        Args:
            batch_size: the number of sequences.
        """
        return _zero_states(self.cell, batch_size, self.compute_dtype)

    def reset_state(self) -> None:
        """Begin anew: a stateful layer's states become zeros."""
        self.reset_states()

    def reset_states(self, states: Any = None) -> None:
        """Set the states of a stateful layer.

        Args:
            states: arrays; zeros by default.

        Raises:
            ValueError: the layer keeps no states, or these are not as many or have other shapes.
        """
        if not self.stateful or self.states is None:
            why = "not built yet" if self.stateful else "not stateful (stateful=True)"
            raise ValueError(f"layer {self.name!r} has no states to reset: it is {why}.")
        kept = jax.tree.leaves(self.states)
        if states is None:
            given = [np.zeros(tuple(v.shape), v.dtype) for v in kept]
        else:
            given = [np.asarray(s) for s in jax.tree.leaves(states)]
        shapes, came = [tuple(v.shape) for v in kept], [v.shape for v in given]
        if shapes != came:
            raise ValueError(
                f"layer {self.name!r}: its states have the shapes {shapes}, got values of shapes "
                f"{came}."
            )
        for variable, value in zip(kept, given, strict=True):
            variable.assign(value)

    # -- building and calling -------------------------------------------------------------

    def build(self, sequences_shape: Any) -> None:
        if sequences_shape is None or len(sequences_shape) < 3:
            hint = " One feature a step gets an axis with x[..., None]."
            raise ShapeError(
                "expected an input of shape (batch, steps, features...), got shape "
                f"{sequences_shape and tuple(sequences_shape)}."
                + hint
                * (sequences_shape is not None and len(sequences_shape) == 2)
            )
        batch = sequences_shape[0]
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((batch, *sequences_shape[2:]))
        if self.stateful:
            if batch is None:
                raise ShapeError(
                    "a stateful layer must know its batch size, got an input of shape "
                    f"{tuple(sequences_shape)}. Say it: Input(batch_shape=(32, ...))."
                )
            self._batch = int(batch)
            first = self.get_initial_state(self._batch)
            self._kept.variables = jax.tree.map(self._variable, first)

    def _variable(self, first: Any) -> Variable:
        value = np.zeros(tuple(first.shape), self.dtype_policy.variable)
        return Variable(value, trainable=False, name="rnn_state")

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False
    ) -> Any:
        shape = self._sizes(sequences)
        batch, steps = shape[:2]
        mask = jax.tree.leaves(mask)[0] if isinstance(mask, list | tuple) else mask
        if mask is not None and tuple(mask.shape) != (batch, steps):
            raise ShapeError(
                f"the mask must have shape {(batch, steps)}, (batch, steps), got "
                f"{tuple(mask.shape)}."
            )
        if self.go_backwards:
            sequences = flip(sequences, 1)
            backwards = mask if mask is None else flip(mask, 1)
        else:
            backwards = mask
        states = self._first_states(initial_state, shape)
        outputs, last = self._run(sequences, states, backwards, training)
        if self.stateful:
            for variable, value in zip(
                jax.tree.leaves(self.states), jax.tree.leaves(last), strict=True
            ):
                variable.assign(value)
        if not self.return_state:
            return outputs
        if self.return_sequences and mask is not None:
            set_mask(outputs, mask)
        return (outputs, *last)

    def _sizes(self, sequences: Any) -> Any:
        shape = sequences.shape
        if len(shape) < 3:
            raise ShapeError(
                f"expected an input of shape (batch, steps, features...), got {tuple(shape)}."
            )
        if self.stateful and shape[0] != self._batch:
            raise ShapeError(
                f"the layer is stateful and was built for batches of {self._batch}, got one of "
                f"{shape[0]}. Give it batches of one size (drop_remainder=True), or none of what "
                "it keeps (stateful=False)."
            )
        if not shape[1]:
            raise ShapeError(f"expected at least one step, got an input of shape {tuple(shape)}.")
        return shape

    def _first_states(self, given: Any, shape: Any) -> Any:
        """The first states in the cell's structure, or None for the zeros of weft's own cells."""
        if given is None and self.stateful:
            given = jax.tree.map(lambda v: v.value, self.states)
        elif given is None and all(map(_begins_at_zero, self._cells())):
            return None
        usual = self._usual_states(shape)
        if given is None:
            return usual
        expected = [tuple(s.shape) for s in jax.tree.leaves(usual)]
        came = [tuple(s.shape) for s in jax.tree.leaves(given)]
        if came != expected:
            raise ShapeError(
                f"expected {len(expected)} initial states of shapes {expected}, got {len(came)} of "
                f"shapes {came}."
            )
        return jax.tree.unflatten(jax.tree.structure(usual), jax.tree.leaves(given))

    def _usual_states(self, shape: Any) -> list[Any]:
        """The states before the first step of inputs of this shape."""
        return self.get_initial_state(shape[0])

    def _cells(self) -> list[Any]:
        """The cells, one on another."""
        cell = self.cell
        stacked = isinstance(cell, StackedRNNCells) and type(cell).call is StackedRNNCells.call
        return cell.cells if stacked else [cell]

    def _run(self, sequences: Any, states: Any, mask: Any, training: Any) -> tuple[Any, Any]:
        """The outputs, and the last states."""
        cells = self._cells()
        compute = self.dtype_policy.compute
        if not all(runs_whole(cell) and cell.dtype_policy.compute == compute for cell in cells):
            return self._loop(sequences, states, mask, training)
        stacked = cells[0] is not self.cell
        own = states if stacked and states is not None else [states] * len(cells)
        last = []
        for k, (cell, first) in enumerate(zip(cells, own, strict=True)):
            top = k == len(cells) - 1
            sequences, after = cell.over_sequence(
                sequences, first, mask, training,
                each=self.return_sequences or not top,
                unroll=self.unroll,
                zero_skipped=self.zero_output_for_mask and top,
            )  # fmt: skip
            last.append(after)
        return sequences, last if stacked else last[0]

    def _loop(self, sequences: Any, states: Any, mask: Any, training: Any) -> tuple[Any, list[Any]]:
        """The same for any cell: its call is the body of a loop."""
        if states is None:
            states = self._usual_states(sequences.shape)

        def step(states: Any, now: Any) -> Any:
            output, new = _step(self.cell, now[0], states)
            old, structure = jax.tree.flatten(states)
            found = jax.tree.leaves(new)
            if len(found) != len(old):
                raise ValueError(
                    f"layer {self.name!r}: the cell was given {len(old)} states and returned "
                    f"{len(found)}."
                )
            if mask is not None:
                found = [_choose_op(now[1], a, b) for a, b in zip(found, old, strict=True)]
            return jax.tree.unflatten(structure, found), output

        steps = [_swap_op(a) for a in (sequences, mask) if a is not None]
        with _one_draw(self.cell, sequences.shape[0], training):
            last, outputs = scan(step, states, steps, unroll=True if self.unroll else 1)

        def finished(output: Any) -> Any:
            if mask is not None:
                output = _hold_last_op(output, mask, zero=self.zero_output_for_mask)
            return _swap_op(output) if self.return_sequences else output[-1]

        return jax.tree.map(finished, outputs), last

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = jax.tree.leaves(mask)[0] if isinstance(mask, list | tuple) else mask
        own = mask if self.return_sequences else None
        if not self.return_state:
            return own
        return [own, *[None] * len(jax.tree.leaves(self.cell.state_size))]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            **self._cell_config(),
        }

    def _cell_config(self) -> dict[str, Any]:
        return {"cell": serialize(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer of a config, its cell made from the cell's."""
        if "cell" in config:
            config = {**config, "cell": deserialize(config["cell"], custom_objects)}
        return cls(**config)


def _check_cell(layer: str, cell: Any) -> None:
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        hint = " Make one of it first, with ()." if isinstance(cell, type) else ""
        raise ValueError(
            f"{layer}: a cell has a method call(inputs, states) and an attribute state_size, got "
            f"{cell!r}.{hint}"
        )


def _output_size(cell: Any) -> Any:
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    first = cell.state_size
    return first[0] if isinstance(first, list | tuple) else first


def _step(cell: Any, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
    """One step of any cell: its output, and the new states as a list."""
    result = cell(inputs, states) if callable(cell) else cell.call(inputs, states)
    if not isinstance(result, list | tuple) or len(result) != 2:
        raise ValueError(
            f"a cell returns (output, new states), {type(cell).__name__} returned {result!r}."
        )
    output, new = result
    return output, list(new) if isinstance(new, list | tuple) else [new]


def _begins_at_zero(cell: Any) -> bool:
    own = isinstance(cell, FusedCell)
    return own and type(cell).get_initial_state is FusedCell.get_initial_state


@contextmanager
def _one_draw(cell: Any, batch: int, training: Any) -> Iterator[None]:
    """Within it, the dropouts of weft's cells have one draw for all steps."""
    below = cell._flatten_layers() if isinstance(cell, Layer) else []
    drawing = [c for c in below if isinstance(c, FusedCell)]
    try:
        for one in drawing:
            one.__dict__["_held"] = one.factors((batch, one.features), training)
        yield
    finally:
        for one in drawing:
            one.__dict__.pop("_held", None)
