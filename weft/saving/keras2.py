"""Configs of Keras 2 brought into Keras 3's form, of which weft reads models and what they compile.

Most of it is the same, or taken by the layers as it is. What is left: calls in a graph are lists
`[layer, call, output, kwargs]`, operations of TensorFlow are layers that name a function, and
optimizers are found among the user's own classes ("Custom>Adam").
"""

from __future__ import annotations

from typing import Any

from weft.engine.custom_objects import custom_object
from weft.engine.names import near

__all__ = ["compile_config", "model_config"]

_GRAPHS = ("Functional", "Model")
_RECURRENT = ("Bidirectional", "ConvLSTM2D", "GRU", "LSTM", "RNN", "SimpleRNN")
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda")

# Operations of TensorFlow as a config names them: weft's, and other names of arguments.
_FUNCTIONS: dict[str, tuple[str, dict[str, str]]] = {
    **{f"math.{name}": (name, {}) for name in (
        "abs", "add", "cos", "divide", "exp", "floor", "log", "maximum", "minimum", "multiply",
        "negative", "sigmoid", "sin", "softplus", "sqrt", "square", "subtract", "tanh",
    )},
    **{f"nn.{name}": (name, {"alpha": "negative_slope"}) for name in (
        "elu", "gelu", "leaky_relu", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu",
        "softmax", "softsign", "tanh",
    )},
    **{f"math.reduce_{name}": (name, {}) for name in ("max", "mean", "min", "prod", "sum")},
    "__operators__.add": ("add", {}),
    "__operators__.getitem": ("get_item", {"slice_spec": "key"}),
    "math.pow": ("power", {}),
    "math.truediv": ("true_divide", {}),
    "cast": ("cast", {}),
    "clip_by_value": ("clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "concat": ("concatenate", {}),
    "expand_dims": ("expand_dims", {}),
    "reshape": ("reshape", {"shape": "newshape"}),
    "squeeze": ("squeeze", {}),
    "stack": ("stack", {}),
    "tile": ("tile", {"multiples": "repeats"}),
    "transpose": ("transpose", {"perm": "axes"}),
}  # fmt: skip


def model_config(config: Any) -> Any:
    """A model's config, or any part of it, in Keras 3's form; one that has it stays as it is.

    Raises:
        ValueError: an operation of TensorFlow that is not known.
    """
    if isinstance(config, list):
        return [model_config(v) for v in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in _GRAPHS and "layers" in (config.get("config") or ()):
        return _graph({**config, "class_name": "Functional"})
    made = {k: model_config(v) for k, v in config.items()}
    if str(config.get("class_name")).startswith("SpatialDropout"):
        made["config"].pop("noise_shape", None)  # it is always the same
    return made


def _graph(config: dict[str, Any]) -> dict[str, Any]:
    inner = dict(config["config"])
    layers = inner["layers"]
    if any(isinstance(node, dict) for entry in layers for node in entry["inbound_nodes"]):
        inner["layers"] = model_config(layers)  # Keras 3's, but for what may be inside
        return {**config, "config": inner}
    names = {entry.get("name") or entry["config"]["name"] for entry in layers}
    inner["layers"] = [_entry(entry, names) for entry in layers]
    for ends in ("input_layers", "output_layers"):
        if isinstance(inner[ends], list) and len(inner[ends]) == 1:
            inner[ends] = inner[ends][0]  # one tensor, not a list of one
    return {**config, "config": inner}


def _entry(entry: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """A layer in a graph."""
    calls = [_call(node, names) for node in entry["inbound_nodes"]]
    if entry["class_name"] in _OPERATIONS:
        entry, calls = _operation(entry, calls)
    if entry["class_name"] in _RECURRENT:
        calls = [_with_state(*call) for call in calls]
    written = [{"args": args, "kwargs": kwargs} for args, kwargs in calls]
    return {**model_config(entry), "inbound_nodes": written}


def _call(node: Any, names: set[str]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, of which the first is one tensor, or a list, or a constant."""

    def tensor(value: Any) -> Any:
        if value[0] == "_CONSTANT_VALUE":
            return value[2]
        history = {"shape": None, "dtype": None, "keras_history": list(value[:3])}
        return {"class_name": "__keras_tensor__", "config": history}

    def argument(value: Any) -> Any:
        if _is_place(value, names):
            return tensor(value)
        return [argument(v) for v in value] if isinstance(value, list) else value

    single = isinstance(node[0], str)
    places = [node] if single else node
    kwargs = {} if len(places[0]) < 4 else places[0][3]
    given = [tensor(place) for place in places]
    first = given[0] if single or len(given) == 1 else given
    return [first], {k: argument(v) for k, v in kwargs.items()}


def _is_place(value: Any, names: set[str]) -> bool:
    return (
        isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)
        and (value[0] in names or value[0] == "_CONSTANT_VALUE") and isinstance(value[1], int)
    )  # fmt: skip


def _with_state(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """A recurrent layer's call, in which the initial states stand with the inputs."""
    (inputs,) = args
    if not isinstance(inputs, list):
        return args, kwargs
    return inputs[:1], {**kwargs, "initial_state": inputs[1:]}


def _operation(
    entry: dict[str, Any], calls: list[tuple[list[Any], dict[str, Any]]]
) -> tuple[dict[str, Any], list[tuple[list[Any], dict[str, Any]]]]:
    """An operation of TensorFlow as one of weft's, with the arguments of its calls."""
    function = entry["config"]["function"].removeprefix("compat.v1.")
    if function not in _FUNCTIONS:
        raise ValueError(
            f"the model has the operation {function!r} of TensorFlow (layer "
            f"{entry['config'].get('name')!r}), which is not known here. "
            f"{near(function, _FUNCTIONS)} Make the model in Python, and take the file's weights "
            "with load_weights."
        )
    name, renamed = _FUNCTIONS[function]

    def arguments(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        given = {
            renamed.get(k, k): _index(v) for k, v in kwargs.items()
            if v is not None and k != "name" and (k != "conjugate" or v)
        }  # fmt: skip
        if name == "gelu":
            given.setdefault("approximate", False)  # which is True in Keras
        second = [given.pop(k) for k in ("y", "key") if k in given]
        return [*args, *second], given

    operation = {
        "module": "keras.src.ops", "class_name": name, "registered_name": None,
        "config": {"name": entry["config"]["name"]}, "name": entry["config"]["name"],
    }  # fmt: skip
    return operation, [arguments(*call) for call in calls]


def _index(value: Any) -> Any:
    """A value with the slices in it, dicts of their parts, as Keras 3 writes them."""
    if isinstance(value, list):
        return [_index(v) for v in value]
    if isinstance(value, dict) and set(value) == {"start", "stop", "step"}:
        return {"class_name": "__slice__", "config": value}
    return value


# -- compile ------------------------------------------------------------------------------------


def compile_config(config: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """What a model was compiled with, in Keras 3's form.

    Args:
        config: what is written of it.
        model: the model's config.
    """
    optimizer = _own(config.get("optimizer_config") or config.get("optimizer"))
    names = _output_names(model)
    return {
        **{k: v for k, v in config.items() if k in ("loss", "loss_weights")},
        **{k: _metrics(config.get(k), names) for k in ("metrics", "weighted_metrics")},
        "optimizer": optimizer,
    }


def _own(config: Any) -> Any:
    """A config whose class is weft's, though it is named as the user's, or otherwise."""
    if isinstance(config, list):
        return [_own(v) for v in config]
    if not isinstance(config, dict):
        return config
    config = {k: _own(v) for k, v in config.items()}
    name = str(config.get("class_name"))
    if name.startswith("Custom>") and custom_object(name) is None:
        config["class_name"] = name.removeprefix("Custom>")
    if name.startswith("LossScaleOptimizer") and "dynamic" in config["config"]:
        config["class_name"] = "LossScaleOptimizer"
        del config["config"]["dynamic"]
    return config


def _output_names(model: dict[str, Any]) -> dict[Any, str]:
    """The layers that give a functional model's outputs, in Keras 2's order, by number or key."""
    places = model["config"].get("output_layers") if isinstance(model["config"], dict) else None
    if isinstance(places, dict):
        return {key: places[key][0] for key in sorted(places)}
    return {n: place[0] for n, place in enumerate(places or ()) if isinstance(place, list)}


def _metrics(given: Any, names: dict[Any, str]) -> Any:
    """Metrics for each output, without its name in theirs; those of the only one."""
    if not isinstance(given, list) or not all(isinstance(v, list) for v in given):
        return given
    if len(given) == 1:
        return given[0]
    for metrics, name in zip(given, names.values(), strict=False):
        for config in (m["config"] for m in metrics if isinstance(m, dict)):
            config["name"] = config["name"].removeprefix(f"{name}_")
    keys = [name for name in names if isinstance(name, str)]
    return dict(zip(keys, given, strict=False)) if keys else given
