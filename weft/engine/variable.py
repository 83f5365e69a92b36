"""`Variable`: state with a name, whose value changes by assignment."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import ref

import jax
import numpy as np

from weft.engine import trace as tracing
from weft.engine.errors import ShapeError
from weft.engine.op import Op
from weft.engine.spec import Shape, Spec, as_dtype, spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import isolated, record, state

__all__ = ["Variable", "note_toggled", "toggled", "trainable_state", "trainable_version"]

_cast = Op(lambda x, *, dtype: x.astype(dtype), "cast")
_copy = Op(lambda x: x, "read")
# A tape sees an assignment as a boundary: reading afterwards gives a value without a history.
_set = Op(lambda x, *, dtype: x.astype(dtype), "assign", differentiable=False)


@jax.custom_vjp
def _replaced(x: Any, old: Any) -> Any:
    return x


_replaced.defvjp(
    lambda x, old: (x, None),
    lambda _, cotangent: (jax.numpy.zeros_like(cotangent), cotangent),
)
# Inside a graph that is differentiated as a whole, what is read after the assignment counts
# towards the variable, as what was read before does, and nothing towards the value assigned.
_set_inside = Op(
    lambda x, old, *, dtype: _replaced(x.astype(dtype), old), "assign", differentiable=False
)
_add = Op(lambda x, y: (x + y).astype(x.dtype), "assign_add")
_sub = Op(lambda x, y: (x - y).astype(x.dtype), "assign_sub")

_trainable_version = 0
_trainable_state = 0
_marks: dict[int, tuple[Any, int]] = {}  # of what was toggled: a weak reference, a random number
_toggled: dict[int, Any] = {}  # what is toggled away from its first state: its weak reference
_created = 0


def trainable_version() -> int:
    """Grows whenever any variable's or layer's `trainable` changes."""
    return _trainable_version


def trainable_state() -> int:
    """A number for what is trainable: it is as it was when all that was toggled is toggled back.

    Traced programs are kept under it, so one for a state that comes again is found again.
    """
    return _trainable_state


def toggled() -> dict[int, Any]:
    """What is toggled away from its first `trainable` now: weak references by id."""
    return dict(_toggled)


def _forget(place: int) -> None:
    _marks.pop(place, None)
    _toggled.pop(place, None)


def note_toggled(things: Iterable[Any]) -> None:
    """Note that the `trainable` of these variables and layers changed."""
    global _trainable_version, _trainable_state
    for thing in things:
        place = id(thing)
        if place not in _marks:
            gone = ref(thing, lambda _, place=place: _forget(place))  # type: ignore[misc]
            _marks[place] = (gone, secrets.randbits(64))
        weak, number = _marks[place]
        _trainable_state ^= number
        if _toggled.pop(place, None) is None:
            _toggled[place] = weak
        _trainable_version += 1


class Variable(ArrayLike):
    """A value that changes by assignment, with a fixed shape and dtype.

    Args:
        initializer: the first value (a number, array, tensor or nested list), or a callable
            `(shape, dtype) -> array`.
        shape: needed with a callable, otherwise checked against the value.
        dtype: defaults to the value's (float32 for a callable).
        trainable: whether tapes watch it by themselves and `trainable_variables` lists it.
        name: for messages and files; made up if absent.
        aggregation: kept for Keras's sake ("none", "mean", "sum", "only_first_replica").
        initial_value: TensorFlow's name for `initializer`.

    Raises:
        TypeError: no initial value, or one that is no array.
        ShapeError: the initial value has another shape than `shape`.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0]).numpy()
        array([2., 3.], dtype=float32)
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_serial",
        "_tensor",
        "_trainable",
        "_weak",
        "aggregation",
        "constraint",
        "name",
        "path",
        "regularizer",
        "spec",
    )

    def __init__(
        self,
        initializer: Any = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        initial_value: Any = None,
        constraint: Callable[..., Any] | None = None,
    ) -> None:
        global _created
        if initializer is None:
            initializer = initial_value
        if initializer is None:
            raise TypeError("weft.Variable needs an initial value (or an initializer and a shape).")
        value = _initial(initializer, shape, dtype)
        if shape is not None and tuple(shape) != tuple(value.shape):
            raise ShapeError(
                f"weft.Variable {name or ''!r}: the initial value has shape {tuple(value.shape)}, "
                f"but shape={tuple(shape)} was given."
            )
        _created += 1
        self._serial = _created
        self.name = name or f"variable_{_created}"
        self.path = self.name
        self.spec: Spec = spec(tuple(value.shape), value.dtype)
        self.constraint = constraint
        self.regularizer: Any = None
        self.aggregation = aggregation
        self.autocast = autocast
        self.synchronization = synchronization
        self._trainable = bool(trainable)
        self._weak = ref(self)
        self._tensor: Tensor
        self._hold(Tensor(_own(value), self.spec))

    def _hold(self, tensor: Tensor) -> None:
        tensor._owner = self._weak
        self._tensor = tensor

    def _read(self) -> Tensor:
        """The value here, as the operand of an operation."""
        return state.trace.read(self)

    @property
    def value(self) -> Tensor:
        """The value at this moment, as a tensor that later assignments leave alone."""
        return record(_copy, (), (self,))

    def read_value(self) -> Tensor:
        """TensorFlow's spelling of `value`."""
        return self.value

    @property
    def shape(self) -> Shape:
        """The static shape."""
        return self.spec.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self.spec.dtype.name

    @property
    def trainable(self) -> bool:
        """Whether tapes watch this variable by themselves."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if bool(value) != self._trainable:
            self._trainable = bool(value)
            note_toggled([self])

    def array(self) -> Any:
        """A copy of the value as a JAX array."""
        tensor = self._read()  # held while it is copied: another thread may replace it
        return jax.numpy.array(tensor.array(), copy=True)

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy of the value as a NumPy array; waits for it."""
        return self._read().numpy()

    def assign(self, value: Any, *_: Any, **__: Any) -> Variable:
        """Replace the value.

        Args:
            value: of this variable's shape; converted to its dtype.

        Raises:
            ShapeError: the shape differs. Nothing is changed then.
        """
        fresh = not isinstance(value, ArrayLike)
        tensor = as_tensor(value)
        if tensor.spec.shape != self.spec.shape:
            raise ShapeError(
                f"cannot assign to variable {self.path!r}: it has shape {tuple(self.shape)}, "
                f"the value has {tuple(tensor.shape)}. A variable's shape is fixed; reshape the "
                "value, or make a new variable."
            )
        trace = state.trace
        trace.boundary(self)
        trace = state.trace
        if fresh and trace.lazy and tensor._value is not None:
            self._replace(Tensor(_own(np.asarray(tensor._value, self.spec.dtype)), self.spec))
        else:
            set_value(self, tensor)
        return self

    def assign_add(self, value: Any, *_: Any, **__: Any) -> Variable:
        """Add to the value."""
        return self._update(_add, value)

    def assign_sub(self, value: Any, *_: Any, **__: Any) -> Variable:
        """Subtract from the value."""
        return self._update(_sub, value)

    def _update(self, op: Op, value: Any) -> Variable:
        state.trace.boundary(self)
        result = record(op, (), (self._read(), value))
        if result.spec is not self.spec:
            raise ShapeError(
                f"cannot {op.name} to variable {self.path!r} of shape {tuple(self.shape)}: "
                f"the result would have shape {tuple(result.shape)}."
            )
        give_value(self, result)
        return self

    def _replace(self, tensor: Tensor) -> None:
        """Take a tensor that nobody else holds as the new value."""
        tensor._owner = self._weak
        state.trace.write(self, tensor)

    def __repr__(self) -> str:
        head = f"<weft.Variable {self.path!r} shape={tuple(self.shape)}, dtype={self.dtype}"
        if not state.trace.lazy:
            return head + ">"
        return f"{head}, value=\n{self.numpy()}>"

    def _described(self) -> dict[str, Any]:
        """What a copy has beside the value, the name and `trainable`."""
        own = ("path", "constraint", "regularizer", "aggregation")
        return {**self.__dict__, **{key: getattr(self, key) for key in own}}

    def __setstate__(self, described: dict[str, Any]) -> None:
        for key, value in described.items():
            setattr(self, key, value)

    def __deepcopy__(self, memo: Any) -> Variable:
        twin = _restored(self.numpy(), self.name, self._trainable)
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self._described(), memo))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.numpy(), self.name, self._trainable), self._described()


