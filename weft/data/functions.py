"""Stages that run the user's Python: `Generator`, `Map` and `Filter`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from weft.data.iterator import call_on_tensors
from weft.data.nest import (
    as_array,
    as_element,
    describe,
    describe_value,
    leaves,
    map_nest,
    spec_of,
    unlike,
)
from weft.data.spec import TEXT, TensorSpec
from weft.data.stages import UNKNOWN, Stage
from weft.data.threads import run_ahead

__all__ = ["Filter", "Generator", "Map"]


class Generator(Stage):
    """What a generator yields, each array copied: the generator may fill one buffer again."""

    def __init__(self, make: Callable[..., Any], args: tuple[Any, ...], signature: Any) -> None:
        super().__init__()
        self.make, self.args, self.signature = make, args, signature
        self.runs_user_code = True

    def items(self) -> Iterator[Any]:
        wanted = self.signature
        values = self.make(*self.args)
        if not hasattr(values, "__iter__"):
            raise TypeError(
                f"from_generator: {_name(self.make)} must return an iterable, such as a generator, "
                f"but returned {describe_value(values)}."
            )
        for number, value in enumerate(values):
            element = as_element(value, lambda leaf: np.array(as_array(leaf)))
            if wanted is None:
                wanted = element  # the first element sets the structure
            if unlike(wanted, element):
                source = "the first" if self.signature is None else "output_signature"
                raise TypeError(
                    f"from_generator: element {number} is {describe(element)}, but {source} is "
                    f"{describe(wanted)}: the structure of tuples and dicts must be the same."
                )
            if self.signature is not None:
                element = self._fit(number, element)
            yield element

    def _fit(self, number: int, element: Any) -> Any:
        for (path, array), (_, spec) in zip(leaves(element), leaves(self.signature), strict=True):
            text = spec.dtype.kind in TEXT
            if not spec.accepts(array) or (array.dtype.kind in TEXT) != text:
                raise ValueError(
                    f"from_generator: element {number} is {describe(array)}"
                    f"{path and ' at ' + path}, but output_signature says {describe(spec)}."
                )
        return map_nest(
            lambda a, s: a if a.dtype.kind in TEXT else a.astype(s.dtype, copy=False),
            element,
            self.signature,
        )

    @cached_property
    def spec(self) -> Any:
        return spec_of(self.example()) if self.signature is None else self.signature

    def example(self) -> Any:
        for element in self.items():
            return element
        raise ValueError(
            "from_generator: the generator yields nothing, so the shapes of its elements are "
            "unknown. Pass output_signature=TensorSpec(shape, dtype), or a nest of them."
        )


class Map(Stage):
    """A function of the user's applied to each element, in `threads` threads at once."""

    def __init__(self, parent: Stage, function: Callable[..., Any], threads: int) -> None:
        super().__init__(parent)
        self.function, self.threads = function, threads
        self.runs_user_code = True

    def items(self) -> Iterator[Any]:
        elements = enumerate(self.parents[0].elements())
        if self.threads > 1:
            made = run_ahead(self._apply, elements, self.threads)
        else:
            made = (self._apply(number, element) for number, element in elements)
        return self._checked(made)

    def _checked(self, made: Iterator[Any]) -> Iterator[Any]:
        first = None
        for number, element in enumerate(made):
            first = element if first is None else first
            if unlike(first, element):
                raise TypeError(
                    f"map: {_name(self.function)} returned {describe(element)} for element "
                    f"{number}, but {describe(first)} for the first: the structure of tuples and "
                    "dicts must be the same."
                )
            yield element

    def _apply(self, number: int, element: Any) -> Any:
        return _call("map", self.function, number, element)

    @cached_property
    def spec(self) -> Any:
        example = self.parents[0].example()
        made = spec_of(_call("map", self.function, 0, example))
        # Batches vary in size where the parent's do: that first dimension is not a fixed one.
        before = [spec.shape for _, spec in leaves(self.parents[0].spec)]
        varies = all(shape and shape[0] is None for shape in before)
        sizes = {len(array) for _, array in leaves(example)} if varies else set()
        return map_nest(
            lambda s: TensorSpec((None, *s.shape[1:]), s.dtype) if {*s.shape[:1]} & sizes else s,
            made,
        )

    def example(self) -> Any:
        return _call("map", self.function, 0, self.parents[0].example())


class Filter(Stage):
    """The elements for which a function of the user's is true."""

    def __init__(self, parent: Stage, predicate: Callable[..., Any]) -> None:
        super().__init__(parent)
        self.predicate = predicate
        self.size = UNKNOWN
        self.runs_user_code = True

    def items(self) -> Iterator[Any]:
        for number, element in enumerate(self.parents[0].elements()):
            kept = _call("filter", self.predicate, number, element)
            if not isinstance(kept, np.ndarray) or kept.dtype != bool or kept.shape:
                raise TypeError(
                    f"filter: {_name(self.predicate)} must return one bool, but returned "
                    f"{describe(kept)} for element {number}, {describe(element)}."
                )
            if kept:
                yield element


def _call(stage: str, function: Callable[..., Any], number: int, element: Any) -> Any:
    """The user's function on one element; what goes wrong is told with the element's number."""
    try:
        made = call_on_tensors(function, element)
        if made is None:
            raise TypeError("it returned None instead of arrays. Is a return missing?")
        return made
    except Exception as error:
        count = len(element) if type(element) is tuple else 1
        raise RuntimeError(
            f"{stage}: {_name(function)} failed on element {number}, called with {count} "
            f"argument{'s' * (count != 1)}, {describe(element)}: {type(error).__name__}: {error}"
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
