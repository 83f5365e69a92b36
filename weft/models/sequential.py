"""`Sequential`: a model whose layers follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.engine import CustomObjectScope, ValueNeededError, nest
from weft.engine.symbolic import KerasTensor
from weft.engine.tensor import ArrayLike
from weft.layers.described import is_shape
from weft.layers.input import InputLayer
from weft.layers.layer import Layer
from weft.layers.masks import set_mask
from weft.layers.serialization import deserialize, serialize
from weft.models.graph import LayerGraph
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
        ValueError: two layers of one name, or an Input that is not the first.

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
        self._declared = False  # the input's shape was given, not seen in data
        # The symbolic input, and the output of each layer of the stack that was called on it.
        object.__setattr__(self, "_symbols", [])
        for layer in layers if isinstance(layers, list | tuple) else [layers] if layers else ():
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

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and layer.node is not None:
            layer = layer.node.operation
        if not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential {self.name!r} takes layers, got {type(layer).__name__} {layer!r}. "
                "A function becomes a layer by weft.layers.Activation, Lambda or a subclass of "
                "Layer."
            )
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ValueError(
                    f"Sequential {self.name!r}: an Input must be the first layer, and the only one."
                )
            self._begin(layer)
            return
        if any(other is layer or other.name == layer.name for other in self._stack):
            raise ValueError(
                f"Sequential {self.name!r} has a layer named {layer.name!r} already; names must "
                "be unique. Give one of them another name."
            )
        if not self._stack and self._input is None:
            graph = getattr(layer, "_graph", None)
            if layer.input_shape_hint is not None:
                self._begin(InputLayer(batch_shape=layer.input_shape_hint))
            elif graph is not None and isinstance(graph.inputs, KerasTensor):
                self._begin(InputLayer(batch_shape=graph.inputs.shape, dtype=graph.inputs.dtype))
        self._stack.append(layer)
        self._forget_steps()

    def _begin(self, layer: InputLayer, declared: bool = True) -> None:
        self._input, self._declared = layer, declared
        self.autocast = not declared  # the input is cast to the dtype that it was declared with
        self._symbols[:] = [layer.output]

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer away, and give it."""
        if not self._stack:
            raise ValueError(f"Sequential {self.name!r} has no layers to pop.")
        self._forget_steps()
        del self._symbols[len(self._stack) :]
        return self._stack.pop()

    # -- building ---------------------------------------------------------------------------

    def _build_if_known(self) -> None:
        """Call on symbols the layers that were not called yet, where the input's shape is known."""
        if not self._symbols:
            return
        for layer in self._stack[len(self._symbols) - 1 :]:
            self._symbols.append(layer(self._symbols[-1]))
        if self._stack:
            object.__setattr__(self, "built", True)

    def build(self, input_shape: Any = None) -> None:
        """Make all weights for inputs of this shape, the batch dimension included."""
        if input_shape is None:
            if self._input is None:
                raise ValueError(
                    f"Sequential {self.name!r} cannot be built without the shape of its input: "
                    "begin it with weft.Input(shape), or give build(input_shape)."
                )
        elif is_shape(input_shape):
            self._begin(InputLayer(batch_shape=tuple(input_shape)), declared=False)
        else:
            super().build(input_shape)
            return
        self._build_if_known()

    def _build_for(self, args: Any, kwargs: Any, signature: Any) -> None:
        given = args[0] if args else None
        if type(self).build is not Sequential.build:
            super()._build_for(args, kwargs, signature)
        elif isinstance(given, ArrayLike):
            try:
                # Other batches may be of other sizes, unless a layer keeps a state for each sample.
                kept = any(getattr(x, "stateful", False) for x in self._flatten_layers(False))
                batch = given.shape[:1] if kept else (None,)
                layer = InputLayer(batch_shape=(*batch, *given.shape[1:]), dtype=given.dtype)
                self._begin(layer, declared=False)
                self._build_if_known()
            except ValueNeededError:  # a layer that works on values is built when it gets some
                self._input = None
                self._symbols.clear()
        object.__setattr__(self, "built", True)

    @property
    def _graph(self) -> Any:
        if len(self._symbols) < 2:
            return None
        made = self.__dict__.get("_made_graph")
        if made is None or made.outputs is not self._symbols[-1]:
            made = LayerGraph(self.name, self._symbols[0], self._symbols[-1])
            object.__setattr__(self, "_made_graph", made)
        return made

    # -- calling ----------------------------------------------------------------------------

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The layers' computation, one after the other."""
        if mask is not None:
            set_mask(inputs, mask)
        value = self._only(inputs)
        for layer in self._stack:
            value = layer(value)
        return value

    def _only(self, given: Any) -> Any:
        """What the model was called on as its input takes it, where one was declared."""
        if not self._declared:
            return given
        nested = isinstance(given, dict | list | tuple)
        if nested and any(hasattr(part, "shape") for part in nest.walk(given)):
            (given,) = self._aligned(self._symbols[0], given)  # else a list of numbers
        return self._fitted(self._symbols[0], self._input, given)

    def _check_inputs(self, inputs: Any) -> None:
        self._only(inputs)

    # -- configuration ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make an equal model, without its weights."""
        if type(self) is not Sequential and type(self).__init__ is not Sequential.__init__:
            return super().get_config()
        first = [self._input] if self._input is not None and self._declared else []
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": self.dtype_policy.name,
            "layers": [serialize(layer) for layer in [*first, *self._stack]],
        }
        if self._input is not None:
            config["build_input_shape"] = list(self._input.batch_shape)
        return config

    get_config.of_arguments = True  # type: ignore[attr-defined]

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        """The model of a config, weft's or Keras's.

        Args:
            config: of `get_config`.
            custom_objects: the user's classes by name.
        """
        if isinstance(config, dict) and "layers" not in config:
            return cls(**config)
        listed = config["layers"] if isinstance(config, dict) else config
        options = config if isinstance(config, dict) else {}
        with CustomObjectScope(custom_objects or {}):
            model = cls([deserialize(entry) for entry in listed], name=options.get("name"))
        if not options.get("trainable", True):
            model.trainable = False
        shape = options.get("build_input_shape")
        if shape is not None and not model.built and is_shape(shape):
            model.build(tuple(shape))
        return model
