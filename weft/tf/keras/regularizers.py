"""tf.keras.regularizers: penalties on weights."""

from weft.engine.names import unknown
from weft.regularizers import *
from weft.regularizers import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
