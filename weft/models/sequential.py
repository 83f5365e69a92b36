"""`Sequential`: a model whose layers follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.layers.core import InputLayer
from weft.layers.layer import Layer
from weft.models.model import Model

__all__ = ["Sequential"]


class Sequential(Model):
    """A stack of layers, each called on the former's output.

    Args:
        layers: layers in order. An `Input(shape)` as the first builds the weights at once;
            otherwise they are made at the first call.
        trainable: whether the weights are trained.
        name: unique by default.

    Raises:
        TypeError: something that is no layer.

    Example:
        >>> import weft
        >>> model = weft.Sequential([weft.Input((4,)), weft.layers.Dense(2)])
        >>> [tuple(w.shape) for w in model.weights]
        [(4, 2), (2,)]
    """

    def __init__(
        self, layers: Sequence[Layer] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self._stack: list[Layer] = []
        self._input: InputLayer | None = None
        for layer in layers or ():
            self._append(layer)
        self._build_if_known()

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input."""
        return list(self._stack)

    def add(self, layer: Layer) -> None:
        """Append a layer."""
        self._append(layer)
        self._build_if_known()

    def _append(self, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential {self.name!r} takes layers, got {type(layer).__name__} {layer!r}. "
                "A function becomes a layer by weft.layers.Activation or a subclass of Layer."
            )
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ValueError(
                    f"Sequential {self.name!r}: an Input must be the first layer, and the only one."
                )
            self._input = layer
            return
        if any(other is layer or other.name == layer.name for other in self._stack):
            raise ValueError(
                f"Sequential {self.name!r} has a layer named {layer.name!r} already; names must "
                "be unique. Give one of them another name."
            )
        if not self._stack and self._input is None and layer.input_shape_hint is not None:
            self._input = InputLayer(shape=layer.input_shape_hint)
        self._stack.append(layer)
        self._forget_steps()

    def pop(self) -> Layer:
        """Take the last layer away."""
        if not self._stack:
            raise ValueError(f"Sequential {self.name!r} has no layers to pop.")
        self._forget_steps()
        return self._stack.pop()

    def _build_if_known(self) -> None:
        if self._stack and self._input is not None:
            shape = self._input.batch_shape
            if all(n is not None for n in shape[1:]):
                self.build(shape)

    def call(self, inputs: Any) -> Any:
        """The layers' computation, one after the other."""
        value = inputs
        for layer in self._stack:
            value = layer(value)
        return value

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or position.

        Raises:
            ValueError: there is none.
        """
        if index is not None and -len(self._stack) <= index < len(self._stack):
            return self._stack[index]
        for layer in self._stack:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self._stack]
        raise ValueError(
            f"Sequential {self.name!r} has no layer {index if name is None else name!r}; "
            f"it has {names}."
        )
