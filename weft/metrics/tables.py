"""Metrics of tables, shape (batch, outputs), that keep sums for each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayLike, ArrayOp, ShapeError, Variable, as_tensor, give_value
from weft.losses.pairs import aligned_weights, wide
from weft.metrics.metric import Metric

__all__ = ["TableMetric", "table", "table_weights"]


def table(owner: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both with the shape (batch, outputs); (batch,) beside (batch, 1) is one output.

    Raises:
        ShapeError: other shapes.
    """
    true, pred = y_true.shape, y_pred.shape
    if (*true, 1) == pred or true == (*pred, 1):
        y_true, y_pred = (x.reshape(x.shape[0], -1) if x.ndim else x for x in (y_true, y_pred))
    if y_true.ndim != 2 or y_true.shape != y_pred.shape:
        cause = ""
        if len(pred) == 2 and true in (pred[:1], (pred[0], 1)):
            cause = f" Integer labels must be made one-hot, with {pred[1]} columns."
        elif len(true) == len(pred) == 1:
            cause = " Give them a last axis: x[:, None]."
        raise ShapeError(
            f"{owner}: y_true of shape {true} and y_pred of shape {pred} do not fit: both must "
            f"have the shape (batch, outputs).{cause}"
        )
    return y_true, y_pred


def table_weights(owner: str, extra: Sequence[Any], masked: bool, like: Any) -> Any:
    """The weight of each element of a table: of the mask if `masked`, and the weights if any."""
    weights = jnp.ones((), like.dtype)
    if extra[masked:]:
        given = extra[-1].astype(like.dtype)
        weights = aligned_weights(given, like.shape, f"{owner}: sample_weight")
    if masked:
        mask = aligned_weights(extra[0].astype(bool), like.shape, f"{owner}: the mask")
        weights = jnp.where(mask, weights, 0)
    return jnp.broadcast_to(weights, like.shape)


class TableMetric(Metric):
    """Base of metrics that add up columns; the sums are made with the first batch.

    A subclass names its `_sums` and says how they grow: `_add(y_true, y_pred, weights, **options)`
    is a pure function of tables that returns, for each sum, the elements to be added up.
    """

    _sums: tuple[str, ...]
    _one_sum = False  # whether the columns are added up too
    _update: ArrayOp
    built = False

    def __init__(self, name: str | None, dtype: Any, **options: Any) -> None:
        super().__init__(name, dtype)
        self._options = {"owner": type(self).__name__, **options}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_add" in cls.__dict__:
            cls._update = _update_op(cls._add, len(cls._sums))  # type: ignore[attr-defined]

    def _state(self) -> list[Variable]:
        return [getattr(self, name) for name in self._sums]

    def _build(self, outputs: int) -> None:
        shape = () if self._one_sum else (outputs,)
        for name in self._sums:
            if name not in vars(self):
                setattr(self, name, self.add_variable(shape, "zeros", name=name))
        self.built = True

    def _build_as(self, other: Metric) -> None:
        assert isinstance(other, TableMetric)
        self._build(*other._state()[-1].shape or (1,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one node.

        Args:
            y_true, y_pred: shape (batch, outputs), or one of them (batch,) and the other
                (batch, 1). A Keras mask that y_pred carries leaves samples out.
            sample_weight: a number, or weights of shape (batch,), (batch, 1) or (batch, outputs).

        Raises:
            ShapeError: the shapes do not fit; the state is as before.
        """
        mask = getattr(y_pred, "_keras_mask", None)
        if not isinstance(y_pred, ArrayLike):
            y_pred = as_tensor(y_pred)
        extra = [x for x in (mask, sample_weight) if x is not None]
        first, kept = not self.built, len(self._own)
        if first:
            self._build(y_pred.shape[1] if len(y_pred.shape) == 2 else 1)
        state, options = self._state(), self._options
        try:
            new = self._update(*state, y_true, y_pred, *extra, masked=mask is not None, **options)
        except ShapeError:
            if first:  # as before, so that the next batch may have another number of outputs
                made = [variable for variable, _ in self._own[kept:]]
                for name in [n for n, v in vars(self).items() if any(v is m for m in made)]:
                    delattr(self, name)
                del self._own[kept:]
                self.built = False
            raise
        for variable, value in zip(state, new, strict=True):
            give_value(variable, value)


def _update_op(add: Any, sums: int) -> ArrayOp:
    """The operation of an update: the sums, y_true, y_pred, mask and weights to the new sums."""

    def update(*operands: Any, owner: str, masked: bool, **options: Any) -> tuple[Any, ...]:
        state, (y_true, y_pred, *extra) = operands[:sums], operands[sums:]
        y_true, y_pred = table(owner, y_true, y_pred)
        for known in state:
            if known.ndim and known.shape != y_pred.shape[1:]:
                raise ShapeError(
                    f"{owner}: y_pred of shape {y_pred.shape} has {y_pred.shape[1]} outputs, but "
                    f"the batches before had {known.shape[0]}."
                )
        y_true, y_pred = y_true.astype(state[-1].dtype), wide(y_pred)
        weights = table_weights(owner, extra, masked, y_true)
        added = add(y_true, y_pred, weights, **options)
        return tuple(
            s + jnp.sum(a, 0 if s.ndim else None).astype(s.dtype)
            for s, a in zip(state, added, strict=True)
        )

    return ArrayOp(update, f"{add.__qualname__.split('.')[0]}_update", differentiable=False)
