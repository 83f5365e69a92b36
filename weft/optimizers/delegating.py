"""Optimizers that leave the updates to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.engine import Variable
from weft.optimizers import lookup
from weft.optimizers.base import Optimizer

__all__ = ["Delegating"]

_PARTS_OWN = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
    "ema_overwrite_frequency", "gradient_accumulation_steps", "centralize_gradients",
)  # fmt: skip


class Delegating(Optimizer):
    """Base of the optimizers made of others, their `parts`.

    Args:
        name: made up from the class's if absent.
        kwargs: what an `Optimizer` takes; refused, since the parts have it.

    Raises:
        TypeError: an option that is for the parts.
    """

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        kind = type(self).__name__
        refused = [k for k in _PARTS_OWN if kwargs.pop(k, None)]
        if refused:
            raise TypeError(
                f"{kind} has no {', '.join(refused)} of its own: set it on the optimizer inside."
            )
        super().__init__(kwargs.pop("learning_rate", 0.0), name=name, **kwargs)

    @property
    def parts(self) -> list[Optimizer]:
        """The optimizers that make the updates."""
        raise NotImplementedError

    def _part(self, given: Any) -> Optimizer:
        """An optimizer from what it can be given as."""
        try:
            return lookup.get(given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from error

    @property
    def variables(self) -> list[Variable]:
        """Its own variables, then those of the parts."""
        return [*self._variables, *(v for part in self.parts for v in part.variables)]

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Each part's averages to the variables that it trains."""
        variables = list(var_list)
        for part in self.parts:
            part.finalize_variable_values(variables)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """The same for each part."""
        variables, names = list(var_list or ()), list(var_names or ())
        for part in self.parts:
            part.exclude_from_weight_decay(variables, names)
