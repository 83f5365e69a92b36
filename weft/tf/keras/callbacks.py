"""tf.keras.callbacks: what runs beside training."""

from weft.callbacks import *
from weft.callbacks import __all__
from weft.engine.names import unknown


def __getattr__(name):
    raise unknown(__name__, name, __all__)
