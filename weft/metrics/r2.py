"""The coefficient of determination."""

from __future__ import annotations

import operator
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor, as_tensor
from weft.engine.names import near
from weft.metrics.tables import TableMetric

__all__ = ["R2Score"]

_AGGREGATIONS = ("uniform_average", "variance_weighted_average")


def _score(
    samples: Any, squares: Any, total: Any, residual: Any, count: Any,
    *, aggregation: str | None, regressors: int,
) -> Any:  # fmt: skip
    variance = squares - total * total / count
    # As scikit-learn has it: constant targets are met (1) or not (0); without any it is NaN.
    constant = jnp.where(residual == 0, 1.0, 0.0)
    score = jnp.where(variance == 0, constant, 1 - residual / jnp.where(variance == 0, 1, variance))
    score = jnp.where(count == 0, jnp.nan, score)
    if aggregation == "uniform_average":
        score = score.mean()
    elif aggregation == "variance_weighted_average":
        whole = variance.sum()
        weighed = (score * variance).sum() / jnp.where(whole == 0, 1, whole)
        score = jnp.where(whole == 0, score.mean(), weighed)
    if regressors:
        free = samples - regressors - 1
        adjusted = 1 - (1 - score) * (samples - 1) / jnp.where(free > 0, free, 1)
        score = jnp.where(free > 0, adjusted, score)
    return score


_result = ArrayOp(_score, "r2_result")


class R2Score(TableMetric):
    """R² = 1 - Σ w·(y_true - y_pred)² / Σ w·(y_true - mean)², of each output or averaged.

    The sums are of the targets and their squares, so where a target's mean is many times its
    spread, float32 rounds; centre such targets. Constant targets give 1 where they are met exactly
    and 0 where not, as in scikit-learn (Keras gives NaN for the first).

    Args:
        class_aggregation: "uniform_average" gives the outputs' mean; "variance_weighted_average"
            the mean weighted by the targets' variances; None each output's, shape (outputs,).
        num_regressors: p, of the adjusted score 1 - (1 - R²)·(n - 1)/(n - p - 1) of n samples; 0
            leaves R² as it is, and so does n ≤ p + 1. (Keras counts every output as a sample.)
        name, dtype: as in `Metric`.

    Raises:
        ValueError: an unknown aggregation, or a negative number of regressors.

    Example:
        >>> from weft.metrics import R2Score
        >>> round(float(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
        0.5714

    Reference: Wright, Correlation and Causation (1921); Ezekiel, Methods of Correlation Analysis
    (1930), for the adjusted score.
    """

    _sums = ("num_samples", "squared_sum", "sum", "residual", "count")

    by_row = False  # the adjusted score counts all rows

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if class_aggregation is not None and class_aggregation not in _AGGREGATIONS:
            raise ValueError(
                f"R2Score: class_aggregation must be None or one of {', '.join(_AGGREGATIONS)}, "
                f"got {class_aggregation!r}. {near(class_aggregation, _AGGREGATIONS)}"
            )
        try:
            self.num_regressors = operator.index(num_regressors)
        except TypeError:
            self.num_regressors = -1
        if self.num_regressors < 0:
            raise ValueError(
                f"R2Score: num_regressors must be an int of 0 or more, got {num_regressors!r}."
            )
        self.class_aggregation = class_aggregation
        self.num_samples = self.add_variable((), "zeros", name="num_samples")

    @staticmethod
    def _add(y_true: Any, y_pred: Any, weights: Any) -> tuple[Any, ...]:
        true = y_true * weights
        error = y_true - y_pred
        samples = jnp.ones(y_true.shape[:1], y_true.dtype)
        return samples, true * y_true, true, weights * error * error, weights

    def result(self) -> Tensor:
        """The score: a scalar, or shape (outputs,) without aggregation; NaN before anything."""
        if not self.built:
            return as_tensor(float("nan"))
        return _result(
            *self._state(), aggregation=self.class_aggregation, regressors=self.num_regressors
        )

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
