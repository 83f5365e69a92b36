"""tf.nn: the operations of networks."""

from weft.engine.names import unknown
from weft.ops import (
    elu,
    in_top_k,
    log_sigmoid,
    relu,
    relu6,
    selu,
    sigmoid,
    softplus,
    softsign,
    tanh,
    top_k,
)
from weft.ops.tf_spelling.networks import (
    avg_pool2d,
    batch_normalization,
    bias_add,
    conv2d,
    dropout,
    embedding_lookup,
    gelu,
    l2_loss,
    l2_normalize,
    leaky_relu,
    log_softmax,
    max_pool2d,
    moments,
    sigmoid_cross_entropy_with_logits,
    silu,
    softmax,
    softmax_cross_entropy_with_logits,
    sparse_softmax_cross_entropy_with_logits,
)

swish = silu
avg_pool = avg_pool2d
max_pool = max_pool2d

__all__ = [
    "avg_pool", "avg_pool2d", "batch_normalization", "bias_add", "conv2d", "dropout", "elu",
    "embedding_lookup", "gelu", "in_top_k", "l2_loss", "l2_normalize", "leaky_relu", "log_sigmoid",
    "log_softmax", "max_pool", "max_pool2d", "moments", "relu", "relu6", "selu", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "silu", "softmax", "softmax_cross_entropy_with_logits",
    "softplus", "softsign", "sparse_softmax_cross_entropy_with_logits", "swish", "tanh", "top_k",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
