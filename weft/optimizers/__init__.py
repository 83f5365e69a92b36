"""Optimizers and learning-rate schedules, over Optax."""

from weft.optimizers import schedules
from weft.optimizers.adam import Adam, AdamW
from weft.optimizers.base import Optimizer
from weft.optimizers.lookup import deserialize, get, serialize
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.sgd import SGD
from weft.optimizers.transformation import OptaxOptimizer

__all__ = [
    "Adam",
    "AdamW",
    "OptaxOptimizer",
    "Optimizer",
    "RMSprop",
    "SGD",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
