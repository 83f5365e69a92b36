"""Targets and predictions brought together: one dtype, one rank, shapes that fit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor
from weft.engine.errors import SymbolError
from weft.engine.symbolic import call_symbolically
from weft.losses.options import Rule, check_options

__all__ = [
    "aligned_weights", "backed_by", "floats", "pair", "pair_function", "same_rank", "wide",
    "with_last_axis",
]  # fmt: skip


def pair_function(pure: Callable[..., Any] | None = None, **rules: Rule) -> Any:
    """A pure JAX function of (y_true, y_pred, static options) as a public one: a node a call.

    On symbolic tensors the call is noted as a node of a functional model.

    Args:
        pure: the function.
        rules: what holds for options. They are looked at where the function is traced, so once
            for each value; losses' constructors look at them as well.
    """
    if pure is None:
        return lambda pure: pair_function(pure, **rules)
    name = pure.__name__.strip("_")
    options = list(inspect.signature(pure).parameters)[2:]

    @functools.wraps(pure)
    def checked(y_true: Any, y_pred: Any, **params: Any) -> Any:
        check_options(name, rules, params)
        return pure(y_true, y_pred, **params)

    op = ArrayOp(checked if rules else pure, name)

    @functools.wraps(pure)
    def function(y_true: Any, y_pred: Any, *given: Any, **params: Any) -> Tensor:
        if given:
            params.update(zip(options, given, strict=False))
        try:
            return op(y_true, y_pred, **params)
        except SymbolError:
            return call_symbolically(function, (y_true, y_pred), params)

    function.pure = pure  # type: ignore[attr-defined]
    function.rules = rules  # type: ignore[attr-defined]
    return function


def backed_by(made: Any, **more: Any) -> Callable[[Any], Any]:
    """Decorator of a public function that prepares the arguments of `made`, a pair function.

    It is given what losses look for on `made`, and `more` of that (`check_targets`).
    """

    def decorate(function: Any) -> Any:
        vars(function).update(pure=made.pure, rules=made.rules, **more)
        return function

    return decorate


def wide(x: Any) -> Any:
    """`x` as it is if it is float32 or wider, else in float32."""
    if jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits >= 32:
        return x
    return x.astype(jnp.float32)


def floats(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both in the dtype of computation: the prediction's, at least float32."""
    y_pred = wide(y_pred)
    return y_true.astype(y_pred.dtype), y_pred


def with_last_axis(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both with the same rank, where one has a last axis of size 1 that the other lacks.

    Beside (n,) it is given to the other; beside higher ranks it is taken away, as Keras does.
    """
    ranks = len(y_true.shape), len(y_pred.shape)
    if ranks[0] == ranks[1] + 1 and ranks[1] and y_true.shape[-1] == 1:
        return (y_true[..., 0], y_pred) if ranks[1] > 1 else (y_true, y_pred[..., None])
    if ranks[1] == ranks[0] + 1 and ranks[0] and y_pred.shape[-1] == 1:
        return (y_true, y_pred[..., 0]) if ranks[0] > 1 else (y_true[..., None], y_pred)
    return y_true, y_pred


def same_rank(name: str, y_true: Any, y_pred: Any, *, exact: bool = False) -> tuple[Any, Any]:
    """One given with a last axis of size 1 that the other lacks: (n, 1) beside (n,).

    Args:
        name: of the loss, for messages.
        y_true, y_pred: arrays.
        exact: whether the sizes must be equal: of classes, (n, 1) beside (n, classes) are labels
            that were meant for another loss.

    Raises:
        ShapeError: the shapes do not fit. Equal ranks broadcast (unless `exact`) and so does a
            scalar, but unlike ranks do not: (n,) beside (n, n) would silently pair every target
            with every sample.
    """
    given = (y_true.shape, y_pred.shape)
    y_true, y_pred = with_last_axis(y_true, y_pred)
    sizes = zip(y_true.shape, y_pred.shape, strict=False)
    scalar = not y_true.ndim or not y_pred.ndim
    fits = y_true.ndim == y_pred.ndim and all(
        a == b or (1 in (a, b) and not exact) for a, b in sizes
    )
    if not (scalar or fits):
        raise ShapeError(
            f"{name}: y_true of shape {given[0]} and y_pred of shape {given[1]} do not fit. They "
            "must have the same shape; only a last axis of size 1 may be missing from one of them."
            f"{_cause(*given)}"
        )
    return y_true, y_pred


def _cause(true: tuple[int, ...], pred: tuple[int, ...]) -> str:
    """What the usual mistake behind two shapes is, as the end of a message."""
    if pred and true in (pred[:-1], (*pred[:-1], 1)):
        return (
            f" Integer labels beside the {pred[-1]} outputs of each place go with "
            "sparse_categorical_crossentropy, or through weft.ops.one_hot."
        )
    if true and pred in (true[:-1], (*true[:-1], 1)):
        return (
            f" Targets of {true[-1]} columns (one-hot?) need a last layer of {true[-1]} units, or "
            "integer labels and sparse_categorical_crossentropy where the classes exclude one "
            "another."
        )
    if len(true) == len(pred) and true[:-1] == pred[:-1]:
        return f" Give the last layer {true[-1]} units, as many as the targets have columns."
    return ""


def pair(name: str, y_true: Any, y_pred: Any, *, exact: bool = False) -> tuple[Any, Any]:
    """`same_rank` of `floats`: what an elementwise loss begins with; never of rank 0."""
    y_true, y_pred = same_rank(name, *floats(y_true, y_pred), exact=exact)
    return jnp.atleast_1d(y_true), jnp.atleast_1d(y_pred)


def aligned_weights(weights: Any, shape: tuple[int, ...], what: str = "sample_weight") -> Any:
    """Weights of the first axes of something of `shape`, with as many axes as it has.

    The first axis is the batch, so that weights (n,) weigh the samples of losses (n, t).

    Raises:
        ShapeError: the shapes do not fit.
    """
    given = weights.shape
    if weights.ndim == len(shape) + 1 and given[-1] == 1:
        weights = weights[..., 0]
    weights = weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
    sizes = zip(weights.shape, shape, strict=False)
    if weights.ndim != len(shape) or not all(w in (1, n) for w, n in sizes):
        heads = ", ".join(str(shape[:k]) for k in range(1, len(shape) + 1)) or "()"
        raise ShapeError(
            f"{what} of shape {given} does not fit values of shape {shape}. It weighs their first "
            f"axes, so it must be a number or have a shape out of {heads}, or 1 in place of a size."
        )
    return weights
