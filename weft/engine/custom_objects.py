"""Classes and functions of the user's own, found by name when a config is read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = [
    "CustomObjectScope", "custom_object", "custom_object_scope", "get_custom_objects",
    "get_registered_name", "get_registered_object", "register_keras_serializable",
]  # fmt: skip

_registered: dict[str, Any] = {}  # "package>Name" -> object
_names: dict[Any, str] = {}
_global: dict[str, Any] = {}


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.stack: list[dict[str, Any]] = []


_scopes = _Scopes()


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """A decorator that makes a class or function known to configs, as `package>name`.

    Args:
        package: says whose it is, so that equal names of two projects do not clash.
        name: the object's own by default.

    Raises:
        ValueError: a class without `get_config`.

    Example:
        >>> import weft
        >>> from weft.engine import register_keras_serializable
        >>> @register_keras_serializable(package="mine")
        ... class Twice(weft.layers.Layer):
        ...     def call(self, inputs):
        ...         return inputs * 2.0
        >>> config = weft.layers.serialize(Twice())
        >>> config["registered_name"], type(weft.layers.deserialize(config)) is Twice
        ('mine>Twice', True)
    """

    def register(thing: Any) -> Any:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"{thing.__name__} cannot be registered: it has no get_config(), which says how "
                "it is written down."
            )
        full = f"{package}>{name or thing.__name__}"
        _registered[full] = thing
        _names[thing] = full
        return thing

    return register


def get_registered_name(thing: Any) -> str:
    """`package>name` of what was registered; the plain name of anything else."""
    found = _names.get(thing)
    return found if found is not None else str(thing.__name__)


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """The object of that name: in the scopes, registered, in `custom_objects`, or None."""
    found = custom_object(name, custom_objects)
    return found if found is not None else (module_objects or {}).get(name)


def get_custom_objects() -> dict[str, Any]:
    """The dictionary of names that every config may use; change it to add some."""
    return _global


class CustomObjectScope(AbstractContextManager[Any]):
    """A context in which configs may name these objects.

    Args:
        custom_objects: classes and functions by name.
    """

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self.custom_objects = dict(custom_objects or {})

    def __enter__(self) -> CustomObjectScope:
        _scopes.stack.append(self.custom_objects)
        return self

    def __exit__(self, *error: Any) -> None:
        _scopes.stack.remove(self.custom_objects)


custom_object_scope = CustomObjectScope


def custom_object(name: str, custom_objects: Any = None) -> Any:
    """The user's object of that name, or None: the innermost scope counts most.

    A name without its package finds a registered object too, where only one has it.
    """
    for scope in ([custom_objects] if custom_objects else []) + _scopes.stack[::-1] + [_global]:
        if name in scope:
            return scope[name]
    found = _registered.get(name)
    if found is None and ">" not in name:
        same = [thing for full, thing in _registered.items() if full.split(">")[-1] == name]
        found = same[0] if len(same) == 1 else None
    return found
