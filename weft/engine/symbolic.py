"""Symbolic tensors: what a functional model is described with.

A `KerasTensor` has a dtype and a shape in which dimensions may be unknown, and no value. A layer
or a public operation called on one makes a `Node`: what was called, with which arguments. Its
outputs' shapes are found by running it on stand-in sizes without computing anything; a model runs
the same calls again on data.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax

from weft.engine import nest
from weft.engine.errors import ShapeError, SymbolError, user_line
from weft.engine.names import number
from weft.engine.spec import Shape, as_dtype, spec
from weft.engine.tensor import ArrayLike
from weft.engine.trace import SymbolicTrace, isolated, state

__all__ = [
    "Call", "KerasTensor", "Node", "attach", "call_symbolically", "function_named",
    "holds_symbol", "holds_tracer", "infer", "public_functions", "publish", "symbols_in", "tracked",
    "used_as_value",
]  # fmt: skip

# Sizes that stand for an unknown dimension, one at a time: an output dimension that differs
# between the two is unknown too. Both divide by most small numbers, so that a reshape of an
# unknown dimension mostly goes through. The second pair is for windows larger than the first.
_STAND_INS = ((840, 1680), (27720, 55440))


class KerasTensor(ArrayLike):
    """A symbolic tensor: a shape, in which None is an unknown dimension, and a dtype.

    Args:
        shape: ints and None.
        dtype: float32 by default.
        name: for messages; made up if absent.

    Attributes:
        node: the call that it comes from.
        index: which of that call's outputs it is.
    """

    __slots__ = ("__weakref__", "dtype", "index", "name", "node", "shape")

    def __init__(
        self,
        shape: Iterable[int | None],
        dtype: Any = "float32",
        name: str | None = None,
        node: Node | None = None,
        index: int = 0,
    ) -> None:
        self.shape = Shape(shape)  # type: ignore[arg-type]
        self.dtype = as_dtype(dtype)
        self.name = name or number("keras_tensor")
        self.node = node
        self.index = index

    def _read(self) -> Any:
        raise used_as_value(self)

    def __repr__(self) -> str:
        return (
            f"<KerasTensor shape={tuple(self.shape)}, dtype={self.dtype.name}, name={self.name}>"
        )


def used_as_value(symbol: KerasTensor) -> SymbolError:
    """The error for a symbolic tensor that something wants the value of."""
    return SymbolError(
        f"{user_line(2)}: the symbolic tensor {symbol.name!r} (shape {tuple(symbol.shape)}, dtype "
        f"{symbol.dtype.name}) was used as a value, but it only describes a model: it has no value "
        "until the model is called on data. Work on it with layers and weft.ops; put other Python "
        "into a layer's call, and lift a JAX function with weft.op."
    )


class Node:
    """One call of a layer or an operation on symbolic tensors."""

    __slots__ = ("__weakref__", "args", "inputs", "kwargs", "operation", "outputs", "symbols")

    def __init__(self, operation: Any, args: Any, kwargs: Any, made: Any) -> None:
        self.operation = operation
        self.args, self.kwargs = args, kwargs
        self.inputs = symbols_in((args, kwargs))
        self.symbols: list[KerasTensor] = []  # the outputs, flat
        self.outputs = nest.mapped(self._output, made)  # in the structure that the call returns

    def _output(self, made: Any) -> Any:
        if not isinstance(made, KerasTensor):
            return made
        if made.node is not None:  # handed on as it came: the node's output is another symbol
            made = KerasTensor(made.shape, made.dtype)
        made.node, made.index = self, len(self.symbols)
        self.symbols.append(made)
        return made

    def __repr__(self) -> str:
        return f"<Node {self.operation.name}>"


class Call:
    """A public operation in a functional model: a function with the arguments of one call."""

    def __init__(self, function: Any, name: str | None = None) -> None:
        self.function = function
        self.name = name or number(getattr(function, "__name__", "op").strip("_<>"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


# -- looking for symbols --------------------------------------------------------------------


def holds_symbol(value: Any) -> bool:
    """Whether a nest of arguments has a symbolic tensor, or a tracer of JAX's, anywhere in it."""
    kind = value.__class__
    if kind is KerasTensor:
        return True
    if isinstance(value, list | tuple):
        return any(map(holds_symbol, value))
    if isinstance(value, dict):
        return any(map(holds_symbol, value.values()))
    return isinstance(value, jax.core.Tracer)


def holds_tracer(value: Any) -> bool:
    """Whether a nest of arguments has a tracer of JAX's in it."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in nest.walk(value))


def symbols_in(value: Any) -> list[KerasTensor]:
    """The symbolic tensors of a nest, in Keras's order, which a model's layers follow."""
    return [leaf for leaf in nest.by_key(value) if isinstance(leaf, KerasTensor)]


# -- recording ------------------------------------------------------------------------------


def infer(call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What `call` would return, new symbolic tensors in place of its tensors; nothing is computed.

    Raises:
        ShapeError: the shapes do not fit; unknown dimensions are shown as None.
    """
    if not any(None in symbol.shape for symbol in symbols_in((args, kwargs))):
        return nest.mapped(lambda x: _unified(x, x), _run(call, args, kwargs, 0))
    refused: ShapeError | None = None
    for sizes in _STAND_INS:
        results: list[Any] = []
        try:
            results += [_run(call, args, kwargs, size) for size in sizes]
        except ShapeError as error:
            refused = refused or _shown(error, sizes)
        else:
            return nest.mapped(_unified, *results)
    assert refused is not None
    raise refused


