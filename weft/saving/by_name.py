"""Layers matched by their names, in files that keep them by their places.

Only the layers that a model holds directly are found by name; what is inside of each has its place
there, as always.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.layers.layer import Layer
from weft.saving.hdf5 import Contents, Group

__all__ = ["no_names", "renamed"]


def renamed(
    found: Iterable[tuple[str, Any]], contents: Contents, model: Any
) -> tuple[list[tuple[str, Any]], dict[str, Group]]:
    """The parts of the layers whose names are in a file, and its arrays at those parts' places.

    Args:
        found: the model's parts with their paths.
        contents: the file.
        model: the model, for messages.

    Raises:
        ValueError: no layer of the model is named as one in the file, or two there have the name.
    """
    names, groups = contents.names(), contents.parts()
    theirs = _by_outermost((path, groups.get(path)) for path in {**names, **groups})
    places: dict[str, list[str]] = {}  # of the layers in the file, by name
    for place in theirs:
        if place in names and place != "optimizer":
            places.setdefault(names[place], []).append(place)
    parts: list[tuple[str, Any]] = []
    arrays: dict[str, Group] = {}
    layers = {k: v for k, v in _by_outermost(found).items() if isinstance(v[0][1], Layer)}
    for path, below in layers.items():
        name = below[0][1].name
        at = places.get(name, [])
        if len(at) > 1:
            raise ValueError(
                f"{contents.where} has {len(at)} layers named {name!r}, at {at}: they cannot be "
                "told apart by_name. Nothing was changed."
            )
        for place in at:
            parts += below
            arrays.update({path + k[len(place) :]: v for k, v in theirs[place] if v is not None})
    if not arrays:
        held = [name for name, at in places.items() for p in at if any(v for _, v in theirs[p])]
        mine = [below[0][1].name for below in layers.values() if below[0][1].weights]
        raise no_names(contents.where, model, sorted(held), mine)
    return parts, arrays


def no_names(where: str, model: Any, theirs: list[str], mine: list[str]) -> ValueError:
    """The error of a file with none of a model's layers in it."""
    return ValueError(
        f"{where} has weights of the layers {theirs}, of which none is named as one with weights "
        f"in {model.name!r}: {mine}. Nothing was loaded. Name the layers alike, or load by their "
        "places, without by_name."
    )


def _by_outermost(items: Iterable[tuple[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """Parts by the outermost part that they are in; the model itself, at "", is none of them."""
    items = [(path, item) for path, item in items if path]
    known = {path for path, _ in items}
    found: dict[str, list[tuple[str, Any]]] = {}
    for path, item in items:
        ends = [n for n, letter in enumerate(path) if letter == "/"]
        top = next((path[:n] for n in ends if path[:n] in known), path)
        found.setdefault(top, []).append((path, item))
    return found
