"""Random initial values whose variance follows from the weight's shape.

With n = fan_in, fan_out or their mean, variance scaling draws with variance scale / n: for
Glorot, He and LeCun scale and n are 1 and the mean, 2 and fan_in, 1 and fan_in.
"""

from __future__ import annotations

import math
from typing import Any

from weft.engine.names import near
from weft.initializers import sampling
from weft.initializers.base import checked
from weft.initializers.random import RandomInitializer

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
]

# The standard deviation of a standard normal variable that is cut off at ±2.
_CUT_STDDEV = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


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


def _one_of(owner: Any, what: str, given: Any, known: tuple[str, ...]) -> str:
    name = str(given).lower()
    if name not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        hint = near(name, known)
        raise ValueError(
            f"{type(owner).__name__}: {what} is {listed}, got {given!r}."
            + (f" {hint}" if hint.startswith("Did") else "")
        )
    return name


class VarianceScaling(RandomInitializer):
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

    Example:
        >>> values = VarianceScaling(3.0, "fan_in", "uniform", seed=0)((9, 1000))
        >>> bool(abs(values).max() <= 1), round(float(values.var()), 2)
        (True, 0.33)

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
        super().__init__(seed)
        self.scale = checked(self, "scale", scale)
        if self.scale <= 0:
            raise ValueError(f"{type(self).__name__}: scale must be positive, got {scale!r}.")
        if distribution == "normal":  # as Keras 2 also calls it
            distribution = "truncated_normal"
        self.mode = _one_of(self, "mode", mode, _MODES)
        self.distribution = _one_of(self, "distribution", distribution, _DISTRIBUTIONS)
        self.input_axes = input_axes
        self.output_axes = output_axes
        if (input_axes is None) != (output_axes is None):
            raise ValueError(
                f"{type(self).__name__}: input_axes and output_axes are given both or neither, got "
                f"input_axes={input_axes!r} and output_axes={output_axes!r}."
            )

    def values(self, shape: tuple[int, ...]) -> Any:
        try:
            fan_in, fan_out = _fans(shape, self.input_axes, self.output_axes)
        except (IndexError, TypeError):
            raise ValueError(
                f"{type(self).__name__}: input_axes={self.input_axes!r} and output_axes="
                f"{self.output_axes!r} are not lists of axes of the shape {shape}."
            ) from None
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(n, 1))
        generator = self.generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return sampling.filled(generator, shape, sampling.uniform, 2 * limit, -limit)
        if self.distribution == "truncated_normal":
            return sampling.filled(generator, shape, sampling.cut_normal, stddev / _CUT_STDDEV)
        return sampling.filled(generator, shape, sampling.normal, stddev)

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
        return {**RandomInitializer.get_config(self), **self._axes_config()}


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
