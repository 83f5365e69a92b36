"""Random initial values of a distribution that does not depend on the shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import SeedGenerator, as_dtype, next_host_seed
from weft.initializers import sampling
from weft.initializers.base import Initializer, checked

__all__ = ["RandomInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal"]


class RandomInitializer(Initializer):
    """An initializer with a seed; an int, or None for one that follows from the global seed.

    Either gives the same values at each call (two weights that must differ need two initializers);
    with a `SeedGenerator` as seed each call draws on. Numbers are drawn in float32 and then cast.
    """

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, dict):
            seed = SeedGenerator.from_config(seed.get("config", seed))
        whole = isinstance(seed, int | np.integer) and seed >= 0
        if not (seed is None or whole or isinstance(seed, SeedGenerator)):
            raise ValueError(
                f"{type(self).__name__}: seed must be a non-negative integer, a SeedGenerator or "
                f"None, got {seed!r}."
            )
        self.seed = int(seed) if whole else seed
        self._drawn = next_host_seed() if seed is None else self.seed

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> np.ndarray[Any, Any]:
        kind = as_dtype(dtype or "float32")
        if kind.kind in "iub":
            raise ValueError(
                f"{type(self).__name__} draws real numbers, which do not fit the dtype "
                f"{kind.name!r}: ask for a float dtype, or initialize with Zeros, Ones or Constant."
            )
        return super().__call__(shape, kind, **options)

    def generator(self) -> np.random.Generator:
        """NumPy's generator for one call."""
        key: Any = self._drawn
        if isinstance(key, SeedGenerator):
            now = key.state.numpy()
            key.state.assign(now + np.array([0, 1], now.dtype))
            key = [int(n) for n in now]
        return np.random.Generator(np.random.SFC64(key))

    def get_config(self) -> dict[str, Any]:
        seed = self.seed
        if isinstance(seed, SeedGenerator):
            config = seed.get_config()
            seed = {"module": "keras.random", "class_name": "SeedGenerator", "config": config}
        return {"seed": seed}


class RandomNormal(RandomInitializer):
    """Normally distributed.

    Args:
        mean, stddev: of the distribution; stddev ≥ 0.
        seed: an int, a SeedGenerator, or None.

    Raises:
        ValueError: an argument that is none of these.

    Example:
        >>> RandomNormal(stddev=0.1, seed=1)((2, 3), "float16").dtype
        dtype('float16')
    """

    _draw = staticmethod(sampling.normal)

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = checked(self, "mean", mean)
        self.stddev = checked(self, "stddev", stddev, 0)

    def values(self, shape: tuple[int, ...]) -> Any:
        return sampling.filled(self.generator(), shape, self._draw, self.stddev, self.mean)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normally distributed, values more than two `stddev` from the mean drawn again.

    Args:
        mean, stddev: of the distribution before it is cut off; stddev ≥ 0.
        seed: an int, a SeedGenerator, or None.
    """

    _draw = staticmethod(sampling.cut_normal)


class RandomUniform(RandomInitializer):
    """Uniformly distributed in [minval, maxval).

    Args:
        minval, maxval: the bounds.
        seed: an int, a SeedGenerator, or None.

    Raises:
        ValueError: an argument that is none of these, or minval above maxval.

    Example:
        >>> values = RandomUniform(1.0, 2.0, seed=1)((100,))
        >>> bool((values >= 1).all() and (values <= 2).all())
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = checked(self, "minval", minval)
        self.maxval = checked(self, "maxval", maxval)
        if minval > maxval:
            raise ValueError(
                f"{type(self).__name__}: minval must not be above maxval, got minval={minval!r} "
                f"and maxval={maxval!r}."
            )

    def values(self, shape: tuple[int, ...]) -> Any:
        width = self.maxval - self.minval
        return sampling.filled(self.generator(), shape, sampling.uniform, width, self.minval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}
