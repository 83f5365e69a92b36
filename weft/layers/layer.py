"""`Layer`: state and the computation on it, built when first called."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from weft import constraints, initializers, regularizers
from weft.engine import ArrayLike, ShapeError, Tensor, Variable, as_dtype, as_tensor
from weft.engine.names import auto_name, looked_up, near
from weft.engine.operators import astype
from weft.engine.symbolic import holds_symbol
from weft.engine.trace import state as engine_state
from weft.layers import input_spec, tracking
from weft.layers.added import Added
from weft.layers.calls import calls
from weft.layers.described import Described
from weft.layers.filed import Filed
from weft.layers.masks import get_mask, mask_of, masks, set_mask
from weft.layers.signature import Signature, signature_of
from weft.layers.structure import forgotten
from weft.precision import policy as policies

__all__ = ["Layer", "get_mask", "set_mask"]


class Layer(Described, Added, Filed):
    """A computation with state: the base class of all layers and models.

    Subclasses define `__init__` (calling `super().__init__()`), `build(input_shape)`, which makes
    the weights with `add_weight`, and `call(inputs)`. Weights are made at the first call, when the
    input's shape is known. Layers, variables and metrics set as attributes, also in lists and
    dicts, belong to the layer.

    Args:
        trainable: whether its weights are trained.
        dtype: a dtype or policy name, e.g. "mixed_bfloat16"; the global policy by default. Inputs
            and variables are cast to the compute dtype.
        autocast: whether inputs are cast.
        name: unique by default.
        activity_regularizer: a regularizer of the outputs; its penalty becomes a loss.

    Raises:
        TypeError: an argument that no layer takes, or a name that is no string.

    Example:
        >>> import weft
        >>> class Scale(weft.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight((input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()([[1.0, 2.0]]).shape
        (1, 2)
    """

    input_spec: Any = None  # an InputSpec, or a nest of them: what the first argument must be
    #: Whether each row of the outputs follows from that row of the inputs alone (True, False, or
    #: "inference": while not training), so that a short last batch may be filled up. None: of
    #: weft's own layers it is true, of others not known.
    by_row: bool | str | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        object.__setattr__(layer, "_made_with", (args, kwargs))
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _as_whole(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Keras 2's ways to say a Sequential's input.
        shape, hint = kwargs.pop("input_shape", None), kwargs.pop("batch_input_shape", None)
        batch = kwargs.pop("batch_size", None)
        if (dim := kwargs.pop("input_dim", None)) is not None:
            shape = (dim,)
        if shape is not None:
            hint = (batch, *shape)
        if kwargs:
            _unknown_arguments(type(self), kwargs)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a layer's name must be a string, got {name!r}.")
        policy = policies.get(dtype)
        super().__init__(trainable)
        self.__dict__.update(
            name=name or auto_name(type(self)),
            dtype_policy=policy,
            built=False,
            supports_masking=False,
            autocast=autocast,
            activity_regularizer=looked_up(
                self, "activity_regularizer", regularizers.get, activity_regularizer
            ),
            input_shape_hint=hint,
            _losses=[],
            _losses_call=-1,
            _last_call=-1,
            _loss_functions=[],
            _nodes=[],
            # Variables are read in the compute dtype.
            _cast=None if policy.compute == policy.variable else policy.compute,
        )

    # -- dtypes ---------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        """The dtype of the variables."""
        return self.dtype_policy.variable_dtype  # type: ignore[no-any-return]

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that the layer computes in."""
        return self.dtype_policy.compute_dtype  # type: ignore[no-any-return]

    # -- building -------------------------------------------------------------------------

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
        **_: Any,
    ) -> Variable:
        """Make a variable that belongs to this layer.

        Args:
            args: `shape, initializer, dtype, trainable`, Keras 3's order, or, beginning with a
                string, Keras 2's `name, shape, dtype, initializer`.
            shape: a tuple of ints; () for a scalar.
            initializer: a name, an Initializer, a callable `(shape, dtype)` or a number; Glorot
                uniform for floats and zeros for other dtypes by default.
            dtype: the policy's variable dtype by default.
            trainable: whether training changes it.
            autocast: whether it is read in the layer's compute dtype.
            regularizer: adds a penalty to `losses`.
            constraint: applied after each update.
            aggregation: kept for Keras's sake.
            name: "kernel" and the like, for messages and files.

        Raises:
            ValueError: a dimension of the shape is unknown or negative.
        """
        if "_own_weights" not in self.__dict__:
            forgotten(self)
        if self.built and _among(self, calls.stack) and not _among(self, calls.building):
            raise RuntimeError(
                f"layer {self.name!r} ({type(self).__name__}) makes a weight inside call, where it "
                "would make a new one each time. Make weights in build(self, input_shape) or in "
                "__init__."
            )
        if args:
            keras_2 = isinstance(args[0], str)
            order = ("name", "shape", "dtype", "initializer") if keras_2 else _WEIGHT_ORDER
            given = dict(zip(order, args, strict=False))
            name, shape = given.get("name", name), given.get("shape", shape)
            initializer = given.get("initializer", initializer)
            dtype, trainable = given.get("dtype", dtype), given.get("trainable", trainable)
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if any(n is None or int(n) < 0 for n in shape):
            raise ValueError(
                f"layer {self.name!r}: a weight cannot have shape {shape}; every dimension must "
                "be a known, non-negative number."
            )
        kind = as_dtype(dtype) if dtype is not None else self.dtype_policy.variable
        if initializer is None:
            floating = np.issubdtype(kind, np.floating) or kind.name == "bfloat16"
            initializer = "glorot_uniform" if floating else "zeros"
        name = name or (f"weight_{len(self._own_weights)}" if self._own_weights else "weight")
        calls.spend(self, name, shape, kind.itemsize)
        if calls.dry:
            initializer = "zeros"
        elif isinstance(initializer, int | float):
            initializer = initializers.Constant(initializer)
        variable = Variable(
            initializers.get(initializer),
            shape=tuple(int(n) for n in shape),
            dtype=kind,
            trainable=trainable,
            autocast=autocast,
            name=name,
            aggregation=aggregation,
            constraint=constraints.get(constraint),
        )
        within = dict.fromkeys([*(layer.name for layer in calls.stack), self.name])
        variable.path = "/".join([*within, name])
        variable.regularizer = regularizers.get(regularizer)
        self._own_weights.append(variable)
        tracking.changed()
        return variable

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape. Called once, before the first call."""
        self.built = True

    def _begin_building(self, args: Any, kwargs: Any) -> None:
        """Build from the arguments of a first call."""
        calls.note(self)
        if calls.stack and not _among(self, calls.stack[0]._flatten_layers()):
            raise RuntimeError(
                f"layer {self.name!r} ({type(self).__name__}) is called for the first time inside "
                f"call of {calls.stack[-1].name!r} ({type(calls.stack[-1]).__name__}), which does "
                "not hold it: its weights would not be trained or saved, or be new at every call. "
                "Make it in __init__ and set it as an attribute (lists and dicts count)."
            )
        self._build_for(args, kwargs, signature_of(self.__class__))

    def _build_for(self, args: Any, kwargs: Any, signature: Signature) -> None:
        """Build from the shapes of the arguments of a first call."""
        shapes = [_shapes(a) for a in args]
        names = signature.build_names
        if len(names) > 1 and set(names) != {"input_shape"}:
            given = dict(zip([f"{n}_shape" for n in signature.positional], shapes, strict=False))
            given.update({f"{k}_shape": _shapes(v) for k, v in kwargs.items()})
            if all(n in given for n in signature.build_needs):
                self.build(**{n: given[n] for n in names if n in given})
            else:
                self.build(*shapes[: len(names)])
        else:
            if not shapes:  # the first argument may come by its name
                shapes = [_shapes(kwargs.get(name)) for name in signature.positional[:1]]
            self.build(shapes[0] if shapes else None)

    # -- calling --------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. Subclasses define it."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no `call(self, inputs)`: write the computation there."
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output; a layer that supports masking hands its input's on."""
        return previous_mask if self.supports_masking else None

    compute_mask.handed_on = True  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        signature = signature_of(self.__class__)
        try:
            policy = self.dtype_policy
        except AttributeError:
            forgotten(self)
        first = args[0] if args else None
        if first.__class__ is Tensor and len(args) == 1:
            kind = first.spec.dtype
            if first.spec.inexact and kind != policy.compute and self.autocast and kind.kind != "c":
                args = (_cast(first, policy.compute),)
        elif args:
            if holds_symbol(args):
                return self._call_symbolically(args, kwargs)
            args = tuple(self._converted(a) for a in args)
        if kwargs:
            if holds_symbol(kwargs):
                return self._call_symbolically(args, kwargs)
            kwargs = {k: v if k == "training" else self._converted(v) for k, v in kwargs.items()}
        if self.input_spec is not None:
            input_spec.check(self.input_spec, args[0] if args else kwargs, self.name)
        if not self.built:
            self._begin_building(args, kwargs)
        context = calls
        outer_training = context.training
        outer_cast = engine_state.cast
        stack = context.stack
        if not stack:
            context.number += 1
        self.__dict__["_last_call"] = context.number
        # An argument counts before the outer call's, and that before the default.
        training = kwargs.get("training")
        if training is None and len(args) > signature.training_index:
            training = args[signature.training_index]
        elif signature.training:
            if training is None:
                training = outer_training
                if training is None:
                    training = signature.training_default
                kwargs["training"] = training
        elif training is not None and not signature.takes_training:
            del kwargs["training"]
        if masks and signature.mask and kwargs.get("mask") is None and args:
            mask = mask_of(args[0])
            if mask is not None:
                kwargs["mask"] = mask
        if masks and signature.own_masks:
            _add_masks(args, kwargs, signature)
        depth = len(stack)
        try:
            context.training = outer_training if training is None else training
            engine_state.cast = self._cast
            stack.append(self)
            outputs = self.call(*args, **kwargs)
        except ShapeError as error:
            raise self._located(error, f"called on {_described(args)}") from error
        finally:  # without a call in it, no interrupt comes in between
            context.training = outer_training
            engine_state.cast = outer_cast
            del stack[depth:]
        if masks or signature.masks_itself or kwargs.get("mask") is not None:
            try:
                self._pass_mask(args, kwargs, outputs, signature)
            except ShapeError as error:
                raise self._located(error, f"called on {_described(args)}") from error
        if self.activity_regularizer is not None:
            for leaf in jax.tree.leaves(outputs):
                cost = regularizers.penalty(
                    self.activity_regularizer, leaf, f"the output of {self.name}"
                )
                self.add_loss(cost / (leaf.shape or (1,))[0])
        return outputs

    def _converted(self, value: Any) -> Any:
        """Arrays in an argument become tensors; floats are cast to the compute dtype."""
        compute = self.dtype_policy.compute if self.autocast else None

        def one(leaf: Any) -> Any:
            if isinstance(leaf, np.ndarray | np.generic | jax.Array):
                leaf = as_tensor(leaf)
            elif isinstance(leaf, Variable):
                leaf = leaf.value
            if compute is not None and isinstance(leaf, Tensor):
                spec = leaf.spec
                if spec.inexact and spec.dtype != compute and spec.dtype.kind != "c":
                    return _cast(leaf, compute)
            return leaf

        if value.__class__ is Tensor:
            return one(value)
        if value.__class__ is list and value and all(v.__class__ is Tensor for v in value):
            return [one(v) for v in value]  # as below, at a tenth of the cost
        if value is None or isinstance(value, int | float | str):
            return value
        if isinstance(value, list) and value and not _holds_arrays(value):
            return one(as_tensor(value))  # a nested list of numbers is one array
        return jax.tree.map(one, value, is_leaf=lambda x: x is None)

    def _located(self, error: ShapeError, where: str) -> ShapeError:
        """The error with this layer's name and inputs, unless an inner layer put its own there."""
        if getattr(error, "layer", None) is not None:
            return error
        weights = ", ".join(f"{v.name}{list(v.shape)}" for v in self._own_weights)
        text = f"layer {self.name!r} ({type(self).__name__}) {where}"
        text += f" with weights {weights}: {error}" if weights else f": {error}"
        located = ShapeError(text)
        located.layer = self.name  # type: ignore[attr-defined]
        return located

    def _pass_mask(self, args: Any, kwargs: Any, outputs: Any, signature: Signature) -> None:
        """Give the outputs the mask that follows from the inputs'."""
        first = args[0] if args else next((kwargs.get(n) for n in signature.positional[:1]), None)
        if first is None:
            return
        mask = kwargs.get("mask")
        if mask is None and masks:
            mask = mask_of(first)
        if mask is not None and not (
            self.supports_masking or signature.mask or signature.masks_itself
        ):
            warnings.warn(
                f"layer {self.name!r} ({type(self).__name__}) was called on a tensor with a mask, "
                "which ends here: it neither takes a `mask` argument nor sets "
                "`self.supports_masking = True` to hand the mask on.",
                stacklevel=3,
            )
        made = self.compute_mask(first, mask)
        if made is not None and isinstance(outputs, Tensor):
            set_mask(outputs, made)

    # -- configuration --------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make an equal layer, without its weights.

        A subclass whose `__init__` takes plain arguments (numbers, strings, lists of them) need
        not override this.

        Raises:
            NotImplementedError: an argument of `__init__` is no plain value.
        """
        base: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": self.dtype_policy.name,
        }
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        cls = type(self)
        if cls.__init__ is Layer.__init__ or not hasattr(cls.get_config, "of_arguments"):
            return base
        args, kwargs = self._made_with
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:
            return base
        accepted = inspect.signature(cls.__init__).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        config = {}
        for key, value in list(bound.arguments.items())[1:]:
            kind = accepted[key].kind
            config.update(value if kind is inspect.Parameter.VAR_KEYWORD else {key: value})
        config.update({k: v for k, v in base.items() if takes_any or k in accepted})
        odd = [k for k, v in config.items() if not _plain(v)]
        if odd:
            raise NotImplementedError(
                f"{cls.__name__}.get_config: the arguments {odd} are no plain values. Override "
                "get_config (and from_config) to say how they are written down."
            )
        return config

    # A class whose get_config is its own says itself what else belongs there.
    get_config.of_arguments = True  # type: ignore[attr-defined]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of a config; Keras's configs are read too."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.__dict__.get('name', '?')}>"


_WEIGHT_ORDER = ("shape", "initializer", "dtype", "trainable")


def _as_whole(build: Callable[..., None]) -> Callable[..., None]:
    """`build` such that the layer is built after it, or, if it fails, as it was before."""

    @functools.wraps(build)
    def whole(self: Layer, *args: Any, **kwargs: Any) -> None:
        if "_own_weights" not in self.__dict__:
            forgotten(self)
        attributes, made = dict(self.__dict__), len(self._own_weights)
        calls.note(self)
        stack, building = calls.stack, calls.building
        stack.append(self)  # weights are named after the layers around
        building.append(self)
        try:
            build(self, *args, **kwargs)
        except BaseException as error:
            self.__dict__.clear()
            self.__dict__.update(attributes)
            del self._own_weights[made:]
            tracking.changed()
            if isinstance(error, ShapeError):
                raise self._located(error, f"built for {_shown(args, kwargs)}") from error
            raise
        finally:
            stack.pop()
            building.pop()
        self.__dict__["_built_with"] = args, kwargs
        self.built = True

    return whole


def _shown(args: Any, kwargs: Any) -> str:
    parts = [*args, *kwargs.values()]
    return ", ".join(str(tuple(p)) if isinstance(p, tuple) else str(p) for p in parts)


def _described(args: Any) -> str:
    """The dtypes and shapes of a call's tensors, for messages."""
    return ", ".join(repr(t.spec) for t in jax.tree.leaves(args) if isinstance(t, Tensor))


def _unknown_arguments(cls: type, given: dict[str, Any]) -> None:
    taken = [p.name for p in inspect.signature(cls.__init__).parameters.values()]  # type: ignore[misc]
    known = {*taken, "name", "dtype", "trainable", "activity_regularizer"}
    known -= {"self", "args", "kwargs"}
    hints = " ".join(f"{k!r}: {near(k, known)}" for k in sorted(given))
    raise TypeError(f"{cls.__name__} got unknown arguments. {hints}")


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_arrays(v) for v in value)
    return not isinstance(value, int | float | np.generic)


def _cast(tensor: Tensor, dtype: Any) -> Tensor:
    """A tensor in another dtype, with the mask that it carries."""
    made = astype(tensor, dtype)
    if masks and made is not tensor and (mask := get_mask(tensor)) is not None:
        set_mask(made, mask)
    return made  # type: ignore[no-any-return]


def _shapes(value: Any) -> Any:
    """The shape of a tensor; of a nest of tensors, the nest of shapes."""
    if isinstance(value, ArrayLike):
        return value.shape
    return jax.tree.map(lambda t: t.shape if isinstance(t, ArrayLike) else None, value)


def _add_masks(args: Any, kwargs: dict[str, Any], signature: Signature) -> None:
    """Give `query_mask` and the like, where they were not given, the masks that tensors carry."""
    for place, name, mask_place in signature.own_masks:
        if len(args) <= mask_place and kwargs.get(f"{name}_mask") is None:
            mask = mask_of(args[place] if place < len(args) else kwargs.get(name))
            if mask is not None:
                kwargs[f"{name}_mask"] = mask


def _among(layer: Any, layers: list[Any]) -> bool:
    return any(other is layer for other in layers)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return value is None or isinstance(value, str | int | float | bool)
