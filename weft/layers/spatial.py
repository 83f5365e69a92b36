"""`Spatial`: what layers over one, two or three spatial axes share."""

from __future__ import annotations

from typing import Any

from weft.engine import Tensor
from weft.layers.layer import Layer
from weft.layers.options import check_rank, data_format_of

__all__ = ["Spatial", "pairs_of"]

_AXES = {1: ("steps",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}


class Spatial(Layer):
    """A layer without weights over `rank` spatial axes, the channels behind them or before.

    Subclasses define `_apply(inputs)`, which gets inputs of the right rank.
    """

    rank: int
    takes_data_format = True  # not so where Keras knows (batch, steps, channels) alone

    def __init__(self, **kwargs: Any) -> None:
        given = kwargs.pop("data_format", None) if self.takes_data_format else None
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, given)
        self._first = self.data_format == "channels_first"
        self._axes = tuple(range(2, self.rank + 2) if self._first else range(1, self.rank + 1))

    def build(self, input_shape: Any) -> None:
        around = ["batch", *_AXES[self.rank]]
        around.insert(1 if self._first else self.rank + 1, "channels")
        check_rank(input_shape, self.rank + 2, f"({', '.join(around)})")

    def call(self, inputs: Any) -> Tensor:
        if len(inputs.shape) != self.rank + 2:
            self.build(tuple(inputs.shape))  # which refuses it
        return self._apply(inputs)

    def _apply(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        more = {"data_format": self.data_format} if self.takes_data_format else {}
        return {**super().get_config(), **more}


def pairs_of(layer: str, what: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of each spatial axis.

    Args:
        layer, what: the layer's class and the argument's name, for messages.
        value: an int for all; or one for each axis, an int or a pair; for one axis its pair itself.
        rank: the number of spatial axes.

    Raises:
        ValueError: another form, or a negative number.
    """
    many = (value,) * rank if rank == 1 or not isinstance(value, list | tuple) else value
    pairs = tuple(tuple(each) if isinstance(each, list | tuple) else (each,) * 2 for each in many)
    whole = all(len(pair) == 2 and all(map(_non_negative, pair)) for pair in pairs)
    if len(pairs) != rank or not whole:
        forms = "a pair (before, after)" if rank == 1 else f"{rank} of them, or {rank} pairs"
        raise ValueError(
            f"{layer}: {what} must be a non-negative integer, or {forms}, got {what}={value!r}."
        )
    return tuple((int(before), int(after)) for before, after in pairs)


def _non_negative(n: Any) -> bool:
    return not isinstance(n, bool) and hasattr(n, "__index__") and n >= 0
