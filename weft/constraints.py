"""What a weight must be after each update: projections onto a set of allowed values."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, ShapeError, Tensor, as_tensor
from weft.engine.names import Registry

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]  # fmt: skip

_EPSILON = 1e-7  # a norm counts as no less, so that a zero weight stays zero


class Constraint:
    """A projection: a callable from a weight to the nearest allowed one.

    A subclass defines `__call__(w)`, and `get_config` if it takes arguments. A plain function of a
    weight serves as well.

    Example:
        >>> import weft
        >>> class Centred(weft.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return w - weft.ops.mean(w)
        >>> Centred()(weft.Variable([1.0, 3.0])).numpy().tolist()
        [-1.0, 1.0]
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
    wide = jnp.promote_types(w.dtype, jnp.float32)  # squares overflow in half precision
    norms = jnp.sqrt(jnp.sum(jnp.square(w.astype(wide)), axis, keepdims=True))
    wanted = rate * jnp.clip(norms, low, high) + (1 - rate) * norms
    return (w * (wanted / (_EPSILON + norms))).astype(w.dtype)


_rescaled_op = ArrayOp(_rescaled, "norm_constraint")
_non_neg_op = ArrayOp(lambda w: jnp.maximum(w, 0), "non_neg")


def _rescale(owner: Constraint, w: Any, low: float, high: float, rate: float, axis: Any) -> Tensor:
    w = as_tensor(w)
    axes = tuple(axis) if isinstance(axis, list | tuple) else axis
    if any(not -w.ndim <= a < w.ndim for a in np.atleast_1d(axes)):
        raise ShapeError(
            f"{type(owner).__name__}: axis={axis!r} is no axis of a weight of shape "
            f"{tuple(w.shape)}."
        )
    return _rescaled_op(w, low=low, high=high, rate=rate, axis=axes)


def _bound(owner: Constraint, name: str, value: Any) -> float:
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, int | float) or not 0 <= number < math.inf:
        raise ValueError(
            f"{type(owner).__name__}: {name} must be a finite number, not below 0; got {value!r}."
        )
    return number


def _axis(owner: Constraint, axis: Any) -> Any:
    axes = axis if isinstance(axis, list | tuple) else [axis]
    if not axes or any(isinstance(a, bool) or not isinstance(a, int | np.integer) for a in axes):
        raise ValueError(
            f"{type(owner).__name__}: axis must be an integer or a list of them, got {axis!r}."
        )
    return axis


class MinMaxNorm(Constraint):
    """Weights scaled so that their norms lie between two bounds.

    w ← w · (rate·clip(‖w‖, min, max) + (1 - rate)·‖w‖) / ‖w‖

    Args:
        min_value, max_value: bounds of the norms.
        rate: 1 enforces the bounds, less moves towards them.
        axis: the axis, or axes, along which norms are taken: 0 for a dense kernel (in, out),
            [0, 1, 2] for a convolution's (rows, columns, in, out).

    Raises:
        ValueError: an argument that is none of these, or min_value above max_value; on a call, a
            weight that has no such axis.

    Example:
        >>> import weft
        >>> weft.constraints.MinMaxNorm(1.0, 2.0)([[3.0], [4.0]]).numpy().round(3).tolist()
        [[1.2...], [1.6...]]
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Any = 0,
    ) -> None:
        self.min_value = _bound(self, "min_value", min_value)
        self.max_value = _bound(self, "max_value", max_value)
        self.rate = _bound(self, "rate", rate)
        self.axis = _axis(self, axis)
        if self.min_value > self.max_value:
            raise ValueError(
                f"{type(self).__name__}: min_value must not be above max_value, got "
                f"min_value={min_value!r} and max_value={max_value!r}."
            )
        if self.rate > 1:
            raise ValueError(f"{type(self).__name__}: rate must be in [0, 1], got {rate!r}.")

    def __call__(self, w: Any) -> Tensor:
        return _rescale(self, w, self.min_value, self.max_value, self.rate, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class MaxNorm(Constraint):
    """Weights scaled down where their norm along `axis` is above `max_value`.

    Args:
        max_value: the bound, not below 0.
        axis: as of `MinMaxNorm`.

    Reference: Srivastava et al., Dropout (2014), section 5.1.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = _bound(self, "max_value", max_value)
        self.axis = _axis(self, axis)

    def __call__(self, w: Any) -> Tensor:
        return _rescale(self, w, 0.0, self.max_value, 1.0, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Weights scaled to norm 1 along `axis`, as of `MinMaxNorm`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = _axis(self, axis)

    def __call__(self, w: Any) -> Tensor:
        return _rescale(self, w, 1.0, 1.0, 1.0, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class NonNeg(Constraint):
    """Negative weights set to zero."""

    def __call__(self, w: Any) -> Tensor:
        return _non_neg_op(w)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_registry = Registry(
    "constraint", "keras.constraints", (MaxNorm, MinMaxNorm, NonNeg, UnitNorm),
    {"maxnorm": MaxNorm, "nonneg": NonNeg, "unitnorm": UnitNorm},  # Keras 2's
)  # fmt: skip
get = _registry.get
deserialize = _registry.deserialize


def serialize(constraint: Any) -> Any:
    """The config that `deserialize` makes an equal constraint from, as Keras's files have it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return _registry.serialize(constraint)
