"""Optimizers by name, by config, or from an Optax transformation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from weft.engine.custom_objects import custom_object
from weft.engine.names import Registry
from weft.optimizers.base import Optimizer
from weft.optimizers.transformation import OptaxOptimizer, is_transformation

__all__ = ["deserialize", "get", "registry", "serialize"]


class _Optimizers(Registry):
    """The optimizers, found in upper, lower or mixed case."""

    def add(self, members: Iterable[type], aliases: Mapping[str, type] | None = None) -> None:
        members = tuple(members)
        super().add(members, {c.__name__.lower(): c for c in members} | dict(aliases or {}))

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        own = custom_object(name, custom_objects)
        if own is None and name not in self.by_name:
            name = str(name).lower()
        return own or super().find(name)


# `catalogue` fills it; here it stands below those optimizers that hold others.
registry = _Optimizers("optimizer", "keras.optimizers", ())
deserialize = registry.deserialize


def serialize(optimizer: Any) -> Any:
    """The config that `deserialize` makes an optimizer from: as in Keras's files, no state in it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return registry.serialize(optimizer)


def get(identifier: Any) -> Optimizer:
    """The optimizer that `identifier` means.

    Args:
        identifier: an optimizer; a name in any case ("adam"); a config, as `serialize` gives; or
            an Optax transformation.

    Raises:
        ValueError: an unknown name.
        TypeError: anything else.

    Example:
        >>> from weft import optimizers
        >>> optimizers.get("adam")
        <weft.optimizers.Adam 'adam...'>
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str | dict):
        made = deserialize(identifier)
        if isinstance(made, Optimizer):
            return made
    elif not isinstance(identifier, type) and is_transformation(identifier):
        return OptaxOptimizer(identifier)
    hint = f" Make one: {identifier.__name__}()." if isinstance(identifier, type) else ""
    raise TypeError(
        "an optimizer is given as a weft.optimizers object, a name, a config or an Optax "
        f"transformation, got {identifier!r} of type {type(identifier).__name__}.{hint}"
    )
