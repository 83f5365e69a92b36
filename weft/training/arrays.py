"""A user's arrays, of whatever library, as nests of NumPy arrays; and a batch's three parts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from weft.engine import ArrayLike, as_dtype, to_numpy

__all__ = ["arrays", "check_lengths", "host_array", "packed", "split", "unpack"]

PARTS = ("x", "y", "sample_weight")

_NEITHER = (
    "a {} is neither an array of numbers nor an iterable of batches. Call a function that makes "
    "them, wrap a torch Dataset in a DataLoader, and batches by number in a weft.utils.PyDataset."
)


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """A batch as `(x, y, sample_weight)`, absent parts as None."""
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ValueError(
            f"a batch must be x, (x, y) or (x, y, sample_weight), got a tuple of {len(data)}."
        )
    return (*data, *[None] * (3 - len(data)))  # type: ignore[return-value]


def packed(data: tuple[Any, ...]) -> Any:
    """A batch as a step gets it: x alone where there is nothing else, as in Keras."""
    if len(data) == 1 and not isinstance(data[0], list | tuple):
        return data[0]
    return data


def host_array(value: Any) -> np.ndarray[Any, Any]:
    """An array-like as a NumPy array of a dtype that weft computes with; not copied if it is one.

    Raises:
        TypeError: it holds what is no number, has masked values, or is sparse.
    """
    kind = type(value).__name__
    if isinstance(value, ArrayLike):
        value = to_numpy(value)
    elif value.__class__ is not np.ndarray:
        value = _of_others(value)
    try:
        array = np.asarray(value)
    except ValueError:
        if not isinstance(value, list | tuple):
            raise TypeError(_NEITHER.format(kind)) from None
        raise TypeError(
            f"a {kind} of parts of unlike shapes is no array: pad them to one shape (sequences "
            "with weft.utils.pad_sequences)."
        ) from None
    if array.dtype.kind == "O":
        array = _of_numbers(array, kind)
    if array.dtype.kind in "SUMm" or array.dtype.names:
        raise TypeError(
            f"data must be numbers: a {kind} became an array of dtype {array.dtype.name}. Encode "
            "text, dates and categories as numbers first."
        )
    dtype = as_dtype(array.dtype)
    return array if array.dtype == dtype else array.astype(dtype)


def _of_others(value: Any) -> Any:
    """What another library has arrays in, as what NumPy makes arrays of."""
    if hasattr(value, "detach"):  # torch
        return value.detach().cpu().numpy()
    if hasattr(value, "to_numpy"):  # pandas, polars
        return value.to_numpy()
    if hasattr(value, "toarray"):  # scipy
        raise TypeError(
            f"a {type(value).__name__} is sparse, and only dense arrays are taken: pass its "
            "toarray(), or make dense batches of it in a weft.utils.PyDataset."
        )
    if hasattr(value, "filled") and np.ma.is_masked(value):
        raise TypeError(
            f"a {type(value).__name__} has values that are masked: give them a number "
            "(filled(number)), and leave them out by sample_weight."
        )
    return value


def _of_numbers(array: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    """An array of Python's objects as one of numbers, such as pandas makes of unlike columns.

    Raises:
        TypeError: one of them is no number; it is shown.
    """
    if not array.ndim:
        raise TypeError(_NEITHER.format(kind))
    for place, one in np.ndenumerate(array):
        if not isinstance(one, bool | int | float | np.number | np.bool):
            at = ", ".join(map(str, place))
            raise TypeError(
                f"data must be numbers: a {kind} holds {one!r} ({type(one).__name__}) at [{at}]. "
                "Encode text, dates and categories as numbers first, and give missing values one."
            )
    return np.asarray(array.tolist())


def arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, ...]:
    """`(x,)`, `(x, y)` or `(x, y, sample_weight)` as nests of host arrays.

    A pandas column is a vector in `sample_weight` and a matrix of one column elsewhere, as Keras
    has it.

    Raises:
        TypeError: a part is or holds what is no array of numbers; it is named.
        ValueError: `x` has no arrays in it.
    """
    parts: tuple[Any, ...] = (x,)
    if y is not None or sample_weight is not None:
        parts = (x, y) if sample_weight is None else (x, y, sample_weight)
    made = []
    for name, part in zip(PARTS, parts, strict=False):
        try:
            made.append(_nest(part, as_columns=name != "sample_weight"))
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
    if not jax.tree.leaves(made[0]):
        raise ValueError(f"x holds no arrays, got {x!r}.")
    return tuple(made)


def _nest(part: Any, as_columns: bool) -> Any:
    if isinstance(part, list) and part and not _holds_arrays(part):
        return host_array(part)  # a (nested) list of numbers is one array

    def leaf(value: Any) -> np.ndarray[Any, Any]:
        array = host_array(value)
        column = as_columns and array.ndim == 1 and hasattr(value, "to_numpy")
        return array[:, None] if column else array

    return jax.tree.map(leaf, part)


def _holds_arrays(value: Any) -> bool:
    """Whether a nested list has arrays at its ends; its first ends are looked at."""
    while isinstance(value, list | tuple) and len(value):
        value = value[0]
    return hasattr(value, "shape") or isinstance(value, dict)


def check_lengths(data: Any) -> int:
    """The common first dimension of all arrays.

    Raises:
        ValueError: it is not common, or zero; the arrays are named with theirs.
    """
    sizes: dict[str, int | str] = {}
    for name, part in zip(PARTS, data, strict=False):
        for path, array in jax.tree_util.tree_leaves_with_path(part):
            place = name + jax.tree_util.keystr(path)
            sizes[place] = array.shape[0] if array.shape else "a scalar"
    if not sizes:
        raise ValueError("the data holds no arrays.")
    found = set(sizes.values())
    if len(found) != 1 or "a scalar" in found:
        listed = ", ".join(f"{place}: {size}" for place, size in sizes.items())
        raise ValueError(
            f"the arrays must have the same number of examples (first dimension), got {listed}."
        )
    (n,) = found
    if n == 0:
        raise ValueError("the data has no examples (first dimension 0).")
    return int(n)


def split(data: tuple[Any, ...], fraction: float) -> tuple[Any, Any]:
    """The first part and the last `fraction` of arrays.

    Raises:
        ValueError: it is no fraction, or a part would be empty.
    """
    if not isinstance(fraction, float | int | np.number) or not 0 < fraction < 1:
        raise ValueError(f"validation_split must be between 0 and 1, got {fraction!r}.")
    n = check_lengths(data)
    at = int(n * (1 - fraction))
    if not 0 < at < n:
        raise ValueError(f"validation_split={fraction} of {n} examples leaves one part empty.")
    return jax.tree.map(lambda a: a[:at], data), jax.tree.map(lambda a: a[at:], data)
