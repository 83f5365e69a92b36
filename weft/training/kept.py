"""What a step leaves on a model's layers: tensors on their attributes, and values that they log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.engine import Tensor, ValueNeededError, nest
from weft.engine.trace import state
from weft.layers.added import Logged

__all__ = ["Before", "Kept"]


class Kept:
    """The tensors that a step left on attributes of a model's layers, to be there afterwards.

    While a step is traced they stand for values that come at every run: they are made results of
    its program, and each run puts what it computed in their places. Each run also says of the
    values that layers log in it that there are some.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self.places: list[tuple[Any, str, Any]] = []  # (attributes of a layer, name, nest)
        self.tensors: list[Tensor] = []
        self.logged = [m for m in _logged(layers) if not m.idle]
        for layer in layers:
            for name, value in vars(layer).items():
                if name == "_losses":  # the step's, and used up in it
                    continue
                found = [t for t in nest.walk(value) if _of_this_trace(t)]
                if found:
                    self.places.append((vars(layer), name, value))
                    self.tensors += found

    def __bool__(self) -> bool:
        return bool(self.tensors or self.logged)

    def put(self, tensors: Sequence[Tensor]) -> None:
        """Set the attributes to the values of a run."""
        for metric in self.logged:
            metric.idle = False
        values = iter(tensors)
        stands = {id(t) for t in self.tensors}
        for attributes, name, value in self.places:
            attributes[name] = nest.mapped(lambda t: next(values) if id(t) in stands else t, value)


class Before:
    """The tensors on attributes of a model's layers when a step begins to be traced."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers
        self.logged = {m: m.idle for m in _logged(layers)}
        for metric in self.logged:
            metric.idle = True
        self.values = {
            (id(vars(layer)), name): (layer, value)
            for layer in layers
            for name, value in vars(layer).items()
            if any(t.__class__ is Tensor for t in nest.walk(value))
        }

    def put_back(self) -> None:
        """Put them back: the Python broke off, and what it assigned stands for no value."""
        for attributes, name, _ in Kept(self.layers).places:
            attributes[name] = self.values.get((id(attributes), name), (None, None))[1]
        for metric in _logged(self.layers):
            metric.idle = self.logged.get(metric, True)

    def check(self, kept: Kept) -> None:
        """Refuse a tensor that the step reads and replaces: its program would read the first one.

        Raises:
            ValueNeededError: there is one.
        """
        for attributes, name, _ in kept.places:
            layer, old = self.values.get((id(attributes), name), (None, None))
            if any(id(t) in state.trace.leaf_slots for t in nest.walk(old)):
                what = f"{type(layer).__name__}.{name}"
                raise ValueNeededError(
                    f"{what} is a tensor that the step reads and replaces. Make it a weft.Variable "
                    "that is not trainable, and assign it.",
                    f"{what}, which it reads and replaces; a weft.Variable would be compiled",
                )


def _of_this_trace(value: Any) -> bool:
    return value.__class__ is Tensor and value._value is None and value._trace is state.trace


def _logged(layers: Sequence[Any]) -> list[Logged]:
    """The values that layers log."""
    return [m for layer in layers for m in layer._added_metrics.values() if isinstance(m, Logged)]
