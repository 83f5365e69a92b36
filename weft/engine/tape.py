"""`GradientTape`: remembers which part of the recorded work was made inside it.

A tape keeps no values: it holds ranges of nodes of the traces that were current while it recorded.
When pending work was run in between (a value was read), the trace's nodes and leaves are kept for
the tape, and the part that the gradient needs is recorded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import ref

import jax

from weft.engine.gradient import Gradient, reach, result_specs
from weft.engine.graph import gradient_instr
from weft.engine.op import Instr
from weft.engine.spec import Spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import Trace, emit, state
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
        self._clear()

    def _clear(self) -> None:
        # (trace, ranges of node indices); a range that is still growing ends in None
        self._segments: list[tuple[Trace, list[list[Any]]]] = []
        self._watched: list[tuple[Any, Trace, int]] = []  # (what, trace, index) from `watch`

    # -- recording ------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError(
                "this tape is recording already. Leave its `with` block before entering it again, "
                "or make another GradientTape for a nested one."
            )
        if not self._persistent:
            self._clear()  # entering again starts over
        self._used = False
        self._start()
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
            if trace.lazy and getattr(trace, "sealed", False):
                others = [w() for w in trace.tapes]
                if not any(t is not None and t is not self and t.holds(trace) for t in others):
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
        for item in jax.tree.leaves(tensor):
            if not isinstance(item, ArrayLike):
                raise ValueError(
                    f"GradientTape.watch needs a tensor or variable, got {type(item).__name__}. "
                    "Make a tensor of it first (weft.convert_to_tensor) and compute with that."
                )
            trace = state.trace
            if isinstance(item, Tensor):
                trace.slot(item)
            self._watched.append((item, trace, len(trace.nodes)))

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched so far, in the order in which they were first read."""
        found: dict[int, Variable] = {}
        for item, _, _ in self._watched:
            if isinstance(item, Variable):
                found[id(item)] = item
        if self._watch_accessed:
            for trace, ranges in self._segments:
                for a, b in ranges:
                    for node in trace.nodes[a : len(trace.nodes) if b is None else b]:
                        for slot in node[1:]:
                            variable = _variable_at(trace, slot)
                            if variable is not None and variable.trainable:
                                found.setdefault(id(variable), variable)
        return tuple(found.values())

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, operations are not recorded on this tape."""
        if not self._recording:
            raise ValueError("stop_recording: this tape is not recording.")
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forget everything recorded and watched; recording goes on."""
        recording = self._recording
        if recording:
            self._stop()
        self._release()
        if recording:
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
        targets = [_as_target(t) for t in _leaves(target)]
        seeds: list[Any] = [None] * len(targets)
        if output_gradients is not None:
            seeds = _leaves(output_gradients)
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
            A tensor of shape `target.shape + source.shape[1:]`.

        Raises:
            ValueError: the first dimensions differ or are missing.
        """
        goal = _as_target(target)
        if not goal.shape or not source.shape or goal.shape[0] != source.shape[0]:
            raise ValueError(
                "batch_jacobian needs a target and a source with the same first dimension, got "
                f"shapes {tuple(goal.shape)} and {tuple(source.shape)}."
            )
        result = self._differentiate(
            "batch_jacobian", [goal], [None], source, unconnected_gradients
        )
        return result

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
        if self._used and not self._persistent:
            raise RuntimeError(
                "a non-persistent GradientTape gives one gradient (or jacobian) only, and this "
                "one was used. Ask for all sources in one call, or make the tape with "
                "persistent=True."
            )
        flat, tree = jax.tree.flatten(sources, is_leaf=lambda x: x is None)
        for source in flat:
            if not isinstance(source, ArrayLike):
                raise TypeError(
                    "GradientTape: a source must be a tensor or variable, got "
                    f"{type(source).__name__}. A gradient is taken with respect to what was "
                    "watched, not its value."
                )
        if self._recording:
            if self._persistent:
                self._close()  # what is recorded so far; the gradient itself comes after
            else:
                self._stop()
        try:
            found = self._record_gradient(mode, targets, seeds, flat)
        finally:
            if self._recording and self._persistent:
                self._open(state.trace)
        self._used = True
        if not self._persistent:
            self._release()
        if unconnected == UnconnectedGradients.ZERO:
            outs = result_specs(mode, targets[0].spec, [s.spec for s in flat])
            found = [
                as_tensor(jax.numpy.zeros(kind.shape, kind.dtype)) if g is None else g
                for g, kind in zip(found, outs, strict=True)
            ]
        return jax.tree.unflatten(tree, found)

    def _record_gradient(
        self, mode: str, targets: list[Tensor], seeds: list[Tensor | None], sources: list[Any]
    ) -> list[Tensor | None]:
        segments = [(trace, ranges) for trace, ranges in self._segments if ranges]
        if not segments:
            return [None] * len(sources)
        trace = segments[-1][0]
        if len(segments) == 1 and not getattr(trace, "sealed", False):
            view = _View(trace, [(a, b) for a, b in ranges_of(segments[0])])
        else:
            trace = state.trace
            view = _replayed(segments, trace)
        # Seeds become slots before the nodes are looked at; targets and sources have theirs.
        seed_slots = [None if s is None else trace.slot(s) for s in seeds]
        # What was watched matters to tensors as sources, and to what was watched late.
        watched_late = any(index > 0 for _, _, index in self._watched)
        roots = None
        if watched_late or any(isinstance(s, Tensor) for s in sources):
            roots = self._roots(view)
        source_slots = [self._source_slots(view, source) for source in sources]
        target_slots = [view.slot_of(t) for t in targets]
        kept = [k for k, s in enumerate(target_slots) if s is not None and targets[k].spec.inexact]
        key = (
            mode,
            view.structure(),
            tuple(target_slots),
            tuple(s is not None for s in seed_slots),
            tuple(source_slots),
            None if roots is None else tuple(sorted(roots.items())),
        )
        entry = _plans.get(key)
        if entry is None:
            entry = _plans[key] = _plan(
                mode, view, kept, targets, target_slots, seed_slots, sources, source_slots,
                self._roots(view) if roots is None else roots,
            )
            if len(_plans) > 4096:
                del _plans[next(iter(_plans))]
        instr, connected = entry
        if instr is None:
            return [None] * len(sources)
        given = [seed_slots[k] for k in kept if seed_slots[k] is not None]
        outs = iter(emit(trace, instr, [*instr.gradient.external, *given]))
        return [next(outs) if c else None for c in connected]

    def _roots(self, view: _View) -> dict[int, int]:
        """Slots that were watched, each with the node index from which its uses count."""
        roots: dict[int, int] = {}
        for item, trace, index in self._watched:
            values = [item] if isinstance(item, Tensor) else view.values_of(item)
            for value in values:
                slot = view.slot_of(value)
                if slot is not None:
                    since = view.index_of(trace, index)
                    roots[slot] = min(since, roots.get(slot, since))
        if self._watch_accessed:
            for slot in view.entering:
                if slot not in roots and (v := view.variable_at(slot)) is not None and v.trainable:
                    roots[slot] = 0
        return roots

    def _source_slots(self, view: _View, source: Any) -> tuple[int, ...]:
        """The slots that a source's gradient is the sum of; none if it was not watched."""
        if not source.spec.inexact:
            return ()
        if isinstance(source, Tensor):
            slot = view.slot_of(source)
            return () if slot is None else (slot,)
        explicit = any(item is source for item, _, _ in self._watched)
        if not explicit and not (self._watch_accessed and source.trainable):
            return ()
        slots = [view.slot_of(value) for value in view.values_of(source)]
        return tuple(dict.fromkeys(s for s in slots if s is not None))

    def follows(self, tensor: Tensor) -> bool:
        """Whether this tape could differentiate through `tensor`, which it has recorded so far."""
        for trace, ranges in self._segments:
            view = _View(trace, [(a, len(trace.nodes) if b is None else b) for a, b in ranges])
            slot = view.slot_of(tensor)
            if slot is not None and tensor.spec.inexact:
                roots = self._roots(view)
                reached = reach(view.nodes(), roots, None, view.inexact)[1]
                if slot in reached:
                    return True
        return False


