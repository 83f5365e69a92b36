"""Where the parts of a model stand in a file: paths along its attributes, as Keras 3 has them.

A layer's place is the attribute that holds it (`encoder/dense`); in a list, tuple or dict it is
the class's name with a number (`blocks/dense`, `blocks/dense_1`), so that layers may be renamed.
A model's `layers` count as such a list: in functional and Sequential models before all attributes,
in others in alphabetical order with them. Names that begin with an underscore come last. What is
reached by several ways stands where it was found first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from weft.engine import SeedGenerator
from weft.engine.names import base_name, numbering, set_numbering
from weft.layers.input import Input
from weft.layers.layer import Layer
from weft.models import Model, Sequential
from weft.optimizers import Optimizer

__all__ = ["parts"]

_PARTS = (Layer, Optimizer, SeedGenerator)
_CONTAINERS = (list, tuple, dict, set)


def parts(root: Any) -> list[tuple[str, Any]]:
    """The layers, optimizers and seed generators of `root` with their paths; its own path is ""."""
    found: list[tuple[str, Any]] = []
    seen: dict[int, Any] = {}  # held: a list that a property made would give its id to the next

    def visit(path: str, part: Any) -> None:
        if id(part) in seen:
            return
        seen[id(part)] = part
        found.append((path, part))
        for name, value in _attributes(part):
            below = f"{path}/{name}" if path else name
            if isinstance(value, _PARTS):
                visit(below, value)
            else:
                visit_all(below, value)

    def visit_all(path: str, container: Any) -> None:
        if id(container) in seen:
            return
        seen[id(container)] = container
        used: dict[str, int] = {}
        for item in container.values() if isinstance(container, dict) else container:
            inner = isinstance(item, _CONTAINERS)
            if not inner and not isinstance(item, _PARTS):
                continue
            name = "container" if inner else base_name(type(item))
            count = used[name] = used.get(name, -1) + 1
            below = f"{path}/{name}_{count}" if count else f"{path}/{name}"
            (visit_all if inner else visit)(below, item)

    visit("", root)
    return found


def _attributes(part: Any) -> Iterator[tuple[str, Any]]:
    """The attributes that hold parts, or containers, which may hold some."""
    if isinstance(part, SeedGenerator):
        return
    names = set(dir(part)) - _own_names("optimizer" if isinstance(part, Optimizer) else "layer")
    if isinstance(part, Sequential):
        yield "layers", part.layers
    elif getattr(part, "_graph", None) is not None:
        yield "layers", part._graph.layers
    elif isinstance(part, Model) or "layers" in vars(part):
        names.add("layers")
    if isinstance(part, Model):
        names.add("optimizer")
    for name in sorted(names, key=lambda name: (name.startswith("_"), name)):
        if name.startswith("__"):
            continue
        try:
            value = getattr(part, name)
        except Exception:  # a property that has no value now: whatever it raises
            continue
        if isinstance(value, (*_PARTS, *_CONTAINERS)):
            yield name, value


@functools.cache
def _own_names(kind: str) -> frozenset[str]:
    """The attributes that layers and models, or optimizers, have by themselves."""
    if kind == "optimizer":
        return frozenset(dir(Optimizer(0.0, name="optimizer")))
    before = numbering()
    inputs = Input((1,), name="input")
    bare: list[Any] = [
        Layer(name="layer"), Model(name="model"), Sequential(name="sequential"),
        Model(inputs, inputs, name="functional"),
    ]  # fmt: skip
    set_numbering(before)
    return frozenset(name for one in bare for name in dir(one))
