"""tf.keras.metrics: metrics."""

from weft.engine.names import unknown
from weft.metrics import *
from weft.metrics import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
