"""Penalties on weights, added to the loss."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.engine.names import Registry

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2",
    "l2", "orthogonal_regularizer", "serialize",
]  # fmt: skip


class Regularizer:
    """A penalty: a callable from a weight to a scalar.

    A subclass defines `__call__(x)`, and `get_config` if it takes arguments.
    """

    def __call__(self, x: Any) -> Any:
        """The penalty of the weight `x`, a scalar tensor."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(x).")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal regularizer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer of a config."""
        return cls(**config)


def _factor(name: str, value: Any) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number, not below 0; got {value!r}.")
    return float(value)


def _penalty(x: Any, *, l1: float, l2: float) -> Any:
    total = jnp.zeros((), x.dtype)
    if l1:
        total += l1 * jnp.sum(jnp.abs(x))
    if l2:
        total += l2 * jnp.sum(jnp.square(x))
    return total


_penalty_op = ArrayOp(_penalty, "regularizer")


class L1L2(Regularizer):
    """l1·Σ|x| + l2·Σx².

    Example:
        >>> import weft
        >>> float(weft.regularizers.L1L2(l1=0.5, l2=0.25)([2.0, -2.0]))
        4.0

    Raises:
        ValueError: a factor that is no finite number, or below 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor("l1", l1)
        self.l2 = _factor("l2", l2)

    def __call__(self, x: Any) -> Tensor:
        return _penalty_op(x, l1=self.l1, l2=self.l2)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1·Σ|x|."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2·Σx²."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


def _orthogonal(x: Any, *, factor: float, rows: bool) -> Any:
    if x.ndim != 2:
        raise ValueError(f"OrthogonalRegularizer is for matrices; the weight's shape is {x.shape}.")
    x = x if rows else x.T
    x = x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-7)
    n = x.shape[0]
    products = jnp.abs(x @ x.T) * (1 - jnp.eye(n, dtype=x.dtype))
    # Each pair was counted twice; a single vector has no pair.
    return factor * 0.5 * jnp.sum(products) / max(n * (n - 1) / 2, 1.0)


_orthogonal_op = ArrayOp(_orthogonal, "orthogonal_regularizer")


class OrthogonalRegularizer(Regularizer):
    """factor × the mean |cosine| between different rows, or columns, of a matrix.

    Args:
        factor: the penalty's weight.
        mode: "rows" or "columns". (Keras 3.15 divides columns by the wrong norms; here both modes
            are as documented.)
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode is 'rows' or 'columns', got {mode!r}.")
        self.factor = _factor("factor", factor)
        self.mode = mode

    def __call__(self, x: Any) -> Tensor:
        return _orthogonal_op(x, factor=self.factor, rows=self.mode == "rows")

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_registry = Registry(
    "regularizer", "keras.regularizers", (L1, L2, L1L2, OrthogonalRegularizer), {"l1l2": L1L2}
)
get = _registry.get
serialize = _registry.serialize
deserialize = _registry.deserialize
