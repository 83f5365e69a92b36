"""Random tensors, drawn inside the program from explicit state.

`seed` is a `SeedGenerator` (each draw moves it on), None (the global generator, which
`set_seed` makes reproducible), or an int: then every call draws the same numbers.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import (
    Op,
    SeedGenerator,
    Tensor,
    as_dtype,
    as_tensor,
    draw,
    global_generator,
    set_seed,
)
from weft.ops.arguments import axes_of, shape_of

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint",
    "set_seed", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip


def _once(state: Any, *operands: Any, sampler: Any, params: Any) -> Any:
    key = jax.random.wrap_key_data(state, impl="threefry2x32")
    return sampler(key, *operands, **dict(params))


_once_op = Op(_once, "random")


def _drawn(seed: Any, sampler: Any, *operands: Any, **params: Any) -> Any:
    """One draw as one node, from whatever `seed` is."""
    if isinstance(seed, SeedGenerator):
        return draw(seed, sampler, operands, **params)
    if seed is None:
        return draw(global_generator(), sampler, operands, **params)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(
            f"seed must be a non-negative integer, a SeedGenerator or None, got {seed!r}."
        )
    state = np.array([int(seed) & 0xFFFFFFFF, 0], "uint32")
    return _once_op(state, *operands, sampler=sampler, params=tuple(params.items()))


def _float(name: str, dtype: Any) -> Any:
    kind = as_dtype("float32" if dtype is None else dtype)
    if not jnp.issubdtype(kind, jnp.floating):
        raise ValueError(f"random.{name} draws floats, got dtype {kind.name!r}.")
    return kind


def _operands(*values: Any) -> tuple[Any, ...]:
    return tuple(as_tensor(v) if isinstance(v, list | tuple) else v for v in values)


# Each sampler is one function for good: it is part of the key that finds the program.


def _normal(key: Any, mean: Any, stddev: Any, *, shape: Any, dtype: Any) -> Any:
    return (mean + stddev * jax.random.normal(key, shape, dtype)).astype(dtype)


def _truncated(key: Any, mean: Any, stddev: Any, *, shape: Any, dtype: Any) -> Any:
    return (mean + stddev * jax.random.truncated_normal(key, -2, 2, shape, dtype)).astype(dtype)


def _uniform(key: Any, low: Any, high: Any, *, shape: Any, dtype: Any) -> Any:
    return jax.random.uniform(key, shape, dtype, low, high)


def _randint(key: Any, low: Any, high: Any, *, shape: Any, dtype: Any) -> Any:
    return jax.random.randint(key, shape, low, high, dtype)


def _categorical(key: Any, logits: Any, *, n: int, dtype: Any) -> Any:
    if logits.ndim != 2:
        raise ValueError(f"logits must have the shape (batch, classes), got {logits.shape}.")
    drawn = jax.random.categorical(key, logits[:, None, :], -1, (logits.shape[0], n))
    return drawn.astype(dtype)


def _gamma(key: Any, alpha: Any, *, shape: Any, dtype: Any) -> Any:
    return jax.random.gamma(key, alpha, shape, dtype)


def _beta(key: Any, alpha: Any, beta: Any, *, shape: Any, dtype: Any) -> Any:
    return jax.random.beta(key, alpha, beta, shape, dtype)


def _binomial(key: Any, counts: Any, probabilities: Any, *, shape: Any, dtype: Any) -> Any:
    return jax.random.binomial(key, counts, probabilities, shape, dtype)


def _shuffle(key: Any, x: Any, *, axis: int) -> Any:
    return jax.random.permutation(key, x, axis)


def noise_sizes(noise_shape: Any, shape: Any) -> tuple[int, ...]:
    """The sizes of a noise over an input of that shape; None in `noise_shape` is the input's.

    Raises:
        ValueError: they do not broadcast to the input's.
    """
    if noise_shape is None:
        return tuple(shape)
    sizes = tuple(s if n is None else n for n, s in zip(noise_shape, shape, strict=False))
    ranks_differ = len(noise_shape) != len(shape)
    if ranks_differ or any(n not in (1, s) for n, s in zip(sizes, shape, strict=True)):
        raise ValueError(
            f"noise_shape {noise_shape} does not broadcast to the input's shape {shape}."
        )
    return sizes


def dropped(key: Any, x: Any, rate: Any, *, noise_shape: Any) -> Any:
    """The sampler of dropout; a layer, whose rate stays, gives it as a keyword."""
    keep = 1.0 - rate
    kept = jax.random.bernoulli(key, keep, noise_sizes(noise_shape, x.shape))
    # At rate 1 nothing is kept; the division must not make NaN of its gradient.
    return jnp.where(kept, x / jnp.where(keep > 0, keep, 1).astype(x.dtype), 0)


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers.

    Args:
        shape: of the result.
        mean, stddev: numbers, or tensors that broadcast to the shape.
        dtype: a float dtype, float32 by default.
        seed: an int, a SeedGenerator or None.
    """
    kind = _float("normal", dtype)
    return _drawn(seed, _normal, *_operands(mean, stddev), shape=shape_of(shape), dtype=kind)


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers within two `stddev` of the mean."""
    kind = _float("truncated_normal", dtype)
    return _drawn(seed, _truncated, *_operands(mean, stddev), shape=shape_of(shape), dtype=kind)


def uniform(
    shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Uniformly distributed numbers in [minval, maxval); whole ones if `dtype` is an integer's."""
    kind = as_dtype("float32" if dtype is None else dtype)
    if jnp.issubdtype(kind, jnp.integer):
        return randint(shape, minval, maxval, kind, seed)
    kind = _float("uniform", kind)
    return _drawn(seed, _uniform, *_operands(minval, maxval), shape=shape_of(shape), dtype=kind)


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Whole numbers from minval up to, without, maxval, equally likely."""
    kind = as_dtype(dtype)
    if not jnp.issubdtype(kind, jnp.integer):
        raise ValueError(f"random.randint draws integers, got dtype {kind.name!r}.")
    return _drawn(seed, _randint, *_operands(minval, maxval), shape=shape_of(shape), dtype=kind)


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Classes drawn with probabilities softmax(logits).

    Args:
        logits: float, shape (batch, classes).
        num_samples: how many to draw for each row.
        dtype: an integer dtype.
        seed: an int, a SeedGenerator or None.

    Returns:
        Shape (batch, num_samples).
    """
    kind = as_dtype(dtype)
    return _drawn(seed, _categorical, *_operands(logits), n=int(num_samples), dtype=kind)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Gamma distributed numbers of shape parameter `alpha` and scale 1."""
    kind = _float("gamma", dtype)
    return _drawn(seed, _gamma, *_operands(alpha), shape=shape_of(shape), dtype=kind)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Beta distributed numbers in (0, 1), density ∝ x^(alpha - 1)·(1 - x)^(beta - 1)."""
    kind = _float("beta", dtype)
    return _drawn(seed, _beta, *_operands(alpha, beta), shape=shape_of(shape), dtype=kind)


def binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    """The numbers of successes in `counts` trials of those probabilities."""
    kind = _float("binomial", dtype)
    given = _operands(counts, probabilities)
    return _drawn(seed, _binomial, *given, shape=shape_of(shape), dtype=kind)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices along `axis` in a random order."""
    return _drawn(seed, _shuffle, *_operands(x), axis=axes_of(axis))


def dropout(inputs: Any, rate: Any, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Each element set to 0 with probability `rate`, the others divided by 1 - rate.

    Args:
        inputs: float tensor.
        rate: in [0, 1]; an input of the program, so a changing rate compiles nothing anew.
        noise_shape: the mask's shape, None or 1 in it as wanted: along an axis of size 1 all
            elements go together.
        seed: an int, a SeedGenerator or None.

    Raises:
        ValueError: a rate outside [0, 1].

    Reference: Srivastava et al., Dropout (2014).
    """
    if isinstance(rate, int | float) and not 0 <= rate <= 1:
        raise ValueError(f"dropout: rate must be in [0, 1], got {rate}.")
    shape = None if noise_shape is None else tuple(noise_shape)
    return _drawn(seed, dropped, *_operands(inputs), rate, noise_shape=shape)
