"""Recording: every operation on a thread becomes a node of that thread's current trace.

Values are named by slots. The inputs of a trace have the slots -1, -2, ... in the order of their
first use; the outputs of its nodes 0, 1, 2, ... in the order of recording. A node is the tuple
`(instr, slot, slot, ...)`, so the list of nodes *is* the structure: hashing it finds the program.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

from weft.engine.errors import ValueNeededError, user_line
from weft.engine.spec import Spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor, begun, leaked

if TYPE_CHECKING:
    from weft.engine.op import Instr, Op
    from weft.engine.variable import Variable

__all__ = [
    "LazyTrace", "SymbolicTrace", "Trace", "boundary", "emit", "flush", "isolated", "record",
    "recording", "settle", "state",
]  # fmt: skip


class Trace:
    """Nodes in the order of recording, the tensors that they read, and those that they made."""

    lazy = False
    embeds_numbers = False

    def __init__(self, parent: Trace | None = None) -> None:
        self.parent = parent
        self.nodes: list[tuple[Any, ...]] = []
        self.size = 0
        self.refs: list[ref[Tensor]] = []  # slot -> the tensor made for it
        self.leaves: list[Any] = []  # input k has slot -1 - k
        self.leaf_slots: dict[int, int] = {}  # id of a leaf -> slot
        self.tapes: list[ref[Any]] = []  # tapes that recorded nodes of this trace
        self.history: dict[int, list[Tensor]] = {}  # id of a variable -> values a tape saw it hold
        self.sealed = False  # it was run, and is kept for a tape
        self.lines: list[str] | None = [] if _State.lines else None

    # A leaf is remembered by id; `leaves` keeps it alive, so the id cannot be taken by another.
    def leaf(self, tensor: Tensor) -> int:
        """The input slot of a tensor made elsewhere."""
        slot = self.leaf_slots.get(id(tensor))
        if slot is None:
            if tensor._value is None:
                self._check_foreign(tensor)
            self.leaves.append(tensor)
            slot = self.leaf_slots[id(tensor)] = -len(self.leaves)
        return slot

    def _check_foreign(self, tensor: Tensor) -> None:
        """Another trace's uncomputed tensor: an enclosing trace's is captured, none else is."""
        trace = self.parent
        while trace is not None:
            if tensor._trace is trace:
                return
            trace = trace.parent
        assert tensor._trace is not None
        tensor._trace.materialize(tensor)

    def read(self, variable: Variable) -> Tensor:
        """The value of a variable at this point of the trace."""
        raise NotImplementedError

    def write(self, variable: Variable, value: Tensor) -> None:
        """Make `value`, which belongs to the variable alone, its value from here on."""
        raise NotImplementedError

    def remember(self, variable: Variable, value: Tensor) -> None:
        """Note for the tapes that `variable` held `value` until it is assigned now."""
        self.history.setdefault(id(variable), []).append(value)
        for tape in recording():
            tape.accessed(variable)

    def boundary(self, key: Any) -> None:
        """`key` (a variable, a model) begins again: pending work of the last round may run."""

    def materialize(self, tensor: Tensor) -> None:
        """Compute the value of one of this trace's tensors."""
        raise NotImplementedError

    def repair(self) -> None:
        """Take back a node of which, by an interrupt, only a part was noted."""
        total = sum(len(node[0].out_specs) for node in self.nodes)
        if self.nodes and not total == self.size == len(self.refs):
            last = self.nodes.pop()
            self.size = total - len(last[0].out_specs)
            del self.refs[self.size :]

    def slot_of(self, tensor: Tensor) -> int | None:
        """The slot of a tensor in this trace, if it has one."""
        if tensor._trace is self:
            return tensor._slot
        return self.leaf_slots.get(id(tensor))

    def slot(self, tensor: Tensor) -> int:
        """The slot of a tensor in this trace; it becomes an input if it has none."""
        found = self.slot_of(tensor)
        return self.leaf(tensor) if found is None else found


class LazyTrace(Trace):
    """A thread's pending work: run when a value is wanted, at a boundary, or when it grows long."""

    lazy = True

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.seen: set[int] = set()
        # id of a variable -> the variable, and what it held when this trace first assigned it
        self.before: dict[int, tuple[ref[Variable], Tensor]] = {}

    def read(self, variable: Variable) -> Tensor:
        return variable._tensor

    def write(self, variable: Variable, value: Tensor) -> None:
        if self.tapes:
            self.remember(variable, variable._tensor)
        # What it held before, should the work that computes the new value fail.
        self.before.setdefault(id(variable), (variable._weak, variable._tensor))
        variable._tensor = value

    def boundary(self, key: Any) -> None:
        # Inside a tape the work belongs together, however often a layer is called; and a
        # gradient not taken yet needs the graph.
        trace = self
        if id(key) in self.seen and not open_tapes(self):
            flush(self)
            trace = state.trace  # the round that begins now is recorded there
        trace.seen.add(id(key))

    def materialize(self, tensor: Tensor) -> None:
        from weft.engine.program import run_pending, run_snapshot

        if state.trace is self:
            flush(self)
        elif any(trace is self for trace, _ in state.enclosing):
            run_pending(self)
        else:  # another thread's: it may be recording at this moment, so its trace stays as it is
            run_snapshot(self, tensor)


