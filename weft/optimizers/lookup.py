"""Optimizers by name, by config, or from an Optax transformation."""

from __future__ import annotations

import difflib
from typing import Any

from weft.optimizers.adam import Adam, AdamW
from weft.optimizers.base import Optimizer
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.sgd import SGD
from weft.optimizers.transformation import OptaxOptimizer, is_transformation

__all__ = ["deserialize", "get", "serialize"]

_KNOWN: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adam, AdamW)
}


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
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}})
    if not isinstance(identifier, type) and is_transformation(identifier):
        return OptaxOptimizer(identifier)
    hint = f" Make one: {identifier.__name__}()." if isinstance(identifier, type) else ""
    raise TypeError(
        "an optimizer is given as a weft.optimizers object, a name, a config or an Optax "
        f"transformation, got {identifier!r} of type {type(identifier).__name__}.{hint}"
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer without its state as plain data, in the form of Keras's files."""
    return {
        "module": "keras.optimizers",
        "class_name": type(optimizer).__name__,
        "config": optimizer.get_config(),
        "registered_name": None,
    }


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """The optimizer that `serialize` described, with a fresh state.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: further classes, of optimizers and schedules, by name.

    Raises:
        ValueError: the class is unknown.
    """
    name = str(config.get("class_name"))
    own = custom_objects or {}
    cls = own.get(name) or _KNOWN.get(name.lower())
    if cls is None:
        known = [*own, *(c.__name__ for c in _KNOWN.values())]
        near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], 3, 0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"unknown optimizer {name!r}.{hint} Known are {sorted(known)}.")
    return cls.from_config(config.get("config", {}), custom_objects)
