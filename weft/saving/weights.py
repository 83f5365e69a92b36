"""Weights written to `.weights.h5` files and taken from them, in Keras 3's layout.

Loading has three stages: the file's arrays are compared with the model's variables, all of them;
then, if everything fits, they are read and assigned; what fails on the way is undone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weft.engine import SeedGenerator, Variable
from weft.layers.filed import Filed
from weft.layers.layer import Layer
from weft.layers.structure import own_weights
from weft.optimizers import Optimizer
from weft.optimizers.state import OptimizerState
from weft.optimizers.undoing import undone_on_error
from weft.saving import archive, hdf5
from weft.saving.atomic import existing, replacing, target
from weft.saving.paths import parts

__all__ = ["ENDING", "load_into", "load_weights", "save_weights", "write_weights"]

ENDING = ".weights.h5"
_SHOWN = 20  # of each list in an error


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
    """Take the weights of a layer or model from a file, weft's or Keras 3's.

    All must fit: otherwise nothing is changed.

    Args:
        model: a layer or model whose weights are made.
        filepath: a `.weights.h5` file, or a `.keras` file, of which the weights are taken.
        skip_mismatch: whether layers whose weights do not fit are left as they are, with a warning
            that lists them.
        kwargs: `by_name`, which these files do not have.

    Raises:
        ValueError: weights missing in the file, or in it but not in the model, or of other shapes:
            all are listed. Or it is no file of this kind, or damaged.
        FileNotFoundError, IsADirectoryError: there is no such file.
    """
    if kwargs.pop("by_name", False):
        raise ValueError(
            "load_weights: '.weights.h5' and '.keras' files are read by the layers' places, not "
            "by_name; their layers may be renamed freely."
        )
    _refuse("load_weights", kwargs)
    _check_layer("load_weights", model)
    path = existing(filepath)
    if path.name.endswith(".keras"):
        with archive.reading(path) as opened, opened.weights() as groups:
            load_into(model, groups, str(path), skip_mismatch)
    elif path.name.endswith(ENDING):
        with hdf5.read(path, path.stat().st_size, repr(str(path))) as groups:
            load_into(model, groups, str(path), skip_mismatch)
    else:
        raise ValueError(
            f"load_weights reads files whose names end in {ENDING!r} or '.keras', got "
            f"{str(path)!r}."
        )


def load_into(
    model: Any, groups: Mapping[str, hdf5.Group], where: str, skip_mismatch: bool, undo: bool = True
) -> None:
    """Compare the arrays of a file with a model's variables, and assign them if all fit.

    Args:
        model: a layer or model.
        groups: the file's arrays, by part.
        where: the file, for messages.
        skip_mismatch: whether parts that do not fit are left out with a warning.
        undo: whether the model is kept as it was where a value cannot be read.
    """
    found = parts(model)
    left = dict(groups)
    plan: list[tuple[Any, hdf5.Group]] = []
    misfits: list[_Misfit] = []
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
        of_optimizer = f"{path}/".startswith("optimizer/")  # a model may be compiled otherwise
        if not (group.optional or of_optimizer):
            misfits.append(_Misfit(path, extra=[(_join(path, k), group.shape(k)) for k in group]))
    if misfits:
        text = _report(model, misfits, where, dict(found))
        if not skip_mismatch:
            raise ValueError(f"{text}\nNothing was changed. skip_mismatch=True loads the rest.")
        warnings.warn(f"{text}\nThese were left out, all others loaded.", stacklevel=4)
    plan += _of_optimizers(model, groups, where)
    held = [v for part, _ in plan for v in _variables(part)] if undo else []
    with undone_on_error(held):
        for part, group in plan:
            if _is_plain(part):
                for k, variable in enumerate(_variables(part)):
                    variable.assign(group[str(k)])
            else:
                part.load_own_variables(group)


def _of_optimizers(model: Any, groups: Mapping[str, hdf5.Group], where: str) -> list[Any]:
    """The optimizers with their arrays; a warning for those whose arrays are not theirs."""
    for path, part in parts(model):
        # It has its slots from the first step on: if those in the file were made, here too.
        compiled = isinstance(part, Optimizer) and part is getattr(model, "optimizer", None)
        if compiled and len(groups.get(path, ())) > len(part.variables):
            part._ready(model.trainable_variables)
    plan = []
    for path, part in parts(model):
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


# -- comparing ------------------------------------------------------------------------------


class _Misfit:
    """What does not fit of one part: lists of texts, the arrays' and variables' places with them.

    Args:
        path: the part's.
        missing: variables that the file has nothing for: place, path, shape.
        extra: arrays that the model has nothing for: place, shape.
        unlike: pairs that differ: place, the array's shape and dtype, path, shape, dtype.
    """

    def __init__(self, path: str, missing: Any = (), extra: Any = (), unlike: Any = ()) -> None:
        self.path, self.missing, self.extra, self.unlike = path, missing, extra, unlike


def _compared(path: str, part: Any, group: hdf5.Group) -> _Misfit | None:
    """What does not fit of a part, or None."""
    if not _is_plain(part) and group:
        return None  # it says so itself as it reads them
    mine = {str(k): variable for k, variable in enumerate(_variables(part))}
    missing = [
        (_join(path, k), v.path, tuple(v.shape)) for k, v in mine.items() if k not in group
    ]  # fmt: skip
    extra = [(_join(path, k), group.shape(k)) for k in group if k not in mine]
    unlike = [
        (_join(path, k), group.shape(k), group.dtype(k).name, v.path, tuple(v.shape), v.dtype)
        for k, v in mine.items()
        if k in group
        and (group.shape(k) != tuple(v.shape) or _kind(group.dtype(k)) != _kind(v.spec.dtype))
    ]
    return _Misfit(path, missing, extra, unlike) if missing or extra or unlike else None


def _kind(dtype: np.dtype[Any]) -> str:
    return {"u": "i", "V": "f"}.get(dtype.kind, dtype.kind)


def _join(path: str, key: str) -> str:
    return f"{path}/vars/{key}" if path else f"vars/{key}"


def _report(model: Any, misfits: list[_Misfit], where: str, found: dict[str, Any]) -> str:
    """The lists of all that does not fit."""
    lists = {
        "missing in the file": [
            f"{place}, for {path} {shape}" for m in misfits for place, path, shape in m.missing
        ],
        "in the file, but not in the model": [
            f"{place} {shape}" for m in misfits for place, shape in m.extra
        ],
        "of another shape or dtype": [
            f"{place} {theirs} {its}, for {path} {shape} {dtype}"
            for m in misfits
            for place, theirs, its, path, shape, dtype in m.unlike
        ],
    }
    lines = [f"{where!r} does not fit {model.name!r} ({type(model).__name__})."]
    for what, rows in lists.items():
        if rows:
            lines.append(f"{what} ({len(rows)}):")
            lines += [f"  {row}" for row in rows[:_SHOWN]]
            if len(rows) > _SHOWN:
                lines.append(f"  and {len(rows) - _SHOWN} more")
    had = [found[m.path] for m in misfits if m.extra and m.path in found]
    unbuilt = [x.name for x in had if isinstance(x, Layer) and not x.built]
    if unbuilt:
        lines.append(
            f"The layers {unbuilt[:_SHOWN]} have no weights yet: call the model on data, or "
            "build(input_shape), first."
        )
    return "\n".join(lines)


def _warn_of_optimizer(part: Any, misfit: _Misfit, where: str) -> None:
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
