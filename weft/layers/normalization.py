"""Layers that give their inputs mean 0 and variance 1: over the batch, or over the features."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor, give_value
from weft.engine.operators import astype
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, set_options, without
from weft.ops import batch_normalization, layer_normalization

__all__ = ["BatchNormalization", "LayerNormalization"]


def _train(
    x: Any, mean: Any, variance: Any, *rest: Any, axis: int, epsilon: float, momentum: float,
    center: bool, scale: bool,
) -> Any:  # fmt: skip
    """Normalise with the batch's own moments; also the moving moments after this batch.

    Both moments come from one pass: with d = x - s, variance = E[d²] - E[d]² for any s. The digits
    that this loses grow with (mean - s)² / variance; s is the mean of the first of n samples, for
    which that is at most n.
    """
    weights = list(rest)
    gamma = weights.pop(0) if scale else None
    beta = weights.pop(0) if center else None
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    others = tuple(i for i in range(x.ndim) if i != axis)
    sizes = [n if i == axis else 1 for i, n in enumerate(x.shape)]
    if weights:  # a mask: what it hides counts nothing
        shape = weights[0].shape + (1,) * (x.ndim - weights[0].ndim)
        share = jnp.broadcast_to(weights[0].reshape(shape), x.shape).astype(wide.dtype)
        # Keras's rule; the small number keeps a batch that is hidden wholly from 0 / 0.
        share = share / (jnp.sum(share, others, keepdims=True) + 1e-7)
        average = lambda v: jnp.sum(v * share, others, keepdims=True)  # noqa: E731
        shift = average(wide)  # the first sample may be hidden
    else:
        average = lambda v: jnp.mean(v, others, keepdims=True)  # noqa: E731
        first = tuple(slice(1 if i == others[0] else None) for i in range(x.ndim))
        shift = average(wide[first])
    shift = jax.lax.stop_gradient(shift)
    away = wide - shift
    offset = average(away)
    spread = jnp.maximum(average(jnp.square(away)) - jnp.square(offset), 0)
    centre = shift + offset
    gain = jax.lax.rsqrt(spread + epsilon)
    if gamma is not None:
        gain = gain * gamma.reshape(sizes)
    y = away * gain + ((0 if beta is None else beta.reshape(sizes)) - offset * gain)
    moved = [
        (old * momentum + new.reshape(old.shape) * (1 - momentum)).astype(old.dtype)
        for old, new in ((mean, centre), (variance, spread))
    ]
    return y.astype(x.dtype), *jax.lax.stop_gradient(moved)


_train_op = ArrayOp(_train, "batch_normalization")


class BatchNormalization(Layer):
    """(x - mean) / √(variance + epsilon) · gamma + beta, moments over all axes but one.

    While training (and trainable) the moments are the batch's, and the moving ones follow:
    moving ← momentum·moving + (1 - momentum)·batch. Otherwise the moving ones are used.

    Args:
        axis: the feature axis, which is not reduced.
        momentum: of the moving moments, in [0, 1].
        epsilon: what keeps the root from zero.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            first values.
        beta_regularizer, gamma_regularizer: penalties that become losses.
        beta_constraint, gamma_constraint: applied after each update.
        synchronized: nothing to do: a batch spread over devices is one tensor, so its moments are
            the whole batch's.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, any shape; half precision is computed in float32.
        training: whether the batch's moments are used.
        mask: bool, shape of the inputs' first axes; where it is False, values do not count.

    Raises:
        ValueError: a momentum outside [0, 1], or an axis that is no integer.
        ShapeError: an input that has no such axis.

    Reference: Ioffe & Szegedy, Batch Normalization (2015), algorithms 1 and 2.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("renorm_momentum", None)  # of no account without renorm
        super().__init__(**without("BatchNormalization", kwargs, "renorm", "renorm_clipping"))
        if isinstance(axis, list | tuple) and len(axis) == 1:  # as Keras 2 wrote it down
            axis = axis[0]
        if not isinstance(axis, int):
            raise ValueError(f"BatchNormalization: axis must be an integer, got axis={axis!r}.")
        if not 0 <= momentum <= 1:
            raise ValueError(
                f"BatchNormalization: momentum must be in [0, 1], got momentum={momentum!r}."
            )
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = bool(center)
        self.scale = bool(scale)
        set_options(
            self, "beta", initializer=beta_initializer, regularizer=beta_regularizer,
            constraint=beta_constraint,
        )  # fmt: skip
        set_options(
            self, "gamma", initializer=gamma_initializer, regularizer=gamma_regularizer,
            constraint=gamma_constraint,
        )  # fmt: skip
        set_options(self, "moving_mean", initializer=moving_mean_initializer)
        set_options(self, "moving_variance", initializer=moving_variance_initializer)
        self.synchronized = synchronized
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self._axis = _axes_in(input_shape, self.axis)[0]
        if len(input_shape) < 2:
            raise ShapeError(f"expected a batch of samples, (batch, ...), got {input_shape}.")
        shape = (input_shape[self._axis],)
        # Moments and their weights are kept and used in the variables' own dtype.
        self.gamma = make_weight(self, "gamma", shape, autocast=False) if self.scale else None
        self.beta = make_weight(self, "beta", shape, autocast=False) if self.center else None
        still = {"trainable": False, "autocast": False}
        self.moving_mean = make_weight(self, "moving_mean", shape, **still)
        self.moving_variance = make_weight(self, "moving_variance", shape, **still)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Tensor:
        if not inputs.spec.inexact:
            inputs = astype(inputs, self.compute_dtype)
        mean, variance = self.moving_mean, self.moving_variance
        if not (training and self._trainable):
            return batch_normalization(
                inputs, mean, variance, self._axis, self.beta, self.gamma, self.epsilon
            )
        rest = [v for v in (self.gamma, self.beta, mask) if v is not None]
        y, new_mean, new_variance = _train_op(
            inputs, mean, variance, *rest, axis=self._axis, epsilon=self.epsilon,
            momentum=self.momentum, center=self.center, scale=self.scale,
        )  # fmt: skip
        give_value(mean, new_mean, detached=True)
        give_value(variance, new_variance, detached=True)
        return y  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **option_config(self, "beta", "gamma", "moving_mean", "moving_variance"),
            "synchronized": self.synchronized,
        }


