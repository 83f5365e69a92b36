"""Nests of values in the order in which the user wrote them.

`jax.tree` sorts the keys of dictionaries; whoever walks a result beside what it was asked for
needs them in the order given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

__all__ = ["in_order", "leaves_of", "rebuilt"]


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
