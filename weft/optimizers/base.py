"""`Optimizer`: the state of an optimization, and its update recorded as one node."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft.engine import (
    ArrayLike,
    GradientTape,
    ShapeError,
    Tensor,
    Variable,
    as_tensor,
    flush,
    give_value,
)
from weft.engine.trace import record, state
from weft.engine.variable import give_values
from weft.optimizers import update
from weft.optimizers.checks import check_variables, constrained, described, named
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

    Raises:
        ValueError: a hyperparameter out of its range, several ways of clipping, a negative rate.
        TypeError: a learning rate of another type, an unknown argument.
    """

    # -- what a subclass defines ----------------------------------------------------------

    def slot_names(self) -> tuple[tuple[str, ...], ...]:
        """The names of the arrays, of a variable's shape and zero at first, kept for each.

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

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        """Assign to one variable and its slots, in place of a `rule`."""
        raise NotImplementedError(
            f"{type(self).__name__} has neither a `rule` nor an `update_step(self, gradient, "
            "variable, learning_rate)`: define one of them."
        )

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
        """Make the slots of these variables; the first update does it otherwise.

        Raises:
            TypeError: something that is no `weft.Variable`.
            ValueError: a variable given twice.
        """
        variables = list(variables)
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

    def _update(self, grads: list[Any], variables: list[Variable]) -> None:
        # No reference to a value of a variable may outlive this method: what runs next donates it.
        assert self._prepared is not None
        prepared = self._prepared.get(tuple(map(id, variables)))
        if prepared is None:
            check_variables(self.name, variables)
        for grad, variable in zip(grads, variables, strict=True):
            if grad.__class__ is not Tensor or grad.spec is not variable.spec:
                grads, variables = self._cleaned(grads, variables)
                prepared = self._prepared.get(tuple(map(id, variables)))
                break
        if self.rule is None:
            return self._update_by_steps(grads, variables)
        token = self._token()
        if prepared is None or prepared.token != token:
            prepared = self._prepare(variables, token)
        rate = self._rate()
        read = state.trace.read
        operands = [read(self._step), rate, *grads, *map(read, prepared.inputs)]
        news = record(update.update, (("plan", prepared.plan),), operands)
        limited = [k for k, v in enumerate(variables, 1) if v.constraint is not None]
        if limited:
            news = list(news)
            for k in limited:
                news[k] = constrained(variables[k - 1], news[k])
        give_values(prepared.changed, news)

    def _token(self) -> Any:
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
        )
        return settings, self.options()

    def _prepare(self, variables: list[Variable], token: Any) -> _Prepared:
        assert self._prepared is not None and self.rule is not None
        self.build(variables)
        settings, options = token
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
        pairs = [(as_tensor(g), v) for g, v in zip(grads, variables, strict=True) if g is not None]
        for grad, variable in pairs:
            if grad.spec.shape != variable.spec.shape:
                raise ShapeError(
                    f"{self.name}: the gradient for variable {variable.path!r} has shape "
                    f"{tuple(grad.shape)}, the variable {tuple(variable.shape)}. Give each "
                    "variable its own gradient, in the same order."
                )
        key = tuple(map(id, variables))
        if missing and key not in self._warned:
            self._warned.add(key)
            warnings.warn(
                f"{self.name}: no gradient for {named(missing)}; the other variables are "
                "updated. Leave them out of the sources if that is meant.",
                UserWarning,
                stacklevel=5,
            )
        return [g for g, _ in pairs], [v for _, v in pairs]

    def _update_by_steps(self, grads: list[Any], variables: list[Variable]) -> None:
        """An update by a subclass's `update_step`, node by node."""
        if type(self).update_step is Optimizer.update_step:
            self.update_step(grads[0], variables[0], None)  # says what is missing
        if self.gradient_accumulation_steps:
            raise NotImplementedError(
                f"{self.name}: gradient_accumulation_steps is not available for an optimizer with "
                "an update_step. Give its mathematics as a `rule` instead."
            )
        if not self.built:
            self.build(variables)
        unknown = [v.path for v in variables if id(v) not in self._index]
        if unknown:
            raise ValueError(
                f"{self.name}: {named(unknown)} are not among the variables that the optimizer "
                "was built with. Call build with all variables first."
            )
        settings, _ = self._token()
        decays = tuple(map(self._decays, variables))
        plan = update.plan(None, (), settings, decays)  # type: ignore[arg-type]
        params = (("plan", plan),)
        count, rate = len(variables), self._rate()
        made = record(update.prepare, params, [rate, *grads, *variables])
        give_values(variables, made[count:])
        for grad, variable in zip(made[:count], variables, strict=True):
            self.update_step(grad, variable, rate)
        if self.use_ema:
            both = [*variables, *(self._slot(v, "average") for v in variables)]
            news = record(update.average, params, [self._step, *both])
            give_values(both, news)
        for variable in variables:
            if variable.constraint is not None:
                give_value(variable, constrained(variable, variable.value))
        self._step.assign_add(1)

    def minimize(
        self, loss: Any, var_list: Any, tape: GradientTape | None = None, name: str | None = None
    ) -> Any:
        """Compute gradients and apply them.

        Args:
            loss: a callable without arguments, or a tensor computed under `tape`.
            var_list: the variables, or a callable that returns them.
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
        variables = list(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))

    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`; the update divides by it again."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Under `use_ema`, give these variables their averages; training ends with this."""
        if self.use_ema and self.built:
            for variable in var_list:
                if id(variable) in self._index:
                    variable.assign(self._slot(variable, "average"))
