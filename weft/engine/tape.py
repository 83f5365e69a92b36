"""`GradientTape`: remembers which part of the recorded work was made inside it.

A tape keeps no values: it holds ranges of nodes of the traces that were current while it recorded.
When pending work was run in between (a value was read), the trace's nodes and leaves are kept for
the tape, and the part that the gradient needs is recorded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

import jax

from weft.engine.gradient import reach, result_specs
from weft.engine.nest import leaves_of, rebuilt
from weft.engine.replay import Plan, View, make_plan, owner_at, ranges_of, replayed
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
        self._weak = ref(self)
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
        self._open(state.trace)
        self._recording = True
        # A weak reference: a tape whose block was broken off on the way in or out (Ctrl-C) goes
        # with its last holder, instead of recording for ever.
        state.tapes = (*(t for t in state.tapes if t() is not None), self._weak)

    def _stop(self) -> None:
        self._recording = False
        state.tapes = tuple(t for t in state.tapes if t is not self._weak and t() is not None)
        self._close()

    def _open(self, trace: Trace) -> None:
        if not self._segments or self._segments[-1][0] is not trace:
            self._segments.append((trace, []))
            trace.tapes.append(self._weak)
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
        if getattr(self, "_recording", False):
            self._stop()
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
                view = View(segment[0], ranges_of(segment))
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
                "this GradientTape has recorded nothing. Compute the target in its `with` block."
            )
        if self._used and not self._persistent:
            raise RuntimeError(
                "a non-persistent GradientTape gives one gradient (or jacobian) only, and this "
                "one was used. Ask for all sources in one call, or make the tape with "
                "persistent=True."
            )
        plain = sources.__class__ is list and all(isinstance(s, ArrayLike) for s in sources)
        flat = sources if plain else leaves_of(sources)
        for source in () if plain else flat:
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
        return found if plain else rebuilt(sources, found)

    def _record_gradient(
        self, mode: str, targets: list[Tensor], seeds: list[Tensor | None], sources: list[Any]
    ) -> list[Tensor | None]:
        segments = [(trace, ranges) for trace, ranges in self._segments if ranges]
        if len(segments) > 1 or (segments and segments[0][0].sealed):
            trace = state.trace
            view: View = replayed(self._segments, trace)
        else:
            trace = segments[0][0] if segments else state.trace
            view = View(trace, ranges_of(segments[0]) if segments else [])
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
            entry = _plans[key] = make_plan(
                mode, view, kept, targets, target_slots, seed_slots, sources, source_slots,
                self._roots(view) if roots is None else roots,
            )
            if len(_plans) > 4096:
                del _plans[next(iter(_plans))]
        instr, connected, read = entry
        if not self._persistent:
            self._seen += [owner_at(trace, slot) for slot in read]
            self._seen += [v._weak for v in self._assigned]
            self._seen += [v._weak for v, _, _ in self._watched if isinstance(v, Variable)]
        if instr is None:
            return [None] * len(sources)
        given = [s for k in kept if (s := seed_slots[k]) is not None]
        outs = iter(emit(trace, instr, [*instr.gradient.external, *given]))
        return [next(outs) if c else None for c in connected]

    def _roots(self, view: View) -> dict[int, float]:
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

    def _source_values(self, view: View, source: Any) -> list[Tensor]:
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
        """Whether this tape could differentiate through `what`, with what it has recorded."""
        if any(item is what for item, _, _ in self._watched):
            return True
        if isinstance(what, Variable):
            return self._watch_accessed and what.trainable
        followed: set[int] = set()  # ids of the tensors followed in the segments so far
        for segment in self._segments:
            view = View(segment[0], ranges_of(segment))
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


_plans: dict[Any, Plan] = {}
