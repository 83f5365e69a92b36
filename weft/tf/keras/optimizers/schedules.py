"""tf.keras.optimizers.schedules: learning rates over time."""

from weft.engine.names import unknown
from weft.optimizers.schedules import *
from weft.optimizers.schedules import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
