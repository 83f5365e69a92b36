"""weft: Keras, imperative again, on XLA.

The engine is imported at once; everything above it when it is first used.
"""

from importlib import import_module as __import_module__

from weft.engine import (
    Function,
    GradientTape,
    GraphError,
    KerasTensor,
    ShapeError,
    Tensor,
    UnconnectedGradients,
    ValueNeededError,
    Variable,
    config,
    function,
    op,
)

__version__ = "0.1.0"

__all__ = [
    "DTypePolicy",
    "Function",
    "GradientTape",
    "GraphError",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "ShapeError",
    "Tensor",
    "UnconnectedGradients",
    "ValueNeededError",
    "Variable",
    "activations",
    "callbacks",
    "config",
    "constraints",
    "convert_to_tensor",
    "custom_gradient",
    "data",
    "function",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "op",
    "ops",
    "optimizers",
    "precision",
    "random",
    "recompute_grad",
    "regularizers",
    "saving",
    "tf",
    "utils",
]

# Where each other public name is found: "" for a module of weft.
__where__ = {
    "DTypePolicy": "precision",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "layers",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "activations": "",
    "callbacks": "",
    "constraints": "",
    "convert_to_tensor": "ops",
    "custom_gradient": "engine",
    "data": "",
    "initializers": "",
    "layers": "",
    "losses": "",
    "metrics": "",
    "models": "",
    "ops": "",
    "optimizers": "",
    "precision": "",
    "random": "",
    "recompute_grad": "engine",
    "regularizers": "",
    "saving": "",
    "tf": "",
    "utils": "",
}


def __getattr__(name):
    if name == "mixed_precision":
        return __import_module__("weft.precision")
    where = __where__.get(name)
    if where is None:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    found = __import_module__(f"weft.{where or name}")
    found = getattr(found, name) if where else found
    globals()[name] = found
    return found


def __dir__():
    return __all__
