"""`GradientTape`: remembers which part of the recorded work was made inside it.

A tape keeps no values: it holds ranges of nodes of the traces that were current while it recorded.
When pending work was run in between (a value was read), the trace's nodes and leaves are kept for
the tape, and the part that the gradient needs is recorded again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import ref

import jax

from weft.engine.gradient import Gradient, reach, result_specs
from weft.engine.graph import gradient_instr
from weft.engine.nest import leaves_of, rebuilt
from weft.engine.op import Instr
from weft.engine.spec import Spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import Trace, emit, settle, state
from weft.engine.variable import Variable

__all__ = ["GradientTape", "UnconnectedGradients"]


class UnconnectedGradients:
    """What a gradient is for a source that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Records operations for reverse-mode differentiation, as TensorFlow's tape does.

    Trainable variables that are read inside are watched by themselves; other tensors after
    `watch`. Only what was recorded inside the `with` block is differentiated.

    Args:
        persistent: whether `gradient` and `jacobian` may be called more than once.
        watch_accessed_variables: whether trainable variables are watched when they are read.

    Example:
        >>> import weft
        >>> x = weft.convert_to_tensor(3.0)
        >>> with weft.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> float(tape.gradient(y, x))
        6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._recording = False
        self._used = False
        self._seen: list[Any] = []  # weak references to the variables read, once it was used
        self._clear()

    def _clear(self) -> None:
        # (trace, ranges of node indices); a range that is still growing ends in None
        self._segments: list[tuple[Trace, list[list[Any]]]] = []
        self._watched: list[tuple[Any, Trace, int]] = []  # (what, trace, index) from `watch`
        self._assigned: set[Variable] = set()

    # -- recording ------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError(
                "this tape is recording already. Leave its `with` block before entering it again, "
                "or make another GradientTape for a nested one."
            )
        self._used = False
        self._seen = []
        self._start()  # entered again, it goes on after what it has recorded so far
        return self

    def __exit__(self, *_: Any) -> None:
        if self._recording:
            self._stop()

    def _start(self) -> None:
        self._recording = True
        state.tapes = (*state.tapes, self)
        self._open(state.trace)

    def _stop(self) -> None:
        self._recording = False
        state.tapes = tuple(t for t in state.tapes if t is not self)
        self._close()

    def _open(self, trace: Trace) -> None:
        if not self._segments or self._segments[-1][0] is not trace:
            self._segments.append((trace, []))
            trace.tapes.append(ref(self))
        self._segments[-1][1].append([len(trace.nodes), None])

    def _close(self) -> None:
        if self._segments:
            trace, ranges = self._segments[-1]
            if ranges and ranges[-1][1] is None:
                ranges[-1][1] = len(trace.nodes)
                if ranges[-1][0] == ranges[-1][1]:
                    ranges.pop()

    def move(self, old: Trace, new: Trace) -> None:
        """The current trace was run and another took its place, while this tape was recording."""
        self._close()
        self._open(new)

    def holds(self, trace: Trace) -> bool:
        """Whether a gradient may still be asked for through nodes of this trace."""
        for mine, ranges in self._segments:
            if mine is trace:
                end = len(trace.nodes)
                return any((b if b is not None else end) > a for a, b in ranges)
        return False

    def __del__(self) -> None:
        if getattr(self, "_segments", None):
            self._release()

    def _release(self) -> None:
        segments = self._segments
        self._clear()
        for trace, _ in segments:
            others = [w() for w in trace.tapes]
            wanted = any(t is not None and t is not self and t.holds(trace) for t in others)
            made = [w() for w in trace.refs] if trace.sealed and not wanted else []
            # A trace that failed is kept: its tensors may still be computed one by one.
            if made and all(t is None or t._value is not None for t in made):
                # Computed tensors still point at the trace; it must not keep a step alive.
                trace.nodes, trace.leaves, trace.refs = [], [], []
                trace.history.clear()

    def watch(self, tensor: Any) -> None:
        """Differentiate with respect to these tensors too, from here on.

        Args:
            tensor: a tensor or variable, or a nest of them, of a floating dtype.

        Raises:
            ValueError: `tensor` is not a tensor, so nothing recorded could refer to it.
        """
        if not self._segments and not self._recording:
            raise RuntimeError(
                "GradientTape.watch: this tape is not recording. Call it inside the `with` block."
            )
        for item in jax.tree.leaves(tensor):
            if not isinstance(item, ArrayLike):
                raise ValueError(
                    f"GradientTape.watch needs a tensor or variable, got {type(item).__name__}. "
                    "Make a tensor of it first (weft.convert_to_tensor) and compute with that."
                )
            if self._recording:  # else nothing more is recorded that the item could enter
                self._watched.append((item, state.trace, len(state.trace.nodes)))

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched so far (by `watch`, read or assigned), in order of creation."""
        found = {v for v, _, _ in self._watched if isinstance(v, Variable)}
        found.update(self._assigned)
        if self._watch_accessed:
            read = [weak() for weak in self._seen if weak is not None]
            for segment in self._segments:
                view = _View(segment[0], ranges_of(segment))
                read += [view.owners.get(slot) for slot in view.entering]
            found.update(v for v in read if v is not None and v.trainable)
        return tuple(sorted(found, key=lambda v: v._serial))

    def accessed(self, variable: Variable) -> None:
        """A variable is assigned while this tape records."""
        if self._watch_accessed and variable.trainable:
            self._assigned.add(variable)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, operations are not recorded on this tape."""
        if not self._recording:
            raise RuntimeError("GradientTape.stop_recording: this tape is not recording.")
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forget everything recorded and watched; recording goes on.

        Raises:
            ValueError: the tape is not recording.
        """
        if not self._recording:
            raise ValueError(
                "GradientTape.reset: this tape is not recording. Call reset inside its `with` "
                "block; for a fresh start outside, make a new tape."
            )
        self._stop()
        self._release()
        self._start()

    # -- differentiating ------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = UnconnectedGradients.NONE,
    ) -> Any:
        """The gradient of the sum of `target` with respect to `sources`.

        Args:
            target: a tensor, or a nest of them whose gradients are added.
            sources: a nest of tensors and variables.
            output_gradients: a weight for each element of each target (shapes as the targets').
            unconnected_gradients: "none" gives None for a source that the target does not depend
                on (or that was not watched, or is an integer), "zero" gives zeros.

        Returns:
            Gradients in the structure of `sources`, each of its source's shape and dtype.

        Raises:
            RuntimeError: a second call on a tape that is not persistent.
            TypeError: a target that is not a weft tensor.
        """
        targets = [_as_target(t) for t in leaves_of(target)]
        seeds: list[Any] = [None] * len(targets)
        if output_gradients is not None:
            seeds = leaves_of(output_gradients)
            if len(seeds) != len(targets):
                raise ValueError(
                    f"output_gradients has {len(seeds)} entries for {len(targets)} targets."
                )
            seeds = [None if seed is None else as_tensor(seed) for seed in seeds]
            for seed, t in zip(seeds, targets, strict=True):
                if seed is not None and tuple(seed.shape) != tuple(t.shape):
                    raise ValueError(
                        f"an output gradient of shape {tuple(seed.shape)} was given for a target "
                        f"of shape {tuple(t.shape)}; they must be equal."
                    )
        return self._differentiate("gradient", targets, seeds, sources, unconnected_gradients)

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivative of each element of `target`, one vectorised run.

        Args:
            target: one tensor.
            sources: a nest of tensors and variables.
            unconnected_gradients: as for `gradient`.
            parallel_iterations: accepted for TensorFlow's sake; all run at once.
            experimental_use_pfor: likewise.

        Returns:
            In the structure of `sources`, tensors of shape `target.shape + source.shape`.
        """
        goal = _as_target(target)
        return self._differentiate("jacobian", [goal], [None], sources, unconnected_gradients)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The Jacobian of each example, where row b of `target` depends on row b of `source` only.

        Args:
            target: shape (batch, ...).
            source: one tensor of shape (batch, ...).

        Returns:
            A tensor of shape `target.shape + source.shape[1:]`; zeros if nothing connects them.

        Raises:
            ValueError: the first dimensions differ or are missing.
        """
        goal = _as_target(target)
        if not goal.shape or not source.shape or goal.shape[0] != source.shape[0]:
            raise ValueError(
                "batch_jacobian needs a target and a source with the same first dimension, got "
                f"shapes {tuple(goal.shape)} and {tuple(source.shape)}."
            )
        # TensorFlow gives zeros here, whatever `unconnected_gradients` says.
        return self._differentiate("batch_jacobian", [goal], [None], source, "zero")

    def _differentiate(
        self,
        mode: str,
        targets: list[Tensor],
        seeds: list[Tensor | None],
        sources: Any,
        unconnected: str,
    ) -> Any:
        if unconnected not in (UnconnectedGradients.NONE, UnconnectedGradients.ZERO):
            raise ValueError(
                f"unconnected_gradients must be 'none' or 'zero', got {unconnected!r}."
            )
        if not self._segments and not self._used:
            raise RuntimeError(
                "this GradientTape has recorded nothing. Compute the target inside the `with` block."
            )
        if self._used and not self._persistent:
            raise RuntimeError(
                "a non-persistent GradientTape gives one gradient (or jacobian) only, and this "
                "one was used. Ask for all sources in one call, or make the tape with "
                "persistent=True."
            )
        flat = leaves_of(sources)
        for source in flat:
            if not isinstance(source, ArrayLike):
                raise TypeError(
                    "GradientTape: a source must be a tensor or variable, got "
                    f"{type(source).__name__}. A gradient is taken with respect to what was "
                    "watched, not its value."
                )
        if self._recording and not self._persistent:
            self._stop()  # a persistent tape records its gradients too: they are of higher order
        found = self._record_gradient(mode, targets, seeds, flat)
        self._used = True
        if not self._persistent:
            self._release()
        settle()
        if unconnected == UnconnectedGradients.ZERO:
            outs = result_specs(mode, targets[0].spec, [s.spec for s in flat])
            found = [
                as_tensor(jax.numpy.zeros(kind.shape, kind.dtype)) if g is None else g
                for g, kind in zip(found, outs, strict=True)
            ]
        return rebuilt(sources, found)

    def _record_gradient(
        self, mode: str, targets: list[Tensor], seeds: list[Tensor | None], sources: list[Any]
    ) -> list[Tensor | None]:
        segments = [(trace, ranges) for trace, ranges in self._segments if ranges]
        if len(segments) > 1 or (segments and segments[0][0].sealed):
            trace = state.trace
            view: _View = _replayed(self._segments, trace)
        else:
            trace = segments[0][0] if segments else state.trace
            view = _View(trace, ranges_of(segments[0]) if segments else [])
        # Seeds become slots before the nodes are looked at; targets and sources have theirs.
        seed_slots = [None if s is None else trace.slot(s) for s in seeds]
        # What was watched matters to tensors as sources, and to what was watched late.
        roots = None
        late = any(view.index_of(at, index) > 0 for _, at, index in self._watched)
        if late or any(isinstance(s, Tensor) for s in sources):
            roots = self._roots(view)
        values = [self._source_values(view, source) for source in sources]
        for t in targets:  # a target that is a source needs no history
            if view.slot_of(t) is None and any(v is t for each in values for v in each):
                view.enter(t)
        source_slots = [
            tuple(dict.fromkeys(s for v in each if (s := view.slot_of(v)) is not None))
            for each in values
        ]
        target_slots = [view.slot_of(t) for t in targets]
        kept = [k for k, s in enumerate(target_slots) if s is not None and targets[k].spec.inexact]
        key = (
            mode,
            view.structure(),
            tuple(target_slots),
            tuple(s is not None for s in seed_slots),
            tuple(source_slots),
            None if roots is None else tuple(sorted(roots.items())),
            tuple(t.spec for t in targets),
            tuple(s.spec for s in sources),
        )
        entry = _plans.get(key)
        if entry is None:
            entry = _plans[key] = _plan(
                mode, view, kept, targets, target_slots, seed_slots, sources, source_slots,
                self._roots(view) if roots is None else roots,
            )
            if len(_plans) > 4096:
                del _plans[next(iter(_plans))]
        instr, connected, read = entry
        if not self._persistent:
            self._seen += [_owner_at(trace, slot) for slot in read]
            self._seen += [v._weak for v in self._assigned]
            self._seen += [v._weak for v, _, _ in self._watched if isinstance(v, Variable)]
        if instr is None:
            return [None] * len(sources)
        given = [seed_slots[k] for k in kept if seed_slots[k] is not None]
        outs = iter(emit(trace, instr, [*instr.gradient.external, *given]))
        return [next(outs) if c else None for c in connected]

    def _roots(self, view: _View) -> dict[int, float]:
        """Slots that were watched, each with the node index from which its uses count."""
        roots: dict[int, float] = {}
        for item, trace, index in self._watched:
            values = [item] if isinstance(item, Tensor) else view.values_of(item)
            for value in values:
                slot = view.slot_of(value)
                if slot is not None:
                    since = view.index_of(trace, index)
                    roots[slot] = min(since, roots.get(slot, since))
        if self._watch_accessed:
            for slot in view.entering:
                variable = view.owners.get(slot)
                if variable is not None and variable.trainable:
                    roots[slot] = 0
        return roots

    def _source_values(self, view: _View, source: Any) -> list[Tensor]:
        """The tensors that a source's gradient is the sum of; none if it was not watched."""
        if not source.spec.inexact:
            return []
        if isinstance(source, Tensor):
            return [source]
        explicit = any(item is source for item, _, _ in self._watched)
        if not explicit and not (self._watch_accessed and source.trainable):
            return []
        return view.values_of(source)

    def follows(self, what: Tensor | Variable) -> bool:
        """Whether this tape could differentiate through `what`, from what it has recorded so far."""
        if any(item is what for item, _, _ in self._watched):
            return True
        if isinstance(what, Variable):
            return self._watch_accessed and what.trainable
        followed: set[int] = set()  # ids of the tensors followed in the segments so far
        for segment in self._segments:
            view = _View(segment[0], ranges_of(segment))
            roots = self._roots(view)
            for k, leaf in enumerate(view.trace.leaves):
                if id(leaf) in followed:
                    roots[-1 - k] = 0
            reached = reach(view.nodes(), roots, None, view.inexact)[1]
            if what.spec.inexact and view.slot_of(what) in reached:
                return True
            made = [view.trace.refs[slot]() for slot in reached if slot >= 0]
            followed.update(id(tensor) for tensor in made if tensor is not None)
        return False


def ranges_of(segment: tuple[Trace, list[list[Any]]]) -> list[tuple[int, int]]:
    """A segment's ranges, the growing one closed at the present length."""
    trace, ranges = segment
    return [(a, len(trace.nodes) if b is None else b) for a, b in ranges]


def _as_target(target: Any) -> Tensor:
    if isinstance(target, Variable):
        return target._read()
    if isinstance(target, Tensor):
        return target
    raise TypeError(
        f"GradientTape: a target must be a weft tensor, got {type(target).__name__}. A value "
        "computed by raw JAX or NumPy has no recorded history: lift the function with weft.op "
        "so that the tape can follow it."
    )


class _View:
    """The nodes that a tape recorded, in one trace."""

    def __init__(self, trace: Trace, ranges: Sequence[tuple[int, int]]) -> None:
        self.trace = trace
        self.ranges = ranges
        self._nodes: list[tuple[int, int, Any]] | None = None

    def structure(self) -> Any:
        end = max((b for _, b in self.ranges), default=0)
        return tuple(self.ranges), tuple(self.trace.nodes[:end])

    def nodes(self) -> list[tuple[int, int, Any]]:
        if self._nodes is None:
            wanted = []
            first = 0
            starts = []
            for node in self.trace.nodes:
                starts.append(first)
                first += len(node[0].out_specs)
            for a, b in self.ranges:
                wanted += [(i, starts[i], self.trace.nodes[i]) for i in range(a, b)]
            self._nodes = wanted
        return self._nodes

    @property
    def entering(self) -> list[int]:
        """Slots read in the ranges that a variable's value can be."""
        found: dict[int, None] = {}
        for a, b in self.ranges:
            for node in self.trace.nodes[a:b]:
                for slot in node[1:]:
                    found[slot] = None
        return list(found)

    @functools.cached_property
    def owners(self) -> dict[int, Variable]:
        """Slot -> the variable whose value it is or was."""
        found = {}
        for k, leaf in enumerate(self.trace.leaves):
            found[-1 - k] = leaf if isinstance(leaf, Variable) else _owner(leaf)
        for slot, weak in enumerate(self.trace.refs):
            if (tensor := weak()) is not None and tensor._owner is not None:
                found[slot] = _owner(tensor)
        return {slot: variable for slot, variable in found.items() if variable is not None}

    def inexact(self, slot: int) -> bool:
        leaf = self.trace.leaves[-1 - slot]
        return bool(leaf.spec.inexact)

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.trace.slot_of(tensor)

    def enter(self, tensor: Tensor) -> None:
        """Give a tensor that the nodes do not use a slot."""
        self.trace.slot(tensor)

    def values_of(self, variable: Variable) -> list[Tensor]:
        now = self.trace.read(variable)
        return [*self.trace.history.get(id(variable), ()), now]

    def index_of(self, trace: Trace, index: int) -> int:
        return index if trace is self.trace else 0


def _owner_at(trace: Trace, slot: int) -> Any:
    """A weak reference to the variable whose value a slot is."""
    tensor = trace.leaves[-1 - slot] if slot < 0 else trace.refs[slot]()
    if isinstance(tensor, Variable):
        return tensor._weak
    return None if tensor is None else tensor._owner


def _owner(tensor: Tensor) -> Variable | None:
    return None if tensor._owner is None else tensor._owner()


class _Replayed(_View):
    """Nodes of several traces, recorded again at the end of the current one."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace, [])
        self.slots: dict[int, int] = {}  # id of a tensor -> slot in the current trace
        self.owners = {}  # slot -> variable
        self.at: dict[int, list[int]] = {}  # id of a trace -> where its nodes are now
        self.values: dict[int, list[Tensor]] = {}
        self.kept: list[Any] = []

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.slots.get(id(tensor))

    def enter(self, tensor: Tensor) -> None:
        self.slots[id(tensor)] = self.trace.slot(tensor)

    def values_of(self, variable: Variable) -> list[Tensor]:
        return [*self.values.get(id(variable), ()), self.trace.read(variable)]

    def index_of(self, trace: Trace, index: int) -> int:
        where = self.at.get(id(trace), [0])
        return where[min(index, len(where) - 1)]


def _replayed(segments: list[tuple[Trace, list[list[Any]]]], current: Trace) -> _Replayed:
    """Record again what a tape saw before pending work was run.

    Each earlier trace's nodes are appended to the current one with their slots renamed. A value
    that one trace handed to the next (a leaf there) is renamed to the slot of its new node, so
    that the gradient passes through.
    """
    view = _Replayed(current)
    ranges: list[tuple[int, int]] = []
    for segment in segments:
        trace = segment[0]
        names: dict[int, int] = {}
        for k, leaf in enumerate(trace.leaves):
            if isinstance(leaf, Variable):
                leaf = current.read(leaf)
            known = view.slots.get(id(leaf))
            if known is None:
                known = view.slots[id(leaf)] = current.slot(leaf)
                view.kept.append(leaf)
            names[-1 - k] = known
            if (owner := _owner(leaf)) is not None:
                view.owners[known] = owner
                view.values.setdefault(id(owner), []).append(leaf)
        wanted = ranges_of(segment)
        where = view.at[id(trace)] = []
        first = 0
        end = max((b for _, b in wanted), default=0)
        for index, node in enumerate(list(trace.nodes)[:end]):
            instr: Instr = _renamed_gradient(node[0])
            at = len(current.nodes)
            where.append(at)
            made = emit(current, instr, [names[s] for s in node[1:]])
            for k in range(len(made)):
                names[first + k] = made[k]._slot
            if any(a <= index < b for a, b in wanted):
                if ranges and ranges[-1][1] == at:
                    ranges[-1] = (ranges[-1][0], at + 1)
                else:
                    ranges.append((at, at + 1))
            first += len(instr.out_specs)
        where.append(len(current.nodes))
        for slot, weak in enumerate(trace.refs):
            tensor = weak()
            if tensor is not None and slot in names:
                view.slots[id(tensor)] = names[slot]
                view.kept.append(tensor)
                if (owner := _owner(tensor)) is not None:
                    view.owners[names[slot]] = owner
        for values in trace.history.values():
            for value in values:
                if (owner := _owner(value)) is not None:
                    view.values.setdefault(id(owner), []).append(value)
    view.ranges = ranges
    return view


def _renamed_gradient(instr: Instr) -> Instr:
    """A gradient's node refers to slots of its trace; in another it stands by itself."""
    if instr.gradient is None:
        return instr
    alone = _alone.get(instr)
    if alone is None:
        alone = _alone[instr] = Instr("gradient", instr.fn, instr.in_specs, instr.out_specs)
    return alone


_alone: dict[Instr, Instr] = {}
# -> the instruction, which sources it has an output for, the slots read from outside
_plans: dict[Any, tuple[Instr | None, tuple[bool, ...], tuple[int, ...]]] = {}


def _plan(
    mode: str,
    view: _View,
    kept: list[int],
    targets: list[Tensor],
    target_slots: list[int | None],
    seed_slots: list[int | None],
    sources: list[Any],
    source_slots: list[tuple[int, ...]],
    roots: dict[int, float],
) -> tuple[Instr | None, tuple[bool, ...], tuple[int, ...]]:
    """What `_plans` keeps."""
    nodes = view.nodes()
    inside = {first + k for _, first, node in nodes for k in range(len(node[0].out_specs))}
    read = tuple(slot for slot in view.entering if slot not in inside)
    goals = {slot for k in kept if (slot := target_slots[k]) is not None}
    recorded = dict(roots)
    if any(slot >= 0 for slots in source_slots for slot in slots):
        recorded = reach(nodes, roots, None, view.inexact)[1]
    # A source counts from when the tape followed it; a target by itself, too.
    starts = {
        slot: recorded.get(slot, math.inf)
        for slots in source_slots
        for slot in slots
        if slot in recorded or slot in goals
    }
    region, connected_slots = reach(nodes, starts, goals, view.inexact)
    wanted = [tuple(s for s in slots if s in connected_slots) for slots in source_slots]
    connected = tuple(bool(w) for w in wanted)
    if not any(connected):
        return None, connected, read
    made = {first + k for first, node, _ in region for k in range(len(node[0].out_specs))}
    specs: dict[int, Spec] = {}
    external: dict[int, None] = {}
    for _, node, _ in region:
        for position, slot in enumerate(node[1:]):
            if slot not in made:
                external[slot] = None
                specs[slot] = node[0].in_specs[position]
    for k in kept:
        slot = target_slots[k]
        assert slot is not None
        if slot not in made:
            external[slot] = None
            specs[slot] = targets[k].spec
    gradient = Gradient(
        region=tuple(region),
        targets=tuple(target_slots[k] for k in kept),  # type: ignore[misc]
        seeded=tuple(seed_slots[k] is not None for k in kept),
        sources=tuple(w for w in wanted if w),
        mode=mode,
        external=tuple(external),
    )
    seeds = tuple(targets[k].spec for k in kept if seed_slots[k] is not None)
    outs = result_specs(
        mode,
        targets[0].spec,
        [s.spec for s, c in zip(sources, connected, strict=True) if c],
    )
    in_specs = (*(specs[s] for s in external), *seeds)
    return gradient_instr(gradient, in_specs, outs), connected, read
