"""`Layer`: state and the computation on it, built when first called."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from weft import constraints, initializers, regularizers
from weft.engine import (
    ArrayLike,
    SeedGenerator,
    ShapeError,
    Tensor,
    Variable,
    as_dtype,
    as_tensor,
    bump_trainable_version,
)
from weft.engine.operators import astype
from weft.engine.trace import state as engine_state
from weft.layers import tracking
from weft.metrics import Mean, Metric
from weft.precision import policy as policies

__all__ = ["Layer", "get_mask", "set_mask"]


class _Calls(threading.local):
    """The layers being called on this thread, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Layer] = []
        self.training: bool | None = None
        self.number = 0  # of the outermost call: losses of an earlier one are stale


calls = _Calls()
_masks: WeakKeyDictionary[Tensor, Any] = WeakKeyDictionary()


def get_mask(tensor: Any) -> Any:
    """The mask that travels with a tensor, or None."""
    return _masks.get(tensor) if _masks and isinstance(tensor, Tensor) else None


def set_mask(tensor: Tensor, mask: Any) -> None:
    """Let a mask travel with a tensor; None takes it away."""
    if mask is None:
        _masks.pop(tensor, None)
    else:
        _masks[tensor] = mask


class _CallSignature:
    """What a class's `call` and `build` accept."""

    def __init__(self, cls: type) -> None:
        parameters = list(inspect.signature(cls.call).parameters.values())[1:]  # type: ignore[attr-defined]
        names = {p.name for p in parameters}
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.training = "training" in names
        self.takes_training = self.training or anything
        self.mask = "mask" in names
        self.training_default = next(
            (p.default for p in parameters if p.name == "training" and p.default is not p.empty),
            None,
        )
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.training_index = positional.index("training") if self.training else -1
        self.positional = positional
        build = inspect.signature(cls.build).parameters  # type: ignore[attr-defined]
        self.build_names = [
            p.name
            for p in list(build.values())[1:]
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        self.masks_itself = getattr(cls.compute_mask, "_inherited", None) is None  # type: ignore[attr-defined]


_signatures: dict[type, _CallSignature] = {}


def _signature(cls: type) -> _CallSignature:
    found = _signatures.get(cls)
    if found is None:
        found = _signatures[cls] = _CallSignature(cls)
    return found


class Layer:
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        object.__setattr__(layer, "_made_with", (args, kwargs))
        return layer

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
        shape = kwargs.pop("input_shape", None)
        if (dim := kwargs.pop("input_dim", None)) is not None:
            shape = (dim,)
        if kwargs:
            raise TypeError(
                f"{type(self).__name__} got unknown arguments {sorted(kwargs)}. Every layer takes "
                "name, dtype, trainable and activity_regularizer besides its own."
            )
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a layer's name must be a string, got {name!r}.")
        set_ = functools.partial(object.__setattr__, self)
        set_("name", name or tracking.auto_name(type(self)))
        set_("dtype_policy", policies.get(dtype))
        set_("built", False)
        set_("supports_masking", False)
        set_("autocast", autocast)
        set_("_trainable", bool(trainable))
        set_("_own_weights", [])
        set_("_losses", [])
        set_("_losses_call", -1)
        set_("_last_call", -1)
        set_("_loss_functions", [])
        set_("_added_metrics", {})
        set_("_caches", {})
        set_("_cast", None)
        set_("input_shape_hint", tuple(shape) if shape is not None else None)
        set_("activity_regularizer", regularizers.get(activity_regularizer))
        compute, variable = self.dtype_policy.compute, self.dtype_policy.variable
        if compute != variable:
            set_("_cast", compute)  # variables are read in the compute dtype
        tracking.changed()

    # -- structure ------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, _STRUCTURAL):
            if "_own_weights" not in self.__dict__:
                _forgotten(self)
            value = tracking.track(value)
            tracking.changed()
        elif isinstance(self.__dict__.get(name), _STRUCTURAL):
            tracking.changed()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        tracking.changed()
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        if "_own_weights" not in self.__dict__ and name in _SET_BY_INIT:
            _forgotten(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _cached(self, what: str, make: Callable[[], list[Any]]) -> list[Any]:
        now = tracking.version()
        kept = self._caches.get(what)
        if kept is None or kept[0] != now:
            kept = self._caches[what] = (now, make())
        return kept[1]  # type: ignore[no-any-return]

    def _children(self) -> list[Any]:
        """The layers, variables, metrics and seed generators that belong to this layer directly."""
        return self._cached("children", self._find_children)

    def _find_children(self) -> list[Any]:
        found: dict[int, Any] = {id(v): v for v in self._own_weights}
        for name, value in self.__dict__.items():
            if name not in _NOT_STATE:
                for item in tracking.walk(value, _STATE):
                    found.setdefault(id(item), item)
        return list(found.values())

    def _flatten_layers(self, include_self: bool = True) -> list[Layer]:
        """This layer and all below it, each once, parents first."""
        found: dict[int, Layer] = {}

        def visit(layer: Layer) -> None:
            if id(layer) not in found:
                found[id(layer)] = layer
                for child in layer._children():
                    if isinstance(child, Layer):
                        visit(child)

        visit(self)
        return list(found.values())[0 if include_self else 1 :]

    def _all(self, what: str, own: Callable[[Layer], list[Any]]) -> list[Any]:
        """`own` of this layer and all below it, each once."""

        def make() -> list[Any]:
            found: dict[int, Any] = {}
            for layer in self._cached("layers", self._flatten_layers):
                for item in own(layer):
                    found.setdefault(id(item), item)
            return list(found.values())

        return self._cached(what, make)

    def _own_variables(self) -> list[Variable]:
        """Trainable ones first, as made."""
        return _by_kind([v for v in self._children() if isinstance(v, Variable)])

    # -- state ----------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """The variables of this layer and those below it, without seeds and metrics."""
        return list(self._all("weights", Layer._own_variables))

    @property
    def variables(self) -> list[Variable]:
        """`weights` and the states of random seeds."""

        def own(layer: Layer) -> list[Variable]:
            seeds = [c.state for c in layer._children() if isinstance(c, SeedGenerator)]
            return [*layer._own_variables(), *seeds]

        return list(self._all("variables", own))

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes; none of a layer that is not trainable."""
        return list(self._all("trainable", _trainable_of) if self._trainable else ())

    @property
    def trainable_weights(self) -> list[Variable]:
        """`trainable_variables`."""
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All variables that training does not change."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """All weights that training does not change."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def trainable(self) -> bool:
        """Whether this layer's weights are trained. Setting it sets all layers below too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        for layer in self._flatten_layers():
            object.__setattr__(layer, "_trainable", value)
        bump_trainable_version()
        tracking.changed()

    @property
    def layers(self) -> list[Layer]:
        """The layers that belong to this one directly."""
        return [child for child in self._children() if isinstance(child, Layer)]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of this layer and those below it, those of `add_metric` among them."""

        def own(layer: Layer) -> list[Metric]:
            mine = [c for c in layer._children() if isinstance(c, Metric)]
            return [*mine, *layer._added_metrics.values()]

        return list(self._all("metrics", own))

    @property
    def dtype(self) -> str:
        """The dtype of the variables."""
        return self.dtype_policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that the layer computes in."""
        return self.dtype_policy.compute_dtype

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`, as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Set the values of `weights`.

        Raises:
            ValueError: the number or a shape differs. Nothing is changed then.
        """
        mine = self.weights
        if len(mine) != len(weights):
            raise ValueError(
                f"layer {self.name!r} has {len(mine)} weights, got {len(weights)} values. "
                + ("Call or build the layer first." if not mine else "")
            )
        values = [as_tensor(w) for w in weights]
        for variable, value in zip(mine, values, strict=True):
            if variable.shape != value.shape:
                raise ShapeError(
                    f"layer {self.name!r}: weight {variable.path!r} has shape "
                    f"{tuple(variable.shape)}, got a value of shape {tuple(value.shape)}."
                )
        for variable, value in zip(mine, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of numbers in `weights`."""
        return sum(v.shape.num_elements() for v in self.weights)

    def add_weight(
        self,
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
            shape: a tuple of ints; () for a scalar.
            initializer: a name, an Initializer, a callable `(shape, dtype)` or a number; Glorot
                uniform for floats and zeros for other dtypes by default.
            dtype: the policy's variable dtype by default.
            trainable: whether training changes it.
            autocast: whether it is read in the layer's compute dtype.
            regularizer: adds a penalty to `losses`.
            constraint: applied after each update.
            name: "kernel" and the like, for messages and files.

        Raises:
            ValueError: a dimension of the shape is unknown or negative.
        """
        if "_own_weights" not in self.__dict__:
            _forgotten(self)
        if isinstance(shape, str):  # Keras 2: add_weight(name, shape, ...)
            name, shape, initializer = shape, initializer, dtype if callable(dtype) else None
            dtype = None
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
        if isinstance(initializer, int | float):
            initializer = initializers.Constant(initializer)
        name = name or (f"weight_{len(self._own_weights)}" if self._own_weights else "weight")
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
        scope = [layer.name for layer in calls.stack]
        if not scope or scope[-1] != self.name:
            scope.append(self.name)
        variable.path = "/".join([*scope, name])
        variable.regularizer = regularizers.get(regularizer)
        self._own_weights.append(variable)
        tracking.changed()
        return variable

    # -- building and calling -------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape. Called once, before the first call."""
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. Subclasses define it."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no `call(self, inputs)`: write the computation there."
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output; a layer that supports masking hands its input's on."""
        return previous_mask if self.supports_masking else None

    compute_mask._inherited = True  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        cls = self.__class__
        signature = _signatures.get(cls) or _signature(cls)
        try:
            policy = self.dtype_policy
        except AttributeError:
            _forgotten(self)
        first = args[0] if args else None
        if first.__class__ is Tensor and len(args) == 1:
            spec = first.spec
            if spec.inexact and self.autocast and spec.dtype != policy.compute:
                args = (astype(first, policy.compute),)
        elif args:
            args = tuple(self._converted(a) for a in args)
        if not self.built:
            self._build_for(args, kwargs, signature)
        context = calls
        outer_training = context.training
        outer_cast = engine_state.cast
        stack = context.stack
        if not stack:
            context.number += 1
        object.__setattr__(self, "_last_call", context.number)
        if signature.training:
            training = kwargs.get("training")
            if training is None and len(args) <= signature.training_index:
                training = outer_training
                if training is None:
                    training = signature.training_default
                kwargs["training"] = training
            elif training is None:
                training = args[signature.training_index]
        else:
            training = kwargs.get("training")
            if training is not None and not signature.takes_training:
                kwargs = {k: v for k, v in kwargs.items() if k != "training"}
            if training is None:
                training = outer_training
        masked = bool(_masks)
        if masked and signature.mask and kwargs.get("mask") is None:
            mask = jax.tree.map(get_mask, args[0], is_leaf=_is_tensor) if args else None
            if any(m is not None for m in jax.tree.leaves(mask, is_leaf=lambda m: m is None)):
                kwargs["mask"] = mask
        context.training = training
        engine_state.cast = self._cast
        stack.append(self)
        try:
            outputs = self.call(*args, **kwargs)
        except ShapeError as error:
            raise self._located(error, args) from error
        finally:
            stack.pop()
            context.training = outer_training
            engine_state.cast = outer_cast
        if masked or signature.masks_itself:
            self._pass_mask(args, kwargs, outputs)
        if self.activity_regularizer is not None:
            for leaf in jax.tree.leaves(outputs):
                self.add_loss(self.activity_regularizer(leaf) / leaf.shape[0])
        return outputs

    def _converted(self, value: Any) -> Any:
        """Arrays in an argument become tensors; floats are cast to the compute dtype."""
        compute = self.dtype_policy.compute

        def one(leaf: Any) -> Any:
            if isinstance(leaf, np.ndarray | np.generic | jax.Array):
                leaf = as_tensor(leaf)
            elif isinstance(leaf, Variable):
                leaf = leaf.value
            if isinstance(leaf, Tensor) and self.autocast and leaf.spec.inexact:
                return astype(leaf, compute)
            return leaf

        if value.__class__ is Tensor:
            return one(value)
        if isinstance(value, list) and value and not _holds_arrays(value):
            return one(as_tensor(value))  # a nested list of numbers is one array
        return jax.tree.map(one, value, is_leaf=lambda x: x is None)

    def _build_for(self, args: Any, kwargs: Any, signature: _CallSignature) -> None:
        """Build from the shapes of the arguments of a first call."""
        shapes = [_shapes(a) for a in args]
        calls.stack.append(self)
        try:
            names = signature.build_names
            if len(names) > 1 and set(names) != {"input_shape"}:
                given = dict(zip([f"{n}_shape" for n in signature.positional], shapes, strict=False))
                given.update({f"{k}_shape": _shapes(v) for k, v in kwargs.items()})
                if all(n in given for n in names):
                    self.build(**{n: given[n] for n in names})
                else:
                    self.build(*shapes[: len(names)])
            else:
                self.build(shapes[0] if shapes else None)
        except ShapeError as error:
            raise self._located(error, args) from error
        finally:
            calls.stack.pop()
        self.built = True

    def _located(self, error: ShapeError, args: Any) -> ShapeError:
        """The error with this layer's name and inputs, unless an inner layer put its own there."""
        if getattr(error, "layer", None) is not None:
            return error
        shapes = ", ".join(
            f"{t.dtype.name}{list(t.shape)}" for t in jax.tree.leaves(args) if _is_tensor(t)
        )
        weights = ", ".join(f"{v.name}{list(v.shape)}" for v in self._own_weights)
        text = f"layer {self.name!r} ({type(self).__name__}) called on {shapes}"
        text += f" with weights {weights}: {error}" if weights else f": {error}"
        located = ShapeError(text)
        located.layer = self.name  # type: ignore[attr-defined]
        return located

    def _pass_mask(self, args: Any, kwargs: Any, outputs: Any) -> None:
        if not args:
            return
        mask = kwargs.get("mask")
        if mask is None:
            mask = jax.tree.map(get_mask, args[0], is_leaf=_is_tensor)
        out_mask = self.compute_mask(args[0], mask)
        if out_mask is not None and isinstance(outputs, Tensor):
            set_mask(outputs, out_mask)

    # -- losses and metrics from inside ---------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a loss, a scalar tensor (or one to be summed), from inside `call`.

        A callable without arguments is kept, and called whenever `losses` is read.
        """
        if callable(loss) and not isinstance(loss, ArrayLike):
            self._loss_functions.append(loss)
            return
        for value in jax.tree.leaves(loss):
            value = as_tensor(value)
            if self._losses_call != calls.number:
                object.__setattr__(self, "_losses", [])
                object.__setattr__(self, "_losses_call", calls.number)
            self._losses.append(value.sum() if value.shape else value)

    @property
    def losses(self) -> list[Any]:
        """The losses added during the last call, and the penalties of regularizers."""
        found = []
        for layer in self._cached("layers", self._flatten_layers):
            if layer._losses and layer._losses_call == self._last_call:
                found += layer._losses
            found += [f() for f in layer._loss_functions]
        for variable in self.trainable_variables:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable))
        return found

    def add_metric(self, value: Any, name: str | None = None, aggregation: str = "mean") -> None:
        """Average a value over the steps of an epoch, under this name in the logs.

        Args:
            value: a tensor; its mean over all elements counts.
            name: the name in the logs.
            aggregation: "mean", the only one there is.

        Raises:
            ValueError: no name, or another aggregation.
        """
        if aggregation not in ("mean", None) or not name:
            raise ValueError(
                f"add_metric(value, name=..., aggregation='mean') averages a named value; got "
                f"name={name!r}, aggregation={aggregation!r}. For other metrics make a Metric in "
                "__init__ and update it in call."
            )
        metric = self._added_metrics.get(name)
        if metric is None:
            metric = self._added_metrics[name] = Mean(name=name)
            tracking.changed()
        metric.update_state(value)

    def _clear_losses(self) -> None:
        for layer in self._cached("layers", self._flatten_layers):
            if layer._losses:
                object.__setattr__(layer, "_losses", [])

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
        cls = type(self)
        if cls.__init__ is Layer.__init__ or cls.get_config is not Layer.get_config:
            return base
        args, kwargs = self._made_with
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:
            return base
        accepted = inspect.signature(cls.__init__).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        config = {k: v for k, v in base.items() if takes_any or k in accepted}
        for key, value in list(bound.arguments.items())[1:]:
            kind = accepted[key].kind
            config.update(value if kind is inspect.Parameter.VAR_KEYWORD else {key: value})
        odd = [k for k, v in config.items() if not _plain(v)]
        if odd:
            raise NotImplementedError(
                f"{cls.__name__}.get_config: the arguments {odd} are no plain values. Override "
                "get_config (and from_config) to say how they are written down."
            )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of a config."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.__dict__.get('name', '?')}>"


def _by_kind(variables: list[Variable]) -> list[Variable]:
    return [v for v in variables if v._trainable] + [v for v in variables if not v._trainable]


def _trainable_of(layer: Layer) -> list[Variable]:
    if not layer._trainable:
        return []
    return [c for c in layer._children() if isinstance(c, Variable) and c._trainable]


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_arrays(v) for v in value)
    return not isinstance(value, int | float | bool)


def _shapes(value: Any) -> Any:
    """The shape of a tensor; of a nest of tensors, the nest of shapes."""
    if isinstance(value, ArrayLike):
        return value.shape
    return jax.tree.map(lambda t: t.shape if isinstance(t, ArrayLike) else None, value)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return value is None or isinstance(value, str | int | float | bool)


def _forgotten(layer: Any) -> Any:
    raise RuntimeError(
        f"{type(layer).__name__}.__init__ did not call super().__init__(). Make that its first "
        "line, before any attribute is set."
    )


_STATE = (Layer, Variable, Metric, SeedGenerator)
_STRUCTURAL = (*_STATE, list, tuple, dict, set)
_NOT_STATE = frozenset(
    ["_own_weights", "_losses", "_loss_functions", "_added_metrics", "_caches", "_made_with"]
)
_SET_BY_INIT = frozenset(["built", "dtype_policy", "name", "_trainable", "_own_weights", "_caches"])
