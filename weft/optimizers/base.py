"""`Optimizer`: the state of an optimization, and its update recorded as one node."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from weft.engine import (
    ArrayLike,
    GradientTape,
    Tensor,
    Variable,
    as_tensor,
    flush,
)
from weft.engine.stateless import stateless
from weft.engine.trace import record, state
from weft.engine.variable import give_values
from weft.optimizers import stepwise, update
from weft.optimizers.checks import (
    check_arguments,
    check_variables,
    checked_gradient,
    constrained,
    described,
    named,
    static_options,
)
from weft.optimizers.state import OptimizerState

__all__ = ["Optimizer"]


class _Prepared:
    """An update of certain variables: what is recorded again at every step."""

    __slots__ = ("changed", "inputs", "plan", "token")

    def __init__(self, token: Any, plan: update.Plan, inputs: list[Variable], step: Variable):
        self.token = token  # the hyperparameters that the plan was made for
        self.plan = plan
        self.inputs = inputs  # the variables and their state, as operands
        self.changed = [step, *inputs]  # the same as targets


class Optimizer(OptimizerState):
    """What all optimizers share: the variables, the learning rate, and the step.

    A subclass gives its mathematics in one of two ways. Keras's: `build` makes further variables
    (`add_optimizer_variables`), and `update_step(gradient, variable, learning_rate)` assigns. Or,
    faster, as the optimizers of weft do: `slot_names` names the arrays kept for each variable,
    `options` the static hyperparameters, and `rule` is a pure JAX function of everything, which
    becomes one node.

    Args:
        learning_rate: a number, a variable, a `LearningRateSchedule`, or a callable without
            arguments (in a traced function it is called once, while tracing). Changing a number
            or variable compiles nothing anew.
        weight_decay: λ of the decay p ← p - ηλp before each update.
        clipnorm: the largest norm of each gradient.
        clipvalue: the largest absolute value of a gradient's element.
        global_clipnorm: the largest norm of all gradients together. One of the three at most.
        use_ema: whether to keep moving averages of the variables.
        ema_momentum: how much of the average stays at each step, in [0, 1].
        ema_overwrite_frequency: after how many steps the averages replace the variables; None:
            only in `finalize_variable_values`.
        loss_scale_factor: what `scale_loss` multiplies by, and gradients are divided by.
        gradient_accumulation_steps: over how many steps gradients are averaged for one update.
        name: made up from the class's if absent.
        centralize_gradients: whether gradients of matrices and convolutions are used less their
            mean over each output's weights (Yong et al., 2020).
        lr: Keras 2's name of `learning_rate`.
        decay: Keras 2's: the learning rate is divided by 1 + decay·iterations.

    Raises:
        ValueError: a hyperparameter out of its range, several ways of clipping, a negative rate.
        TypeError: a learning rate of another type, an unknown argument.
    """

    # -- what a subclass defines ----------------------------------------------------------

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        """The names of the arrays kept for each variable; `first_value` says how each begins.

        They come in groups: `variables` lists a group after the other, and within a group one
        variable's slots after another's, as Keras's files do.
        """
        return ()

    def options(self) -> tuple[tuple[str, Any], ...]:
        """The static hyperparameters of `rule`, hashable."""
        return ()

    rule: Callable[..., Any] | None = None
    """`rule(grads, params, slots, rate, count, **options)`, a static method on lists of arrays.

    `slots` holds the slots variable by variable, and `count` is the number of updates done. It
    returns the new parameters and slots. float16 and bfloat16 come to it as float32.
    """

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Assign to one variable and its slots.

        A subclass writes it in place of a `rule`, or, under an optimizer that has a rule, around
        `super().update_step`, which goes by the rule for this one variable.
        """
        if self.rule is None:
            raise NotImplementedError(
                f"{type(self).__name__} has neither a `rule` nor an `update_step(self, gradient, "
                "variable, learning_rate)`: define one of them."
            )
        slots, further = self._state_of([variable])
        plan = update.plan(
            self.rule,
            (*static_options(self), *further),
            update.PLAIN,
            (False,),
            self._rule_in_own_dtypes,
        )
        operands = [self.iterations, learning_rate, gradient, variable, *slots]
        _, *news = record(update.update, (("plan", plan),), operands)
        give_values([variable, *slots], news)

    _by_steps = True  # whether `update_step` is what the class defines, and not a rule

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name in ("rule", "update_step") if name in vars(cls)]
        if own:
            cls._by_steps = own == ["update_step"]

    _rule_in_own_dtypes = False

    def _state_of(self, variables: Sequence[Variable]) -> tuple[list[Variable], Any]:
        """The slots of these variables, made if need be, and further options of the rule."""
        groups = self.slot_names()
        for group in groups:
            for variable in variables:
                for name in group:
                    self._slot(variable, name)
        return [self._slot(v, name) for v in variables for group in groups for name in group], ()

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the slots of these variables, the only ones that may be updated from then on.

        It need not be called: otherwise each update makes the slots that are missing, so that
        layers can be unfrozen. Called again it adds variables.

        Raises:
            TypeError: something that is no `weft.Variable`.
            ValueError: a variable given twice.
        """
        self._build(list(variables))
        self._declared = True

    def _ready(self, variables: list[Variable]) -> None:
        """Make what these variables need, by a subclass's own `build` the first time."""
        if not self.built and type(self).build is not Optimizer.build:
            self.build(variables)
        self._build(variables)

    def _build(self, variables: list[Variable]) -> None:
        check_variables(self.name, variables)
        for variable in variables:
            if id(variable) not in self._index:
                self._index[id(variable)] = len(self._trained)
                self._trained.append(variable)
        for wanted, name in (
            (self.use_ema, "average"),
            (self.gradient_accumulation_steps, "gradient_accumulator"),
        ):
            if wanted:
                for variable in variables:
                    self._slot(variable, name)
        if self.rule is not None:
            self._state_of(variables)
        self.built = True

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Spare variables from weight decay.

        Args:
            var_list: these variables.
            var_names: variables whose name has one of these (regular expressions) in it.

        Raises:
            ValueError: after the optimizer was built.
        """
        if self.built:
            raise ValueError(
                f"{self.name}: exclude_from_weight_decay must be called before the optimizer is "
                "built, that is before its first update."
            )
        self._excluded = list(var_list or ())
        self._excluded_names = tuple(var_names or ())

    def _decays(self, variable: Variable) -> bool:
        named = any(re.search(pattern, variable.name) for pattern in self._excluded_names)
        return not named and not any(variable is other for other in self._excluded)

    # -- updating -------------------------------------------------------------------------

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], name: str | None = None
    ) -> Any:
        """Update variables, and run the work that is pending (outside of tapes and traces).

        Args:
            grads_and_vars: pairs (gradient, variable). A pair whose gradient is None is left out,
                with a warning.
            name: kept for TensorFlow's sake.

        Returns:
            `iterations`.

        Raises:
            TypeError: not pairs, or the second of one is no variable.
            ValueError: no gradient at all, or one of another shape than its variable. Nothing is
                changed then.
        """
        pairs = list(grads_and_vars)
        for pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(
                    f"{self.name}: apply_gradients expects pairs (gradient, variable), got "
                    f"{described(pair)}. Write apply_gradients(zip(grads, variables))."
                )
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._step

    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        """Update variables by gradients given as a list.

        Args:
            grads: one for each variable.
            trainable_variables: the variables; those that the optimizer was built with by default.

        Raises:
            ValueError: as for `apply_gradients`; or the lists are of unlike length, or there are
                no variables yet.
        """
        if self._prepared is None:
            raise RuntimeError(
                f"{type(self).__name__}.__init__ does not call super().__init__(learning_rate, "
                "...), so the optimizer has no state. Add the call as its first line."
            )
        grads = list(grads)
        if trainable_variables is not None:
            variables = list(trainable_variables)
        elif self.built:
            variables = self._trained
        else:
            raise ValueError(
                f"{self.name}: apply(grads) without variables needs an optimizer that is built. "
                "Call build(variables) first, or pass the variables."
            )
        if len(grads) != len(variables):
            raise ValueError(
                f"{self.name}: {len(grads)} gradients were given for {len(variables)} variables."
            )
        if grads:
            self._update(grads, variables)
        if not state.tapes:
            flush()

    def _update(
        self, grads: list[Any], variables: list[Variable], proceed: Tensor | None = None
    ) -> None:
        """Record the update; where the scalar `proceed` is false it changes nothing.

        No reference to a value of a variable may outlive this: what runs next donates it.
        """
        assert self._prepared is not None
        prepared = self._prepared.get(tuple(map(id, variables)))
        if prepared is None:
            check_variables(self.name, variables)
        given, (grads, variables) = grads, self._matched(grads, variables)
        if grads is not given:
            prepared = self._prepared.get(tuple(map(id, variables)))
        if self._declared and prepared is None:  # what was prepared is known
            self._check_known(variables)
        if self._by_steps:
            return stepwise.update(self, grads, variables, proceed)
        token = self._token(proceed is not None)
        if prepared is None or prepared.token != token:
            prepared = self._prepare(variables, token)
        rate = self._rate()
        read = state.trace.read
        operands = [read(self._step), rate, *grads, *map(read, prepared.inputs)]
        if proceed is not None:
            operands.append(proceed)
        news = record(update.update, (("plan", prepared.plan),), operands)
        limited = [k for k, v in enumerate(variables, 1) if v.constraint is not None]
        if limited:
            news = list(news)
            for k in limited:
                news[k] = constrained(variables[k - 1], news[k], proceed)
        give_values(prepared.changed, news)

    def _check_known(self, variables: list[Variable]) -> None:
        strangers = [v.path for v in variables if id(v) not in self._index]
        if strangers:
            raise ValueError(
                f"{self.name}: {named(strangers)} are not among the {len(self._trained)} variables "
                "that the optimizer was built with. Call build with them too, and they begin with "
                "slots of their own; for another model make another optimizer."
            )

    def _token(self, guarded: bool = False) -> Any:
        """Everything static that may change between updates."""
        settings = update.Settings(
            self.weight_decay,
            self.clipnorm,
            self.clipvalue,
            self.global_clipnorm,
            self.ema_momentum if self.use_ema else None,
            self.ema_overwrite_frequency,
            self.loss_scale_factor,
            self.gradient_accumulation_steps,
            self.centralize_gradients,
            guarded,
        )
        return settings, self.options()

    def _prepare(self, variables: list[Variable], token: Any) -> _Prepared:
        assert self._prepared is not None and self.rule is not None
        check_arguments(self, self.name)
        self._ready(variables)
        settings, _ = self._token(guarded=token[0].guarded)
        options = static_options(self)
        slots, further = self._state_of(variables)
        inputs = list(variables)
        if self.use_ema:
            inputs += [self._slot(v, "average") for v in variables]
        if self.gradient_accumulation_steps:
            inputs += [self._slot(v, "gradient_accumulator") for v in variables]
        decays = tuple(map(self._decays, variables))
        plan = update.plan(
            self.rule, (*options, *further), settings, decays, self._rule_in_own_dtypes
        )
        made = _Prepared(token, plan, inputs + slots, self._step)
        self._prepared[tuple(map(id, variables))] = made
        return made

    def _matched(
        self, grads: list[Any], variables: list[Variable]
    ) -> tuple[list[Tensor], list[Variable]]:
        """Both as they are where each gradient is a tensor like its variable; else cleaned."""
        for grad, variable in zip(grads, variables, strict=True):
            if grad.__class__ is not Tensor or grad.spec is not variable.spec:
                return self._cleaned(grads, variables)
        return grads, variables

    def _cleaned(
        self, grads: list[Any], variables: list[Variable]
    ) -> tuple[list[Tensor], list[Variable]]:
        """Gradients as tensors of their variables' shapes; pairs without one are left out."""
        missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
        if len(missing) == len(variables):
            raise ValueError(
                f"{self.name}: no gradient was given for any variable: all of "
                f"{named(missing)} are None. Compute the loss from these variables inside the "
                "GradientTape, with weft's operations."
            )
        given = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        pairs = [(checked_gradient(self.name, g, v), v) for g, v in given]
        key = tuple(map(id, variables))
        if missing and key not in self._warned:
            self._warned.add(key)
            warnings.warn(
                f"{self.name}: no gradient for {named(missing)}; the other variables are "
                "updated. Leave them out of the sources if that is meant.",
                UserWarning,
                stacklevel=6,
            )
        return [g for g, _ in pairs], [v for _, v in pairs]

    def minimize(
        self, loss: Any, var_list: Any, tape: GradientTape | None = None, name: str | None = None
    ) -> Any:
        """Compute gradients and apply them.

        Args:
            loss: a callable without arguments, or a tensor computed under `tape`.
            var_list: the variables, one of them, or a callable that returns them.
            tape: where a tensor `loss` was recorded.
            name: kept for TensorFlow's sake.

        Returns:
            `iterations`.

        Raises:
            ValueError: a tensor without its tape.
        """
        if callable(loss) and not isinstance(loss, ArrayLike):
            with tape or GradientTape() as tape:
                value = loss()
        elif tape is None:
            raise ValueError(
                f"{self.name}: minimize needs the tape that the loss was recorded on, or the loss "
                "as a callable."
            )
        else:
            value = loss
        value = as_tensor(value)
        variables = var_list
        if not isinstance(var_list, ArrayLike):
            variables = var_list() if callable(var_list) else var_list
        variables = [variables] if isinstance(variables, Variable) else list(variables)
        seed = self.scale_loss(np.ones(value.shape, value.dtype))
        grads = tape.gradient(value, variables, output_gradients=seed)
        return self.apply_gradients(zip(grads, variables, strict=True))

    def stateless_apply(
        self, optimizer_variables: Any, grads: Any, trainable_variables: Any
    ) -> tuple[list[Any], list[Any]]:
        """An update as a pure function, for JAX's transformations; nothing is changed.

        Args:
            optimizer_variables: arrays in the order of `variables`.
            grads: one for each variable that the optimizer was built with.
            trainable_variables: their values.

        Returns:
            The new values of the trained variables, and of the optimizer's.

        Raises:
            ValueError: the optimizer is not built, or the lists do not fit.
        """
        if not self.built:
            raise ValueError(
                f"{self.name}: stateless_apply needs an optimizer that is built. Call "
                "build(model.trainable_variables) first."
            )
        trained, own = self._trained, self.variables
        values = [*trainable_variables, *optimizer_variables]
        _, news = stateless(self, _applied)([*trained, *own], values, list(grads))
        return news[: len(trained)], news[len(trained) :]

    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`; the update divides by it again."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Under `use_ema`, give these variables their averages; training ends with this."""
        if self.use_ema and self.built:
            for variable in var_list:
                if id(variable) in self._index:
                    variable.assign(self._slot(variable, "average"))


def _applied(optimizer: Optimizer, grads: list[Any]) -> None:
    optimizer.apply(grads, optimizer._trained)
