"""Losses of sequences whose alignment with the time steps is not known."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ShapeError, Tensor
from weft.losses.labels import host_checked
from weft.losses.loss import LossFunctionWrapper
from weft.losses.pairs import backed_by, pair_function
from weft.ops.ctc import _ctc as pure_ctc

__all__ = ["CTC", "ctc"]


@pair_function
def _ctc(y_true: Any, y_pred: Any, steps: Any = None) -> Any:
    if y_true.ndim != 2 or y_pred.ndim != 3 or y_true.shape[0] != y_pred.shape[0]:
        raise ShapeError(
            f"ctc: y_true of shape {y_true.shape} and y_pred of shape {y_pred.shape} do not fit: "
            "(batch, labels) and (batch, time, classes) are expected."
        )
    batch, time, classes = y_pred.shape
    steps = jnp.full(batch, time) if steps is None else jnp.sum(steps != 0, 1)
    label = y_true != 0
    losses = pure_ctc(y_true, y_pred, jnp.sum(label, 1), steps, mask_index=0)
    known = jnp.all((y_true >= 0) & (y_true < classes), 1)
    known &= jnp.all(label[:, :-1] | ~label[:, 1:], 1)
    return losses * jnp.where(known, 1.0, jnp.nan).astype(losses.dtype)


def _check_targets(labels: np.ndarray[Any, Any], shape: tuple[int, ...], **_: Any) -> None:
    if labels.ndim != 2 or len(shape) != 3 or not labels.size:
        return
    time, classes = shape[1:]
    low, high = labels.min(), labels.max()
    if not (low >= 0 and high < classes):
        raise ValueError(
            f"ctc: the labels run from {low} to {high}, but y_pred of shape {shape} has {classes} "
            f"classes: 0, the blank, with which rows are filled up, and 1 to {classes - 1}."
        )
    label = labels != 0
    late = (label[:, 1:] & ~label[:, :-1]).any(1)
    if late.any():
        row = int(np.argmax(late))
        raise ValueError(
            f"ctc: row {row} of y_true has a 0 before a label: {labels[row].tolist()}. 0 is the "
            "blank, which only fills up a row behind its labels: number the classes from 1."
        )
    repeats = (labels[:, 1:] == labels[:, :-1]) & label[:, 1:]
    needed = label.sum(1) + repeats.sum(1)
    row = int(np.argmax(needed))
    if needed[row] > time:
        raise ValueError(
            f"ctc: row {row} of y_true needs {needed[row]} time steps ({label[row].sum()} labels "
            f"and {repeats[row].sum()} blanks between equal ones), but y_pred of shape {shape} has "
            f"{time}. Let the model give more steps, or leave the sample out."
        )


def _checked_ctc(y_true: Any, y_pred: Any, **options: Any) -> Tensor:
    y_true, y_pred = host_checked(_check_targets, y_true, y_pred)
    return _ctc(y_true, y_pred, **options)


@backed_by(_ctc, check_targets=_check_targets)
def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """-log of the summed probability of all alignments that read as the labels.

    Args:
        y_true: labels 1 to classes - 1, shape (batch, labels); 0, the blank, fills up the rows.
        y_pred: logits, shape (batch, time, classes).

    Returns:
        shape (batch,), at least float32.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: where `y_true` is on the host: a label outside the classes, a 0 between labels,
            or more labels (with a blank between equal ones) than time steps. Elsewhere the first
            two cost NaN and the last about 1e30.

    Example:
        >>> import numpy as np
        >>> from weft.losses import ctc
        >>> loss = ctc([[1, 0]], np.zeros((1, 2, 2)))  # reads as 1: 11, 01 and 10 of four
        >>> round(float(np.exp(-loss.numpy()[0])), 4)
        0.75

    Reference: Graves et al., Connectionist Temporal Classification (2006), eq. 8.
    """
    return _checked_ctc(y_true, y_pred)


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification: see `ctc`; the arguments are those of `Loss`.

    A mask of y_pred, shape (batch, time), says how many of the time steps count (Keras: an error).
    """

    by_row = False  # a mask leaves out no row

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(ctc, name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sequence."""
        steps = getattr(y_pred, "_keras_mask", None)
        return _checked_ctc(y_true, y_pred, **({} if steps is None else {"steps": steps}))

    def _mask(self, y_true: Any, y_pred: Any) -> Any:
        return None  # it is of time steps, not of losses
