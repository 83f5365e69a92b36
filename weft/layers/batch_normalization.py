"""Normalization over the batch: moments of each feature, and their moving averages."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, ShapeError, Tensor, give_value, to_numpy
from weft.layers.affine import Affine, axes_in, floating
from weft.layers.options import make_weight, not_negative, without
from weft.ops import batch_normalization

__all__ = ["BatchNormalization"]


class _Batch:
    """A batch with its moments over all axes but one, and the weights that the layer ends with."""

    def __init__(self, x: Any, rest: Any, axis: int, center: bool, scale: bool) -> None:
        weights = list(rest)
        self.gamma = weights.pop(0) if scale else None
        self.beta = weights.pop(0) if center else None
        self.dtype = x.dtype
        self.sizes = [n if i == axis else 1 for i, n in enumerate(x.shape)]
        others = tuple(i for i in range(x.ndim) if i != axis)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if weights:  # a mask: what it hides counts nothing
            share = _over(weights[0], x).astype(wide.dtype)
            # Keras's rule; the small number keeps a batch that is hidden wholly from 0 / 0.
            share = share / (jnp.sum(share, others, keepdims=True) + 1e-7)
            average = lambda v: jnp.sum(v * share, others, keepdims=True)  # noqa: E731
        else:
            average = lambda v: jnp.mean(v, others, keepdims=True)  # noqa: E731
        # The mean of many large values is off by some rounding: `offset` is what is left of it.
        first = jax.lax.stop_gradient(average(wide))
        self.away = wide - first
        self.offset = average(self.away)
        self.mean = first + self.offset
        self.variance = jnp.maximum(average(jnp.square(self.away)) - jnp.square(self.offset), 0)

    def normalized(self, gain: Any, offset: Any = 0) -> Any:
        """((x - mean)·gain + offset)·gamma + beta."""
        if self.gamma is not None:
            gamma = self.gamma.reshape(self.sizes)
            gain, offset = gain * gamma, offset * gamma
        if self.beta is not None:
            offset = offset + self.beta.reshape(self.sizes)
        return (self.away * gain + (offset - self.offset * gain)).astype(self.dtype)


def _over(mask: Any, x: Any) -> Any:
    """A mask of an input's first axes, over all of it."""
    if mask.ndim > x.ndim or any(
        m not in (1, n) for m, n in zip(mask.shape, x.shape, strict=False)
    ):
        raise ValueError(
            f"the mask has shape {mask.shape}; expected that of the first axes of the input, "
            f"whose shape is {x.shape}."
        )
    return jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)


def _moved(old: Any, new: Any, momentum: float) -> Any:
    moved = old * momentum + new.reshape(old.shape) * (1 - momentum)
    return jax.lax.stop_gradient(moved.astype(old.dtype))


def _train(
    x: Any, mean: Any, variance: Any, *rest: Any, axis: int, epsilon: float, momentum: float,
    center: bool, scale: bool,
) -> Any:  # fmt: skip
    """Normalise with the batch's own moments; also the moving moments after this batch."""
    batch = _Batch(x, rest, axis, center, scale)
    y = batch.normalized(jax.lax.rsqrt(batch.variance + epsilon))
    return y, _moved(mean, batch.mean, momentum), _moved(variance, batch.variance, momentum)


def _train_renormed(
    x: Any, mean: Any, variance: Any, stddev: Any, renorm_mean: Any, renorm_stddev: Any,
    *rest: Any, axis: int, epsilon: float, momentum: float, center: bool, scale: bool,
    renorm_momentum: float, rmin: float | None, rmax: float | None, dmax: float | None,
) -> Any:  # fmt: skip
    """As `_train`, corrected towards the moments of the batches before."""
    batch = _Batch(x, rest, axis, center, scale)
    deviation = jnp.sqrt(batch.variance + epsilon)
    usual_mean, usual = (v.reshape(batch.sizes) for v in (renorm_mean, renorm_stddev))
    limit = None if dmax is None else -dmax
    r = jax.lax.stop_gradient(jnp.clip(deviation / usual, rmin, rmax))
    d = jax.lax.stop_gradient(jnp.clip((batch.mean - usual_mean) / usual, limit, dmax))
    new_stddev = _moved(stddev, deviation, momentum)
    return (
        batch.normalized(r / deviation, d),
        _moved(mean, batch.mean, momentum),
        jnp.maximum(jnp.square(new_stddev) - epsilon, 0).astype(variance.dtype),
        new_stddev,
        _moved(renorm_mean, batch.mean, renorm_momentum),
        _moved(renorm_stddev, deviation, renorm_momentum),
    )


_train_op = ArrayOp(_train, "batch_normalization")
_renorm_op = ArrayOp(_train_renormed, "batch_renormalization")
_LIMITS = ("rmax", "rmin", "dmax")


