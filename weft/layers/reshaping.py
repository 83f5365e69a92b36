"""Layers that give each sample another shape: flat, reshaped, its axes in another order."""

from __future__ import annotations

import math
import operator
from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, ShapeError, Tensor
from weft.engine.symbolic import KerasTensor
from weft.layers.layer import Layer
from weft.layers.options import check_rank, data_format_of, positive
from weft.ops import transpose

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


def _flatten(x: Any, *, channels_first: bool) -> Any:
    if channels_first and x.ndim > 2:  # the order in which channels_last would give them
        x = jnp.moveaxis(x, 1, -1)
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


_flatten_op = ArrayOp(_flatten, "flatten")


class Flatten(Layer):
    """All axes but the first as one.

    Args:
        data_format: "channels_last" (default), or "channels_first": the channels then move behind
            the other axes first.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, ...).

    Returns:
        Shape (batch, n), n the product of the other axes.

    Raises:
        ValueError: an unknown data_format.
        ShapeError: an input without axes.

    Example:
        >>> import weft
        >>> weft.layers.Flatten()(weft.ops.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of("Flatten", data_format)
        self._first = self.data_format == "channels_first"

    def build(self, input_shape: Any) -> None:
        if not input_shape:
            raise ShapeError(f"expected an input of shape (batch, ...), got shape {input_shape}.")

    def call(self, inputs: Any) -> Tensor:
        return _flatten_op(inputs, channels_first=self._first)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


def _reshape(x: Any, *, target: tuple[int, ...]) -> Any:
    size = math.prod(x.shape[1:])
    known = math.prod(n for n in target if n != -1)
    if size % known if -1 in target and known else size != known:
        raise ValueError(
            f"a sample of shape {x.shape[1:]} has {size} numbers, which do not fit in "
            f"target_shape {target}."
        )
    sizes = tuple(size // known if n == -1 else n for n in target)
    return x.reshape(x.shape[0], *sizes)


_reshape_op = ArrayOp(_reshape, "reshape")


class Reshape(Layer):
    """Each sample in another shape, its numbers in row-major order.

    Args:
        target_shape: the shape without the batch axis; one size may be -1 (or None), and follows
            then.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, ...).

    Returns:
        Shape (batch, *target_shape).

    Raises:
        ValueError: a shape with other than sizes in it, or with more than one -1.
        ShapeError: an input whose samples have another number of elements.

    Example:
        >>> import weft
        >>> weft.layers.Reshape((3, -1))(weft.ops.ones((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = tuple(target_shape) if isinstance(target_shape, list | tuple) else (target_shape,)
        try:
            sizes = tuple(-1 if n is None else operator.index(n) for n in given)
        except TypeError:
            sizes = (-2,)
        if min(sizes, default=0) < -1 or sizes.count(-1) > 1 or (-1 in sizes and 0 in sizes):
            raise ValueError(
                "Reshape: target_shape is a tuple of sizes, at most one of them -1, got "
                f"{target_shape!r}."
            )
        self.target_shape = given
        self._target = sizes

    def build(self, input_shape: Any) -> None:
        if not input_shape:
            raise ShapeError(f"expected an input of shape (batch, ...), got shape {input_shape}.")

    def call(self, inputs: Any) -> Tensor:
        return _reshape_op(inputs, target=self._target)

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        """As of every layer; sizes that stand in for unknown ones would not fit in every shape."""
        shape = tuple(inputs.shape)
        if None not in shape[1:]:
            return super().compute_output_spec(inputs, **kwargs)
        known = math.prod(n for n in shape[1:] if n is not None)
        size = math.prod(self._target)
        if -1 not in self._target and (size % known if known else size):
            raise self._located(
                ShapeError(
                    f"a sample has a multiple of {known} numbers, which never fit in target_shape "
                    f"{self._target}."
                ),
                f"called on shape {shape}",
            )
        fitting = KerasTensor((shape[0], abs(size)), inputs.dtype)
        dtype = super().compute_output_spec(fitting, **kwargs).dtype
        return KerasTensor((shape[0], *(None if n == -1 else n for n in self._target)), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


class Permute(Layer):
    """The axes of each sample in another order.

    Args:
        dims: the numbers of the axes, counted from 1, in their new order.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, ...), with as many axes behind the batch as `dims` names.

    Returns:
        Shape (batch, inputs.shape[dims[0]], inputs.shape[dims[1]], ...).

    Raises:
        ValueError: `dims` that are not the numbers from 1 on, each once.
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> weft.layers.Permute((2, 1))(weft.ops.ones((2, 3, 4))).shape
        (2, 4, 3)
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = tuple(dims) if isinstance(dims, list | tuple) else (dims,)
        if not given or any(given.count(n) != 1 for n in range(1, len(given) + 1)):
            raise ValueError(
                "Permute: dims are the axes' numbers from 1 on, each once, in their new order, "
                f"got dims={dims!r}."
            )
        self.dims = tuple(map(int, given))
        self._order = (0, *self.dims)

    def build(self, input_shape: Any) -> None:
        n = len(self.dims)
        check_rank(input_shape, n + 1, f"(batch, {n} more axes) for dims={self.dims}")

    def call(self, inputs: Any) -> Tensor:
        return transpose(inputs, self._order)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": list(self.dims)}


def _repeat_vector(x: Any, *, n: int) -> Any:
    if x.ndim != 2:
        raise ValueError(f"expected an input of shape (batch, features), got {x.shape}.")
    return jnp.broadcast_to(x[:, None], (x.shape[0], n, x.shape[1]))


_repeat_vector_op = ArrayOp(_repeat_vector, "repeat_vector")


class RepeatVector(Layer):
    """Each vector n times, as the steps of a sequence.

    Args:
        n: how often.
        kwargs: `name`, `dtype`.

    Call arguments:
        inputs: shape (batch, features).

    Returns:
        Shape (batch, n, features).

    Raises:
        ValueError: n is no positive integer.
        ShapeError: an input of another rank.

    Example:
        >>> import weft
        >>> weft.layers.RepeatVector(2)([[1.0, 2.0]]).tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive("RepeatVector", "n", n)

    def build(self, input_shape: Any) -> None:
        check_rank(input_shape, 2, "(batch, features)")

    def call(self, inputs: Any) -> Tensor:
        return _repeat_vector_op(inputs, n=self.n)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