tracing._variable = Variable


def cast(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """A tensor in another dtype."""
    return record(_cast, (("dtype", dtype),), (tensor,))


def set_value(variable: Variable, tensor: Tensor) -> None:
    """Record an assignment of a tensor that others may hold."""
    params = (("dtype", variable.spec.dtype),)
    if state.trace.lazy or not variable.spec.inexact:
        new = record(_set, params, (tensor,))
    else:
        new = record(_set_inside, params, (tensor, variable._read()))
    variable._replace(new)


def give_value(variable: Variable, tensor: Tensor, detached: bool = False) -> None:
    """Assign a tensor of the variable's own spec that the caller gives away.

    `detached` says that no gradient goes through it (its operation stops them), so that a tape
    needs no boundary there.
    """
    if not detached and variable.spec.inexact and (state.tapes or not state.trace.lazy):
        set_value(variable, tensor)
    else:
        variable._replace(tensor)


def give_values(variables: Sequence[Variable], tensors: Sequence[Tensor]) -> None:
    """`give_value` for many at once."""
    if state.tapes:
        for variable, tensor in zip(variables, tensors, strict=True):
            set_value(variable, tensor)
    else:
        write = state.trace.write
        for variable, tensor in zip(variables, tensors, strict=True):
            tensor._owner = variable._weak
            write(variable, tensor)


def _restored(value: Any, name: str, trainable: bool) -> Variable:
    return Variable(value, name=name, trainable=trainable)


def _initial(initializer: Any, shape: Any, dtype: Any) -> Any:
    """The first value as an array, computed outside of whatever is being traced."""
    kind = as_dtype(dtype) if dtype is not None else None
    if callable(initializer) and not isinstance(initializer, ArrayLike):
        if shape is None:
            initializer = initializer()
        else:
            with isolated():
                made = initializer(tuple(shape), dtype=kind or np.dtype("float32"))
                value = made.array() if isinstance(made, ArrayLike) else np.asarray(made)
            return value if kind is None or value.dtype == kind else value.astype(kind)
    if isinstance(initializer, ArrayLike):
        value = initializer.array()
    else:
        with isolated():
            tensor = as_tensor(initializer)
            value = np.asarray(tensor.array(), tensor.dtype)
    return value if kind is None or value.dtype == kind else value.astype(kind)


def _own(value: Any) -> Any:
    """A device array that shares its buffer with nothing."""
    with jax.ensure_compile_time_eval():  # inside jax.jit too a variable's value is an array
        if isinstance(value, np.ndarray):
            return jax.device_put(value, may_alias=False)
        return jax.numpy.array(value, dtype=value.dtype, copy=True)
