"""`Added`: losses, metrics and values for the logs that a layer adds from inside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayLike, ArrayOp, Tensor, as_tensor, give_value
from weft.layers import tracking
from weft.layers.calls import calls
from weft.metrics import Metric
from weft.regularizers import penalty

__all__ = ["Added", "Logged"]


class Added:
    """The part of `Layer` that has `add_loss`, `losses`, `add_metric` and `log`."""

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
            aggregation: "mean", the only one there is; `log` has others.

        Raises:
            ValueError: no name, or another aggregation.
        """
        if aggregation not in ("mean", None) or not name:
            raise ValueError(
                f"add_metric(value, name=..., aggregation='mean') averages a named value; got "
                f"name={name!r}, aggregation={aggregation!r}. For other metrics make a Metric in "
                "__init__ and update it in call, or use log(name, value, reduce=...)."
            )
        self._log(name, value, "mean")

    def log(self, name: str, value: Any, reduce: str = "mean") -> None:
        """Show a value in the logs of `fit` and `evaluate`, from inside `call` or a step.

        Nothing waits for the value: it is summed up on the device, and fetched with the logs. What
        is not logged while a model is evaluated is not in the logs of that.

        Args:
            name: the name in the logs (`val_` is put before it for validation data); numbered where
                another layer, or metric, has it.
            value: a number or tensor; all its elements count.
            reduce: what becomes of an epoch's values: "mean", "sum", or "last" (the mean of the
                elements of the last value).

        Raises:
            ValueError: an unknown `reduce`, or another one than this name had before.
            TypeError: a name that is no string.

        Example:
            >>> import weft
            >>> class Watched(weft.layers.Dense):
            ...     def call(self, inputs):
            ...         outputs = super().call(inputs)
            ...         self.log("largest", weft.ops.max(outputs), reduce="last")
            ...         return outputs
            >>> model = weft.Sequential([Watched(2, kernel_initializer="ones")])
            >>> model.compile("sgd", "mse")
            >>> logs = model.evaluate([[1.0, 2.0]], [[0.0, 0.0]], verbose=0, return_dict=True)
            >>> logs["largest"]
            3.0
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"log(name, value): the name must be a string, got {name!r}.")
        self._log(name, value, reduce)

    def _log(self, name: str, value: Any, reduce: str) -> None:
        if reduce not in _REDUCE:
            raise ValueError(f"log: reduce must be one of {', '.join(_REDUCE)}, got {reduce!r}.")
        metric = self._added_metrics.get(name)
        if metric is None:
            metric = Logged(name, reduce)
            metric.update_state(value)
            self._added_metrics[name] = metric
            tracking.changed()
        elif metric.reduce != reduce:
            raise ValueError(
                f"{name!r} was logged with reduce={metric.reduce!r} and now with {reduce!r}. Use "
                "another name for the one of them."
            )
        else:
            metric.update_state(value)


_REDUCE = ("mean", "sum", "last")


def _summed(total: Any, count: Any, value: Any, *, reduce: str) -> tuple[Any, Any]:
    value = value.astype(total.dtype)
    if reduce == "last":
        return jnp.mean(value), jnp.ones_like(count)
    added = value.size if reduce == "mean" else 1 - count
    return total + jnp.sum(value), count + added


_sum_up = ArrayOp(_summed, "log")
_quotient = ArrayOp(lambda total, count: total / jnp.maximum(count, 1), "logged")


class Logged(Metric):
    """The values that a layer logs under one name, summed up.

    Args:
        name: in the logs.
        reduce: "mean", "sum" or "last".
    """

    #: Whether nothing was logged since the last reset; such a name is left out of the logs.
    idle = True

    def __init__(self, name: str, reduce: str) -> None:
        super().__init__(name)
        self.reduce = reduce
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, value: Any) -> None:
        """Take in a value: one node."""
        total, count = _sum_up(self.total, self.count, value, reduce=self.reduce)
        give_value(self.total, total)
        give_value(self.count, count)
        self.idle = False

    def reset_state(self) -> None:
        """Forget the values."""
        super().reset_state()
        self.idle = True

    reset_states = reset_state

    def result(self) -> Tensor:
        """What they come to; 0 without values."""
        return _quotient(self.total, self.count)
