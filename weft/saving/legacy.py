"""Weights of Keras 2's `.h5` files, alone or in the file of a whole model, put into a model.

Such a file lists its layers in the order of `model.layers` ("layer_names"), and for each of them
its weights ("weight_names"): those that are trained first, then the others, of all layers inside.
So the order in a layer with others inside depends on what was frozen as it was saved. It is found
by the weights' names; with equal names inside (two Dense layers, the first frozen, both named
otherwise than here), the file does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from weft.engine import Variable
from weft.layers.structure import own_weights
from weft.optimizers.undoing import undone_on_error
from weft.saving.by_name import no_names
from weft.saving.hdf5 import Contents
from weft.saving.matching import Misfit, compared, settle

__all__ = ["listed", "load_into", "root"]

_OF_MODEL = "top_level_model_weights"


@dataclass
class _Saved:
    """A layer in a file.

    Args:
        name: its name.
        weights: the names of its weights, with their places in the file.
    """

    name: str
    weights: list[tuple[str, str]]


def root(contents: Contents) -> str | None:
    """The group of the weights in a file of this layout; None where it is another."""
    found = [p for p in ("", "model_weights") if p in contents.places and _is_root(contents, p)]
    return found[-1] if found else None


def _is_root(contents: Contents, place: str) -> bool:
    return listed(contents, place, "layer_names") is not None


def listed(contents: Contents, place: str, name: str) -> list[str] | None:
    """A list of names that is an attribute; long ones are in pieces, numbered from 0."""
    found = contents.texts(place, name)
    if found is not None:
        return found
    pieces: list[str] = []
    count = 0
    while (piece := contents.texts(place, f"{name}{count}")) is not None:
        pieces += piece
        count += 1
    return pieces if count else None


def load_into(
    model: Any, contents: Contents, where: str, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """Compare the weights in a file with a model's, and assign them if all fit.

    Args:
        model: a model.
        contents: of the file.
        where: the file, for messages.
        by_name: whether layers of the same names belong together, or those of the same places
            among the layers that have weights.
        skip_mismatch: whether layers that do not fit are left as they are, with a warning.

    Raises:
        ValueError: something does not fit, or no layer has a name that is in the file. Nothing is
            changed then.
    """
    saved, of_model = _saved(contents)
    units = _by_names(model, saved, where) if by_name else _by_places(model, saved, where)
    own = own_weights(model)
    if (own or of_model.weights) if not by_name else (own and of_model.weights):
        units.append((model, own, of_model))
    plan: list[tuple[Variable, str]] = []
    misfits: list[Misfit] = []
    for layer, weights, theirs in units:
        fitting, wrong = _paired(layer, weights, theirs, contents)
        plan += fitting
        misfits += wrong
    settle(model, misfits, where, {}, skip_mismatch)
    with undone_on_error([variable for variable, _ in plan]):
        for variable, key in plan:
            variable.assign(contents.arrays[key])


def _saved(contents: Contents) -> tuple[list[_Saved], _Saved]:
    """The layers in a file that have weights, and the weights of the model itself."""
    top = root(contents)
    assert top is not None
    backend = (contents.texts(top, "backend") or [""])[0]
    version = (contents.texts(top, "keras_version") or ["2"])[0]
    if version.startswith(("0.", "1.")) or backend in ("theano", "cntk"):
        raise ValueError(
            f"{contents.where} was written by Keras {version} on {backend or 'another backend'}, "
            "whose kernels are laid out otherwise. Load and save it with Keras 2 on TensorFlow."
        )

    def layer(name: str) -> _Saved:
        place = f"{top}/{name}".strip("/")
        names = listed(contents, place, "weight_names") if place in contents.places else None
        keys = [(weight, f"{place}/{weight}") for weight in names or ()]
        gone = [key for _, key in keys if key not in contents.arrays]
        if names is None or gone:
            raise ValueError(
                f"{contents.where} is damaged: it lists the layer {name!r}, "
                + (f"but has no arrays {gone}." if gone else "of which it has nothing.")
            )
        return _Saved(name, keys)

    has_own = f"{top}/{_OF_MODEL}".strip("/") in contents.places
    saved = [layer(name) for name in listed(contents, top, "layer_names") or ()]
    of_model = layer(_OF_MODEL) if has_own else _Saved(_OF_MODEL, [])
    return [s for s in saved if s.weights], of_model


def _by_names(
    model: Any, saved: list[_Saved], where: str
) -> list[tuple[Any, list[Variable], _Saved]]:
    theirs = {s.name: s for s in saved}
    mine = [layer for layer in model.layers if layer.weights]
    found = [(x, x.weights, theirs[x.name]) for x in mine if x.name in theirs]
    if not found:
        raise no_names(repr(where), model, list(theirs), [x.name for x in mine])
    return found


def _by_places(
    model: Any, saved: list[_Saved], where: str
) -> list[tuple[Any, list[Variable], _Saved]]:
    mine = [layer for layer in model.layers if layer.weights]
    if len(mine) != len(saved):
        why = "" if mine else " It has no weights yet: call it on data, or build(input_shape)."
        raise ValueError(
            f"{where!r} has weights of {len(saved)} layers, {[s.name for s in saved]}; "
            f"{model.name!r} ({type(model).__name__}) has {len(mine)} layers with weights, "
            f"{[x.name for x in mine]}.{why} Nothing was changed. by_name=True loads the layers "
            "of the same names."
        )
    return [(layer, layer.weights, theirs) for layer, theirs in zip(mine, saved, strict=True)]


# -- inside of a layer --------------------------------------------------------------------------


def _paired(
    layer: Any, weights: list[Variable], saved: _Saved, contents: Contents
) -> tuple[list[tuple[Variable, str]], list[Misfit]]:
    """The weights of a layer with their arrays, and what does not fit.

    A layer inside of which something does not fit is left out as a whole.
    """
    places = dict(saved.weights)
    pairs = list(zip_longest(_in_order(layer, weights, saved, contents), places))
    if len(weights) != len(places):
        rows = ((n or f"layer {saved.name!r}", v, places.get(n)) for v, n in pairs)
        misfit = compared(layer.name, rows, contents.arrays)
        return [], [misfit] if misfit else []
    owners = {id(v): x for x in layer._flatten_layers() for v in own_weights(x)}
    rows_of: dict[int, list[tuple[str, Variable, str]]] = {}
    for v, name in pairs:
        rows_of.setdefault(id(owners[id(v)]), []).append((name, v, places[name]))
    plan: list[tuple[Variable, str]] = []
    misfits: list[Misfit] = []
    for rows in rows_of.values():
        misfit = compared(layer.name, rows, contents.arrays)
        if misfit is None:
            plan += [(v, key) for _, v, key in rows]
        else:
            misfits.append(misfit)
    return plan, misfits


def _in_order(
    layer: Any, weights: list[Variable], saved: _Saved, contents: Contents
) -> list[Variable]:
    """The weights in the order in which they were saved."""
    names = [_ends(name) for name, _ in saved.weights]
    mine = {_ends(v.path): v for v in weights}
    if len(mine) == len(weights) and sorted(mine) == sorted(names):
        return [mine[name] for name in names]

    def unlike(order: list[Variable]) -> tuple[int, int]:
        both = list(zip(order, saved.weights, strict=False))
        leaves = sum(_ends(v.path)[1] != _ends(name)[1] for v, (name, _) in both)
        return leaves, sum(tuple(v.shape) != contents.arrays.shape(key) for v, (_, key) in both)

    best = min(_orders(layer, weights), key=unlike)
    leaves = sorted(leaf for _, leaf in names)
    if unlike(best)[0] and leaves == sorted(_ends(v.path)[1] for v in weights):
        raise ValueError(
            f"{contents.where}: the weights of layer {saved.name!r} stand in an order that fits "
            f"none of {layer.name!r}: some of the layers inside were frozen as they were saved. "
            "Freeze the same ones, load, and unfreeze them; or name the layers inside as there. "
            "Nothing was changed."
        )
    return best


def _orders(layer: Any, weights: list[Variable]) -> Iterator[list[Variable]]:
    """The order if the layer was saved as it is now; with nothing frozen; with all of it frozen."""
    trained = {id(v) for v in layer.trainable_variables}
    yield sorted(weights, key=lambda v: id(v) not in trained)
    yield sorted(weights, key=lambda v: not v.trainable)
    yield weights


def _ends(name: str) -> tuple[str, str]:
    """The names of a weight's layer and its own: ("dense", "kernel") of "a/dense/kernel:0"."""
    *_, owner, leaf = ["", *name.partition(":")[0].split("/")]
    return owner, leaf
