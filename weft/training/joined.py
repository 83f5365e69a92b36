"""`Joined`: the outputs of a run's batches, fetched while later ones are computed, and joined."""

from __future__ import annotations

from collections import deque
from typing import Any

import jax
import numpy as np

from weft.engine import to_numpy

__all__ = ["Joined"]

AHEAD = 16  # batches that may be under way


class Joined:
    """The outputs of several batches as one array each.

    Where the number of examples is known, each array is made once and filled: no more memory is
    taken than it needs.

    Args:
        rows: how many examples there are, where that is known.
    """

    def __init__(self, rows: int | None = None) -> None:
        self.rows = rows
        self._waiting: deque[tuple[Any, int, int]] = deque()
        self._under_way = 0  # batches
        self._tree: Any = None
        self._outputs: list[_Output] = []
        self._last: list[np.ndarray[Any, Any]] = []

    def add(self, outputs: Any, batches: int = 0, missing: int = 0) -> None:
        """Take the outputs of another batch, a nest of tensors.

        Args:
            outputs: of a batch; or of several, stacked.
            batches: how many of those that are stacked count; 0 where none are.
            missing: how many of the last rows do not count.

        Raises:
            ValueError: they have another structure than the ones before.
        """
        self._waiting.append((outputs, batches, missing))
        self._under_way += max(batches, 1)
        while self._under_way > AHEAD and len(self._waiting) > 1:
            self._fetch()

    def _fetch(self) -> None:
        outputs, batches, missing = self._waiting.popleft()
        self._under_way -= max(batches, 1)
        leaves, tree = jax.tree.flatten(outputs)
        if self._tree is None:
            self._tree = tree
            self._outputs = [_Output(self.rows) for _ in leaves]
        elif tree != self._tree:
            raise ValueError(
                f"predict: the outputs of batches differ in structure, {self._tree} and {tree}, so "
                "they cannot be joined."
            )
        self._last = []
        for output, leaf in zip(self._outputs, leaves, strict=True):
            array = to_numpy(leaf)
            if batches:
                array = array[:batches].reshape(-1, *array.shape[2:])
            if array.ndim == 0:
                raise ValueError(
                    "predict: a batch's output is a scalar, which cannot be joined with the "
                    "others'. Return an axis of examples, or use predict_on_batch."
                )
            self._last.append(array[: len(array) - missing] if missing else array)
            output.add(self._last[-1])

    def last(self) -> Any:
        """The outputs of the last batch that was added, arrays in their structure."""
        while self._waiting:
            self._fetch()
        return jax.tree.unflatten(self._tree, self._last)

    def result(self) -> Any:
        """Arrays in the structure of the outputs.

        Raises:
            ValueError: there were no batches, or the outputs do not fit together.
        """
        while self._waiting:
            self._fetch()
        if self._tree is None:
            raise ValueError("predict: the data gave no batches.")
        return jax.tree.unflatten(self._tree, [output.result() for output in self._outputs])


class _Output:
    """One output: an array that is filled, or, where its size is not what was thought, parts."""

    def __init__(self, rows: int | None) -> None:
        self.rows = rows
        self.whole: np.ndarray[Any, Any] | None = None
        self.filled = 0
        self.parts: list[np.ndarray[Any, Any]] = []

    def add(self, part: np.ndarray[Any, Any]) -> None:
        """Take the next rows."""
        if self.rows is not None and self.whole is None and not self.parts:
            self.whole = np.empty((self.rows, *part.shape[1:]), part.dtype)
        whole, end = self.whole, self.filled + len(part)
        if whole is None:
            self.parts.append(part)
        elif end <= len(whole) and part.shape[1:] == whole.shape[1:] and part.dtype == whole.dtype:
            whole[self.filled : end] = part
            self.filled = end
        else:
            self.parts, self.whole = [whole[: self.filled], part], None

    def result(self) -> np.ndarray[Any, Any]:
        """All rows."""
        if self.whole is None:
            return np.concatenate(self.parts)
        return self.whole if self.filled == len(self.whole) else self.whole[: self.filled].copy()
