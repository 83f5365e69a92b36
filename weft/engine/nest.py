"""Nests of values in the order in which the user wrote them.

`jax.tree` sorts the keys of dictionaries; whoever walks a result beside what it was asked for
needs them in the order given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import jax

from weft.engine.spec import Shape

__all__ = ["by_key", "in_order", "leaves_of", "mapped", "rebuilt", "walk"]


def leaves_of(nest: Any) -> list[Any]:
    """The leaves as `jax.tree` orders them, with None as a leaf."""
    return jax.tree.leaves(nest, is_leaf=lambda x: x is None)


def rebuilt(nest: Any, leaves: Sequence[Any]) -> Any:
    """`nest` with other leaves."""
    tree = jax.tree.structure(nest, is_leaf=lambda x: x is None)
    return in_order(nest, jax.tree.unflatten(tree, leaves))


def in_order(like: Any, nest: Any) -> Any:
    """`nest` with the keys of its dictionaries in the order that they have in `like`."""
    kind = type(nest)
    if kind is dict and isinstance(like, dict):
        return {key: in_order(value, nest[key]) for key, value in like.items()}
    if (kind is list or kind is tuple) and isinstance(like, list | tuple):
        return kind(in_order(a, b) for a, b in zip(like, nest, strict=True))
    return nest


def mapped(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """`nest` with `function` of each leaf (and of those in its place in `others`)."""
    if isinstance(nest, dict):
        return {k: mapped(function, v, *[other[k] for other in others]) for k, v in nest.items()}
    if isinstance(nest, list | tuple) and type(nest) is not Shape:
        parts = [mapped(function, *each) for each in zip(nest, *others, strict=True)]
        if isinstance(nest, list):
            return parts
        return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
    return function(nest, *others)


def walk(nest: Any) -> Iterator[Any]:
    """The leaves of a nest of lists, tuples and dicts, in the order that they were written in."""
    if isinstance(nest, dict):
        nest = list(nest.values())
    if isinstance(nest, list | tuple):
        for item in nest:
            yield from walk(item)
    else:
        yield nest


def by_key(nest: Any) -> Iterator[Any]:
    """The leaves with dictionaries in the order of their sorted keys, as Keras walks a nest."""
    if isinstance(nest, dict):
        keys = list(nest)
        if not isinstance(nest, OrderedDict):
            with suppress(TypeError):  # keys of unlike types stay as they are
                keys.sort()
        nest = [nest[key] for key in keys]
    if isinstance(nest, list | tuple):
        for item in nest:
            yield from by_key(item)
    else:
        yield nest
