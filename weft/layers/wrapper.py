"""`Wrapper`: a layer that holds one other layer and does something around it."""

from __future__ import annotations

from typing import Any

from weft.layers.layer import Layer
from weft.layers.serialization import deserialize, serialize

__all__ = ["Wrapper"]


class Wrapper(Layer):
    """The base class of layers around one other layer; a subclass defines `call`.

    Building it builds the layer inside, and its config holds that layer's.

    Args:
        layer: the layer inside, `self.layer`.
        kwargs: `name`, `dtype` and `trainable`, as of every layer.

    Raises:
        ValueError: `layer` is no layer.

    Example:
        >>> import weft
        >>> class Twice(weft.layers.Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> Twice(weft.layers.Dense(3))(weft.ops.ones((2, 3))).shape
        (2, 3)
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            hint = " Make one of it first, with ()." if isinstance(layer, type) else ""
            raise ValueError(
                f"{type(self).__name__} wraps a layer, got {type(layer).__name__} {layer!r}.{hint}"
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The wrapper of a config, the layer inside made from its own."""
        inner = deserialize(config["layer"], custom_objects)
        return cls(**{**config, "layer": inner})
