"""`weft.function`: Python run once on symbolic inputs, kept as one program with its state.

Variables that the Python reads become inputs of the program, those it assigns become outputs, and
the buffers of the latter are donated. No list of them is kept by hand.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from sys import getrefcount
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary, ref

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import explain
from weft.engine.errors import SymbolError
from weft.engine.graph import Graph, evaluate, graph_instr
from weft.engine.kept import make_room
from weft.engine.nearest import Record
from weft.engine.nest import in_order
from weft.engine.program import call_into, calls_python, donatable, separate, settle_all
from weft.engine.settling import warn_of_keys
from weft.engine.signatures import why_again
from weft.engine.spec import Spec, spec_of
from weft.engine.symbolic import KerasTensor, call_symbolically, holds_symbol, used_as_value
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import SymbolicTrace, emit, flush, isolated, settle, state
from weft.engine.variable import Variable, set_value, toggled, trainable_state

__all__ = ["Function", "Program", "function"]


def _is_leaf(x: Any) -> bool:
    return x is None


def _references(variable: Any, news: list[Any]) -> int:
    """What `getrefcount` says in `_take` of a tensor that nobody but its variable holds."""
    old = variable._tensor
    news.append(old)
    return getrefcount(old)


_ALONE = _references(SimpleNamespace(_tensor=Tensor(np.zeros(()))), [])


class Program:
    """One compiled specialisation of a function.

    Attributes:
        signature: what it was traced for, as text.
        reads: the variables that it reads, those that it assigns included.
        writes: the variables that it assigns; their buffers are donated.
    """

    def __init__(self, function: Function, tree: Any, leaves: list[Any], dynamic: list[bool]):
        self.name = function.name
        self.used = False  # again, after the call that it was made for
        self.toggled = toggled()
        self.why = ""
        began = time.perf_counter()
        parent = state.trace
        trace = SymbolicTrace(parent, embeds_numbers=True)
        with isolated(trace):
            full = [
                trace.placeholder(as_tensor(leaf).spec, "argument") if d else leaf
                for d, leaf in zip(dynamic, leaves, strict=True)
            ]
            args, kwargs = jax.tree.unflatten(tree, full)
            result = function.python(*args, **kwargs)
            flat, self.out_tree = jax.tree.flatten(result, is_leaf=_is_leaf)
            plain = jax.tree.unflatten(self.out_tree, [None] * len(flat))
            like = in_order(result, plain)
            self.like = None if repr(like) == repr(plain) else like
            # What is no tensor is returned as it is at every call.
            self.constants = [None if isinstance(x, ArrayLike) else x for x in flat]
            self.is_tensor = [isinstance(x, ArrayLike) for x in flat]
            outs = [as_tensor(x) for x in flat if isinstance(x, ArrayLike)]
        # In the order of the inputs, which `_take` and `run` rely on.
        self.writes = [
            leaf
            for leaf, kind in zip(trace.leaves, trace.kinds, strict=True)
            if kind == "variable" and id(leaf) in trace.written
        ]
        news = [trace.current[id(v)] for v in self.writes]
        self.n_results = len(outs)
        self.reads = list(trace.variables.values())
        self.graph = Graph.cut(trace, (*outs, *news))
        self.lines = trace.lines
        self.n_args = sum(dynamic)
        self.signature = _describe(leaves, dynamic)
        self._wire(trace)
        self._first = True
        self._lock = threading.Lock()
        self._seconds = time.perf_counter() - began

    def _wire(self, trace: SymbolicTrace) -> None:
        """Positions of the program's inputs: arguments first, then by kind."""
        self.in_specs: list[Spec] = []
        self.captures: list[tuple[int, Tensor]] = []
        self.read_only: list[tuple[int, Variable]] = []
        self.donated: list[tuple[int, Variable]] = []
        position = 0
        self.slots: list[int] = []
        for k, (leaf, kind) in enumerate(zip(trace.leaves, trace.kinds, strict=True)):
            if kind == "number":
                continue
            self.slots.append(-1 - k)
            self.in_specs.append(leaf.spec)
            if kind == "capture":
                self.captures.append((position, leaf))
            elif kind == "variable":
                written = id(leaf) in trace.written
                (self.donated if written else self.read_only).append((position, leaf))
            position += 1
        self.n_inputs = position

    @functools.cached_property
    def _jit(self) -> Any:
        graph, slots = self.graph, self.slots

        def program(*arrays: Any) -> list[Any]:
            env = graph.constants()
            env.update(zip(slots, arrays, strict=True))
            return separate(evaluate(graph.nodes, env, graph.outputs), arrays)

        program.__name__ = self.name
        by_slot = {-1 - slot: k for k, slot in enumerate(slots)}
        wanted = [-1 - slots[position] for position, _ in self.donated]
        donate = donatable(graph.nodes, graph.outputs, wanted)
        jitted = jax.jit(program, donate_argnums=tuple(by_slot[k] for k in donate))
        if donate and calls_python(jitted.trace(*self._structs()).jaxpr):
            return jax.jit(program)
        return jitted

    def run(self, arguments: list[Any]) -> Any:
        """Run on arrays, with nothing pending and no tape recording; variables are updated."""
        arrays: list[Any] = [*arguments, *([None] * (self.n_inputs - self.n_args))]
        for position, captured in self.captures:
            arrays[position] = captured.array()
        held = []  # another thread may replace a variable's value, but not what is held
        for position, variable in self.read_only:
            tensor = variable._tensor
            held.append(tensor)
            value = tensor._value
            arrays[position] = tensor.array() if value is None else value
        news: list[Tensor] = []
        done: list[Any] = []
        n = self.n_results
        with self._lock:
            began = time.perf_counter()
            try:
                self._take(arrays, news)
                call_into(done, self._jit, arrays)
                settle_all(news, done[0][n:])
            except BaseException:
                # Broken off before the run: the variables keep the values that they had; after
                # it: they have the new ones.
                former = [arrays[position] for position, _ in self.donated]
                settle_all(news, done[0][n:] if done else former)
                raise
        (outs,) = done
        if self._first:
            self._first = False
            record = Record(
                self.name,
                [node for _, node in self.graph.nodes],
                self.graph.outputs,
                lines=self.lines or (),
                toggled=self.toggled,
            )
            explain.compiled(record, self._seconds + time.perf_counter() - began, self.why)
        specs = self.graph.out_specs
        return self._restore([Tensor(outs[k], specs[k]) for k in range(n)])

    def _take(self, arrays: list[Any], news: list[Tensor]) -> None:
        """Take the values of the variables to be donated; `news` are to hold the next ones.

        A thread that reads such a variable meanwhile waits for the new value (`materialize`).
        """
        for position, variable in self.donated:
            old = variable._tensor
            arrays[position] = value = old.array()
            news.append(old)
            # Taken away before it is looked who else holds it: who comes later finds nothing.
            old._value, old._trace = None, self  # type: ignore[assignment]
            if getrefcount(old) <= _ALONE:  # the variable alone: it gets the next value
                continue
            old._value, old._trace = value, None
            new = Tensor.__new__(Tensor)
            new.spec = variable.spec
            new._value = None
            new._trace = self  # type: ignore[assignment]
            new._slot = 0
            new._owner = variable._weak
            news[-1] = new
            variable._tensor = new
            holder = ref(old)
            del old
            if holder() is not None:  # a reader still holds the value that goes away
                arrays[position] = jnp.array(value, copy=True)

    lazy = True

    def materialize(self, tensor: Tensor) -> None:
        """Wait until the run that computes a variable's next value has been dispatched."""
        with self._lock:
            pass

    def record(self, arguments: list[Tensor]) -> Any:
        """Add one node that calls this program to the current trace."""
        trace = state.trace
        operands: list[Any] = [*arguments, *([None] * (self.n_inputs - self.n_args))]
        for position, captured in self.captures:
            operands[position] = captured
        for position, variable in (*self.read_only, *self.donated):
            operands[position] = trace.read(variable)
        specs = tuple(t.spec for t in operands)
        instr = graph_instr(self.graph, specs, self.name)
        outs = emit(trace, instr, [trace.slot(t) for t in operands])
        for variable, value in zip(self.writes, outs[self.n_results :], strict=True):
            set_value(variable, value)
        settle()
        return self._restore(outs[: self.n_results])

    def _restore(self, tensors: list[Tensor]) -> Any:
        given = iter(tensors)
        flat = [
            next(given) if tensor else constant
            for tensor, constant in zip(self.is_tensor, self.constants, strict=True)
        ]
        result = jax.tree.unflatten(self.out_tree, flat)
        return result if self.like is None else in_order(self.like, result)

    def _structs(self) -> list[Any]:
        return [spec.struct for spec in self.in_specs]

    def compiled(self) -> Any:
        """The program as JAX compiles it (`jax.stages.Compiled`); it is not run."""
        return self._jit.lower(*self._structs()).compile()

    def as_text(self, optimized: bool = False) -> str:
        """The program: StableHLO, or XLA's own after its optimisations."""
        lowered = self._jit.lower(*self._structs())
        return str(lowered.compile().as_text() if optimized else lowered.as_text())

    def cost_analysis(self) -> dict[str, float]:
        """XLA's estimates ("flops", "bytes accessed", ...) for one run."""
        return dict(self.compiled().cost_analysis() or {})

    def memory_analysis(self) -> Any:
        """XLA's account of argument, output, temporary and aliased bytes."""
        return self.compiled().memory_analysis()

    def __repr__(self) -> str:
        return (
            f"<weft.Program {self.name}({self.signature}): {len(self.graph.nodes)} operations, "
            f"reads {len(self.reads)} variables, assigns {len(self.writes)}>"
        )


