"""`HeadAttention`: what the layers share whose attention runs in several heads."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

from weft.engine import ShapeError, Tensor, draw
from weft.layers.einsum_dense import EinsumDense
from weft.layers.heads import attend, attend_dropping
from weft.layers.layer import Layer
from weft.layers.options import option_config, positive, rate_of, set_options
from weft.layers.regularization import Dropout

__all__ = ["HeadAttention"]


class HeadAttention(Layer):
    """The base of multi-head attention: projections to heads, attention in each, and one back.

    Args:
        heads: of the query.
        shared_heads: of key and value, a divisor of `heads`.
        key_dim: the size of a head of query and key.
        value_dim: of value.
        output: the output's shape behind its steps; the query's by default.
        dropout: the share of attention weights dropped while training.
        sliding_window: w, where a step sees only those less than w away.
        attention_axes: the axes attended over; all between batch and features by default.
        chosen: `kernel_initializer`, `bias_regularizer` and the like, for all projections.
        others: the arguments of every layer.
    """

    _only_rank: int | None = None  # of the inputs, where there can be but one

    def __init__(
        self, heads: int, shared_heads: int, key_dim: int, value_dim: int, *, output: Any,
        dropout: float, use_bias: bool, use_gate: bool, sliding_window: int | None,
        flash_attention: bool | None, attention_axes: tuple[int, ...] | None,
        activity_regularizer: Any, seed: int | None, chosen: dict[str, Any], **others: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **others)
        kind = type(self).__name__
        self._heads, self._shared_heads = heads, shared_heads
        self._key_size, self._value_size = key_dim, value_dim
        self._output = output
        self.dropout = rate_of(kind, "dropout", dropout)
        if flash_attention and self.dropout:
            raise ValueError(
                f"{kind}: flash attention drops nothing; set dropout to 0 or flash_attention to "
                f"None, got dropout={dropout}."
            )
        self.flash_attention = flash_attention
        self.use_bias = bool(use_bias)
        self.use_gate = bool(use_gate)
        self.sliding_window = (
            None if sliding_window is None else positive(kind, "sliding_window", sliding_window)
        )
        self.seed = seed
        self._attention_axes = attention_axes
        for option, value in chosen.items():
            weight, what = option.rsplit("_", 1)
            set_options(self, weight, **{what: value})
        self.supports_masking = True

    # -- building -------------------------------------------------------------------------

    def build(  # type: ignore[override]
        self, query_shape: Any, value_shape: Any, key_shape: Any = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        for name, shape in shapes.items():
            _check_rank(name, shape, query_shape, self._only_rank)
        pairs = zip(key_shape[:-1], value_shape[:-1], strict=True)
        if any(None not in (a, b) and a != b for a, b in pairs):
            raise _steps_differ(key_shape, value_shape)
        self._rank = len(query_shape)
        self._attended = self._attended_of(self._rank)
        self._sizes = tuple(shape[-1] for shape in shapes.values())
        result = (self._heads, self._value_size)
        # The order of Keras's weights.
        self._query_dense = self._projection("query", query_shape, (self._heads, self._key_size))
        self._key_dense = self._projection("key", key_shape, (self._shared_heads, self._key_size))
        if self.use_gate:
            self._gate_dense = self._projection("gate", query_shape, result, "sigmoid")
        self._value_dense = self._projection(
            "value", value_shape, (self._shared_heads, self._value_size)
        )
        if self.dropout:
            self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        output = (query_shape[-1],) if self._output is None else self._output
        self._output_dense = self._dense("attention_output", result, output)
        self._output_dense.build((*query_shape[:-1], *result))

    def _projection(
        self, name: str, shape: Any, heads: tuple[int, int], activation: Any = None
    ) -> EinsumDense:
        made = self._dense(name, shape[-1:], heads, activation)
        made.build(shape)
        return made

    def _dense(
        self, name: str, summed: Any, kept: tuple[int, ...], activation: Any = None
    ) -> EinsumDense:
        """From (batch, steps..., *summed) to (batch, steps..., *kept)."""
        n = self._rank - 1
        steps, letters = ascii_lowercase[:n], ascii_lowercase[n:]
        old, new = letters[: len(summed)], letters[len(summed) :][: len(kept)]
        options = {
            f"{weight}_{what}": getattr(self, f"{weight}_{what}")
            for weight in ("kernel", "bias")
            for what in ("initializer", "regularizer", "constraint")
        }
        made = EinsumDense(
            f"{steps}{old},{old}{new}->{steps}{new}", (*[None] * (n - 1), *kept),
            activation=activation, bias_axes=new if self.use_bias else None, name=name,
            dtype=self.dtype_policy, activity_regularizer=self._projections_regularizer, **options,
        )  # fmt: skip
        made.supports_masking = True  # masks are used here; that they end there is no news
        return made

    def _attended_of(self, rank: int) -> tuple[int, ...]:
        axes = self._attention_axes
        if axes is None:
            return tuple(range(1, rank - 1))
        found = tuple(a % rank if -rank <= a < rank else rank for a in axes)
        if not all(0 < a < rank - 1 for a in found) or len(set(found)) < len(found):
            raise ShapeError(
                f"attention_axes must be axes between the batch's and the last of an input of "
                f"{rank} axes, each once; got attention_axes={axes}."
            )
        return found

    @property
    def _projections_regularizer(self) -> Any:
        return self.activity_regularizer

    # -- calling --------------------------------------------------------------------------

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        self._check(query, value, key)
        operands = [self._query_dense(query), self._key_dense(key), self._value_dense(value)]
        given = ""
        for name, mask in (
            ("query_mask", query_mask), ("value_mask", value_mask), ("key_mask", key_mask),
            ("attention_mask", attention_mask),
        ):  # fmt: skip
            if mask is not None:
                operands.append(mask)
                given = f"{given} {name}"
        with_scores = bool(return_attention_scores)
        static = {
            "given": given,
            "attended": self._attended,
            "scale": self._key_size**-0.5,
            "causal": bool(use_causal_mask),
            "window": self.sliding_window,
            # Keras's rule for a step that sees none: weights 0 where it works them out by itself,
            # equal ones where it hands the whole to a fused kernel.
            "zero_empty": with_scores or self.dropout > 0 or len(self._attended) > 1,
            "with_scores": with_scores,
        }
        if training and self.dropout:
            seeds = self._dropout_layer.seed_generator
            result = draw(seeds, attend_dropping, tuple(operands), rate=self.dropout, **static)
        else:
            result = attend(*operands, **static)
        result, scores = result if with_scores else (result, None)
        if self.use_gate:
            result = result * self._gate_dense(query)
        result = self._output_dense(result)
        return (result, scores) if with_scores else result

    def _check(self, query: Tensor, value: Tensor, key: Tensor) -> None:
        shapes = query.spec.shape, value.spec.shape, key.spec.shape
        for shape, size in zip(shapes, self._sizes, strict=True):
            if len(shape) != self._rank or shape[-1] != size:
                self._refuse(shapes)
        if key is not value and shapes[1][:-1] != shapes[2][:-1]:
            raise _steps_differ(shapes[2], shapes[1])
        if shapes[0][0] != shapes[1][0] and 1 not in (shapes[0][0], shapes[1][0]):
            raise ShapeError(
                f"query and value must have one batch size, got shapes {shapes[0]} and {shapes[1]}."
            )

    def _refuse(self, shapes: Any) -> None:
        steps = ", steps" * (self._rank - 2)
        for name, shape, size in zip(("query", "value", "key"), shapes, self._sizes, strict=True):
            if len(shape) != self._rank or shape[-1] != size:
                raise ShapeError(f"{name} must have the shape (batch{steps}, {size}), got {shape}.")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "dropout": self.dropout,
            **option_config(self, "kernel", "bias"),
            "seed": self.seed,
        }


def _check_rank(name: str, shape: Any, query_shape: Any, only: int | None) -> None:
    rank = 0 if shape is None else len(shape)
    if rank < 3 or rank != (only or rank) or shape[-1] is None:
        steps = "steps" if only else "steps..."
        raise ShapeError(
            f"{name} must have a shape (batch, {steps}, features) with known features, got "
            f"{shape}. A single sample becomes a batch with x[None]."
        )
    if rank != len(query_shape):
        raise ShapeError(
            f"query, value and key must have one rank, got query of shape {query_shape} and "
            f"{name} of shape {shape}."
        )


def _steps_differ(key_shape: Any, value_shape: Any) -> ShapeError:
    return ShapeError(
        "key and value must agree in all axes but the last, got key of shape "
        f"{key_shape} and value of shape {value_shape}."
    )
