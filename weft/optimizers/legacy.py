"""Keras 2's module of this name: the same optimizers, which take its `lr` and `decay` too."""

from weft.optimizers.adagrad import Adadelta, Adagrad
from weft.optimizers.adam import Adam
from weft.optimizers.adamax import Adamax
from weft.optimizers.base import Optimizer
from weft.optimizers.ftrl import Ftrl
from weft.optimizers.nadam import Nadam
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.sgd import SGD

__all__ = [
    "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop", "SGD",
]  # fmt: skip
