"""Where `fit`, `evaluate` and `predict` take their batches from: the source of what was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.training.array_source import ArraySource
from weft.training.arrays import arrays, check_lengths, host_array, packed, split, unpack
from weft.training.class_weights import ClassWeights, weighted_by_class
from weft.training.iterable_source import IterableSource, is_iterable_of_batches, is_py_dataset
from weft.training.py_dataset import PyDatasetSource
from weft.training.source import Source

__all__ = [
    "ArraySource", "IterableSource", "PyDatasetSource", "Source", "arrays", "check_lengths",
    "host_array", "is_iterable_of_batches", "packed", "source_for", "split", "unpack",
    "weighted_by_class", "whole",
]  # fmt: skip


def source_for(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[Any, Any] | None = None,
    continuing: bool = False,
    names: Sequence[str] | None = None,
    to_device: bool = True,
) -> Source:
    """The source of what a user handed to `fit`.

    Args:
        x, y, sample_weight: arrays or nests of them; or `x` an iterable of whole batches.
        batch_size: of arrays; 32 by default.
        steps: batches an epoch; by default the data's end is the epoch's.
        shuffle: whether arrays, and a PyDataset's batches, come in a new order each epoch;
            "batch": arrays in blocks of a batch.
        class_weight: class -> weight, or output -> class -> weight.
        continuing: whether an epoch of so many `steps` goes on where the one before stopped.
        names: the outputs' names, for a `class_weight` by output beside a list as `y`.
        to_device: whether batches that are made ahead are moved to an accelerator, too.

    Raises:
        ValueError: arrays of unlike lengths, no examples, numbers below one; `y`,
            `sample_weight` or `batch_size` beside data that brings its own.
        TypeError: what is neither arrays of numbers nor an iterable.
    """
    batch_size = positive("batch_size", batch_size)
    steps = positive("the number of steps", steps)
    weighting = ClassWeights(class_weight, names) if class_weight else None
    if is_iterable_of_batches(x):
        _check_alone(x, y, sample_weight, batch_size)
        if is_py_dataset(x):
            return PyDatasetSource(x, shuffle, steps, continuing, to_device, weighting)
        return IterableSource(x, steps, continuing, to_device, weighting)
    data = arrays(x, y, sample_weight)
    if weighting is not None:
        check_lengths(data)
        data = weighting(data)
    return ArraySource(data, batch_size or 32, shuffle, steps, continuing, to_device)


def positive(name: str, value: Any) -> int | None:
    """A number of something as an int; None stays None.

    Raises:
        ValueError: it is no whole number, or less than 1.
    """
    if value is None:
        return None
    number = whole(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be at least 1, a whole number, got {value!r}.")
    return number


def whole(value: Any) -> int | None:
    """A whole number, of whatever type, as an int; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return int(value) if float(value).is_integer() else None


def _check_alone(x: Any, y: Any, sample_weight: Any, batch_size: Any) -> None:
    kind = type(x).__name__
    if y is not None or sample_weight is not None:
        raise ValueError(
            f"x is a {kind} that yields whole batches, so y and sample_weight must come from it "
            "too: let it yield (x, y) or (x, y, sample_weight)."
        )
    if batch_size is not None:
        raise ValueError(
            f"x is a {kind} that yields whole batches, so batch_size={batch_size} has no effect: "
            "leave it out, and batch where the data is made."
        )
