"""Models written in JAX or Flax, as layers."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Op, SeedGenerator, ShapeError, Variable, draw, next_host_seed
from weft.engine.names import Registry, near
from weft.layers.calls import calls
from weft.layers.described import with_shapes
from weft.layers.functions import function_config, function_from
from weft.layers.layer import Layer

__all__ = ["FlaxLayer", "JaxLayer"]

_CALL = ("params", "state", "rng", "inputs", "training")
_INIT = ("rng", "inputs", "training")


def _taken(function: Any, what: str, known: tuple[str, ...]) -> frozenset[str]:
    """The names of a function's arguments, checked to be among the known ones."""
    if not callable(function):
        raise ValueError(f"{what} must be a function, got {type(function).__name__} {function!r}.")
    names = list(inspect.signature(function).parameters)
    unknown = [n for n in names if n not in known]
    if unknown or "inputs" not in names:
        wrong = (
            f"got an argument {unknown[0]!r}. {near(unknown[0], known)}"
            if unknown
            else f"got no `inputs` among ({', '.join(names)})."
        )
        raise ValueError(
            f"{what} takes `inputs` and any of {', '.join(n for n in known if n != 'inputs')}, by "
            f"these names; {wrong} Wrap the function in one that does."
        )
    return frozenset(names)


@dataclasses.dataclass(frozen=True)
class _Program:
    """What a call computes: a function of flat arrays; equal ones share what is compiled."""

    call_fn: Callable[..., Any]
    taken: frozenset[str]
    params: Any  # the structure of the params
    state: Any  # that of the state

    def __call__(self, key: Any, *arrays: Any, inputs: Any, training: bool) -> Any:
        first, second = self.params.num_leaves, self.params.num_leaves + self.state.num_leaves
        state = arrays[first:second]
        given = {
            "params": jax.tree.unflatten(self.params, arrays[:first]),
            "state": jax.tree.unflatten(self.state, state),
            "rng": None if key is None else jax.random.key_data(key),
            "inputs": jax.tree.unflatten(inputs, arrays[second:]),
            "training": training,
        }
        made = self.call_fn(**{name: given[name] for name in self.taken})
        if "state" not in self.taken:
            return made, []
        if not isinstance(made, tuple) or len(made) != 2:
            raise ShapeError(
                "a call_fn that takes `state` returns (outputs, new state), got "
                f"{type(made).__name__}."
            )
        after, structure = jax.tree.flatten(made[1])
        shapes = [[jnp.shape(s) for s in states] for states in (state, after)]
        if structure != self.state or shapes[0] != shapes[1]:
            raise ShapeError(
                "the new state must have the structure and shapes of the old: the old is "
                f"{self.state} of shapes {shapes[0]}, the new {structure} of shapes {shapes[1]}."
            )
        return made[0], [jnp.asarray(n, o.dtype) for n, o in zip(after, state, strict=True)]


_call_op = Op(lambda *arrays, program, **static: program(None, *arrays, **static), "jax_layer")


def _keyed(key: Any, *arrays: Any, program: Any, **static: Any) -> Any:
    return program(key, *arrays, **static)


