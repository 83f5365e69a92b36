"""Intersection over union: how well the places of each class are met, from a confusion matrix.

The matrix counts, with weights, the places of each true class (rows) by their predicted class
(columns). A batch is added to it by one scatter: memory is O(places + classes²).
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayLike, ArrayOp, ShapeError, Tensor, give_value
from weft.losses.pairs import aligned_weights, wide
from weft.metrics.metric import Metric

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


def _labels(owner: str, what: str, x: Any, sparse: bool, axis: int) -> Any:
    if sparse:
        return x
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"{owner}: {what} of shape {x.shape} has no axis {axis} of classes; integer labels "
            f"need sparse_{what}=True."
        )
    return jnp.argmax(x, axis)


def _matched(owner: str, y_true: Any, y_pred: Any, given: tuple[Any, Any]) -> tuple[Any, Any]:
    """Labels of one shape; a last axis of size 1 may be missing from one of them."""
    if y_true.shape == (*y_pred.shape, 1):
        y_true = y_true[..., 0]
    if y_pred.shape == (*y_true.shape, 1):
        y_pred = y_pred[..., 0]
    if y_true.shape != y_pred.shape:
        cause = ""
        for what, more, less in (("y_true", y_true, y_pred), ("y_pred", y_pred, y_true)):
            if more.ndim > less.ndim:
                cause = (
                    f" If {what} is one-hot or holds scores of the classes, say "
                    f"sparse_{what}=False."
                )
        raise ShapeError(
            f"{owner}: y_true of shape {given[0]} and y_pred of shape {given[1]} do not fit: one "
            f"label is expected for each place, but they are of shapes {y_true.shape} and "
            f"{y_pred.shape}.{cause}"
        )
    return y_true, y_pred


def _confusion(
    matrix: Any,
    y_true: Any,
    y_pred: Any,
    *extra: Any,
    owner: str,
    masked: bool,
    sparse_y_true: bool,
    sparse_y_pred: bool,
    axis: int,
    ignore_class: int | None,
    threshold: float | None,
) -> Any:
    """The matrix with a batch added; `extra` is the mask if `masked`, and the weights if any."""
    given = (y_true.shape, y_pred.shape)
    if threshold is not None:
        y_pred = wide(y_pred) >= threshold
    y_true = _labels(owner, "y_true", y_true, sparse_y_true, axis)
    y_pred = _labels(owner, "y_pred", y_pred, sparse_y_pred, axis)
    y_true, y_pred = _matched(owner, y_true, y_pred, given)
    classes = len(matrix)
    counted = jnp.ones(y_true.shape, bool)
    for x in (y_true, y_pred):
        if x.dtype != bool:
            counted &= (x >= 0) & (x < classes)  # so a NaN is not
    y_true, y_pred = y_true.astype(jnp.int32), y_pred.astype(jnp.int32)
    if ignore_class is not None:
        counted &= y_true != ignore_class
    if masked:
        counted &= aligned_weights(extra[0].astype(bool), y_true.shape, f"{owner}: the mask")
    weights = extra[-1] if extra[masked:] else jnp.ones((), matrix.dtype)
    weights = aligned_weights(weights.astype(matrix.dtype), y_true.shape, f"{owner}: sample_weight")
    weights = jnp.broadcast_to(weights, y_true.shape)
    place = jnp.where(counted, y_true * classes + y_pred, classes * classes)  # beyond: dropped
    return matrix.ravel().at[place.ravel()].add(weights.ravel(), mode="drop").reshape(matrix.shape)


def _mean_iou(matrix: Any, *, ids: tuple[int, ...] | None) -> Any:
    matrix = wide(matrix)
    both = jnp.diagonal(matrix)
    either = matrix.sum(0) + matrix.sum(1) - both
    if ids is not None:
        both, either = both[jnp.asarray(ids)], either[jnp.asarray(ids)]
    seen = either != 0
    shares = jnp.where(seen, both / jnp.where(seen, either, 1), 0)
    return shares.sum() / jnp.maximum(seen.sum(), 1)


_update = ArrayOp(_confusion, "confusion_matrix_update", differentiable=False)
_result = ArrayOp(_mean_iou, "mean_iou_result")


class IoU(Metric):
    """Intersection over union of some classes, averaged:

        IoU(c) = TP(c) / (TP(c) + FP(c) + FN(c)),

    the places where class c is both true and predicted, by those where it is either. Of the
    classes asked for, those that are neither true nor predicted anywhere do not count.

    Args:
        num_classes: C ≥ 2.
        target_class_ids: the classes that are averaged, within 0 to C - 1.
        name: "io_u", "io_u_1", ... by default: the class's name, numbered.
        dtype: of the confusion matrix; int32 by default, which counts up to 2³¹ places exactly.
            For weights that are not whole numbers give "float32".
        ignore_class: a label of y_true, among the classes or not, whose places are left out.
        sparse_y_true, sparse_y_pred: whether the values are labels; where not, they are one-hot or
            scores, and the highest along `axis` is the label.
        axis: of the classes, in what is not sparse.

    Raises:
        ValueError: fewer than two classes, or target classes that are none of them.

    Example:
        >>> from weft.metrics import IoU
        >>> metric = IoU(num_classes=2, target_class_ids=[0])
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(float(metric.result()), 4)
        0.3333

    Reference: Everingham et al., The PASCAL Visual Object Classes Challenge (2010), section 4.1.3.
    """

    _keys: tuple[str, ...] = (
        "num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis",
    )  # fmt: skip
    threshold: float | None = None  # from which on a score is class 1

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name, "int32" if dtype is None else dtype)
        owner = type(self).__name__
        self.num_classes = _whole(owner, "num_classes", num_classes)
        if self.num_classes < 2:
            raise ValueError(f"{owner}: num_classes must be 2 or more, got {num_classes}.")
        self.target_class_ids = _class_ids(owner, target_class_ids, self.num_classes)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (self.num_classes, self.num_classes), "zeros", name="total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            y_true: labels, shape (batch, ...) or (batch, ..., 1), or as `sparse_y_true` says.
            y_pred: as many labels, or as `sparse_y_pred` says; a Keras mask that it carries
                leaves places out.
            sample_weight: a number, or weights of the first axes of the labels; 0 leaves out.

        Raises:
            ShapeError: the shapes do not fit; the state is as before.
            ValueError: without weights, a label on the host that is none of the classes nor
                `ignore_class` (elsewhere, and beside weights, such places are left out); or weights
                on the host that are not whole where the state is.
        """
        self._check(y_true, y_pred, sample_weight)
        mask = getattr(y_pred, "_keras_mask", None)
        extra = [x for x in (mask, sample_weight) if x is not None]
        matrix = _update(
            self.total_cm,
            y_true,
            y_pred,
            *extra,
            owner=type(self).__name__,
            masked=mask is not None,
            sparse_y_true=self.sparse_y_true,
            sparse_y_pred=self.sparse_y_pred,
            axis=self.axis,
            ignore_class=self.ignore_class,
            threshold=self.threshold,
        )
        give_value(self.total_cm, matrix)

    def _check(self, y_true: Any, y_pred: Any, sample_weight: Any) -> None:
        owner = type(self).__name__
        if sample_weight is not None:
            kind = self.total_cm.dtype
            if np.issubdtype(np.dtype(kind), np.integer):
                _check_whole(owner, sample_weight, kind)
            return
        if self.sparse_y_true:
            _check_labels(owner, "y_true", y_true, self.num_classes, self.ignore_class)
        if self.sparse_y_pred and self.threshold is None:
            _check_labels(owner, "y_pred", y_pred, self.num_classes, None)

    def result(self) -> Tensor:
        """The mean over the classes asked for; 0 before anything was added."""
        ids = None if self.target_class_ids is None else tuple(self.target_class_ids)
        return _result(self.total_cm, ids=ids)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric."""
        return {**super().get_config(), **{key: getattr(self, key) for key in self._keys}}


class BinaryIoU(IoU):
    """Intersection over union of the classes 0 and 1, or of one of them, for scores.

    Args:
        target_class_ids: [0], [1] or [0, 1].
        threshold: scores from here on are class 1; for logits, give 0.
        name, dtype: as in `IoU`.

    Raises:
        ValueError: target classes other than 0 and 1.

    Example:
        >>> from weft.metrics import BinaryIoU
        >>> metric = BinaryIoU(threshold=0.3)
        >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
        0.3333
    """

    _keys = ("target_class_ids", "threshold")

    def __init__(
        self,
        target_class_ids: Iterable[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold


class MeanIoU(IoU):
    """Intersection over union, averaged over all classes that occur.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: as in `IoU`.

    Raises:
        ValueError: fewer than two classes.

    Example:
        >>> from weft.metrics import MeanIoU
        >>> metric = MeanIoU(num_classes=2, dtype="float32")
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=[0.3, 0.3, 0.3, 0.1])
        >>> round(float(metric.result()), 4)
        0.2381
    """

    _keys: tuple[str, ...] = (
        "num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis",
    )  # fmt: skip

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        ids = range(_whole(type(self).__name__, "num_classes", num_classes))
        super().__init__(
            num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


class OneHotIoU(IoU):
    """`IoU` of one-hot targets; predictions are scores unless `sparse_y_pred`.

    Args:
        num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred, axis: as in `IoU`.

    Raises:
        ValueError: as in `IoU`.

    Example:
        >>> from weft.metrics import OneHotIoU
        >>> metric = OneHotIoU(num_classes=3, target_class_ids=[0, 2])
        >>> float(metric([[0, 0, 1], [1, 0, 0]], [[0.2, 0.3, 0.5], [0.1, 0.2, 0.7]]))
        0.25
    """

    _keys = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Iterable[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets; predictions are scores unless `sparse_y_pred`.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_pred, axis: as in `IoU`.

    Raises:
        ValueError: fewer than two classes.
    """

    _keys = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