def _run(call: Callable[..., Any], args: Any, kwargs: Any, size: int) -> Any:
    """The outputs for `size` in place of unknown dimensions."""
    # Values assigned meanwhile (moving averages, seeds) are forgotten with the trace.
    with isolated(SymbolicTrace(state.trace, True)) as trace:

        def stand_in(leaf: Any) -> Any:
            if not isinstance(leaf, KerasTensor):
                return leaf
            shape = tuple(size if n is None else n for n in leaf.shape)
            return trace.placeholder(spec(shape, leaf.dtype), "argument")

        full_args, full_kwargs = nest.mapped(stand_in, (args, kwargs))
        return call(*full_args, **full_kwargs)


def _shown(error: ShapeError, sizes: tuple[int, int]) -> ShapeError:
    """An error with None in place of the sizes that stood for unknown dimensions."""
    text, last = str(error), f"{sizes[1]}"
    if re.search(rf"\b{last}\b", text):
        text += (
            " Other sizes in place of None went through: a weight or constant depends on a "
            "dimension that is unknown. Give that dimension's size."
        )
    shown = ShapeError(re.sub(rf"\b({sizes[0]}|{last})\b", "None", text))
    shown.__dict__.update(error.__dict__)
    shown.__cause__ = error
    return shown


def _unified(first: Any, second: Any) -> Any:
    """The symbolic tensor of an output that was found under two stand-in sizes."""
    if not isinstance(first, ArrayLike):
        return first
    a, b = first._read(), second._read()
    shape = [m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)]
    return KerasTensor(shape, a.dtype)


def call_symbolically(function: Any, args: Any, kwargs: Any) -> Any:
    """Note the call of a public operation on symbolic tensors, and give its outputs.

    On tracers of JAX's, give JAX arrays: what a function under `jax.jit` or `jax.grad` works with.
    """
    if holds_tracer((args, kwargs)):
        from weft.engine.stateless import on_tracers

        return on_tracers(function, args, kwargs)
    operation = function if isinstance(function, Call) else Call(function)
    return Node(operation, args, kwargs, infer(operation, args, kwargs)).outputs


_functions: dict[str, Any] = {}


def tracked(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function`, such that a call on symbolic tensors is noted as a node.

    Nothing is looked at beforehand: what cannot work on a symbol raises, and is noted then. What
    needs only the shape (`ops.shape`, `ops.ndim`) gives its answer as for any tensor.
    """

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:
            if not (holds_symbol(args) or holds_symbol(kwargs)):
                raise
        return call_symbolically(public, args, kwargs)

    _functions[name] = public
    public.public_name = name  # type: ignore[attr-defined]
    return public


def publish(namespace: dict[str, Any], names: Sequence[str], prefix: str = "") -> None:
    """Make the functions of a module of public operations take symbolic tensors.

    Args:
        namespace: the module's.
        names: which of its names; what is no function is left as it is.
        prefix: put before the names that configs use.
    """
    for name in names:
        function = namespace[name]
        if callable(function) and not isinstance(function, type):
            public = namespace[name] = tracked(function, prefix + name)
            # Where pickle finds it again.
            public.__module__, public.__qualname__ = namespace["__name__"], name


def function_named(name: str) -> Any:
    """The published function of a name, or None."""
    return _functions.get(name)


def public_functions() -> list[str]:
    """The names of the published functions."""
    return list(_functions)


# -- a symbol as an array -------------------------------------------------------------------


def attach(operators: dict[str, Callable[..., Any]]) -> None:
    """Let Python's operators on symbols, `__add__` and so on, be these published functions."""
    for name, function in operators.items():
        method = _operator(function)
        setattr(KerasTensor, name, property(method) if name == "T" else method)
        if name in _REFLECTED:
            setattr(KerasTensor, f"__r{name[2:]}", _operator(function, reflected=True))
    reshape = function_named("reshape")

    def reshaped(self: KerasTensor, *shape: Any) -> Any:
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
        return call_symbolically(reshape, (self, tuple(sizes)), {})

    KerasTensor.reshape = reshaped  # type: ignore[attr-defined]


_REFLECTED = frozenset(
    f"__{name}__"
    for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"
    )
)  # fmt: skip


def _operator(function: Callable[..., Any], reflected: bool = False) -> Callable[..., Any]:
    def method(self: Any, *others: Any, **options: Any) -> Any:
        operands = (*others, self) if reflected else (self, *others)
        return call_symbolically(function, operands, options)

    return method


def _refused(self: KerasTensor, *_: Any, **__: Any) -> Any:
    raise used_as_value(self)


def _iterate(self: KerasTensor) -> Iterator[Any]:
    if not self.shape or self.shape[0] is None:
        raise used_as_value(self)
    return iter([self[i] for i in range(self.shape[0])])  # type: ignore[index]


def _length(self: KerasTensor) -> int:
    if not self.shape or self.shape[0] is None:
        raise used_as_value(self)
    return self.shape[0]


for _name in (
    "__bool__", "__float__", "__int__", "__complex__", "__index__", "__array__", "__dlpack__",
    "__dlpack_device__", "item", "tolist", "numpy", "array",
):  # fmt: skip
    setattr(KerasTensor, _name, _refused)
_methods: dict[str, Any] = {
    "__jax_array__": property(_refused),
    "__iter__": _iterate,
    "__len__": _length,
    "__hash__": object.__hash__,
    "__pos__": lambda self: self,
    "size": property(lambda self: self.shape.num_elements()),
    "__str__": KerasTensor.__repr__,
    "__format__": lambda self, form: repr(self),
}
for _name, _method in _methods.items():
    setattr(KerasTensor, _name, _method)
