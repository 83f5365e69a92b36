"""`LayerGraph`: the calls between symbolic inputs and outputs, and how they are run on data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.engine import nest
from weft.engine.symbolic import KerasTensor, Node
from weft.layers.input import Input, InputLayer
from weft.layers.layer import Layer

__all__ = ["LayerGraph"]


class LayerGraph:
    """The part of a graph of calls that leads from some symbolic tensors to others.

    Args:
        model: the name of the model, for messages.
        inputs, outputs: nests of symbolic tensors.

    Attributes:
        nodes: the calls, each after those that it needs.
        operations: the layers and operations called, ordered by their distance from the outputs,
            the farthest first, as Keras orders a model's layers.

    Raises:
        ValueError: an input given twice, an output that needs an input not given, or two layers
            of one name.
        TypeError: something that is no symbolic tensor.
    """

    def __init__(self, model: str, inputs: Any, outputs: Any) -> None:
        self.model = model
        self.inputs, self.outputs = inputs, outputs
        self.extras: list[KerasTensor] = []  # computed beside the outputs: losses, metrics
        self.input_symbols = self._symbols("inputs", inputs)
        self.output_symbols = self._symbols("outputs", outputs)
        if len({id(x) for x in self.input_symbols}) < len(self.input_symbols):
            raise ValueError(
                f"model {model!r}: each input may be given once, got "
                f"{[x.name for x in self.input_symbols]}."
            )
        # A model may begin in the middle of another: an Input of its own stands there then.
        self._sources: dict[int, Node] = {}
        for x in self.input_symbols:
            begins = x.node is not None and isinstance(x.node.operation, InputLayer)
            own = x if begins else Input(batch_shape=x.shape, dtype=x.dtype)
            assert own.node is not None
            self._sources[id(x)] = own.node
        self._find()

    def __getstate__(self) -> dict[str, Any]:
        # What is kept by id, and the plan, are made anew: a copy has other symbols.
        sources = [self._sources[id(x)] for x in self.input_symbols]
        return {**self.__dict__, "_sources": sources, "steps": None}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._sources = dict(zip(map(id, self.input_symbols), values["_sources"], strict=True))
        self._plan()

    def _symbols(self, what: str, given: Any) -> list[KerasTensor]:
        leaves = list(nest.walk(given))
        odd = [leaf for leaf in leaves if not isinstance(leaf, KerasTensor)]
        if odd or not leaves:
            came = f"{type(odd[0]).__name__} {odd[0]!r}" if odd else "none"
            raise TypeError(
                f"model {self.model!r}: {what} must be symbolic tensors (weft.Input, and what "
                f"layers and operations make of it), got {came}."
            )
        return leaves

    def add(self, symbol: KerasTensor) -> None:
        """Compute this too at every call."""
        self.extras.append(symbol)
        self._find()

    # -- finding ----------------------------------------------------------------------------

    def node_of(self, symbol: KerasTensor) -> Node | None:
        """The call that makes a symbol in this graph."""
        return self._sources.get(id(symbol), symbol.node)

    def _find(self) -> None:
        self.nodes: list[Node] = []
        order: dict[int, int] = {}  # id of an operation -> when it was first come upon
        done: set[int] = set()
        for output in [*nest.by_key(self.outputs), *self.extras]:
            # Without recursion: a graph may be deeper than Python's stack.
            todo: list[tuple[KerasTensor, bool]] = [(output, False)]
            while todo:
                symbol, entered = todo.pop()
                node = self.node_of(symbol)
                if node is None or not (node.inputs or id(symbol) in self._sources):
                    raise self._disconnected(output, symbol)
                if id(node) in done:
                    continue
                if entered:
                    done.add(id(node))
                    self.nodes.append(node)
                else:
                    order.setdefault(id(node.operation), len(order))
                    todo.append((symbol, True))
                    todo += [(x, False) for x in reversed(node.inputs)]
        for node in reversed(self._sources.values()):
            if id(node) not in done:  # no output needs it
                self.nodes.insert(0, node)
                order[id(node.operation)] = -1
        self._sort(order)
        self._plan()

    def _disconnected(self, output: KerasTensor, missing: KerasTensor) -> ValueError:
        return ValueError(
            f"model {self.model!r}: the graph is not connected: output {self._title(output)} needs "
            f"input {self._title(missing)}, which is not among the inputs "
            f"{', '.join(self._title(x) for x in self.input_symbols)}. Add it to the model's "
            "inputs, or compute the output from those."
        )

    def _title(self, symbol: KerasTensor) -> str:
        """The name of the layer or operation that a symbol comes from."""
        node = self.node_of(symbol)
        return repr(symbol.name if node is None else node.operation.name)

    def _sort(self, order: dict[int, int]) -> None:
        """Operations by their greatest distance from an output, then as they were come upon."""
        depth: dict[int, int] = {}  # of an operation: the greatest of its calls so far
        least: dict[int, int] = {}  # of a call: one more than of any that needs it
        for node in reversed(self.nodes):
            key = id(node.operation)
            mine = depth[key] = max(depth.get(key, 0), least.get(id(node), 0))
            for symbol in node.inputs:
                before = id(self.node_of(symbol))
                least[before] = max(least.get(before, 0), mine + 1)
        found = {id(node.operation): node.operation for node in self.nodes}
        self.operations: list[Any] = sorted(
            found.values(), key=lambda o: (-depth[id(o)], order[id(o)])
        )
        names = [operation.name for operation in self.operations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"model {self.model!r}: layers must have names of their own, but {twice} stand "
                "for more than one. Give them other names (name=...)."
            )

    @property
    def input_layers(self) -> list[Layer]:
        """The InputLayer of each input."""
        return [self._sources[id(x)].operation for x in self.input_symbols]

    @property
    def layers(self) -> list[Layer]:
        """The layers among the operations."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    # -- running ----------------------------------------------------------------------------

    def _plan(self) -> None:
        """Steps over numbered slots: the inputs come first, then each call's outputs."""
        slots = {id(x): k for k, x in enumerate(self.input_symbols)}
        self.steps: list[tuple[Any, int, Any, int, Any]] = []
        for node in self.nodes:
            if not node.inputs:
                continue  # an input
            simple = len(node.args) == 1 and isinstance(node.args[0], KerasTensor)
            plain = simple and not node.kwargs
            source = slots[id(node.args[0])] if plain else -1
            fill = None if plain else _filler(node, dict(slots))
            for symbol in node.symbols:
                slots.setdefault(id(symbol), len(slots))
            whole = isinstance(node.outputs, KerasTensor)
            target = slots[id(node.outputs)] if whole else -1
            parts = None if whole else [
                slots[id(leaf)] if isinstance(leaf, KerasTensor) else -1
                for leaf in nest.walk(node.outputs)
            ]  # fmt: skip
            self.steps.append((node.operation, source, fill, target, parts))
        self._size = len(slots)
        self._single = isinstance(self.outputs, KerasTensor)
        self._outs = [slots[id(x)] for x in self.output_symbols]
        self._extra_slots = [slots[id(x)] for x in self.extras]

    def run(self, values: list[Any]) -> tuple[Any, list[Any]]:
        """The outputs, in their structure, and the extras, for the inputs' values in order."""
        slots: list[Any] = [*values, *([None] * (self._size - len(values)))]
        for operation, source, fill, target, parts in self.steps:
            if source >= 0:
                result = operation(slots[source])
            else:
                args, kwargs = fill(slots)
                result = operation(*args, **kwargs)
            if target >= 0:
                slots[target] = result
            else:
                for slot, leaf in zip(parts, nest.walk(result), strict=True):
                    if slot >= 0:
                        slots[slot] = leaf
        extras = [slots[k] for k in self._extra_slots]
        if self._single:
            return slots[self._outs[0]], extras
        wanted = iter(self._outs)
        return nest.mapped(lambda _: slots[next(wanted)], self.outputs), extras

    def replayed(self, inputs: list[KerasTensor], called: Callable[[Node, Any, Any], Any]) -> Any:
        """The outputs when `called(node, args, kwargs)` makes each call's, on other inputs."""
        values = dict(zip(map(id, self.input_symbols), inputs, strict=True))
        for node in self.nodes:
            if not node.inputs:
                continue
            args, kwargs = nest.mapped(lambda x: values.get(id(x), x), (node.args, node.kwargs))
            made = called(node, args, kwargs)
            for symbol, value in zip(
                nest.walk(node.outputs), nest.walk(made), strict=True
            ):
                values[id(symbol)] = value
        return nest.mapped(lambda x: values[id(x)], self.outputs)


def _filler(node: Node, slots: dict[int, int]) -> Callable[[list[Any]], tuple[Any, Any]]:
    """A function from the slots' values to a call's arguments."""

    def fill(values: list[Any]) -> tuple[Any, Any]:
        return nest.mapped(  # type: ignore[no-any-return]
            lambda x: values[slots[id(x)]] if x.__class__ is KerasTensor else x,
            (node.args, node.kwargs),
        )

    return fill

