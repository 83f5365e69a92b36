"""Random initial values: plain distributions, those scaled by the fans, orthogonal matrices.

With n = fan_in, fan_out or their mean, variance scaling draws with variance scale / n: for
Glorot, He and LeCun scale and n are 1 and the mean, 2 and fan_in, 1 and fan_in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.engine import SeedGenerator, next_host_seed
from weft.initializers.base import Initializer

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
]

# The standard deviation of a standard normal variable that is cut off at ±2.
_CUT_STDDEV = 0.87962566103423978


class _Random(Initializer):
    """An initializer with a seed; an int, or None for one that follows from the global seed.

    Either gives the same values at each call (two weights that must differ need two initializers);
    with a `SeedGenerator` as seed each call draws on.
    """

    def __init__(self, seed: int | SeedGenerator | None = None) -> None:
        if isinstance(seed, dict):
            seed = SeedGenerator.from_config(seed.get("config", seed))
        whole = isinstance(seed, int | np.integer) and seed >= 0
        if not (seed is None or whole or isinstance(seed, SeedGenerator)):
            raise ValueError(
                f"{type(self).__name__}: seed must be a non-negative integer, a SeedGenerator or "
                f"None, got {seed!r}."
            )
        self.seed = seed
        self._drawn = next_host_seed() if seed is None else seed

    def generator(self) -> np.random.Generator:
        """NumPy's generator for one call."""
        key: Any = self._drawn
        if isinstance(key, SeedGenerator):
            now = key.state.numpy()
            key.state.assign(now + np.array([0, 1], now.dtype))
            key = [int(n) for n in now]
        return np.random.Generator(np.random.Philox(key))

    def get_config(self) -> dict[str, Any]:
        seed = self.seed
        if isinstance(seed, SeedGenerator):
            seed = {"class_name": "SeedGenerator", "config": seed.get_config()}
        return {"seed": seed}


def _cut_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Standard normal numbers, those beyond ±2 drawn again."""
    values = generator.standard_normal(math.prod(shape), "float32")
    beyond = np.flatnonzero(np.abs(values) > 2)
    while beyond.size:
        values[beyond] = generator.standard_normal(beyond.size, "float32")
        beyond = beyond[np.abs(values[beyond]) > 2]
    return values.reshape(shape)


def _uniform(generator: np.random.Generator, shape: Any, low: float, high: float) -> Any:
    return low + (high - low) * generator.random(shape, "float32")


class RandomNormal(_Random):
    """Normally distributed.

    Args:
        mean, stddev: of the distribution.
        seed: an int, a SeedGenerator, or None.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def values(self, shape: tuple[int, ...]) -> Any:
        return self.mean + self.stddev * self.generator().standard_normal(shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normally distributed, values more than two `stddev` from the mean drawn again."""

    def values(self, shape: tuple[int, ...]) -> Any:
        return self.mean + self.stddev * _cut_normal(self.generator(), shape)


class RandomUniform(_Random):
    """Uniformly distributed in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def values(self, shape: tuple[int, ...]) -> Any:
        return _uniform(self.generator(), shape, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


def _fans(shape: tuple[int, ...], inputs: Any, outputs: Any) -> tuple[int, int]:
    """How many inputs each output is summed from, and outputs each input goes to.

    By default the last two axes are in and out, and those before them (a convolution's window)
    count for both. Where the axes of both sides are named, only they count.
    """
    if inputs is not None and outputs is not None:
        return math.prod(shape[a] for a in inputs), math.prod(shape[a] for a in outputs)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class VarianceScaling(_Random):
    """Random with variance scale / n, n from the weight's shape.

    Args:
        scale: a positive number.
        mode: what n is: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (cut at two standard deviations, and scaled so that the
            variance is right all the same), "untruncated_normal" or "uniform".
        seed: an int, a SeedGenerator, or None.
        input_axes, output_axes: the axes that count for the fans, both or neither; by default
            the last two, and those before them for both.

    Raises:
        ValueError: an argument that is none of these.

    Reference: He et al., Delving Deep into Rectifiers (2015), equations 10 and 14; Glorot &
    Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks (2010),
    equations 12 and 16.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Any = None,
        output_axes: Any = None,
    ) -> None:
        name = type(self).__name__
        mode, distribution = str(mode).lower(), str(distribution).lower()
        if not scale > 0:
            raise ValueError(f"{name}: scale must be positive, got {scale!r}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"{name}: mode is 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}.")
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"{name}: distribution is 'truncated_normal', 'untruncated_normal' or 'uniform', "
                f"got {distribution!r}."
            )
        super().__init__(seed)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def values(self, shape: tuple[int, ...]) -> Any:
        fan_in, fan_out = _fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(n, 1))
        generator = self.generator()
        if self.distribution == "uniform":
            return _uniform(generator, shape, -math.sqrt(3) * stddev, math.sqrt(3) * stddev)
        if self.distribution == "truncated_normal":
            return stddev / _CUT_STDDEV * _cut_normal(generator, shape)
        return stddev * generator.standard_normal(shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **self._axes_config(),
        }

    def _axes_config(self) -> dict[str, Any]:
        # Left out when unset: Keras before 3.15 does not know them.
        axes = {"input_axes": self.input_axes, "output_axes": self.output_axes}
        return {name: list(value) for name, value in axes.items() if value is not None}


class _Named(VarianceScaling):
    """Variance scaling with its first three arguments settled."""

    settings: tuple[float, str, str]

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(*self.settings, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {**_Random.get_config(self), **self._axes_config()}


class GlorotUniform(_Named):
    """Uniform within ±√(6 / (fan_in + fan_out)): the default of most layers."""

    settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform within ±√(6 / fan_in), for relu."""

    settings = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal of variance 2 / fan_in, for relu."""

    settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform within ±√(3 / fan_in)."""

    settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal of variance 1 / fan_in, for selu."""

    settings = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    A weight of more axes is that matrix of shape (product of all but the last, last), reshaped.

    Raises:
        ValueError: on a call with a shape of fewer than two axes.

    Reference: Saxe, McClelland & Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning
    in Deep Linear Neural Networks (2014).
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of two or more axes; the shape asked for is {shape}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))  # without it, the distribution is not uniform
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}
