"""tf.keras.optimizers.legacy: Keras 2's older optimizers."""

from weft.engine.names import unknown
from weft.optimizers.legacy import *
from weft.optimizers.legacy import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
