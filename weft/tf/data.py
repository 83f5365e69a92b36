"""tf.data: the input pipeline."""

from weft.data import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
)
from weft.engine.names import unknown

__all__ = [
    "AUTOTUNE", "Dataset", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
