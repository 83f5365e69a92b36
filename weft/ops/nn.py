"""The neural networks' own operations: activations, normalisation, pooling, losses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor, as_tensor
from weft.ops.arguments import axes_of, unary_op

__all__ = [
    "batch_normalization", "binary_crossentropy", "categorical_crossentropy", "celu", "elu", "gelu",
    "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "moments", "normalize",
    "relu", "relu6", "rms_normalization", "selu", "sigmoid", "silu", "soft_shrink", "softmax",
    "softplus", "softsign", "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip

# -- activations --------------------------------------------------------------------------


def _sparse_plus(x: Any) -> Any:
    return jnp.where(x <= -1, 0, jnp.where(x < 1, (x + 1) ** 2 / 4, x))


relu = unary_op(jax.nn.relu, "relu", "max(x, 0); its gradient at zero is zero.")
relu6 = unary_op(jax.nn.relu6, "relu6", "min(max(x, 0), 6).")
sigmoid = unary_op(jax.nn.sigmoid, "sigmoid", "1 / (1 + exp(-x)).")
log_sigmoid = unary_op(jax.nn.log_sigmoid, "log_sigmoid", "log(sigmoid(x)) without overflow.")
silu = swish = unary_op(jax.nn.silu, "silu", "x·sigmoid(x).")
softplus = unary_op(jax.nn.softplus, "softplus", "log(1 + exp(x)) without overflow.")
softsign = unary_op(jax.nn.soft_sign, "softsign", "x / (1 + |x|).")
selu = unary_op(jax.nn.selu, "selu", "1.0507·elu(x, 1.6733): keeps mean 0 and variance 1.")
hard_sigmoid = unary_op(jax.nn.hard_sigmoid, "hard_sigmoid", "relu6(x + 3) / 6.")
hard_silu = hard_swish = unary_op(jax.nn.hard_silu, "hard_silu", "x·hard_sigmoid(x).")
hard_tanh = unary_op(jax.nn.hard_tanh, "hard_tanh", "x, kept within [-1, 1].")
tanh_shrink = unary_op(lambda x: x - jnp.tanh(x), "tanh_shrink", "x - tanh(x).")
sparse_sigmoid = unary_op(
    lambda x: jnp.clip((x + 1) / 2, 0, 1), "sparse_sigmoid", "(x + 1) / 2, kept within [0, 1]."
)
sparse_plus = unary_op(_sparse_plus, "sparse_plus", "(x + 1)²/4 in (-1, 1), else relu(x).")

_leaky_relu = ArrayOp(lambda x, *, slope: jax.nn.leaky_relu(x, slope), "leaky_relu")
_elu = ArrayOp(lambda x, *, alpha: jax.nn.elu(x, alpha), "elu")
_celu = ArrayOp(lambda x, *, alpha: jax.nn.celu(x, alpha), "celu")
_gelu = ArrayOp(lambda x, *, approximate: jax.nn.gelu(x, approximate), "gelu")
_glu = ArrayOp(lambda x, *, axis: jax.nn.glu(x, axis), "glu")
_squareplus = ArrayOp(  # in half precision x² would overflow from 256 on
    lambda x, *, b: jax.nn.squareplus(_wide(_floating(x)), b).astype(_floating(x).dtype),
    "squareplus",
)
_hard_shrink = ArrayOp(lambda x, *, t: jnp.where(jnp.abs(x) > t, x, 0), "hard_shrink")
_soft_shrink = ArrayOp(
    lambda x, *, t: jnp.where(x > t, x - t, jnp.where(x < -t, x + t, 0)), "soft_shrink"
)
_threshold = ArrayOp(lambda x, *, t, default: jnp.where(x > t, x, default), "threshold")
_softmax = ArrayOp(lambda x, *, axis: jax.nn.softmax(x, axis), "softmax")
_log_softmax = ArrayOp(lambda x, *, axis: jax.nn.log_softmax(x, axis), "log_softmax")
_sparsemax = ArrayOp(lambda x, *, axis: _project_on_simplex(x, axis), "sparsemax")


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x above zero, negative_slope·x below."""
    return _leaky_relu(x, slope=negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x above zero, alpha·(exp(x) - 1) below."""
    return _elu(x, alpha=alpha)


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """x above zero, alpha·(exp(x / alpha) - 1) below."""
    return _celu(x, alpha=alpha)


def gelu(x: Any, approximate: bool = True) -> Tensor:
    """x·Φ(x), Φ the normal distribution function; approximated with a tanh by default."""
    return _gelu(x, approximate=approximate)


def glu(x: Any, axis: int = -1) -> Tensor:
    """a·sigmoid(b) for the halves a, b of `x` along `axis`."""
    return _glu(x, axis=axis)


def squareplus(x: Any, b: float = 4) -> Tensor:
    """(x + √(x² + b)) / 2."""
    return _squareplus(x, b=b)


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, else 0."""
    return _hard_shrink(x, t=threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x moved towards zero by `threshold`, 0 within it."""
    return _soft_shrink(x, t=threshold)


def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x where x > threshold, else `default_value`."""
    return _threshold(x, t=threshold, default=default_value)


def softmax(x: Any, axis: Any = -1) -> Tensor:
    """exp(x) / Σ exp(x) along `axis` (None: all axes), without overflow."""
    return _softmax(x, axis=axes_of(axis))


def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """x - log Σ exp(x) along `axis` (None: all axes), without overflow."""
    return _log_softmax(x, axis=axes_of(axis))


def _project_on_simplex(x: Any, axis: int) -> Any:
    own = _floating(x).dtype
    x = jnp.moveaxis(_wide(_floating(x)), axis, -1)
    # A common shift changes nothing; from the largest score on, sums of large ones keep the 1.
    x = x - jax.lax.stop_gradient(jnp.max(x, -1, keepdims=True))
    ordered = jnp.flip(jnp.sort(x, -1), -1)
    sums = jnp.cumsum(ordered, -1)
    ranks = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    support = jnp.sum(1 + ranks * ordered > sums, -1, keepdims=True)
    tau = (jnp.take_along_axis(sums, support - 1, -1) - 1) / support.astype(x.dtype)
    return jnp.moveaxis(jnp.maximum(x - tau, 0), -1, axis).astype(own)


def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The point of the probability simplex nearest to x along `axis`.

    The result sums to one, as in the paper; Keras 3's falls short of that when a score outside
    the support precedes one in it.

    Reference: Martins & Astudillo, From Softmax to Sparsemax (2016), algorithm 1.
    """
    return _sparsemax(x, axis=axis)


# -- normalisation ------------------------------------------------------------------------

_EPSILON = 1e-7  # Keras's default wherever no other is named


def _floating(x: Any) -> Any:
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32)


def _wide(x: Any) -> Any:
    """Half-precision values in float32, in which means of many of them keep their digits."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def _moments(x: Any, *, axes: Any, keepdims: bool) -> Any:
    x = _floating(x)
    wide = _wide(x)
    mean = jnp.mean(wide, axes, keepdims=True)
    variance = jnp.mean(jnp.square(wide - mean), axes, keepdims=keepdims)
    mean = mean if keepdims else jnp.squeeze(mean, axes)
    if wide.dtype != x.dtype:
        # The variance of large float16 values is beyond float16.
        limit = jnp.finfo(x.dtype)
        mean, variance = (jnp.clip(v, limit.min, limit.max) for v in (mean, variance))
    return mean.astype(x.dtype), variance.astype(x.dtype)


_moments_op = ArrayOp(_moments, "moments")


def moments(
    x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean and the variance (of the population) along `axes`.

    Args:
        x: a tensor; half precision is computed in float32.
        axes: an int or several.
        keepdims: whether to keep the reduced axes with size 1.
        synchronized: nothing to do: a sharded tensor is one tensor, so its moments are the
            whole batch's.
    """
    return _moments_op(x, axes=axes_of(axes), keepdims=keepdims)


def _along(v: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A tensor over some axes of `x`, shaped to broadcast with it."""
    if v.shape != tuple(x.shape[a] for a in axes):
        raise ValueError(
            f"expected sizes {list(v.shape)} along axes {list(axes)}, got an input of shape "
            f"{x.shape}."
        )
    order = sorted(range(len(axes)), key=lambda k: axes[k] % x.ndim)
    sizes = [1] * x.ndim
    for size, axis in zip(v.shape, axes, strict=True):
        sizes[axis] = size
    return v.transpose(order).reshape(sizes)


def _batch_norm(
    x: Any, mean: Any, variance: Any, *rest: Any, axis: Any, epsilon: float, has_offset: bool
) -> Any:
    axes = (axis,) if isinstance(axis, int) else axis
    each = lambda v: _along(v, x, axes)  # noqa: E731
    offset = rest[0] if has_offset else None
    scale = rest[-1] if len(rest) > has_offset else None
    gain = jax.lax.rsqrt(variance + epsilon)
    gain = gain if scale is None else gain * scale
    # Centred first: x·gain - mean·gain would lose the digits that a large mean leaves to x.
    y = (x - each(mean).astype(x.dtype)) * each(gain).astype(x.dtype)
    return y if offset is None else y + each(offset).astype(x.dtype)


_batch_norm_op = ArrayOp(_batch_norm, "batch_normalization")


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: Any,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / √(variance + epsilon) · scale + offset, one node.

    Args:
        x: a tensor.
        mean, variance, offset, scale: shape (x.shape[axis],).
        axis: the feature axis (or axes) that they run along.
        epsilon: what keeps the root from zero.

    Reference: Ioffe & Szegedy, Batch Normalization (2015).
    """
    rest = [v for v in (offset, scale) if v is not None]
    return _batch_norm_op(
        x, mean, variance, *rest, axis=axes_of(axis), epsilon=epsilon,
        has_offset=offset is not None,
    )  # fmt: skip


def _layer_norm(
    x: Any, *rest: Any, axis: Any, epsilon: float, centred: bool, has_scale: bool
) -> Any:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    x = _floating(x)
    dtype = x.dtype
    x = _wide(x)
    if centred:
        x = x - jnp.mean(x, axes, keepdims=True)
    y = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axes, keepdims=True) + epsilon)
    weights = [_along(v, x, axes).astype(x.dtype) for v in rest]
    if has_scale:
        y = y * weights[0]
    if len(weights) > has_scale:
        y = y + weights[-1]
    return y.astype(dtype)


_layer_norm_op = ArrayOp(_layer_norm, "layer_normalization")
_rms_norm_op = ArrayOp(_layer_norm, "rms_normalization")


def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """(x - mean) / √(variance + epsilon) · gamma + beta, with x's own moments; one node.

    Args:
        x: a tensor; half precision is computed in float32.
        gamma, beta: of the shape of x's normalised axes, or None.
        axis: the normalised axes.
        epsilon: what keeps the root from zero; 1e-7 by default.

    Reference: Ba, Kiros & Hinton, Layer Normalization (2016).
    """
    rest = [v for v in (gamma, beta) if v is not None]
    epsilon = _EPSILON if epsilon is None else epsilon
    return _layer_norm_op(
        x, *rest, axis=axes_of(axis), epsilon=epsilon, centred=True, has_scale=gamma is not None
    )


def rms_normalization(
    x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """x / √(mean(x²) + epsilon) · scale along `axis`, one node; epsilon is 1e-7 by default.

    Reference: Zhang & Sennrich, Root Mean Square Layer Normalization (2019).
    """
    rest = [] if scale is None else [scale]
    epsilon = _EPSILON if epsilon is None else epsilon
    return _rms_norm_op(
        x, *rest, axis=axes_of(axis), epsilon=epsilon, centred=False, has_scale=bool(rest)
    )


def _normalize(x: Any, *, axis: Any, order: Any, epsilon: float) -> Any:
    x = _floating(x)
    dtype = x.dtype
    x = _wide(x)  # in float16 the squares of large values overflow, and epsilon² is 0
    if order == 2:  # the root of a sum held above zero: a gradient exists at zero too
        squares = jnp.sum(jnp.square(x), axis, keepdims=True)
        y = x * jax.lax.rsqrt(jnp.maximum(squares, epsilon**2))
    else:
        y = x / jnp.maximum(jnp.linalg.norm(x, order, axis, keepdims=True), epsilon)
    return y.astype(dtype)


_normalize_op = ArrayOp(_normalize, "normalize")


def normalize(x: Any, axis: Any = -1, order: Any = 2, epsilon: float | None = None) -> Tensor:
    """x divided by its norm along `axis`, which counts as no less than `epsilon` (1e-7)."""
    epsilon = _EPSILON if epsilon is None else epsilon
    return _normalize_op(x, axis=axes_of(axis), order=order, epsilon=epsilon)


# -- losses -------------------------------------------------------------------------------

_CLIP = 1e-7  # probabilities are kept this far from 0 and 1 before a logarithm is taken


def _kept(p: Any) -> Any:
    # In half precision 1 - 1e-7 is 1, so there the dtype's own resolution bounds the upper side.
    return jnp.clip(p, _CLIP, 1 - max(_CLIP, float(jnp.finfo(p.dtype).epsneg)))


def _logits(target: Any, output: Any) -> tuple[Any, Any]:
    output = output if jnp.issubdtype(output.dtype, jnp.inexact) else output.astype(jnp.float32)
    return target.astype(output.dtype), output


def _binary(target: Any, output: Any, *, from_logits: bool) -> Any:
    if target.shape != output.shape:
        raise ValueError(
            f"target and output must have one shape, got {target.shape} and {output.shape}."
        )
    target, output = _logits(target, output)
    if from_logits:
        # -t·log σ(x) - (1 - t)·log(1 - σ(x)), with log σ(x) = x - softplus(x).
        return jnp.maximum(output, 0) - output * target + jnp.log1p(jnp.exp(-jnp.abs(output)))
    p = _kept(output)
    return -(target * jnp.log(p) + (1 - target) * jnp.log1p(-p))


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return jax.nn.log_softmax(output, axis)
    return jnp.log(_kept(output / jnp.sum(output, axis, keepdims=True)))


def _categorical(target: Any, output: Any, *, from_logits: bool, axis: int) -> Any:
    if target.shape != output.shape or not output.ndim:
        raise ValueError(
            "target and output must have one shape, with an axis of classes, got "
            f"{target.shape} and {output.shape}. Integer labels go with "
            "sparse_categorical_crossentropy."
        )
    target, output = _logits(target, output)
    return -jnp.sum(target * _log_probabilities(output, from_logits, axis), axis)


def _sparse(target: Any, output: Any, *, from_logits: bool, axis: int) -> Any:
    if target.ndim == output.ndim and target.ndim and target.shape[axis] == 1:
        target = jnp.squeeze(target, axis)
    kept = output.shape[: axis % output.ndim] + output.shape[axis % output.ndim + 1 :]
    if not output.ndim or target.shape != kept:
        raise ValueError(
            f"target must have output's shape without the axis of classes, {kept}, got "
            f"{target.shape} for an output of shape {output.shape}."
        )
    _, output = _logits(target, output)
    # A comparison and a sum fuse with what surrounds them; a gather's gradient is a scatter.
    places = jax.lax.broadcasted_iota(jnp.int32, output.shape, axis % output.ndim)
    chosen = places == jnp.expand_dims(target.astype(jnp.int32), axis)
    logp = _log_probabilities(output, from_logits, axis)
    return -jnp.sum(jnp.where(chosen, logp, 0), axis)


_binary_op = ArrayOp(_binary, "binary_crossentropy")
_categorical_op = ArrayOp(_categorical, "categorical_crossentropy")
_sparse_op = ArrayOp(_sparse, "sparse_categorical_crossentropy")


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """-t·log p - (1 - t)·log(1 - p) for each element, one node.

    Args:
        target: t, in [0, 1].
        output: p, of the target's shape; clipped to [1e-7, 1 - 1e-7].
        from_logits: whether output holds logits, p = sigmoid(output), computed without overflow.

    Raises:
        ShapeError: unlike shapes.
    """
    return _binary_op(as_tensor(target), output, from_logits=from_logits)


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-Σ t·log p over the axis of classes, one node.

    Args:
        target: t, probabilities of the classes.
        output: p, of the target's shape; divided by its sum and clipped to [1e-7, 1 - 1e-7].
        from_logits: whether output holds logits, p = softmax(output), computed without overflow.
        axis: the axis of classes.

    Raises:
        ShapeError: unlike shapes.
    """
    return _categorical_op(as_tensor(target), output, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p of each label's class, one node.

    Args:
        target: integer labels, of output's shape without `axis` (or with size 1 there). A label
            outside the classes counts nothing: its loss is 0.
        output: p, divided by its sum and clipped to [1e-7, 1 - 1e-7].
        from_logits: whether output holds logits, p = softmax(output), computed without overflow.
        axis: the axis of classes.

    Raises:
        ShapeError: the shapes do not fit.
    """
    return _sparse_op(as_tensor(target), output, from_logits=from_logits, axis=axis)
