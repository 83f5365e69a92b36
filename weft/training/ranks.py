"""Targets of one number a sample, given to losses and metrics in the shape of the outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from weft.engine.trace import state

__all__ = ["in_one_shape"]


def in_one_shape(name: str, call: Callable[..., Any], y_true: Any, y_pred: Any) -> Any:
    """`call(y_true, y_pred)`, targets (n,) beside outputs (n, 1) given as (n, 1).

    Keras 2's `fit` does so, and code written for it counts on that: `y_true - y_pred` would have
    the shape (n, n) otherwise, and its mean would look like a loss. Code that brings the outputs to
    the targets' shape by itself meets the same in reverse, so it is looked for, and told.
    """
    shape = getattr(y_true, "shape", None)
    if shape is None or len(shape) != 1 or tuple(y_pred.shape) != (shape[0], 1):
        return call(y_true, y_pred)
    n, trace = shape[0], state.trace
    start = len(trace.nodes)
    result = call(y_true[:, None], y_pred)
    for instr, *_ in trace.nodes[start:] if n > 1 and trace is state.trace else ():
        shapes = {tuple(spec.shape) for spec in instr.in_specs}
        if {(n,), (n, 1)} <= shapes and any(tuple(s.shape) == (n, n) for s in instr.out_specs):
            warnings.warn(
                f"{name}: {instr.name} of shapes ({n}, 1) and ({n},) pairs every target with every "
                f"output, ({n}, {n}). Targets of shape ({n},) come as ({n}, 1), the shape of the "
                "outputs, as in Keras 2: leave out the squeeze or reshape of the outputs, or give "
                "targets of the shape that is meant.",
                UserWarning,
                stacklevel=4,
            )
            break
    return result