class SymbolicTrace(Trace):
    """A function's body on its way to becoming a graph.

    `inputs[k]` says what input k is: an argument, the value of a variable on entry, or a tensor
    captured from outside.
    """

    def __init__(self, parent: Trace, embeds_numbers: bool) -> None:
        super().__init__(parent)
        # A function's Python runs once, so the numbers in it are constants. A loop body that is
        # recorded again at every step takes them as inputs: a new number is no new program.
        self.embeds_numbers = embeds_numbers
        begun[0] += 1
        self.began: int = parent.began if isinstance(parent, SymbolicTrace) else begun[0]
        self.kinds: list[str] = []
        self.variables: dict[int, Variable] = {}  # id -> variable read or written
        self.current: dict[int, Tensor] = {}  # id of a variable -> its value here
        self.written: dict[int, Variable] = {}

    def placeholder(self, kind: Spec, role: str, stands_for: Any = None) -> Tensor:
        """A symbolic input."""
        tensor = Tensor.__new__(Tensor)
        tensor.spec = kind
        tensor._value = None
        tensor._trace = self
        tensor._owner = None
        self.leaves.append(tensor if stands_for is None else stands_for)
        self.kinds.append(role)
        tensor._slot = -len(self.leaves)
        return tensor

    def leaf(self, tensor: Tensor) -> int:
        known = len(self.leaves)
        slot = super().leaf(tensor)
        if len(self.leaves) > known:
            number = self.embeds_numbers and isinstance(tensor._value, bool | int | float)
            self.kinds.append("number" if number else "capture")
        return slot

    def numbers(self) -> list[tuple[int, Any]]:
        """The inputs that are constants, with their values."""
        inputs = zip(self.leaves, self.kinds, strict=True)
        return [(k, leaf._value) for k, (leaf, kind) in enumerate(inputs) if kind == "number"]

    def read(self, variable: Variable) -> Tensor:
        value = self.current.get(id(variable))
        if value is None:
            value = self.placeholder(variable.spec, "variable", variable)
            value._owner = variable._weak
            self.variables[id(variable)] = variable
            self.current[id(variable)] = value
        return value

    def write(self, variable: Variable, value: Tensor) -> None:
        before = self.read(variable)  # a variable that is written is an input too
        if self.tapes:
            self.remember(variable, before)
        self.current[id(variable)] = value
        self.written[id(variable)] = variable

    def materialize(self, tensor: Tensor) -> None:
        trace = state.trace
        while trace is not None and trace is not self:
            trace = trace.parent
        if trace is None:
            raise leaked(tensor)
        from weft.engine.graph import constant_value

        tensor._value = constant_value(self, tensor)
        if tensor._value is not None:
            return
        line = user_line(2)
        raise ValueNeededError(
            f"{line}: the value of a tensor (shape {tuple(tensor.shape)}, dtype "
            f"{tensor.dtype.name}) was asked for while a function was being traced, where no value "
            "exists yet. Express the choice with weft.ops.cond, where or while_loop; or run the "
            "Python at every step: without weft.function, or with compile(run_eagerly=True).",
            line,
        )


class _State(threading.local):
    """What recording needs to know of this thread."""

    lines = False  # whether to note the user's line of each node (for all threads)
    eager = False  # whether to run each node at once (for all threads)
    limit = 1000  # nodes outside a tape after which pending work is run (for all threads)
    limit_in_tape = 20_000

    def __init__(self) -> None:
        self.cast: Any = None  # the dtype in which a layer reads its float variables
        # weak references to the tapes recording now, the innermost last
        self.tapes: tuple[ref[Any], ...] = ()
        # (trace, its tapes) set aside while another trace is current
        self.enclosing: list[tuple[Trace, tuple[Any, ...]]] = []
        self.trace: Any = LazyTrace()


state = _State()


