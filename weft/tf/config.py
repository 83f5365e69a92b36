"""tf.config: how operations run."""

from weft.engine.config import (
    is_eager as functions_run_eagerly,
)
from weft.engine.config import (
    set_eager as run_functions_eagerly,
)
from weft.engine.names import unknown

__all__ = [
    "functions_run_eagerly", "run_functions_eagerly",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
