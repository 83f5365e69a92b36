"""Layers written as configs, and made from them."""

from __future__ import annotations

from typing import Any

from weft import activations
from weft.engine.names import Registry
from weft.layers.layer import Layer

__all__ = ["add_members", "deserialize", "get", "serialize"]

_registry = Registry("layer", "keras.layers", ())
_modules: dict[type, tuple[str, str]] = {}  # Keras's module and name of a class


def add_members(module: str, members: dict[str, Any]) -> None:
    """List the layer classes among `members`, which Keras has in `module`."""
    for name, member in members.items():
        if isinstance(member, type) and issubclass(member, Layer):
            _registry.by_name[name] = member
            _modules.setdefault(member, (module, member.__name__))


def serialize(layer: Any) -> dict[str, Any]:
    """The config of a layer or model with its class, from which `deserialize` makes an equal one.

    Args:
        layer: a layer.

    Returns:
        A dict of plain values: "module", "class_name", "config", "registered_name".

    Raises:
        TypeError: no layer.
        NotImplementedError: a layer whose arguments are no plain values, without `get_config`.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"serialize takes a layer, got {type(layer).__name__} {layer!r}.")
    config = _registry.serialize(layer)
    known = _modules.get(type(layer))
    if known is not None:
        config.update(module=known[0], class_name=known[1], registered_name=None)
    return config  # type: ignore[no-any-return]


def deserialize(config: Any, custom_objects: Any = None) -> Layer:
    """A new layer from a config, weft's or Keras's; a layer is returned as it is.

    Args:
        config: a dict with "class_name" and "config".
        custom_objects: the user's classes by name.

    Raises:
        ValueError: a class that is not known (the near names are listed), or no config.
    """
    if isinstance(config, Layer):
        return config
    try:
        found = _registry.deserialize(config, custom_objects)
    except ValueError as error:
        if isinstance(config, dict) and "unknown layer" in str(error):
            raise ValueError(
                f"{error} A class of your own is found when it is registered "
                "(register_keras_serializable), or named in custom_objects."
            ) from error
        raise
    return found  # type: ignore[no-any-return]


def get(identifier: Any) -> Any:
    """A layer from a layer, a config or a class; None is None."""
    return identifier if isinstance(identifier, Layer) else _registry.get(identifier)


activations.objects[:] = [serialize, deserialize]
