"""tf.keras.mixed_precision: dtype policies."""

from weft.engine.names import unknown
from weft.precision import (
    DTypePolicy,
    LossScaleOptimizer,
    Policy,
    dtype_policy,
    global_policy,
    set_dtype_policy,
    set_global_policy,
)

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
    "set_dtype_policy", "set_global_policy",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
