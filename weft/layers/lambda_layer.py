"""`Lambda`: a function as a layer."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from weft.engine import ShapeError, nest
from weft.engine.symbolic import KerasTensor
from weft.layers.functions import function_config, function_from
from weft.layers.layer import Layer

__all__ = ["Lambda"]


class Lambda(Layer):
    """A function of tensors as a layer, without weights.

    Its config holds the function's name, never its code; a layer around a lambda expression works,
    but has no config.

    Args:
        function: of the inputs, and of `mask` and `training` if it has arguments of those names.
        output_shape: the shape of a sample, or a function from input shape to output shape. It is
            found by running the function on no data, so it is seldom needed.
        mask: the output's mask, or a function `(inputs, mask)` that makes it; none by default.
        arguments: a dict of further keyword arguments.
        kwargs: `name`, `dtype`, as of every layer.

    Call arguments:
        inputs: whatever the function takes.

    Returns:
        What the function returns.

    Raises:
        TypeError: a function that cannot be called, or arguments that are no dict.
        NotImplementedError: `get_config` of a layer whose function has no name.

    Example:
        >>> import weft
        >>> weft.layers.Lambda(lambda x, k: x * k, arguments={"k": 2.0})([1.0, 2.0]).tolist()
        [2.0, 4.0]
    """

    by_row = False  # what it does is not known

    def __init__(
        self,
        function: Any,
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda takes a function, got {type(function).__name__} {function!r}.")
        if not isinstance(arguments or {}, dict):
            raise TypeError(f"Lambda: arguments is a dict by name, got {arguments!r}.")
        if not (output_shape is None or callable(output_shape)):
            if not isinstance(output_shape, list | tuple):
                raise TypeError(
                    "Lambda: output_shape is a tuple (of one sample) or a function from shape to "
                    f"shape, got {output_shape!r}."
                )
            output_shape = tuple(output_shape)
        self.function = function
        self.arguments = dict(arguments or {})
        self.mask = mask if mask is None or callable(mask) else np.asarray(mask, bool)
        self.supports_masking = mask is not None
        self._given_shape = output_shape
        try:
            names = set(inspect.signature(function).parameters)
        except ValueError:  # a builtin need not say what it takes
            names = set()
        self._takes_mask, self._takes_training = "mask" in names, "training" in names

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        options = dict(self.arguments)
        if self._takes_mask:
            options["mask"] = mask
        if self._takes_training:
            options["training"] = training
        return self.function(inputs, **options)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().compute_output_spec(*args, **kwargs)
        except ShapeError:
            raise
        except Exception:  # whatever a function raises that works on values alone
            if self._given_shape is None:
                raise
        inputs = args[0] if args else kwargs["inputs"]
        if callable(self._given_shape):
            shapes = nest.mapped(lambda t: tuple(t.shape), inputs)
            return KerasTensor(self._given_shape(shapes), self.compute_dtype)
        batch = tuple(next(nest.walk(inputs)).shape)[:1]
        return KerasTensor((*batch, *self._given_shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "function": function_config(self.function, f"the function of layer {self.name!r}"),
            "arguments": self.arguments,
        }
        if self._given_shape is not None:
            config["output_shape"] = self._written(self._given_shape, "output_shape")
        if self.mask is not None:
            config["mask"] = self._written(self.mask, "mask")
        return config

    def _written(self, value: Any, what: str) -> Any:
        if callable(value):
            return function_config(value, f"the {what} of layer {self.name!r}")
        if isinstance(value, np.ndarray):
            config = {"value": value.tolist(), "dtype": value.dtype.name}
            return {"class_name": "__numpy__", "config": config}
        return list(value)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer of a config; its function is found by name.

        Raises:
            ValueError: no function has that name, or the config holds code in its place.
        """
        config = dict(config)
        for what in ("function_type", "module", "output_shape_type", "output_shape_module"):
            config.pop(what, None)  # Keras 2's
        named = f"the function of Lambda layer {config.get('name')!r}"
        config["function"] = function_from(config["function"], named, custom_objects)
        for what in ("mask", "output_shape"):
            value = config.get(what)
            if isinstance(value, dict) and value.get("class_name") == "__numpy__":
                config[what] = np.asarray(value["config"]["value"], value["config"]["dtype"])
            elif isinstance(value, str | dict):
                whose = named.replace("function", what, 1)
                config[what] = function_from(value, whose, custom_objects)
        return cls(**config)
