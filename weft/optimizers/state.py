"""The state of an optimizer: its step, learning rate and slots, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any

import numpy as np

from weft.engine import Op, Tensor, Variable, as_tensor, isolated, to_numpy
from weft.engine.names import auto_name, near
from weft.engine.trace import state
from weft.optimizers import schedules
from weft.optimizers.checks import check_arguments, checked_rate
from weft.optimizers.schedules import LearningRateSchedule

__all__ = ["OptimizerState", "value_of"]


# Keras 2's `decay`: the rate falls with the inverse of the step.
_decayed_rate = Op(lambda rate, step, decay: rate / (1 + decay * step), "decayed_rate")


def _arguments(cls: type) -> set[str]:
    """The names that the constructors of a class and its bases take."""
    found = {p for c in cls.__mro__ if "__init__" in vars(c) for p in signature(c).parameters}
    return found - {"self", "args", "kwargs", "unknown"}


def value_of(variable: Variable) -> np.ndarray[Any, Any]:
    """A copy of a variable's value, even while a function is being traced."""
    with isolated():
        return np.array(variable.array())  # a copy: that buffer is donated


class OptimizerState:
    """Variables and hyperparameters; `Optimizer`, its one subclass, says what is done with them."""

    _prepared: dict[tuple[int, ...], Any] | None = None  # None: __init__ was not run

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        centralize_gradients: bool = False,
        lr: Any = None,
        decay: float | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        for key in ("jit_compile", "is_legacy_optimizer"):  # Keras 2's configs have them
            unknown.pop(key, None)
        if unknown:
            raise TypeError(
                f"{kind}: unknown arguments {sorted(unknown)}. "
                + " ".join(f"{k}: {near(k, _arguments(type(self)))}" for k in sorted(unknown))
            )
        learning_rate = learning_rate if lr is None else lr
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.centralize_gradients = bool(centralize_gradients)
        self._decay = decay or 0.0  # not `decay`: subclasses have a use for that name
        check_arguments(self, kind)
        rate = checked_rate(learning_rate, kind)
        self.name = name or auto_name(type(self))
        self.built = False
        self._declared = False  # whether `build` was called, and no other variables may come
        self._variables: list[Variable] = []
        self._trained: list[Variable] = []
        self._index: dict[int, int] = {}  # id of a variable -> its place in `_trained`
        self._slots: dict[Any, Variable] = {}  # (place, name) -> its state
        self._excluded: list[Variable] = []
        self._excluded_names: tuple[str, ...] = ()
        self._warned: set[tuple[int, ...]] = set()
        self._prepared = {}
        self._step = self._new_variable(np.zeros((), np.int32), "iteration")
        if isinstance(rate, float):
            rate = self._new_variable(np.float32(rate), "learning_rate")
        elif isinstance(rate, Variable):
            self._variables.append(rate)
        self._learning_rate = rate

    # -- variables ------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """All variables of the optimizer: the step, the learning rate, and the slots."""
        return self._variables[:]

    @property
    def iterations(self) -> Any:
        """The number of updates so far, an int32 variable (a tensor if steps are accumulated)."""
        if self.gradient_accumulation_steps:
            return self._step // self.gradient_accumulation_steps
        return self._step

    def _new_variable(self, value: Any, name: str) -> Variable:
        variable = Variable(value, trainable=False, name=name)
        variable.path = f"{self.name}/{name}"
        self._variables.append(variable)
        return variable

    def _slot(self, variable: Variable, name: str) -> Variable:
        key = (self._index[id(variable)], name)
        slot = self._slots.get(key)
        if slot is None:
            # A variable that comes when steps were made already is its own average.
            average = name == "average"
            value = value_of(variable) if average else self.first_value(variable, name)
            slot = self._new_variable(value, f"{variable.path.replace('/', '_')}_{name}")
            self._slots[key] = slot
        return slot

    def first_value(self, variable: Variable, name: str) -> Any:
        """What a slot holds before the first update: zeros of the variable's shape and dtype.

        A subclass whose slot begins otherwise gives an array of its own here.
        """
        return np.zeros(variable.spec.shape, variable.spec.dtype)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        name: str | None = None,
    ) -> Variable:
        """A further variable of the optimizer's own.

        Args:
            shape: its shape.
            initializer: "zeros", "ones", or a callable `(shape, dtype) -> array`.
            dtype: float32 by default.
            aggregation: as for `Variable`.
            name: for messages and files.
        """
        maker = initializer
        if isinstance(initializer, str):
            maker = {"zeros": np.zeros, "ones": np.ones}.get(initializer)
        if not callable(maker):
            raise ValueError(
                f"add_variable: initializer must be 'zeros', 'ones' or a callable "
                f"(shape, dtype) -> array, got {initializer!r}."
            )
        variable = Variable(
            maker, tuple(shape), dtype, trainable=False, name=name, aggregation=aggregation
        )
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A further variable of the shape and dtype of another, named after it."""
        name = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        shape, dtype = reference_variable.shape, reference_variable.dtype
        return self.add_variable(shape, initializer, dtype, name=name)

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A list of further variables, one for each given; for several names, a tuple of lists."""
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, list | tuple)
        makers = list(initializer) if several else [initializer] * len(names)
        made: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for column, slot, maker in zip(made, names, makers, strict=True):
                column.append(self.add_variable_from_reference(variable, slot, maker))
        return made[0] if isinstance(name, str) else made

    def assign(self, variable: Variable, value: Any) -> None:
        """`variable.assign(value)`, for `update_step`."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """`variable.assign_add(value)`, for `update_step`."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """`variable.assign_sub(value)`, for `update_step`."""
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Variable) -> int:
        """The place of a variable among those built: Keras's name, used in `update_step`."""
        return self._index[id(variable)]

    # -- the learning rate ----------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable, or a schedule's value at this step.

        A number assigned here goes into the variable. A schedule takes the variable's place.
        """
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self._step)
        return rate if isinstance(rate, Variable) else rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = checked_rate(value, self.name)
        held = self._learning_rate
        if callable(rate) and not isinstance(rate, Variable):
            self._variables = [v for v in self._variables if v is not held]
            self._learning_rate = rate
        elif not isinstance(held, Variable):
            raise TypeError(
                f"{self.name}: its learning rate is {type(held).__name__}, so a value cannot be "
                "assigned to it. Make the optimizer with a number to change it later, or assign "
                "another schedule."
            )
        else:
            held.assign(rate)

    @property
    def lr(self) -> Any:
        """The older name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def _rate(self) -> Tensor:
        """The learning rate as an operand."""
        held = self._learning_rate
        if isinstance(held, Variable):
            rate = state.trace.read(held)
        else:
            source = getattr(held, "__name__", type(held).__name__)
            rate = as_tensor(checked_rate(self.learning_rate, f"{self.name}: {source}"))
        return _decayed_rate(rate, self._step, self._decay) if self._decay else rate

    # -- saving ---------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, without its state."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate.numpy())
        elif isinstance(rate, LearningRateSchedule):
            rate = schedules.serialize(rate)
        keys = (
            "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
            "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
        )  # fmt: skip
        config = {"name": self.name, "learning_rate": rate, **{k: getattr(self, k) for k in keys}}
        # What Keras 3 does not have is written where it is used only.
        if self.centralize_gradients:
            config["centralize_gradients"] = True
        if self._decay:
            config["decay"] = self._decay
        return config

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of the values of `variables`, in order."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign values to `variables`, in order, as `get_weights` gives them.

        Raises:
            ValueError: their number or a shape does not fit; nothing is assigned then.
        """
        mine, values = self.variables, [to_numpy(w) for w in weights]
        if len(mine) != len(values):
            raise ValueError(
                f"{self.name}: {len(values)} values were given for {len(mine)} variables. Call "
                "build(model.trainable_variables) first, so that the optimizer has all of them."
            )
        for variable, value in zip(mine, values, strict=True):
            if tuple(variable.shape) != value.shape:
                raise ValueError(
                    f"{self.name}: the value for {variable.path!r} has shape {value.shape}, the "
                    f"variable {tuple(variable.shape)}."
                )
        for variable, value in zip(mine, values, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Write the values of `variables` to `store`, under "0", "1", ... as Keras's files do."""
        for k, value in enumerate(self.get_weights()):
            store[str(k)] = value

    def load_own_variables(self, store: Any) -> None:
        """Take the values that `save_own_variables` wrote.

        Raises:
            ValueError: the store has another number of values, or other shapes.
        """
        self.set_weights([store[str(k)] for k in range(len(store.keys()))])

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None
    ) -> Any:
        """The optimizer of a config."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(config["learning_rate"], custom_objects)
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        # What is kept by id is made anew: a copy has other variables.
        return {**self.__dict__, "_index": None, "_prepared": None, "_warned": set()}

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._index = {id(v): k for k, v in enumerate(self._trained)}
        self._prepared = {}

    def __repr__(self) -> str:
        return f"<weft.optimizers.{type(self).__name__} {self.name!r}>"
