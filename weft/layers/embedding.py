"""Tables of vectors: from indices to vectors, and back to scores of the indices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from weft.engine import ArrayOp, ShapeError, Tensor, as_dtype
from weft.initializers import Initializer
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, positive, set_options, without
from weft.ops import not_equal

__all__ = ["Embedding", "ReversibleEmbedding"]

_VARIANTS = ("lora_rank", "lora_alpha", "quantization_config")


def _embedding(table: Any, indices: Any, *, dtype: Any) -> Any:
    if indices.dtype == bool or jnp.iscomplexobj(indices):
        raise ValueError(
            f"indices must be integers (or floats, rounded towards zero), got {indices.dtype}."
        )
    # Cast after the rows are taken: a cast table would be a second table.
    return jnp.take(table, indices.astype(jnp.int32), axis=0).astype(dtype)


_embedding_op = ArrayOp(_embedding, "embedding")


class Embedding(Layer):
    """A table of vectors: each index becomes its row.

    Args:
        input_dim: the number of rows, the largest index + 1.
        output_dim: the size of a row.
        embeddings_initializer: first values.
        embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether index 0 is padding, which the layers after leave out.
        weights: a first table, or a list of it, in place of the initializer.
        kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`.

    Call arguments:
        inputs: integers in [0, input_dim), any shape. An index outside gives a row of NaN, as no
            exception can come from inside a program.

    Returns:
        Shape (*inputs.shape, output_dim).

    Raises:
        ValueError: dimensions that are no positive integers, a first table of another shape, or
            bool or complex indices.

    Example:
        >>> import weft
        >>> weft.layers.Embedding(10, 4)([[1, 2, 3]]).shape
        (1, 3, 4)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # Keras 2's; every shape is known here
        kind = type(self).__name__
        super().__init__(**without(kind, kwargs, *_VARIANTS))
        self.input_dim = positive(kind, "input_dim", input_dim)
        self.output_dim = positive(kind, "output_dim", output_dim)
        set_options(
            self, "embeddings", initializer=embeddings_initializer,
            regularizer=embeddings_regularizer, constraint=embeddings_constraint,
        )  # fmt: skip
        self._first = None if weights is None else self._table(weights)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        self.autocast = False  # indices must keep their digits

    def _table(self, weights: Any) -> Any:
        table = np.asarray(weights, "float32")
        if table.ndim == 3 and len(table) == 1:  # a list of one table, Keras's way
            table = table[0]
        if table.shape != (self.input_dim, self.output_dim):
            raise ValueError(
                f"{type(self).__name__}: weights must have shape (input_dim, output_dim), here "
                f"{(self.input_dim, self.output_dim)}; got {table.shape}."
            )
        return table

    def build(self, input_shape: Any = None) -> None:
        shape = (self.input_dim, self.output_dim)
        self.embeddings = make_weight(self, "embeddings", shape)
        if self._first is not None:
            self.embeddings.assign(self._first)
            self._first = None

    def call(self, inputs: Any) -> Tensor:
        table = self.embeddings._read()
        return _embedding_op(table, inputs, dtype=self.dtype_policy.compute)  # type: ignore[no-any-return]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            **option_config(self, "embeddings"),
            "mask_zero": self.mask_zero,
        }


def _scores(x: Any, table: Any, *, axis: int, dtype: Any, soft_cap: float | None) -> Any:
    if x.ndim == 0 or x.shape[-1] != table.shape[axis]:
        raise ShapeError(
            f"in reverse, the input's last axis must have size output_dim={table.shape[axis]}, "
            f"got an input of shape {x.shape}."
        )
    over = (((x.ndim - 1,), (axis,)), ((), ()))
    scores = lax.dot_general(x.astype(dtype), table.astype(dtype), over)
    return scores if soft_cap is None else jnp.tanh(scores / soft_cap) * soft_cap


_scores_op = ArrayOp(_scores, "reverse_embedding")


class ReversibleEmbedding(Embedding):
    """A table of vectors that also turns vectors into scores (logits) of the indices.

    Forwards it is an `Embedding`. In reverse, a vector h becomes h·Eᵀ, E the table, or h·R with a
    table R of its own; with a soft cap c, c·tanh(h·Eᵀ / c).

    Args:
        input_dim: the number of rows, the size of the vocabulary.
        output_dim: the size of a row.
        tie_weights: whether the reverse takes the same table; otherwise a second weight
            "reverse_embeddings" of shape (output_dim, input_dim).
        embeddings_initializer: first values, of both tables.
        embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether index 0 is padding.
        reverse_dtype: the dtype of the reverse product; the compute dtype by default.
        logit_soft_cap: a positive number that bounds the scores; None for no bound.
        kwargs: as of `Embedding`.

    Call arguments:
        inputs: integers of any shape; in reverse floats of shape (..., output_dim).
        reverse: whether to turn vectors into scores.

    Returns:
        Shape (*inputs.shape, output_dim); in reverse (..., input_dim).

    Raises:
        ValueError: as `Embedding`, and a soft cap that is no positive number.
        ShapeError: in reverse, an input whose last axis is not output_dim.

    Example:
        >>> import weft
        >>> embedding = weft.layers.ReversibleEmbedding(10, 4)
        >>> embedding(embedding([[1, 2, 3]]), reverse=True).shape
        (1, 3, 10)

    References: Press & Wolf, Using the Output Embedding to Improve Language Models (2016);
    Gemma Team, Gemma 2 (2024), section 2, for the soft cap.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
            embeddings_constraint, mask_zero, **kwargs,
        )  # fmt: skip
        number = isinstance(logit_soft_cap, int | float) and not isinstance(logit_soft_cap, bool)
        if logit_soft_cap is not None and not (number and logit_soft_cap > 0):
            raise ValueError(
                "ReversibleEmbedding: logit_soft_cap must be a positive number or None, got "
                f"{logit_soft_cap!r}."
            )
        self.tie_weights = bool(tie_weights)
        self.reverse_dtype = None if reverse_dtype is None else as_dtype(reverse_dtype).name
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            first = self.embeddings_initializer
            self.reverse_embeddings = self.add_weight(
                shape=(self.output_dim, self.input_dim),
                # Another draw: without a seed, one initializer gives the same numbers twice.
                initializer=first.clone() if isinstance(first, Initializer) else first,
                name="reverse_embeddings",
            )

    def call(self, inputs: Any, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().call(inputs)
        table = self.embeddings if self.tie_weights else self.reverse_embeddings
        return _scores_op(  # type: ignore[no-any-return]
            inputs,
            table._read(),
            axis=1 if self.tie_weights else 0,
            dtype=as_dtype(self.reverse_dtype or self.dtype_policy.compute),
            soft_cap=self.logit_soft_cap,
        )

    def _pass_mask(self, args: Any, kwargs: Any, outputs: Any, signature: Any) -> None:
        # Vectors are no indices: their zeros say nothing of padding.
        if not (kwargs.get("reverse") or (len(args) > 1 and args[1])):
            super()._pass_mask(args, kwargs, outputs, signature)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }
