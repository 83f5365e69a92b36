"""tf.keras.optimizers: optimizers and schedules."""

from weft.engine.names import unknown
from weft.optimizers import *
from weft.optimizers import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
