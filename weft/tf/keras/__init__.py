"""tf.keras."""

from weft import ops, random
from weft.engine import KerasTensor, Variable
from weft.engine.names import unknown
from weft.initializers import Initializer
from weft.layers import Input, InputSpec, Layer
from weft.losses import Loss
from weft.metrics import Metric
from weft.models import Model, Sequential
from weft.optimizers import Optimizer
from weft.precision import DTypePolicy
from weft.regularizers import Regularizer
from weft.tf.keras import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    optimizers,
    regularizers,
    saving,
    utils,
)

__all__ = [
    "DTypePolicy", "Initializer", "Input", "InputSpec", "KerasTensor", "Layer", "Loss", "Metric",
    "Model", "Optimizer", "Regularizer", "Sequential", "Variable", "activations", "callbacks",
    "constraints", "initializers", "layers", "losses", "metrics", "mixed_precision", "models",
    "ops", "optimizers", "random", "regularizers", "saving", "utils",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
