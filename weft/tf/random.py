"""tf.random: random tensors."""

from weft.engine.names import unknown
from weft.ops.tf_spelling.draws import (
    categorical,
    normal,
    set_seed,
    shuffle,
    truncated_normal,
    uniform,
)

__all__ = [
    "categorical", "normal", "set_seed", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
