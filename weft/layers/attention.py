"""Attention without heads: by the product of query and key, or by a sum of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from weft.engine import Op, SeedGenerator, ShapeError, Tensor, draw
from weft.kernels.attention import band, scores_of, weigh
from weft.layers.layer import Layer
from weft.layers.options import rate_of
from weft.random import dropped

__all__ = ["AdditiveAttention", "Attention"]


def _summed(query: Any, key: Any, scale: Any = None) -> Any:
    """tanh(query + key) of each pair of steps, shape (..., T, S, dim)."""
    pairs = query[..., :, None, :] + key[..., None, :, :]
    return jnp.tanh(pairs if scale is None else scale * pairs)


def _concat_scores(query: Any, key: Any, weight: Any, scale: Any = None) -> Any:
    return weight * jnp.sum(_summed(query, key, scale), -1, jnp.float32)


def _additive_scores(query: Any, key: Any, scale: Any = None) -> Any:
    pairs = _summed(query, key)
    return jnp.sum(pairs if scale is None else scale * pairs, -1, jnp.float32)


_SCORES: dict[str, Callable[..., Any]] = {
    "dot": scores_of,
    "concat": _concat_scores,
    "additive": _additive_scores,
}


def _attend(
    query: Any, value: Any, key: Any, *rest: Any, mode: str, given: str, causal: bool,
    drop: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The result and the weights; `given` names the masks among `rest`, weights come before."""
    _check(query, value, key)
    names = given.split()
    weights, masks = rest[: len(rest) - len(names)], rest[len(rest) - len(names) :]
    hidden = dict(zip(names, (m.astype(bool) for m in masks), strict=True))
    for name, like in (("query", query), ("value", value)):
        mask = hidden.get(name)
        if mask is not None and mask.shape != like.shape[:-1]:
            raise ValueError(
                f"the mask of the {name} must have the shape {like.shape[:-1]}, got {mask.shape}."
            )
    # One head, for the sake of products that sum over heads too.
    one = (x[..., None, :, :] for x in (query, key))
    scores = _SCORES[mode](*one, *weights)
    mask = band(scores, causal)
    if "value" in hidden:
        seen = hidden["value"][..., None, None, :]
        mask = seen if mask is None else mask & seen
    result, _, kept = weigh(scores, value[..., None, :, :], mask, drop=drop)
    result, kept = result[..., 0, :, :], kept[..., 0, :, :]
    if "query" in hidden:
        result = jnp.where(hidden["query"][..., None], result, 0)
    return result, kept


def _check(query: Any, value: Any, key: Any) -> None:
    shapes = f"query {query.shape}, value {value.shape}, key {key.shape}"
    if not query.ndim == value.ndim == key.ndim >= 3:
        raise ValueError(f"expected tensors of shape (batch, steps, dim), got {shapes}.")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key must have the same last axis, got {shapes}.")
    if value.shape[:-1] != key.shape[:-1]:
        raise ValueError(f"value and key must agree in all axes but the last, got {shapes}.")
    batches = zip(query.shape[:-2], key.shape[:-2], strict=True)
    if any(a != b and 1 not in (a, b) for a, b in batches):
        raise ValueError(f"query and value must have one batch size, got {shapes}.")


_attend_op = Op(_attend, "attention")


def _attend_dropping(random_key: Any, *operands: Any, rate: float, **static: Any) -> Any:
    def drop(weights: Any) -> Any:
        return dropped(random_key, weights, rate, noise_shape=None)

    return _attend(*operands, drop=drop, **static)


