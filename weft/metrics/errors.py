"""Running means of the losses: errors, cross-entropies, divergences and margins as metrics."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.losses.labels import counted_labels
from weft.losses.margin import categorical_hinge, hinge, squared_hinge
from weft.losses.pairs import pair, pair_function
from weft.losses.probabilistic import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from weft.losses.regression import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from weft.metrics.mean import MeanMetricWrapper, _quotient

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "Hinge", "KLDivergence",
    "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "RootMeanSquaredError",
    "SparseCategoricalCrossentropy", "SquaredHinge",
]  # fmt: skip


@pair_function
def _squared_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = pair("root_mean_squared_error", y_true, y_pred)
    return jnp.square(y_pred - y_true)


_root = ArrayOp(lambda total, count: jnp.sqrt(_quotient(total, count)), "root_mean_result")


class MeanSquaredError(MeanMetricWrapper):
    """mean((y_true - y_pred)²); the arguments are those of `Metric`.

    Example:
        >>> from weft.metrics import MeanSquaredError
        >>> metric = MeanSquaredError()
        >>> metric.update_state([[0.0], [1.0]], [[0.0], [3.0]])
        >>> float(metric.result())
        2.0
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(mean_squared_error, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """√mean((y_true - y_pred)²); the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(_squared_error, name, dtype)

    def result(self) -> Tensor:
        """The root of the mean; 0 before anything was added."""
        return _root(self.total, self.count)


class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|y_true - y_pred|); the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """100·mean(|(y_true - y_pred) / y_true|); the arguments are those of `Metric`."""

    def __init__(
        self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))²); the arguments are those of `Metric`."""

    def __init__(
        self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """mean(log cosh(y_pred - y_true)); the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(log_cosh, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of `weft.losses.binary_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits, label_smoothing: as in the function.
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            binary_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing,
        )  # fmt: skip


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `weft.losses.categorical_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits, label_smoothing, axis: as in the function.
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            categorical_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `weft.losses.sparse_categorical_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits, ignore_class, axis: as in the function. Labels of `ignore_class` do not count
            (in Keras they do when no weights are given).
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip

    def _mask(self, y_true: Any, y_pred: Any) -> Any:
        return counted_labels(y_true, y_pred, super()._mask(y_true, y_pred), **self._fn_kwargs)


class KLDivergence(MeanMetricWrapper):
    """The mean of `weft.losses.kl_divergence`; the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean of `weft.losses.poisson`; the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, name, dtype)


class Hinge(MeanMetricWrapper):
    """The mean of `weft.losses.hinge`; the arguments are those of `Metric`.

    Example:
        >>> from weft.metrics import Hinge
        >>> float(Hinge()([[1.0, -1.0], [1.0, 1.0]], [[0.5, -2.0], [3.0, 0.5]]))
        0.25
    """

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean of `weft.losses.squared_hinge`; the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of `weft.losses.categorical_hinge`; the arguments are those of `Metric`."""

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(categorical_hinge, name, dtype)
