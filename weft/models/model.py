"""`Model`: a layer that can be trained."""

from __future__ import annotations

from typing import Any

from weft.engine.symbolic import KerasTensor, infer
from weft.engine.trace import state
from weft.layers.calls import calls, undoing
from weft.layers.described import with_shapes
from weft.models.functional import FunctionalPart, describes
from weft.training.trainer import Trainer

__all__ = ["Functional", "Model"]


class Model(Trainer, FunctionalPart):
    """A layer that can be trained: a graph between symbolic tensors, or a subclass with a `call`.

    `Model(inputs, outputs)` takes the layers between those symbolic tensors, nests of what
    `weft.Input` gives and layers make of it. A subclass sets layers (and lists and dicts of them,
    and other models) as attributes in `__init__` and defines `call`; it may also hand inputs and
    outputs to `super().__init__`. `compile`, `fit`, `evaluate` and `predict` then work; so does
    any loop of one's own.

    Args:
        inputs, outputs: nests of symbolic tensors, by position or name.
        kwargs: `name`, `trainable` and `dtype`.

    Raises:
        ValueError: an output that needs an input not given, an input given twice, or two layers
            of one name.
        TypeError: inputs or outputs that are no symbolic tensors.

    Example:
        >>> import weft
        >>> x = weft.Input((3,))
        >>> model = weft.Model(inputs=x, outputs=weft.layers.Dense(2)(x))
        >>> model([[1.0, 2.0, 3.0]]).shape
        (1, 2)

        >>> class Net(weft.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = weft.layers.Dense(2)
        ...     def call(self, inputs):
        ...         return self.dense(inputs)
        >>> Net()([[1.0, 2.0, 3.0]]).shape
        (1, 2)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and describes(args, kwargs):
            cls = Functional
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not describes(args, kwargs):
            super().__init__(*args, **kwargs)
            return
        given = dict(zip(("inputs", "outputs"), args, strict=False))
        options = dict(zip(("name",), args[2:], strict=False))
        given.update({k: kwargs.pop(k) for k in ("inputs", "outputs") if k in kwargs})
        if len(given) < 2:
            raise TypeError(
                f"{type(self).__name__} needs both inputs and outputs, got only {list(given)}."
            )
        super().__init__(**options, **kwargs)
        self._describe(given["inputs"], given["outputs"])

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of this shape, by calling the model on symbolic inputs.

        Args:
            input_shape: a shape or a nest of shapes, the batch dimension included; None for an
                unknown dimension.

        Raises:
            ShapeError: the layers do not take such inputs, or a weight depends on a dimension that
                is unknown.
        """
        if self._graph is not None:
            return  # its layers were built as it was described
        object.__setattr__(self, "built", True)

        def symbol(shape: Any) -> KerasTensor:
            return KerasTensor((shape[0] or 1, *shape[1:]), self.dtype_policy.compute)

        with undoing():
            infer(lambda x: self(x, training=False), (with_shapes(input_shape, symbol),), {})
        self._clear_losses()

    def _build_for(self, args: Any, kwargs: Any, signature: Any) -> None:
        if type(self).build is Model.build:
            object.__setattr__(self, "built", True)  # the layers inside build as they are called
        else:
            super()._build_for(args, kwargs, signature)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not state.tapes and state.trace.lazy and calls.stack == []:
            # A loop of inference over a plain list: the last call's work is run, not piled up.
            state.trace.boundary(self)
        return super().__call__(*args, **kwargs)


class Functional(Model):
    """What `Model(inputs, outputs)` makes."""
