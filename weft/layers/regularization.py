"""Layers that only do something while training: noise against overfitting."""

from __future__ import annotations

from typing import Any

from weft.engine import SeedGenerator, draw
from weft.layers.layer import Layer
from weft.random import dropped

__all__ = ["Dropout"]


class Dropout(Layer):
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

    Raises:
        ValueError: a rate outside [0, 1].
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
        super().__init__(**kwargs)
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate must be a number in [0, 1], got rate={rate!r}.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return draw(
            self.seed_generator, dropped, (inputs,), rate=self.rate, noise_shape=self.noise_shape
        )

    def get_config(self) -> dict[str, Any]:
        shape = self.noise_shape
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": None if shape is None else list(shape),
        }
