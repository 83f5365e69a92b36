"""Attention whose query heads share heads of key and value."""

from __future__ import annotations

from typing import Any

from weft.layers.head_attention import HeadAttention
from weft.layers.options import positive

__all__ = ["GroupQueryAttention"]


class GroupQueryAttention(HeadAttention):
    """Multi-head attention in which groups of the query's heads share a head of key and value.

    Args:
        head_dim: the size of a head.
        num_query_heads: the number of heads of the query.
        num_key_value_heads: of key and value; a divisor of num_query_heads. 1 is multi-query
            attention, num_query_heads multi-head attention.
        dropout: the share of attention weights that are dropped while training, in [0, 1].
        use_bias: whether biases are added to the projections and the output.
        sliding_window: w, where a step is to see only those less than w steps away.
        flash_attention: taken for Keras's sake; how it is computed does not depend on it.
        kernel_initializer, bias_initializer: first values, of all four projections.
        kernel_regularizer, bias_regularizer: penalties that become losses.
        activity_regularizer: of the projections' outputs and of the layer's.
        kernel_constraint, bias_constraint: applied after each update.
        use_gate: whether each head's result is multiplied by sigmoid(query·Gₙ).
        seed: of the dropout.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        query: float, shape (batch, T, features).
        value: float, shape (batch, S, features of its own).
        key: likewise, with as many steps; the value by default.
        query_mask, value_mask, key_mask, attention_mask, return_attention_scores, training,
            use_causal_mask: as of `MultiHeadAttention`.

    Returns:
        Shape (batch, T, features); with return_attention_scores also the weights, shape (batch,
        num_query_heads, T, S).

    Raises:
        ValueError: sizes that are not positive, heads that num_key_value_heads does not divide, a
            dropout outside [0, 1] or beside flash_attention.
        ShapeError: inputs or masks whose shapes do not fit together or the weights.

    Example:
        >>> import weft
        >>> attention = weft.layers.GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)
        >>> attention(weft.ops.ones((3, 5, 8)), weft.ops.ones((3, 6, 8))).shape
        (3, 5, 8)

    Reference: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models (2023).
    """

    _only_rank = 3
    _keras_name = "GroupedQueryAttention"  # of the class, where layers and places are named

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kind = "GroupQueryAttention"
        head_dim = positive(kind, "head_dim", head_dim)
        queries = positive(kind, "num_query_heads", num_query_heads)
        keys = positive(kind, "num_key_value_heads", num_key_value_heads)
        if queries % keys:
            raise ValueError(
                f"{kind}: num_query_heads must be a multiple of num_key_value_heads, got "
                f"num_query_heads={queries}, num_key_value_heads={keys}."
            )
        chosen = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        super().__init__(
            queries, keys, head_dim, head_dim,
            output=None, dropout=dropout, use_bias=use_bias, use_gate=use_gate,
            sliding_window=sliding_window, flash_attention=flash_attention,
            attention_axes=(1,), activity_regularizer=activity_regularizer, seed=seed,
            chosen=chosen, **kwargs,
        )  # fmt: skip
        self.head_dim = head_dim
        self.num_query_heads, self.num_key_value_heads = queries, keys

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }
