"""Scaled dot-product attention."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.kernels.attention import band, scores_of, weigh

__all__ = ["dot_product_attention"]


def _spread(x: Any, what: str, scores: tuple[int, ...]) -> Any:
    """A mask or bias with four axes, which broadcast to the scores' (B, N, T, S).

    Raises:
        ValueError: they do not.
    """
    full = x.reshape((1,) * (4 - x.ndim) + x.shape) if x.ndim <= 4 else x
    if x.ndim == 3 and not _fits(full.shape, scores):
        full = x[:, None]  # (B, T, S), the same for all heads
    if not _fits(full.shape, scores):
        raise ValueError(
            f"{what} must broadcast to (batch, heads, T, S) = {scores}, got shape {x.shape}."
        )
    return full


def _fits(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    return len(shape) == len(onto) and all(a in (1, b) for a, b in zip(shape, onto, strict=True))


def _check(query: Any, key: Any, value: Any) -> None:
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if not query.ndim == key.ndim == value.ndim == 4:
        raise ValueError(f"expected tensors of shape (batch, steps, heads, size), got {shapes}.")
    if key.shape[:3] != value.shape[:3]:
        raise ValueError(f"key and value must agree in batch, steps and heads, got {shapes}.")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key must have heads of one size, got {shapes}.")
    if query.shape[0] != key.shape[0] and 1 not in (query.shape[0], key.shape[0]):
        raise ValueError(f"query and key must have one batch size, got {shapes}.")
    if not key.shape[2] or query.shape[2] % key.shape[2]:
        raise ValueError(f"the key's heads must divide the query's, got {shapes}.")


def _attention(
    query: Any, key: Any, value: Any, *rest: Any, given: str, causal: bool, cap: float | None
) -> Any:
    _check(query, key, value)
    kind = jnp.result_type(query, key, value)
    if not jnp.issubdtype(kind, jnp.floating):
        raise ValueError(f"expected floats, got dtype {kind.name}.")
    query, key, value = (jnp.swapaxes(x.astype(kind), 1, 2) for x in (query, key, value))
    more = dict(zip(given.split(), rest, strict=True))
    scale = more.get("scale", query.shape[-1] ** -0.5)
    scores = scores_of(query, key, scale)
    if cap is not None:
        scores = cap * jnp.tanh(scores / cap)
    if "bias" in more:
        scores = scores + _spread(more["bias"], "bias", scores.shape)
    mask = band(scores, causal)
    if "mask" in more:
        kept = _spread(more["mask"].astype(bool), "mask", scores.shape)
        mask = kept if mask is None else mask & kept
    result, _, _ = weigh(scores, value, mask)
    return jnp.swapaxes(result, 1, 2)


_attention_op = ArrayOp(_attention, "dot_product_attention")


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query·keyᵀ · scale + bias)·value for each head, one node.

    Half precision is multiplied as it is; the scores and the softmax are float32.

    Args:
        query: float, shape (batch, T, N, H): T steps, N heads of size H.
        key: float, shape (batch, S, K, H); K divides N, and N/K heads of the query in a row share
            one of the key's (1: multi-query attention).
        value: float, shape (batch, S, K, V).
        bias: added to the scores; broadcast to (batch, N, T, S).
        mask: bool, likewise; where it is False the weight is 0. A step that is masked from all
            others gets their plain mean. Both may have the shape (batch, T, S), where that does
            not broadcast.
        scale: a number; 1/√H by default.
        is_causal: whether a step sees none of those after it.
        flash_attention: taken for Keras's sake; how it is computed does not depend on it.
        attn_logits_soft_cap: c, where scores are to be c·tanh(score / c).

    Returns:
        Shape (batch, T, N, V).

    Raises:
        ShapeError: shapes that do not fit together, or a dtype that is no float.
        ValueError: a cap that is not positive.

    Example:
        >>> from weft import ops
        >>> query, key = ops.ones((2, 3, 4, 8)), ops.ones((2, 5, 2, 8))
        >>> ops.dot_product_attention(query, key, key, is_causal=True).shape
        (2, 3, 4, 8)

    Reference: Vaswani et al., Attention Is All You Need (2017), equation 1; Ainslie et al., GQA
    (2023) for heads that share keys.
    """
    cap = attn_logits_soft_cap
    if cap is not None and not cap > 0:
        raise ValueError(
            f"dot_product_attention: attn_logits_soft_cap must be positive, got {cap!r}."
        )
    optional = (("bias", bias), ("mask", mask), ("scale", scale))
    present = [(name, x) for name, x in optional if x is not None]
    given = " ".join(name for name, _ in present)
    rest = [x for _, x in present]
    return _attention_op(query, key, value, *rest, given=given, causal=bool(is_causal), cap=cap)
