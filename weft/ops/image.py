"""Operations on images."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.engine.names import near
from weft.ops.arguments import shape_of, tensor_of

__all__ = ["resize"]

METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def _resize(
    images: Any, *, size: tuple[int, int], method: str, antialias: bool, fit: str, fill: float,
    first: bool,
) -> Any:  # fmt: skip
    if images.ndim not in (3, 4):
        axes = "channels, height, width" if first else "height, width, channels"
        raise ValueError(
            f"expected images of shape ({axes}) or (batch, {axes}), got {images.shape}."
        )
    h, w = range(images.ndim - 2, images.ndim) if first else range(images.ndim - 3, images.ndim - 1)
    height, width = images.shape[h], images.shape[w]
    if not height or not width:
        raise ValueError(f"images without pixels, of shape {images.shape}.")
    dtype = images.dtype
    # The sides that the image would have at the new aspect ratio, one kept and the other changed.
    sides = width * size[0] // size[1], height * size[1] // size[0]
    if fit == "crop":
        kept = [max(min(n, side), 1) for n, side in zip((height, width), sides, strict=True)]
        for axis, n, k in zip((h, w), (height, width), kept, strict=True):
            images = jax.lax.slice_in_dim(images, (n - k) // 2, (n - k) // 2 + k, 1, axis)
    elif fit == "pad":
        around = [(0, 0)] * images.ndim
        for axis, n, side in zip((h, w), (height, width), sides, strict=True):
            around[axis] = (max(side - n, 0) // 2,) * 2
        images = jnp.pad(images, around, constant_values=jnp.asarray(fill).astype(dtype))
    new = tuple(size[(h, w).index(a)] if a in (h, w) else n for a, n in enumerate(images.shape))
    exact = method == "nearest" or jnp.issubdtype(dtype, jnp.inexact)
    resized = jax.image.resize(
        images if exact else images.astype(jnp.float32), new, method, antialias=antialias
    )
    return resized if exact else _rounded(resized, dtype)


def _rounded(x: Any, dtype: Any) -> Any:
    """As whole numbers; what is outside the dtype's range becomes its end."""
    if dtype.kind == "b":
        return x >= 0.5
    limits = jnp.iinfo(dtype)
    return jnp.clip(jnp.round(x), limits.min, limits.max).astype(dtype)


_resize_op = ArrayOp(_resize, "resize")


def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images in another size.

    A new pixel at i has its centre at (i + ½)·n/m - ½ of the old ones, n the old and m the new
    size. It is a mean of the old pixels around, weighted by a kernel of their distance: the nearest
    one, a triangle (bilinear), Keys's cubic with a = -½ (bicubic) or Lanczos's windowed sinc of 3
    or 5 pixels. The weights of the pixels in the image are scaled to a sum of 1.

    Args:
        images: shape (batch, height, width, channels) or (height, width, channels);
            channels_first: (batch, channels, height, width) or (channels, height, width).
        size: the new (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether the kernel grows with the old pixels' number where an image is made
            smaller, so that all of them count.
        crop_to_aspect_ratio: whether the largest part of the image, in its middle, is taken that
            has the new aspect ratio; otherwise the image is distorted.
        pad_to_aspect_ratio: whether the image is first padded to the new ratio, by as much on
            both sides.
        fill_mode: "constant", what is padded with; there is no other.
        fill_value: that constant.
        data_format: "channels_last" (default) or "channels_first".

    Returns:
        The images in their dtype; integers are rounded, and kept within their range.

    Raises:
        ValueError: an unknown interpolation or data_format, a size that is not two positive
            numbers, both ways of keeping the aspect ratio at once.
        ShapeError: images of another rank.

    Example:
        >>> import weft
        >>> weft.ops.image.resize([[[0.0], [1.0]]], (1, 4))[0, :, 0].tolist()
        [0.0, 0.25, 0.75, 1.0]

    Reference:
        Keys, "Cubic convolution interpolation for digital image processing", 1981.
    """
    images = tensor_of(images)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "resize: crop_to_aspect_ratio and pad_to_aspect_ratio are both True; choose one."
        )
    if fill_mode != "constant":
        raise ValueError(f"resize: fill_mode is 'constant', got {fill_mode!r}.")
    size = shape_of(size)
    _check(size, interpolation, data_format)
    return _resize_op(
        images,
        size=size,
        method=interpolation,
        antialias=bool(antialias),
        fit="crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "",
        fill=fill_value,
        first=data_format == "channels_first",
    )


@functools.cache
def _check(size: tuple[int, ...], interpolation: str, data_format: str | None) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"resize: size is (height, width), both positive, got size={size}.")
    if interpolation not in METHODS:
        raise ValueError(
            f"resize: unknown interpolation {interpolation!r}. {near(interpolation, METHODS)}"
        )
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            f"resize: data_format is 'channels_last' or 'channels_first', got {data_format!r}."
        )
