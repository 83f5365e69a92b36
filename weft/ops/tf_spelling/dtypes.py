"""TensorFlow's names of dtypes: NumPy dtypes, which compare equal to a tensor's."""

import ml_dtypes  # noqa: F401  (registers "bfloat16" with NumPy)
import numpy as np

__all__ = [
    "bfloat16", "bool", "complex64", "float16", "float32", "float64", "int16", "int32", "int64",
    "int8", "uint16", "uint32", "uint64", "uint8",
]  # fmt: skip

float16, float32, float64 = (np.dtype(n) for n in ("float16", "float32", "float64"))
bfloat16 = np.dtype("bfloat16")
int8, int16, int32, int64 = (np.dtype(n) for n in ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = (np.dtype(n) for n in ("uint8", "uint16", "uint32", "uint64"))
bool = np.dtype("bool")
complex64 = np.dtype("complex64")
