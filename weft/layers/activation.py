"""Activations that have arguments of their own, as layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.activations import relu
from weft.engine import ArrayOp, Tensor
from weft.layers.layer import Layer
from weft.ops import leaky_relu, softmax
from weft.ops.arguments import axes_of

__all__ = ["LeakyReLU", "ReLU", "Softmax"]


class ReLU(Layer):
    """max(x, 0), with a slope below and a ceiling above if wanted.

    Args:
        max_value: what the result is cut off at; None for nothing.
        negative_slope: the slope below the threshold.
        threshold: below it, x counts as negative.
        kwargs: `name`, `dtype`.

    Raises:
        ValueError: a negative argument.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative("max_value", max_value)
        self.negative_slope = _not_negative("negative_slope", negative_slope)
        self.threshold = _not_negative("threshold", threshold)
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        return relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


def _not_negative(what: str, value: Any) -> float:
    if not isinstance(value, int | float) or value < 0:
        raise ValueError(f"ReLU: {what} must be a number, not below 0, got {what}={value!r}.")
    return float(value)


class LeakyReLU(Layer):
    """x above zero, negative_slope·x below.

    Args:
        negative_slope: the slope below zero.
        kwargs: `name`, `dtype`; `alpha` is Keras 2's name of the slope.

    Reference: Maas, Hannun & Ng, Rectifier Nonlinearities (2013).
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        if not isinstance(negative_slope, int | float):
            raise ValueError(f"LeakyReLU: negative_slope is a number, got {negative_slope!r}.")
        self.negative_slope = negative_slope
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        return leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


def _masked_softmax(x: Any, mask: Any, *, axis: Any) -> Any:
    # Not -inf: a row that is masked wholly must not become NaN.
    hidden = jnp.where(mask.astype(bool), jnp.zeros((), x.dtype), jnp.finfo(x.dtype).min / 2)
    return jax.nn.softmax(x + hidden, axis)


_masked_softmax_op = ArrayOp(_masked_softmax, "masked_softmax")


class Softmax(Layer):
    """exp(x) / Σ exp(x) along an axis, without overflow.

    Args:
        axis: the axis, or several.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        mask: bool, broadcast to the inputs' shape; where it is False the result is 0.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, tuple) else axis
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return softmax(inputs, self.axis)
        return _masked_softmax_op(inputs, mask, axis=axes_of(self.axis))  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