# -- what is refused -----------------------------------------------------------------------


def _whole(owner: str, what: str, given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise TypeError(f"{owner}: {what} must be an int, got {given!r}.") from None


def _class_ids(owner: str, given: Iterable[int], classes: int) -> list[int]:
    if isinstance(given, int | str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{owner}: target_class_ids must be a list of ints, got {given!r}.")
    ids = [_whole(owner, "each of target_class_ids", k) for k in given]
    if not ids or not all(0 <= k < classes for k in ids):
        raise ValueError(
            f"{owner}: target_class_ids must name some of the classes 0 to {classes - 1}, got "
            f"{ids}."
        )
    return ids


def _on_host(x: Any) -> np.ndarray[Any, Any] | None:
    """The values, where looking at them does not wait for a device."""
    x = getattr(x, "_value", None) if isinstance(x, ArrayLike) else x
    return np.asarray(x) if isinstance(x, np.ndarray | list | tuple | int | float) else None


def _check_labels(owner: str, what: str, given: Any, classes: int, ignored: int | None) -> None:
    labels = _on_host(given)
    if labels is None or labels.dtype.kind not in "iuf":
        return
    if ignored is not None:
        labels = labels[labels != ignored]
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        hint = " Pass the label of what is to be left out as ignore_class." * (what == "y_true")
        raise ValueError(
            f"{owner}: the labels of {what} run from {labels.min()} to {labels.max()}, but there "
            f"are {classes} classes, so they must be within 0 to {classes - 1}.{hint}"
        )


def _check_whole(owner: str, weights: Any, kind: str) -> None:
    """Weights that are cut off to whole numbers are refused, or, unseen, warned of."""
    mend = f"Make the metric with dtype='float32', as in {owner}(..., dtype='float32')."
    known = _on_host(weights)
    if known is not None and not (known == np.floor(known)).all():
        raise ValueError(
            f"{owner}: sample_weight has values that are not whole numbers, but the confusion "
            f"matrix is {kind}, which would cut them off. {mend}"
        )
    dtype = str(getattr(weights, "dtype", "int32"))
    if known is None and "float" in dtype:
        warnings.warn(
            f"{owner}: sample_weight is {dtype}, but the confusion matrix is {kind}: weights are "
            f"cut off to whole numbers. {mend}",
            stacklevel=3,
        )
