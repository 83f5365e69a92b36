"""Integer labels of classes: where they belong, which ones count, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, KerasTensor, ShapeError, Tensor, as_tensor
from weft.losses.pairs import aligned_weights, wide

__all__ = ["at_labels", "check_labels", "counted_labels", "host_checked", "known_only"]


def _without(shape: tuple[int, ...], axis: int, *instead: int) -> tuple[int, ...]:
    """A shape without the axis of classes, or with another size there."""
    axis %= max(len(shape), 1)
    return (*shape[:axis], *instead, *shape[axis + 1 :])


def at_labels(
    name: str, y_true: Any, y_pred: Any, axis: int = -1, ignore_class: int | None = None
) -> tuple[Any, Any, Any, Any]:
    """Predictions at least in float32, the label of each place, and which are known and ignored.

    Args:
        name: of the loss, for messages.
        y_true: labels, of y_pred's shape without `axis`, or with size 1 there.
        y_pred: with an axis of classes.
        axis, ignore_class: as in `sparse_categorical_crossentropy`.

    Returns:
        y_pred; the labels, 0 for those outside the classes; whether each is one of the classes;
        whether each is to be ignored.

    Raises:
        ShapeError: the shapes do not fit.
    """
    y_pred = wide(y_pred)
    if not -y_pred.ndim <= axis < y_pred.ndim:
        raise ShapeError(f"{name}: y_pred of shape {y_pred.shape} has no axis {axis}.")
    kept = _without(y_pred.shape, axis)
    if y_true.shape != kept and y_true.shape != _without(y_pred.shape, axis, 1):
        raise ShapeError(
            f"{name}: y_true of shape {y_true.shape} does not fit y_pred of shape {y_pred.shape}: "
            f"labels of shape {kept} are expected, one for each place. One-hot targets go with "
            "categorical_crossentropy."
        )
    labels = y_true.reshape(kept)
    ignored = jnp.zeros(kept, bool) if ignore_class is None else labels == ignore_class
    known = (labels >= 0) & (labels < y_pred.shape[axis])  # so a NaN is not
    return y_pred, jnp.where(known, labels, 0), known, ignored


def known_only(losses: Any, known: Any, ignored: Any) -> Any:
    """Losses in which an unknown label's is NaN and an ignored one's 0.

    NaN is a factor on the loss, so that an unknown label's gradient is NaN as well.
    """
    losses = losses * jnp.where(known | ignored, 1.0, jnp.nan).astype(losses.dtype)
    return jnp.where(ignored, 0.0, losses)


def _counted(y_true: Any, y_pred: Any, *mask: Any, ignore_class: int, axis: int) -> Any:
    counted = y_true.reshape(_without(y_pred.shape, axis)) != ignore_class
    return counted & (aligned_weights(mask[0], counted.shape, "the mask") != 0) if mask else counted


_counted_op = ArrayOp(_counted, "counted_labels")


def counted_labels(
    y_true: Any, y_pred: Any, mask: Any, ignore_class: int | None, axis: int, **_: Any
) -> Any:
    """The places that the prediction's own mask and `ignore_class` leave in; None: all."""
    if ignore_class is None:
        return mask
    own = () if mask is None else (mask,)
    return _counted_op(y_true, y_pred, *own, ignore_class=ignore_class, axis=axis)


def host_checked(check: Any, y_true: Any, y_pred: Any, **options: Any) -> tuple[Any, Any]:
    """Both as things with a shape, `check`ed where the labels are on the host.

    On the device they are not looked at, as that would mean waiting for them, and symbolic ones
    have no values.
    """
    if KerasTensor in (type(y_true), type(y_pred)):
        return y_true, y_pred
    if y_true.__class__ is not Tensor:
        y_true = as_tensor(y_true)
    if not hasattr(y_pred, "shape"):
        y_pred = as_tensor(y_pred)
    if isinstance(y_true._value, np.ndarray) and len(y_pred.shape):
        check(y_true._value, tuple(y_pred.shape), **options)
    return y_true, y_pred


def check_labels(
    labels: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    ignore_class: int | None = None,
    axis: int = -1,
    name: str = "sparse_categorical_crossentropy",
    **_: Any,
) -> None:
    """Refuse labels outside the classes of predictions of `shape`.

    Raises:
        ValueError: names the range of the labels, and what it must be.
    """
    if ignore_class is not None:
        labels = labels[labels != ignore_class]
    if not labels.size or labels.ndim > len(shape) or not -len(shape) <= axis < len(shape):
        return
    left_out = ""
    if name == "sparse_categorical_crossentropy":
        left_out = ", or pass the label of what is to be left out as ignore_class"
    low, high, classes = labels.min(), labels.max(), shape[axis]
    if not (low >= 0 and high < classes):  # NaN lands here too
        raise ValueError(
            f"{name}: the labels run from {low} to {high}, but y_pred of "
            f"shape {shape} has {classes} classes, so they must be within 0 to {classes - 1}. "
            f"Renumber the labels, or give the last layer more units{left_out}."
        )
