"""A model's layers as a graph that TensorBoard draws."""

from __future__ import annotations

import json
from typing import Any

from weft.models.outline import calls_in, is_model, kind_of

__all__ = ["config_of", "graph_of"]


def config_of(model: Any) -> str | None:
    """The config of a model that is a graph of layers, as JSON: TensorBoard's conceptual graph."""
    if getattr(model, "_graph", None) is None:
        return None
    try:
        text: str = model.to_json()
    except (NotImplementedError, TypeError, ValueError):  # something that no config can hold
        return None
    return text if json.loads(text)["config"].get("layers") else None


def graph_of(model: Any) -> bytes | None:
    """The layers of such a model as a GraphDef, with the models inside it as scopes.

    It is what TensorBoard opens first: without one it says that the graph is malformed.
    """
    if getattr(model, "_graph", None) is None:
        return None
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    found: list[tuple[str, str, list[str]]] = []
    _collect(model, "", [], found)
    nodes = [NodeDef(name=name, op=kind, input=inputs) for name, kind, inputs in found]
    graph = GraphDef(node=nodes, versions=VersionDef(producer=22))
    return graph.SerializeToString()  # type: ignore[no-any-return]


def _collect(
    model: Any, scope: str, feeds: list[str], found: list[tuple[str, str, list[str]]]
) -> list[str]:
    """Add the nodes (name, kind, names of inputs) of a model; the names of its outputs.

    Args:
        model: a graph of layers.
        scope: what its nodes' names begin with.
        feeds: the nodes that its inputs come from, if it is inside another.
        found: where to add them.
    """
    graph = model._graph
    feed = dict(zip((id(graph.node_of(x)) for x in graph.input_symbols), feeds, strict=False))
    calls = calls_in(graph)
    names: dict[int, list[str]] = {}  # of each node's outputs

    def name_of(symbol: Any) -> str:
        given = names[id(graph.node_of(symbol))]
        return given[min(symbol.index, len(given) - 1)]

    for node in graph.nodes:
        operation = node.operation
        number = [id(each) for each in calls[id(operation)]].index(id(node))
        name = f"{scope}{operation.name}" + (f"_call_{number}" if number else "")
        inputs = [name_of(symbol) for symbol in node.inputs]
        if is_model(operation) and operation._graph is not None:
            names[id(node)] = _collect(operation, f"{name}/", inputs, found)
        else:
            inputs += [feed[id(node)]] if id(node) in feed else []
            found.append((name, kind_of(operation), inputs))
            names[id(node)] = [name]
    return [name_of(symbol) for symbol in graph.output_symbols]
