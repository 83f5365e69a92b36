"""Normalization of each sample by itself: over features, by their RMS, or to length 1."""

from __future__ import annotations

from typing import Any

from weft.engine import Tensor
from weft.layers.affine import Affine, axes_in, axes_of_options, floating
from weft.layers.layer import Layer
from weft.layers.options import not_negative
from weft.ops import layer_normalization, normalize, rms_normalization

__all__ = ["LayerNormalization", "RMSNormalization", "UnitNormalization"]


class LayerNormalization(Affine):
    """(x - mean) / √(variance + epsilon) · gamma + beta, moments of each sample by itself.

    Args:
        axis: the axis, or axes, that the moments are taken over.
        epsilon: what keeps the root from zero.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer: first values.
        beta_regularizer, gamma_regularizer: penalties that become losses.
        beta_constraint, gamma_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, any shape; half precision is computed in float32.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: an axis that is no integer or list of them.
        ShapeError: an input that has no such axis, or with another size along it.

    Example:
        >>> import weft
        >>> weft.layers.LayerNormalization(epsilon=0.0)([[1.0, 3.0], [10.0, 30.0]]).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]

    Reference: Ba, Kiros & Hinton, Layer Normalization (2016), equation 4.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("rms_scaling", False):
            # Keras has withdrawn it: it divided by the deviation, not by the RMS.
            raise ValueError(
                "LayerNormalization: rms_scaling=True is not offered; RMSNormalization divides by "
                "the root mean square."
            )
        chosen = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, chosen, **kwargs)
        self.axis = axes_of_options("LayerNormalization", axis)

    def build(self, input_shape: Any) -> None:
        self._axes = axes_in(input_shape, self.axis, known=self.center or self.scale)
        self._make_affine(tuple(input_shape[a] for a in self._axes))

    def call(self, inputs: Any) -> Tensor:
        inputs = floating(self, inputs)
        return layer_normalization(inputs, self.gamma, self.beta, self._axes, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class RMSNormalization(Layer):
    """x / √(mean(x²) + epsilon) · scale, the mean of each sample by itself.

    Args:
        axis: the axis, or axes, that the mean is taken over.
        epsilon: what keeps the root from zero.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        x: float, any shape; half precision is computed in float32.

    Returns:
        The shape of x.

    Raises:
        ValueError: an axis that is no integer or list of them, a negative epsilon.
        ShapeError: an input that has no such axis, or with another size along it.

    Example:
        >>> import weft
        >>> weft.layers.RMSNormalization(epsilon=0.0)([[2.0, -2.0]]).tolist()
        [[1.0, -1.0]]

    Reference: Zhang & Sennrich, Root Mean Square Layer Normalization (2019), equation 4.
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_of_options("RMSNormalization", axis)
        self.epsilon = not_negative("RMSNormalization", "epsilon", epsilon)

    def build(self, input_shape: Any) -> None:
        self._axes = axes_in(input_shape, self.axis)
        shape = tuple(input_shape[a] for a in self._axes)
        self.scale = self.add_weight(shape, "ones", autocast=False, name="scale")

    def call(self, x: Any) -> Tensor:
        return rms_normalization(floating(self, x), self.scale, self._axes, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(Layer):
    """x / |x|, the length of each sample by itself.

    Args:
        axis: the axis, or axes, that the length is taken over.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.

    Returns:
        The shape of the inputs; zeros where the input is zero.

    Raises:
        ValueError: an axis that is no integer or list of them.
        ShapeError: an input that has no such axis.

    Example:
        >>> import weft
        >>> weft.layers.UnitNormalization()([[0.0, -4.0]]).tolist()
        [[0.0, -1.0]]
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_of_options("UnitNormalization", axis)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self._axes = axes_in(input_shape, self.axis, known=False)

    def call(self, inputs: Any) -> Tensor:
        return normalize(floating(self, inputs), self._axes, epsilon=1e-12)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
