"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from weft import regularizers
from weft.engine.names import looked_up
from weft.layers.head_attention import HeadAttention
from weft.layers.options import positive

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(HeadAttention):
    """Σₙ softmax(qₙ·kₙᵀ / √key_dim)·vₙ·Oₙ, where qₙ = query·Qₙ, kₙ = key·Kₙ, vₙ = value·Vₙ.

    Args:
        num_heads: the number of heads n.
        key_dim: the size of qₙ and kₙ.
        value_dim: the size of vₙ; key_dim by default.
        dropout: the share of attention weights that are dropped while training, in [0, 1].
        use_bias: whether biases are added to qₙ, kₙ, vₙ and the output.
        output_shape: the output's size (or sizes) behind its steps; the query's by default.
        attention_axes: the axis, or axes, attended over; all between batch and features by
            default.
        sliding_window: w, where a step is to see only those less than w steps away.
        flash_attention: taken for Keras's sake; how it is computed does not depend on it.
        kernel_initializer, bias_initializer: first values, of all four projections.
        kernel_regularizer, bias_regularizer: penalties that become losses.
        activity_regularizer: of the projections' outputs.
        kernel_constraint, bias_constraint: applied after each update.
        use_gate: whether each head's result is multiplied by sigmoid(query·Gₙ).
        seed: of the dropout.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        query: float, shape (batch, T, features); several axes T where several are attended over.
        value: float, shape (batch, S, features of its own).
        key: likewise, with as many steps; the value by default.
        query_mask, value_mask, key_mask: bool, shape (batch, T) and (batch, S): steps where it is
            False are not seen. Masks that the tensors carry are used where these are not given.
        attention_mask: bool, shape (batch, T, S) or (batch, num_heads, T, S), or sizes of 1 in
            their place: which step of the query sees which of the key.
        return_attention_scores: whether the weights are returned too, as before dropout.
        training: whether weights are dropped.
        use_causal_mask: whether a step sees none of those after it.

    Returns:
        Shape (batch, T, features), or with `output_shape` behind T; and with
        return_attention_scores the weights, shape (batch, num_heads, T, S). Axes not attended over
        stand before the heads. A step that sees none gets the mean of the values; it gets 0 with
        dropout, with return_attention_scores and where several axes are attended over (Keras's
        rule).

    Raises:
        ValueError: sizes that are not positive, a dropout outside [0, 1] or beside
            flash_attention.
        ShapeError: inputs or masks whose shapes do not fit together or the weights, or
            attention_axes that the inputs do not have.

    Example:
        >>> import weft
        >>> attention = weft.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> query, value = weft.ops.ones((3, 5, 8)), weft.ops.ones((3, 6, 8))
        >>> attention(query, value).shape
        (3, 5, 8)
        >>> attention(query, value, return_attention_scores=True)[1].shape
        (3, 2, 5, 6)

    Reference: Vaswani et al., Attention Is All You Need (2017), section 3.2; Qiu et al., Gated
    Attention for Large Language Models (2025) for the gate.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
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
        kind = "MultiHeadAttention"
        # Keras 2 wrote these down. Shapes are found at the first call; masking is always robust.
        for old in ("query_shape", "value_shape", "key_shape", "softmax_robust_masking"):
            kwargs.pop(old, None)
        chosen = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        num_heads = positive(kind, "num_heads", num_heads)
        key_dim = positive(kind, "key_dim", key_dim)
        value_dim = key_dim if value_dim is None else positive(kind, "value_dim", value_dim)
        super().__init__(
            num_heads, num_heads, key_dim, value_dim,
            output=_sizes(kind, output_shape), dropout=dropout, use_bias=use_bias,
            use_gate=use_gate, sliding_window=sliding_window, flash_attention=flash_attention,
            attention_axes=_axes(kind, attention_axes), activity_regularizer=None, seed=seed,
            chosen=chosen, **kwargs,
        )  # fmt: skip
        # Not the base class's: it is of the projections, the last of which makes the output.
        self._activity_regularizer = looked_up(
            self, "activity_regularizer", regularizers.get, activity_regularizer
        )
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim

    @property
    def _projections_regularizer(self) -> Any:
        return self._activity_regularizer

    @property
    def query_dense(self) -> Any:
        """The layer that projects the query, once there is one; its place in files has this name.

        So have `key_dense`, `value_dense` and `output_dense`.
        """
        return self._query_dense

    @property
    def key_dense(self) -> Any:
        """The layer that projects the key."""
        return self._key_dense

    @property
    def value_dense(self) -> Any:
        """The layer that projects the value."""
        return self._value_dense

    @property
    def output_dense(self) -> Any:
        """The layer that makes the output of the heads' results."""
        return self._output_dense

    @property
    def attention_axes(self) -> tuple[int, ...] | None:
        """The axes attended over, counted from the front once the layer is built."""
        return self._attended if self.built else self._attention_axes

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output,
            "attention_axes": self._attention_axes,
            "activity_regularizer": regularizers.serialize(self._activity_regularizer),
        }


def _sizes(kind: str, shape: Any) -> tuple[int, ...] | None:
    if shape is None:
        return None
    many = shape if isinstance(shape, list | tuple) else (shape,)
    return tuple(positive(kind, "output_shape", n) for n in many)


def _axes(kind: str, axes: Any) -> tuple[int, ...] | None:
    if axes is None:
        return None
    many = tuple(axes) if isinstance(axes, list | tuple) else (axes,)
    if not many or not all(isinstance(a, int) and not isinstance(a, bool) for a in many):
        raise ValueError(
            f"{kind}: attention_axes must be an integer or several, got attention_axes={axes!r}."
        )
    return many
