"""The six models' sizes and their data: all that the hand-written, weft and peer versions share.

NumPy alone is imported here, so that a peer's process loads nothing but the peer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEARNING_RATE = 1e-3

# ResNet-20's blocks as (channels, stride), and the Transformer's sizes.
RESNET_BLOCKS = [(16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)]
BLOCKS, WIDTH, HEADS, HIDDEN, LENGTH, VOCABULARY = 4, 256, 8, 1024, 128, 1000


@dataclass(frozen=True)
class Case:
    """One model to time: what it is, what goes in, and how many trainable numbers it has.

    ``x_shape`` is one sample's shape. With ``vocabulary`` the samples are token ids and every
    position has a label; otherwise they are float32 and each sample has one label.
    """

    title: str
    batch: int
    x_shape: tuple[int, ...]
    parameters: int
    classes: int = 10
    vocabulary: int = 0

    def data(self, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Returns ``steps`` batches laid end to end: x (steps*batch, *x_shape) and labels y."""
        rng = np.random.default_rng(seed)
        n = steps * self.batch
        if self.vocabulary:
            x = rng.integers(0, self.vocabulary, (n, *self.x_shape), dtype=np.int32)
            return x, np.roll(x, -1, axis=1)
        x = rng.standard_normal((n, *self.x_shape), dtype=np.float32)
        return x, rng.integers(0, self.classes, n, dtype=np.int32)

    def batches(self, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Cuts ``data``'s arrays into batches (views: nothing is copied)."""
        b = self.batch
        return [(x[i : i + b], y[i : i + b]) for i in range(0, len(x), b)]

    @property
    def step_bytes(self) -> int:
        """Bytes of one batch of x."""
        return 4 * self.batch * int(np.prod(self.x_shape))


CASES = {
    "mlp": Case("MLP 784-512-512-10, b128", 128, (784,), 669_706),
    "mlp_small": Case("MLP 784-64-10, b32", 32, (784,), 50_890),
    "cnn": Case("CNN 28x28, 2 conv + pool, b64", 64, (28, 28, 1), 225_034),
    "resnet20": Case("ResNet-20, 32x32x3, b32", 32, (32, 32, 3), 272_474),
    "lstm": Case("LSTM(128), 64 steps, b64", 64, (64, 64), 100_106),
    "transformer": Case(
        "Transformer 4x256, T=128, b8", 8, (LENGTH,), 3_705_320, VOCABULARY, VOCABULARY
    ),
}
