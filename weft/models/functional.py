"""`FunctionalPart`: a model whose forward pass is a graph between symbolic tensors."""

from __future__ import annotations

import inspect
import json
from typing import Any

from weft.engine import ShapeError, as_tensor, nest
from weft.engine.names import near
from weft.engine.operators import astype, reshape
from weft.engine.symbolic import KerasTensor
from weft.layers.layer import Layer
from weft.layers.masks import set_mask
from weft.layers.serialization import serialize
from weft.layers.structure import computed
from weft.models.configs import graph_config, graph_from_config
from weft.models.graph import LayerGraph

__all__ = ["FunctionalPart", "describes"]


def describes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether these arguments of `Model` are symbolic inputs and outputs."""
    return "outputs" in kwargs or "inputs" in kwargs or len(args) >= 2


class FunctionalPart(Layer):
    """The half of `Model` that runs a graph, where the model was given one."""

    _graph: LayerGraph | None = None

    def _describe(self, inputs: Any, outputs: Any) -> None:
        """Take the graph between these symbolic tensors for the model's forward pass."""
        graph = LayerGraph(self.name, inputs, outputs)
        object.__setattr__(self, "_graph", graph)
        object.__setattr__(self, "_extras", [])
        self._graph_layers = graph.layers
        # Each input is cast to the dtype that it was declared with.
        self.autocast = False
        self.built = True

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name or its position among `layers`.

        Raises:
            ValueError: there is none.
        """
        layers = self.layers
        if index is not None:
            if -len(layers) <= index < len(layers):
                return layers[index]
        else:
            for layer in layers:
                if layer.name == name:
                    return layer
        wanted = index if name is None else repr(name)
        raise ValueError(
            f"model {self.name!r} has no layer {wanted}. {near(name, [x.name for x in layers])}"
        )

    @computed
    def operations(self) -> list[Any]:
        """The layers and operations of the model's graph, the first ones first."""
        return list(self._need_graph("operations").operations)

    def _need_graph(self, what: str) -> LayerGraph:
        if self._graph is None:
            raise AttributeError(
                f"model {self.name!r} ({type(self).__name__}) has no {what}: it was not described "
                "by symbolic inputs and outputs."
            )
        return self._graph

    @computed
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, in a list."""
        return list(self._need_graph("inputs").input_symbols)

    @computed
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, in a list."""
        return list(self._need_graph("outputs").output_symbols)

    @computed
    def input(self) -> Any:
        """The symbolic inputs in the structure that the model takes."""
        return self._need_graph("input").inputs

    @computed
    def output(self) -> Any:
        """The symbolic outputs in the structure that the model returns."""
        return self._need_graph("output").outputs

    @computed
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [layer.name for layer in self._need_graph("input_names").input_layers]

    @computed
    def output_names(self) -> list[str]:
        """The names of the layers or operations that the outputs come from."""
        graph = self._need_graph("output_names")
        return [graph.node_of(x).operation.name for x in graph.output_symbols]  # type: ignore[union-attr]

    def _names_of_outputs(self) -> list[str] | None:
        if self._graph is None:
            return None
        names = self.output_names
        repeated = [names[:k].count(name) for k, name in enumerate(names)]
        return [f"{n}_{k}" if k else n for n, k in zip(names, repeated, strict=True)]

    # -- calling ----------------------------------------------------------------------------

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The graph's outputs, in the structure in which they were given."""
        graph = self._graph
        if graph is None:
            return super().call(inputs)
        if mask is not None:
            for x, m in zip(nest.walk(inputs), nest.walk(mask), strict=True):
                if m is not None:
                    set_mask(x, m)
        outputs, extras = graph.run(self._values(graph, inputs))
        for add, value in zip(self._extras, extras, strict=True):
            add(value)
        return outputs

    def _values(self, graph: LayerGraph, given: Any) -> list[Any]:
        """The values of the graph's inputs, in order, found in what the model was called on."""
        symbols = graph.input_symbols
        flat = self._aligned(graph.inputs, given)
        return [
            self._fitted(symbol, layer, value)
            for symbol, layer, value in zip(symbols, graph.input_layers, flat, strict=True)
        ]

    def _check_inputs(self, inputs: Any) -> None:
        """Refuse a batch that the inputs, where they were declared, do not take."""
        if self._graph is not None:
            self._values(self._graph, inputs)

    def _aligned(self, wanted: Any, given: Any) -> list[Any]:
        if isinstance(given, dict):
            keys = wanted if isinstance(wanted, dict) else self.input_names
            missing = [k for k in keys if k not in given]
            if missing:
                raise ValueError(
                    f"model {self.name!r} has no value for the inputs {missing}: it was called on "
                    f"a dict with the keys {list(given)}, and needs {list(keys)}."
                )
            given = [given[k] for k in keys]
            if isinstance(wanted, dict):
                parts = [
                    self._aligned(w, g) if isinstance(w, dict | list | tuple) else [g]
                    for w, g in zip(wanted.values(), given, strict=True)
                ]
                return [leaf for part in parts for leaf in part]
        flat = list(nest.walk(given))
        count = len(list(nest.walk(wanted)))
        if len(flat) != count:
            raise ValueError(
                f"model {self.name!r} takes {count} inputs ({', '.join(self.input_names)}), got "
                f"{len(flat)}: {_shapes(flat)}."
            )
        return flat

    def _fitted(self, symbol: KerasTensor, layer: Any, value: Any) -> Any:
        """A value as an input takes it: in its dtype, an axis of size 1 added or taken away."""
        if value is None and layer.optional:
            return None
        value = as_tensor(value)
        shape, wanted = tuple(value.shape), symbol.shape
        if len(shape) == len(wanted) + 1 and shape[-1] == 1:
            value = reshape(value, shape=shape[:-1])
        elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
            value = reshape(value, shape=(*shape, 1))
        shape = value.shape
        if len(shape) != len(wanted) or any(
            n is not None and n != m for n, m in zip(wanted, shape, strict=True)
        ):
            raise ShapeError(
                f"model {self.name!r}: input {layer.name!r} takes shape {tuple(wanted)}, got "
                f"{tuple(shape)}."
            )
        return value if value.spec.dtype == symbol.dtype else astype(value, symbol.dtype)

    # -- symbolic losses and metrics --------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a loss: from inside `call`, or a symbolic one, computed at every call of the model.

        Args:
            loss: a scalar tensor (or one to be summed), a callable without arguments, or a
                symbolic tensor that follows from the model's inputs.
        """
        if isinstance(loss, KerasTensor):
            self._add_extra(loss, self.add_loss)
        else:
            super().add_loss(loss)

    def _log(self, name: str, value: Any, reduce: str) -> None:
        if isinstance(value, KerasTensor):
            self._add_extra(value, lambda v: self._log(name, v, reduce))
        else:
            super()._log(name, value, reduce)

    def _add_extra(self, symbol: KerasTensor, add: Any) -> None:
        graph = self._need_graph("symbolic losses or metrics")
        graph.add(symbol)
        self._extras.append(add)
        self._graph_layers = graph.layers
        self._forget_steps()  # type: ignore[attr-defined]

    # -- configuration ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make an equal model, without its weights."""
        if self._graph is None or not _takes_graph(type(self)):
            return super().get_config()
        return {"name": self.name, "trainable": self._trainable, **graph_config(self._graph)}

    get_config.of_arguments = True  # type: ignore[attr-defined]

    def to_json(self, **kwargs: Any) -> str:
        """The model's config as JSON, for `model_from_json`; weights are not in it.

        Args:
            kwargs: for `json.dumps` (`indent`, ...).

        Raises:
            NotImplementedError: something in the model cannot be written as plain values.
        """
        return json.dumps(serialize(self), **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of a config, weft's or Keras's.

        Args:
            config: of `get_config`.
            custom_objects: the user's classes by name.
        """
        if not {"layers", "input_layers", "output_layers"} <= set(config):
            return _made(cls, config)
        inputs, outputs = graph_from_config(config, custom_objects)
        more = {k: config[k] for k in ("name", "trainable") if k in config}
        return cls(inputs=inputs, outputs=outputs, **more)


def _made(cls: type, config: dict[str, Any]) -> Any:
    """A model of a config; what every model's config has is left out where __init__ takes none."""
    named = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if any(p.kind is p.VAR_KEYWORD for p in named.values()):
        return cls(**config)
    left_out = {"name", "trainable", "dtype"} - set(named)
    model = cls(**{k: v for k, v in config.items() if k not in left_out})
    if "trainable" in left_out and not config.get("trainable", True):
        model.trainable = False
    return model


def _takes_graph(cls: type) -> bool:
    """Whether a model class is made from inputs and outputs alone."""
    named = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return {"inputs", "outputs"} <= set(named) or list(named) == ["self", "args", "kwargs"]


def _shapes(values: list[Any]) -> str:
    return ", ".join(str(tuple(getattr(v, "shape", ()))) for v in values)