class Attention(Layer):
    """softmax(scores)·value, the score of two steps being query·key, or w·Σ tanh(query + key).

    Args:
        use_scale: whether scores are multiplied by a learned number, 1 at first; with "concat",
            query + key is.
        score_mode: "dot", the product; or "concat", w·Σ tanh(query + key) with a learned number w.
        dropout: the share of weights that are dropped while training, in [0, 1].
        seed: of the dropout.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: [query, value] or [query, value, key]; query float, shape (batch, T, dim); value
            (batch, S, any); key (batch, S, dim), the value by default.
        mask: [query mask, value mask] (and one more, of no account, beside a key), bool of shape
            (batch, T) and (batch, S), each may be None: the result is 0 at steps of the query that
            are False, and steps of the value that are False are not seen.
        training: whether weights are dropped.
        return_attention_scores: whether the weights are returned too, as after dropout.
        use_causal_mask: whether a step sees none of those after it.

    Returns:
        Shape (batch, T, any), where a step that sees none has the mean of the values; with
        return_attention_scores also the weights, shape (batch, T, S).

    Raises:
        ValueError: an unknown score_mode, a dropout outside [0, 1].
        ShapeError: other than two or three inputs or masks, or shapes that do not fit together.

    Example:
        >>> import weft
        >>> query, value = weft.ops.ones((2, 3, 8)), weft.ops.ones((2, 5, 8))
        >>> weft.layers.Attention()([query, value]).shape
        (2, 3, 8)

    Reference: Luong, Pham & Manning, Effective Approaches to Attention-based Neural Machine
    Translation (2015), section 3.1.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                f"{type(self).__name__}: score_mode is 'dot' or 'concat', got {score_mode!r}."
            )
        self.use_scale = bool(use_scale)
        self.score_mode = score_mode
        self.dropout = rate_of(type(self).__name__, "dropout", dropout)
        self.seed = seed
        if self.dropout:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        _check_number(input_shape)
        self.scale = self._make_scale(input_shape) if self.use_scale else None
        self.concat_score_weight = None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _make_scale(self, input_shape: Any) -> Any:
        return self.add_weight((), "ones", name="scale")

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        _check_number(inputs)
        query, value = inputs[:2]
        operands = [query, value, inputs[2] if len(inputs) > 2 else value]
        operands += [w for w in (self.concat_score_weight, self.scale) if w is not None]
        given = ""
        if mask is not None:
            for name, each in zip(("query", "value"), _masks(mask), strict=True):
                if each is not None:
                    operands.append(each)
                    given = f"{given} {name}"
        static = {"mode": self._mode, "given": given, "causal": bool(use_causal_mask)}
        if training and self.dropout:
            result, weights = draw(
                self.seed_generator, _attend_dropping, tuple(operands), rate=self.dropout, **static
            )
        else:
            result, weights = _attend_op(*operands, **static)
        return (result, weights) if return_attention_scores else result

    @property
    def _mode(self) -> str:
        return self.score_mode

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None if previous_mask is None else _masks(previous_mask)[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class AdditiveAttention(Attention):
    """softmax(scores)·value, the score of two steps being Σ scale·tanh(query + key).

    Args:
        use_scale: whether each feature of tanh(query + key) has a learned factor.
        dropout: the share of weights that are dropped while training, in [0, 1].
        kwargs: `seed`, `name`, `dtype` and `trainable`.

    Call arguments and result are those of `Attention`.

    Raises:
        ValueError: a dropout outside [0, 1].
        ShapeError: other than two or three inputs or masks, or shapes that do not fit together.

    Example:
        >>> import weft
        >>> query, value = weft.ops.ones((2, 3, 8)), weft.ops.ones((2, 5, 8))
        >>> weft.layers.AdditiveAttention()([query, value]).shape
        (2, 3, 8)

    Reference: Bahdanau, Cho & Bengio, Neural Machine Translation by Jointly Learning to Align and
    Translate (2014), section 3.1.
    """

    _mode = "additive"

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def _make_scale(self, input_shape: Any) -> Any:
        dim = input_shape[0][-1]
        if dim is None:
            raise ShapeError(
                f"the last axis of the query must be known, got shape {tuple(input_shape[0])}."
            )
        return self.add_weight((dim,), "glorot_uniform", name="scale")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config


def _check_number(inputs: Any) -> None:
    """Raise unless these are two or three inputs, or shapes of them."""
    if not isinstance(inputs, list | tuple) or not 2 <= len(inputs) <= 3:
        came = f"a list of {len(inputs)}" if isinstance(inputs, list) else _described(inputs)
        raise ShapeError(f"expected a list [query, value] or [query, value, key], got {came}.")
    if any(x is None or isinstance(x, int) for x in inputs):  # one shape, of a single tensor
        raise ShapeError(
            "expected a list [query, value] or [query, value, key], got one tensor of shape "
            f"{tuple(inputs)}."
        )


def _described(inputs: Any) -> str:
    if isinstance(inputs, Tensor):
        return f"one tensor of shape {tuple(inputs.shape)}"
    return f"{len(inputs)} of them" if isinstance(inputs, tuple) else repr(inputs)


def _masks(mask: Any) -> Any:
    """The masks of query and value."""
    if not isinstance(mask, list | tuple) or not 2 <= len(mask) <= 3:
        came = f"{len(mask)} of them" if isinstance(mask, list | tuple) else "one"
        raise ShapeError(f"mask must be a list [mask of the query, mask of the value], got {came}.")
    return mask[:2]
