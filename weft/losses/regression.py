"""Losses of real-valued predictions: of the error, or of the angle, along the last axis."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import POSITIVE
from weft.losses.pairs import pair, pair_function

__all__ = [
    "CosineSimilarity", "Huber", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "cosine_similarity", "huber", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error",
]  # fmt: skip


@pair_function
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)²) over the last axis.

    Args:
        y_true, y_pred: shape (batch, d0, ..., dn).

    Returns:
        shape (batch, d0, ..., dn-1), at least float32.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> from weft.losses import mean_squared_error
        >>> mean_squared_error([[0.0, 2.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 4.0]]).tolist()
        [1.0, 4.5]
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return jnp.mean(jnp.square(y_pred - y_true), -1)


@pair_function
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) over the last axis.

    Args, Returns, Raises: as `mean_squared_error`.

    Example:
        >>> from weft.losses import mean_absolute_error
        >>> mean_absolute_error([[0.0, 2.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 4.0]]).tolist()
        [1.0, 1.5]
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return jnp.mean(jnp.abs(y_pred - y_true), -1)


_EPSILON = 1e-7


@pair_function
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100·mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis.

    Args, Returns, Raises: as `mean_squared_error`.

    Example:
        >>> from weft.losses import mean_absolute_percentage_error
        >>> mean_absolute_percentage_error([[2.0, -4.0]], [[1.0, -5.0]]).tolist()
        [37.5]
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    size = jnp.maximum(jnp.abs(y_true), _EPSILON)
    return 100.0 * jnp.mean(jnp.abs((y_true - y_pred) / size), -1)


@pair_function
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(y_true + 1) - log(y_pred + 1))²) over the last axis; below 1e-7 is taken as that.

    Args, Returns, Raises: as `mean_squared_error`.

    Example:
        >>> from weft.losses import mean_squared_logarithmic_error
        >>> round(float(mean_squared_logarithmic_error([1.0], [3.0])), 4)  # (log 2)²
        0.4805
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    first, second = (jnp.log1p(jnp.maximum(v, _EPSILON)) for v in (y_true, y_pred))
    return jnp.mean(jnp.square(first - second), -1)


@pair_function(delta=POSITIVE)
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean(e²/2 where |e| <= delta, else delta·|e| - delta²/2), e = y_true - y_pred.

    Args:
        y_true, y_pred: shape (batch, ..., d).
        delta: where the parabola goes over into a line.

    Returns:
        shape (batch, ...).

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: delta is not positive.

    Reference: Huber, Robust Estimation of a Location Parameter (1964).
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    size = jnp.abs(y_pred - y_true)
    # min(|e|, delta)·(|e| - min(|e|, delta)/2): both branches, and finite gradients in each.
    near = jnp.minimum(size, delta)
    return jnp.mean(near * (size - 0.5 * near), -1)


@pair_function
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log cosh(y_pred - y_true)): e²/2 for small errors, |e| - log 2 for large ones.

    Args, Returns, Raises: as `mean_squared_error`.
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    e = y_pred - y_true
    return jnp.mean(e + jax.nn.softplus(-2.0 * e) - math.log(2.0), -1)


def _unit(x: Any, axis: int) -> Any:
    # The sum is held above zero before its root, so that zero vectors have a gradient.
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis, keepdims=True), 1e-12))


@pair_function
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-Σ y_true·y_pred / (‖y_true‖·‖y_pred‖) along `axis`.

    Args:
        y_true, y_pred: shape (batch, ..., d).
        axis: the axis of the vectors' components.

    Returns:
        shape (batch, ...): -1 where the directions agree, 1 where they are opposite, 0 for a
        zero vector.
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -jnp.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis)


class MeanSquaredError(LossFunctionWrapper):
    """mean((y_true - y_pred)²); the arguments are those of `Loss`.

    Example:
        >>> from weft.losses import MeanSquaredError
        >>> float(MeanSquaredError()([[0.0], [2.0]], [[1.0], [4.0]], sample_weight=[1.0, 0.5]))
        1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, name, reduction, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|y_true - y_pred|); the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, name, reduction, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """The error in percent of the target: see `mean_absolute_percentage_error`; as in `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, name, reduction, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The error of orders of magnitude: see `mean_squared_logarithmic_error`; as in `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, name, reduction, dtype)


class Huber(LossFunctionWrapper):
    """A parabola near zero, lines beyond `delta`: see `huber`.

    Args:
        delta: where the parabola goes over into a line.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, name, reduction, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """log cosh of the error: see `log_cosh`; the arguments are those of `Loss`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(log_cosh, name, reduction, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """The negative cosine of the angle between target and prediction.

    Args:
        axis: the axis of the vectors' components.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, name, reduction, dtype, axis=axis)
