"""Layers against overfitting: noise while training, and a penalty of activations."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import SeedGenerator, draw
from weft.layers.layer import Layer
from weft.layers.options import check_rank, data_format_of, not_negative
from weft.random import dropped, noise_sizes
from weft.regularizers import L1L2

__all__ = [
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
]  # fmt: skip

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class _Noise(Layer):
    """The base of layers that disturb their inputs while training.

    A subclass names the attribute that says how much, checks it, and defines `_noisy`.
    """

    _amount = "rate"

    def __init__(self, amount: float, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        setattr(self, self._amount, amount)
        self.seed = seed
        if amount > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self._noisy(inputs) if training and getattr(self, self._amount) > 0 else inputs

    def _noisy(self, inputs: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        amount = self._amount
        return {**super().get_config(), amount: getattr(self, amount), "seed": self.seed}


class Dropout(_Noise):
    """While training, each element is 0 with probability `rate`, and divided by 1 - rate else.

    Args:
        rate: in [0, 1].
        noise_shape: the mask's shape, with 1 where all elements along an axis go together, and
            None where the input's size holds.
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        training: whether anything is dropped.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1], sizes in noise_shape that are neither positive nor None.
        ShapeError: a noise_shape that does not broadcast to the input's.

    Example:
        >>> import weft
        >>> weft.layers.Dropout(0.5)(weft.ops.ones(3)).tolist()
        [1.0, 1.0, 1.0]

    Reference: Srivastava et al., Dropout (2014).
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(_share("Dropout", rate), seed, **kwargs)
        self.noise_shape = _noise_shape("Dropout", noise_shape)

    def _noisy(self, inputs: Any) -> Any:
        return draw(
            self.seed_generator, dropped, (inputs,), rate=self.rate, noise_shape=self.noise_shape
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "noise_shape": _listed(self.noise_shape)}


class _SpatialDropout(_Noise):
    """Dropout of whole feature maps: a channel of a sample is kept or dropped at all places."""

    _places: str  # the names of the axes between batch and channels

    def __init__(self, rate: float, seed: int | None, data_format: Any, **kwargs: Any) -> None:
        super().__init__(_share(type(self).__name__, rate), seed, **kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        places = [1] * len(self._places.split(", "))
        first = self.data_format == "channels_first"
        self._noise_shape = (None, None, *places) if first else (None, *places, None)

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)

    def _check(self, shape: Any) -> None:
        if shape is None or len(shape) != len(self._noise_shape):
            channels = "channels, " if self.data_format == "channels_first" else ""
            axes = f"(batch, {channels}{self._places}{'' if channels else ', channels'})"
            check_rank(shape, len(self._noise_shape), axes)

    def call(self, inputs: Any, training: bool = False) -> Any:
        self._check(inputs.shape)
        return super().call(inputs, training)

    def _noisy(self, inputs: Any) -> Any:
        return draw(
            self.seed_generator, dropped, (inputs,), rate=self.rate, noise_shape=self._noise_shape
        )

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        del config["trainable"]  # Keras's takes none
        return config


class SpatialDropout1D(_SpatialDropout):
    """While training, a channel of a sample is 0 at all steps with probability `rate`.

    What is kept is divided by 1 - rate, as in Dropout.

    Args:
        rate: in [0, 1].
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, shape (batch, steps, channels).
        training: whether anything is dropped.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1].
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> y = weft.layers.SpatialDropout1D(0.5)(weft.ops.ones((1, 9, 4)), training=True)
        >>> set(y.numpy().sum(1).ravel().tolist()) <= {0.0, 18.0}
        True

    Reference: Tompson et al., Efficient Object Localization Using Convolutional Networks (2015).
    """

    _places = "steps"

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(_SpatialDropout):
    """While training, a channel of an image is 0 everywhere with probability `rate`.

    What is kept is divided by 1 - rate, as in Dropout.

    Args:
        rate: in [0, 1].
        data_format: "channels_last" or "channels_first".
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, shape (batch, height, width, channels), or (batch, channels, height, width).
        training: whether anything is dropped.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1], another data format.
        ShapeError: an input of another rank.

    Reference: Tompson et al., Efficient Object Localization Using Convolutional Networks (2015).
    """

    _places = "height, width"

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed, data_format, **kwargs)


class SpatialDropout3D(_SpatialDropout):
    """While training, a channel of a volume is 0 everywhere with probability `rate`.

    What is kept is divided by 1 - rate, as in Dropout.

    Args:
        rate: in [0, 1].
        data_format: "channels_last" or "channels_first".
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, shape (batch, depth, height, width, channels), or
            (batch, channels, depth, height, width).
        training: whether anything is dropped.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1], another data format.
        ShapeError: an input of another rank.

    Reference: Tompson et al., Efficient Object Localization Using Convolutional Networks (2015).
    """

    _places = "depth, height, width"

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed, data_format, **kwargs)


