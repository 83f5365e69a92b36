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
    """The outputs of several batches as one array each; no more is held than these."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, int, int]] = deque()
        self._under_way = 0  # batches
        self._tree: Any = None
        self._parts: list[list[np.ndarray[Any, Any]]] = []  # of each output

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
            self._tree, self._parts = tree, [[] for _ in leaves]
        elif tree != self._tree:
            raise ValueError(
                f"predict: the outputs of batches differ in structure, {self._tree} and {tree}, so "
                "they cannot be joined."
            )
        for parts, leaf in zip(self._parts, leaves, strict=True):
            array = to_numpy(leaf)
            if batches:
                array = array[:batches].reshape(-1, *array.shape[2:])
            parts.append(array[: len(array) - missing] if missing else array)

    def last(self) -> Any:
        """The outputs of the last batch that was added."""
        while self._waiting:
            self._fetch()
        return jax.tree.unflatten(self._tree, [parts[-1] for parts in self._parts])

    def result(self) -> Any:
        """Arrays in the structure of the outputs.

        Raises:
            ValueError: there were no batches, or outputs without a first axis to join them along.
        """
        while self._waiting:
            self._fetch()
        if self._tree is None:
            raise ValueError("predict: the data gave no batches.")
        if any(part.ndim == 0 for parts in self._parts for part in parts[:1]):
            raise ValueError(
                "predict: a batch's output is a scalar, which cannot be joined with the others'. "
                "Return an axis of examples, or use predict_on_batch."
            )
        return jax.tree.unflatten(self._tree, [np.concatenate(parts) for parts in self._parts])