class Function:
    """A Python function run as one compiled program; see `weft.function`."""

    SIZE = 256  # programs kept, about the least recently used dropped first

    def __init__(self, python: Callable[..., Any], name: str | None = None) -> None:
        self.python = python
        self.name = name or getattr(python, "__name__", "function").strip("<>")
        self._programs: OrderedDict[Any, Program] = OrderedDict()
        self._warned = False
        self._bound: WeakKeyDictionary[Any, Function] = WeakKeyDictionary()
        functools.update_wrapper(self, python, updated=())

    @property
    def python_function(self) -> Callable[..., Any]:
        """The Python function, under TensorFlow's name."""
        return self.python

    @property
    def programs(self) -> list[Program]:
        """What was compiled so far, one entry for each signature."""
        return list(self._programs.values())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound = self._bound.get(instance)
        if bound is None:
            weak = ref(instance)  # the instance's own cache entry must not keep it alive
            python = self.python

            def method(*args: Any, **kwargs: Any) -> Any:
                return python(weak(), *args, **kwargs)

            method.__wrapped__ = functools.partial(python, None)  # type: ignore[attr-defined]
            bound = self._bound[instance] = Function(method, self.name)
        return bound

    def program_for(self, *args: Any, **kwargs: Any) -> Program:
        """The program for these arguments, traced if it is new; nothing is run."""
        return self._find(args, kwargs)[0]

    def _find(self, args: Any, kwargs: Any) -> tuple[Program, list[Any], list[bool]]:
        leaves, tree = jax.tree.flatten((args, kwargs), is_leaf=_is_leaf)
        parts: list[Any] = [tree, trainable_state()]
        dynamic = []
        for k, leaf in enumerate(leaves):
            kind = leaf.__class__
            if kind is Tensor:
                parts.append(leaf.spec)
                dynamic.append(True)
            elif kind is np.ndarray or kind is float or isinstance(leaf, jax.Array | np.generic):
                leaves[k] = tensor = as_tensor(leaf)
                parts.append(tensor.spec)
                dynamic.append(True)
            elif kind is KerasTensor:
                raise used_as_value(leaf)
            else:
                parts.append((kind, leaf))
                dynamic.append(False)
        key = tuple(parts)
        try:
            program = self._programs.get(key)
        except TypeError as error:
            odd = [type(x).__name__ for x, d in zip(leaves, dynamic, strict=True) if not d]
            raise TypeError(
                f"weft.function {self.name!r}: arguments that are no tensors, arrays or floats are "
                f"part of the signature and must be hashable; got {odd}."
            ) from error
        if program is None:
            program = self._new(key, tree, leaves, dynamic)
        else:
            program.used = True
        return program, leaves, dynamic

    def _new(self, key: Any, tree: Any, leaves: list[Any], dynamic: list[bool]) -> Program:
        """Trace the program of a key, and keep it."""
        flush()
        before = list(self._programs.items())
        if not self._warned:
            used = [(k, p.used) for k, p in before]
            self._warned = warn_of_keys(self.name, self.python, key, used)
        program = Program(self, tree, leaves, dynamic)
        then = [(k, p.toggled) for k, p in before]
        program.why = why_again(self.python, key, program.toggled, then)
        make_room(self._programs, self.SIZE)
        self._programs[key] = program
        return program

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            program, leaves, dynamic = self._find(args, kwargs)
        except SymbolError:
            if not (holds_symbol(args) or holds_symbol(kwargs)):
                raise
            return call_symbolically(self, args, kwargs)
        tensors = [leaf for leaf, d in zip(leaves, dynamic, strict=True) if d]
        trace = state.trace
        if not trace.lazy or state.tapes or state.eager:
            return program.record(tensors)
        if trace.nodes:
            flush()
        return program.run([t.array() for t in tensors])

    def run_arrays(self, *nest: Any) -> Any:
        """Call on nests of NumPy or JAX arrays that nobody writes to again (nothing is copied)."""
        leaves, tree = jax.tree.flatten((nest, {}))  # an absent part is a place in the tree
        key = (tree, trainable_state(), *map(spec_of, leaves))
        program = self._programs.get(key)
        if program is None:
            program = self._new(key, tree, list(map(Tensor, leaves)), [True] * len(leaves))
        else:
            program.used = True
            if state.trace.nodes:
                flush()
        return program.run(leaves)

    def __repr__(self) -> str:
        return f"<weft.function {self.name}, {len(self._programs)} programs>"


