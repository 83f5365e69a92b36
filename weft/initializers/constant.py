"""Initial values that are not random."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import to_numpy
from weft.initializers.base import Initializer

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
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(to_numpy(self.value), shape).copy()

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value if isinstance(value, int | float) else to_numpy(value).tolist()}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: on a call with a shape that is no matrix's.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices; the shape asked for is {shape}.")
        return self.gain * np.eye(*shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
