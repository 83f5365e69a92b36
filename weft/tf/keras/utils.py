"""tf.keras.utils: seeds, labels and sequences as arrays, names, pictures."""

from weft.engine.names import unknown
from weft.utils import *
from weft.utils import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
