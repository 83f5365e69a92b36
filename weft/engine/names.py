"""Things found by name, or made from a config; an unknown name is answered with the near ones."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from weft.engine.custom_objects import custom_object, custom_object_scope, get_registered_name

__all__ = [
    "Registry", "auto_name", "base_name", "clear_names", "function_config", "looked_up", "near",
    "number", "numbering", "set_numbering", "snake_case", "unknown",
]  # fmt: skip


def near(name: Any, known: Iterable[str]) -> str:
    """The end of an error message: the known names like `name`, or else all of them."""
    names = sorted(set(known))
    by_lower = {n.lower(): n for n in names}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.6)
    if found:
        return f"Did you mean {' or '.join(repr(by_lower[n]) for n in found)}?"
    return f"Known: {', '.join(names)}."


def snake_case(name: str) -> str:
    """`GlorotUniform` as `glorot_uniform`, `L1L2` as `l1_l2`, `MSELoss` as `mse_loss`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


_used: defaultdict[str, int] = defaultdict(int)


def auto_name(cls: type) -> str:
    """A name for an object of a class, not used so far: `dense`, `dense_1`, ...

    Unlike `snake_case` it takes no digit for the end of a word: `MaxPooling2D` gives
    `max_pooling2d`, as Keras names its layers.
    """
    return number(base_name(cls))


def base_name(cls: type) -> str:
    """What `auto_name` counts: `MaxPooling2D` as `max_pooling2d`, `LSTMCell` as `lstm_cell`."""
    name = re.sub(r"\W+", "", cls.__dict__.get("_keras_name", cls.__name__))
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def number(base: str) -> str:
    """`base`, or where that is taken `base_1`, `base_2`, ..."""
    count = _used[base]
    _used[base] += 1
    return f"{base}_{count}" if count else base


def clear_names() -> None:
    """Start the numbering of names again."""
    _used.clear()


def numbering() -> dict[str, int]:
    """Where the numbering of names stands."""
    return dict(_used)


def set_numbering(before: dict[str, int]) -> None:
    """Let the numbering go on from where it stood."""
    _used.clear()
    _used.update(before)


class Registry:
    """The classes of one kind, found in CamelCase, in snake_case or by an alias.

    Args:
        kind: what they are, for messages ("initializer").
        module: Keras's module of them, which configs name ("keras.initializers").
        members: the classes.
        aliases: further names.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        members: Iterable[type],
        aliases: Mapping[str, type] | None = None,
    ) -> None:
        self.kind = kind
        self.module = module
        self.members: tuple[type, ...] = ()
        self.by_name: dict[str, Any] = {}
        self.add(members, aliases)

    def add(self, members: Iterable[type], aliases: Mapping[str, type] | None = None) -> None:
        """Take in further classes and names."""
        members = tuple(members)
        self.members += members
        self.by_name.update(aliases or {})
        for member in members:
            self.by_name[member.__name__] = self.by_name[snake_case(member.__name__)] = member

    def get(self, identifier: Any) -> Any:
        """An object from a name, a config, a class or an object (returned as it is); None is None.

        Raises:
            ValueError: no such name, or nothing that can be made into one.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str | dict):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier):
            return identifier
        raise ValueError(
            f"{identifier!r} is no {self.kind}: give a name, a config, a class or a callable."
        )

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The class of that name, among the user's own first."""
        found = custom_object(name, custom_objects) or self.by_name.get(name)
        if found is None:
            raise ValueError(f"unknown {self.kind} {name!r}. {near(name, self.by_name)}")
        return found

    def serialize(self, thing: Any) -> Any:
        """The config that `deserialize` makes an equal object from, or finds a function by.

        Raises:
            TypeError: it has neither `get_config` nor a name.
        """
        if thing is None:
            return None
        if not hasattr(thing, "get_config"):
            return function_config(self.kind, thing)
        made = type(thing)
        own = made in self.members
        return {
            "module": self.module if own else made.__module__,
            "class_name": made.__name__,
            "config": thing.get_config(),
            "registered_name": None if own else get_registered_name(made),
        }

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object of a config, or of a name.

        Raises:
            ValueError: the class is not known, or the config is none.
        """
        if config is None:
            return None
        if isinstance(config, str):
            found = self.find(config, custom_objects)
            return found() if isinstance(found, type) else found
        if not isinstance(config, dict) or "class_name" not in config:
            article = "an" if self.kind[0] in "aeiou" else "a"
            raise ValueError(
                f"the config of {article} {self.kind} is a dict with 'class_name' and 'config', "
                f"got {config!r}."
            )
        if config["class_name"] == "function":
            return self.find(config["config"], custom_objects)
        made = custom_object(config.get("registered_name") or "", custom_objects)
        made = made or self.find(config["class_name"], custom_objects)
        with custom_object_scope(dict(custom_objects or {})):  # for what the config holds in turn
            return made.from_config(config.get("config") or {})


def function_config(kind: str, function: Any) -> dict[str, Any]:
    """A function as Keras's files have it, to be found by its name.

    Raises:
        TypeError: it has none.
    """
    if not hasattr(function, "__name__"):
        raise TypeError(
            f"cannot write the {kind} {function!r} as a config: it has neither get_config nor a "
            "name."
        )
    return {
        "module": "builtins",
        "class_name": "function",
        "config": get_registered_name(function),
        "registered_name": "function",
    }


def looked_up(owner: Any, what: str, get: Callable[[Any], Any], given: Any) -> Any:
    """`get(given)`, where the error of an unknown name says whose argument it is.

    Args:
        owner: the object whose class the error names.
        what: the argument's name.
        get: makes the thing from its name, config or the like.
        given: that.
    """
    try:
        return get(given)
    except ValueError as error:
        raise ValueError(f"{type(owner).__name__}: {what}: {error}") from error


def unknown(module: str, name: str, names: Iterable[str]) -> AttributeError:
    """The error for a name that a module of names does not have."""
    known = [n for n in names if not n.startswith("_")]
    return AttributeError(f"{module} has no {name!r}. {near(name, known)}")
