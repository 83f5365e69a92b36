"""`class_weight`: weights by class, made weights by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.training.arrays import host_array, unpack

__all__ = ["ClassWeights", "weighted_by_class"]


class ClassWeights:
    """A function of a batch (or of all data) that gives each example its class's weight.

    An example's weight is w[c] for its class c, times its own weight where it has one; a class
    without a weight counts 1. Classes are whole numbers (floats are rounded), or the greatest
    entry of a one-hot vector; with an axis of time each step has its own.

    Args:
        weights: class -> weight; with several outputs output -> class -> weight.
        names: of the outputs, where `y` is a list of them.

    Raises:
        ValueError: a key that is no class, or a weight that is no number; when called, targets
            that are not there, or in another structure than the weights.
    """

    def __init__(self, weights: Mapping[Any, Any], names: Sequence[str] | None = None) -> None:
        if not isinstance(weights, Mapping):
            raise ValueError(
                f"class_weight must be a dict from classes to weights, got {weights!r}."
            )
        self.names = names
        self.by_output = bool(weights) and all(isinstance(w, Mapping) for w in weights.values())
        self.tables: Any = (
            {name: _Table(table) for name, table in weights.items()}
            if self.by_output
            else _Table(weights)
        )

    def __call__(self, data: Any) -> tuple[Any, Any, Any]:
        x, y, sample_weight = unpack(data)
        if y is None:
            raise ValueError("class_weight needs targets (y), to see the classes of.")
        if not self.by_output:
            single = _only(y)
            factor = self.tables(single)
            return x, y, _like(y, _product(_only(sample_weight), factor))
        return x, y, self._several(y, sample_weight)

    def _several(self, y: Any, sample_weight: Any) -> Any:
        """Weights in the structure of `y`; ones for outputs that have none."""
        if isinstance(y, Mapping):
            names, targets = list(y), list(y.values())
        elif isinstance(y, list | tuple):
            names, targets = list(self.names or range(len(y))), list(y)
        else:
            names, targets = list(self.names or self.tables)[:1], [y]
        unknown = [name for name in self.tables if name not in names]
        if unknown or len(names) != len(targets):
            raise ValueError(
                f"class_weight is for outputs {list(self.tables)}, but y has {names}. Give y as a "
                "dict by the outputs' names, and class_weight for some of them."
            )
        given = [_part(sample_weight, k, name) for k, name in enumerate(names)]
        made = [
            _product(own, self.tables[name](target) if name in self.tables else _ones(target))
            for own, name, target in zip(given, names, targets, strict=True)
        ]
        if isinstance(y, Mapping):
            return dict(zip(names, made, strict=True))
        return type(y)(made) if isinstance(y, list | tuple) else made[0]


class _Table:
    """Weights of classes, looked up for arrays of them."""

    def __init__(self, weights: Mapping[Any, Any]) -> None:
        for label, weight in weights.items():
            whole = isinstance(label, int | float | np.number) and label == int(label)
            if not whole or not isinstance(weight, int | float | np.number):
                raise ValueError(
                    "class_weight must be a dict from classes (whole numbers) to weights, got the "
                    f"entry {label!r}: {weight!r}."
                )
        self.labels = np.array(sorted(weights), "int64")
        self.weights = np.array([weights[label] for label in sorted(weights)], "float32")

    def __call__(self, y: Any) -> np.ndarray[Any, Any]:
        labels = _labels(host_array(y))
        if not len(self.labels):
            return np.ones(labels.shape, "float32")
        place = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        known = self.labels[place] == labels
        return np.where(known, self.weights[place], np.float32(1))


def _labels(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if y.ndim > 1 and y.shape[-1] > 1:
        if y.dtype.kind not in "iu" or y.max(initial=0) <= 1:
            return y.argmax(-1)
    elif y.ndim > 1:
        y = y[..., 0]
    return np.rint(y).astype("int64")


def _only(value: Any) -> Any:
    """What stands for the one output."""
    if isinstance(value, Mapping | list | tuple):
        if len(value) != 1:
            raise ValueError(
                f"y has {len(value)} outputs; class_weight must then be a dict by the outputs' "
                "names of dicts from classes to weights."
            )
        return next(iter(value.values() if isinstance(value, Mapping) else value))
    return value


def _like(y: Any, weight: Any) -> Any:
    if isinstance(y, Mapping):
        return {name: weight for name in y}
    return type(y)([weight]) if isinstance(y, list | tuple) else weight


def _part(sample_weight: Any, k: int, name: str) -> Any:
    if isinstance(sample_weight, Mapping):
        return sample_weight.get(name)
    return sample_weight[k] if isinstance(sample_weight, list | tuple) else sample_weight


def _ones(y: Any) -> np.ndarray[Any, Any]:
    return np.ones(len(y), "float32")


def _product(weight: Any, factor: np.ndarray[Any, Any]) -> Any:
    """Both weights of examples; the one of lower rank holds along the further axes."""
    if weight is None:
        return factor
    weight = host_array(weight)
    rank = max(weight.ndim, factor.ndim)
    weight, factor = (a.reshape(a.shape + (1,) * (rank - a.ndim)) for a in (weight, factor))
    return weight * factor


def weighted_by_class(
    data: Any, weights: Mapping[Any, Any], names: Sequence[str] | None = None
) -> tuple[Any, Any, Any]:
    """The data with each example's weight multiplied by that of its class."""
    return ClassWeights(weights, names)(data)
