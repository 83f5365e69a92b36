"""Operations along axes: sums, means, extremes, norms, counts, cumulative sums.

`axis` is None (all axes), an int or a tuple of ints; `keepdims` leaves reduced axes with size 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor, as_dtype
from weft.ops.arguments import axes_of

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod",
    "cumsum", "diff", "logsumexp", "max", "mean", "median", "min", "nanmax", "nanmean", "nanmin",
    "nansum", "norm", "prod", "ptp", "quantile", "std", "sum", "var",
]  # fmt: skip


def _reduction(fn: Callable[..., Any], name: str, doc: str) -> Callable[..., Tensor]:
    op = ArrayOp(lambda x, *, axis, keepdims: fn(x, axis=axis, keepdims=keepdims), name)

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        return op(x, axis=axes_of(axis), keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    return reduce


sum = _reduction(jnp.sum, "sum", "The sum along `axis`; small integers are added as int32.")
mean = _reduction(jnp.mean, "mean", "The arithmetic mean along `axis`.")
std = _reduction(jnp.std, "std", "The standard deviation along `axis`: √var.")
var = _reduction(jnp.var, "var", "The variance along `axis`: mean((x - mean(x))²).")
median = _reduction(jnp.median, "median", "The median along `axis`.")
ptp = _reduction(jnp.ptp, "ptp", "The largest less the smallest along `axis`.")
any = _reduction(jnp.any, "any", "Whether any element along `axis` is true.")
all = _reduction(jnp.all, "all", "Whether all elements along `axis` are true.")
nansum = _reduction(jnp.nansum, "nansum", "The sum along `axis`, NaN left out.")
nanmean = _reduction(jnp.nanmean, "nanmean", "The mean along `axis`, NaN left out.")
nanmax = _reduction(jnp.nanmax, "nanmax", "The largest along `axis`, NaN left out.")
nanmin = _reduction(jnp.nanmin, "nanmin", "The smallest along `axis`, NaN left out.")
logsumexp = _reduction(
    jax.scipy.special.logsumexp, "logsumexp", "log Σ exp(x) along `axis`, without overflow."
)
amax = _reduction(jnp.max, "max", "The largest element along `axis`.")
amin = _reduction(jnp.min, "min", "The smallest element along `axis`.")
argmax = _reduction(jnp.argmax, "argmax", "The index (int32) of the first largest along `axis`.")
argmin = _reduction(jnp.argmin, "argmin", "The index (int32) of the first smallest along `axis`.")

_max_from = ArrayOp(
    lambda x, initial, *, axis, keepdims: jnp.max(x, axis, keepdims=keepdims, initial=initial),
    "max",
)
_min_from = ArrayOp(
    lambda x, initial, *, axis, keepdims: jnp.min(x, axis, keepdims=keepdims, initial=initial),
    "min",
)


def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The largest element along `axis`, and not below `initial` if that is given."""
    if initial is None:
        return amax(x, axis, keepdims)
    return _max_from(x, initial, axis=axes_of(axis), keepdims=keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The smallest element along `axis`, and not above `initial` if that is given."""
    if initial is None:
        return amin(x, axis, keepdims)
    return _min_from(x, initial, axis=axes_of(axis), keepdims=keepdims)


_prod = ArrayOp(
    lambda x, *, axis, keepdims, dtype: jnp.prod(x, axis, dtype=dtype, keepdims=keepdims), "prod"
)
_cumsum = ArrayOp(lambda x, *, axis, dtype: jnp.cumsum(x, axis, dtype), "cumsum")
_cumprod = ArrayOp(lambda x, *, axis, dtype: jnp.cumprod(x, axis, dtype), "cumprod")
_norm = ArrayOp(
    lambda x, *, ord, axis, keepdims: jnp.linalg.norm(x, ord, axis, keepdims=keepdims), "norm"
)
_count = ArrayOp(lambda x, *, axis: jnp.count_nonzero(x, axis=axis), "count_nonzero")
_average = ArrayOp(lambda x, weights, *, axis: jnp.average(x, axis, weights), "average")
_diff = ArrayOp(lambda a, *, n, axis: jnp.diff(a, n, axis), "diff")
_quantile = ArrayOp(
    lambda x, q, *, axis, method, keepdims: jnp.quantile(
        x, q, axis, method=method, keepdims=keepdims
    ),
    "quantile",
)


def _dtype(dtype: Any) -> Any:
    return None if dtype is None else as_dtype(dtype)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product along `axis`, computed in `dtype` if that is given."""
    return _prod(x, axis=axes_of(axis), keepdims=keepdims, dtype=_dtype(dtype))


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running sum along `axis`; of the flattened tensor if it is None."""
    return _cumsum(x, axis=axes_of(axis), dtype=_dtype(dtype))


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running product along `axis`; of the flattened tensor if it is None."""
    return _cumprod(x, axis=axes_of(axis), dtype=_dtype(dtype))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """A vector or matrix norm.

    Args:
        x: a tensor.
        ord: 1, 2, a number or ±inf; for matrices also "fro" and "nuc". None is the 2-norm of the
            elements.
        axis: an int for vectors, two ints for matrices, None for the whole tensor.
        keepdims: whether to keep the reduced axes with size 1.
    """
    return _norm(x, ord=ord, axis=axes_of(axis), keepdims=keepdims)


def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """The number of elements along `axis` that are not zero, int32."""
    return _count(x, axis=axes_of(axis))


def average(x: Any, axis: Any = None, weights: Any = None) -> Tensor:
    """Σ w·x / Σ w along `axis`; the mean without weights."""
    return mean(x, axis) if weights is None else _average(x, weights, axis=axes_of(axis))


def diff(a: Any, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along `axis`, taken `n` times."""
    return _diff(a, n=n, axis=axis)


def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """The `q`-quantiles (q in [0, 1]) along `axis`."""
    return _quantile(x, q, axis=axes_of(axis), method=method, keepdims=keepdims)