def ranges_of(segment: tuple[Trace, list[list[Any]]]) -> list[tuple[int, int]]:
    """A segment's ranges, the growing one closed at the present length."""
    trace, ranges = segment
    return [(a, len(trace.nodes) if b is None else b) for a, b in ranges]


def _leaves(nest: Any) -> list[Any]:
    return jax.tree.leaves(nest, is_leaf=lambda x: x is None)


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


def _variable_at(trace: Trace, slot: int) -> Variable | None:
    """The variable whose value on entry an input slot is, or whose new value a node made."""
    if slot >= 0:
        return None
    leaf = trace.leaves[-1 - slot]
    if isinstance(leaf, Variable):
        return leaf
    owner = getattr(leaf, "_owner", None)
    return owner() if owner is not None else None


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

    def variable_at(self, slot: int) -> Variable | None:
        if slot < 0:
            return _variable_at(self.trace, slot)
        for values in self.trace.history.values():
            for value in values:
                if value._trace is self.trace and value._slot == slot and value._owner:
                    return value._owner()  # type: ignore[no-any-return]
        tensor = self.trace.refs[slot]()
        if tensor is not None and tensor._owner is not None:
            return tensor._owner()  # type: ignore[no-any-return]
        return None

    def inexact(self, slot: int) -> bool:
        leaf = self.trace.leaves[-1 - slot]
        return bool(leaf.spec.inexact)

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.trace.slot_of(tensor)

    def values_of(self, variable: Variable) -> list[Tensor]:
        now = self.trace.read(variable)
        return [*self.trace.history.get(id(variable), ()), now]

    def index_of(self, trace: Trace, index: int) -> int:
        return index if trace is self.trace else 0


