"""Running sums and means: the metrics that most others are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayLike, ArrayOp, Tensor, as_tensor, give_value
from weft.losses.pairs import aligned_weights, wide
from weft.metrics.metric import Metric

__all__ = ["Mean", "MeanMetricWrapper", "Sum"]


def _samples(values: Any, weights: Any, reduce: Callable[..., Any]) -> tuple[Any, Any]:
    """Weighted values and the weights, each reduced to one number a sample."""
    values = wide(values)
    if weights is None:
        return reduce(values, axis=tuple(range(1, values.ndim))), None
    weights = wide(weights)
    # Axes that the weights do not have are reduced first: (n,) weighs the means of (n, t).
    if weights.ndim < values.ndim:
        values = reduce(values, axis=tuple(range(weights.ndim, values.ndim)))
    weights = jnp.broadcast_to(aligned_weights(weights, values.shape), values.shape)
    rest = tuple(range(1, values.ndim))
    return reduce(values * weights, axis=rest), reduce(weights, axis=rest)


def _mean_update(total: Any, count: Any, values: Any, *weights: Any) -> tuple[Any, Any]:
    values, weight = _samples(values, weights[0] if weights else None, jnp.mean)
    added = values.size if weight is None else jnp.sum(weight)
    return (total + jnp.sum(values)).astype(total.dtype), (count + added).astype(count.dtype)


def _sum_update(total: Any, values: Any, *weights: Any) -> Any:
    values, _ = _samples(values, weights[0] if weights else None, jnp.sum)
    return (total + jnp.sum(values)).astype(total.dtype)


def _quotient(total: Any, count: Any) -> Any:
    return jnp.where(count == 0, 0.0, total / jnp.where(count == 0, 1.0, count))


_update_mean = ArrayOp(_mean_update, "mean_update")
_update_sum = ArrayOp(_sum_update, "sum_update")
_divide = ArrayOp(_quotient, "mean_result")
# The mask of a prediction leaves values out, whatever the weights of the samples.
_masked = ArrayOp(
    lambda mask, weights: wide(mask) * aligned_weights(wide(weights), mask.shape), "masked_weights"
)


class Sum(Metric):
    """Σ values·weights.

    Args:
        name, dtype: as in `Metric`.

    Example:
        >>> from weft.metrics import Sum
        >>> metric = Sum()
        >>> metric.update_state([1.0, 2.0], sample_weight=[1.0, 0.5])
        >>> float(metric.result())
        2.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            values: any shape.
            sample_weight: a number, or weights of the first axes of `values`.

        Raises:
            ShapeError: the weights do not fit; the state is as before.
        """
        weights = () if sample_weight is None else (sample_weight,)
        give_value(self.total, _update_sum(self.total, values, *weights))

    def result(self) -> Tensor:
        """The sum."""
        return self.total  # type: ignore[return-value]


class Mean(Metric):
    """Σ values·weights / Σ weights, over all that it was given since its last reset.

    Values of rank 2 and more are averaged within each sample first, so that a sample counts 1.

    Args:
        name, dtype: as in `Metric`.

    Example:
        >>> from weft.metrics import Mean
        >>> metric = Mean()
        >>> metric.update_state([1.0, 3.0])
        >>> metric.update_state(8.0, sample_weight=2.0)
        >>> float(metric.result())
        5.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            values: any shape.
            sample_weight: a number, or weights of the first axes of `values`.

        Raises:
            ShapeError: the weights do not fit; the state is as before.
        """
        weights = () if sample_weight is None else (sample_weight,)
        total, count = _update_mean(self.total, self.count, values, *weights)
        give_value(self.total, total)
        give_value(self.count, count)

    def result(self) -> Tensor:
        """The mean; 0 before anything was added."""
        return _divide(self.total, self.count)  # type: ignore[no-any-return]


class MeanMetricWrapper(Mean):
    """The mean of a function of targets and predictions.

    Args:
        fn: a function (y_true, y_pred, **kwargs) that returns the values of the samples.
        name: the function's by default.
        dtype: as in `Metric`.
        kwargs: further arguments of `fn`.

    Example:
        >>> from weft.metrics import MeanMetricWrapper
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="error")
        >>> float(metric([1.0, 2.0], [1.0, 4.0]))
        1.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "mean_metric_wrapper"), dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: the function's nodes and one.

        Args:
            y_true, y_pred: what the function takes; a Keras mask that y_pred carries leaves
                values out.
            sample_weight: a number, or weights of the first axes of the function's values.

        Raises:
            ShapeError: the shapes do not fit; the state is as before.
        """
        mask = self._mask(y_true, y_pred)
        if not hasattr(self._fn, "pure"):  # a user's function is given tensors, not lists
            y_true, y_pred = _tensor(y_true), _tensor(y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if values is None:
            raise TypeError(
                f"the function of the metric {self.name!r} returned None. End it with `return` and "
                "the value of each sample."
            )
        if mask is not None:
            sample_weight = mask if sample_weight is None else _masked(mask, sample_weight)
        super().update_state(values, sample_weight)

    def _mask(self, y_true: Any, y_pred: Any) -> Any:
        """Which of the function's values count, or None if all do."""
        return getattr(y_pred, "_keras_mask", None)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        config = {**super().get_config(), **self._fn_kwargs}
        if type(self) is MeanMetricWrapper:
            config["fn"] = self._fn
        return config


def _tensor(x: Any) -> Any:
    return x if isinstance(x, ArrayLike) else as_tensor(x)
