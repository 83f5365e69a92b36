"""`IterableSource`: batches that something else makes: a Dataset, a generator, a DataLoader, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from weft.data import INFINITE_CARDINALITY, Dataset
from weft.engine import as_dtype
from weft.training.arrays import host_array
from weft.training.source import Source

__all__ = [
    "IterableSource",
    "refuse_empty",
    "refuse_infinite",
    "is_iterable_of_batches",
    "is_py_dataset",
    "prepared",
]

# Loaders whose every batch is in memory of its own; from others arrays are copied, since a
# generator may fill the same buffer again while the step that reads it is still under way.
FRESH = ("weft.data", "tensorflow", "torch", "grain")


class IterableSource(Source):
    """Batches from any iterable of them.

    What `iter` gives anew is gone through again in the next pass; an iterator only once.

    Args:
        data: yields `x`, `(x, y)` or `(x, y, sample_weight)`; a list counts as such a tuple.
        weighting: a function of a batch that adds class weights.
        steps, continuing, to_device: as for `Source`.
    """

    def __init__(
        self,
        data: Any,
        steps: int | None = None,
        continuing: bool = False,
        to_device: bool = True,
        weighting: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(steps, continuing, to_device)
        self.data, self.weighting = data, weighting
        self.once = isinstance(data, Iterator)
        self.size = length(data)
        if self.size is None or (steps is not None and steps < self.size):
            self.size = steps
        if self.size is None:
            refuse_infinite(data)
        refuse_empty(self)

    def start(self) -> Iterator[Any]:
        data = self.data
        if isinstance(data, Dataset):
            items = data.host_batches()
        elif hasattr(data, "as_numpy_iterator"):  # tf.data
            items = data.as_numpy_iterator()
        else:
            items = iter(data)
        return prepared(items, self.weighting, fresh=type(data).__module__.startswith(FRESH))

    def describe(self) -> str:
        kind = type(self.data).__name__
        return f"the {kind} {getattr(self.data, '__name__', '')}".rstrip()


def length(data: Any) -> int | None:
    """The number of batches, where the data knows it."""
    try:
        return len(data)
    except (TypeError, NotImplementedError):  # tf.data and weft.data: unknown or infinite
        return None


def refuse_infinite(data: Any) -> None:
    """
    Raises:
        ValueError: a data set that says of itself that it never ends.
    """
    cardinality = getattr(data, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == INFINITE_CARDINALITY:
        raise ValueError(
            "the dataset is infinite: say how many batches are an epoch (steps_per_epoch in fit, "
            "validation_steps, or steps in evaluate and predict), or limit it with take(count)."
        )


def refuse_empty(source: Source) -> None:
    """
    Raises:
        ValueError: a source that says of itself that it has no batches.
    """
    if source.size == 0:
        raise ValueError(
            f"{source.describe()} has no batches (its length is 0). Is its folder or filter empty, "
            "or a batch larger than the data, with the remainder dropped?"
        )


def prepared(
    items: Iterator[Any], weighting: Callable[[Any], Any] | None, fresh: bool
) -> Iterator[Any]:
    """Batches from outside as nests of arrays that nobody else writes to."""
    leaf = _array if fresh else _own_array
    for item in items:
        if isinstance(item, list):  # torch's DataLoader yields lists for (x, y)
            item = tuple(item)
        item = jax.tree.map(leaf, item)
        if not jax.tree.leaves(item):
            raise ValueError(
                f"a batch must be x, (x, y) or (x, y, sample_weight), got {item!r} without arrays."
            )
        yield item if weighting is None else weighting(item)


def _array(value: Any) -> Any:
    if isinstance(value, jax.Array) and as_dtype(value.dtype) == value.dtype:
        return value  # it stays on its device
    return host_array(value)


def _own_array(value: Any) -> Any:
    array = _array(value)
    if isinstance(array, np.ndarray) and (array is value or array.base is not None):
        return array.copy()
    return array


def is_iterable_of_batches(x: Any) -> bool:
    """Whether `x` yields batches, rather than being arrays."""
    if isinstance(x, Dataset) or is_py_dataset(x):
        return True
    if x is None or isinstance(x, list | tuple | dict | str | bytes | np.ndarray):
        return False
    if any(hasattr(x, name) for name in ("__array__", "to_numpy", "toarray")):
        return False
    return hasattr(x, "__iter__")


def is_py_dataset(x: Any) -> bool:
    """Whether `x` makes batches by number: weft's PyDataset, Keras's, or Keras 2's Sequence."""
    return hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end")
