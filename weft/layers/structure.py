"""`Structure`: what a layer holds, found through its attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.engine import (
    ArrayLike,
    SeedGenerator,
    ShapeError,
    Variable,
    note_toggled,
    trainable_version,
)
from weft.layers import tracking
from weft.metrics import Metric

__all__ = ["Structure", "computed", "own_weights"]


class computed:
    """A property that gives way: a layer may have an attribute of its name, `self.outputs = ...`.

    Args:
        getter: a method that gives the value.
    """

    def __init__(self, getter: Callable[[Any], Any]) -> None:
        self.getter = getter
        self.__doc__ = getter.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self.getter(instance)


class Structure:
    """The half of `Layer` that knows its weights, metrics, seeds and inner layers.

    An attribute that is one of those, or a list, tuple or dict with some inside, belongs to the
    layer. What is found is kept until the structure of any layer changes.
    """

    name: str

    def __init__(self, trainable: bool) -> None:
        self.__dict__.update(
            _trainable=bool(trainable), _own_weights=[], _added_metrics={}, _caches={}
        )
        tracking.changed()

    # -- attributes -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if _structural(value):
            if "_own_weights" not in self.__dict__ and isinstance(value, _STATE):
                forgotten(self)
            value = tracking.track(value)
            tracking.changed()
        elif _structural(self.__dict__.get(name)):
            tracking.changed()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        tracking.changed()
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        if "_own_weights" not in self.__dict__ and name in _SET_BY_INIT:
            forgotten(self)
        found = getattr(type(self), name, None)
        if isinstance(found, property | computed):
            found.__get__(self)  # its getter raised an AttributeError, which says more
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _cached(self, what: str, make: Callable[[], list[Any]]) -> list[Any]:
        now = tracking.version() + trainable_version()  # both only grow
        kept = self._caches.get(what)
        if kept is None or kept[0] != now:
            kept = self._caches[what] = (now, make())
        return kept[1]  # type: ignore[no-any-return]

    def _children(self) -> list[Any]:
        """The layers, variables, metrics and seed generators that belong to this layer directly."""
        return self._cached("children", self._find_children)

    def _find_children(self) -> list[Any]:
        found: dict[int, Any] = {id(v): v for v in self._own_weights}
        for name, value in self.__dict__.items():
            if name not in _NOT_STATE:
                for item in tracking.walk(value, _STATE):
                    found.setdefault(id(item), item)
        return list(found.values())

    def _flatten_layers(self, include_self: bool = True) -> list[Any]:
        """This layer and all below it, each once, parents first."""
        found: dict[int, Structure] = {}

        def visit(layer: Structure) -> None:
            if id(layer) not in found:
                found[id(layer)] = layer
                for child in layer._children():
                    if isinstance(child, Structure):
                        visit(child)

        visit(self)
        return list(found.values())[0 if include_self else 1 :]

    def _all(self, what: str, own: Callable[[Any], list[Any]]) -> list[Any]:
        """`own` of this layer and all below it, each once."""

        def make() -> list[Any]:
            found: dict[int, Any] = {}
            for layer in self._cached("layers", self._flatten_layers):
                for item in own(layer):
                    found.setdefault(id(item), item)
            return list(found.values())

        return self._cached(what, make)

    @computed
    def layers(self) -> list[Any]:
        """The layers that belong to this one directly."""
        return [child for child in self._children() if isinstance(child, Structure)]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of this layer and those below it, those of `add_metric` among them."""
        return list(self._all("metrics", _own_metrics))

    # -- weights --------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """The variables of this layer and those below it, without seeds and metrics."""
        return list(self._all("weights", own_weights))

    @property
    def variables(self) -> list[Variable]:
        """`weights` and the states of random seeds."""
        return list(self._all("variables", _own_variables))

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes; none of a layer that is not trainable."""
        return list(self._all("trainable", _own_trainable) if self._trainable else ())

    @property
    def trainable_weights(self) -> list[Variable]:
        """`trainable_variables`."""
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All variables that training does not change."""
        return _without(self.variables, self.trainable_variables)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """All weights that training does not change."""
        return _without(self.weights, self.trainable_variables)

    @property
    def trainable(self) -> bool:
        """Whether this layer's weights are trained. Setting it sets all layers below too."""
        return self._trainable  # type: ignore[no-any-return]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        changed = [layer for layer in self._flatten_layers() if layer._trainable != value]
        for layer in changed:
            object.__setattr__(layer, "_trainable", value)
        note_toggled(changed)

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`, as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Set the values of `weights`.

        Args:
            weights: one array for each weight, in their order.

        Raises:
            ValueError: the number or a shape differs. Nothing is changed then.
        """
        mine = self.weights
        if len(mine) != len(weights):
            raise ValueError(
                f"layer {self.name!r} has {len(mine)} weights, got {len(weights)} values. "
                + ("Call or build the layer first." if not mine else "")
            )
        values = [w if isinstance(w, ArrayLike) else np.asarray(w) for w in weights]
        for variable, value in zip(mine, values, strict=True):
            if tuple(variable.shape) != tuple(value.shape):
                raise ShapeError(
                    f"layer {self.name!r}: weight {variable.path!r} has shape "
                    f"{tuple(variable.shape)}, got a value of shape {tuple(value.shape)}."
                )
        for variable, value in zip(mine, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of numbers in `weights`."""
        return sum(v.shape.num_elements() for v in self.weights)


def own_weights(layer: Structure) -> list[Variable]:
    """Trainable ones first, each kind in the order in which they were made."""
    mine = [v for v in layer._children() if isinstance(v, Variable)]
    mine.sort(key=lambda v: v._serial)
    return [v for v in mine if v.trainable] + [v for v in mine if not v.trainable]


def _own_variables(layer: Structure) -> list[Variable]:
    seeds = [child.state for child in layer._children() if isinstance(child, SeedGenerator)]
    return [*own_weights(layer), *seeds]


def _own_trainable(layer: Structure) -> list[Variable]:
    return [v for v in own_weights(layer) if v.trainable] if layer._trainable else []


def _own_metrics(layer: Structure) -> list[Metric]:
    mine = [child for child in layer._children() if isinstance(child, Metric)]
    return [*mine, *layer._added_metrics.values()]


def _without(variables: list[Variable], those: list[Variable]) -> list[Variable]:
    left_out = {id(v) for v in those}
    return [v for v in variables if id(v) not in left_out]


def _structural(value: Any) -> bool:
    """Whether an attribute of this value may change what the layer holds.

    A tuple never changes, so one without state in it (a shape, say) does not count.
    """
    if isinstance(value, tuple):
        return any(_structural(item) for item in value)
    return isinstance(value, _STRUCTURAL)


def forgotten(layer: Any) -> Any:
    """Raise the error of a layer whose `__init__` did not run."""
    raise RuntimeError(
        f"{type(layer).__name__}.__init__ did not call super().__init__(). Make that its first "
        "line, before any attribute is set."
    )


_STATE = (Structure, Variable, Metric, SeedGenerator)
_STRUCTURAL = (*_STATE, list, dict, set)
_NOT_STATE = frozenset(
    [
        "_own_weights", "_losses", "_loss_functions", "_added_metrics", "_caches", "_made_with",
        "_nodes",
    ]
)  # fmt: skip
_SET_BY_INIT = frozenset(["built", "dtype_policy", "name", "_trainable", "_own_weights", "_caches"])