def record(op: Op, params: tuple[Any, ...], operands: Sequence[Any]) -> Any:
    """Append `op` applied to `operands` to the current trace; its outputs are new tensors."""
    trace = state.trace
    key: list[Any] = [params]
    node: list[Any] = [op]
    for value in operands:
        if value.__class__ is not Tensor:
            value = _read(trace, value) if isinstance(value, _variable) else as_tensor(value)
        key.append(value.spec)
        if value._trace is trace:
            node.append(value._slot)
        else:
            slot = trace.leaf_slots.get(id(value))
            node.append(trace.leaf(value) if slot is None else slot)
    signature = tuple(key)
    instr = op.instrs.get(signature)
    if instr is None:
        instr = op.infer(signature)
        if state.trace is not trace:  # its function made what was pending run
            return record(op, params, operands)
    node[0] = instr
    if state.lines or state.eager or len(trace.nodes) + 1 >= state.limit:
        return _emit_slowly(trace, instr, node)
    if instr.single is None:
        return instr.unflatten(_append(trace, instr, node))
    tensor = Tensor.__new__(Tensor)
    tensor.spec = instr.single
    tensor._value = None
    tensor._trace = trace
    tensor._slot = trace.size
    tensor._owner = None
    try:
        trace.nodes.append(tuple(node))
        trace.size += 1
        trace.refs.append(ref(tensor))
    except BaseException:
        trace.repair()
        raise
    return tensor


def _read(trace: Trace, variable: Any) -> Tensor:
    """A variable's value as an operand, in the compute dtype of the layer being called."""
    value = trace.read(variable)
    if state.cast is None or not value.spec.inexact or not variable.autocast:
        return value
    from weft.engine.variable import cast

    return cast(value, state.cast)


def emit(trace: Trace, instr: Instr, slots: Sequence[int]) -> list[Tensor]:
    """Append a node whose inputs are slots of `trace`; its outputs, flat."""
    if trace.lines is not None:
        trace.lines.append(user_line(2))
    return _append(trace, instr, (instr, *slots))


def _append(trace: Trace, instr: Instr, node: Sequence[Any]) -> list[Tensor]:
    """Append a node; the tensors made for its outputs."""
    made = []
    try:
        trace.nodes.append(tuple(node))
        for kind in instr.out_specs:
            tensor = Tensor.__new__(Tensor)
            tensor.spec = kind
            tensor._value = None
            tensor._trace = trace
            tensor._slot = trace.size
            tensor._owner = None
            trace.size += 1
            trace.refs.append(ref(tensor))
            made.append(tensor)
    except BaseException:
        trace.repair()
        raise
    return made


def _emit_slowly(trace: Trace, instr: Instr, node: Sequence[Any]) -> Any:
    """The end of `record` when something watches it: lines, eager mode, the bound on pending."""
    if trace.lines is not None:
        trace.lines.append(user_line(3))
    made = _append(trace, instr, node)
    settle()
    return instr.unflatten(made) if instr.single is None else made[0]


def settle() -> None:
    """Run what is pending if it has grown to the bound; in eager mode at once."""
    trace = state.trace
    if trace.lazy:
        count = len(trace.nodes)
        full = count >= state.limit_in_tape or (count >= state.limit and not open_tapes(trace))
        if state.eager or full:
            flush(trace)


def recording() -> list[Any]:
    """The tapes recording on this thread."""
    return [tape for weak in state.tapes if (tape := weak()) is not None]


def open_tapes(trace: Trace) -> list[Any]:
    """The living tapes that may still be asked for a gradient through this trace."""
    found = []
    for weak in trace.tapes:
        tape = weak()
        if tape is not None and tape.holds(trace):
            found.append(tape)
    return found


def flush(trace: Trace | None = None) -> None:
    """Run what is pending on this thread (inside a trace that becomes a graph: nothing)."""
    current = state.trace
    if trace is None:
        trace = current
    if isinstance(trace, LazyTrace) and trace.nodes:
        from weft.engine.program import run_pending

        run_pending(trace)


def boundary(key: Any) -> None:
    """Say that `key` (a metric, a model) begins a round: its last round, if pending, is run.

    A loop that nobody tells weft the steps of, such as evaluation over a plain list, becomes one
    program a round by this. Inside a tape nothing is run.
    """
    state.trace.boundary(key)


class isolated:
    """A context whose operations go to a lazy trace of their own, run at the end."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.inner = trace

    def __enter__(self) -> Any:
        state.enclosing.append((state.trace, state.tapes))
        state.trace = self.inner if self.inner is not None else LazyTrace()
        state.tapes = ()
        return state.trace

    def __exit__(self, kind: Any, error: Any, where: Any) -> None:
        try:
            if kind is None and state.trace.lazy:
                flush()
        finally:
            state.trace, state.tapes = state.enclosing.pop()


_variable: type[ArrayLike] = ArrayLike  # `Variable`, once it is defined
