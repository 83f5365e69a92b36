"""What a weight must be after each update: projections onto a set of allowed values."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.engine.names import Registry

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]  # fmt: skip

_EPSILON = 1e-7  # a norm counts as no less, so that a zero weight stays zero


class Constraint:
    """A projection: a callable from a weight to the nearest allowed one.

    A subclass defines `__call__(w)`, and `get_config` if it takes arguments.
    """

    def __call__(self, w: Any) -> Any:
        """`w` made to satisfy the constraint, of the same shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(w).")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint of a config."""
        return cls(**config)


def _rescaled(w: Any, *, low: float, high: float, rate: float, axis: Any) -> Any:
    norms = jnp.sqrt(jnp.sum(jnp.square(w), axis, keepdims=True))
    wanted = rate * jnp.clip(norms, low, high) + (1 - rate) * norms
    return w * (wanted / (_EPSILON + norms))


_rescaled_op = ArrayOp(_rescaled, "norm_constraint")
_non_neg_op = ArrayOp(lambda w: jnp.maximum(w, 0), "non_neg")


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list | tuple) else axis


class MinMaxNorm(Constraint):
    """Weights scaled so that their norms lie between two bounds.

    w ← w · (rate·clip(‖w‖, min, max) + (1 - rate)·‖w‖) / ‖w‖

    Args:
        min_value, max_value: bounds of the norms.
        rate: 1 enforces the bounds, less moves towards them.
        axis: the axis, or axes, along which norms are taken: 0 for a dense kernel (in, out),
            [0, 1, 2] for a convolution's (rows, columns, in, out).
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Any = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return _rescaled_op(
            w, low=self.min_value, high=self.max_value, rate=self.rate, axis=_axis(self.axis)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class MaxNorm(Constraint):
    """Weights scaled down where their norm along `axis` is above `max_value`.

    Reference: Srivastava et al., Dropout (2014), section 5.1.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return _rescaled_op(w, low=0.0, high=self.max_value, rate=1.0, axis=_axis(self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Weights scaled to norm 1 along `axis`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        return _rescaled_op(w, low=1.0, high=1.0, rate=1.0, axis=_axis(self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class NonNeg(Constraint):
    """Negative weights set to zero."""

    def __call__(self, w: Any) -> Tensor:
        return _non_neg_op(w)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_registry = Registry("constraint", "keras.constraints", (MaxNorm, MinMaxNorm, NonNeg, UnitNorm))
get = _registry.get
serialize = _registry.serialize
deserialize = _registry.deserialize
