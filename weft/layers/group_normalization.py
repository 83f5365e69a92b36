"""Normalization of each sample's groups of channels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor
from weft.layers.affine import Affine, axes_in, floating

__all__ = ["GroupNormalization"]


def _group_norm(
    x: Any, *rest: Any, axis: int, groups: int, epsilon: float, center: bool, scale: bool
) -> Any:
    dtype = x.dtype
    channels = x.shape[axis]
    weights = list(rest)
    for weight in weights:
        if weight.shape != (channels,):
            raise ValueError(f"expected {weight.shape[0]} channels on axis {axis}, got {x.shape}.")
    gamma = weights.pop(0) if scale else None
    beta = weights.pop(0) if center else None
    sizes = [channels if i == axis else 1 for i in range(x.ndim)]
    others = tuple(i for i in range(1, x.ndim) if i != axis)

    def average(v: Any) -> Any:
        """Over the groups, kept in each channel's place: no axis of the input is split."""
        means = jnp.mean(v, others, keepdims=True)
        each = means.reshape(-1, groups, channels // groups)
        each = jnp.broadcast_to(jnp.mean(each, 2, keepdims=True), each.shape)
        return each.reshape(means.shape)

    x = x.astype(jnp.promote_types(dtype, jnp.float32))
    x = x - average(x)
    gain = jax.lax.rsqrt(average(jnp.square(x)) + epsilon)
    y = x * (gain if gamma is None else gain * gamma.reshape(sizes))
    return (y if beta is None else y + beta.reshape(sizes)).astype(dtype)


_group_norm_op = ArrayOp(_group_norm, "group_normalization")


class GroupNormalization(Affine):
    """(x - mean) / √(variance + epsilon) · gamma + beta, moments of each sample's groups.

    The channels fall into `groups` groups of neighbours; the moments of a group are taken over its
    channels and all axes but the first. One group normalizes each sample as a whole; a group for
    each channel is instance normalization.

    Args:
        groups: how many; a divisor of the number of channels, or -1 for one each.
        axis: of the channels: -1 for channels last, 1 for channels first.
        epsilon: what keeps the root from zero.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer: first values.
        beta_regularizer, gamma_regularizer: penalties that become losses.
        beta_constraint, gamma_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, ..., channels) or as `axis` says; half precision is computed
            in float32.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: groups that are neither positive nor -1, an axis that is no integer.
        ShapeError: an input that has no such axis, or as many channels as the groups do not divide.

    Example:
        >>> import weft
        >>> norm = weft.layers.GroupNormalization(groups=2, epsilon=0.0)
        >>> norm([[1.0, 3.0, 10.0, 30.0]]).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    Reference: Wu & He, Group Normalization (2018), equations 2, 3 and 7.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
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
        chosen = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, chosen, **kwargs)
        whole = isinstance(groups, int) and not isinstance(groups, bool)
        if not whole or groups < -1 or groups == 0:
            raise ValueError(
                "GroupNormalization: groups must be a positive integer, or -1 for a group of each "
                f"channel, got groups={groups!r}."
            )
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"GroupNormalization: axis must be an integer, got axis={axis!r}.")
        self.groups = groups
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        self._axis = axes_in(input_shape, self.axis)[0]
        if self._axis == 0:
            raise ShapeError(
                "axis 0 is the batch; expected the axis of the channels of (batch, ..., channels), "
                f"got an input of shape {input_shape}."
            )
        channels = input_shape[self._axis]
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ShapeError(
                f"{channels} channels (axis {self.axis} of {input_shape}) cannot be put into "
                f"{self.groups} groups of one size; choose a divisor of {channels}."
            )
        self._make_affine((channels,))

    def call(self, inputs: Any) -> Tensor:
        rest = [v for v in (self.gamma, self.beta) if v is not None]
        return _group_norm_op(
            floating(self, inputs), *rest, axis=self._axis, groups=self.groups,
            epsilon=self.epsilon, center=self.center, scale=self.scale,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}
