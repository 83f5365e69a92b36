"""Targets and predictions brought together: one dtype, one rank, shapes that fit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor

__all__ = ["aligned_weights", "floats", "pair", "pair_function", "same_rank", "wide"]


def pair_function(pure: Callable[..., Any]) -> Callable[..., Tensor]:
    """A pure JAX function of (y_true, y_pred, static options) as a public one: a node a call."""
    op = ArrayOp(pure, pure.__name__.strip("_"))
    options = list(inspect.signature(pure).parameters)[2:]

    @functools.wraps(pure)
    def function(y_true: Any, y_pred: Any, *given: Any, **params: Any) -> Tensor:
        if given:
            params.update(zip(options, given, strict=False))
        return op(y_true, y_pred, **params)  # type: ignore[no-any-return]

    function.pure = pure  # type: ignore[attr-defined]
    return function


def wide(x: Any) -> Any:
    """`x` as it is if it is float32 or wider, else in float32."""
    if jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits >= 32:
        return x
    return x.astype(jnp.float32)


def floats(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both in the dtype of computation: the prediction's, at least float32."""
    y_pred = wide(y_pred)
    return y_true.astype(y_pred.dtype), y_pred


def same_rank(name: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """One given with a last axis of size 1 that the other lacks: (n, 1) beside (n,).

    Raises:
        ShapeError: the shapes do not fit. Equal ranks broadcast and so does a scalar, but unlike
            ranks do not: (n,) beside (n, n) would silently pair every target with every sample.
    """
    given = (y_true.shape, y_pred.shape)
    if y_true.ndim == y_pred.ndim + 1 and y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0] if y_pred.ndim > 1 else y_true
        y_pred = y_pred[..., None] if y_pred.ndim == 1 else y_pred
    elif y_pred.ndim == y_true.ndim + 1 and y_true.ndim and y_pred.shape[-1] == 1:
        y_pred = y_pred[..., 0] if y_true.ndim > 1 else y_pred
        y_true = y_true[..., None] if y_true.ndim == 1 else y_true
    sizes = zip(y_true.shape, y_pred.shape, strict=False)
    scalar = not y_true.ndim or not y_pred.ndim
    fits = y_true.ndim == y_pred.ndim and all(a == b or 1 in (a, b) for a, b in sizes)
    if not (scalar or fits):
        raise ShapeError(
            f"{name}: y_true of shape {given[0]} and y_pred of shape {given[1]} do not fit. They "
            "must have the same shape; only a last axis of size 1 may be missing from one of them."
        )
    return y_true, y_pred


def pair(name: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """`same_rank` of `floats`: what an elementwise loss begins with; never of rank 0."""
    y_true, y_pred = same_rank(name, *floats(y_true, y_pred))
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
