"""`TimeDistributed`: a layer applied to each step of a sequence."""

from __future__ import annotations

from typing import Any

import jax

from weft.engine import ShapeError, Tensor
from weft.layers.signature import signature_of
from weft.layers.wrapper import Wrapper
from weft.ops import reshape

__all__ = ["TimeDistributed"]


class TimeDistributed(Wrapper):
    """The layer inside applied to each step of its input, with the same weights.

    All steps are one batch for it, batch·steps long; what a batch decides, such as
    BatchNormalization's moments while training, all steps decide together.

    Args:
        layer: the layer.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: (batch, steps, ...).
        training: handed to the layer.
        mask: bool, (batch, steps, ...): each step's is handed to the layer, if it takes a mask.

    Returns:
        The layer's output with the axis of the steps after the first, (batch, steps, ...).

    Raises:
        ValueError: what is no layer.
        ShapeError: an input of rank below 3, or a mask that does not begin with (batch, steps).

    Example:
        >>> import weft
        >>> frames = weft.layers.TimeDistributed(weft.layers.Flatten())
        >>> frames(weft.ops.ones((2, 5, 4, 4, 3))).shape
        (2, 5, 48)
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        if input_shape is None or len(input_shape) < 3:
            came = input_shape and tuple(input_shape)
            raise ShapeError(f"expected an input of shape (batch, steps, ...), got shape {came}.")
        batch, steps = input_shape[:2]
        together = None if batch is None or steps is None else batch * steps
        super().build((together, *input_shape[2:]))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        batch, steps = inputs.shape[:2]

        def together(x: Tensor) -> Any:
            return reshape(x, (batch * steps, *x.shape[2:]))

        signature = signature_of(type(self.layer))
        kwargs = {"training": training} if signature.training else {}
        if mask is not None and tuple(mask.shape[:2]) != (batch, steps):
            raise ShapeError(
                f"the mask must begin with {(batch, steps)}, (batch, steps), got shape "
                f"{tuple(mask.shape)}."
            )
        if mask is not None and signature.mask:
            kwargs["mask"] = together(mask)
        outputs = self.layer(together(inputs), **kwargs)
        return jax.tree.map(lambda y: reshape(y, (batch, steps, *y.shape[1:])), outputs)
