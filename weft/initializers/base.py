"""What every initializer is: a callable from a shape and a dtype to an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import as_dtype

__all__ = ["Initializer"]


class Initializer:
    """Makes the initial value of a weight.

    A subclass defines `values(shape)`, or `__call__(shape, dtype=None)` itself, and `get_config`
    if it takes arguments.

    Example:
        >>> import numpy as np, weft
        >>> class Ramp(weft.initializers.Initializer):
        ...     def values(self, shape):
        ...         return np.arange(np.prod(shape)).reshape(shape)
        >>> Ramp()((2, 2)).tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> np.ndarray[Any, Any]:
        """The initial value, of that shape and dtype (float32 by default)."""
        sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        if any(n < 0 for n in sizes):
            raise ValueError(f"{type(self).__name__}: no array has the shape {sizes}.")
        return np.asarray(self.values(sizes), as_dtype(dtype or "float32"))

    def values(self, shape: tuple[int, ...]) -> Any:
        """An array of that shape, of any dtype."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method values(shape), or __call__(shape, dtype=None)."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer of a config."""
        return cls(**config)

    def clone(self) -> Initializer:
        """A new initializer of the same config; without a seed in it, with a new one."""
        return self.from_config(self.get_config())
