"""A functional model's graph as a config of plain values, in Keras 3's form, and back."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from weft.engine import Variable, nest
from weft.engine.custom_objects import CustomObjectScope, custom_object, get_registered_name
from weft.engine.names import near
from weft.engine.symbolic import (
    Call,
    KerasTensor,
    Node,
    call_symbolically,
    function_named,
    public_functions,
)
from weft.engine.tensor import Tensor
from weft.layers.input import InputLayer
from weft.layers.layer import Layer
from weft.layers.serialization import deserialize, serialize
from weft.models.graph import LayerGraph

__all__ = ["graph_config", "graph_from_config"]


# -- writing --------------------------------------------------------------------------------


def graph_config(graph: LayerGraph) -> dict[str, Any]:
    """The layers with their calls, and where the inputs and outputs are among them.

    Raises:
        NotImplementedError: an operation or an argument that cannot be written down.
    """
    # Each call has a number among the calls of its layer in this graph.
    numbers: dict[int, int] = {}
    calls: dict[int, list[Node]] = {}
    for node in graph.nodes:
        mine = calls.setdefault(id(node.operation), [])
        numbers[id(node)] = len(mine)
        mine.append(node)

    def place(symbol: KerasTensor) -> list[Any]:
        node = graph.node_of(symbol)
        assert node is not None
        index = symbol.index if symbol.node is node else 0
        return [node.operation.name, numbers[id(node)], index]

    def written(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            config = {
                "shape": list(value.shape), "dtype": value.dtype.name,
                "keras_history": place(value),
            }  # fmt: skip
            return {"class_name": "__keras_tensor__", "config": config}
        return _plain(value)

    entries = []
    for operation in graph.operations:
        nodes = [node for node in calls[id(operation)] if node.inputs]
        if isinstance(operation, Layer):
            entry = serialize(operation)
            arguments = [(node.args, node.kwargs) for node in nodes]
        else:
            entry, arguments = _operation_config(operation, nodes[0])
        entry["name"] = operation.name
        entry["inbound_nodes"] = [
            {"args": nest.mapped(written, list(args)), "kwargs": nest.mapped(written, kwargs)}
            for args, kwargs in arguments
        ]
        entries.append(entry)
    return {
        "layers": entries,
        "input_layers": nest.mapped(place, graph.inputs),
        "output_layers": nest.mapped(place, graph.outputs),
    }


# Parameters of operations that stand for tensors: they are a call's arguments, all others
# belong to the operation's config.
_TENSORS = frozenset(
    (
        "x", "x1", "x2", "y", "a", "b", "xs", "arrays", "inputs", "key", "condition", "kernel",
        "indices", "updates", "values", "operands",
    )
)  # fmt: skip


# Where Keras keeps the classes of its operations; all others are in "numpy".
_MODULES = {
    "core": frozenset(
        [
            "cast", "convert_to_tensor", "saturate_cast", "scatter", "scatter_update", "slice",
            "slice_update", "stop_gradient", "unstack",
        ]
    ),
    "math": frozenset(
        [
            "erf", "erfc", "erfinv", "in_top_k", "logsumexp", "rsqrt", "segment_max", "segment_min",
            "segment_sum", "top_k",
        ]
    ),
    "linalg": frozenset(["norm"]),
    "nn": frozenset(
        [
            "adaptive_average_pool", "adaptive_max_pool", "average_pool", "binary_crossentropy",
            "categorical_crossentropy", "celu", "conv", "conv_transpose", "depthwise_conv",
            "dot_product_attention", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid",
            "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "max_pool",
            "moments", "multi_hot", "normalize", "one_hot", "relu", "relu6", "selu",
            "separable_conv", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
            "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax",
            "squareplus", "tanh_shrink", "threshold",
        ]
    ),
}  # fmt: skip


def _operation_config(operation: Call, node: Node) -> tuple[dict[str, Any], list[Any]]:
    """An operation's entry, and the arguments of its one call."""
    function = operation.function
    name = getattr(function, "public_name", None)
    if name is None:
        registered = get_registered_name(function)
        if custom_object(registered) is not function:
            raise NotImplementedError(
                f"the operation {operation.name!r} cannot be written into a config: only weft's "
                "own are known by name. Register yours with register_keras_serializable, or put "
                "it into a layer."
            )
        entry = {"module": None, "class_name": registered, "registered_name": registered}
        entry["config"] = {"name": operation.name}
        return entry, [(node.args, node.kwargs)]
    if name.startswith("tf."):
        entry = {"module": "weft.tf", "class_name": name, "registered_name": None}
    else:
        module, _, own = name.rpartition(".")
        module = module or next((m for m, held in _MODULES.items() if own in held), "numpy")
        made = _camel(own)
        entry = {
            "module": f"keras.src.ops.{module}", "class_name": made, "registered_name": made,
        }  # fmt: skip
    bound = inspect.signature(function).bind(*node.args, **node.kwargs)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    static: dict[str, Any] = {"name": operation.name}
    for key, value in bound.arguments.items():
        if key == "key" and isinstance(value, list):
            value = np.asarray(value)  # a list read back is a tuple of indices
        parameter = bound.signature.parameters[key]
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif key in _TENSORS or any(isinstance(v, KerasTensor) for v in nest.walk(value)):
            if parameter.kind is parameter.KEYWORD_ONLY or kwargs or len(static) > 1:
                kwargs[key] = value
            else:
                args.append(value)
        else:
            static[key] = nest.mapped(_plain, value)
    entry["config"] = static
    return entry, [(args, kwargs)]


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _plain(value: Any) -> Any:
    """A static argument as plain values."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": parts}
    if isinstance(value, Tensor | Variable | np.ndarray | np.generic):
        array = np.asarray(value)
        kind = "__numpy__" if isinstance(value, np.ndarray | np.generic) else "__tensor__"
        return {
            "class_name": kind, "config": {"value": array.tolist(), "dtype": array.dtype.name},
        }  # fmt: skip
    if isinstance(value, np.dtype | type):
        return np.dtype(value).name
    if isinstance(value, Layer):
        return serialize(value)
    raise NotImplementedError(
        f"an argument {value!r} ({type(value).__name__}) of a call cannot be written into a config."
    )


# -- reading --------------------------------------------------------------------------------


def graph_from_config(config: dict[str, Any], custom_objects: Any = None) -> tuple[Any, Any]:
    """The symbolic inputs and outputs of a config's graph, its layers made anew.

    Raises:
        ValueError: a layer or operation that is not known, or a call whose inputs never come.
    """
    with CustomObjectScope(custom_objects or {}):
        return _graph_from_config(config)


def _graph_from_config(config: dict[str, Any]) -> tuple[Any, Any]:
    first = _first_calls(config)
    made: dict[str, Any] = {}  # layers and operations by name
    nodes: dict[str, list[Any]] = {}  # the outputs of their calls
    waiting: list[tuple[str, dict[str, Any]]] = []
    for entry in config["layers"]:
        name = entry.get("name") or entry["config"]["name"]
        operation = made[name] = _operation(entry)
        nodes[name] = [operation.output] if isinstance(operation, InputLayer) else []
        waiting += [(name, call) for call in entry["inbound_nodes"]]

    def found(place: _Place) -> KerasTensor:
        call = place.call - first[place.name]
        return list(nest.walk(nodes[place.name][call]))[place.index]  # type: ignore[no-any-return]

    while waiting:
        later = []
        for name, call in waiting:
            operation = made[name]
            # A layer's calls are made in their order.
            behind = any(other == name for other, _ in later)
            args, kwargs = _arguments(call)
            needed = [v for v in nest.walk((args, kwargs)) if isinstance(v, _Place)]
            if behind or not all(
                len(nodes.get(v.name, ())) > v.call - first[v.name] for v in needed
            ):
                later.append((name, call))
                continue
            args, kwargs = nest.mapped(
                lambda v: found(v) if isinstance(v, _Place) else v, (args, kwargs)
            )
            if isinstance(operation, Layer):
                outputs = operation(*args, **kwargs)
            else:
                outputs = operation.called(args, kwargs)
            nodes[name].append(outputs)
        if len(later) == len(waiting):
            raise ValueError(
                f"the config's graph is not connected: {sorted({n for n, _ in later})} need "
                "outputs that no layer in it makes."
            )
        waiting = later

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: placed(v) for k, v in value.items()}
        if _is_place(value):
            return found(_Place(value))
        return [placed(v) for v in value]

    return placed(config["input_layers"]), placed(config["output_layers"])


def _first_calls(config: dict[str, Any]) -> dict[str, int]:
    """The number of each layer's first call: Keras counts those of inner models from 1."""
    first: dict[str, int] = {}

    def note(place: _Place) -> None:
        first[place.name] = min(place.call, first.get(place.name, place.call))

    def note_all(value: Any) -> None:
        if _is_place(value):
            note(_Place(value))
        else:
            for item in value.values() if isinstance(value, dict) else value:
                note_all(item)

    for entry in config["layers"]:
        for call in entry["inbound_nodes"]:
            for value in nest.walk(list(_arguments(call))):
                if isinstance(value, _Place):
                    note(value)
    note_all([config["input_layers"], config["output_layers"]])
    return first


