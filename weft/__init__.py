"""weft: Keras, imperative again, on XLA."""

from weft.engine import GradientTape, Tensor, Variable, config, custom_gradient, function, op

__all__ = ["GradientTape", "Tensor", "Variable", "config", "custom_gradient", "function", "op"]
