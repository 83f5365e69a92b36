"""Penalties on weights, added to the loss."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, ShapeError, Tensor, as_tensor
from weft.engine.names import Registry

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2",
    "l2", "orthogonal_regularizer", "serialize",
]  # fmt: skip


class Regularizer:
    """A penalty: a callable from a weight to a scalar.

    A subclass defines `__call__(x)`, and `get_config` if it takes arguments. A plain function of a
    weight serves as well.

    Example:
        >>> import weft
        >>> class Entropy(weft.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return -weft.ops.sum(x * weft.ops.log(x))
        >>> float(Entropy()([1.0, 1.0])) == 0
        True
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


def penalty(regularizer: Any, x: Any, whose: str) -> Tensor:
    """`regularizer(x)`, refused unless it is a scalar.

    Args:
        regularizer: any callable.
        x: a weight, or a layer's output.
        whose: what x is, for the message.

    Raises:
        ShapeError: the regularizer returned something of another shape.
        TypeError: it returned no number at all.
    """
    result = regularizer(x)
    name = getattr(regularizer, "__name__", type(regularizer).__name__)
    if result is None:
        raise TypeError(f"the regularizer {name} of {whose} returned None, not a scalar penalty.")
    result = as_tensor(result)
    if result.spec.shape:
        raise ShapeError(
            f"the regularizer {name} of {whose} returned shape {tuple(result.shape)}; a penalty is "
            "a scalar: sum it, or take its mean."
        )
    return result


def _factor(owner: Any, name: str, value: Any) -> float:
    number = value.item() if isinstance(value, np.generic) else value
    if number is None:
        return 0.0
    if not isinstance(number, int | float) or not 0 <= number < math.inf:
        raise ValueError(
            f"{type(owner).__name__}: {name} must be a finite number, not below 0; got {value!r}."
        )
    return float(number)


def _wide(x: Any) -> Any:
    """Half precision in float32, where sums of many values do not overflow."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def _penalty(x: Any, *, l1: float, l2: float) -> Any:
    values = _wide(x)
    total: Any = 0.0
    if l1:
        total += l1 * jnp.sum(jnp.abs(values))
    if l2:
        total += l2 * jnp.sum(jnp.square(values))
    return jnp.asarray(total, x.dtype)


_penalty_op = ArrayOp(_penalty, "regularizer")


class L1L2(Regularizer):
    """l1·Σ|x| + l2·Σx².

    Args:
        l1, l2: factors, not below 0.

    Example:
        >>> import weft
        >>> float(weft.regularizers.L1L2(l1=0.5, l2=0.25)([2.0, -2.0]))
        4.0

    Raises:
        ValueError: a factor that is no finite number, or below 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(self, "l1", l1)
        self.l2 = _factor(self, "l2", l2)

    def __call__(self, x: Any) -> Tensor:
        return _penalty_op(x, l1=self.l1, l2=self.l2)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1·Σ|x|.

    Args:
        l1: a factor, not below 0.
        l: Keras 2's name of it.
    """

    def __init__(self, l1: float = 0.01, *, l: float | None = None) -> None:  # noqa: E741
        super().__init__(l1=l1 if l is None else l)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2·Σx².

    Args:
        l2: a factor, not below 0.
        l: Keras 2's name of it.
    """

    def __init__(self, l2: float = 0.01, *, l: float | None = None) -> None:  # noqa: E741
        super().__init__(l2=l2 if l is None else l)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


def _orthogonal(x: Any, *, factor: float, rows: bool) -> Any:
    if x.ndim != 2:
        raise ValueError(f"OrthogonalRegularizer is for matrices; the weight's shape is {x.shape}.")
    dtype, x = x.dtype, _wide(x if rows else x.T)
    x = x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-7)
    n = x.shape[0]
    products = jnp.abs(x @ x.T) * (1 - jnp.eye(n, dtype=x.dtype))
    # Each pair was counted twice; a single vector has no pair.
    return (factor * 0.5 * jnp.sum(products) / max(n * (n - 1) / 2, 1.0)).astype(dtype)


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
        self.factor = _factor(self, "factor", factor)
        self.mode = mode

    def __call__(self, x: Any) -> Tensor:
        return _orthogonal_op(x, factor=self.factor, rows=self.mode == "rows")

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_registry = Registry(
    "regularizer", "keras.regularizers", (L1, L2, L1L2, OrthogonalRegularizer), {"l1l2": L1L2}
)
# As a name "l1_l2" is Keras 2's alone, and there it stands for these factors; "l1l2" for none.
_registry.by_name["l1_l2"] = L1L2(0.01, 0.01)
get = _registry.get
deserialize = _registry.deserialize


def serialize(regularizer: Any) -> Any:
    """The config that `deserialize` makes an equal regularizer from, as Keras's files have it.

    Raises:
        TypeError: it has neither `get_config` nor a name.
    """
    return _registry.serialize(regularizer)
