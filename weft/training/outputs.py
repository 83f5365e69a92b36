"""`Outputs`: a model's outputs by name, and what is given for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from weft.engine import nest

__all__ = ["Outputs"]


class Outputs:
    """The outputs of a model by name, in the structure in which it returns them.

    An output in a dict has its key as name. One in a list has the name of the layer that it comes
    from, where that is known, else `output_1`, `output_2`, ... by its place. Inside a nest the
    keys on the way to it come first: `heads/left`. An only output has the name None.

    Args:
        y_pred: a tensor, or a nest of tensors.
        names: of the layers that the outputs come from, in order, where they are known.

    Example:
        >>> outputs = Outputs({"size": 1.0, "heads": [2.0, 3.0]}, ["a", "left", "right"])
        >>> outputs.by_name
        {'size': 1.0, 'heads/left': 2.0, 'heads/right': 3.0}
        >>> outputs.matched("loss", {"heads": ["mse", "mae"]}, spread=True)
        {'size': None, 'heads/left': 'mse', 'heads/right': 'mae'}
    """

    def __init__(self, y_pred: Any, names: Sequence[str] | None = None) -> None:
        leaves = list(nest.walk(y_pred))
        if names is not None and len(names) != len(leaves):
            names = None  # those of a graph that is not what made these outputs
        origins = iter(names or [f"output_{k + 1}" for k in range(len(leaves))])
        self._tree = _named(y_pred, (), origins)
        self.names: list[Any] = list(nest.walk(self._tree))
        self.single = len(leaves) == 1
        self._known: list[str] = []  # what an only output may be called
        if self.single:
            own = list(y_pred) if isinstance(y_pred, dict) else []
            self._known = [*(names or ()), *own]
            self.names = [None]
        self.by_name: dict[Any, Any] = dict(zip(self.names, leaves, strict=True))

    def shapes(self) -> Outputs:
        """The same with the outputs' shapes in place of tensors, which must not be kept."""
        made = copy(self)
        made.by_name = {name: tuple(value.shape) for name, value in self.by_name.items()}
        return made

    def prefix(self, name: str | None) -> str:
        """What stands before the names of an output's values in logs."""
        return "" if self.single else f"{name}_"

    def matched(self, what: str, given: Any, *, spread: bool, many: bool = False) -> dict[Any, Any]:
        """What is `given` for each output.

        Args:
            what: for messages: "y", "loss", ...
            given: in the structure of the outputs, dicts by name and lists in order, parts of it
                missing or None; one thing for an only output. None gives None for each.
            spread: whether one thing stands for all outputs below it.
            many: whether an output may have a list of things. A list that is not as long as that of
                the outputs, and has no lists in it, then stands for all of them.

        Raises:
            ValueError: a name or a number that does not fit.
        """
        found: dict[Any, Any] = {}
        if self.single:
            found[None] = self._only(what, given, many)
        else:
            self._match(self._tree, what, given, spread, many, found)
        return found

    def _only(self, what: str, given: Any, many: bool) -> Any:
        while _is_dict(given) or (isinstance(given, list | tuple) and not many and len(given) == 1):
            if not _is_dict(given):
                given = given[0]
                continue
            named = self._known and what not in _DATA  # data may call it what it likes
            if len(given) > 1 or (named and not set(given) <= set(self._known)):
                raise ValueError(
                    f"{what} names {list(given)}, but the model has one output{self._called}."
                )
            given = next(iter(given.values()), None)
        if isinstance(given, list | tuple) and not many and (what not in _DATA or _arrays(given)):
            raise ValueError(
                f"{what} has {len(given)} entries, but the model has one output{self._called}. "
                "Give one."
            )
        return given

    @property
    def _called(self) -> str:
        return f", {self._known[0]!r}" if self._known else ""

    def _match(
        self, tree: Any, what: str, given: Any, spread: bool, many: bool, found: dict[Any, Any]
    ) -> None:
        if not _is_nest(tree):
            found[tree] = given
            return
        keys = list(tree) if isinstance(tree, dict) else [_last(part) for part in tree]
        parts = list(tree.values()) if isinstance(tree, dict) else tree
        n = len(parts)
        if _is_dict(given):
            unknown = [k for k in given if k not in keys]
            if unknown:
                raise ValueError(
                    f"{what} names the outputs {unknown}, but the model's outputs are {keys}."
                )
            each = [given.get(k) for k in keys]
        elif isinstance(given, list | tuple) and not (
            many and len(given) != n and not any(map(_is_nest, given))
        ):
            if len(given) != n:
                raise ValueError(
                    f"{what} has {len(given)} entries for the {n} outputs {keys}. Give one for "
                    "each (None where there is none), or a dict by name."
                )
            each = list(given)
        elif spread or given is None:
            each = [given] * n
        else:
            raise ValueError(
                f"{what} must have one entry for each of the outputs {keys}, as a dict or list; "
                f"got one {type(given).__name__}."
            )
        for part, one in zip(parts, each, strict=True):
            self._match(part, what, one, spread, many, found)


def _named(part: Any, path: tuple[str, ...], origins: Iterator[str]) -> Any:
    """`part` with each leaf replaced by its name."""
    if isinstance(part, dict):
        return {key: _named(value, (*path, key), origins) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [
            _named(value, (*path, str(k) if _is_nest(value) else ""), origins)
            for k, value in enumerate(part)
        ]
    origin = next(origins)
    *outer, last = path or ("",)
    return "/".join(map(str, [*outer, last or origin]))


_DATA = ("y", "sample_weight")


def _is_nest(value: Any) -> bool:
    return isinstance(value, list | tuple) or _is_dict(value)


def _is_dict(value: Any) -> bool:
    """Whether it is a dict by name: a config, which says its class, is one thing."""
    return isinstance(value, dict) and "class_name" not in value


def _arrays(given: Any) -> bool:
    """Whether a list holds arrays, rather than being one of numbers."""
    return any(getattr(part, "shape", ()) for part in given)


def _last(part: Any) -> Any:
    """The name by which an entry of a list is called in a dict; a nest there has none."""
    return None if _is_nest(part) else str(part).rsplit("/", 1)[-1]
