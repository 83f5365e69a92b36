"""What belongs to a layer: found by walking its attributes, cached until some structure changes.

Every change that can alter the answer (an attribute that holds a layer, variable or container; a
mutated list or dict; a toggled `trainable`) moves one global counter, and the lists kept by a
layer are valid for the counter that they were made at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax

from weft.engine import SeedGenerator, Variable

__all__ = ["TrackedDict", "TrackedList", "changed", "track", "version", "walk"]

_version = 0


def version() -> int:
    """Moves whenever the structure of any layer may have changed."""
    return _version


def changed() -> None:
    """Say that the structure of some layer may have changed."""
    global _version
    _version += 1


def _mutator(base: type, name: str) -> Callable[..., Any]:
    method = getattr(base, name)

    def mutate(self: Any, *args: Any, **kwargs: Any) -> Any:
        changed()
        return method(self, *(track(a) for a in args), **kwargs)

    mutate.__name__ = name
    return mutate


class TrackedList(list):  # type: ignore[type-arg]
    """A list, attribute of a layer, whose changes are noticed."""

    for _name in (
        "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
        "__setitem__", "__delitem__", "__iadd__", "__imul__",
    ):  # fmt: skip
        locals()[_name] = _mutator(list, _name)

    def __reduce__(self) -> Any:
        return list, (list(self),)


class TrackedDict(dict):  # type: ignore[type-arg]
    """A dict, attribute of a layer, whose changes are noticed."""

    for _name in (
        "clear", "pop", "popitem", "setdefault", "update", "__setitem__", "__delitem__", "__ior__",
    ):  # fmt: skip
        locals()[_name] = _mutator(dict, _name)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


jax.tree_util.register_pytree_node(
    TrackedList, lambda x: (tuple(x), None), lambda _, children: list(children)
)
jax.tree_util.register_pytree_node(
    TrackedDict,
    lambda x: (tuple(x[k] for k in sorted(x)), tuple(sorted(x))),
    lambda keys, children: dict(zip(keys, children, strict=True)),
)


def track(value: Any) -> Any:
    """`value` to be kept as an attribute: a list or dict becomes one whose changes are noticed."""
    if value.__class__ is list:
        return TrackedList(track(v) for v in value)
    if value.__class__ is dict:
        return TrackedDict({k: track(v) for k, v in value.items()})
    return value


def walk(value: Any, kinds: tuple[type, ...]) -> Iterator[Any]:
    """The objects of `kinds` in a nest of lists, tuples, dicts and sets, in order."""
    if isinstance(value, kinds):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from walk(item, kinds)
    elif isinstance(value, dict):
        for item in value.values():
            yield from walk(item, kinds)


# What an attribute's value must be for the structure to change with it.
STRUCTURAL: tuple[type, ...] = (Variable, SeedGenerator, list, tuple, dict, set)
