"""`Dataset`: a description of where data comes from and what is done to it on the host.

How it works. A data set is a chain of small stages (`weft.data.stages`), each an iterable that can
be begun anew. General pipelines, Grain's among them, call a function for every element; the
idiom that trains most models, `from_tensor_slices((x, y)).shuffle(n).batch(32)`, needs none of
that. So a stage over arrays passes *row numbers* on, plain ints: shuffling, repeating, taking and
sharding are `itertools` and two generators over ints, tens of nanoseconds a row, and `batch` looks
a whole batch of them up with one gather a leaf. The first stage that needs the elements themselves
(`map`, `filter`, `unbatch`) looks them up; behind it the very same stages carry elements instead of
ints. Thus each stage is written once and there is no second, "fast", path to keep equal to the
first.

Everything up to the last iterator is NumPy: preprocessing is no part of a training step's program.
A function given to `map` sees tensors, and its operations are run apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from operator import index as as_index
from typing import Any

from weft.data.functions import Filter, Generator, Map
from weft.data.iterator import DatasetIterator, fresh_seed
from weft.data.nest import as_element, describe_value, leaves, map_nest
from weft.data.rows import ArrayRows, RangeRows
from weft.data.spec import TensorSpec
from weft.data.stages import (
    INFINITE,
    UNKNOWN,
    Batch,
    Cache,
    Concatenate,
    Repeat,
    Shard,
    Shuffle,
    Skip,
    Source,
    Stage,
    Take,
    Unbatch,
    Zip,
)
from weft.data.threads import Prefetch

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset"]

AUTOTUNE = -1
INFINITE_CARDINALITY = INFINITE
UNKNOWN_CARDINALITY = UNKNOWN


class Dataset:
    """A sequence of elements, each a nest of arrays, made anew every time it is iterated.

    Tuples, named tuples and dicts are structure; a list is one array, as in `tf.data`. Iterating
    gives weft tensors; `as_numpy_iterator` gives NumPy's. Every method returns a new data set.

    >>> data = Dataset.from_tensor_slices(([[1.0], [2.0], [3.0]], [0, 1, 0]))
    >>> [y.tolist() for x, y in data.repeat(2).batch(4).as_numpy_iterator()]
    [[0, 1, 0, 0], [1, 0]]

    Reference: the tf.data guide, https://www.tensorflow.org/guide/data.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    # Sources ---------------------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The rows of arrays: element i is `array[i]` of each.

        Args:
            tensors: an array, or a nest of arrays with equal first dimensions. They are not copied
                (a memory map is read batch by batch); a row is read when its batch is made.

        Raises:
            ValueError: an array is a scalar, or first dimensions differ.

        >>> list(Dataset.from_tensor_slices({"a": [1, 2]}).as_numpy_iterator())
        [{'a': np.int32(1)}, {'a': np.int32(2)}]
        """
        return Dataset(Source(ArrayRows(as_element(tensors))))

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One element: `tensors`, an array or a nest of arrays."""
        return Dataset(Source(ArrayRows(map_nest(lambda a: a[None], as_element(tensors)))))

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: tuple[Any, ...] = (),
        output_signature: Any = None,
    ) -> Dataset:
        """What `generator(*args)` yields; it is called anew for each iteration.

        Args:
            generator: a function that returns an iterable of elements. The arrays are copied, so
                it may fill the same buffer again.
            output_types, output_shapes: the older spelling of `output_signature`: nests of dtypes
                and of shapes.
            args: arguments for `generator`.
            output_signature: a nest of `TensorSpec`; elements are converted to its dtypes and
                checked against its structure and shapes. Without it the first element sets the
                structure.

        Raises:
            TypeError: `generator` is no function; when iterated, an element of another structure.
            ValueError: when iterated, an element of another shape than the signature's.
        """
        if not callable(generator):
            raise TypeError(
                "from_generator: expected a function that returns an iterable, got "
                f"{describe_value(generator)}. Wrap it: lambda: iter(values)."
            )
        if output_types is not None:
            if output_signature is not None:
                raise TypeError("from_generator: pass output_types or output_signature, not both.")
            output_signature = _signature(output_types, output_shapes)
        return Dataset(Generator(generator, tuple(args), map_nest(_as_spec, output_signature)))

    @staticmethod
    def range(start: int, stop: int | None = None, step: int = 1) -> Dataset:
        """The integers of Python's `range(...)`, as int64 scalars."""
        start, stop = (0, start) if stop is None else (start, stop)
        start, stop, step = (_integer("range", "each bound", k) for k in (start, stop, step))
        if not step:
            raise ValueError("range: step must not be 0.")
        return Dataset(Source(RangeRows(start, step, len(range(start, stop, step)))))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Elements of several data sets side by side, as long as the shortest.

        Args:
            datasets: data sets (`zip(a, b)`), or one nest of them (`zip((a, {"b": b}))`).

        >>> data = Dataset.zip(Dataset.range(3), Dataset.range(3, 9))
        >>> [(int(a), int(b)) for a, b in data.as_numpy_iterator()]
        [(0, 3), (1, 4), (2, 5)]
        """
        nest = datasets[0] if len(datasets) == 1 else datasets
        parts = [part for _, part in leaves(nest)]
        for part in parts or [nest]:
            if not isinstance(part, Dataset):
                raise TypeError(
                    "zip: expected data sets, or one tuple or dict of them, got "
                    f"{describe_value(part)}."
                )

        def pack(values: Any) -> Any:
            values = iter(values)
            return map_nest(lambda _: next(values), nest)

        return Dataset(Zip([part._stage for part in parts], pack))

    # Choosing and ordering ---------------------------------------------------------------------

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Dataset:
        """Draws each element at random from a buffer that is kept full.

        Args:
            buffer_size: number of elements to choose from. At least the data set's length (or
                `UNKNOWN_CARDINALITY`, for all of it): every order is equally likely.
            seed: makes the orders the same in every process. Without it a seed is drawn from
                weft's global one now, so that `weft.random.set_seed` decides.
            reshuffle_each_iteration: whether each iteration, and each repetition, has a new order.
        """
        if buffer_size == UNKNOWN:
            if self._stage.size == INFINITE:
                raise ValueError("shuffle: an infinite data set needs a finite buffer_size.")
            buffer = None
        else:
            buffer = _integer("shuffle", "buffer_size", buffer_size, 1)
        seed = fresh_seed() if seed is None else _integer("shuffle", "seed", seed)
        return Dataset(Shuffle(self._stage, buffer, seed, bool(reshuffle_each_iteration)))

    def repeat(self, count: int | None = None) -> Dataset:
        """The data set `count` times over; without end for `None` or a negative count."""
        count = -1 if count is None else _integer("repeat", "count", count)
        return Dataset(Repeat(self._stage, count))

    def take(self, count: int) -> Dataset:
        """The first `count` elements; all of them for a negative count."""
        return Dataset(Take(self._stage, _integer("take", "count", count)))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements; none for a negative count."""
        return Dataset(Skip(self._stage, _integer("skip", "count", count)))

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Elements `index`, `index + num_shards`, ...: one of `num_shards` disjoint parts."""
        num_shards = _integer("shard", "num_shards", num_shards, 1)
        index = _integer("shard", "index", index, 0)
        if index >= num_shards:
            raise ValueError(
                f"shard: index must be below num_shards ({num_shards}), got {index}: shards are "
                "numbered from 0."
            )
        return Dataset(Shard(self._stage, num_shards, index))

    def concatenate(self, dataset: Dataset) -> Dataset:
        """This data set's elements, then the other's, of the same structure and dtypes."""
        return Dataset(Concatenate(self._stage, dataset._stage))

    def cache(self) -> Dataset:
        """Keeps the elements in memory when a first iteration has reached the end."""
        return Dataset(Cache(self._stage))

    def prefetch(self, buffer_size: int) -> Dataset:
        """Makes up to `buffer_size` elements (AUTOTUNE: 2) ahead of the reader, in a thread.

        The elements are the same. A thread is used where it gains time: behind functions of yours,
        and where an element has half a megabyte or more.
        """
        depth = 2 if buffer_size == AUTOTUNE else buffer_size
        depth = _integer("prefetch", "buffer_size", depth, 0, " or AUTOTUNE")
        return Dataset(Prefetch(self._stage, depth))

    # Making elements ---------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """`map_func` of each element, on the host.

        Args:
            map_func: takes an element's tensors; the parts of a tuple are separate arguments. It
                may use weft's operations or NumPy, and returns tensors, arrays, numbers or a nest
                of them (a list at the top counts as a tuple).
            num_parallel_calls: how many elements to work on at once, in threads; AUTOTUNE: as many
                as there are processors, up to 8. The order is kept.
            deterministic: taken for compatibility; the order is always kept.

        Raises:
            RuntimeError: when iterated, from the exception that `map_func` raised, with the
                element's number.

        >>> data = Dataset.range(3).map(lambda i: {"i": i, "twice": 2 * i})
        >>> [e["twice"].item() for e in data.as_numpy_iterator()]
        [0, 2, 4]
        """
        if num_parallel_calls == AUTOTUNE:
            threads = min(os.cpu_count() or 1, 8)
        elif num_parallel_calls is None:
            threads = 1
        else:
            threads = _integer("map", "num_parallel_calls", num_parallel_calls, 1, " or AUTOTUNE")
        return Dataset(Map(self._stage, _function("map", map_func), threads))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements for which `predicate`, called as `map`'s function is, returns true."""
        return Dataset(Filter(self._stage, _function("filter", predicate)))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """Consecutive elements stacked: arrays of shape (batch_size, *shape).

        Args:
            batch_size: number of elements, at least 1.
            drop_remainder: whether to leave out a last batch that is smaller.
            num_parallel_calls, deterministic: taken for compatibility; nothing depends on them.

        Raises:
            ValueError: `batch_size` < 1; when iterated, elements of unlike shape or dtype.
        """
        batch_size = _integer("batch", "batch_size", batch_size, 1)
        return Dataset(Batch(self._stage, batch_size, bool(drop_remainder)))

    def unbatch(self) -> Dataset:
        """The rows of every element, one after the other."""
        return Dataset(Unbatch(self._stage))

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs (number, element), the numbers int64 from `start` on."""
        numbers = Source(RangeRows(_integer("enumerate", "start", start), 1, INFINITE))
        return Dataset(Zip([numbers, self._stage], tuple))

    # Reading -----------------------------------------------------------------------------------

    def __iter__(self) -> DatasetIterator:
        return DatasetIterator(self._stage.elements())

    def host_batches(self) -> Iterator[Any]:
        """A run through the elements as nests of NumPy arrays, which may be read-only."""
        return self._stage.elements()

    def as_numpy_iterator(self) -> Iterator[Any]:
        """A run through the elements as nests of NumPy arrays and, for shape (), scalars."""
        elements = self._stage.elements()
        return (map_nest(lambda a: a if a.ndim else a[()], element) for element in elements)

    @property
    def element_spec(self) -> Any:
        """The nest of `TensorSpec`s of an element, in the host's dtypes.

        Behind `map`, and behind a generator without a signature, it is learned from one element,
        which is made for that.
        """
        return self._stage.spec

    def cardinality(self) -> int:
        """The number of elements, `INFINITE_CARDINALITY` (-1) or `UNKNOWN_CARDINALITY` (-2)."""
        return self._stage.size

    def __len__(self) -> int:
        if self._stage.size == INFINITE:
            raise TypeError("The dataset is infinite. Limit it with take(count).")
        if self._stage.size == UNKNOWN:
            raise TypeError(
                "The dataset length is unknown: a generator, filter() or unbatch() decides it "
                "while running. Count by iterating."
            )
        return self._stage.size

    def __bool__(self) -> bool:
        return True  # as tf.data: also with no elements, or with an unknown number

    def __repr__(self) -> str:
        names = []
        stage = self._stage
        while stage.parents:
            names.append(type(stage).__name__.lower())
            stage = stage.parents[-1]
        chain = ".".join([type(stage).__name__.lower(), *reversed(names)])
        size = {INFINITE: "infinite", UNKNOWN: "unknown"}.get(self._stage.size, self._stage.size)
        return f"<weft.data.Dataset {chain}, cardinality={size}>"


def _integer(method: str, name: str, value: Any, least: int | None = None, also: str = "") -> int:
    """`value` as an int that is at least `least`."""
    try:
        number = as_index(value)
    except TypeError:
        raise TypeError(f"{method}: {name} must be an integer, got {value!r}.") from None
    if least is not None and number < least:
        raise ValueError(f"{method}: {name} must be at least {least}{also}, got {number}.")
    return number


def _function(method: str, function: Any) -> Callable[..., Any]:
    if not callable(function):
        raise TypeError(f"{method}: expected a function, got {describe_value(function)}.")
    return function


def _as_spec(spec: Any) -> TensorSpec:
    if isinstance(spec, TensorSpec):
        return spec
    try:
        return TensorSpec(spec.shape, spec.dtype)
    except AttributeError:
        raise TypeError(
            "from_generator: output_signature must be a TensorSpec or a tuple or dict of them, "
            f"with {describe_value(spec)} in it."
        ) from None


def _signature(types: Any, shapes: Any) -> Any:
    """A nest of specs from a nest of dtypes and one, whose leaves are tuples, of shapes."""
    if isinstance(types, tuple):
        shapes = [None] * len(types) if shapes is None else shapes
        parts = [_signature(*pair) for pair in zip(types, shapes, strict=True)]
        return tuple(parts)
    if isinstance(types, dict):
        return {key: _signature(types[key], shapes and shapes[key]) for key in types}
    return TensorSpec(shapes, types)
