"""`AUC`: the area under a curve of rates that a sweep of the threshold draws."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, Tensor, as_tensor
from weft.engine.names import near
from weft.metrics.counting import CountingMetric, check_scores, checked_thresholds
from weft.metrics.counts import KINDS, quotient, ratio

__all__ = ["AUC"]

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "minoring", "majoring")
_EPSILON = 1e-7  # the ends are that far outside, so that 0 is above the one and 1 below the other


@functools.cache
def _even(size: int) -> tuple[float, ...]:
    return _with_ends(tuple(i / (size - 1) for i in range(1, size - 1)))


def _with_ends(inner: tuple[float, ...]) -> tuple[float, ...]:
    return (-_EPSILON, *inner, 1 + _EPSILON)


def _area(*counts: Any, curve: str, method: str, label_weights: tuple[float, ...] | None) -> Any:
    """The area of counts (thresholds, ...), the mean over labels where these are an axis."""
    tp, fp, tn, fn = counts
    if curve == "PR" and method == "interpolation":
        areas = _interpolated_precision(tp, fp, fn)
    else:
        x, y = _points(curve, tp, fp, tn, fn)
        left, right = y[:-1], y[1:]
        heights = {
            "interpolation": lambda: (left + right) / 2,
            "minoring": lambda: jnp.minimum(left, right),
            "majoring": lambda: jnp.maximum(left, right),
        }[method]()
        areas = jnp.sum((x[:-1] - x[1:]) * heights, axis=0)
    if areas.ndim == 0 or label_weights is None:
        return jnp.mean(areas)
    weights = jnp.asarray(label_weights, areas.dtype)
    return quotient(jnp.sum(areas * weights), jnp.sum(weights))


def _points(curve: str, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
    """The curve's points, x falling as the threshold rises."""
    if curve == "ROC":
        return ratio(fp, tn), ratio(tp, fn)
    if curve == "PR":
        return ratio(tp, fn), ratio(tp, fp)
    odds = quotient(tp + fn, fp + tn)
    recall_gain = jnp.where(tp > 0, jnp.maximum(1 - odds * quotient(fn, tp), 0), 0)
    return recall_gain, 1 - odds * quotient(fp, tp)


def _interpolated_precision(tp: Any, fp: Any, fn: Any) -> Any:
    """Σ over neighbouring thresholds of ∫ TP/P dTP / (TP + FN), where P = TP + FP.

    TP is linear in P between them, TP = s·P + c, so that the integral is s·(ΔTP + c·ln(P₁/P₀)).
    """
    p = tp + fp
    slope = quotient(tp[:-1] - tp[1:], p[:-1] - p[1:])
    offset = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    growth = jnp.where(both, jnp.log(jnp.where(both, p[:-1], 1) / jnp.where(both, p[1:], 1)), 0)
    pieces = slope * (tp[:-1] - tp[1:] + offset * growth)
    return jnp.sum(quotient(pieces, tp[1:] + fn[1:]), axis=0)


_area_op = ArrayOp(_area, "auc")


