"""`Metric`: state that sums up batches, and the value that follows from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from weft.engine import Variable, as_dtype, boundary
from weft.engine.names import auto_name
from weft.engine.stateless import stateless
from weft.initializers import get as get_initializer
from weft.losses.lookup import forgotten_init

__all__ = ["Metric"]

_KEPT = ("name", "_dtype", "_updating", "_own")


def _as_round(update_state: Callable[..., Any]) -> Callable[..., Any]:
    """`update_state` such that each call from outside begins a round of the metric's.

    An evaluation loop in which nothing else asks for a value is one program a batch by this.
    """

    @functools.wraps(update_state)
    def begun(self: Metric, *args: Any, **kwargs: Any) -> Any:
        if self._updating:  # a subclass's, calling its base's
            return update_state(self, *args, **kwargs)
        boundary(self)
        self._updating = True
        try:
            return update_state(self, *args, **kwargs)
        finally:
            self._updating = False

    return begun


def _as_value(result: Callable[..., Any]) -> Callable[..., Any]:
    """`result` such that a variable that it returns stays as it is when the metric goes on."""

    @functools.wraps(result)
    def fixed(self: Metric, *args: Any, **kwargs: Any) -> Any:
        value = result(self, *args, **kwargs)
        if value is None:
            raise TypeError(
                f"{type(self).__name__}.result returned None: end it with `return` and the value, "
                "a tensor or a dict of them."
            )
        if isinstance(value, dict):
            return {k: v.value if isinstance(v, Variable) else v for k, v in value.items()}
        return value.value if isinstance(value, Variable) else value

    return fixed


class Metric:
    """Base of all metrics.

    Subclasses make their state in `__init__` with `add_weight`, change it in `update_state`, and
    compute from it in `result`.

    Args:
        name: the key in logs; the class's name in snake case by default, numbered where it is
            taken.
        dtype: of the state; float32 by default (in half precision sums would stop growing).

    Raises:
        TypeError: a name that is no string, or an unknown dtype.

    Example:
        >>> import weft
        >>> from weft.metrics import Metric
        >>> class Largest(Metric):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.largest = self.add_weight(name="largest", initializer=-1.0)
        ...     def update_state(self, values, sample_weight=None):
        ...         self.largest.assign(weft.ops.maximum(self.largest, weft.ops.max(values)))
        ...     def result(self):
        ...         return self.largest
        >>> metric = Largest()
        >>> metric.update_state([3.0, 1.0])
        >>> float(metric.result())
        3.0
        >>> metric.reset_state()
        >>> float(metric.result())
        -1.0
    """

    #: False until the first batch for a metric that makes its state only then.
    built = True
    #: Whether a row that weighs 0, or that the mask of the predictions leaves out, counts nothing.
    #: None as in `Layer`.
    by_row: bool | None = None

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name must be a string, got {name!r}.")
        self.name = name or auto_name(type(self))
        self._dtype = as_dtype("float32" if dtype is None else getattr(dtype, "name", dtype))
        self._updating = False
        self._own: list[tuple[Variable, np.ndarray[Any, Any]]] = []  # with their first values

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, wrap in (("update_state", _as_round), ("result", _as_value)):
            if name in cls.__dict__:
                setattr(cls, name, wrap(cls.__dict__[name]))
        # Overriding Keras 2's name of `reset_state` overrides both, and the other way round.
        for name, other in (("reset_state", "reset_states"), ("reset_states", "reset_state")):
            if name in cls.__dict__ and other not in cls.__dict__:
                setattr(cls, other, cls.__dict__[name])

    @property
    def dtype(self) -> str:
        """The name of the state's dtype."""
        return self._dtype.name

    # -- what a subclass writes -----------------------------------------------------------

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch into the state."""
        raise NotImplementedError(
            f"{type(self).__name__} has no update_state: write update_state(self, y_true, y_pred, "
            "sample_weight=None), which assigns to the metric's variables."
        )

    def result(self) -> Any:
        """The metric's value now: a scalar tensor, or a dict of them."""
        raise NotImplementedError(
            f"{type(self).__name__} has no result: write result(self), returning a tensor computed "
            "from the metric's variables (for example, return self.total)."
        )

    def reset_state(self) -> None:
        """Give the variables their first values again; those made elsewhere become zero."""
        for metric in self._parts(Metric):
            metric.reset_state()
        first = {id(variable): value for variable, value in self._own}
        for variable in self._parts(Variable):
            value = first.get(id(variable))
            variable.assign(np.zeros(variable.shape, variable.dtype) if value is None else value)

    reset_states = reset_state  # Keras 2's name

    # -- state ----------------------------------------------------------------------------

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        aggregation: Any = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the metric's state; it is not trainable.

        Args:
            shape: its shape.
            initializer: an initializer or its name ("zeros", the default), a number, an array, or a
                callable `(shape, dtype) -> array`. `reset_state` returns to the same first value.
            dtype: the metric's by default; half precision becomes float32.
            aggregation: how the copies of several processes are combined: "sum", "mean", ...
            name: for messages and files.

        Raises:
            ValueError: an unknown initializer.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = self._dtype if dtype is None else as_dtype(getattr(dtype, "name", dtype))
        if kind.itemsize < 4 and dtype is None:
            kind = as_dtype("float32")
        value = _first_value(initializer, shape, kind)
        variable = Variable(
            value,
            shape=shape,
            dtype=kind,
            trainable=False,
            autocast=False,
            name=name,
            aggregation=str(getattr(aggregation, "value", aggregation)).lower(),
        )
        variable.path = f"{self.name}/{variable.name}"
        self._own.append((variable, value))
        return variable

    def add_weight(
        self,
        *args: Any,
        name: str | None = None,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        aggregation: Any = "sum",
        **_: Any,
    ) -> Variable:
        """`add_variable` in Keras's other spellings.

        Args:
            args: `shape, initializer, dtype, name`, Keras 3's order, or, beginning with a string,
                Keras 2's `name, shape, aggregation`.
            name, shape, initializer, dtype, aggregation: as in `add_variable`.
        """
        given = {"name": name, "shape": shape, "initializer": initializer, "dtype": dtype}
        keras_2 = args and isinstance(args[0], str)
        order = ("name", "shape", "aggregation") if keras_2 else (*tuple(given)[1:], "name")
        if len(args) > len(order):
            raise TypeError(
                f"{type(self).__name__}.add_weight takes {', '.join(order)} by position, got "
                f"{len(args)} values: {args!r}."
            )
        given = {**given, "aggregation": aggregation, **dict(zip(order, args, strict=False))}
        return self.add_variable(**given)

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics kept as attributes included."""
        inner = [v for metric in self._parts(Metric) for v in metric.variables]
        return list({id(v): v for v in [*self._parts(Variable), *inner]}.values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """None of the state is trained."""
        return []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All of the state."""
        return self.variables

    def _parts(self, kind: type) -> list[Any]:
        """The variables made by `add_weight` and set as attributes, or the metrics set so."""
        found = {id(v): v for v, _ in self._own if isinstance(v, kind)}
        for key, value in vars(self).items():
            if key not in _KEPT:
                found.update((id(v), v) for v in _walk(value, kind))
        return list(found.values())

    def merge_state(self, metrics: Iterable[Metric]) -> None:
        """Add the state of metrics of the same kind, which saw other batches, to this one's.

        Raises:
            ValueError: one of them has other variables than this metric; nothing is changed then.
        """
        metrics = [metric for metric in metrics if metric.built]  # the others saw no batch
        if not metrics:
            return
        wanted: Metric = self if self.built else metrics[0]
        shapes = [tuple(v.shape) for v in wanted.variables]
        for other in metrics:
            theirs = [tuple(v.shape) for v in other.variables]
            if theirs != shapes or not (self.built or isinstance(other, type(self))):
                raise ValueError(
                    f"cannot merge {other!r} into {self!r}: its variables have the shapes "
                    f"{theirs}, expected {shapes}. Merge metrics of one class and configuration."
                )
        if not self.built:
            self._build_as(wanted)
        for other in metrics:
            for mine, its in zip(self.variables, other.variables, strict=True):
                mine.assign_add(its)

    def _build_as(self, other: Metric) -> None:
        """Make the state that `other` has, where it is made with the first batch."""

    # -- as pure functions, for JAX's transformations ------------------------------------

    def stateless_update_state(self, metric_variables: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """The values of `variables` after an update, from those before it; nothing is changed.

        Args:
            metric_variables: arrays in the order of `variables`.
            args, kwargs: of `update_state`.
        """
        return stateless(self, _updated)(self.variables, metric_variables, *args, **kwargs)[1]

    def stateless_result(self, metric_variables: Any) -> Any:
        """The result for these values of `variables`, as JAX arrays."""
        return stateless(self, _resulting)(self.variables, metric_variables)[0]

    def stateless_reset_state(self) -> list[Any]:
        """The values that `reset_state` would give `variables`."""
        values = [v.array() for v in self.variables]
        return stateless(self, _reset)(self.variables, values)[1]

    # -- around it ------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Update the state with a batch, and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """What makes an equal metric; a subclass adds its own arguments."""
        # `compile` puts the output before the name.
        return {"name": self.__dict__.get("_base_name", self.name), "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The metric of a config."""
        return cls(**config)

    def __getattr__(self, attribute: str) -> Any:
        if attribute in _KEPT:
            raise RuntimeError(forgotten_init(type(self)))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")

    def __repr__(self) -> str:
        return f"<weft.metrics.{type(self).__name__} {self.name!r}>"


def _updated(metric: Metric, *args: Any, **kwargs: Any) -> None:
    metric.update_state(*args, **kwargs)


def _resulting(metric: Metric) -> Any:
    return metric.result()


def _reset(metric: Metric) -> None:
    metric.reset_state()


def _walk(value: Any, kind: type) -> Iterator[Any]:
    """Objects of `kind` in a nest of lists, tuples and dicts."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk(item, kind)


def _first_value(initializer: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A new variable's value, made on the host."""
    if initializer is None:
        return np.zeros(shape, dtype)
    if isinstance(initializer, str | dict | type):
        initializer = get_initializer(initializer)
    if callable(initializer):
        initializer = initializer(shape, dtype=dtype.name)
    value = np.asarray(initializer).astype(dtype)
    return value if value.ndim else np.full(shape, value)
