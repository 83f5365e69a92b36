"""The inputs of functional and Sequential models."""

from __future__ import annotations

from typing import Any

from weft.engine import as_dtype
from weft.engine.symbolic import KerasTensor, Node
from weft.layers.layer import Layer

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """Says the shape and dtype of a model's input, so that the model can be built before any data.

    Args:
        shape: of one sample, without the batch axis.
        batch_size: the size of the batch axis, if it is fixed.
        dtype: of the input, float32 by default.
        batch_shape: `(batch_size, *shape)`, in place of those two.
        name: unique by default.

    Raises:
        ValueError: no shape, two of them, or one with anything but sizes and None in it.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if sparse or ragged or input_tensor is not None:
            raise ValueError(
                "Input declares dense tensors by their shape; sparse, ragged and input_tensor "
                "are not for it."
            )
        shape = kwargs.pop("input_shape", shape)
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                "Input needs either shape, without the batch axis, or batch_shape, with it; got "
                f"shape={shape!r}, batch_shape={batch_shape!r}."
            )
        whole = batch_shape if shape is None else (batch_size, *_sizes(shape))
        super().__init__(dtype=dtype or "float32", autocast=False, name=name, **kwargs)
        self.batch_shape = _sizes(whole)
        self.optional = optional
        self.supports_masking = True
        # Integers and strings of dtypes stay as they are: only floats follow a policy.
        self._nodes.append(Node(self, (), {}, KerasTensor(self.batch_shape, self.dtype, self.name)))

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": as_dtype(self.dtype).name,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def _sizes(shape: Any) -> tuple[int | None, ...]:
    sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    if any(n is not None and not (isinstance(n, int) and n >= 0) for n in sizes):
        raise ValueError(
            f"Input: a shape is a tuple of sizes, None where one is not known; got {shape!r}."
        )
    return sizes


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for a model's input; arguments as of `InputLayer`.

    Returns:
        A `KerasTensor` of shape (batch_size, *shape), on which layers and operations are called.

    Example:
        >>> import weft
        >>> x = weft.Input((4,))
        >>> weft.Model(x, weft.layers.Dense(2)(x)).output_shape
        (None, 2)
    """
    layer = InputLayer(
        shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse, ragged=ragged,
        batch_shape=batch_shape, input_tensor=tensor, optional=optional, name=name,
    )  # fmt: skip
    return layer.output
