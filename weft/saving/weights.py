"""Weights written to `.weights.h5` files and taken from them, in Keras 3's layout.

Loading has three stages: the file's arrays are compared with the model's variables, all of them;
then, if everything fits, they are read and assigned; what fails on the way is undone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weft.engine import SeedGenerator, Variable
from weft.layers.filed import Filed
from weft.layers.layer import Layer
from weft.layers.structure import own_weights
from weft.optimizers import Optimizer
from weft.optimizers.state import OptimizerState
from weft.optimizers.undoing import undone_on_error
from weft.saving import archive, hdf5, legacy
from weft.saving.atomic import existing, replacing, target
from weft.saving.by_name import renamed
from weft.saving.matching import Misfit, compared, settle
from weft.saving.paths import parts

__all__ = ["ENDING", "load_into", "load_weights", "save_weights", "write_weights"]

ENDING = ".weights.h5"


def save_weights(model: Any, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Write the weights of a layer or model to a `.weights.h5` file.

    The file is written aside and moved into its place: it is there as a whole, or as it was.

    Args:
        model: a layer or model whose weights are made.
        filepath: ends in ".weights.h5".
        overwrite: whether a file that is there is replaced.
        kwargs: `max_shard_size=None`, for Keras's sake: all weights are in one file.

    Raises:
        ValueError: another ending, or no weights were made yet.
        FileExistsError, IsADirectoryError, OSError: the path cannot be written to.

    Example:
        >>> import weft, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "dense.weights.h5")
        >>> one, two = (weft.Sequential([weft.Input((2,)), weft.layers.Dense(1)]) for _ in "ab")
        >>> one.save_weights(path)
        >>> two.load_weights(path)
        >>> bool((one.get_weights()[0] == two.get_weights()[0]).all())
        True
    """
    if kwargs.pop("max_shard_size", None) is not None:
        raise ValueError("save_weights: weights are written to one file; leave max_shard_size out.")
    _refuse("save_weights", kwargs)
    _check_layer("save_weights", model)
    path = target(filepath, (ENDING,), "a model's weights alone", overwrite)
    if not model.built:
        raise ValueError(
            f"save_weights: {model.name!r} ({type(model).__name__}) has no weights yet: call it on "
            "data, or build(input_shape), first."
        )
    with replacing(path) as aside:
        write_weights(model, aside)


def write_weights(model: Any, file: Any) -> None:
    """Write the values of a model's parts to a path or file object."""
    hdf5.write(file, _groups(model))


