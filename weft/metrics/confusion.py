"""Binary predictions counted by right and wrong, and the ratios of two such counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import ArrayOp, Tensor
from weft.metrics.counting import CountingMetric, checked_thresholds
from weft.metrics.counts import ratio

__all__ = [
    "FalseNegatives", "FalsePositives", "Precision", "Recall", "TrueNegatives", "TruePositives",
]  # fmt: skip


def _share(part: Any, rest: Any) -> Any:
    found = ratio(part, rest)
    return found[0] if found.shape == (1,) else found


_share_op = ArrayOp(_share, "confusion_ratio")


class _Thresholded(CountingMetric):
    """Counts at thresholds of the user's choice: one number for one, an array for several."""

    def __init__(
        self,
        thresholds: Any,
        name: str | None,
        dtype: Any,
        counts: dict[str, str],
        **options: Any,
    ) -> None:
        if isinstance(thresholds, tuple | np.ndarray):
            thresholds = np.asarray(thresholds).tolist()
        self.init_thresholds = thresholds
        # Among the k highest alone there is no threshold; what is not among them is at -inf.
        default = 0.5 if options.get("top_k") is None else None
        thresholds = default if thresholds is None else thresholds
        owner = type(self).__name__
        found = (-np.inf,) if thresholds is None else checked_thresholds(owner, thresholds)
        if not found:
            raise ValueError(f"{owner}: thresholds is empty: give one number at least, or None.")
        super().__init__(name, dtype, found, counts, **options)
        self._add_counts()

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _Count(_Thresholded):
    _kind: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name, dtype, {self._kind: "accumulator"})

    def result(self) -> Tensor:
        """The count: a scalar, or shape (thresholds,) for several."""
        several = len(self._thresholds) > 1
        return self.accumulator if several else self.accumulator[0]


class TruePositives(_Count):
    """Σ weights of the positives with y_pred > threshold.

    Args:
        thresholds: a number in [0, 1] or a list of them; 0.5 by default. With logits use 0.
        name: "true_positives", "true_positives_1", ... by default.
        dtype: as in `Metric`.

    Raises:
        ValueError: a threshold outside of [0, 1].

    Example:
        >>> from weft.metrics import TruePositives
        >>> metric = TruePositives(thresholds=[0.2, 0.7])
        >>> metric([1, 1, 0], [0.9, 0.4, 0.8]).tolist()
        [2.0, 1.0]
    """

    _kind = "true_positives"


class TrueNegatives(_Count):
    """Σ weights of the negatives with y_pred ≤ threshold; arguments as in `TruePositives`.

    Example:
        >>> from weft.metrics import TrueNegatives
        >>> float(TrueNegatives()([1, 0, 0], [0.9, 0.4, 0.8]))
        1.0
    """

    _kind = "true_negatives"


class FalsePositives(_Count):
    """Σ weights of the negatives with y_pred > threshold; arguments as in `TruePositives`.

    Example:
        >>> from weft.metrics import FalsePositives
        >>> float(FalsePositives()([1, 0, 0], [0.9, 0.4, 0.8], sample_weight=[1, 1, 3]))
        3.0
    """

    _kind = "false_positives"


class FalseNegatives(_Count):
    """Σ weights of the positives with y_pred ≤ threshold; arguments as in `TruePositives`.

    Example:
        >>> from weft.metrics import FalseNegatives
        >>> float(FalseNegatives()([1, 1, 0], [0.9, 0.4, 0.8]))
        1.0
    """

    _kind = "false_negatives"


class _Share(_Thresholded):
    """true positives / (true positives + another count)."""

    _rest: str

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if top_k is not None and top_k < 1:
            raise ValueError(f"{type(self).__name__}: top_k must be 1 or more, got {top_k}.")
        if class_id is not None and class_id < 0:
            raise ValueError(f"{type(self).__name__}: class_id must be 0 or more, got {class_id}.")
        counts = {kind: kind for kind in ("true_positives", self._rest)}
        super().__init__(thresholds, name, dtype, counts, top_k=top_k, class_id=class_id)
        self.top_k = top_k
        self.class_id = class_id

    def result(self) -> Tensor:
        """The share, 0 where nothing counts: a scalar, or shape (thresholds,) for several."""
        return _share_op(self.true_positives, getattr(self, self._rest))

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """TP / (TP + FP): how many of the predicted positives are positive.

    Args:
        thresholds: what y_pred must exceed to count as positive: a number in [0, 1] or a list of
            them; 0.5 by default. With logits use 0.
        top_k: only the k highest predictions of the last axis are positive; without thresholds
            all of these are.
        class_id: the one class, an index of the last axis, that is looked at.
        name: "precision", "precision_1", ... by default.
        dtype: as in `Metric`.

    Raises:
        ValueError: a threshold outside of [0, 1], top_k below 1, class_id below 0; in an update
            top_k above the number of classes, or class_id not below it.

    Example:
        >>> from weft.metrics import Precision
        >>> float(Precision()([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.7], sample_weight=[2, 1, 1, 1]))
        0.5
        >>> float(Precision(top_k=2)([[1, 0, 1]], [[0.2, 0.3, 0.4]]))
        0.5
    """

    _rest = "false_positives"


class Recall(_Share):
    """TP / (TP + FN): how many of the positives are predicted so; arguments as in `Precision`.

    Example:
        >>> from weft.metrics import Recall
        >>> metric = Recall(class_id=1)
        >>> float(metric([[1, 0], [0, 1], [0, 1]], [[0.9, 0.8], [0.2, 0.7], [0.6, 0.4]]))
        0.5
    """

    _rest = "false_negatives"
