"""`Model`: a layer that can be trained."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np

from weft.engine import ArrayLike, nest
from weft.engine.symbolic import KerasTensor, infer
from weft.engine.trace import state
from weft.layers.calls import calls, undoing
from weft.layers.described import with_shapes
from weft.layers.filed import saving, shapes_of
from weft.models.functional import FunctionalPart, describes
from weft.models.summary import summary
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

        self._build_on(with_shapes(input_shape, self._symbol))

    def _symbol(self, shape: Any, dtype: Any = None) -> KerasTensor:
        return KerasTensor((shape[0] or 1, *shape[1:]), dtype or self.dtype_policy.compute)

    def _build_on(self, *args: Any, **kwargs: Any) -> None:
        with undoing():
            infer(lambda args, kwargs: self(*args, training=False, **kwargs), (args, kwargs), {})
        self._clear_losses()

    def _build_like(self, x: Any) -> None:
        """Make the weights for inputs like these arrays, where a call of the model tells which.

        So callbacks find them when training begins. Where such a call fails (steps may make other
        ones) they are made as the first step goes.
        """
        with contextlib.suppress(Exception):
            self._build_on(nest.mapped(_symbol_like, x))

    def _build_for(self, args: Any, kwargs: Any, signature: Any) -> None:
        if type(self).build is Model.build:
            object.__setattr__(self, "built", True)  # the layers inside build as they are called
        else:
            super()._build_for(args, kwargs, signature)
        self.__dict__["_built_with"] = nest.mapped(_symbol_like, (args, kwargs))

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Make the weights, as they were when `get_build_config` was called."""
        config = config or {}
        shapes, dtypes = config.get("shapes_dict"), config.get("input_dtype")
        if type(self).build is not Model.build or self._graph is not None or not (shapes or dtypes):
            super().build_from_config(config)
        elif dtypes is not None:
            shape = shapes_of(config["input_shape"])
            self._build_on(_with_dtypes(shape, dtypes, self._symbol))
        else:
            given = {k.removesuffix("_shape"): shapes_of(v) for k, v in shapes.items()}
            self._build_on(**{k: with_shapes(v, self._symbol) for k, v in given.items()})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not state.tapes and state.trace.lazy and not calls.stack:
            # A loop of inference over a plain list: the last call's work is run, not piled up.
            state.trace.boundary(self)
        return super().__call__(*args, **kwargs)

    # -- files ------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the model to a ".keras" file, which Keras 3 reads too: `weft.models.load_model`.

        It holds the config, the weights, what `compile` was given and the optimizer's state.

        Args:
            filepath: ends in ".keras".
            overwrite: whether a file that is there is replaced.
            kwargs: none so far.

        Raises:
            ValueError: another ending.
            NotImplementedError: something in the model has no config.
            FileExistsError: there is a file, and `overwrite` is False.
            OSError: the file cannot be written; one that was there is as it was.
        """
        saving().save_model(self, filepath, overwrite=overwrite, **kwargs)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given as plain values; None of a model that was not compiled.

        A subclass whose `compile` takes other arguments overrides it and `compile_from_config`.
        """
        return saving().compiling.compile_config(self)  # type: ignore[no-any-return]

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as one was that gave this config."""
        saving().compiling.compile_from_config(self, config)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers: their output shapes, weights and connections.

        Shapes are those of the model's graph, or else of the inputs that it was built for; "?"
        stands where they are not known. Weights that layers share count once in the totals.

        Args:
            line_length: the length of the lines; by default that of the content, at most the
                terminal's (100 where there is none).
            positions: the ends of the columns, as parts of the line ([0.3, 0.6, 0.7, 1.0]) or in
                characters.
            print_fn: called with the whole text, in place of printing it.
            expand_nested: whether the layers of models inside are shown too.
            show_trainable: whether a column says which layers are trained.
            layer_range: the names of the first and last layer to show, or regular expressions.

        Raises:
            ValueError: a line too short, positions that are no columns, or a range of no layers.

        Example:
            >>> import weft
            >>> out = weft.layers.Dense(2, name="out")
            >>> weft.Sequential([weft.Input((4,)), out], name="two").summary()
            Model: "two"
            ┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┓
            ┃ Layer (type) ┃ Output Shape ┃ Param # ┃
            ┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━┩
            │ out (Dense)  │ (None, 2)    │      10 │
            └──────────────┴──────────────┴─────────┘
             Total params: 10 (40.00 B)
             Trainable params: 10 (40.00 B)
             Non-trainable params: 0 (0.00 B)
        """
        summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)


def _with_dtypes(shapes: Any, dtypes: Any, make: Any) -> Any:
    """A nest of shapes with each replaced by what `make` gives for it and its dtype."""
    if isinstance(dtypes, dict):
        return {k: _with_dtypes(shapes[k], v, make) for k, v in dtypes.items()}
    if isinstance(dtypes, list | tuple):
        return [_with_dtypes(s, d, make) for s, d in zip(shapes, dtypes, strict=True)]
    return make(shapes, dtypes)


def _symbol_like(value: Any) -> Any:
    kinds = ArrayLike | np.ndarray | jax.Array
    return KerasTensor(value.shape, value.dtype, "input") if isinstance(value, kinds) else value


class Functional(Model):
    """What `Model(inputs, outputs)` makes."""
