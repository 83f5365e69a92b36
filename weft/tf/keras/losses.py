"""tf.keras.losses: losses."""

from weft.engine.names import unknown
from weft.losses import *
from weft.losses import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
