"""The optimizers that configs and the strings of `compile` name."""

from __future__ import annotations

from weft.optimizers.adafactor import Adafactor
from weft.optimizers.adagrad import Adadelta, Adagrad
from weft.optimizers.adam import Adam, AdamW
from weft.optimizers.adamax import Adamax
from weft.optimizers.ftrl import Ftrl
from weft.optimizers.lamb import Lamb
from weft.optimizers.lion import Lion
from weft.optimizers.lookup import deserialize, get, registry, serialize
from weft.optimizers.loss_scale import LossScaleOptimizer
from weft.optimizers.multi import MultiOptimizer, OptimizerMap
from weft.optimizers.muon import Muon
from weft.optimizers.nadam import Nadam
from weft.optimizers.rmsprop import RMSprop
from weft.optimizers.schedule_free import ScheduleFreeAdamW
from weft.optimizers.sgd import SGD

__all__ = ["deserialize", "get", "serialize"]

registry.add(
    (
        Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, LossScaleOptimizer,
        MultiOptimizer, Muon, Nadam, OptimizerMap, RMSprop, SGD, ScheduleFreeAdamW,
    )
)  # fmt: skip
