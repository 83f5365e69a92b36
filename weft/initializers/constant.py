"""Initial values that are not random."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import to_numpy
from weft.initializers.base import Initializer, array_of, checked

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Zeros(Initializer):
    """All zeros."""

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape, "float32")


class Ones(Initializer):
    """All ones."""

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.ones(shape, "float32")


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: a number, or an array that broadcasts to the shape.

    Raises:
        ValueError: it is none, or on a call with a shape that it does not broadcast to.

    Example:
        >>> Constant([1.0, 2.0])((2, 2)).tolist()
        [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = array_of(value)
        try:
            kind = to_numpy(self.value).dtype.kind
        except (TypeError, ValueError):
            kind = "O"
        if kind in "OSUMm":
            raise ValueError(f"Constant: value must be a number or an array, got {value!r}.")

    def values(self, shape: tuple[int, ...]) -> Any:
        value = to_numpy(self.value)
        try:
            spread = np.broadcast_to(value, shape)
        except ValueError:
            raise ValueError(
                f"Constant: a value of shape {value.shape} does not broadcast to {shape}, the "
                "shape of the weight."
            ) from None
        return spread.copy()

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value if isinstance(value, int | float) else to_numpy(value).tolist()}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: a gain that is no number, or on a call with a shape that is no matrix's.

    Example:
        >>> Identity(2.0)((2, 3)).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = checked(self, "gain", gain)

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices; the shape asked for is {shape}.")
        return self.gain * np.eye(*shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
