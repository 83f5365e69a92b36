"""Models made from models: clones with new weights, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from weft.engine import nest
from weft.engine.symbolic import Call, KerasTensor, Node, call_symbolically
from weft.layers.input import Input, InputLayer
from weft.layers.layer import Layer
from weft.layers.serialization import deserialize
from weft.models.model import Model
from weft.models.sequential import Sequential

__all__ = ["clone_model", "model_from_json"]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Model:
    """A model of the same layers made anew, with weights of its own.

    Args:
        model: a functional or Sequential model; a subclassed one if its config can be written.
        input_tensors: symbolic tensors to build the clone on, in the structure of the inputs.
        clone_function: gives the new layer for a layer; `layer.from_config(layer.get_config())` by
            default. It may give another kind of layer, or the same one, which is then shared.
        call_function: `call_function(layer, *args, **kwargs)` makes each call of a functional
            model in place of `layer(*args, **kwargs)`.
        recursive: whether `clone_function` is asked for the layers of inner models too.

    Raises:
        ValueError: a subclassed model with one of the other arguments, or input tensors that do
            not fit the model's inputs.

    Example:
        >>> import weft
        >>> model = weft.Sequential([weft.Input((3,)), weft.layers.Dense(2)])
        >>> weft.models.clone_model(model).count_params()
        8
    """

    def cloned(layer: Any) -> Any:
        if recursive and isinstance(layer, Model) and layer._graph is not None:
            return clone_model(layer, None, clone_function, call_function, True)
        made = (clone_function or _copy)(layer)
        if not isinstance(made, Layer):
            raise ValueError(
                f"clone_function must give a layer, got {type(made).__name__} for layer "
                f"{layer.name!r}."
            )
        return made

    if isinstance(model, Sequential):
        return _cloned_stack(model, input_tensors, cloned, call_function)
    if model._graph is None:
        if input_tensors is not None or clone_function is not None or call_function is not None:
            raise ValueError(
                f"model {model.name!r} is a subclass without a graph: it is cloned from its "
                "config, so input_tensors, clone_function and call_function cannot be used."
            )
        return type(model).from_config(model.get_config())  # type: ignore[no-any-return]
    graph = model._graph
    if input_tensors is None:
        inputs = [_copy(layer).output for layer in graph.input_layers]
    else:
        inputs = list(nest.walk(input_tensors))
        if len(inputs) != len(graph.input_symbols) or not all(
            isinstance(x, KerasTensor) for x in inputs
        ):
            raise ValueError(
                f"model {model.name!r} has the inputs {model.input_names}, so input_tensors must "
                f"be {len(graph.input_symbols)} symbolic tensors, got {inputs}."
            )
    new: dict[int, Any] = {}

    def called(node: Node, args: Any, kwargs: Any) -> Any:
        operation = node.operation
        if isinstance(operation, Call):
            return call_symbolically(Call(operation.function, operation.name), args, kwargs)
        if id(operation) not in new:
            new[id(operation)] = cloned(operation)
        layer = new[id(operation)]
        return call_function(layer, *args, **kwargs) if call_function else layer(*args, **kwargs)

    outputs = graph.replayed(inputs, called)
    given = iter(inputs)
    structure = nest.mapped(lambda _: next(given), graph.inputs)
    # A subclass that builds its own graph in __init__ cannot be made from inputs and outputs.
    return Model(inputs=structure, outputs=outputs, name=model.name)


def _cloned_stack(model: Sequential, input_tensors: Any, cloned: Any, call_function: Any) -> Model:
    if call_function is not None:
        raise ValueError(
            f"Sequential {model.name!r}: call_function is for functional models, whose calls may "
            "have arguments."
        )
    first: list[Any] = []
    if input_tensors is not None:
        (symbol,) = nest.walk(input_tensors)
        begins = symbol.node is not None and isinstance(symbol.node.operation, InputLayer)
        first = [symbol if begins else Input(batch_shape=symbol.shape, dtype=symbol.dtype)]
    elif model._input is not None and model._declared:
        first = [_copy(model._input)]
    made = Sequential([*first, *[cloned(layer) for layer in model.layers]], name=model.name)
    if not first and model._input is not None:
        made.build(model._input.batch_shape)
    return made


def _copy(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def model_from_json(json_string: str, custom_objects: Any = None) -> Model:
    """The model that `to_json` wrote, weft's or Keras's, with new weights.

    Args:
        json_string: the text.
        custom_objects: the user's classes by name.

    Raises:
        ValueError: no JSON of a model, or a class that is not known.
    """
    try:
        config = json.loads(json_string)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error}.") from error
    found = deserialize(config, custom_objects)
    if not isinstance(found, Model):
        raise ValueError(f"this is the config of a {type(found).__name__}, which is no model.")
    return found
