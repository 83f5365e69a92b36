"""tf.keras.constraints: what weights must be."""

from weft.constraints import *
from weft.constraints import __all__
from weft.engine.names import unknown


def __getattr__(name):
    raise unknown(__name__, name, __all__)
