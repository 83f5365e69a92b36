"""tf.keras.initializers: initial values."""

from weft.engine.names import unknown
from weft.initializers import *
from weft.initializers import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
