"""tf.keras.layers: layers."""

from weft.engine.names import unknown
from weft.layers import *
from weft.layers import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
