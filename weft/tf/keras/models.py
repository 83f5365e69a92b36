"""tf.keras.models: models."""

from weft.engine.names import unknown
from weft.models import *
from weft.models import __all__


def __getattr__(name):
    raise unknown(__name__, name, __all__)
