"""Initializers by name and by config."""

from __future__ import annotations

from typing import Any

from weft.engine.names import Registry
from weft.initializers import constant, random

__all__ = ["deserialize", "get", "serialize"]

_registry = Registry(
    "initializer",
    "keras.initializers",
    [getattr(module, name) for module in (constant, random) for name in module.__all__],
    {
        "IdentityInitializer": constant.Identity,
        "OrthogonalInitializer": random.Orthogonal,
        "normal": random.RandomNormal,
        "one": constant.Ones,
        "uniform": random.RandomUniform,
        "zero": constant.Zeros,
    },
)


def get(identifier: Any) -> Any:
    """An initializer from a name, a config, a class, an array or an initializer; None is None.

    Example:
        >>> import weft
        >>> weft.initializers.get("he_normal")((3, 4)).shape
        (3, 4)

    Raises:
        ValueError: no initializer has that name.
    """
    if hasattr(identifier, "__array__"):
        return constant.Constant(identifier)
    return _registry.get(identifier)


serialize = _registry.serialize
deserialize = _registry.deserialize
