"""tf.keras.saving: models and weights in files, and the user's own objects in them."""

from weft.engine.names import unknown
from weft.saving import *
from weft.saving import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
