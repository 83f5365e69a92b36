"""Connectionist temporal classification: the cost of a sequence of labels without alignment."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor, as_tensor

__all__ = ["ctc_loss"]

# Stands for log 0. Optax's own default, -1e5, is not below what a sure path of logits of ±1e4 has.
_LOG_ZERO = -1e30


def _ctc(
    target: Any, output: Any, target_length: Any, output_length: Any, *, mask_index: int
) -> Any:
    from optax import ctc_loss  # heavy, so imported where it is used

    if target.ndim != 2 or output.ndim != 3 or target.shape[0] != output.shape[0]:
        raise ShapeError(
            f"ctc_loss: target of shape {target.shape} and output of shape {output.shape} do not "
            "fit: (batch, labels) and (batch, time, classes) are expected."
        )
    batch, time, classes = output.shape
    for what, length in (("target", target_length), ("output", output_length)):
        if length.shape != (batch,):
            raise ShapeError(
                f"ctc_loss: {what}_length of shape {length.shape} does not fit the {batch} "
                f"sequences of output: shape ({batch},) is expected."
            )
    if not -classes <= mask_index < classes:
        raise ShapeError(
            f"ctc_loss: mask_index {mask_index} is none of the {classes} classes of output, "
            f"{output.shape}."
        )
    if not jnp.issubdtype(output.dtype, jnp.floating) or jnp.finfo(output.dtype).bits < 32:
        output = output.astype(jnp.float32)
    target = target.astype(jnp.int32)
    past_output = jnp.arange(time) >= output_length[:, None]
    past_target = jnp.arange(target.shape[1]) >= target_length[:, None]
    return ctc_loss(
        output,
        past_output.astype(output.dtype),
        target,
        past_target.astype(output.dtype),
        blank_id=mask_index % classes,
        log_epsilon=_LOG_ZERO,
    )


_ctc_op = ArrayOp(_ctc, "ctc_loss")


def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0
) -> Tensor:
    """-log of the summed probability of all alignments of `output` that read as `target`.

    An alignment has one class a time step; it is read by joining repeated classes and then leaving
    out blanks.

    Args:
        target: integer labels, shape (batch, labels).
        output: logits of any size, shape (batch, time, classes).
        target_length: how many labels count, shape (batch,).
        output_length: how many time steps count, shape (batch,).
        mask_index: the class that is the blank.

    Returns:
        shape (batch,), at least float32; about 1e30 for a target without an alignment, which is
        one with more labels, and blanks between equal ones, than time steps (Keras: 1e5).

    Raises:
        ShapeError: the shapes do not fit, or the blank is no class.

    Example:
        >>> import numpy as np
        >>> from weft import ops
        >>> loss = ops.ctc_loss([[1]], np.zeros((1, 2, 2)), [1], [2])  # 11, 01 or 10 of four
        >>> round(float(np.exp(-loss.numpy()[0])), 4)
        0.75

    Reference: Graves et al., Connectionist Temporal Classification (2006), eq. 8.
    """
    operands = (as_tensor(x) for x in (target, output, target_length, output_length))
    return _ctc_op(*operands, mask_index=mask_index)
