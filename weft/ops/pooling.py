"""Adaptive pooling over one, two or three spatial axes; pooling by windows is beside `conv`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.kernels.pool import adaptive_average, adaptive_largest
from weft.ops.arguments import tensor_of
from weft.ops.convolution import _layout, _many

__all__ = ["adaptive_average_pool", "adaptive_max_pool"]


def _adaptive(x: Any, *, sizes: tuple[int, ...], first: bool, largest: bool) -> Any:
    x = jnp.moveaxis(x, 1, -1) if first else x
    if 0 in x.shape[1:-1]:
        raise ValueError(f"an input without elements, of spatial shape {x.shape[1:-1]}.")
    if largest:
        y = adaptive_largest(x, sizes)
    else:
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        y = adaptive_average(x if inexact else x.astype(jnp.float32), sizes)
    return jnp.moveaxis(y, -1, 1) if first else y


_max_op = ArrayOp(_adaptive, "adaptive_max_pool")
_average_op = ArrayOp(_adaptive, "adaptive_average_pool")


def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    """The means of as many windows as the output is to have, whatever the size of the input.

    Along each axis window i of m over n elements goes from ⌊i·n/m⌋ up to ⌈(i+1)·n/m⌉, the latter
    not in it, in whole numbers.

    Args:
        inputs: shape (batch, spatial..., channels), with 1 to 3 spatial axes.
        output_size: an int, or one for each spatial axis.
        data_format: "channels_last" (default) or "channels_first".

    Returns:
        Shape (batch, *output_size, channels), or with the channels first.

    Raises:
        ValueError: sizes that are not positive, an unknown data_format, an input of another rank.
        ShapeError: an input without elements.

    Example:
        >>> import weft
        >>> weft.ops.adaptive_average_pool([[[1.0], [2.0], [3.0]]], 2).tolist()
        [[[1.5], [2.5]]]
    """
    return _pool(_average_op, inputs, output_size, data_format, largest=False)


def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
    """The largest values of `output_size` windows; arguments as of `adaptive_average_pool`."""
    return _pool(_max_op, inputs, output_size, data_format, largest=True)


def _pool(
    op: ArrayOp, inputs: Any, output_size: Any, data_format: str | None, largest: bool
) -> Tensor:
    inputs = tensor_of(inputs)
    n, first = _layout(op.name, inputs, data_format)
    sizes = _many(output_size, n, op.name, "output_size")
    return op(inputs, sizes=sizes, first=first, largest=largest)
