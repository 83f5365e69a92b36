"""The six models in Flax NNX's language."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.cases import (
    BLOCKS,
    HEADS,
    HIDDEN,
    LENGTH,
    RESNET_BLOCKS,
    VOCABULARY,
    WIDTH,
)


def _mlp(rngs: nnx.Rngs, *sizes: int) -> nnx.Module:
    parts: list = []
    for n_in, n_out in pairwise(sizes):
        parts += [nnx.Linear(n_in, n_out, rngs=rngs), nnx.relu]
    return nnx.Sequential(*parts[:-1])


class CNN(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 32, (3, 3), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), padding="VALID", rngs=rngs)
        self.head = _mlp(rngs, 5 * 5 * 64, 128, 10)

    def __call__(self, x):
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), (2, 2))
        return self.head(x.reshape(len(x), -1))


class Unit(nnx.Module):
    """Convolution and BatchNorm."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(
            c_in, c_out, (size, size), (stride, stride), padding="SAME", use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(c_out, epsilon=1e-3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


class ResidualBlock(nnx.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, rngs: nnx.Rngs):
        self.a = Unit(c_in, c_out, 3, stride, rngs)
        self.b = Unit(c_out, c_out, 3, 1, rngs)
        self.skip = None if stride == 1 else Unit(c_in, c_out, 1, stride, rngs)

    def __call__(self, x):
        y = self.b(nnx.relu(self.a(x)))
        return nnx.relu((x if self.skip is None else self.skip(x)) + y)


class ResNet20(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.stem = Unit(3, 16, 3, 1, rngs)
        blocks, channels = [], 16
        for width, stride in RESNET_BLOCKS:
            blocks.append(ResidualBlock(channels, width, stride, rngs))
            channels = width
        self.blocks = nnx.Sequential(*blocks)
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(self.blocks(nnx.relu(self.stem(x))).mean((1, 2)))


class LastLSTM(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.lstm = nnx.RNN(nnx.OptimizedLSTMCell(64, 128, rngs=rngs))
        self.out = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(self.lstm(x)[:, -1])


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.norm1 = nnx.LayerNorm(WIDTH, epsilon=1e-3, rngs=rngs)
        self.norm2 = nnx.LayerNorm(WIDTH, epsilon=1e-3, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.mlp = _mlp(rngs, WIDTH, HIDDEN, WIDTH)

    def __call__(self, x):
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.mlp(self.norm2(x))


class Transformer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.tokens = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.positions = nnx.Param(0.05 * jax.random.normal(rngs.params(), (LENGTH, WIDTH)))
        self.blocks = nnx.Sequential(*(Block(rngs) for _ in range(BLOCKS)))
        self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-3, rngs=rngs)
        self.out = nnx.Linear(WIDTH, VOCABULARY, rngs=rngs)

    def __call__(self, x):
        return self.out(self.norm(self.blocks(self.tokens(x) + self.positions[...])))


MODELS = {
    "mlp": lambda rngs: _mlp(rngs, 784, 512, 512, 10),
    "mlp_small": lambda rngs: _mlp(rngs, 784, 64, 10),
    "cnn": CNN,
    "resnet20": ResNet20,
    "lstm": LastLSTM,
    "transformer": Transformer,
}
