"""Functions and control flow in TensorFlow's spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from weft import engine, ops
from weft.engine import as_tensor
from weft.engine.trace import state

__all__ = ["cond", "executing_eagerly", "function", "map_fn", "scan", "switch_case"]


def function(
    func: Callable[..., Any] | None = None, input_signature: Any = None, autograph: Any = True,
    jit_compile: Any = None, reduce_retracing: Any = False, **_: Any,
) -> Any:  # fmt: skip
    """A function compiled with the state it uses; see `weft.function`.

    `input_signature` is not needed, as each signature called gets its program; it is accepted.
    """
    return engine.function if func is None else engine.function(func)


def cond(pred: Any, true_fn: Any = None, false_fn: Any = None, name: str | None = None) -> Any:
    """`true_fn()` where `pred` holds, else `false_fn()`."""
    return engine.cond(pred, true_fn, false_fn)


def switch_case(
    branch_index: Any, branch_fns: Any, default: Any = None, name: str = "switch_case"
) -> Any:
    """`branch_fns[branch_index]()`; out of range, the default or else the last."""
    branches = list(branch_fns)
    if branches and isinstance(branches[0], tuple):
        branches = [branch for _, branch in sorted(branches, key=lambda pair: pair[0])]
    last = len(branches) - (default is None)
    branches += [] if default is None else [default]
    outside = ops.logical_or(ops.less(branch_index, 0), ops.greater(branch_index, last))
    return engine.switch(ops.where(outside, last, branch_index), branches)


def map_fn(
    fn: Callable[..., Any], elems: Any, dtype: Any = None, parallel_iterations: Any = None,
    back_prop: Any = True, swap_memory: Any = False, infer_shape: Any = True,
    name: str | None = None, fn_output_signature: Any = None,
) -> Any:  # fmt: skip
    """`fn` of each row of `elems`, the results stacked."""
    return engine.map(fn, elems)


def scan(
    fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10,
    back_prop: Any = True, swap_memory: Any = False, infer_shape: Any = True, reverse: Any = False,
    name: str | None = None,
) -> Any:  # fmt: skip
    """All values of `a = fn(a, row)` over the rows of `elems`, from `initializer` or the first."""
    rows = jax.tree.map(as_tensor, elems, is_leaf=lambda e: isinstance(e, engine.ArrayLike))

    def step(carry: Any, row: Any) -> Any:
        made = fn(carry, row)
        return made, made

    if initializer is not None:
        return engine.scan(step, initializer, rows, reverse=reverse)[1]
    tensors, tree = jax.tree.flatten(rows)
    first = jax.tree.unflatten(tree, [t[-1 if reverse else 0] for t in tensors])
    rest = jax.tree.unflatten(tree, [t[:-1] if reverse else t[1:] for t in tensors])
    values = jax.tree.leaves(engine.scan(step, first, rest, reverse=reverse)[1])
    joined = []
    for start, after in zip(jax.tree.leaves(first), values, strict=True):
        pair = [ops.expand_dims(start, 0), after]
        joined.append(ops.concatenate(pair[::-1] if reverse else pair, 0))
    return jax.tree.unflatten(tree, joined)


def executing_eagerly() -> bool:
    """Whether values can be had now: false while a function is being traced."""
    return state.trace.lazy
