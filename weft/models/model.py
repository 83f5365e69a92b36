"""`Model`: a layer that can be trained."""

from __future__ import annotations

from typing import Any

import jax

from weft.engine import spec
from weft.engine.trace import SymbolicTrace, isolated, state
from weft.layers.layer import Layer
from weft.training.trainer import Trainer

__all__ = ["Model"]


class Model(Trainer, Layer):
    """A model whose structure and forward pass the user defines, by subclassing.

    Set layers (and lists and dicts of them, and other models) as attributes in `__init__`, and
    define `call`. `compile`, `fit`, `evaluate` and `predict` then work; so does any loop of one's
    own.

    Example:
        >>> import weft
        >>> class Net(weft.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = weft.layers.Dense(2)
        ...     def call(self, inputs):
        ...         return self.dense(inputs)
        >>> Net()([[1.0, 2.0, 3.0]]).shape
        (1, 2)
    """

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of this shape, by calling the model on symbolic inputs.

        Args:
            input_shape: a shape or a nest of shapes, the batch dimension (None or a number)
                included.
        """
        leaves, tree = jax.tree.flatten(input_shape, is_leaf=_is_shape)
        if any(n is None for shape in leaves for n in shape[1:]):
            raise ValueError(
                f"model {self.name!r} cannot be built for {input_shape}: only the batch dimension "
                "may be unknown. Call it on data instead."
            )
        # The values assigned in this trace (moving averages, seeds) are forgotten with it.
        with isolated(SymbolicTrace(state.trace, True)) as trace:
            inputs = [
                trace.placeholder(
                    spec((shape[0] or 1, *shape[1:]), self.dtype_policy.compute), "argument"
                )
                for shape in leaves
            ]
            object.__setattr__(self, "built", True)
            self(jax.tree.unflatten(tree, inputs), training=False)
        self._clear_losses()

    def _build_for(self, args: Any, kwargs: Any, signature: Any) -> None:
        if type(self).build is Model.build:
            object.__setattr__(self, "built", True)  # the layers inside build as they are called
        else:
            super()._build_for(args, kwargs, signature)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not state.tapes and state.trace.lazy:
            # A loop of inference over a plain list: the last call's work is run, not piled up.
            state.trace.boundary(self)
        return super().__call__(*args, **kwargs)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(n is None or isinstance(n, int) for n in value)