def _describe(leaves: list[Any], dynamic: list[bool]) -> str:
    parts = []
    for leaf, d in zip(leaves, dynamic, strict=True):
        parts.append(repr(leaf.spec) if d else repr(leaf)[:40])
    return ", ".join(parts)


def function(
    python: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    autograph: bool = True,
) -> Any:
    """Compile a Python function, with the state it uses, into one program for each signature.

    The Python runs once for each signature: the structure of the arguments, the shapes and dtypes
    of tensors, arrays and floats among them, and the values of all other arguments (ints, bools,
    strings, objects). Floats are inputs of the program: another value compiles nothing. Variables
    may be read and assigned freely. The 256 programs used last are kept; a warning comes long
    before, where the size of one axis, or a value that is no tensor, is another each time.

    Args:
        python: the function.
        name: its name in messages.
        jit_compile, reduce_retracing, autograph: accepted for TensorFlow's sake; every program is
            compiled by XLA, and Python's own `if` and `while` work on Python values only.

    Returns:
        A callable with `programs` (what was compiled) and `program_for(*args)`.

    Raises:
        ValueNeededError: on a call whose Python asks for a tensor's value; the line is named.

    Example:
        >>> import weft
        >>> total = weft.Variable(0.0)
        >>> @weft.function
        ... def add(x):
        ...     return total.assign_add(x).value
        >>> float(add(2.0)), float(add(3.0)), len(add.programs)
        (2.0, 5.0, 1)
    """
    if python is None:
        return lambda f: function(f, name=name)
    if not callable(python):
        raise TypeError(f"weft.function needs a callable, got {type(python).__name__}.")
    return Function(python, name)
