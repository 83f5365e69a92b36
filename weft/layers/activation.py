"""Activations that have arguments or weights of their own, as layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.activations import relu
from weft.engine import ArrayOp, ShapeError, Tensor
from weft.layers.affine import axes_of_options
from weft.layers.layer import Layer
from weft.layers.options import make_weight, not_negative, option_config, set_options
from weft.ops import elu, leaky_relu, softmax
from weft.ops.arguments import axes_of

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


class ReLU(Layer):
    """max(x, 0), with a slope below and a ceiling above if wanted.

    Args:
        max_value: what the result is cut off at; None for nothing.
        negative_slope: the slope below the threshold.
        threshold: below it, x counts as negative.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a negative argument.

    Example:
        >>> import weft
        >>> weft.layers.ReLU(max_value=2.0, negative_slope=0.5)([-1.0, 1.0, 3.0]).tolist()
        [-0.5, 1.0, 2.0]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        ceiling = None if max_value is None else float(not_negative("ReLU", "max_value", max_value))
        self.max_value = ceiling
        self.negative_slope = float(not_negative("ReLU", "negative_slope", negative_slope))
        self.threshold = float(not_negative("ReLU", "threshold", threshold))
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


class LeakyReLU(Layer):
    """x above zero, negative_slope·x below.

    Args:
        negative_slope: the slope below zero, not negative itself.
        kwargs: `name`, `dtype`; `alpha` is Keras 2's name of the slope.

    Call arguments:
        inputs: float, any shape.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a negative slope.

    Example:
        >>> import weft
        >>> weft.layers.LeakyReLU(0.5)([-2.0, 3.0]).tolist()
        [-1.0, 3.0]

    Reference: Maas, Hannun & Ng, Rectifier Nonlinearities (2013).
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = not_negative("LeakyReLU", "negative_slope", negative_slope)
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        return leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """x above zero, alpha·(exp(x) - 1) below.

    Args:
        alpha: -alpha is the least value.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: an alpha that is no number.

    Example:
        >>> import weft
        >>> weft.layers.ELU(alpha=0.5)([-100.0, 3.0]).tolist()
        [-0.5, 3.0]

    Reference: Clevert, Unterthiner & Hochreiter, Exponential Linear Units (2016).
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float):
            raise ValueError(f"ELU: alpha must be a number, got alpha={alpha!r}.")
        self.alpha = alpha
        self.supports_masking = True

    def call(self, inputs: Any) -> Tensor:
        return elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


def _prelu(x: Any, alpha: Any) -> Any:
    if x.ndim != alpha.ndim + 1 or any(
        n not in (1, size) for n, size in zip(alpha.shape, x.shape[1:], strict=True)
    ):
        raise ValueError(f"slopes of shape {alpha.shape} do not fit an input of shape {x.shape}.")
    # The gradient at zero is zero on both sides, as Keras's.
    return jax.nn.relu(x) - alpha * jax.nn.relu(-x)


_prelu_op = ArrayOp(_prelu, "prelu")


class PReLU(Layer):
    """x above zero, alpha·x below, alpha learned for each place of a sample.

    Args:
        alpha_initializer: first slopes.
        alpha_regularizer: a penalty that becomes a loss.
        alpha_constraint: applied after each update.
        shared_axes: axes (the batch's is 0) along which one slope serves all places; [1, 2] gives
            images one for each channel.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, ...).

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: shared axes that are no integers.
        ShapeError: an input without such an axis, an unknown size along an axis that is not shared.

    Example:
        >>> import weft
        >>> weft.layers.PReLU(alpha_initializer="ones")([[-2.0, 3.0]]).tolist()
        [[-2.0, 3.0]]

    Reference: He et al., Delving Deep into Rectifiers (2015), equation 1.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_options(
            self, "alpha", initializer=alpha_initializer, regularizer=alpha_regularizer,
            constraint=alpha_constraint,
        )  # fmt: skip
        if shared_axes is not None:
            shared_axes = shared_axes if isinstance(shared_axes, list | tuple) else [shared_axes]
            if not all(isinstance(a, int) and not isinstance(a, bool) for a in shared_axes):
                raise ValueError(
                    f"PReLU: shared_axes is an axis or several, got shared_axes={shared_axes!r}."
                )
            shared_axes = list(shared_axes)
        self.shared_axes = shared_axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not input_shape:
            raise ShapeError(f"expected a batch of samples, (batch, ...), got {input_shape}.")
        rank = len(input_shape)
        sizes = list(input_shape)
        for axis in self.shared_axes or ():
            if axis % rank == 0 or not -rank < axis < rank:
                raise ShapeError(
                    f"shared axis {axis} is none of the axes 1 to {rank - 1} of a sample, got an "
                    f"input of shape {input_shape}."
                )
            sizes[axis] = 1
        if None in sizes[1:]:
            axis = sizes.index(None, 1)
            raise ShapeError(
                f"the size of axis {axis} must be known, as each place has a slope; got shape "
                f"{input_shape}. With shared_axes=[{axis}] one slope serves all places along it."
            )
        self.alpha = make_weight(self, "alpha", tuple(sizes[1:]))

    def call(self, inputs: Any) -> Tensor:
        return _prelu_op(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **option_config(self, "alpha"),
            "shared_axes": self.shared_axes,
        }


def _masked_softmax(x: Any, mask: Any, *, axis: Any) -> Any:
    ends = zip(mask.shape[::-1], x.shape[::-1], strict=False)
    if mask.ndim > x.ndim or any(m not in (1, n) for m, n in ends):
        raise ValueError(f"a mask of shape {mask.shape} does not broadcast to {x.shape}.")
    kept = mask.astype(bool)
    # Not -inf, and the zeros last: a row that is masked wholly is zeros, not NaN.
    return jnp.where(kept, jax.nn.softmax(jnp.where(kept, x, jnp.finfo(x.dtype).min), axis), 0)


_masked_softmax_op = ArrayOp(_masked_softmax, "masked_softmax")


class Softmax(Layer):
    """exp(x) / Σ exp(x) along an axis, without overflow.

    Args:
        axis: the axis, or several.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        mask: bool, broadcast to the inputs' shape; where it is False the result is 0.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: an axis that is no integer or list of them.
        ShapeError: an input without such an axis, a mask that does not broadcast to it.

    Example:
        >>> import weft
        >>> weft.layers.Softmax()([[1.0, 1.0, 5.0]], mask=[[True, True, False]]).tolist()
        [[0.5, 0.5, 0.0]]
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        kwargs.pop("robust_masking", None)  # Keras 2's; masks always are
        super().__init__(**kwargs)
        self.axis = axes_of_options("Softmax", axis)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return softmax(inputs, self.axis)
        return _masked_softmax_op(inputs, mask, axis=axes_of(self.axis))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
