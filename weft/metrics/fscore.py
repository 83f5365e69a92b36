"""F scores: the harmonic mean of precision and recall, of each class or averaged."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor, as_tensor
from weft.engine.names import near
from weft.losses.options import POSITIVE, Rule, check_options
from weft.metrics.tables import TableMetric

__all__ = ["F1Score", "FBetaScore"]

_AVERAGES = ("micro", "macro", "weighted")
_SHARE = Rule(lambda x: 0 < x <= 1, "above 0 and at most 1 (of logits take the sigmoid)")
_NOTHING = 1e-9  # a row of scores whose highest is no further from 0 predicts no class


def _score(tp: Any, fp: Any, fn: Any, support: Any, *, beta: float, average: str | None) -> Any:
    # The harmonic mean of TP/(TP + FP) and TP/(TP + FN), with its fractions cleared.
    square = beta * beta
    whole = (1 + square) * tp + square * fn + fp
    score = jnp.where(whole == 0, 0, (1 + square) * tp / jnp.where(whole == 0, 1, whole))
    if average == "macro":
        return score.mean()
    if average == "weighted":
        total = support.sum()
        return (score * support).sum() / jnp.where(total == 0, 1, total)
    return score


_result = ArrayOp(_score, "f_score_result")


class FBetaScore(TableMetric):
    """The weighted harmonic mean of precision and recall:

        F(β) = (1 + β²)·P·R / (β²·P + R) = (1 + β²)·TP / ((1 + β²)·TP + β²·FN + FP),

    for classes that exclude each other (the highest score is chosen) or multi-label (with a
    threshold). 0 where nothing is true or predicted.

    Args:
        average: None gives each class's score, shape (classes,); "macro" their mean; "weighted"
            their mean weighted by how often each is true; "micro" that of all classes' counts
            together.
        beta: β > 0: how many times recall counts more than precision.
        threshold: in (0, 1]; scores above it are chosen. None chooses each row's highest (all of
            them where several are; none where all scores are 0).
        name, dtype: as in `Metric`.

    Raises:
        ValueError: an unknown average, or numbers outside of their ranges.

    Example:
        >>> from weft.metrics import FBetaScore
        >>> metric = FBetaScore(average="micro", beta=2.0, threshold=0.5)
        >>> metric.update_state([[1, 1, 0], [1, 0, 0]], [[0.2, 0.6, 0.7], [0.9, 0.6, 0.1]])
        >>> round(float(metric.result()), 4)
        0.625

    Reference: van Rijsbergen, Information Retrieval (1979), chapter 7; Chinchor, MUC-4 Evaluation
    Metrics (1992).
    """

    _sums = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        owner = type(self).__name__
        if average is not None and average not in _AVERAGES:
            raise ValueError(
                f"{owner}: average must be None, 'micro', 'macro' or 'weighted', got {average!r}. "
                f"{near(average, _AVERAGES)}"
            )
        check_options(owner, {"beta": POSITIVE}, {"beta": beta})
        if threshold is not None:
            check_options(owner, {"threshold": _SHARE}, {"threshold": threshold})
        self.average, self.beta = average, float(beta)
        self.threshold = None if threshold is None else float(threshold)
        super().__init__(name, dtype, threshold=self.threshold)
        self._one_sum = average == "micro"

    @staticmethod
    def _add(y_true: Any, y_pred: Any, weights: Any, threshold: float | None) -> tuple[Any, ...]:
        if threshold is None:
            best = y_pred.max(-1, keepdims=True)
            chosen = (y_pred == best) & (jnp.abs(best) > _NOTHING)
        else:
            chosen = y_pred > threshold
        true, false = y_true * weights, (1 - y_true) * weights
        positive, wrong = jnp.where(chosen, true, 0), jnp.where(chosen, false, 0)
        return positive, wrong, true - positive, true

    def result(self) -> Tensor:
        """The score: shape (classes,) if `average` is None, else a scalar; 0 before anything."""
        if not self.built:
            return as_tensor(0.0)
        return _result(*self._state(), beta=self.beta, average=self.average)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        more = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **more}


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: `FBetaScore` with β = 1.

    Args:
        average, threshold, name, dtype: as in `FBetaScore`.

    Raises:
        ValueError: as in `FBetaScore`.

    Example:
        >>> from weft.metrics import F1Score
        >>> metric = F1Score(threshold=0.5)
        >>> metric.update_state([[1, 1], [1, 0]], [[0.2, 0.6], [0.9, 0.1]])
        >>> [round(x, 4) for x in metric.result().tolist()]
        [0.6667, 1.0]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        config = super().get_config()
        del config["beta"]
        return config
