"""Sample data of the metrics' cases: makers of arrays by shape, and batches of them."""

import numpy as np

rng = np.random.default_rng(11)
BATCHES = 3
CLASSES = 5


def batches(*shapes):
    """Arrays of those (maker, shape)s for each of the batches, the last of them smaller."""
    return [
        [make((n, *shape)) for make, shape in shapes] for n in (6,) * (BATCHES - 1) + (4,)
    ]  # fmt: skip


def real(shape):
    return rng.normal(size=shape).astype("float32")


def unit(shape):
    return rng.uniform(0.01, 0.99, size=shape).astype("float32")


def bits(shape):
    return rng.integers(0, 2, size=shape).astype("float32")


def signs(shape):
    return 2 * bits(shape) - 1


def labels(shape):
    return rng.integers(0, CLASSES, size=shape).astype("int32")


def one_hot(shape):
    return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], size=shape[:-1])]


def distributions(shape):
    values = unit(shape)
    return values / values.sum(-1, keepdims=True)
