"""Initializers by name and by config."""

from __future__ import annotations

from typing import Any

from weft.engine.names import Registry
from weft.initializers import constant, random, scaling, structured

__all__ = ["deserialize", "get", "serialize"]

_registry = Registry(
    "initializer",
    "keras.initializers",
    [
        *(getattr(module, name) for module in (constant, scaling, structured)
          for name in module.__all__),
        random.RandomNormal, random.RandomUniform, random.TruncatedNormal,
    ],
    {
        "IdentityInitializer": constant.Identity,
        "OrthogonalInitializer": structured.Orthogonal,
        "STFTInitializer": structured.STFT,
        "normal": random.RandomNormal,
        "one": constant.Ones,
        "uniform": random.RandomUniform,
        "zero": constant.Zeros,
    },
)  # fmt: skip


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


def serialize(initializer: Any) -> Any:
    """The config that `deserialize` makes an equal initializer from, as Keras's files have it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return _registry.serialize(initializer)


deserialize = _registry.deserialize
