"""tf.keras.activations: functions by name."""

from weft.activations import *
from weft.activations import __all__
from weft.engine.names import unknown


def __getattr__(name):
    raise unknown(__name__, name, __all__)