class BatchNormalization(Affine):
    """(x - mean) / √(variance + epsilon) · gamma + beta, moments over all axes but one.

    While training (and trainable) the moments are the batch's, and the moving ones follow:
    moving ← momentum·moving + (1 - momentum)·batch. Otherwise the moving ones are used.

    With `renorm`, training normalizes nearly as inference does, which helps small batches:
    ((x - mean) / σ · r + d) · gamma + beta with r = σ / σ', d = (mean - mean') / σ', both held
    constant, where mean' and σ' are moving averages of renorm_momentum.

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
        renorm: whether batches are renormalized.
        renorm_clipping: a dict of bounds, all optional: r is kept in [rmin, rmax], d in
            [-dmax, dmax].
        renorm_momentum: of mean' and σ', in [0, 1].
        synchronized: nothing to do: a batch spread over devices is one tensor, so its moments are
            the whole batch's.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: float, shape (batch, ...); half precision is computed in float32.
        training: whether the batch's moments are used.
        mask: bool, shape of the inputs' first axes; where it is False, values do not count.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a momentum outside [0, 1], an axis that is no integer, other bounds.
        ShapeError: an input that has no such axis, a mask that does not fit.

    Example:
        >>> import weft
        >>> norm = weft.layers.BatchNormalization(epsilon=0.0)
        >>> norm([[0.0, 1.0], [2.0, 5.0]], training=True).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]

    Reference: Ioffe & Szegedy, Batch Normalization (2015), algorithms 1 and 2; Ioffe, Batch
    Renormalization (2017), algorithm 1.
    """

    by_row = "inference"
    _weights_with_options = ("beta", "gamma", "moving_mean", "moving_variance")

    def __init__(
        self,
        axis: Any = -1,
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
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("fused", None)  # Keras 2's choice of a kernel
        chosen = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "moving_mean_initializer": moving_mean_initializer,
            "moving_variance_initializer": moving_variance_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        others = without("BatchNormalization", kwargs, "virtual_batch_size", "adjustment")
        super().__init__(epsilon, center, scale, chosen, **others)
        if isinstance(axis, list | tuple) and len(axis) == 1:  # as Keras 2 wrote it down
            axis = axis[0]
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"BatchNormalization: axis must be an integer, got axis={axis!r}.")
        self.axis = axis
        self.momentum = _momentum("momentum", momentum)
        self.renorm = bool(renorm)
        self.renorm_clipping = _bounds({} if renorm and not renorm_clipping else renorm_clipping)
        self.renorm_momentum = _momentum("renorm_momentum", renorm_momentum)
        self.synchronized = synchronized

    def build(self, input_shape: Any) -> None:
        self._axis = axes_in(input_shape, self.axis)[0]
        if len(input_shape) < 2:
            raise ShapeError(f"expected a batch of samples, (batch, ...), got {input_shape}.")
        shape = (input_shape[self._axis],)
        self._make_affine(shape)
        still: dict[str, Any] = {"trainable": False, "autocast": False}
        self.moving_mean = make_weight(self, "moving_mean", shape, **still)
        self.moving_variance = make_weight(self, "moving_variance", shape, **still)
        moments = [self.moving_mean, self.moving_variance]
        if self.renorm:
            stddev_init = _root_of(self.moving_variance_initializer)
            for name, first in [
                ("moving_stddev", stddev_init),
                ("renorm_mean", self.moving_mean_initializer),
                ("renorm_stddev", stddev_init),
            ]:
                weight = self.add_weight(shape, initializer=first, name=name, **still)
                setattr(self, name, weight)
                moments.append(weight)
        self._moments = tuple(moments)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Tensor:
        inputs = floating(self, inputs)
        if not (training and self._trainable):
            return batch_normalization(
                inputs, self.moving_mean, self.moving_variance, self._axis, self.beta, self.gamma,
                self.epsilon,
            )  # fmt: skip
        moments = self._moments
        rest = [v for v in (self.gamma, self.beta, mask) if v is not None]
        options: dict[str, Any] = {
            "axis": self._axis, "epsilon": self.epsilon, "momentum": self.momentum,
            "center": self.center, "scale": self.scale,
        }  # fmt: skip
        if self.renorm:
            clipping = self.renorm_clipping or {}
            options.update({bound: clipping.get(bound) for bound in _LIMITS})
            options["renorm_momentum"] = self.renorm_momentum
        y, *after = (_renorm_op if self.renorm else _train_op)(inputs, *moments, *rest, **options)
        for moment, value in zip(moments, after, strict=True):
            give_value(moment, value, detached=True)
        return y

    def get_config(self) -> dict[str, Any]:
        clipping = self.renorm_clipping
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": None if clipping is None else dict(clipping),
            "renorm_momentum": self.renorm_momentum,
        }


def _momentum(what: str, value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"BatchNormalization: {what} must be in [0, 1], got {what}={value!r}.")
    return value


def _bounds(given: Any) -> dict[str, float] | None:
    """The bounds of renormalization, checked."""
    if given is None:
        return None
    if not isinstance(given, dict) or not set(given) <= set(_LIMITS):
        raise ValueError(
            "BatchNormalization: renorm_clipping is a dict with keys among "
            f"{', '.join(_LIMITS)}, got {given!r}."
        )
    bounds = {k: v for k, v in given.items() if v is not None}
    for bound, value in bounds.items():
        not_negative("BatchNormalization", bound, value)
    if bounds.get("rmin", 0) > bounds.get("rmax", float("inf")):
        raise ValueError(
            f"BatchNormalization: renorm_clipping needs rmin not above rmax, got {given!r}."
        )
    return dict(given)


def _root_of(initializer: Any) -> Any:
    """The initializer of the square roots of another's values."""
    return lambda shape, dtype=None: np.sqrt(to_numpy(initializer(shape, dtype=dtype)))
