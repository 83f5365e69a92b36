"""What a model consists of, for summaries and plots: its layers, their calls, their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from weft.engine import ArrayLike, KerasTensor, nest
from weft.engine.symbolic import Node, infer
from weft.layers.described import is_shape
from weft.layers.layer import Layer
from weft.models.graph import LayerGraph
from weft.training.trainer import Trainer

__all__ = [
    "calls_in", "is_chain", "is_model", "is_unbuilt", "kind_of", "members", "outputs_in",
    "shape_text", "sources", "text_of",
]  # fmt: skip


def is_model(operation: Any) -> bool:
    """Whether an operation is a model, whose own layers can be shown."""
    return isinstance(operation, Trainer)


def is_unbuilt(operation: Any) -> bool:
    """Whether a layer's weights are still to be made."""
    if not isinstance(operation, Layer) or operation.built:
        return False
    makes = type(operation).build is not Layer.build
    return makes or any(is_unbuilt(layer) for layer in operation.layers)


def kind_of(operation: Any) -> str:
    """The class of a layer; of an operation its name as a class's: `Concatenate`."""
    if isinstance(operation, Layer):
        return type(operation).__name__
    function = operation.function
    name = getattr(function, "public_name", None) or getattr(function, "__name__", operation.name)
    return "".join(part[:1].upper() + part[1:] for part in name.split(".")[-1].split("_"))


def members(model: Any) -> list[Any]:
    """The layers of a model, and the operations of its graph, in the order of the graph."""
    layers = model.layers
    graph = model._graph
    if graph is None:
        return list(layers)
    listed = {id(x) for x in layers}
    # Sequential's input is in its graph, but none of its layers.
    found = [x for x in graph.operations if id(x) in listed or not isinstance(x, Layer)]
    called = {id(x) for x in found}
    return [*found, *(x for x in layers if id(x) not in called)]


def calls_in(graph: LayerGraph) -> dict[int, list[Node]]:
    """The calls of each operation of a graph, by the operation's id."""
    found: dict[int, list[Node]] = {}
    for node in graph.nodes:
        found.setdefault(id(node.operation), []).append(node)
    return found


def sources(graph: LayerGraph, node: Node) -> list[Node]:
    """The call that each input of a call comes from."""
    return [graph.node_of(symbol) for symbol in node.inputs]  # type: ignore[misc]


def is_chain(graph: LayerGraph) -> bool:
    """Whether each call of a graph takes just the first output of the one before it."""
    nodes = graph.nodes
    if nodes[0].inputs or len(graph.operations) < len(nodes):
        return False
    return all(
        [id(x) for x in sources(graph, node)] == [id(before)] and node.inputs[0].index == 0
        for before, node in pairwise(nodes)
    )


# -- shapes ---------------------------------------------------------------------------------


def text_of(calls: list[Any], what: Callable[[KerasTensor], str]) -> str:
    """Something of each tensor that a layer's calls take or give, each different one once.

    Args:
        calls: a nest of symbolic tensors for each call; several tensors stand in brackets.
        what: says it of one.
    """
    texts = []
    for call in calls:
        leaves = [what(leaf) for leaf in nest.walk(call) if isinstance(leaf, KerasTensor)]
        texts.append(leaves[0] if len(leaves) == 1 else f"[{', '.join(leaves)}]")
    return ", ".join(dict.fromkeys(texts)) or "?"


def shape_text(calls: list[Any]) -> str:
    """The shapes of the tensors that a layer's calls take or give."""
    return text_of(calls, lambda symbol: str(tuple(symbol.shape)))


def outputs_in(model: Any) -> dict[int, list[Any]]:
    """A nest of symbolic outputs for each call of a layer, by the layer's id.

    Where no graph says them, the model is run without data on what it was built for.
    """
    graph = model._graph
    if graph is None:
        return _observed(model)
    return {key: [node.outputs for node in nodes] for key, nodes in calls_in(graph).items()}


def _symbol_of(value: Any) -> Any:
    return KerasTensor(value.shape, value.dtype, "output") if isinstance(value, ArrayLike) else None


def _observed(model: Any) -> dict[int, list[Any]]:
    """What the layers below a model give when it is run without data."""
    given = model.__dict__.get("_built_with")
    if given is None:
        return {}
    args = [_symbols(value, model.compute_dtype) for value in given[0]]
    kwargs = {
        name.removesuffix("_shape"): _symbols(value, model.compute_dtype)
        for name, value in given[1].items()
    }
    if "input_shape" in given[1]:
        args.append(kwargs.pop("input"))
    runs: list[list[tuple[int, Any]]] = []

    def run(*args: Any, **kwargs: Any) -> Any:
        runs.append([])
        return model(*args, **kwargs)

    try:
        with _watched(model, lambda layer, out: runs[-1].append((id(layer), out))):
            infer(run, args, kwargs)
        found: dict[int, list[Any]] = {}
        # A dimension that differs between the sizes put in place of an unknown one is unknown.
        for (key, first), (_, second) in zip(runs[0], runs[-1], strict=True):
            found.setdefault(key, []).append(nest.mapped(_common, first, second))
        return found
    except Exception:  # whatever the user's Python raises where there are no values
        return {}


def _symbols(given: Any, dtype: Any) -> Any:
    """Symbolic tensors in place of the shapes, or of the tensors, that a model was built for."""
    if isinstance(given, KerasTensor):
        return given
    if is_shape(given):
        return KerasTensor(given, dtype, name="input")
    if isinstance(given, dict):
        return {name: _symbols(value, dtype) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return type(given)(_symbols(value, dtype) for value in given)
    return given


def _common(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return None
    shape = [m if m == n else None for m, n in zip(first.shape, second.shape, strict=True)]
    return KerasTensor(shape, first.dtype, "output")


@contextmanager
def _watched(model: Any, see: Any) -> Iterator[None]:
    """A context in which `see(layer, outputs)` is called after the `call` of each layer inside.

    The method is put before the class's in the layer itself, so that calls outside cost nothing.
    Losses added in the context are forgotten after it.
    """
    layers = model._flatten_layers()
    kept = ("call", "_losses", "_losses_call", "_last_call")
    before = [{k: layer.__dict__[k] for k in kept if k in layer.__dict__} for layer in layers]

    def watching(layer: Any) -> Any:
        call = layer.call

        def seen(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            see(layer, nest.mapped(_symbol_of, outputs))
            return outputs

        return seen

    try:
        for layer in layers[1:]:
            layer.__dict__["call"] = watching(layer)
        yield
    finally:
        for layer, attributes in zip(layers, before, strict=True):
            layer.__dict__.pop("call", None)
            layer.__dict__.update(attributes)
