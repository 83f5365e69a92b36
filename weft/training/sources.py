"""Where `fit`, `evaluate` and `predict` take their batches from: nests of host arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from weft.data import Dataset
from weft.engine import ArrayLike, as_dtype, next_host_seed, to_numpy

__all__ = ["ArraySource", "IterableSource", "Source", "source_for", "unpack"]


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """A batch as `(x, y, sample_weight)`, absent parts as None."""
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ValueError(
            f"a batch must be x, (x, y) or (x, y, sample_weight), got a tuple of {len(data)}."
        )
    return (*data, *[None] * (3 - len(data)))  # type: ignore[return-value]


class Source:
    """Batches for one run: iterated over once an epoch."""

    size: int | None = None  # batches an epoch, when known
    targets: Any = None  # all of them, when they are whole arrays

    def batches(self) -> Iterator[Any]:
        """The batches of one epoch: `x`, `(x, y)` or `(x, y, sample_weight)` of NumPy arrays."""
        raise NotImplementedError


class ArraySource(Source):
    """Batches of whole arrays: slices, or gathers in a new order each epoch."""

    def __init__(self, data: tuple[Any, ...], batch_size: int, shuffle: bool) -> None:
        self.n = check_lengths(data)
        self.targets = unpack(data)[1]
        self.leaves, self.tree = jax.tree.flatten(packed(data))
        self.batch_size = batch_size
        self.size = -(-self.n // batch_size)
        self.rng = np.random.default_rng(next_host_seed()) if shuffle else None

    def batches(self) -> Iterator[Any]:
        order = None if self.rng is None else self.rng.permutation(self.n)
        for start in range(0, self.n, self.batch_size):
            if order is None:
                rows: Any = slice(start, start + self.batch_size)
            else:
                rows = order[start : start + self.batch_size]
            yield jax.tree.unflatten(self.tree, [leaf[rows] for leaf in self.leaves])


class IterableSource(Source):
    """Batches from any iterable: a Dataset, generator, iterator, DataLoader, ...

    With `steps`, an epoch is so many batches, and iteration goes on where it stopped; what has
    ended is started again.
    """

    def __init__(self, data: Any, steps: int | None) -> None:
        self.data = data
        self.steps = steps
        self.iterator: Iterator[Any] | None = None
        self.size = steps
        if steps is None and hasattr(data, "__len__"):
            try:
                self.size = len(data)
            except TypeError:
                self.size = None

    def _start(self) -> Iterator[Any]:
        data = self.data
        return data.host_batches() if isinstance(data, Dataset) else iter(data)

    def batches(self) -> Iterator[Any]:
        if self.steps is None:
            for item in self._start():
                yield _host(item)
            return
        for _ in range(self.steps):
            if self.iterator is None:
                self.iterator = self._start()
            item = next(self.iterator, _END)
            if item is _END:
                self.iterator = self._start()
                item = next(self.iterator, _END)
                if item is _END:
                    raise ValueError(
                        "the data ended before steps_per_epoch steps were made, and could not be "
                        "started again. Repeat the dataset, or ask for fewer steps."
                    )
            yield _host(item)


_END = object()


def packed(data: tuple[Any, ...]) -> Any:
    """A batch as a step gets it: x alone where there is nothing else, as in Keras."""
    if len(data) == 1 and not isinstance(data[0], list | tuple):
        return data[0]
    return data


def _host(item: Any) -> Any:
    """A batch from outside as a nest of NumPy arrays."""
    if isinstance(item, list):  # torch's DataLoader yields lists for (x, y)
        item = tuple(item)
    return jax.tree.map(host_array, item)


def host_array(value: Any) -> np.ndarray[Any, Any]:
    """An array-like as a NumPy array of a dtype that weft computes with."""
    if isinstance(value, ArrayLike):
        value = to_numpy(value)
    elif type(value).__module__.startswith("torch"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    kind = as_dtype(array.dtype)
    return array if array.dtype == kind else array.astype(kind)


def source_for(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool = False,
    class_weight: dict[int, float] | None = None,
) -> Source:
    """The source of what a user handed to `fit`.

    Raises:
        ValueError: arrays of unlike lengths, no examples, a batch size below one, or `y` beside
            data that brings its own.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if is_iterable_of_batches(x):
        if y is not None or sample_weight is not None:
            raise ValueError(
                f"x is a {type(x).__name__} that yields whole batches, so y and sample_weight "
                "must come from it too: let it yield (x, y) or (x, y, sample_weight)."
            )
        if class_weight:
            raise ValueError("class_weight needs arrays; let the data yield sample weights.")
        return IterableSource(x, steps)
    data = arrays(x, y, sample_weight)
    if class_weight:
        data = weighted_by_class(data, class_weight)
    source = ArraySource(data, batch_size or 32, shuffle)
    if steps is not None and steps < source.size:
        return _Shortened(source, steps)
    return source


