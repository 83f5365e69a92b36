"""`Logs`: what callbacks are told, fetched from the device when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from weft.engine import ArrayLike, Tensor, Variable

__all__ = ["Logs", "as_number"]

_PLAIN = frozenset([float, int, bool, str, bytes, type(None)])
_MISSING = object()


class Logs(dict[str, Any]):
    """A dict of metric values that are fetched, each once, when they are read.

    It may be filled with tensors whose computation is not finished, or not begun; whoever reads
    gets a float (a NumPy array where the value is not a scalar), and only then does anybody wait.
    Keys, `len` and `in` fetch nothing, nor do `copy`, `update` and `|` with other logs. Metrics
    that come as a dict of their own are taken in as entries of this one.

    Args:
        entries: a mapping or pairs, with tensors, variables, arrays or numbers as values. A
            variable stands for its value at this moment.

    Example:
        >>> import weft
        >>> logs = Logs({"loss": weft.Variable(2.0) * 1.5, "epochs_left": 3})
        >>> "loss" in logs, logs["loss"]
        (True, 3.0)
        >>> dict(logs)
        {'loss': 3.0, 'epochs_left': 3}
    """

    __slots__ = ()

    def __init__(self, entries: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **more: Any):
        # An override of __iter__ makes `dict(logs)` and `{**logs}` come to __getitem__; a copy
        # that must not fetch goes through the plain dict of `unfetched`.
        super().__init__(entries.unfetched() if isinstance(entries, Logs) else entries, **more)
        for value in dict.values(self):
            if value.__class__ is not Tensor and value.__class__ not in _PLAIN:
                self._take_apart()
                break

    def _take_apart(self) -> None:
        for key, value in tuple(dict.items(self)):
            if isinstance(value, Variable):
                self[key] = value.value
            elif isinstance(value, dict):
                del self[key]
                self.update(value)

    # -- reading: fetches ---------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        value = dict.__getitem__(self, key)
        if value.__class__ not in _PLAIN:
            value = self[key] = as_number(value)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def _fetch(self) -> None:
        for key in dict.keys(self):
            self[key]

    def items(self) -> Any:
        self._fetch()
        return super().items()

    def values(self) -> Any:
        self._fetch()
        return super().values()

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        if default is not _MISSING and key not in self:
            return default
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        self._fetch()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        super().setdefault(key, default)
        return self[key]

    def __eq__(self, other: object) -> bool:
        self._fetch()
        if isinstance(other, Logs):
            other._fetch()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._fetch()
        return super().__repr__()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a pickle or a deep copy holds values, not their computation

    # -- without fetching ---------------------------------------------------------------------

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def unfetched(self) -> dict[str, Any]:
        """The entries as they are: tensors where nobody has read them yet."""
        return dict(dict.items(self))

    def ready(self) -> bool:
        """Whether reading everything would wait for no computation."""
        return all(map(_ready, dict.values(self)))

    def copy(self) -> Logs:
        """Logs with the same entries, fetched independently."""
        return Logs(self)

    __copy__ = copy

    def update(self, other: Any = (), /, **more: Any) -> None:
        super().update(Logs(other, **more).unfetched())

    def __or__(self, other: Any) -> Logs:  # type: ignore[override]
        if not isinstance(other, dict):
            return NotImplemented
        merged = Logs(self)
        merged.update(other)
        return merged

    def __ror__(self, other: Any) -> Logs:  # type: ignore[override]
        return Logs(other) | self if isinstance(other, dict) else NotImplemented

    def __ior__(self, other: Any) -> Logs:  # type: ignore[override]
        self.update(other)
        return self


def as_number(value: Any) -> Any:
    """A scalar of any kind as a float, a larger array as NumPy's, anything else as it is."""
    if isinstance(value, ArrayLike):
        value = value.numpy()
    elif isinstance(value, jax.Array):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return value
        value = value.item()
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _ready(value: Any) -> bool:
    if isinstance(value, ArrayLike):
        value = getattr(value, "_value", None)
        if value is None:
            return False
    is_ready = getattr(value, "is_ready", None)
    return is_ready() if is_ready is not None else not isinstance(value, jax.Array)
