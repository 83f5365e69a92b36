"""tf.dtypes: kinds of numbers."""

from numpy import (
    dtype as DType,
)

from weft.engine import (
    as_dtype,
)
from weft.engine.names import unknown
from weft.ops.tf_spelling.dtypes import (
    bfloat16,
    bool,
    complex64,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from weft.ops.tf_spelling.maths import (
    cast,
)

__all__ = [
    "DType", "as_dtype", "bfloat16", "bool", "cast", "complex64", "float16", "float32", "float64",
    "int16", "int32", "int64", "int8", "uint16", "uint32", "uint64", "uint8",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
