"""Elements: nests of NumPy arrays.

Structure is what tf.data takes as structure: tuples, named tuples and dicts (whose order is kept),
with `None` for a part that is absent. Everything else, lists too, becomes one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from weft.data.spec import TEXT, TensorSpec

__all__ = [
    "as_array", "as_element", "describe", "describe_value", "leaves", "map_nest", "spec_of",
    "stack", "unlike",
]  # fmt: skip


def map_nest(fn: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """`fn` applied to the leaves of nests of one structure; the result has that structure."""
    if isinstance(nest, np.ndarray):  # by far the most frequent
        return fn(nest, *others)
    if isinstance(nest, tuple):
        parts = [map_nest(fn, *column) for column in zip(nest, *others, strict=True)]
        return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
    if isinstance(nest, Mapping):
        return {key: map_nest(fn, nest[key], *(other[key] for other in others)) for key in nest}
    return None if nest is None else fn(nest, *others)


def leaves(nest: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves in order, each with its place, such as `[0]['image']`."""
    if isinstance(nest, tuple):
        for k, part in enumerate(nest):
            yield from leaves(part, f"{path}[{k}]")
    elif isinstance(nest, Mapping):
        for key, part in nest.items():
            yield from leaves(part, f"{path}[{key!r}]")
    elif nest is not None:
        yield path, nest


def unlike(nest: Any, other: Any) -> bool:
    """Whether two nests differ in structure."""
    if isinstance(nest, tuple):
        return (
            type(nest) is not type(other)
            or len(nest) != len(other)
            or any(map(unlike, nest, other))
        )
    if isinstance(nest, Mapping):
        return (
            not isinstance(other, Mapping)
            or nest.keys() != other.keys()
            or any(unlike(nest[key], other[key]) for key in nest)
        )
    return (nest is None) != (other is None) or isinstance(other, tuple | Mapping)


def as_element(value: Any, convert: Callable[[Any], np.ndarray] | None = None) -> Any:
    """`value` with each of its leaves as a NumPy array (`convert`, by default `as_array`)."""
    return map_nest(convert or as_array, value)


def as_array(value: Any) -> np.ndarray:
    """`value` as a NumPy array; an array is not copied.

    Python numbers, and lists of them, become float32 and int32 (int64 where they need it); what
    already has a dtype keeps it.
    """
    if not isinstance(value, list) and hasattr(value, "__array__"):
        array = np.asarray(value)
    else:
        first = value
        while isinstance(first, list | tuple) and first:
            first = first[0]
        typed = hasattr(first, "__array__")
        try:
            array = np.asarray([as_array(part) for part in value] if typed else value)
        except ValueError as error:
            reason = str(error).rstrip(".")
            raise ValueError(
                f"cannot make one array of {describe_value(value)}: {reason}. A list becomes "
                "one array; use a tuple for several arrays side by side."
            ) from error
        if not typed and array.dtype == np.float64:
            array = array.astype(np.float32)
        elif not typed and array.dtype == np.int64 and np.array_equal(array, array.astype("i4")):
            array = array.astype(np.int32)
    if array.dtype == object:
        if not all(isinstance(part, str) for part in array.flat):
            raise TypeError(
                f"cannot make an array of {describe_value(value)}. An element is a nest (tuples, "
                "dicts) of arrays, numbers and text."
            )
        array = array.astype(str)
    return array


def spec_of(nest: Any) -> Any:
    """The nest of `TensorSpec`s of an element."""
    return map_nest(lambda a: TensorSpec(a.shape, a.dtype), nest)


def describe(nest: Any) -> str:
    """An element or a nest of specs in a few words, such as `(float32[784], int32[])`."""
    if isinstance(nest, tuple):
        return f"({', '.join(map(describe, nest))}{',' * (len(nest) == 1)})"
    if isinstance(nest, Mapping):
        return "{" + ", ".join(f"{key!r}: {describe(part)}" for key, part in nest.items()) + "}"
    if nest is None:
        return "None"
    if nest.shape is None:
        return f"{nest.dtype.name}[...]"
    sizes = ", ".join("?" if n is None else str(n) for n in nest.shape)
    return f"{nest.dtype.name}[{sizes}]"


def describe_value(value: Any) -> str:
    """Any object in a few words."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} of type {type(value).__name__}"


def stack(elements: list[Any], first: int) -> Any:
    """Elements of one structure as one batch.

    Args:
        elements: at least one.
        first: the number of `elements[0]` in its data set, for messages.

    Raises:
        ValueError: two elements differ in shape or dtype; names the element and the leaf.
    """
    try:
        return map_nest(_stack_leaf, *elements)
    except _UnlikeElement as error:
        number, want = error.args
        where = ""
        for (path, a), (_, b) in zip(leaves(elements[0]), leaves(elements[number]), strict=True):
            if a is want:
                where, got = path and f" at {path}", b
                break
        raise ValueError(
            f"batch: element {first + number} is {describe(got)}{where}, while element {first}, "
            f"the first of its batch, is {describe(want)}. The elements of a batch must have one "
            "shape and dtype; pad, crop or convert them with map() before batch()."
        ) from None


class _UnlikeElement(Exception):
    """Number of the unlike element in the batch, and the first element's leaf."""


def _stack_leaf(*parts: np.ndarray) -> np.ndarray:
    head = parts[0]
    shape, dtype = head.shape, head.dtype
    if dtype.kind in TEXT:  # texts of unlike length have unlike dtypes
        return np.stack(parts)
    out = np.empty((len(parts), *shape), dtype)
    for k, part in enumerate(parts):
        if part.shape != shape or part.dtype != dtype:
            raise _UnlikeElement(k, head)
        out[k] = part
    return out