class JaxLayer(Layer):
    """A pure JAX function and its parameters as a layer.

    `call_fn` takes, by these names, `inputs` and any of `params` (what is trained), `state` (what
    is not), `rng` (a key, a new one at each call) and `training` (a bool). It returns the outputs
    or, if it takes `state`, `(outputs, new state)`. `init_fn(rng, inputs)`, perhaps with
    `training`, which is True, returns the first params, or `(params, state)`; its inputs are ones
    of the right shapes, a dimension not known being 1.

    Floating-point params and state are weights of the layer's dtype. Params reach `call_fn` in the
    compute dtype, state as it is, so that statistics keep their digits.

    Args:
        call_fn: the computation.
        init_fn: what makes the first params and state when the layer is built.
        params: a nest of arrays, in place of init_fn's.
        state: a nest of arrays, in place of init_fn's.
        seed: an int, for `rng`; by default one that follows from the global seed.
        native_serialization_platforms: kept for Keras's sake.
        kwargs: `name`, `dtype` and `trainable`, as of every layer.

    Call arguments:
        inputs: a tensor, or a nest of tensors.
        training: handed to `call_fn`.

    Returns:
        The outputs of `call_fn`.

    Raises:
        ValueError: a function with other arguments, or nothing that params or state come from.
        ShapeError: on a call, a new state of another structure or other shapes than the old.

    Example:
        >>> import jax, weft
        >>> def init(rng, inputs):
        ...     return {"w": jax.random.normal(rng, (inputs.shape[-1], 3))}
        >>> def product(params, inputs):
        ...     return inputs @ params["w"]
        >>> layer = weft.layers.JaxLayer(product, init)
        >>> layer(weft.ops.ones((2, 4))).shape, [w.name for w in layer.weights]
        ((2, 3), ['w'])
    """

    by_row = False  # what it does is not known

    def __init__(
        self,
        call_fn: Any,
        init_fn: Any = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.call_fn, self.init_fn, self.seed = call_fn, init_fn, seed
        self.native_serialization_platforms = native_serialization_platforms
        self._taken = _taken(call_fn, f"{kind}: call_fn", _CALL)
        if init_fn is not None:
            _taken(init_fn, f"{kind}: init_fn", _INIT)
        if "rng" in self._taken:
            self.seed_generator = SeedGenerator(seed)
        self._dtypes: tuple[Any, ...] = ()  # of the first call's inputs
        self._program: _Program | None = None
        self._params: list[Variable] = []
        self._state: list[Variable] = []
        given = {"params": params, "state": state}
        needed = [what for what in given if what in self._taken]
        missing = [what for what in needed if given[what] is None]
        if missing and (init_fn is None or len(missing) < len(needed)):
            raise ValueError(
                f"{kind}: call_fn takes {' and '.join(needed)}, but there is no "
                f"{' and no '.join(missing)}: give {' and '.join(needed)}, or an init_fn and "
                "neither."
            )
        if not missing:
            self._keep(params, state)

    def _keep(self, params: Any, state: Any) -> None:
        """Make the weights, with these first values, and the program that uses them."""
        self._params, params_tree = self._weights(params if "params" in self._taken else (), True)
        self._state, state_tree = self._weights(state if "state" in self._taken else (), False)
        self._program = _Program(self.call_fn, self._taken, params_tree, state_tree)

    def _weights(self, values: Any, trainable: bool) -> tuple[list[Variable], Any]:
        found, tree = jax.tree_util.tree_flatten_with_path(values)
        made = []
        for path, value in found:
            kind = jnp.result_type(value)
            made.append(
                self.add_weight(
                    shape=np.shape(value),
                    # Where only shapes are asked for, there are no values.
                    initializer="zeros" if calls.dry else np.asarray(value),
                    dtype=None if jnp.issubdtype(kind, jnp.floating) else kind,
                    trainable=trainable,
                    autocast=trainable,
                    name=jax.tree_util.keystr(path, simple=True, separator="_") or None,
                )
            )
        return made, tree

    def _begin_building(self, args: Any, kwargs: Any) -> None:
        # `build` is told the shapes alone; indices must not become floats.
        inputs = args[0] if args else kwargs.get("inputs")
        self._dtypes = tuple(t.dtype for t in jax.tree.leaves(inputs))
        super()._begin_building(args, kwargs)

    def build(self, input_shape: Any) -> None:
        if self._program is not None:
            return
        dtypes = iter(self._dtypes)

        def ones(shape: Any) -> Any:
            return jnp.ones([1 if n is None else n for n in shape], next(dtypes, "float32"))

        given = {
            "rng": jax.random.PRNGKey(next_host_seed() if self.seed is None else self.seed),
            "inputs": with_shapes(input_shape, ones),
            "training": True,
        }
        taken = _taken(self.init_fn, "init_fn", _INIT)

        def first() -> Any:
            return self.init_fn(**{name: given[name] for name in taken})

        made = jax.eval_shape(first) if calls.dry else first()
        both = "state" in self._taken
        if both and not (isinstance(made, tuple) and len(made) == 2):
            raise ShapeError(
                "the init_fn of a call_fn with `state` returns (params, state), got "
                f"{type(made).__name__}."
            )
        self._keep(*(made if both else (made, ())))

    def call(self, inputs: Any, training: bool = False) -> Any:
        leaves, tree = jax.tree.flatten(inputs)
        operands = (*self._params, *self._state, *leaves)
        static = {"program": self._program, "inputs": tree, "training": bool(training)}
        if "rng" in self._taken:
            outputs, state = draw(self.seed_generator, _keyed, operands, **static)
        else:
            outputs, state = _call_op(*operands, **static)
        for variable, value in zip(self._state, state, strict=True):
            variable.assign(value)
        return outputs

    def get_config(self) -> dict[str, Any]:
        functions = {"call_fn": self.call_fn, "init_fn": self.init_fn}
        return {
            **super().get_config(),
            **{
                what: f and function_config(f, f"the {what} of layer {self.name!r}")
                for what, f in functions.items()
            },
            "native_serialization_platforms": self.native_serialization_platforms,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer of a config; its functions are found by name."""
        functions = {
            what: function_from(f, f"the {what} of {config.get('name')!r}", custom_objects)
            for what, f in config.items()
            if what in ("call_fn", "init_fn") and f is not None
        }
        return cls(**{**config, **functions})


_flax_modules = Registry("Flax module", "", ())


class FlaxLayer(JaxLayer):
    """A Flax module (`flax.linen`) as a layer.

    The module's "params" are trained; its other collections are state. It is called as
    `method(inputs)` or, if it has such an argument, `method(inputs, training=...)`; keys are given
    for every stream that it draws from.

    Args:
        module: a `flax.linen.Module`.
        method: the method, by name, or a function `(module, inputs)`; `__call__` by default.
        variables: the module's variables, as its `init` returns them; by default made when the
            layer is built.
        kwargs: `seed`, `name`, `dtype` and `trainable`.

    Call arguments:
        inputs: a tensor, or a nest of tensors.
        training: handed to the module.

    Returns:
        What the module returns.

    Raises:
        ImportError: Flax is not installed.
        TypeError: no `flax.linen.Module`.
        ValueError: an unknown method.

    Example:
        >>> import flax.linen, weft
        >>> weft.layers.FlaxLayer(flax.linen.Dense(3))(weft.ops.ones((2, 4))).shape
        (2, 3)
    """

    def __init__(
        self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any
    ) -> None:
        try:
            from flax import linen  # optional, and slow to import
            from flax.core import DenyList
        except ImportError as error:
            raise ImportError("FlaxLayer needs Flax: pip install flax.") from error
        if not isinstance(module, linen.Module):
            hint = " Make one of it first, with ()." if isinstance(module, type) else ""
            raise TypeError(f"FlaxLayer takes a flax.linen.Module, got {module!r}.{hint}")
        name = "__call__" if method is None else method
        function = getattr(type(module), name, None) if isinstance(name, str) else name
        if not callable(function):
            methods = [n for n in dir(type(module)) if not n.startswith("_")]
            raise ValueError(
                f"FlaxLayer: {type(module).__name__} has no method {method!r}. "
                f"{near(str(method), methods)}"
            )
        takes_training = "training" in inspect.signature(function).parameters

        def options(training: bool) -> dict[str, Any]:
            return {"training": training} if takes_training else {}

        def call_fn(params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> Any:
            return module.apply(
                {"params": params, **state},
                inputs,
                rngs={"params": rng},  # the other streams fall back to this one
                method=function,
                mutable=DenyList(["params"]),
                **options(training),
            )

        def init_fn(rng: Any, inputs: Any) -> Any:
            return _parted(module.init(rng, inputs, method=function, **options(True)))

        params, state = (None, None) if variables is None else _parted(variables)
        super().__init__(call_fn, init_fn, params, state, **kwargs)
        self.module, self.method = module, method

    def get_config(self) -> dict[str, Any]:
        if not hasattr(self.module, "get_config"):
            raise NotImplementedError(
                f"the module of layer {self.name!r}, {type(self.module).__name__}, has no config. "
                "Give it a get_config (and from_config), and register its class "
                "(register_keras_serializable)."
            )
        config = Layer.get_config(self)
        config["module"] = _flax_modules.serialize(self.module)
        named = self.method is None or isinstance(self.method, str)
        whose = f"the method of layer {self.name!r}"
        config["method"] = self.method if named else function_config(self.method, whose)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer of a config; the module's class is found by name."""
        config = {**config, "module": _flax_modules.deserialize(config["module"], custom_objects)}
        if isinstance(config.get("method"), dict):
            whose = f"the method of {config.get('name')!r}"
            config["method"] = function_from(config["method"], whose, custom_objects)
        return cls(**config)


def _parted(variables: Any) -> tuple[Any, Any]:
    """A module's variables as (params, state)."""
    rest = dict(variables)
    return rest.pop("params", {}), rest