def _groups(model: Any) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """One part after the other, so that not all of the model is copied at once."""
    for path, part in parts(model):
        arrays: dict[str, Any] = {}
        if isinstance(part, SeedGenerator):
            arrays["0"] = part.state.numpy()
        else:
            part.save_own_variables(arrays)
        yield path, part.name, arrays, isinstance(part, SeedGenerator | Optimizer)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Take the weights of a layer or model from a file, weft's, Keras 3's or Keras 2's.

    All must fit: otherwise nothing is changed.

    Args:
        model: a layer or model whose weights are made.
        filepath: a `.weights.h5` file; a `.keras` file or Keras 2's `.h5` file of a whole model,
            of which the weights are taken; or Keras 2's `.h5` file of weights.
        skip_mismatch: whether layers whose weights do not fit are left as they are, with a warning
            that lists them.
        kwargs: `by_name=True` loads the layers that are named as one in the file, and leaves all
            others as they are: those that the model holds directly, with all that is inside them.
            Keras 3 has it for Keras 2's files only. `options=None`, for Keras 2's sake.

    Raises:
        ValueError: weights missing in the file, or in it but not in the model, or of other shapes:
            all are listed. Or it is no file of this kind, or damaged; or no layer has a name that
            is in the file; or Keras 2's has another number of layers, whose order alone says which
            is which.
        FileNotFoundError, IsADirectoryError: there is no such file.

    Example:
        A head of three classes is put on a network that was trained for ten.

        >>> import weft, tempfile, os
        >>> def classifier(classes, name):
        ...     layers = weft.layers.Dense(4, name="body"), weft.layers.Dense(classes, name=name)
        ...     return weft.Sequential([weft.Input((2,)), *layers])
        >>> path = os.path.join(tempfile.mkdtemp(), "ten.weights.h5")
        >>> old, new = classifier(10, "ten"), classifier(3, "three")
        >>> old.save_weights(path)
        >>> new.load_weights(path, by_name=True)
        >>> bool((old.get_weights()[0] == new.get_weights()[0]).all())
        True
    """
    by_name = bool(kwargs.pop("by_name", False))
    if kwargs.pop("options", None) is not None:
        raise ValueError("load_weights: options are for TensorFlow's checkpoints; leave them out.")
    _refuse("load_weights", kwargs)
    _check_layer("load_weights", model)
    path = _readable(filepath)
    where = str(path)
    if path.name.endswith(".keras"):
        with archive.reading(path) as opened, opened.weights() as contents:
            _load_from(contents, model, where, by_name, skip_mismatch)
    else:
        with hdf5.read(path, path.stat().st_size, repr(where)) as contents:
            _load_from(contents, model, where, by_name, skip_mismatch)


def _readable(filepath: Any) -> Path:
    name = os.fspath(filepath)
    if os.path.exists(f"{name}.index") and not os.path.exists(name):
        raise ValueError(
            f"{name!r} is a checkpoint of TensorFlow, which is not read. Load it there, and "
            "save_weights to a file that ends in '.h5'."
        )
    path = existing(filepath)
    if not path.name.endswith((".keras", ".h5", ".hdf5")):
        raise ValueError(
            f"load_weights reads files whose names end in {ENDING!r} or '.keras', and Keras 2's in "
            f"'.h5' or '.hdf5', got {str(path)!r}."
        )
    return path


def _load_from(
    contents: hdf5.Contents, model: Any, where: str, by_name: bool, skip_mismatch: bool
) -> None:
    if legacy.root(contents) is not None:  # whatever its name ends in
        legacy.load_into(model, contents, where, by_name, skip_mismatch)
        return
    found = parts(model)
    groups = contents.parts()
    if by_name:
        found, groups = renamed(found, contents, model)
    load_into(model, groups, where, skip_mismatch, found=found)


def load_into(
    model: Any,
    groups: Mapping[str, hdf5.Group],
    where: str,
    skip_mismatch: bool,
    undo: bool = True,
    found: list[tuple[str, Any]] | None = None,
) -> None:
    """Compare the arrays of a file with a model's variables, and assign them if all fit.

    Args:
        model: a layer or model.
        groups: the file's arrays, by part.
        where: the file, for messages.
        skip_mismatch: whether parts that do not fit are left out with a warning.
        undo: whether the model is kept as it was where a value cannot be read.
        found: the model's parts with their paths, all of them by default.
    """
    found = parts(model) if found is None else found
    left = dict(groups)
    plan: list[tuple[Any, hdf5.Group]] = []
    misfits: list[Misfit] = []
    for path, part in found:
        group = left.pop(path, hdf5.Group())
        if isinstance(part, Optimizer) or (isinstance(part, SeedGenerator) and not group):
            continue  # Keras's files have no seeds
        misfit = _compared(path, part, group)
        if misfit is not None:
            misfits.append(misfit)
        elif group:
            plan.append((part, group))
    for path, group in left.items():
        compiled = f"{path}/".startswith(("optimizer/", "metrics/"))  # it may be so otherwise
        if not (group.optional or compiled):
            extra = [(f"{path}/vars/{k}".strip("/"), group.shape(k)) for k in group]
            misfits.append(Misfit(path, extra=extra))
    settle(model, misfits, where, dict(found), skip_mismatch)
    plan += _of_optimizers(found, groups, model, where)
    held = [v for part, _ in plan for v in _variables(part)] if undo else []
    with undone_on_error(held):
        for part, group in plan:
            if _is_plain(part):
                for k, variable in enumerate(_variables(part)):
                    variable.assign(group[str(k)])
            else:
                part.load_own_variables(group)


def _compared(path: str, part: Any, group: hdf5.Group) -> Misfit | None:
    """What does not fit of a part, or None."""
    if not _is_plain(part) and group:
        return None  # it says so itself as it reads them
    mine = {str(k): variable for k, variable in enumerate(_variables(part))}
    pairs = (
        (f"{path}/vars/{k}".strip("/"), mine.get(k), k if k in group else None)
        for k in {**mine, **dict.fromkeys(group)}
    )
    return compared(path, pairs, group)


def _of_optimizers(
    found: list[tuple[str, Any]], groups: Mapping[str, hdf5.Group], model: Any, where: str
) -> list[Any]:
    """The optimizers with their arrays; a warning for those whose arrays are not theirs."""
    for path, part in found:
        # It has its slots from the first step on: if those in the file were made, here too.
        compiled = isinstance(part, Optimizer) and part is getattr(model, "optimizer", None)
        if compiled and len(groups.get(path, ())) > len(part.variables):
            part._ready(model.trainable_variables)
    plan = []
    for path, part in found:
        group = groups.get(path)
        if isinstance(part, Optimizer) and group:
            misfit = _compared(path, part, group)
            if misfit is None:
                plan.append((part, group))
            else:
                _warn_of_optimizer(part, misfit, where)
    return plan


def _variables(part: Any) -> list[Variable]:
    if isinstance(part, SeedGenerator):
        return [part.state]
    return part.variables if isinstance(part, Optimizer) else own_weights(part)


def _is_plain(part: Any) -> bool:
    """Whether a part's arrays are its variables in order: it does not read them by itself."""
    if isinstance(part, SeedGenerator):
        return True
    base = OptimizerState if isinstance(part, Optimizer) else Filed
    return type(part).load_own_variables is base.load_own_variables


def _warn_of_optimizer(part: Any, misfit: Misfit, where: str) -> None:
    have, got = len(part.variables), len(part.variables) - len(misfit.missing) + len(misfit.extra)
    warnings.warn(
        f"the state of the optimizer {part.name!r} was not loaded from {where!r}, which holds "
        f"{got} variables for its {have}, or others: it starts afresh. Compile the model as it "
        "was, with the same layers trainable; build(variables) an optimizer of your own first.",
        stacklevel=5,
    )


def _check_layer(function: str, model: Any) -> None:
    if not isinstance(model, Layer):
        raise TypeError(f"{function} takes a model or a layer, got {type(model).__name__}.")


def _refuse(function: str, unknown: dict[str, Any]) -> None:
    if unknown:
        raise TypeError(f"{function} got unknown arguments {sorted(unknown)}.")
