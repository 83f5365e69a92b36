"""tf.linalg: matrices."""

from weft.engine.names import unknown
from weft.ops import (
    cross,
    diag,
    einsum,
    tensordot,
    trace,
)
from weft.ops import (
    diagonal as diag_part,
)
from weft.ops.tf_spelling.maths import (
    global_norm,
    matmul,
    norm,
)
from weft.ops.tf_spelling.networks import (
    l2_normalize,
)
from weft.ops.tf_spelling.shapes import (
    eye,
)

__all__ = [
    "cross", "diag", "diag_part", "einsum", "eye", "global_norm", "l2_normalize", "matmul", "norm",
    "tensordot", "trace",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