def _multiplied(key: Any, x: Any, *, stddev: float) -> Any:
    return x * (1 + stddev * jax.random.normal(key, x.shape, x.dtype))


class GaussianDropout(_Noise):
    """While training, each element is multiplied by a draw from N(1, rate / (1 - rate)).

    That is the variance of Dropout's factors.

    Args:
        rate: in [0, 1).
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        training: whether anything is multiplied.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1).

    Reference: Srivastava et al., Dropout (2014), section 10.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(_share("GaussianDropout", rate, below_one=True), seed, **kwargs)

    def _noisy(self, inputs: Any) -> Any:
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return draw(self.seed_generator, _multiplied, (inputs,), stddev=stddev)


def _added(key: Any, x: Any, *, stddev: float) -> Any:
    return x + stddev * jax.random.normal(key, x.shape, x.dtype)


class GaussianNoise(_Noise):
    """While training, each element has a draw from N(0, stddev²) added.

    Args:
        stddev: not below 0.
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        training: whether anything is added.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a negative stddev.

    Example:
        >>> import weft
        >>> weft.layers.GaussianNoise(0.1)([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """

    _amount = "stddev"

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(not_negative("GaussianNoise", "stddev", stddev), seed, **kwargs)

    def _noisy(self, inputs: Any) -> Any:
        return draw(self.seed_generator, _added, (inputs,), stddev=self.stddev)


def _alpha_dropped(key: Any, x: Any, *, rate: float, noise_shape: Any) -> Any:
    low = -_SELU_ALPHA * _SELU_SCALE
    kept = jax.random.uniform(key, noise_sizes(noise_shape, x.shape)) >= rate
    a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    return a * jnp.where(kept, x, low) - a * rate * low


class AlphaDropout(_Noise):
    """While training, elements are SELU's lowest value with probability `rate`.

    With x' that value (-1.758) in place of what is dropped, the result is a·x' + b, where a and b
    bring standard normal inputs back to mean 0 and variance 1, which SELU's networks live by.

    Args:
        rate: in [0, 1).
        noise_shape: the mask's shape, with 1 where all elements along an axis go together, and
            None where the input's size holds.
        seed: an int; by default one that follows from the global seed.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, any shape.
        training: whether anything is dropped.

    Returns:
        The shape of the inputs.

    Raises:
        ValueError: a rate outside [0, 1), sizes in noise_shape that are neither positive nor None.
        ShapeError: a noise_shape that does not broadcast to the input's.

    Reference: Klambauer et al., Self-Normalizing Neural Networks (2017), section "Alpha Dropout".
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(_share("AlphaDropout", rate, below_one=True), seed, **kwargs)
        self.noise_shape = _noise_shape("AlphaDropout", noise_shape)

    def _noisy(self, inputs: Any) -> Any:
        return draw(
            self.seed_generator, _alpha_dropped, (inputs,), rate=self.rate,
            noise_shape=self.noise_shape,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "noise_shape": _listed(self.noise_shape)}


class ActivityRegularization(Layer):
    """The input as it is, with the penalty (l1·Σ|x| + l2·Σx²) / batch size as a loss.

    Args:
        l1, l2: factors, not below 0.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: float, shape (batch, ...).

    Returns:
        The inputs.

    Raises:
        ValueError: a negative factor.

    Example:
        >>> import weft
        >>> layer = weft.layers.ActivityRegularization(l1=0.5)
        >>> y = layer([[2.0], [-4.0]])
        >>> float(layer.losses[0])
        1.5
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        l1 = not_negative("ActivityRegularization", "l1", l1)
        l2 = not_negative("ActivityRegularization", "l2", l2)
        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "l1": self.l1, "l2": self.l2}
        del config["activity_regularizer"]  # follows from those two
        return config


def _share(layer: str, rate: Any, below_one: bool = False) -> float:
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not number or not (0 <= rate < 1 or (rate == 1 and not below_one)):
        range_ = "[0, 1), as nothing is left at 1" if below_one else "[0, 1]"
        raise ValueError(f"{layer}: rate must be a number in {range_}, got rate={rate!r}.")
    return rate


def _noise_shape(layer: str, given: Any) -> tuple[int | None, ...] | None:
    if given is None:
        return None
    sizes = tuple(given) if isinstance(given, list | tuple) else (0,)
    if any(n is not None and (not isinstance(n, int) or n < 1) for n in sizes):
        raise ValueError(
            f"{layer}: noise_shape is a tuple of positive integers and None, got {given!r}."
        )
    return sizes


def _listed(shape: tuple[int | None, ...] | None) -> list[int | None] | None:
    return None if shape is None else list(shape)
