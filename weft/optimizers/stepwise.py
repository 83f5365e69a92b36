"""An update by a subclass's `update_step`: node by node, in terms of tensors and variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.engine import Tensor, Variable, cond, give_value
from weft.engine.trace import record
from weft.engine.variable import give_values
from weft.optimizers import update as whole
from weft.optimizers.checks import check_arguments, constrained
from weft.optimizers.undoing import undone_on_error

__all__ = ["update"]


def update(
    optimizer: Any, grads: Sequence[Any], variables: Sequence[Variable], proceed: Tensor | None
) -> None:
    """What `weft.optimizers.update` does in one node, around `optimizer.update_step`.

    Args:
        optimizer: one whose class has an `update_step`.
        grads, variables: as many of the one as of the other.
        proceed: a scalar; where it is false nothing changes. None: always.
    """
    optimizer._ready(variables)  # no variable can be made inside a branch
    check_arguments(optimizer, optimizer.name)
    with undone_on_error([*optimizer.variables, *variables]):
        if proceed is None:
            _update(optimizer, grads, variables)
        else:
            cond(proceed, lambda: _update(optimizer, grads, variables), lambda: None)


def _update(optimizer: Any, grads: Sequence[Any], variables: Sequence[Variable]) -> None:
    settings, _ = optimizer._token()
    decays = tuple(map(optimizer._decays, variables))
    params = (("plan", whole.plan(None, (), settings, decays)),)  # type: ignore[arg-type]
    every, n = settings.gradient_accumulation_steps, len(variables)
    if every:
        sums = [optimizer._slot(v, "gradient_accumulator") for v in variables]
        made = record(whole.accumulate, params, [*grads, *sums])

        def done() -> None:
            _step(optimizer, made[:n], variables, params)
            for held in sums:
                held.assign(held * 0)

        cond((optimizer._step + 1) % every == 0, done, lambda: give_values(sums, made[n:]))
    else:
        _step(optimizer, grads, variables, params)
    if optimizer.use_ema:
        both = [*variables, *(optimizer._slot(v, "average") for v in variables)]
        news = record(whole.average, params, [optimizer.iterations, *both])
        give_values(both, news)
    for variable in variables:
        if variable.constraint is not None:
            give_value(variable, constrained(variable, variable.value))
    optimizer._step.assign_add(1)


def _step(optimizer: Any, grads: Sequence[Any], variables: Sequence[Variable], params: Any) -> None:
    rate, n = optimizer._rate(), len(variables)
    made = record(whole.prepare, params, [rate, *grads, *variables])
    give_values(variables, made[n:])
    for grad, variable in zip(made[:n], variables, strict=True):
        optimizer.update_step(grad, variable, rate)
