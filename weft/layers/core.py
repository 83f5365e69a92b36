"""The layers most models begin with: dense, embedding, activation, identity, and the input."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from weft import activations
from weft.engine import ArrayOp, ShapeError, Tensor, as_dtype
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, positive, set_options, without
from weft.ops import dense, not_equal

__all__ = ["Activation", "Dense", "Embedding", "Identity", "Input", "InputLayer"]

_VARIANTS = ("lora_rank", "lora_alpha", "quantization_config")


class Dense(Layer):
    """activation(x·kernel + bias) over the last axis.

    Args:
        units: the size of the output's last axis.
        activation: a name or a callable; none by default.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: first values.
        kernel_regularizer, bias_regularizer, activity_regularizer: penalties that become losses.
        kernel_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype` and `trainable`, as of every layer.

    Call arguments:
        inputs: float, shape (batch, ..., in).

    Returns:
        Shape (batch, ..., units).

    Raises:
        ValueError: units that are no positive integer, an unknown activation.
        ShapeError: an input of rank below 2, or whose last axis the kernel does not fit.

    Example:
        >>> import weft
        >>> weft.layers.Dense(3, activation="relu")(weft.ops.ones((2, 5))).shape
        (2, 3)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs = without("Dense", kwargs, *_VARIANTS)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        set_options(
            self, "kernel", initializer=kernel_initializer, regularizer=kernel_regularizer,
            constraint=kernel_constraint,
        )  # fmt: skip
        set_options(
            self, "bias", initializer=bias_initializer, regularizer=bias_regularizer,
            constraint=bias_constraint,
        )  # fmt: skip
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if input_shape is None or len(input_shape) < 2 or input_shape[-1] is None:
            raise ShapeError(
                f"expected an input of shape (batch, ..., features), got {input_shape}. A single "
                "sample becomes a batch with x[None]."
            )
        self.kernel = make_weight(self, "kernel", (input_shape[-1], self.units))
        self.bias = make_weight(self, "bias", (self.units,)) if self.use_bias else None

    def call(self, inputs: Any) -> Tensor:
        return self.activation(dense(inputs, self.kernel, self.bias))  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **option_config(self, "kernel", "bias"),
        }


def _embedding(table: Any, indices: Any, *, dtype: Any) -> Any:
    if indices.dtype == bool or jnp.iscomplexobj(indices):
        raise ValueError(
            f"indices must be integers (or floats, rounded towards zero), got {indices.dtype}."
        )
    # Cast after the rows are taken: a cast table would be a second table.
    return jnp.take(table, indices.astype(jnp.int32), axis=0).astype(dtype)


_embedding_op = ArrayOp(_embedding, "embedding")


class Embedding(Layer):
    """A table of vectors: each index becomes its row.

    Args:
        input_dim: the number of rows, the largest index + 1.
        output_dim: the size of a row.
        embeddings_initializer: first values.
        embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether index 0 is padding, which the layers after leave out.
        weights: a first table, or a list of it, in place of the initializer.
        kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`.

    Call arguments:
        inputs: integers in [0, input_dim), any shape. An index outside gives a row of NaN, as no
            exception can come from inside a program.

    Returns:
        Shape (*inputs.shape, output_dim).

    Raises:
        ValueError: dimensions that are no positive integers, or bool or complex indices.

    Example:
        >>> import weft
        >>> weft.layers.Embedding(10, 4)([[1, 2, 3]]).shape
        (1, 3, 4)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # Keras 2's; every shape is known here
        super().__init__(**without("Embedding", kwargs, *_VARIANTS))
        self.input_dim = positive("Embedding", "input_dim", input_dim)
        self.output_dim = positive("Embedding", "output_dim", output_dim)
        set_options(
            self, "embeddings", initializer=embeddings_initializer,
            regularizer=embeddings_regularizer, constraint=embeddings_constraint,
        )  # fmt: skip
        self._first = None if weights is None else np.asarray(weights, "float32")
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        self.autocast = False  # indices must keep their digits

    def build(self, input_shape: Any) -> None:
        shape = (self.input_dim, self.output_dim)
        self.embeddings = make_weight(self, "embeddings", shape)
        if self._first is not None:
            # A list of one table, Keras's way, has an axis in front.
            self.embeddings.assign(self._first[0] if self._first.ndim == 3 else self._first)
            self._first = None

    def call(self, inputs: Any) -> Tensor:
        table = self.embeddings._read()
        return _embedding_op(table, inputs, dtype=self.dtype_policy.compute)  # type: ignore[no-any-return]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            **option_config(self, "embeddings"),
            "mask_zero": self.mask_zero,
        }


class Activation(Layer):
    """A function applied to each element, or along an axis.

    Args:
        activation: a name ("relu", "softmax", ...) or a callable.
        kwargs: `name`, `dtype`.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> import weft
        >>> weft.layers.Activation("relu")([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class Identity(Layer):
    """The input as it is: a placeholder for a layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


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
) -> InputLayer:
    """Declare a model's input; arguments as of `InputLayer`.

    Example:
        >>> import weft
        >>> model = weft.Sequential([weft.Input((4,)), weft.layers.Dense(2)])
        >>> model.count_params()
        10
    """
    return InputLayer(
        shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse, ragged=ragged,
        batch_shape=batch_shape, input_tensor=tensor, optional=optional, name=name,
    )  # fmt: skip
