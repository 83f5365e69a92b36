"""What Keras users find under `utils`: seeds, labels and sequences as arrays, names, pictures."""

from __future__ import annotations

import gc
import random
from typing import Any

import numpy as np

from weft import ops
from weft.data.splitting import split_dataset
from weft.engine import (
    ArrayLike,
    CustomObjectScope,
    KerasTensor,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    set_seed,
)
from weft.engine.names import clear_names
from weft.models.plotting import model_to_dot, plot_model
from weft.precision import set_global_policy
from weft.training.loop_bar import Progbar
from weft.training.py_dataset import PyDataset
from weft.training.sources import unpack

__all__ = [
    "CustomObjectScope", "Progbar", "PyDataset", "Sequence", "clear_session", "custom_object_scope",
    "get_custom_objects", "get_registered_name", "get_registered_object", "get_source_inputs",
    "is_keras_tensor", "model_to_dot", "normalize", "pack_x_y_sample_weight", "pad_sequences",
    "plot_model", "register_keras_serializable", "set_random_seed", "split_dataset",
    "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip

Sequence = PyDataset  # Keras 2's name


def set_random_seed(seed: int) -> None:
    """Seed everything: Python's and NumPy's global generators, and weft (`weft.random.set_seed`).

    Args:
        seed: from 0 to 2³² - 1.

    Raises:
        ValueError: another seed. Nothing is seeded then.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed needs a whole number from 0 to 2**32 - 1, got {seed!r}.")
    set_seed(seed)
    random.seed(int(seed))
    np.random.seed(seed)


def clear_session(free_memory: bool = True) -> None:
    """Start again as in a new process: layers' names are numbered from the beginning, and the
    global dtype policy is float32.

    Args:
        free_memory: whether Python's garbage collector is run, too.
    """
    clear_names()
    set_global_policy("float32")
    if free_memory:
        gc.collect()


# -- labels and sequences ---------------------------------------------------------------------


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot vectors.

    Args:
        x: whole numbers, of any shape; a last axis of size 1 falls away.
        num_classes: the length of the vectors; the greatest class and one by default.

    Returns:
        A float64 array of shape (*x.shape, num_classes); of a tensor a float32 tensor.

    Raises:
        ValueError: a number that is no class.

    Example:
        >>> from weft.utils import to_categorical
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    given = np.asarray(x)
    if given.ndim > 1 and given.shape[-1] == 1:
        given = given[..., 0]
    classes = given.astype("int64")
    count = num_classes if num_classes is not None else int(classes.max(initial=-1)) + 1
    odd = given[(classes != given) | (classes < 0) | (classes >= count)]
    if odd.size:
        raise ValueError(
            f"to_categorical: with num_classes={count} the classes are whole numbers from 0 to "
            f"{count - 1}, got {odd.flat[0]}."
        )
    if isinstance(x, ArrayLike):
        return ops.one_hot(ops.convert_to_tensor(classes.astype("int32")), count)
    made = np.zeros((*classes.shape, count))
    np.put_along_axis(made, classes[..., None], 1, -1)
    return made


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """An array divided by its norm along an axis; zeros stay.

    Args:
        x: an array, or a tensor: then a tensor is returned.
        axis: along which the norm is taken.
        order: of the norm: 2 is the Euclidean.

    Example:
        >>> from weft.utils import normalize
        >>> normalize([[3.0, 4.0]])
        array([[0.6, 0.8]])
    """
    if isinstance(x, ArrayLike):
        return ops.normalize(x, axis=axis, order=order)
    array = np.asarray(x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """Sequences of several lengths as one array.

    Args:
        sequences: lists of numbers, or of arrays of one shape.
        maxlen: the length that they get; the longest's by default.
        dtype: of the array.
        padding: whether a short one is filled up at its beginning ("pre") or its end ("post").
        truncating: where a long one loses elements, likewise.
        value: what is filled in.

    Returns:
        An array of shape (number of sequences, maxlen, ...).

    Raises:
        ValueError: another place than "pre" and "post", or elements of different shapes.
        TypeError: something that is no sequence.

    Example:
        >>> from weft.utils import pad_sequences
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, place in (("padding", padding), ("truncating", truncating)):
        if place not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {name} must be 'pre' or 'post', got {place!r}.")
    odd = [x for x in sequences if not hasattr(x, "__len__")]
    if odd:
        raise TypeError(f"pad_sequences takes a list of sequences, got {odd[0]!r} among them.")
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    arrays = [np.asarray(x) for x in sequences]
    if truncating == "pre":
        arrays = [array[max(len(array) - length, 0) :] for array in arrays]
    else:
        arrays = [array[:length] for array in arrays]
    shapes = {array.shape[1:] for array in arrays if len(array)}
    if len(shapes) > 1:
        raise ValueError(f"pad_sequences: all elements need one shape, got {sorted(shapes)}.")
    made = np.full((len(arrays), length, *(shapes.pop() if shapes else ())), value, dtype)
    for row, array in zip(made, arrays, strict=True):
        start = length - len(array) if padding == "pre" else 0
        row[start : start + len(array)] = array
    return made


# -- batches ----------------------------------------------------------------------------------


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch in the form that `fit` takes: x, (x, y) or (x, y, sample_weight)."""
    if sample_weight is not None:
        return (x, y, sample_weight)
    if y is not None:
        return (x, y)
    return (x,) if isinstance(x, list | tuple) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """A batch as (x, y, sample_weight), with None for what it does not have.

    Raises:
        ValueError: a tuple of more than three.
    """
    return unpack(tuple(data) if isinstance(data, list) else data)


# -- symbolic tensors -------------------------------------------------------------------------


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a symbolic tensor, as `weft.Input` gives and layers make of it."""
    return isinstance(x, KerasTensor)


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """The inputs that a symbolic tensor is computed from.

    Args:
        tensor: a symbolic tensor.

    Raises:
        TypeError: something else.
    """
    if not isinstance(tensor, KerasTensor):
        raise TypeError(f"get_source_inputs takes a symbolic tensor, got {type(tensor).__name__}.")
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    todo = [tensor]
    while todo:
        symbol = todo.pop()
        if id(symbol) in seen:
            continue
        seen.add(id(symbol))
        if symbol.node is None or not symbol.node.inputs:
            found[id(symbol)] = symbol
        else:
            todo += reversed(symbol.node.inputs)
    return list(found.values())
