"""`Picture`: a model as boxes and arrows, for whatever draws them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from weft.engine.symbolic import Node
from weft.layers.input import InputLayer
from weft.layers.layer import Layer
from weft.models.outline import (
    calls_in,
    is_model,
    kind_of,
    members,
    outputs_in,
    shape_text,
    text_of,
)
from weft.models.sequential import Sequential

__all__ = ["Box", "Picture", "picture_of"]


@dataclass
class Box:
    """A layer or operation: a title, and lines of details with their labels.

    A model that is shown with its layers has a picture in place of details.
    """

    key: str  # unique in the whole picture
    title: str
    details: list[tuple[str, str]] = field(default_factory=list)
    inside: Picture | None = None


@dataclass
class Picture:
    """A model's boxes, in an order that follows the arrows, and arrows between their keys."""

    title: str
    boxes: list[Box] = field(default_factory=list)
    arrows: list[tuple[str, str]] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)  # the boxes that take the inputs, in order
    exits: list[str] = field(default_factory=list)  # the boxes that give the outputs, in order


@dataclass
class Details:
    """What the boxes say."""

    shapes: bool = False
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False
    nested: bool = False


def picture_of(model: Any, details: Details, key: str = "n") -> Picture:
    """The picture of a model.

    Args:
        model: any model; of a subclass, whose `call` no graph describes, the layers without arrows.
        details: what the boxes say.
        key: put before the keys of the boxes.
    """
    graph = model._graph
    nodes = calls_in(graph) if graph is not None else {}
    outputs = outputs_in(model)
    picture = Picture(model.name)
    boxes: dict[int, Box] = {}
    for k, operation in enumerate(members(model)):
        own = f"{key}{k}"
        box = boxes[id(operation)] = Box(own, _title(operation, details.names))
        picture.boxes.append(box)
        if details.nested and is_model(operation) and (inner := _arrowed(operation)):
            box.inside = picture_of(inner, details, f"{own}_")
        else:
            calls = nodes.get(id(operation), [])
            box.details = _details(operation, calls, outputs.get(id(operation), []), details)
    if isinstance(model, Sequential):
        for before, after in pairwise(picture.boxes):
            picture.arrows += zip(_exits(before)[:1], _entries(after)[:1], strict=True)
        picture.entries = _entries(picture.boxes[0])[:1] if picture.boxes else []
        picture.exits = _exits(picture.boxes[-1])[:1] if picture.boxes else []
    elif graph is not None:
        _connect(picture, graph, boxes)
    return picture


def _arrowed(model: Any) -> Any:
    """The model, where it has boxes and arrows of its own to show."""
    whole = model._graph is not None or (isinstance(model, Sequential) and model.layers)
    return model if whole else None


def _connect(picture: Picture, graph: Any, boxes: dict[int, Box]) -> None:
    def source(symbol: Any) -> str:
        node: Node = graph.node_of(symbol)
        places = _exits(boxes[id(node.operation)])
        return places[symbol.index if symbol.node is node and len(places) > symbol.index else 0]

    for node in graph.nodes:
        box = boxes[id(node.operation)]
        places = _entries(box)
        for k, symbol in enumerate(node.inputs):
            arrow = (source(symbol), places[k] if len(places) > k else places[0])
            if arrow not in picture.arrows:
                picture.arrows.append(arrow)
    picture.entries = [boxes[id(layer)].key for layer in graph.input_layers]
    picture.exits = [source(symbol) for symbol in graph.output_symbols]


def _entries(box: Box) -> list[str]:
    return box.inside.entries if box.inside else [box.key]


def _exits(box: Box) -> list[str]:
    return box.inside.exits if box.inside else [box.key]


def _title(operation: Any, named: bool) -> str:
    kind = kind_of(operation)
    return f"{operation.name} ({kind})" if named else kind


def _details(
    operation: Any, calls: list[Node], outputs: list[Any], wanted: Details
) -> list[tuple[str, str]]:
    found = []
    if wanted.activations and (activation := getattr(operation, "activation", None)) is not None:
        name = getattr(activation, "__name__", None) or type(activation).__name__
        found.append(("Activation", name))
    if wanted.shapes:
        if calls and not isinstance(operation, InputLayer):
            found.append(("Input shape", shape_text([node.inputs for node in calls])))
        found.append(("Output shape", shape_text(outputs)))
    if wanted.dtype:
        found.append(("Output dtype", text_of(outputs, lambda symbol: symbol.dtype.name)))
    if wanted.trainable and isinstance(operation, Layer) and operation.weights:
        found.append(("Trainable", str(operation.trainable)))
    return found
