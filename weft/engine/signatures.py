"""What a function's programs are kept under, in the user's words: arguments by name and path.

A key is (structure of the arguments, what is trainable, a part for each leaf): a part is the
`Spec` of a tensor, or (type, value) of anything else.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from weft.engine.nearest import brief, changed_spec, shortened, spec_text, toggles
from weft.engine.spec import Spec

__all__ = ["leaf_names", "part_text", "why_again"]

Key = tuple[Any, ...]


def why_again(python: Callable[..., Any], new: Key, now: Mapping[int, Any], before: Any) -> str:
    """In words, how a key differs from the nearest of those before it; "" if there is none.

    Args:
        python: the function, whose parameters name the arguments.
        new: the key.
        now: what is toggled away from its first `trainable`.
        before: pairs (key, what was toggled then), in the order they were made.
    """
    found = None
    fewest = None
    for key, toggled in before:
        count = _distance(key, new)
        if fewest is None or count <= fewest:
            found, fewest = (key, toggled), count
    if found is None:
        return ""
    return _difference(python, found[0], new) + _and(toggles(found[1], now), found[0], new)


def _and(switched: list[str], old: Key, new: Key) -> str:
    if old[1] == new[1] or not switched:
        return ""
    return ("; " if old[0] != new[0] or old[2:] != new[2:] else "") + "; ".join(switched)


def _distance(old: Key, new: Key) -> int:
    """How much differs: parts count twice, the structure and what is trainable once each."""
    apart = (old[0] != new[0]) + (old[1] != new[1])
    if old[0] == new[0]:
        return apart + sum(2 for a, b in zip(old[2:], new[2:], strict=True) if a != b)
    was, now = Counter(old[2:]), Counter(new[2:])
    return apart + 2 * ((was - now).total() + (now - was).total())


def _difference(python: Callable[..., Any], old: Key, new: Key) -> str:
    was = dict(zip(leaf_names(python, old[0]), old[2:], strict=True))
    now = dict(zip(leaf_names(python, new[0]), new[2:], strict=True))
    changes = []
    for name in {**now, **was}:
        a, b = was.get(name), now.get(name)
        if a is None:
            changes.append(f"{name} is new: {part_text(b)}")
        elif b is None:
            changes.append(f"{name} is gone: {part_text(a)}")
        elif a != b:
            both = isinstance(a, Spec) and isinstance(b, Spec)
            change = changed_spec(a, b) if both else f"{part_text(a)} → {part_text(b)}"
            changes.append(f"{name} {change}")
    if not changes and old[0] != new[0]:
        return "the same arguments in other containers, or by keyword instead of by position"
    return shortened(changes)


def part_text(part: Any) -> str:
    """A leaf's part of a key: `float32 (16, 4)`, or the value of what is no tensor."""
    return spec_text(part) if isinstance(part, Spec) else brief(part[1])


def leaf_names(python: Callable[..., Any], tree: Any) -> list[str]:
    """The leaves of (args, kwargs) as the user would write them: `x['a'][0]`."""
    places = jax.tree.unflatten(tree, range(tree.num_leaves))
    named = jax.tree_util.tree_flatten_with_path(places)[0]
    parameters = _parameters(python)
    # An object of the user's is passed over where what is in it has a name without it.
    plain = [_name(parameters, path, _Numbered) for path, _ in named]
    unlike = len(set(plain)) == len(plain)
    return plain if unlike else [_name(parameters, path) for path, _ in named]


_Numbered = jax.tree_util.FlattenedIndexKey


def _name(
    parameters: Iterable[inspect.Parameter], path: Any, without: tuple[type, ...] | type = ()
) -> str:
    which, argument, *rest = path
    inside = jax.tree_util.keystr(tuple(key for key in rest if not isinstance(key, without)))
    if which.idx == 1:
        return f"{argument.key}{inside}"
    for k, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{argument.idx - k}]{inside}"
        if k == argument.idx:
            return f"{parameter.name}{inside}"
    return f"argument {argument.idx + 1}{inside}"


def _parameters(python: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(python).parameters.values())
    except (TypeError, ValueError):  # some callables written in C have none
        return []
