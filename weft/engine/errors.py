"""The engine's errors, and the user's line that they name."""

from __future__ import annotations

import os
import sys
from types import FrameType

__all__ = [
    "GraphError", "ShapeError", "SymbolError", "ValueNeededError", "from_outside", "user_line",
]  # fmt: skip

_HOUSE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class ShapeError(ValueError):
    """Operands whose shapes or dtypes an operation cannot take."""


class GraphError(RuntimeError):
    """A tensor used outside the graph that it belongs to."""


class SymbolError(GraphError):
    """A symbolic tensor of a functional model used where a value is needed."""


class ValueNeededError(RuntimeError):
    """A value was asked for while a function was being traced.

    `line` is the place in the user's code, as `file:number`.
    """

    def __init__(self, message: str, line: str) -> None:
        super().__init__(message)
        self.line = line


def from_outside(frame: FrameType) -> bool:
    """Whether a frame is the user's, neither weft's nor JAX's."""
    name = frame.f_code.co_filename
    outside = not name.startswith(_HOUSE) and f"{os.sep}jax{os.sep}" not in name
    return outside and not name.startswith("<frozen")


def user_line(skip: int = 1) -> str:
    """`file:number in function` of the nearest frame outside weft and JAX."""
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None:
        if from_outside(frame):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return "<unknown>"
