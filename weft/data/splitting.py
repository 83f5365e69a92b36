"""`split_dataset`: data as two data sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from weft.data.dataset import Dataset
from weft.data.iterator import fresh_seed
from weft.data.nest import as_element, stack
from weft.data.rows import ArrayRows
from weft.data.stages import INFINITE, Source

__all__ = ["split_dataset"]


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Two parts of data, such as one to train and one to test on.

    Args:
        dataset: an array, a nest (tuple, list, dict) of arrays with equal first dimensions, or a
            data set: weft's, one of tf.data or torch, or any iterable of elements. Those are read
            once, into memory.
        left_size: the first part's size: a fraction (between 0 and 1; rounded to whole examples)
            or a number of examples. By default what the other leaves.
        right_size: the second part's, likewise; at least one of them is needed.
        shuffle: whether the examples are put in a random order first.
        seed: of that order; without it drawn from weft's global one.
        preferred_backend: taken for Keras's sake; the parts are always weft data sets.

    Returns:
        Two data sets of single examples, to be batched.

    Raises:
        ValueError: sizes that do not fit the data, or a part would be empty.
        TypeError: a size that is no number.

    Example:
        >>> import numpy as np, weft
        >>> left, right = weft.utils.split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right.as_numpy_iterator()]
        (8, [8, 9])
    """
    data = _rows(dataset)
    left, right = _sizes(data.size, left_size, right_size)
    order = np.arange(data.size)
    if shuffle:
        order = np.random.default_rng(fresh_seed() if seed is None else seed).permutation(data.size)

    def part(rows: np.ndarray[Any, Any]) -> Dataset:
        return Dataset(Source(ArrayRows(data.many(rows.tolist()))))

    return part(order[:left]), part(order[data.size - right :])


def _rows(dataset: Any) -> ArrayRows:
    if isinstance(dataset, list) and dataset and hasattr(dataset[0], "shape"):
        dataset = tuple(dataset)  # arrays side by side, as in Keras
    if isinstance(dataset, Dataset):
        if dataset.cardinality() == INFINITE:
            raise ValueError("split_dataset: the dataset is infinite; limit it with take(count).")
        elements: Any = dataset.host_batches()
    elif hasattr(dataset, "as_numpy_iterator"):  # tf.data
        elements = dataset.as_numpy_iterator()
    elif hasattr(dataset, "__array__") or isinstance(dataset, tuple | list | dict):
        return ArrayRows(as_element(dataset))
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):  # torch's by number
        elements = (dataset[k] for k in range(len(dataset)))
    elif isinstance(dataset, Iterable):
        elements = dataset
    else:
        raise TypeError(
            f"split_dataset takes arrays or a data set, got a {type(dataset).__name__}."
        )
    return ArrayRows(stack([as_element(element) for element in elements], 0))


def _sizes(n: int, left: float | None, right: float | None) -> tuple[int, int]:
    """Both parts' numbers of examples."""
    if left is None and right is None:
        raise ValueError("split_dataset needs left_size, right_size or both.")
    given = {"left_size": left, "right_size": right}
    counts: dict[str, int | None] = {}
    for name, size in given.items():
        if size is not None and (
            isinstance(size, bool) or not isinstance(size, int | float | np.number)
        ):
            raise TypeError(
                f"split_dataset: {name} must be a fraction or a number of examples, got {size!r}."
            )
        whole = isinstance(size, int | np.integer)
        if size is not None and not 0 < size < (n if whole else 1):
            raise ValueError(
                f"split_dataset: {name} must be a fraction between 0 and 1 or a number of examples "
                f"from 1 to {n - 1}, got {size!r}."
            )
        counts[name] = size if size is None or whole else round(float(size) * n)  # type: ignore[assignment]
    a, b = counts["left_size"], counts["right_size"]
    a = n - b if a is None and b is not None else a
    b = n - a if b is None and a is not None else b
    assert a is not None and b is not None
    if a + b > n or not a or not b:
        raise ValueError(
            f"split_dataset: left_size={left!r} and right_size={right!r} of {n} examples make "
            f"parts of {a} and {b}; both need at least one, and together at most {n}."
        )
    return a, b
