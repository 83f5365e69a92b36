"""`tf.random` in TensorFlow's spelling."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from weft import engine, random
from weft.engine import Tensor, as_dtype
from weft.ops.tf_spelling.dtypes import float32

__all__ = ["categorical", "normal", "set_seed", "shuffle", "stream", "truncated_normal", "uniform"]


# In TensorFlow an operation with a seed goes on in a stream of its own from call to call.
_streams: dict[int, engine.SeedGenerator] = {}


def stream(seed: Any) -> Any:
    """The generator that an operation with this seed draws on from call to call."""
    if not isinstance(seed, int | np.integer):
        return seed
    if seed not in _streams:
        _streams[int(seed)] = engine.SeedGenerator(seed)
    return _streams[int(seed)]


def set_seed(seed: int) -> None:
    """Start all streams of random numbers anew."""
    _streams.clear()
    random.set_seed(seed)


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normally distributed numbers."""
    return random.normal(shape, mean, stddev, dtype, stream(seed))


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normally distributed numbers within two `stddev` of the mean."""
    return random.truncated_normal(shape, mean, stddev, dtype, stream(seed))


def uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = float32, seed: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Uniformly distributed numbers in [minval, maxval), maxval 1 for floats."""
    if maxval is None:
        if jnp.issubdtype(as_dtype(dtype), jnp.integer):
            raise ValueError("random.uniform needs maxval for an integer dtype.")
        maxval = 1
    return random.uniform(shape, minval, maxval, dtype, stream(seed))


def shuffle(value: Any, seed: Any = None, name: str | None = None) -> Tensor:
    """The slices along the first axis in a random order."""
    return random.shuffle(value, 0, stream(seed))


def categorical(
    logits: Any, num_samples: int, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Classes drawn with probabilities softmax(logits), shape (batch, num_samples)."""
    return random.categorical(logits, num_samples, dtype or "int32", stream(seed))
