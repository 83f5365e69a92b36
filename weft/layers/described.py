"""`Described`: a layer called on symbolic tensors, and what is known of it without data."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from weft.engine import nest
from weft.engine.stateless import on_tracers, stateless
from weft.engine.symbolic import KerasTensor, Node, holds_tracer, infer
from weft.layers import input_spec
from weft.layers.calls import undoing
from weft.layers.structure import computed

__all__ = ["Described", "is_shape", "with_shapes"]


class Described:
    """The part of `Layer` that describes: output shapes, and calls in functional models."""

    name: str
    built: bool
    input_spec: Any
    compute_dtype: Any
    _nodes: list[Node]

    if TYPE_CHECKING:

        def _begin_building(self, args: Any, kwargs: Any) -> None: ...
        def _clear_losses(self) -> None: ...
        @property
        def trainable_variables(self) -> list[Any]: ...
        @property
        def non_trainable_variables(self) -> list[Any]: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def _call_symbolically(self, args: Any, kwargs: Any) -> Any:
        """Note a call on symbolic tensors as a node, and give its symbolic outputs.

        A call on tracers of JAX's gives JAX arrays.
        """
        if holds_tracer((args, kwargs)):
            return on_tracers(self, args, kwargs)
        if self.input_spec is not None:
            input_spec.check(self.input_spec, args[0] if args else kwargs, self.name)
        with undoing():
            if not self.built:
                self._begin_building(args, kwargs)
            made = self.compute_output_spec(*args, **kwargs)
        node = Node(self, args, kwargs, made)
        self._nodes.append(node)
        return node.outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the outputs of a call, as symbolic tensors.

        Args:
            args, kwargs: as of a call, with symbolic tensors (`weft.KerasTensor(shape, dtype)`) in
                place of the tensors.

        Raises:
            ShapeError: the layer does not take such inputs.
        """
        if not self.built:
            with undoing(dry=True):
                self._begin_building(args, kwargs)
                return self.compute_output_spec(*args, **kwargs)
        if type(self).compute_output_shape is not Described.compute_output_shape:
            # The class says it; its `call` may do what only works on values.
            taken = len(inspect.signature(self.compute_output_shape).parameters)
            shapes = [nest.mapped(_shape_of, a) for a in args]
            made = self.compute_output_shape(*shapes[:taken])
            dtype = self.compute_dtype
            return with_shapes(made, lambda shape: KerasTensor(shape, dtype))
        try:
            return infer(self, args, kwargs)
        finally:
            self._clear_losses()

    def compute_output_shape(self, *input_shapes: Any, **named: Any) -> Any:
        """The shape of the output for inputs of these shapes.

        Args:
            input_shapes: a shape (a tuple with None for unknown dimensions) for each argument of
                `call`, or a nest of shapes where that takes a nest of tensors.
            named: the same by name, as `query_shape=...`.

        Raises:
            ShapeError: the layer does not take such inputs.
        """
        dtype = self.compute_dtype

        def symbols(shapes: Any) -> Any:
            return with_shapes(shapes, lambda shape: KerasTensor(shape, dtype))

        args = [symbols(s) for s in input_shapes]
        kwargs = {k.removesuffix("_shape"): symbols(s) for k, s in named.items()}
        if list(kwargs) == ["input"]:
            args, kwargs = [kwargs["input"]], {}
        return nest.mapped(_shape_of, self.compute_output_spec(*args, **kwargs))

    # -- the first call in a functional model -----------------------------------------------

    def _first_node(self, what: str) -> Node:
        if not self._nodes:
            raise AttributeError(
                f"layer {self.name!r} has no {what}: it was not called on symbolic tensors "
                "(weft.Input), so it is part of no functional model."
            )
        return self._nodes[0]

    def stateless_call(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """A call as a pure function of the values of its variables, for JAX's transformations.

        Args:
            trainable_variables, non_trainable_variables: arrays in the order of the attributes of
                these names.
            args, kwargs: of the call.
            return_losses: whether the losses added on the way are returned too.

        Returns:
            (outputs, values of the non-trainable variables afterwards), and the losses; JAX
            arrays, or tracers where it is called on such.

        Raises:
            ValueError: the layer is not built, or the values do not fit.
        """
        if not self.built:
            raise ValueError(
                f"{self.name}: stateless_call needs a layer that is built, so that its variables "
                "are there. Call build, or call it on data once."
            )
        trainable, others = self.trainable_variables, self.non_trainable_variables
        values = [*_listed(self.name, "trainable_variables", trainable, trainable_variables),
                  *_listed(self.name, "non_trainable_variables", others, non_trainable_variables)]
        pure = stateless(self, _call_with_losses)
        result, news = pure([*trainable, *others], values, return_losses, *args, **kwargs)
        outputs, losses = result
        after = news[len(trainable) :]
        return (outputs, after, losses) if return_losses else (outputs, after)

    @computed
    def input(self) -> Any:
        """The symbolic inputs of the layer's first call in a functional model."""
        node = self._first_node("input")
        return node.args[0] if node.args else node.kwargs

    @computed
    def output(self) -> Any:
        """The symbolic outputs of the layer's first call in a functional model."""
        return self._first_node("output").outputs

    @computed
    def input_shape(self) -> Any:
        """The shape of `input`."""
        return nest.mapped(_shape_of, self.input)

    @computed
    def output_shape(self) -> Any:
        """The shape of `output`."""
        return nest.mapped(_shape_of, self.output)


def _shape_of(value: Any) -> Any:
    return tuple(value.shape) if hasattr(value, "shape") else None


def is_shape(value: Any) -> bool:
    """Whether a value is one shape and not a nest of shapes."""
    return isinstance(value, tuple | list) and all(n is None or isinstance(n, int) for n in value)


def with_shapes(shapes: Any, make: Any) -> Any:
    """A nest of shapes with each shape replaced."""
    if shapes is None:
        return None
    if is_shape(shapes):
        return make(tuple(shapes))
    if isinstance(shapes, dict):
        return {k: with_shapes(v, make) for k, v in shapes.items()}
    return type(shapes)(with_shapes(v, make) for v in shapes)


def _call_with_losses(layer: Any, wanted: bool, *args: Any, **kwargs: Any) -> Any:
    outputs = layer(*args, **kwargs)
    try:
        return outputs, list(layer.losses) if wanted else []
    finally:
        layer._clear_losses()  # they belong to the trace


def _listed(name: str, what: str, variables: Any, values: Any) -> list[Any]:
    values = list(values)
    if len(values) != len(variables):
        raise ValueError(
            f"{name}: {what} must be a list of the values of its {len(variables)} {what}, got "
            f"{len(values)}."
        )
    return values