class LayerNormalization(Layer):
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

    Raises:
        ValueError: an axis that is no integer or list of them.
        ShapeError: an input that has no such axis.

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
        # Keras has withdrawn rms_scaling; weft.ops.rms_normalization divides by the true RMS.
        super().__init__(**without("LayerNormalization", kwargs, "rms_scaling"))
        axes = axis if isinstance(axis, list | tuple) else [axis]
        if not axes or not all(isinstance(a, int) for a in axes):
            raise ValueError(
                f"LayerNormalization: axis must be an integer or several, got axis={axis!r}."
            )
        self.axis = list(axes) if isinstance(axis, tuple) else axis
        self.epsilon = epsilon
        self.center = bool(center)
        self.scale = bool(scale)
        set_options(
            self, "beta", initializer=beta_initializer, regularizer=beta_regularizer,
            constraint=beta_constraint,
        )  # fmt: skip
        set_options(
            self, "gamma", initializer=gamma_initializer, regularizer=gamma_regularizer,
            constraint=gamma_constraint,
        )  # fmt: skip
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self._axes = _axes_in(input_shape, self.axis)
        shape = tuple(input_shape[a] for a in self._axes)
        self.gamma = make_weight(self, "gamma", shape, autocast=False) if self.scale else None
        self.beta = make_weight(self, "beta", shape, autocast=False) if self.center else None

    def call(self, inputs: Any) -> Tensor:
        if not inputs.spec.inexact:
            inputs = astype(inputs, self.compute_dtype)
        return layer_normalization(inputs, self.gamma, self.beta, self._axes, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **option_config(self, "beta", "gamma"),
        }


def _axes_in(input_shape: Any, axis: Any) -> tuple[int, ...]:
    """The axes of an input counted from the front."""
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    rank = 0 if input_shape is None else len(input_shape)
    for a in axes:
        if not -rank <= a < rank:
            raise ShapeError(
                f"axis {a} is out of range for an input of shape {input_shape}, which has {rank} "
                "axes."
            )
        if input_shape[a] is None:
            raise ShapeError(f"the size of axis {a} must be known, got shape {input_shape}.")
    return tuple(a % rank for a in axes)