class _Place:
    """Where a symbolic tensor comes from: a layer's name, which of its calls, which output."""

    def __init__(self, history: Any) -> None:
        self.name, self.call, self.index = history[:3]


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) == 3
        and isinstance(value[0], str) and isinstance(value[1], int)
    )  # fmt: skip


class _Operation:
    """An operation read from a config, with the arguments written there."""

    def __init__(self, function: Any, name: str, static: dict[str, Any]) -> None:
        self.function, self.name, self.static = function, name, static

    def called(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The symbolic outputs of a call: what the config holds goes to its place by name."""
        given, static = list(args), dict(self.static)
        full: list[Any] = []
        for key, parameter in inspect.signature(self.function).parameters.items():
            if not given:
                break
            if parameter.kind is parameter.VAR_POSITIONAL:
                full += given
                break
            full.append(static.pop(key) if key in static else given.pop(0))
        full = [tuple(v) if isinstance(v, list) and _indexes(v) else v for v in full]
        return call_symbolically(Call(self.function, self.name), tuple(full), {**static, **kwargs})


def _indexes(value: list[Any]) -> bool:
    """Whether a list is the index of a subscription, which was a tuple."""
    return any(v is None or v is Ellipsis or isinstance(v, slice | int) for v in value)


def _operation(entry: dict[str, Any]) -> Any:
    """The layer or operation of an entry."""
    class_name = entry["class_name"]
    module = entry.get("module") or ""
    of_ops = ".ops" in module or module == "weft.tf"
    own = custom_object(entry.get("registered_name") or class_name)
    if not of_ops and (own is None or isinstance(own, type)):
        return deserialize(entry)
    static = {k: _read(v) for k, v in entry["config"].items()}
    name = static.pop("name", None)
    function = own or _function(class_name)
    if function is None:
        raise ValueError(f"unknown operation {class_name!r}. {near(class_name, _known())}")
    return _Operation(function, entry.get("name") or name, static)


def _function(class_name: str) -> Any:
    """The published function that Keras has as a class of that name: `HSVToRGB` is `hsv_to_rgb`."""
    plain = class_name.replace("_", "").lower()
    names = (n for n in public_functions() if n.rpartition(".")[2].replace("_", "") == plain)
    found = [class_name] if function_named(class_name) else [n for n in names if n[:3] != "tf."]
    return function_named(found[0]) if found else None


def _known() -> list[str]:
    return [_camel(name) for name in public_functions() if "." not in name]


def _arguments(call: Any) -> tuple[list[Any], dict[str, Any]]:
    """A call's arguments; Keras 2's list of [name, node, index, kwargs] too."""
    if isinstance(call, dict):
        return [_read(a) for a in call["args"]], {k: _read(v) for k, v in call["kwargs"].items()}
    places = [_Place(part) for part in call]
    kwargs = call[0][3] if len(call[0]) > 3 else {}
    return [places[0] if len(places) == 1 else places], dict(kwargs)


def _read(value: Any) -> Any:
    """A written argument; symbolic tensors as their places."""
    if isinstance(value, list):
        return [_read(v) for v in value]
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    kind = value.get("class_name")
    if kind == "__keras_tensor__":
        return _Place(config["keras_history"])
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("__slice__", "slice"):
        return slice(config["start"], config["stop"], config["step"])
    if kind in ("__numpy__", "__tensor__"):
        array = np.array(config["value"], config["dtype"])
        return array if kind == "__numpy__" else Tensor(array)
    return {k: _read(v) for k, v in value.items()}
