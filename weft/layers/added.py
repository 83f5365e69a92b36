"""`Added`: losses and metrics that a layer adds from inside."""

from __future__ import annotations

from typing import Any

import jax

from weft.engine import ArrayLike, as_tensor
from weft.layers import tracking
from weft.layers.calls import calls
from weft.metrics import Mean
from weft.regularizers import penalty

__all__ = ["Added"]


class Added:
    """The part of `Layer` that has `add_loss`, `losses` and `add_metric`."""

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
                self.__dict__.update(_losses=[], _losses_call=calls.number)
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
                found.append(penalty(variable.regularizer, variable, variable.path))
        return found

    def _clear_losses(self) -> None:
        for layer in self._cached("layers", self._flatten_layers):
            layer.__dict__["_losses"] = []

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