class AUC(CountingMetric):
    """The area under the ROC, precision-recall or precision-recall-gain curve.

    The curve is drawn through the points of T thresholds: ROC is TP/(TP + FN) over FP/(FP + TN), PR
    is TP/(TP + FP) over TP/(TP + FN), PRGAIN is 1 - r·FP/TP over max(0, 1 - r·FN/TP), where r is
    positives/negatives (1 over 0 where TP = 0). Updates take time and memory O(predictions + T).

    Args:
        num_thresholds: T, 2 or more: even over [0, 1], the ends 1e-7 outside.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: the height between two points: "interpolation" is the mean of theirs (for
            PR the counts are interpolated instead, ref. 1), "minoring" the lower, "majoring" the
            higher.
        name: "auc", "auc_1", ... by default.
        dtype: as in `Metric`.
        thresholds: numbers in [0, 1] instead of num_thresholds; the two ends are added.
        multi_label: whether y_pred is (batch, labels) and the areas of the labels are averaged;
            otherwise all axes are one.
        num_labels: their number with multi_label; that of the first batch by default.
        label_weights: a number ≥ 0 for each label: weighs the areas with multi_label, else the
            predictions.
        from_logits: whether y_pred holds logits.

    Raises:
        ValueError: an unknown curve or method, num_thresholds below 2, thresholds outside of
            [0, 1], num_labels without multi_label, label_weights negative or not num_labels.

    Example:
        >>> from weft.metrics import AUC
        >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.75

    Predictions are compared strictly (p > t); Keras's even thresholds are, by rounding, below some
    p = t.

    References: 1. Davis and Goadrich, "The Relationship Between Precision-Recall and ROC Curves",
    2006, section 4. 2. Flach and Kull, "Precision-Recall-Gain Curves", 2015, equation 2.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        owner = type(self).__name__
        self.curve = _chosen(owner, "curve", curve, _CURVES)
        self.summation_method = _chosen(owner, "summation_method", summation_method, _METHODS)
        if thresholds is not None:
            grid = _with_ends(tuple(sorted(checked_thresholds(owner, thresholds))))
        elif not isinstance(num_thresholds, int | np.integer) or num_thresholds < 2:
            raise ValueError(
                f"{owner}: num_thresholds must be an integer, 2 or more, got {num_thresholds!r}."
            )
        else:
            grid = _even(num_thresholds)
        if num_labels is not None and not multi_label:
            raise ValueError(f"{owner}: num_labels={num_labels} goes with multi_label=True.")
        weights = None if label_weights is None else _checked_weights(owner, label_weights)
        super().__init__(
            name,
            dtype,
            grid,
            {kind: kind for kind in KINDS},
            scores="logit" if from_logits else "probability",
            per_label=bool(multi_label),
            label_weights=None if multi_label else weights,
        )
        self.num_thresholds = len(grid)
        self.multi_label = bool(multi_label)
        self.num_labels = num_labels
        self.label_weights = None if weights is None else list(weights)
        self._from_logits = from_logits
        self._init_from_thresholds = thresholds is not None
        self._drawn = {
            "curve": self.curve,
            "method": self.summation_method,
            "label_weights": weights if multi_label else None,
        }
        self.built = False
        if not multi_label:
            self._build()
        elif num_labels is not None:
            self._build(num_labels)

    def _build(self, *labels: int) -> None:
        weights = self.label_weights
        if labels and weights is not None and len(weights) != labels[0]:
            raise ValueError(
                f"{type(self).__name__}: {len(weights)} label_weights for {labels[0]} labels."
            )
        self._add_counts(*labels)
        self.built = True

    def _build_as(self, other: Any) -> None:
        self._build(*other.true_positives.shape[1:])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            y_true: 0 (or False) for negative, anything else for positive.
            y_pred: probabilities (clipped to [0, 1] on the device) or logits, of the same shape; a
                Keras mask that it carries leaves places out.
            sample_weight: a number, or weights of the first axes of `y_pred`.

        Raises:
            ValueError: NumPy probabilities outside of [0, 1]; the state is as before, as below.
            ShapeError: the shapes do not fit.
        """
        owner = type(self).__name__
        if not self._from_logits:
            check_scores(owner, y_pred, " Give AUC from_logits=True if they are logits.")
        if self.built:
            super().update_state(y_true, y_pred, sample_weight)
            return
        shape = as_tensor(y_pred).shape
        if len(shape) != 2:
            raise ValueError(
                f"{owner}: with multi_label=True y_pred must have the shape (batch, labels), got "
                f"{tuple(shape)}."
            )
        self._build(shape[1])
        try:
            super().update_state(y_true, y_pred, sample_weight)
        except Exception:  # a batch that is refused says nothing of the labels
            self._drop_counts()
            self.built = False
            raise

    def result(self) -> Tensor:
        """The area, a scalar; 0 before anything was added."""
        if not self.built:
            return as_tensor(np.zeros((), self.dtype))
        return _area_op(*(getattr(self, kind) for kind in KINDS), **self._drawn)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self._from_logits,
        }
        if self._init_from_thresholds:
            config["thresholds"] = self.thresholds[1:-1]
        return config


def _chosen(owner: str, what: str, given: Any, known: tuple[str, ...]) -> str:
    name = str(getattr(given, "value", given))
    for option in known:
        if name.lower() == option.lower():
            return option
    raise ValueError(f"{owner}: unknown {what} {given!r}. {near(name, known)}")


def _checked_weights(owner: str, given: Any) -> tuple[float, ...]:
    found = tuple(float(w) for w in np.asarray(given).ravel())
    if not all(w >= 0 for w in found):
        raise ValueError(f"{owner}: label_weights must be numbers ≥ 0, got {list(found)}.")
    return found
