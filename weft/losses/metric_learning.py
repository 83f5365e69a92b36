"""Losses of embeddings: samples of one class drawn together, those of others pushed apart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ShapeError
from weft.losses.loss import LossFunctionWrapper
from weft.losses.options import POSITIVE
from weft.losses.pairs import pair_function, wide

__all__ = ["Circle", "circle"]


def _labelled(what: str, labels: Any, embeddings: Any) -> tuple[Any, Any]:
    """Labels (n,) and embeddings (n, d), at least float32."""
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if embeddings.ndim != 2 or flat.shape != embeddings.shape[:1]:
        raise ShapeError(
            f"circle: {what} of shapes {labels.shape} and {embeddings.shape} do not fit: one "
            "integer label for each embedding is expected, shapes (n,) or (n, 1) and (n, d)."
        )
    return flat, wide(embeddings)


@pair_function(gamma=POSITIVE)
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """log(1 + Σₙ exp(γ·αₙ·(sₙ - m))·Σₚ exp(-γ·αₚ·(sₚ - 1 + m))), s the embeddings' products.

    p runs over the references of a sample's own class and n over the others;
    αₚ = max(1 + m - sₚ, 0) and αₙ = max(sₙ + m, 0), and gradients go through them, as in Keras.

    Args:
        y_true: integer labels, shape (n,) or (n, 1).
        y_pred: embeddings of length 1, shape (n, d): end the model with UnitNormalization. Products
            above 1 count as 1.
        ref_labels: labels of the references; those of the samples by default.
        ref_embeddings: the references, shape (r, d); the samples by default.
        remove_diagonal: whether reference i is left out for sample i, which it then is.
        gamma: γ, the scale.
        margin: m.

    Returns:
        shape (n,), at least float32: 0 for a sample without a reference of its class or without
        one of another.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: gamma is not positive.

    Example:
        >>> from weft.losses import circle
        >>> same = circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> [round(x, 4) for x in same.tolist()]
        [0.0, 0.0, 0.0]

    Reference: Sun et al., Circle Loss (2020), eq. 6 and 8.
    """
    labels, embeddings = _labelled("y_true and y_pred", y_true, y_pred)
    if (ref_labels is None) != (ref_embeddings is None):
        raise ValueError("circle: give ref_labels and ref_embeddings together, or neither.")
    others, references = labels, embeddings
    if ref_labels is not None:
        others, references = _labelled(
            "ref_labels and ref_embeddings", jnp.asarray(ref_labels), jnp.asarray(ref_embeddings)
        )
    s = jnp.minimum(embeddings @ references.T, 1.0)  # as cosines are
    same = labels[:, None] == others[None]
    own = same & ~jnp.eye(same.shape[0], same.shape[1], dtype=bool) if remove_diagonal else same
    positive = -gamma * jnp.maximum(1.0 + margin - s, 0.0) * (s - 1.0 + margin)
    negative = gamma * jnp.maximum(s + margin, 0.0) * (s - margin)
    # What is left out is low, and not -inf, so that a row without any has a gradient, 0.
    low = jnp.finfo(s.dtype).min / 4
    logits = [
        jax.nn.logsumexp(jnp.where(kept, x, low), 1)
        for kept, x in ((own, positive), (~same, negative))
    ]
    return jax.nn.softplus(logits[0] + logits[1])


circle.by_row = False  # pairs of rows are compared


class Circle(LossFunctionWrapper):
    """Similarities within classes above those between them: see `circle`.

    Args:
        gamma, margin, remove_diagonal: as in `circle`.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            circle, name, reduction, dtype,
            gamma=gamma, margin=margin, remove_diagonal=remove_diagonal,
        )  # fmt: skip
