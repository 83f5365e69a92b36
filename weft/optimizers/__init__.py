"""Optimizers and learning-rate schedules, over Optax."""

from weft.optimizers import legacy, schedules
from weft.optimizers.adafactor import Adafactor
from weft.optimizers.adagrad import Adadelta, Adagrad
from weft.optimizers.adam import Adam, AdamW
from weft.optimizers.adamax import Adamax
from weft.optimizers.base import Optimizer
from weft.optimizers.catalogue import deserialize, get, serialize
from weft.optimizers.ftrl import Ftrl
from weft.optimizers.lamb import Lamb
from weft.optimizers.lion import Lion
from weft.optimizers.loss_scale import LossScaleOptimizer
from weft.optimizers.multi import MultiOptimizer, OptimizerMap
from weft.optimizers.muon import Muon
from weft.optimizers.nadam import Nadam
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.schedule_free import ScheduleFreeAdamW
from weft.optimizers.sgd import SGD
from weft.optimizers.transformation import OptaxOptimizer

__all__ = [
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "OptaxOptimizer",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "SGD",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]