class _Replayed(_View):
    """Nodes of several traces, recorded again at the end of the current one."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace, [])
        self.slots: dict[int, int] = {}  # id of a tensor -> slot in the current trace
        self.owners: dict[int, Variable] = {}  # slot -> variable
        self.values: dict[int, list[Tensor]] = {}
        self.kept: list[Any] = []

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.slots.get(id(tensor))

    def variable_at(self, slot: int) -> Variable | None:
        return self.owners.get(slot)

    def values_of(self, variable: Variable) -> list[Tensor]:
        return [*self.values.get(id(variable), ()), self.trace.read(variable)]

    def index_of(self, trace: Trace, index: int) -> int:
        return 0


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
            owner = leaf._owner() if leaf._owner is not None else None
            if owner is not None:
                view.owners[known] = owner
                view.values.setdefault(id(owner), []).append(leaf)
        wanted = ranges_of(segment)
        first = 0
        for index, node in enumerate(list(trace.nodes)[: max(b for _, b in wanted)]):
            instr: Instr = _renamed_gradient(node[0], names)
            at = len(current.nodes)
            made = emit(current, instr, [names[s] for s in node[1:]])
            for k in range(len(made)):
                names[first + k] = made[k]._slot
            if any(a <= index < b for a, b in wanted):
                if ranges and ranges[-1][1] == at:
                    ranges[-1] = (ranges[-1][0], at + 1)
                else:
                    ranges.append((at, at + 1))
            first += len(instr.out_specs)
        for slot, weak in enumerate(trace.refs):
            tensor = weak()
            if tensor is not None and slot in names:
                view.slots[id(tensor)] = names[slot]
                view.kept.append(tensor)
        for weak, slot in trace.aliases:
            tensor = weak()
            if tensor is not None and slot in names:
                view.slots[id(tensor)] = names[slot]
        for values in trace.history.values():
            for value in values:
                owner = value._owner() if value._owner is not None else None
                if owner is not None:
                    view.values.setdefault(id(owner), []).append(value)
    view.ranges = ranges
    return view


def _renamed_gradient(instr: Instr, names: dict[int, int]) -> Instr:
    """A gradient's node refers to slots of its trace; in another it stands by itself."""
    if instr.gradient is None:
        return instr
    alone = _alone.get(instr)
    if alone is None:
        alone = _alone[instr] = Instr("gradient", instr.fn, instr.in_specs, instr.out_specs)
    return alone


_alone: dict[Instr, Instr] = {}
_plans: dict[Any, tuple[Instr | None, tuple[bool, ...]]] = {}


def _plan(
    mode: str,
    view: _View,
    kept: list[int],
    targets: list[Tensor],
    target_slots: list[int | None],
    seed_slots: list[int | None],
    sources: list[Any],
    source_slots: list[tuple[int, ...]],
    roots: dict[int, int],
) -> tuple[Instr | None, tuple[bool, ...]]:
    """The instruction of a gradient, and which of the sources it has an output for."""
    nodes = view.nodes()
    recorded = set()
    if any(slot >= 0 for slots in source_slots for slot in slots):
        recorded = reach(nodes, roots, None, view.inexact)[1]
    # An intermediate source counts when the tape followed it, an input when it was watched.
    starts = {
        slot: roots.get(slot, 0)
        for slots in source_slots
        for slot in slots
        if slot in roots or slot in recorded
    }
    goals = {slot for k in kept if (slot := target_slots[k]) is not None}
    region, connected_slots = reach(nodes, starts, goals, view.inexact)
    wanted = [tuple(s for s in slots if s in connected_slots) for slots in source_slots]
    connected = tuple(bool(w) for w in wanted)
    if not any(connected):
        return None, connected
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
    return gradient_instr(gradient, in_specs, outs), connected
