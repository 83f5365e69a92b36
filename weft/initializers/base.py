"""What every initializer is: a callable from a shape and a dtype to an array."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from weft.engine import as_dtype

__all__ = ["Initializer", "array_of", "checked"]


def checked(owner: Any, name: str, value: Any, least: float = -math.inf) -> float:
    """`value` as a Python number, refused if it is none, not finite, or below `least`."""
    number = value.item() if isinstance(value, np.generic) else value
    plain = isinstance(number, int | float) and not isinstance(number, bool)
    if not plain or not math.isfinite(number) or number < least:
        bound = f" not below {least:g}" if least > -math.inf else ""
        raise ValueError(
            f"{type(owner).__name__}: {name} must be a finite number{bound}, got {value!r}."
        )
    return number


def array_of(value: Any) -> Any:
    """An array that may be given as Keras's configs have it."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return np.asarray(value["config"]["value"], value["config"].get("dtype"))
    return value


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
        """The initial value.

        Args:
            shape: a sequence of integers, or one integer.
            dtype: float32 by default.

        Returns:
            A NumPy array of that shape and dtype.

        Raises:
            ValueError: no array has such a shape.
            TypeError: the dtype is none.
        """
        try:
            given = shape if hasattr(shape, "__iter__") else (shape,)
            sizes = tuple(map(operator.index, given))
        except TypeError:
            raise ValueError(
                f"{type(self).__name__}: a shape is a sequence of integers, got {shape!r}."
            ) from None
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
