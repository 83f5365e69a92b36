"""The six models by hand in JAX + Optax: the floor that weft's step is measured against.

Each model is an ``init(key) -> (params, state)`` and an ``apply(params, state, x) -> (logits,
state)``; ``state`` holds BatchNorm's moving statistics and is empty elsewhere. A step is one
donated ``jit``. Sizes, biases and starting values are those of the Keras layers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.nn.initializers import glorot_uniform, orthogonal

from benchmarks.cases import (
    BLOCKS,
    HEADS,
    HIDDEN,
    LEARNING_RATE,
    LENGTH,
    RESNET_BLOCKS,
    VOCABULARY,
    WIDTH,
)

Params = dict[str, Any]


def dense_init(key, n_in: int, n_out: int) -> Params:
    return {"w": glorot_uniform()(key, (n_in, n_out)), "b": jnp.zeros(n_out)}


def dense(p: Params, x):
    return x @ p["w"] + p["b"]


def conv(x, w, stride: int = 1, padding: str = "SAME"):
    """x (N, H, W, C), w (h, w, C, D) -> (N, H', W', D)."""
    return lax.conv_general_dilated(
        x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


# -- MLP -------------------------------------------------------------------------------------


def mlp(*sizes: int):
    def init(key):
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = itertools.pairwise(sizes)
        return [dense_init(k, i, o) for k, (i, o) in zip(keys, pairs, strict=True)], {}

    def apply(params, state, x):
        for p in params[:-1]:
            x = jax.nn.relu(dense(p, x))
        return dense(params[-1], x), state

    return init, apply


# -- CNN: conv 32, pool, conv 64, pool, dense 128, dense 10 ------------------------------------


def cnn_init(key):
    k = jax.random.split(key, 4)
    return {
        "conv1": {"w": glorot_uniform()(k[0], (3, 3, 1, 32)), "b": jnp.zeros(32)},
        "conv2": {"w": glorot_uniform()(k[1], (3, 3, 32, 64)), "b": jnp.zeros(64)},
        "hidden": dense_init(k[2], 5 * 5 * 64, 128),
        "out": dense_init(k[3], 128, 10),
    }, {}


def cnn_apply(params, state, x):
    for name in ("conv1", "conv2"):
        p = params[name]
        x = jax.nn.relu(conv(x, p["w"], padding="VALID") + p["b"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(dense(params["hidden"], x))
    return dense(params["out"], x), state


# -- ResNet-20 (He et al. 2015, section 4.2; 1x1 projections where the shape changes) -----------


def _unit_init(key, size: int, c_in: int, c_out: int):
    params = {
        "w": glorot_uniform()(key, (size, size, c_in, c_out)),
        "scale": jnp.ones(c_out),
        "shift": jnp.zeros(c_out),
    }
    return params, {"mean": jnp.zeros(c_out), "var": jnp.ones(c_out)}


def _unit(p: Params, s: Params, x, stride: int = 1):
    """Convolution, then BatchNorm on the batch's statistics; returns its output, new state."""
    x = conv(x, p["w"], stride)
    mean = x.mean((0, 1, 2))
    d = x - mean
    var = jnp.square(d).mean((0, 1, 2))
    y = d * (lax.rsqrt(var + 1e-3) * p["scale"]) + p["shift"]
    return y, {"mean": 0.99 * s["mean"] + 0.01 * mean, "var": 0.99 * s["var"] + 0.01 * var}


def resnet20_init(key):
    keys = iter(jax.random.split(key, 24))
    params, state = {}, {}
    params["stem"], state["stem"] = _unit_init(next(keys), 3, 3, 16)
    channels = 16
    for i, (width, stride) in enumerate(RESNET_BLOCKS):
        units = {"a": (3, channels, width), "b": (3, width, width)}
        if stride != 1:
            units["skip"] = (1, channels, width)
        made = {name: _unit_init(next(keys), *sizes) for name, sizes in units.items()}
        params[f"block{i}"] = {name: p for name, (p, _) in made.items()}
        state[f"block{i}"] = {name: s for name, (_, s) in made.items()}
        channels = width
    params["out"] = dense_init(next(keys), 64, 10)
    return params, state


def resnet20_apply(params, state, x):
    new: Params = {}
    x, new["stem"] = _unit(params["stem"], state["stem"], x)
    x = jax.nn.relu(x)
    for i, (_, stride) in enumerate(RESNET_BLOCKS):
        p, s, n = params[f"block{i}"], state[f"block{i}"], {}
        y, n["a"] = _unit(p["a"], s["a"], x, stride)
        y, n["b"] = _unit(p["b"], s["b"], jax.nn.relu(y))
        if stride != 1:
            x, n["skip"] = _unit(p["skip"], s["skip"], x, stride)
        x = jax.nn.relu(x + y)
        new[f"block{i}"] = n
    return dense(params["out"], x.mean((1, 2))), new


# -- LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) --------------