class _Shortened(Source):
    def __init__(self, source: ArraySource, steps: int) -> None:
        self.source, self.size, self.targets = source, steps, source.targets

    def batches(self) -> Iterator[Any]:
        for _, batch in zip(range(self.size or 0), self.source.batches(), strict=False):
            yield batch


def arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, ...]:
    """`(x,)`, `(x, y)` or `(x, y, sample_weight)` as nests of host arrays."""
    parts: tuple[Any, ...] = (x,)
    if y is not None or sample_weight is not None:
        parts = (x, y) if sample_weight is None else (x, y, sample_weight)
    return tuple(_nest(part) for part in parts)


def _nest(part: Any) -> Any:
    if hasattr(part, "to_numpy") and not isinstance(part, ArrayLike):
        part = part.to_numpy()  # pandas
    if isinstance(part, list) and part and not _holds_arrays(part):
        return host_array(part)  # a (nested) list of numbers is one array
    return jax.tree.map(host_array, part)


def _holds_arrays(value: Any) -> bool:
    """Whether a nested list has arrays at its ends; its first ends are looked at."""
    while isinstance(value, list | tuple) and len(value):
        value = value[0]
    return hasattr(value, "shape") or isinstance(value, dict)


def is_iterable_of_batches(x: Any) -> bool:
    """Whether `x` yields batches, rather than being arrays."""
    if isinstance(x, Dataset):
        return True
    if x is None or isinstance(x, list | tuple | dict | np.ndarray) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__iter__") and not hasattr(x, "to_numpy")


def check_lengths(data: Any) -> int:
    """The common first dimension of all arrays.

    Raises:
        ValueError: it is not common, or zero.
    """
    names = ("x", "y", "sample_weight")
    sizes: dict[str, list[int | None]] = {}
    for name, part in zip(names, data, strict=False):
        sizes[name] = [a.shape[0] if a.shape else None for a in jax.tree.leaves(part)]
    flat = [n for group in sizes.values() for n in group]
    if len(set(flat)) != 1 or None in flat:
        text = ", ".join(f"{k}: {v[0] if len(v) == 1 else v}" for k, v in sizes.items())
        raise ValueError(
            f"the arrays must have the same number of examples (first dimension), got {text}."
        )
    if flat[0] == 0:
        raise ValueError("the data has no examples (first dimension 0).")
    return int(flat[0])  # type: ignore[arg-type]


def weighted_by_class(data: tuple[Any, ...], weights: dict[int, float]) -> tuple[Any, ...]:
    """The data with each example's weight multiplied by that of its class."""
    x, y, sample_weight = unpack(data)
    if not isinstance(y, np.ndarray):
        raise ValueError("class_weight needs y as one array of labels.")
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    labels = labels.astype("int64")
    table = np.ones(max(int(labels.max(initial=0)), *weights) + 1, "float32")
    for label, weight in weights.items():
        table[label] = weight
    factor = table[labels]
    return x, y, factor if sample_weight is None else sample_weight * factor


def split(data: tuple[Any, ...], fraction: float) -> tuple[Any, Any]:
    """The first part and the last `fraction` of arrays.

    Raises:
        ValueError: a part would be empty.
    """
    n = check_lengths(data)
    at = int(n * (1 - fraction))
    if not 0 < at < n:
        raise ValueError(f"validation_split={fraction} of {n} examples leaves one part empty.")
    return jax.tree.map(lambda a: a[:at], data), jax.tree.map(lambda a: a[at:], data)
