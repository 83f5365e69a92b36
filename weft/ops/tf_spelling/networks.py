"""`tf.nn`'s operations in TensorFlow's spelling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft import ops, random
from weft.engine import ArrayOp, Tensor
from weft.engine.symbolic import publish
from weft.ops.arguments import axes_of, tensor_of
from weft.ops.tf_spelling.draws import stream
from weft.ops.tf_spelling.maths import clip_by_norm

__all__ = [
    "avg_pool2d",
    "batch_normalization",
    "bias_add",
    "conv2d",
    "dropout",
    "embedding_lookup",
    "gelu",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "log_softmax",
    "max_pool2d",
    "moments",
    "sigmoid_cross_entropy_with_logits",
    "silu",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
]


def softmax(logits: Any, axis: Any = -1, name: str | None = None) -> Tensor:
    """exp(x) / Σ exp(x) along `axis`."""
    return ops.softmax(logits, -1 if axis is None else axis)


def log_softmax(logits: Any, axis: Any = -1, name: str | None = None) -> Tensor:
    """log softmax along `axis`."""
    return ops.log_softmax(logits, -1 if axis is None else axis)


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x above zero, alpha·x below."""
    return ops.leaky_relu(features, alpha)


def gelu(features: Any, approximate: Any = False, name: str | None = None) -> Tensor:
    """x·Φ(x)."""
    return ops.gelu(features, approximate)


_swish = ArrayOp(lambda x, beta: x * jax.nn.sigmoid(beta * x), "swish")


def silu(features: Any, beta: Any = 1.0) -> Tensor:
    """x·sigmoid(beta·x)."""
    return ops.silu(features) if isinstance(beta, float) and beta == 1 else _swish(features, beta)


def dropout(
    x: Any, rate: Any, noise_shape: Any = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Each element set to 0 with probability `rate`, the others divided by 1 - rate."""
    return random.dropout(x, rate, noise_shape, stream(seed))


def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """-labels·log σ - (1 - labels)·log(1 - σ) for each element, σ = sigmoid(logits)."""
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Tensor:
    """-Σ labels·log softmax(logits) along `axis`."""
    return ops.categorical_crossentropy(labels, logits, from_logits=True, axis=axis)


def sparse_softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, name: str | None = None
) -> Tensor:
    """-log softmax(logits) at each integer label."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _spatial(value: Any) -> Any:
    """TensorFlow's strides, an int or one for each axis: of batch and channels left out."""
    value = axes_of(value)
    if isinstance(value, tuple) and len(value) == 4:
        return value[1:3]
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


_FORMATS = {"NHWC": "channels_last", "NCHW": "channels_first"}


def _format(data_format: str | None) -> str:
    if (data_format or "NHWC") not in _FORMATS:
        raise ValueError(f"data_format is 'NHWC' or 'NCHW', got {data_format!r}.")
    return _FORMATS[data_format or "NHWC"]


def conv2d(
    input: Any, filters: Any, strides: Any, padding: str, data_format: str = "NHWC",
    dilations: Any = 1, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Convolution of images, shape (batch, rows, columns, in), filters (rows, columns, in, out)."""
    strides, dilations = _spatial(strides), _spatial(1 if dilations is None else dilations)
    return ops.conv(input, filters, strides, padding.lower(), _format(data_format), dilations)


def max_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The largest value of each window of images."""
    size, steps = _spatial(ksize), _spatial(strides)
    return ops.max_pool(input, size, steps, padding.lower(), _format(data_format))


def avg_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of images."""
    size, steps = _spatial(ksize), _spatial(strides)
    return ops.average_pool(input, size, steps, padding.lower(), _format(data_format))


def bias_add(value: Any, bias: Any, data_format: Any = None, name: str | None = None) -> Tensor:
    """`value` plus a bias for each channel."""
    if data_format is not None and data_format.startswith("NC"):
        bias = ops.reshape(bias, (-1, *(1,) * (len(tensor_of(value).shape) - 2)))
    return ops.add(value, bias)


def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """(x - mean) / √(variance + epsilon) · scale + offset, all broadcasting with x."""
    gain = ops.rsqrt(ops.add(variance, variance_epsilon))
    gain = gain if scale is None else ops.multiply(gain, scale)
    made = ops.multiply(ops.subtract(x, mean), gain)
    return made if offset is None else ops.add(made, offset)


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: Any = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """The mean and the variance along `axes`."""
    return ops.moments(x, axes, keepdims)


_l2_loss = ArrayOp(lambda t: jnp.sum(jnp.square(t)) / 2, "l2_loss")
_l2_normalize = ArrayOp(
    lambda x, *, axis, epsilon: (
        x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis, keepdims=True), epsilon))
    ),
    "l2_normalize",
)


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Σ t² / 2."""
    return _l2_loss(t)


def l2_normalize(
    x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None
) -> Tensor:
    """x / √max(Σ x², epsilon) along `axis`."""
    return _l2_normalize(x, axis=axes_of(axis), epsilon=epsilon)


def embedding_lookup(
    params: Any, ids: Any, max_norm: Any = None, name: str | None = None
) -> Tensor:
    """The rows of `params` at `ids`; with `max_norm`, scaled down to that norm."""
    rows = ops.take(params, ids, axis=0)
    return rows if max_norm is None else clip_by_norm(rows, max_norm, axes=-1)

publish(globals(), __all__, "tf.")
