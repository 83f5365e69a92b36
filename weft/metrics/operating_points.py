"""The best of one rate that a threshold can give while it keeps another one up."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, Tensor
from weft.metrics.counting import CountingMetric, check_scores
from weft.metrics.counts import KINDS, ratio

__all__ = [
    "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
]  # fmt: skip

# Each rate as a part and the rest of its whole.
_RATES = {
    "precision": ("true_positives", "false_positives"),
    "recall": ("true_positives", "false_negatives"),
    "sensitivity": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
}


def _best(value: Any, *counts: Any, kept: str, wanted: str) -> Any:
    by_kind = dict(zip(KINDS, counts, strict=True))
    rates = {name: ratio(*(by_kind[kind] for kind in _RATES[name])) for name in (kept, wanted)}
    return jnp.max(jnp.where(rates[kept] >= value, rates[wanted], 0))


_best_op = ArrayOp(_best, "operating_point")


@functools.cache
def _grid(size: int) -> tuple[float, ...]:
    return (0.5,) if size == 1 else tuple(i / (size - 1) for i in range(size))


class _AtRate(CountingMetric):
    """The largest `_wanted` rate over the thresholds at which the `_kept` rate is ≥ a value."""

    _kept: str
    _wanted: str

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: Any, dtype: Any
    ) -> None:
        owner = type(self).__name__
        if not 0 <= value <= 1:
            raise ValueError(f"{owner}: {self._kept} must be in [0, 1], got {value!r}.")
        if not isinstance(num_thresholds, int | np.integer) or num_thresholds < 1:
            raise ValueError(
                f"{owner}: num_thresholds must be an integer, 1 or more, got {num_thresholds!r}."
            )
        if class_id is not None and class_id < 0:
            raise ValueError(f"{owner}: class_id must be 0 or more, got {class_id}.")
        super().__init__(
            name,
            dtype,
            _grid(num_thresholds),
            {kind: kind for kind in KINDS},
            class_id=class_id,
            scores="probability",
        )
        setattr(self, self._kept, value)
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self._add_counts()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            y_true: 0 (or False) for negative, anything else for positive.
            y_pred: probabilities, of the same shape; a Keras mask that it carries leaves places
                out. On the device they are clipped to [0, 1].
            sample_weight: a number, or weights of the first axes of `y_pred`.

        Raises:
            ValueError: NumPy predictions outside of [0, 1]; the state is as before, as below.
            ShapeError: the shapes do not fit, or class_id is not below the number of classes.
        """
        check_scores(type(self).__name__, y_pred, " Take the sigmoid of logits first.")
        super().update_state(y_true, y_pred, sample_weight)

    def result(self) -> Tensor:
        """The rate, a scalar; 0 if no threshold keeps the other one up."""
        counts = [getattr(self, kind) for kind in KINDS]
        return _best_op(self.value, *counts, kept=self._kept, wanted=self._wanted)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "class_id": self.class_id,
            self._kept: self.value,
        }


class PrecisionAtRecall(_AtRate):
    """The best precision TP/(TP + FP) where the recall TP/(TP + FN) is at least `recall`.

    Args:
        recall: in [0, 1].
        num_thresholds: how many thresholds, even over [0, 1] with both ends, are looked at.
        class_id: the one class, an index of the last axis, that is looked at.
        name: "precision_at_recall", "precision_at_recall_1", ... by default.
        dtype: as in `Metric`.

    Raises:
        ValueError: `recall` outside of [0, 1], num_thresholds below 1, class_id below 0.

    Example:
        >>> from weft.metrics import PrecisionAtRecall
        >>> float(PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    _kept, _wanted = "recall", "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_AtRate):
    """The best recall where the precision is at least `precision`; as `PrecisionAtRecall`.

    Example:
        >>> from weft.metrics import RecallAtPrecision
        >>> float(RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.5
    """

    _kept, _wanted = "precision", "recall"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)


class SensitivityAtSpecificity(_AtRate):
    """The best sensitivity TP/(TP + FN) where the specificity TN/(TN + FP) is at least a value.

    Args:
        specificity: that value, in [0, 1].
        num_thresholds, class_id, name, dtype: as in `PrecisionAtRecall`.

    Raises:
        ValueError: as in `PrecisionAtRecall`.

    Example:
        >>> from weft.metrics import SensitivityAtSpecificity
        >>> float(SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    _kept, _wanted = "specificity", "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_AtRate):
    """The best specificity where the sensitivity is at least `sensitivity`; as its counterpart.

    Example:
        >>> from weft.metrics import SpecificityAtSensitivity
        >>> metric = SpecificityAtSensitivity(0.5)
        >>> round(float(metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])), 3)
        0.667
    """

    _kept, _wanted = "sensitivity", "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
