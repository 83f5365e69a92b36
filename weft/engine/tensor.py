"""`Tensor`: a value that is there, is still to be computed, or stands for an input of a graph."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from weft.engine.errors import GraphError, SymbolError
from weft.engine.spec import Shape, Spec, as_dtype, spec, spec_of

if TYPE_CHECKING:
    from weft.engine.trace import Trace

__all__ = ["ArrayLike", "Tensor", "as_tensor", "host_tensor", "to_numpy"]


begun = [0]  # how many traces that become graphs have begun


class ArrayLike:
    """What `Tensor` and `Variable` share: the behaviour of an array.

    The operators are attached by `weft.engine.operators`, which needs the machinery that records
    operations, which needs this class.
    """

    __slots__ = ()
    # NumPy hands `ndarray + tensor` over to `Tensor.__radd__` instead of converting the tensor.
    __array_priority__ = 1000

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Tensor(ArrayLike):
    """An array of static shape and dtype, computed when its value is wanted.

    It is *concrete* (`_value` holds the array), *pending* (slot `_slot` of a lazy `_trace`) or
    *symbolic* (slot `_slot` of a trace that is becoming a graph). The `_slot` of one made concrete
    says when: how many traces had begun. `_owner` is a weak reference to
    the variable whose exclusive value this is, if it is one: such a buffer may be donated to the
    program that replaces it, so it never leaves the engine without being copied.
    """

    __slots__ = ("__weakref__", "_owner", "_slot", "_trace", "_value", "spec")

    spec: Spec
    _value: Any
    _trace: Trace | None
    _slot: int
    _owner: Any

    def __init__(self, value: Any, spec: Spec | None = None) -> None:
        self.spec = spec or spec_of(value)
        self._value = value
        self._trace = None
        self._slot = begun[0]
        self._owner = None

    @property
    def shape(self) -> Shape:
        """The static shape."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype, as NumPy's (compares equal to its name)."""
        return self.spec.dtype

    def _read(self) -> Tensor:
        return self  # a variable gives its value here

    def array(self) -> Any:
        """The array itself (JAX's, or NumPy's when it was not moved yet), computed if need be."""
        value = self._value
        if value is None:
            assert self._trace is not None
            self._trace.materialize(self)
            value = self._value
        return value

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array; waits for it. A variable's value is copied."""
        value = np.asarray(self.array(), self.spec.dtype)
        return value.copy() if self._owner is not None else value

    def __repr__(self) -> str:
        if self._value is None and self._trace is not None and not self._trace.lazy:
            return f"<weft.Tensor symbolic, shape={tuple(self.shape)}, dtype={self.dtype.name}>"
        return (
            f"<weft.Tensor shape={tuple(self.shape)}, dtype={self.dtype.name}, "
            f"value=\n{self.numpy()}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (np.asarray(self.numpy()), self.spec)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self  # a tensor never changes, so it is its own copy


def _restored(value: np.ndarray[Any, Any], kind: Spec) -> Tensor:
    return Tensor(value, kind)


_PYTHON_NUMBERS = {
    bool: spec((), np.dtype(bool), True),
    int: spec((), np.dtype("int32"), True),
    float: spec((), np.dtype("float32"), True),
    complex: spec((), np.dtype("complex64"), True),
}


def host_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor around a NumPy array that nobody will write to again; nothing is copied."""
    kind = as_dtype(array.dtype)
    if kind != array.dtype:
        array = array.astype(kind)
    return Tensor(array)


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """`value` as a tensor; a tensor is returned as it is.

    Args:
        value: a tensor, variable, number, NumPy or JAX array, nested list of those, or any object
            with `__array__`. A NumPy array is read now: writing to it later changes nothing here.
        dtype: what to convert an array or a list to; a tensor is left alone.

    Raises:
        TypeError: `value` is not an array or has a dtype that cannot be computed with.
    """
    kind = value.__class__
    if kind is Tensor:
        return value
    number = _PYTHON_NUMBERS.get(kind)
    if number is not None and dtype is None:
        if kind is int and not -(2**31) <= value < 2**31 and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
            raise OverflowError(
                f"the Python integer {value} does not fit in int32, weft's integer dtype. "
                "Use a float, or enable JAX's 64-bit mode (jax_enable_x64)."
            )
        return Tensor(value, number)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, ArrayLike):  # a variable
        return value._read()
    if isinstance(value, jax.Array):
        if isinstance(value, jax.core.Tracer):
            raise used_in_transformation(value)
        return Tensor(value if dtype is None else value.astype(as_dtype(dtype)))
    if isinstance(value, np.ndarray | np.generic):
        return Tensor(np.array(value, as_dtype(dtype or value.dtype), copy=True))
    if isinstance(value, list | tuple) and holds_tensor(value):
        from weft.engine.operators import stack  # the one upward reference of this module

        return stack(*value)
    if value is None or isinstance(value, str | bytes | dict | set):
        raise TypeError(f"expected a tensor, an array or a number, got {_short(value)}.")
    return _from_host(value, dtype)


def used_in_transformation(tracer: Any) -> SymbolError:
    """The error for a tracer of JAX's where weft keeps values."""
    return SymbolError(
        f"an array that JAX is tracing (shape {tuple(tracer.shape)}, dtype {tracer.dtype.name}) "
        "was given to something of weft's that keeps values. Inside jax.jit, jax.grad and the like "
        "use the stateless forms (stateless_call, stateless_update_state, stateless_apply), or in "
        "their place weft.function and GradientTape."
    )


def _from_host(value: Any, dtype: Any) -> Tensor:
    """A tensor from a list, a number with a wanted dtype, or a foreign array."""
    if "torch" in sys.modules and type(value).__module__.startswith("torch"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(
            f"cannot make one array of {_short(value)}: {error}. Nested lists must be rectangular."
        ) from error
    if dtype is None:
        if array.dtype.kind in "OSU":
            raise TypeError(
                f"expected numbers, got {_short(value)} (dtype {array.dtype}). "
                "Convert it to a numeric array first."
            )
        dtype = array.dtype
    return Tensor(np.array(array, as_dtype(dtype), copy=True))


def holds_tensor(value: Any) -> bool:
    """Whether a nested list or tuple has a tensor or variable anywhere in it."""
    if isinstance(value, list | tuple):
        return any(holds_tensor(item) for item in value)
    return isinstance(value, ArrayLike)


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """`value`, a tensor, variable or anything NumPy reads, as a NumPy array."""
    if isinstance(value, ArrayLike):
        return value.numpy()
    return np.asarray(value)


def _short(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"{text} of type {type(value).__name__}"


def leaked(tensor: Tensor) -> GraphError:
    """The error for a symbolic tensor used outside the trace that made it."""
    return GraphError(
        f"a symbolic tensor (shape {tuple(tensor.shape)}, dtype {tensor.dtype.name}) was used "
        "outside the function or loop body in which it was made; it has no value there. "
        "Return it from that function, or assign it to a weft.Variable inside."
    )
