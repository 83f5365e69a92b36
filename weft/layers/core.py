"""The plainest layers: dense, an activation, a mask, and nothing at all."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft import activations
from weft.engine import ArrayOp, ShapeError, Tensor
from weft.engine.names import looked_up
from weft.layers.layer import Layer
from weft.layers.options import (
    make_weight,
    option_config,
    positive,
    set_options,
    without,
)
from weft.ops import dense

__all__ = ["Activation", "Dense", "Identity", "Masking"]

_VARIANTS = ("lora_rank", "lora_alpha", "quantization_config")


class Dense(Layer):
    """activation(x·kernel + bias) over the last axis.

    Args:
        units: the size of the output's last axis.
        activation: a name or a callable; none by default.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties that become losses.
        kernel_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`, as of every layer.

    Call arguments:
        inputs: float, shape (batch, ..., in).

    Returns:
        Shape (batch, ..., units).

    Raises:
        ValueError: units that are no positive integer, an unknown activation.
        ShapeError: an input of rank below 2, or whose last axis the kernel does not fit.

    Example:
        >>> import weft
        >>> weft.layers.Dense(3, activation="relu")(weft.ops.ones((2, 5))).shape
        (2, 3)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs = without("Dense", kwargs, *_VARIANTS)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive("Dense", "units", units)
        self.activation = looked_up(self, "activation", activations.get, activation)
        self.use_bias = bool(use_bias)
        set_options(
            self, "kernel", initializer=kernel_initializer, regularizer=kernel_regularizer,
            constraint=kernel_constraint,
        )  # fmt: skip
        set_options(
            self, "bias", initializer=bias_initializer, regularizer=bias_regularizer,
            constraint=bias_constraint,
        )  # fmt: skip
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if input_shape is None or len(input_shape) < 2 or input_shape[-1] is None:
            raise _no_batch(input_shape)
        self.kernel = make_weight(self, "kernel", (input_shape[-1], self.units))
        self.bias = make_weight(self, "bias", (self.units,)) if self.use_bias else None

    def call(self, inputs: Any) -> Tensor:
        if len(inputs.shape) < 2:
            raise _no_batch(tuple(inputs.shape))
        return self.activation(dense(inputs, self.kernel, self.bias))  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **option_config(self, "kernel", "bias"),
        }


def _no_batch(shape: Any) -> ShapeError:
    return ShapeError(
        f"expected an input of shape (batch, ..., features), got {shape}. A single sample becomes "
        "a batch with x[None]."
    )


class Activation(Layer):
    """A function applied to each element, or along an axis.

    Args:
        activation: a name ("relu", "softmax", ...) or a callable.
        kwargs: `name`, `dtype`.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> import weft
        >>> weft.layers.Activation("relu")([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = looked_up(self, "activation", activations.get, activation)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class Identity(Layer):
    """The input as it is, of any structure: a placeholder for a layer.

    Args:
        kwargs: `name`, `dtype`, as of every layer.

    Example:
        >>> import weft
        >>> weft.layers.Identity()([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


def _steps(x: Any, value: Any) -> Any:
    if x.ndim == 0:
        raise ShapeError("a mask is taken over the last axis, but the input has none.")
    return jnp.any(x != value, -1)


_steps_op = ArrayOp(_steps, "steps_mask")
_masked_op = ArrayOp(
    lambda x, value: jnp.where(_steps(x, value)[..., None], x, jnp.zeros((), x.dtype)), "masking"
)


class Masking(Layer):
    """Gives its output a mask: a step whose features all equal a value does not count.

    mask[..., t] = any(x[..., t, :] ≠ value); the features of the steps left out become 0.

    Args:
        mask_value: the value.
        kwargs: `name`, `dtype`, as of every layer.

    Call arguments:
        inputs: shape (batch, time, ..., features).

    Returns:
        That shape, with a mask of shape (batch, time, ...).

    Raises:
        ValueError: a value that is no number.
        ShapeError: an input without axes.

    Example:
        >>> import weft
        >>> x = weft.ops.array([[[1.0, 2.0], [0.0, 0.0]]])
        >>> weft.layers.Masking().compute_mask(x).tolist()
        [[True, False]]
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(mask_value, int | float):
            raise ValueError(f"Masking: mask_value must be a number, got {mask_value!r}.")
        self.mask_value = mask_value
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        return _masked_op(inputs, self.mask_value)  # type: ignore[no-any-return]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return _steps_op(inputs, self.mask_value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
