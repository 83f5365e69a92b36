"""tf.keras."""

from weft.engine.names import unknown
from weft.layers import Input
from weft.models import Model, Sequential
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
    "Input", "Model", "Sequential", "activations", "callbacks", "constraints", "initializers",
    "layers", "losses", "metrics", "mixed_precision", "models", "optimizers", "regularizers",
    "saving", "utils",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