def lstm_init(key):
    k = jax.random.split(key, 3)
    bias = jnp.zeros(4 * 128).at[128:256].set(1.0)  # the forget gate starts open
    return {
        "w": glorot_uniform()(k[0], (64, 4 * 128)),
        "u": orthogonal()(k[1], (128, 4 * 128)),
        "b": bias,
        "out": dense_init(k[2], 128, 10),
    }, {}


def lstm_apply(params, state, x):
    """x (N, T, 64). One product a step: with the inputs' product hoisted out of the scan, and
    nothing done about the gradient, a step takes twice the time on CPU."""
    weights = jnp.concatenate([params["w"], params["u"]])

    def step(carry, x_t):
        h, c = carry
        gates = jnp.concatenate([x_t, h], axis=-1) @ weights + params["b"]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), 128))
    (h, _), _ = lax.scan(step, (zeros, zeros), jnp.swapaxes(x, 0, 1))
    return dense(params["out"], h), state


# -- Transformer: causal, pre-norm (Vaswani et al. 2017; Xiong et al. 2020) ----------------------


def _norm_init():
    return {"scale": jnp.ones(WIDTH), "shift": jnp.zeros(WIDTH)}


def _norm(p: Params, x):
    # The difference is named and used twice: with x.var the whole step takes 10% longer on CPU.
    d = x - x.mean(-1, keepdims=True)
    var = jnp.square(d).mean(-1, keepdims=True)
    return d * lax.rsqrt(var + 1e-3) * p["scale"] + p["shift"]


def transformer_init(key):
    keys = iter(jax.random.split(key, 3 + 6 * BLOCKS))
    embed = partial(jax.random.uniform, minval=-0.05, maxval=0.05)
    params: Params = {
        "tokens": embed(next(keys), (VOCABULARY, WIDTH)),
        "positions": embed(next(keys), (LENGTH, WIDTH)),
    }
    for i in range(BLOCKS):
        params[f"block{i}"] = {
            "norm1": _norm_init(),
            "norm2": _norm_init(),
            **{name: dense_init(next(keys), WIDTH, WIDTH) for name in ("q", "k", "v", "o")},
            "up": dense_init(next(keys), WIDTH, HIDDEN),
            "down": dense_init(next(keys), HIDDEN, WIDTH),
        }
    params["norm"] = _norm_init()
    params["out"] = dense_init(next(keys), WIDTH, VOCABULARY)
    return params, {}


def transformer_apply(params, state, x):
    """x (N, T) token ids -> logits (N, T, vocabulary)."""
    n, t = x.shape
    causal = jnp.tril(jnp.ones((t, t), bool))
    h = params["tokens"][x] + params["positions"]
    for i in range(BLOCKS):
        p = params[f"block{i}"]
        y = _norm(p["norm1"], h)
        q, k, v = (dense(p[m], y).reshape(n, t, HEADS, WIDTH // HEADS) for m in ("q", "k", "v"))
        scores = jnp.einsum("nqhd,nkhd->nhqk", q / math.sqrt(WIDTH // HEADS), k)
        weights = jax.nn.softmax(jnp.where(causal, scores, -1e9))
        y = jnp.einsum("nhqk,nkhd->nqhd", weights, v).reshape(n, t, WIDTH)
        h = h + dense(p["o"], y)
        y = jax.nn.relu(dense(p["up"], _norm(p["norm2"], h)))
        h = h + dense(p["down"], y)
    return dense(params["out"], _norm(params["norm"], h)), state


MODELS: dict[str, tuple[Callable, Callable]] = {
    "mlp": mlp(784, 512, 512, 10),
    "mlp_small": mlp(784, 64, 10),
    "cnn": (cnn_init, cnn_apply),
    "resnet20": (resnet20_init, resnet20_apply),
    "lstm": (lstm_init, lstm_apply),
    "transformer": (transformer_init, transformer_apply),
}


class HandWritten:
    """A model with its optimizer and its one compiled step.

    Example::

        run = HandWritten(*MODELS["mlp_small"])
        loss = run.loop(batches)          # batches of NumPy arrays, copied in at each step
    """

    def __init__(self, init: Callable, apply: Callable, seed: int = 0):
        optimizer = optax.adam(LEARNING_RATE)

        def start(key):
            params, state = init(key)
            return params, state, optimizer.init(params)

        def train_step(params, state, opt_state, x, y):
            def loss_fn(params):
                logits, new_state = apply(params, state, x)
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
                return losses.mean(), new_state

            (loss, state), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), state, opt_state, loss

        self.carry = jax.jit(start)(jax.random.key(seed))
        self.step = jax.jit(train_step, donate_argnums=(0, 1, 2))

    @property
    def parameters(self) -> int:
        """How many trainable numbers the model has."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.carry[0]))

    def loop(self, batches) -> float:
        """Trains on each (x, y) of ``batches``, waits for the last, returns its loss."""
        params, state, opt_state = self.carry
        step = self.step
        for x, y in batches:
            params, state, opt_state, loss = step(params, state, opt_state, x, y)
        self.carry = jax.block_until_ready((params, state, opt_state))
        return float(loss)
