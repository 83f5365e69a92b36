"""The operations behind Python's operators, and the methods that make tensors arrays."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from weft.engine.errors import GraphError, SymbolError, user_line
from weft.engine.op import ArrayOp
from weft.engine.spec import as_dtype
from weft.engine.tensor import ArrayLike, Tensor, as_tensor, holds_tensor
from weft.engine.trace import record, recording, state
from weft.engine.variable import Variable

__all__ = [
    "absolute", "add", "astype", "bitwise_and", "bitwise_or", "bitwise_xor", "equal",
    "floor_divide", "getitem", "greater", "greater_equal", "invert", "less", "less_equal",
    "matmul", "mod", "multiply", "negative", "not_equal", "power", "stack", "subtract",
    "true_divide", "unstack",
]  # fmt: skip

add = ArrayOp(jnp.add)
subtract = ArrayOp(jnp.subtract)
multiply = ArrayOp(jnp.multiply)
true_divide = ArrayOp(jnp.true_divide, "divide")
floor_divide = ArrayOp(jnp.floor_divide, "floor_divide", differentiable=False)
mod = ArrayOp(jnp.mod, "mod")
_power = ArrayOp(jnp.power, "power")
_fixed_power = ArrayOp(lambda x, *, exponent, whole: jnp.power(x, exponent), "power")
# Exponents that XLA knows a short way for (squares, roots) when it sees them: as an input of the
# program, `x ** 2` takes 20 times as long. They are part of the program, all others are inputs.
_EXPONENTS = frozenset([-1.0, -0.5, 0.5, 0, 1, 2, 3, 4])
matmul = ArrayOp(jnp.matmul)
negative = ArrayOp(jnp.negative)
absolute = ArrayOp(jnp.abs, "absolute")
equal = ArrayOp(jnp.equal)
not_equal = ArrayOp(jnp.not_equal)
less = ArrayOp(jnp.less)
less_equal = ArrayOp(jnp.less_equal)
greater = ArrayOp(jnp.greater)
greater_equal = ArrayOp(jnp.greater_equal)
invert = ArrayOp(jnp.invert)
bitwise_and = ArrayOp(jnp.bitwise_and)
bitwise_or = ArrayOp(jnp.bitwise_or)
bitwise_xor = ArrayOp(jnp.bitwise_xor)
stack = ArrayOp(lambda *xs, axis=0: jnp.stack(xs, axis), "stack")
unstack = ArrayOp(
    lambda x, *, axis: tuple(lax.index_in_dim(x, i, axis, False) for i in range(x.shape[axis])),
    "unstack",
)
_astype = ArrayOp(lambda x, *, dtype: jnp.asarray(x).astype(dtype), "cast")


def power(x1: Any, x2: Any) -> Any:
    """x1 to the power x2."""
    kind = x2.__class__
    if (kind is int or kind is float) and x2 in _EXPONENTS:
        return _fixed_power(x1, exponent=x2, whole=kind is int)
    return _power(x1, x2)


def astype(x: Any, dtype: Any) -> Tensor:
    """`x` with another dtype; itself if it has that one."""
    kind = as_dtype(dtype)
    tensor = x if x.__class__ is Tensor else as_tensor(x)
    if tensor.spec.dtype == kind and not tensor.spec.weak:
        return tensor
    return record(_astype, (("dtype", kind),), (tensor,))


# -- indexing -----------------------------------------------------------------------------


def _getitem(x: Any, *given: Any, index: Any) -> Any:
    values = iter(given)
    full = []
    for part in index:
        if part == "?":
            full.append(next(values))
        elif isinstance(part, tuple):
            full.append(slice(*part))
        else:
            full.append(part)
    return x[tuple(full)]


_getitem_op = ArrayOp(_getitem, "getitem")


def getitem(x: Any, index: Any) -> Tensor:
    """`x[index]`: integers, slices, None, `...`, tensors and boolean masks.

    Integers are inputs of the program, so that a loop over them compiles once. A boolean mask's
    result has a shape that depends on values, so the mask is computed.

    Raises:
        IndexError: too many indices, or an integer out of range.
    """
    parts = [_part(p) for p in (index if isinstance(index, tuple) else (index,))]
    shape = x.shape
    rank = len(shape)
    used = sum(
        len(p.shape) if _is_mask(p) else 1 for p in parts if p is not None and p is not Ellipsis
    )
    if used > rank:
        raise IndexError(f"too many indices for a tensor of shape {tuple(shape)}: {used}.")
    static: list[Any] = []
    given: list[Any] = []
    axis = 0
    for part in parts:
        if part is None:
            static.append(None)
        elif part is Ellipsis:
            static.append(Ellipsis)
            axis += rank - used
        elif isinstance(part, slice):
            bounds = [_slice_bound(b) for b in (part.start, part.stop, part.step)]
            static.append(tuple(bounds))
            axis += 1
        elif _is_mask(part):
            mask = part.numpy() if isinstance(part, ArrayLike) else np.asarray(part)
            for where in np.nonzero(mask):
                static.append("?")
                given.append(where.astype("int32"))
                axis += 1
        elif isinstance(part, int | np.integer):
            size = _check_range(part, part, axis, shape)
            if state.trace.lazy:
                static.append("?")
                given.append(int(part) % size)
            else:
                static.append(int(part))
            axis += 1
        else:
            if isinstance(part, np.ndarray) and part.size:
                _check_range(part.min(), part.max(), axis, shape)
            static.append("?")
            given.append(part)
            axis += 1
    return record(_getitem_op, (("index", tuple(static)),), (x, *given))


def _is_mask(part: Any) -> bool:
    return isinstance(part, ArrayLike | np.ndarray | jax.Array) and part.dtype == np.bool_


def _part(part: Any) -> Any:
    """One part of an index; a list of numbers becomes an array."""
    if isinstance(part, list | tuple) and not holds_tensor(part):
        return np.asarray(part, None if len(part) else "int32")
    if isinstance(part, bool | float | complex | str | bytes | dict):
        raise IndexError(
            f"a tensor cannot be indexed with {part!r}. Use integers, slices, None, `...`, integer "
            "tensors or boolean masks."
        )
    return part


def _check_range(low: Any, high: Any, axis: int, shape: Any) -> int:
    """The size of an axis that indices from `low` to `high` fit in."""
    size = int(shape[axis])
    if low < -size or high >= size:
        raise IndexError(
            f"index {low if low < -size else high} is out of range for axis {axis} of a tensor of "
            f"shape {tuple(shape)}."
        )
    return size


def _slice_bound(bound: Any) -> int | None:
    return None if bound is None else operator.index(bound)


# -- methods ------------------------------------------------------------------------------


def _binary(op: ArrayOp, name: str) -> None:
    def forward(self: Any, other: Any) -> Any:
        try:
            return record(op, (), (self, other))
        except SymbolError:  # its own reflected operator notes a node
            return NotImplemented
        except TypeError:
            if _operand(other):
                raise
            return NotImplemented

    def reflected(self: Any, other: Any) -> Any:
        try:
            return record(op, (), (other, self))
        except TypeError:
            if _operand(other):
                raise
            return NotImplemented

    setattr(ArrayLike, f"__{name}__", forward)
    setattr(ArrayLike, f"__r{name}__", reflected)


def _operand(other: Any) -> bool:
    return isinstance(other, ArrayLike | bool | int | float | complex | np.ndarray | jax.Array)


def _compare(op: ArrayOp, name: str, default: Any) -> None:
    def method(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return default
        try:
            return record(op, (), (self, other))
        except SymbolError:
            return NotImplemented
        except TypeError:
            if _operand(other):
                raise
            return default

    setattr(ArrayLike, f"__{name}__", method)


for _op, _name in [
    (add, "add"), (subtract, "sub"), (multiply, "mul"), (true_divide, "truediv"),
    (floor_divide, "floordiv"), (mod, "mod"), (_power, "pow"), (matmul, "matmul"),
    (bitwise_and, "and"), (bitwise_or, "or"), (bitwise_xor, "xor"),
]:  # fmt: skip
    _binary(_op, _name)

for _op, _name, _default in [
    (equal, "eq", False), (not_equal, "ne", True), (less, "lt", NotImplemented),
    (less_equal, "le", NotImplemented), (greater, "gt", NotImplemented),
    (greater_equal, "ge", NotImplemented),
]:  # fmt: skip
    _compare(_op, _name, _default)


_any_pow = vars(ArrayLike)["__pow__"]


def _pow(self: Any, other: Any) -> Any:
    return power(self, other) if other.__class__ in (int, float) else _any_pow(self, other)


def _scalar(self: Any, kind: str) -> Any:
    tensor = self._read()  # held while it is read: another thread may replace a variable's
    value = tensor.array()
    if np.size(value) != 1:
        raise ValueError(
            f"{kind} of a tensor of shape {tuple(self.shape)}: only a tensor with one element can "
            "become a Python number. Reduce it first (mean, sum, any, all)."
        )
    return np.asarray(value).reshape(())[()]


def _index(self: Any) -> int:
    if not np.issubdtype(self.spec.dtype, np.integer) or self.shape != ():
        raise TypeError(
            f"a tensor of shape {tuple(self.shape)} and dtype {self.spec.dtype.name} cannot be an "
            "index; only an integer scalar can."
        )
    return int(_scalar(self, "int()"))


def _iterate(self: Any) -> Iterator[Tensor]:
    if self.shape == ():
        raise TypeError("a tensor without dimensions cannot be iterated over.")
    return iter(record(unstack, (("axis", 0),), (self,)) if self.shape[0] else ())


def _len(self: Any) -> int:
    if self.shape == ():
        raise TypeError("a tensor without dimensions has no len().")
    return self.shape[0]


def _to_numpy(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    value = self.numpy()
    if dtype is not None and value.dtype != dtype:
        return np.asarray(value.astype(dtype))
    return np.asarray(value.copy() if copy else value)


def _jax_hook(self: Any) -> Any:
    """`__jax_array__`, refused where taking the value out would silently cut a gradient or a trace.

    A property, because a jitted JAX function only asks for it, and refuses what has it.
    """
    tensor = self._read()
    symbolic = tensor._value is None and not tensor._trace.lazy
    if symbolic or any(t.follows(x) for t in recording() for x in (self, tensor)):
        by = "a function being traced" if not state.trace.lazy else "a GradientTape"
        raise GraphError(
            f"{user_line(2)}: a tensor (shape {tuple(self.shape)}, dtype {self.spec.dtype.name}) "
            f"that {by} is following was handed to a raw JAX function, which would lose it "
            "silently. Lift the function with weft.op, as in weft.op(jnp.sort)(x), or use "
            "weft.ops; weft.ops.stop_gradient(x) and numpy() take a value out on purpose."
        )
    return functools.partial(_to_jax, tensor)


def _to_jax(tensor: Tensor) -> jax.Array:
    value = tensor.array()
    return jnp.array(value, copy=True) if tensor._owner is not None else jnp.asarray(value)


def _dlpack(self: Any, **options: Any) -> Any:
    return _jax_hook(self)().__dlpack__(**options)


def _dlpack_device(self: Any) -> Any:
    array: Any = jnp.asarray(self._read().array())
    return array.__dlpack_device__()


def _format(self: Any, form: str) -> str:
    if form and self.shape == ():
        return format(_scalar(self, "format").item(), form)
    return format(str(self), form)


def _str(self: Any) -> str:
    tensor = self._read()
    if tensor._value is None and not tensor._trace.lazy:
        return repr(self)
    return str(self.numpy())


def _reshape(self: Any, *shape: Any) -> Tensor:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    return reshape(self, shape=tuple(int(n) for n in sizes))


reshape = ArrayOp(lambda x, *, shape: jnp.reshape(x, shape), "reshape")
transpose = ArrayOp(lambda x, *, axes=None: jnp.transpose(x, axes), "transpose")
_reductions = {
    name: ArrayOp(
        lambda x, *, f=f, axis=None, keepdims=False: f(x, axis=axis, keepdims=keepdims), name
    )
    for name, f in {"sum": jnp.sum, "mean": jnp.mean, "max": jnp.max, "min": jnp.min}.items()
}


def _reduction(name: str) -> Any:
    op = _reductions[name]

    # `dtype` and `out` stand where np.sum and its kin pass them.
    def method(
        self: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False
    ) -> Any:
        if out is not None:
            raise TypeError(f"{name}: a tensor cannot be written into `out`.")
        if dtype is not None:
            self = astype(self, dtype)
        axis = tuple(axis) if isinstance(axis, list) else axis
        return op(self, axis=axis, keepdims=keepdims)

    method.__name__ = name
    return method


_methods: dict[str, Any] = {
    "__getitem__": getitem,
    "__pow__": _pow,
    "__neg__": lambda self: record(negative, (), (self,)),
    "__pos__": lambda self: self.value if isinstance(self, Variable) else self,
    "__abs__": lambda self: record(absolute, (), (self,)),
    "__invert__": lambda self: record(invert, (), (self,)),
    "__hash__": object.__hash__,
    "__bool__": lambda self: bool(_scalar(self, "bool()")),
    "__float__": lambda self: float(_scalar(self, "float()")),
    "__int__": lambda self: int(_scalar(self, "int()")),
    "__complex__": lambda self: complex(_scalar(self, "complex()")),
    "__index__": _index,
    "__iter__": _iterate,
    "__len__": _len,
    "__array__": _to_numpy,
    "__jax_array__": property(_jax_hook),
    "__dlpack__": _dlpack,
    "__dlpack_device__": _dlpack_device,
    "__format__": _format,
    "__str__": _str,
    "ndim": property(lambda self: len(self.shape), doc="The number of dimensions."),
    "size": property(lambda self: self.shape.num_elements(), doc="The number of elements."),
    "T": property(lambda self: transpose(self), doc="The axes reversed."),
    "item": lambda self: _scalar(self, "item()").item(),
    "tolist": lambda self: self.numpy().tolist(),
    "astype": astype,
    "reshape": _reshape,
    "get_shape": lambda self: self.shape,
    **{name: _reduction(name) for name in _reductions},
}
for _name, _method in _methods.items():
    setattr(ArrayLike, _name, _method)
