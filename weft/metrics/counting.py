"""`CountingMetric`: state and update of the metrics that follow from counts at thresholds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayLike, ArrayOp, ShapeError, give_value
from weft.losses.pairs import aligned_weights
from weft.metrics.counts import counts_at
from weft.metrics.metric import Metric

__all__ = ["CountingMetric", "check_scores", "checked_thresholds"]


def _updated(
    *operands: Any,
    owner: str,
    kinds: tuple[str, ...],
    thresholds: tuple[float, ...],
    masked: bool,
    scores: str = "any",
    top_k: int | None = None,
    class_id: int | None = None,
    per_label: bool = False,
    label_weights: tuple[float, ...] | None = None,
) -> tuple[Any, ...]:
    """The state after a batch.

    Args:
        operands: the counts, y_true, y_pred, the mask if `masked`, the weights if any.
        owner: whose update it is, for messages.
        kinds: of the counts.
        scores: what y_pred holds: "any" numbers, "probability" (clipped to [0, 1]; NaN is 0), or
            "logit" (its sigmoid is taken).
        per_label: whether the last axis is one of labels that are counted apart.
    """
    state, (y_true, y_pred, *extra) = operands[: len(kinds)], operands[len(kinds) :]
    y_true, y_pred = _matched(owner, y_true, y_pred, class_id, per_label, state[0].shape)
    y_pred = y_pred.astype(state[0].dtype)
    if scores == "logit":
        y_pred = jax.nn.sigmoid(y_pred)
    if scores != "any":
        y_pred = jnp.where(y_pred >= 0, jnp.minimum(y_pred, 1), 0)
    weights = jnp.ones((), y_pred.dtype)
    if extra[masked:]:
        given = extra[-1].astype(y_pred.dtype)
        weights = aligned_weights(given, y_pred.shape, f"{owner}: sample_weight")
    if label_weights is not None:
        weights = weights * _of_labels(owner, label_weights, y_pred)
    if masked:
        mask = aligned_weights(extra[0].astype(bool), y_pred.shape, f"{owner}: the mask")
        weights = jnp.where(mask, weights, 0)
    weights = jnp.broadcast_to(weights, y_pred.shape)
    if top_k is not None:
        y_pred = _best_only(owner, y_pred, top_k)
    if class_id is not None:
        y_true, y_pred, weights = (x[..., class_id] for x in (y_true, y_pred, weights))
    shape = (-1, y_pred.shape[-1] if per_label else 1)
    if not y_pred.size:
        return state
    added = counts_at(
        thresholds,
        y_true.astype(bool).reshape(shape),
        y_pred.reshape(shape),
        weights.reshape(shape),
        kinds,
    )
    return tuple(s + a.reshape(s.shape) for s, a in zip(state, added, strict=True))


_update = ArrayOp(_updated, "confusion_update", differentiable=False)


def _matched(
    owner: str, y_true: Any, y_pred: Any, class_id: int | None, per_label: bool, state: Any
) -> tuple[Any, Any]:
    given = f"y_true of shape {y_true.shape} and y_pred of shape {y_pred.shape}"
    if _trimmed(y_true.shape) != _trimmed(y_pred.shape):
        raise ShapeError(
            f"{owner}: {given} do not fit. They must have the same shape, last axes of size 1 "
            "aside. Integer labels beside scores of classes must be made one-hot first."
        )
    y_pred = jnp.atleast_1d(y_pred)
    if class_id is not None and not (y_pred.ndim > 1 and class_id < y_pred.shape[-1]):
        raise ShapeError(
            f"{owner}: class_id={class_id} needs y_pred of shape (batch, ..., classes) with more "
            f"than {class_id} classes, got {given}."
        )
    if per_label and (y_pred.ndim != 2 or y_pred.shape[1] != state[1]):
        raise ShapeError(
            f"{owner}: with multi_label=True and {state[1]} labels y_pred must have the shape "
            f"(batch, {state[1]}), got {given}."
        )
    return y_true.reshape(y_pred.shape), y_pred


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _of_labels(owner: str, label_weights: tuple[float, ...], y_pred: Any) -> Any:
    labels = y_pred.shape[-1] if y_pred.ndim > 1 else 1
    if len(label_weights) != labels:
        raise ShapeError(
            f"{owner}: {len(label_weights)} label_weights do not fit y_pred of shape "
            f"{y_pred.shape}, which has {labels} label(s) on its last axis."
        )
    return jnp.asarray(label_weights, y_pred.dtype)


def _best_only(owner: str, y_pred: Any, k: int) -> Any:
    """-inf for all but the k highest of the last axis; of equal ones the first count."""
    if k > y_pred.shape[-1]:
        raise ShapeError(
            f"{owner}: top_k={k} is more than the {y_pred.shape[-1]} classes of y_pred of shape "
            f"{y_pred.shape}."
        )
    best = jax.lax.top_k(y_pred, k)[1]
    kept = jnp.put_along_axis(jnp.zeros(y_pred.shape, bool), best, True, -1, inplace=False)
    return jnp.where(kept, y_pred, -jnp.inf)


class CountingMetric(Metric):
    """Base of the metrics whose state is counts at thresholds.

    Counts are float32: beyond 2²⁴ (16.8 million) examples of one kind they stop growing by ones
    (`dtype="float64"` in JAX's 64-bit mode goes further).

    Args:
        name, dtype: as in `Metric`.
        thresholds: those of the counts.
        counts: the kinds of counts and the names of their variables.
        options: keywords of every update.
    """

    def __init__(
        self,
        name: str | None,
        dtype: Any,
        thresholds: tuple[float, ...],
        counts: dict[str, str],
        **options: Any,
    ) -> None:
        super().__init__(name, dtype)
        self._thresholds = thresholds
        self._counts = counts
        self._options = {
            "owner": type(self).__name__,
            "kinds": tuple(counts),
            "thresholds": thresholds,
            **options,
        }

    @property
    def thresholds(self) -> list[float]:
        """What a prediction is compared with."""
        return list(self._thresholds)

    def _add_counts(self, *labels: int) -> None:
        for name in self._counts.values():
            variable = self.add_variable((len(self._thresholds), *labels), "zeros", name=name)
            setattr(self, name, variable)

    def _drop_counts(self) -> None:
        for name in self._counts.values():
            dropped = self.__dict__.pop(name)
            self._own = [kept for kept in self._own if kept[0] is not dropped]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            y_true: 0 (or False) for negative, anything else for positive.
            y_pred: scores, of the same shape; a Keras mask that it carries leaves places out.
            sample_weight: a number, or weights of the first axes of `y_pred`.

        Raises:
            ShapeError: the shapes do not fit; the state is as before.
        """
        mask = getattr(y_pred, "_keras_mask", None)
        extra = [x for x in (mask, sample_weight) if x is not None]
        state = [getattr(self, name) for name in self._counts.values()]
        new = _update(*state, y_true, y_pred, *extra, masked=mask is not None, **self._options)
        for variable, value in zip(state, new, strict=True):
            give_value(variable, value)


def checked_thresholds(owner: str, given: Any) -> tuple[float, ...]:
    """A number or numbers in [0, 1] as a tuple.

    Raises:
        ValueError: they are no such numbers.
    """
    try:
        found = tuple(float(t) for t in np.atleast_1d(np.asarray(given, float)))
    except (TypeError, ValueError):
        found = (np.nan,)
    if not all(0 <= t <= 1 for t in found):
        raise ValueError(
            f"{owner}: thresholds must be a number in [0, 1] or a list of them, got {given!r}."
        )
    return found


def check_scores(owner: str, y_pred: Any, hint: str = "") -> None:
    """Refuse probabilities on the host that are none; elsewhere they are clipped to [0, 1].

    Raises:
        ValueError: some are outside of [0, 1], or NaN.
    """
    if isinstance(y_pred, ArrayLike | jax.Array):
        return  # looking would wait for the device
    values = np.asarray(y_pred)
    if values.size and not (values.min() >= -1e-6 and values.max() <= 1 + 1e-6):
        raise ValueError(
            f"{owner}: y_pred must be probabilities, numbers in [0, 1], got values from "
            f"{values.min()} to {values.max()}.{hint}"
        )
