"""`TensorSpec`: the shape and dtype that an element's array has, with unknown sizes as `None`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["TensorSpec"]

TEXT = "OSU"  # the dtype kinds that stay on the host: a weft tensor holds numbers


class TensorSpec:
    """The shape and dtype of one array of a data set's elements.

    Args:
        shape: sizes, `None` for one that varies; or `None` when not even the rank is known.
        dtype: anything that NumPy takes as a dtype; `str` for text.
        name: shown in `repr` only.

    >>> TensorSpec((None, 28, 28), "float32")
    TensorSpec(shape=(None, 28, 28), dtype=float32)
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(
        self, shape: Iterable[int | None] | None, dtype: Any = "float32", name: str | None = None
    ) -> None:
        self.shape = None if shape is None else tuple(None if n is None else int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self.name = name

    def accepts(self, array: np.ndarray) -> bool:
        """Whether an array has this shape (unknown sizes fit any)."""
        if self.shape is None:
            return True
        return len(self.shape) == array.ndim and all(
            want is None or want == got for want, got in zip(self.shape, array.shape, strict=True)
        )

    def merged(self, other: TensorSpec) -> TensorSpec:
        """The narrowest spec that takes what either takes; their dtypes are the same."""
        if self.shape is None or other.shape is None or len(self.shape) != len(other.shape):
            return TensorSpec(None, self.dtype)
        sizes = zip(self.shape, other.shape, strict=True)
        return TensorSpec([a if a == b else None for a, b in sizes], self.dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype.name}{name})"
