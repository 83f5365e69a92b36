"""Spectral normalization: a layer whose kernel's largest singular value is held at 1."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor, give_value
from weft.engine.operators import astype
from weft.layers.layer import Layer
from weft.layers.options import positive
from weft.layers.wrapper import Wrapper

__all__ = ["SpectralNormalization"]


def _unit(v: Any) -> Any:
    return v * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(v)), 1e-24))


def _divided(kernel: Any, u: Any, *, iterations: int) -> Any:
    """kernel / σ, with σ found by power iteration from u; and u after it."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    still = jax.lax.stop_gradient(matrix)
    for _ in range(iterations):
        v = _unit(u @ still.T)
        u = _unit(v @ still)
    sigma = jnp.sum((v @ matrix) * u)
    return kernel / sigma, u


_divided_op = ArrayOp(_divided, "spectral_normalization")


class SpectralNormalization(Wrapper):
    """A layer whose kernel W is divided by its largest singular value σ at each training call.

    With the vector u kept from call to call, `power_iterations` times v ← Wᵀu / |Wᵀu| and
    u ← Wv / |Wv|, then σ = uᵀWv. The quotient W / σ becomes the kernel, so it holds when the layer
    is not training too. The gradient is that of W through W / σ, as in the paper and in Keras 3
    on JAX.

    Args:
        layer: a layer with a `kernel` (Dense, the convolutions, ...) or `embeddings`.
        power_iterations: how many at each call.
        kwargs: `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: what the layer takes.
        training: whether the kernel is divided.

    Returns:
        What the layer returns.

    Raises:
        ValueError: no layer, iterations that are no positive integer; when it is built, a layer
            without such a weight.

    Example:
        >>> import weft
        >>> layer = weft.layers.SpectralNormalization(weft.layers.Dense(3))
        >>> layer(weft.ops.ones((2, 5)), training=True).shape
        (2, 3)

    Reference: Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018),
    algorithm 1.
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive(
            "SpectralNormalization", "power_iterations", power_iterations
        )

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        layer: Layer = self.layer
        found = [n for n in ("kernel", "embeddings") if getattr(layer, n, None) is not None]
        if not found:
            raise ValueError(
                f"layer {self.name!r} (SpectralNormalization): {layer.name!r} "
                f"({type(layer).__name__}) has neither a kernel nor embeddings to normalize."
            )
        self._weight_name = found[0]
        self.kernel = getattr(layer, found[0])
        self.vector_u = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer="truncated_normal",
            trainable=False,
            autocast=False,
            name="vector_u",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        layer: Layer = self.layer
        if not training:
            return layer(inputs)
        kernel, attributes = self.kernel, layer.__dict__
        divided, u = _divided_op(kernel._read(), self.vector_u, iterations=self.power_iterations)
        # The layer computes with the quotient while it is a function of the kernel, so that the
        # gradient goes through the division; only then is it assigned.
        attributes[self._weight_name] = self._cast_for(layer, divided)
        try:
            outputs = layer(inputs)
        finally:
            attributes[self._weight_name] = kernel
        kernel.assign(divided)
        give_value(self.vector_u, u, detached=True)
        return outputs

    @staticmethod
    def _cast_for(layer: Layer, value: Tensor) -> Tensor:
        """A weight's value as the layer reads it."""
        return value if layer._cast is None else astype(value, layer._cast)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}
