"""Losses and metrics by name and by config: classes, and functions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from weft.engine.names import Registry

__all__ = ["FunctionRegistry", "forgotten_init"]


class FunctionRegistry(Registry):
    """A registry of classes some of whose names stand for functions.

    Args:
        kind, module, members: as in `Registry`.
        functions: what a name stands for where a config says that it is a function's, and where
            no class has it.
        names: what a name stands for before anything else.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        members: Iterable[type],
        functions: Mapping[str, Any],
        names: Mapping[str, Any],
    ) -> None:
        super().__init__(kind, module, members)
        self.functions = dict(functions)
        self.by_name: dict[str, Any] = {**functions, **self.by_name, **names}

    def get(self, identifier: Any) -> Any:
        """What a name, config, class, function or object stands for; None is None.

        Raises:
            ValueError: no such name, or nothing that can be made into one.
        """
        if isinstance(identifier, str):
            return self.deserialize(identifier)
        return super().get(identifier)

    def serialize(self, thing: Any) -> Any:
        """The config that `deserialize` makes an equal object from, as Keras's files have it."""
        if hasattr(thing, "get_config"):
            made = super().serialize(thing)
            inner = made["config"]
            if callable(inner.get("fn")):
                made["config"] = {**inner, "fn": self.serialize(inner["fn"])}
            return made
        return super().serialize(thing)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object or function of a config, or of a name.

        Raises:
            ValueError: the name is not known, or the config is none.
        """
        if isinstance(config, dict):
            inner: Any = config.get("config")
            if config.get("class_name") == "function":
                return self.find(inner, {**self.functions, **(custom_objects or {})})
            fn = inner.get("fn") if isinstance(inner, dict) else None
            if isinstance(fn, dict):
                fn = self.deserialize(fn, custom_objects)
            elif isinstance(fn, str):  # Keras 2's
                fn = (custom_objects or {}).get(fn) or self.functions.get(fn, fn)
            if fn is not None:
                config = {**config, "config": {**inner, "fn": fn}}
        return super().deserialize(config, custom_objects)


def forgotten_init(cls: type) -> str:
    """The message for an `__init__` that does not call the base's."""
    return (
        f"{cls.__name__}.__init__ did not call super().__init__(), which sets up what the base "
        "class keeps. Call it first."
    )
