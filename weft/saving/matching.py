"""A file's arrays compared with a model's variables: what does not fit, listed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from weft.engine import Variable
from weft.layers.layer import Layer
from weft.saving.hdf5 import Group

__all__ = ["Misfit", "compared", "settle"]

_SHOWN = 20  # of each list in an error


class Misfit:
    """What does not fit of one part.

    Args:
        path: the part's.
        missing: variables that the file has nothing for: place, path, shape.
        extra: arrays that the model has nothing for: place, shape.
        unlike: pairs that differ: place, the array's shape and dtype, path, shape, dtype.
    """

    def __init__(self, path: str, missing: Any = (), extra: Any = (), unlike: Any = ()) -> None:
        self.path, self.missing, self.extra, self.unlike = path, missing, extra, unlike


def compared(
    path: str, pairs: Iterable[tuple[str, Variable | None, str | None]], arrays: Group
) -> Misfit | None:
    """What does not fit of a part, or None.

    Args:
        path: the part's.
        pairs: for each place in the file the variable, and the name of the array; None for either
            that is not there.
        arrays: of the file, by name.
    """
    found = Misfit(path, [], [], [])
    for place, v, key in pairs:
        if v is None and key is not None:
            found.extra.append((place, arrays.shape(key)))
        elif v is not None and key is None:
            found.missing.append((place, v.path, tuple(v.shape)))
        elif v is not None and key is not None and not _alike(v, key, arrays):
            theirs = (arrays.shape(key), arrays.dtype(key).name)
            found.unlike.append((place, *theirs, v.path, tuple(v.shape), v.dtype))
    return found if found.missing or found.extra or found.unlike else None


def _alike(variable: Variable, key: str, arrays: Group) -> bool:
    kinds = _kind(arrays.dtype(key)), _kind(variable.spec.dtype)
    return arrays.shape(key) == tuple(variable.shape) and kinds[0] == kinds[1]


def _kind(dtype: np.dtype[Any]) -> str:
    return {"u": "i", "V": "f"}.get(dtype.kind, dtype.kind)


def settle(
    model: Any, misfits: list[Misfit], where: str, found: Mapping[str, Any], skip_mismatch: bool
) -> None:
    """Refuse what does not fit, or warn of it.

    Args:
        model: a layer or model.
        misfits: what does not fit, if anything.
        where: the file.
        found: the model's parts, by path.
        skip_mismatch: whether the rest is loaded.

    Raises:
        ValueError: something does not fit, and the rest is not wanted.
    """
    if not misfits:
        return
    text = _report(model, misfits, where, found)
    if not skip_mismatch:
        raise ValueError(f"{text}\nNothing was changed. skip_mismatch=True loads the rest.")
    warnings.warn(f"{text}\nThese were left out, all others loaded.", stacklevel=6)


def _report(model: Any, misfits: list[Misfit], where: str, found: Mapping[str, Any]) -> str:
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
