"""What `compile` was given: the losses and metrics, matched with a model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from weft import losses as losses_module
from weft import metrics as metrics_module
from weft.engine import ArrayLike, ShapeError, Tensor, Variable, as_tensor, nest
from weft.losses import Loss
from weft.metrics import Mean, Metric
from weft.optimizers.schedules import LearningRateSchedule
from weft.training.ranks import in_one_shape

__all__ = ["CompiledLoss", "CompiledMetrics"]


def outputs_of(y_pred: Any, names: Sequence[str] | None = None) -> dict[str | None, Any]:
    """The outputs of a model by name; a single one has the name None."""
    if isinstance(y_pred, dict):
        return dict(y_pred)
    if isinstance(y_pred, list | tuple):
        keys = names or [f"output_{k + 1}" for k in range(len(y_pred))]
        return dict(zip(keys, y_pred, strict=True))
    return {None: y_pred}


def matched(what: str, given: Any, outputs: dict[Any, Any], *, spread: bool) -> dict[Any, Any]:
    """One entry of `given` (a dict by output, a list in order, or one thing) for each output.

    Args:
        what: for messages: "y", "loss", ...
        given: None gives None for each.
        outputs: by name.
        spread: whether one thing stands for all outputs.

    Raises:
        ValueError: a name or a number that does not fit.
    """
    if given is None:
        return dict.fromkeys(outputs)
    if None in outputs and len(outputs) == 1:
        if isinstance(given, list | tuple) and len(given) == 1:
            given = given[0]
        elif isinstance(given, dict) and "class_name" not in given:  # which a config has
            if len(given) != 1:
                raise ValueError(f"{what} names {list(given)}, but the model has one output.")
            (given,) = given.values()
        return {None: given}
    if isinstance(given, dict):
        unknown = [k for k in given if k not in outputs]
        if unknown:
            raise ValueError(
                f"{what} names the outputs {unknown}, but the model's outputs are {list(outputs)}."
            )
        return {k: given.get(k) for k in outputs}
    if isinstance(given, list | tuple):
        if len(given) != len(outputs):
            raise ValueError(
                f"{what} has {len(given)} entries for the {len(outputs)} outputs {list(outputs)}."
            )
        return dict(zip(outputs, given, strict=True))
    if not spread:
        raise ValueError(
            f"{what} must have one entry for each of the outputs {list(outputs)}, as a dict or "
            f"list; got one {type(given).__name__}."
        )
    return dict.fromkeys(outputs, given)


class CompiledLoss:
    """The losses of `compile`: called on targets and outputs, it gives their weighted sum.

    With several outputs, each one's loss is averaged in a metric `<output>_loss`, unweighted.

    Args:
        loss: what `compile` takes.
        weights: None, or by output a number, a scalar variable, a schedule, or a callable without
            arguments. `weights` holds them in this structure, numbers as variables, so that each
            can be assigned while training goes on.
        names: of the outputs, for a model that returns a list.
        step: gives what schedules are functions of.
    """

    def __init__(
        self,
        loss: Any,
        weights: Any = None,
        names: Any = None,
        step: Callable[[], Any] | None = None,
    ) -> None:
        self.given, self.names = loss, names
        self.weights = nest.mapped(_loss_weight, weights)
        self._step = step
        self.trackers: dict[Any, Mean] = {}
        self._losses: dict[Any, Loss | None] | None = None
        self._shapes: dict[Any, tuple[int, ...]] = {}
        self._expected: Any = None

    def expect(self, y_true: Any) -> None:
        """Let the losses check all targets of a run, now or once the outputs' shapes are known.

        None forgets what was to be checked.
        """
        self._expected = y_true
        if y_true is not None and self._shapes:
            self._check()

    def _check(self) -> None:
        given, self._expected = self._expected, None
        targets = matched("y", given, self._shapes, spread=False)
        for name, loss in (self._losses or {}).items():
            if loss is not None and isinstance(targets[name], np.ndarray):
                loss.check_targets(targets[name], self._shapes[name])

    def _build(self, outputs: dict[Any, Any]) -> None:
        found = matched("loss", self.given, outputs, spread=True)
        self._losses = {k: None if v is None else as_loss(v) for k, v in found.items()}
        self._weights = matched("loss_weights", self.weights, outputs, spread=True)
        if len(outputs) > 1:
            self.trackers = {
                k: Mean(name=f"{k}_loss") for k, v in self._losses.items() if v is not None
            }

    @property
    def metrics(self) -> list[Metric]:
        """The averages of the outputs' losses."""
        return list(self.trackers.values())

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        outputs = outputs_of(y_pred, self.names)
        if self._losses is None or self._losses.keys() != outputs.keys():
            self._build(outputs)
        assert self._losses is not None
        self._shapes = {k: tuple(v.shape) for k, v in outputs.items()}
        if self._expected is not None:
            self._check()
        targets = matched("y", y_true, outputs, spread=False)
        weights = matched("sample_weight", sample_weight, outputs, spread=True)
        total: Any = None
        for name, loss in self._losses.items():
            if loss is None:
                continue
            if targets[name] is None:
                where = "" if name is None else f" of output {name!r}"
                raise ValueError(
                    f"the loss{where} needs targets, but the data has no y. Pass y, or batches of "
                    "(x, y)."
                )
            call = partial(loss, sample_weight=weights[name])
            value = as_tensor(in_one_shape(loss.name, call, targets[name], outputs[name]))
            if value.shape != ():
                raise ValueError(
                    f"the loss {getattr(loss, 'name', loss)!r} returned shape "
                    f"{tuple(value.shape)}; to train on it, it must be a scalar. Reduce it "
                    "(reduction='sum_over_batch_size', or a mean in your function)."
                )
            if name in self.trackers:
                self.trackers[name].update_state(value, sample_weight=_rows(outputs[name]))
            weight = self._weights[name]
            if isinstance(weight, LearningRateSchedule):
                weight = weight(self._step() if self._step else 0)
            elif callable(weight) and not isinstance(weight, ArrayLike):
                weight = weight()
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        if total is None:
            raise ValueError("no loss to compute: compile the model with a loss.")
        return total


def _loss_weight(given: Any) -> Any:
    """A loss's weight as something that can change; numbers become variables."""
    if given is None or isinstance(given, ArrayLike) or callable(given):
        if isinstance(given, ArrayLike) and tuple(given.shape) != ():
            raise ShapeError(f"a loss weight is a scalar, got shape {tuple(given.shape)}.")
        return given
    if isinstance(given, bool) or not isinstance(given, int | float | np.number | np.ndarray):
        raise TypeError(
            "loss_weights holds numbers, variables, schedules or callables without arguments, got "
            f"{given!r}."
        )
    if np.ndim(given) or not np.isfinite(given):
        raise ValueError(f"a loss weight is a finite scalar, got {given!r}.")
    return Variable(np.float32(given), trainable=False, name="loss_weight")


def _rows(output: Any) -> int:
    return output.shape[0] if output.shape else 1


def as_loss(loss: Any) -> Loss:
    """A loss object from an object, string or function of (y_true, y_pred)."""
    if isinstance(loss, Loss):
        return loss
    found = losses_module.get(loss)
    if isinstance(found, Loss):
        return found
    return losses_module.LossFunctionWrapper(found, name=getattr(found, "__name__", "loss"))


class CompiledMetrics:
    """The metrics of `compile`, made when the shapes of targets and outputs are known."""

    def __init__(self, metrics: Any = None, weighted: Any = None, names: Any = None) -> None:
        self.given, self.weighted, self.names = metrics, weighted, names
        self._by_output: dict[Any, list[tuple[Metric, bool]]] | None = None
        self.name = "compile_metrics"

    @property
    def metrics(self) -> list[Metric]:
        """All of them, once they are made."""
        by_output = self._by_output or {}
        return [metric for group in by_output.values() for metric, _ in group]

    @property
    def variables(self) -> list[Any]:
        """Their state, once they are made."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def listed(self) -> list[Any]:
        """What stands for them in a model's `metrics`: before they are made, this object.

        So a `train_step` that updates each of `self.metrics`, as Keras 3's guides do, makes them.
        """
        if self._by_output is None and (self.given or self.weighted):
            return [self]
        return list(self.metrics)

    def _build(self, targets: dict[Any, Any], outputs: dict[Any, Any]) -> None:
        by_output: dict[Any, list[tuple[Metric, bool]]] = {k: [] for k in outputs}
        for given, is_weighted in ((self.given, False), (self.weighted, True)):
            for name, wanted in _spread(given, outputs).items():
                for one in wanted:
                    metric = as_metric(one, targets[name], outputs[name])
                    if name is not None:
                        metric.name = f"{name}_{metric.name}"
                    by_output[name].append((metric, is_weighted))
        names = [m.name for group in by_output.values() for m, _ in group]
        repeated = {n for n in names if names.count(n) > 1}
        for name in repeated:
            same = [m for group in by_output.values() for m, _ in group if m.name == name]
            for k, metric in enumerate(same[1:], 1):
                metric.name = f"{name}_{k}"
        self._by_output = by_output

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update all metrics with one batch."""
        if self.given is None and self.weighted is None:
            return
        outputs = outputs_of(y_pred, self.names)
        targets = matched("y", y_true, outputs, spread=False)
        weights = matched("sample_weight", sample_weight, outputs, spread=True)
        if self._by_output is None:
            self._build(targets, outputs)
        assert self._by_output is not None
        for name, group in self._by_output.items():
            if targets[name] is None:
                continue
            for metric, weighted in group:
                update = metric.update_state
                if weighted and weights[name] is not None:
                    update = partial(update, sample_weight=weights[name])
                in_one_shape(metric.name, update, targets[name], outputs[name])

    def reset_state(self) -> None:
        """Reset all metrics, also those that were given as objects and are not matched yet."""
        given = self.metrics if self._by_output else _flat([self.given, self.weighted])
        for metric in given:
            if isinstance(metric, Metric):
                metric.reset_state()

    reset_states = reset_state

    def result(self) -> dict[str, Any]:
        """The results by name."""
        return results(self.metrics)


def results(metrics: Sequence[Metric]) -> dict[str, Any]:
    """The metrics' results by name, those that are dicts laid flat."""
    found: dict[str, Any] = {}
    for metric in metrics:
        value = metric.result()
        if isinstance(value, str | list | tuple):
            raise TypeError(
                f"the metric {metric.name!r} ({type(metric).__name__}) returned a "
                f"{type(value).__name__} as its result; return a scalar tensor, or a dict of them "
                "by name to report several values."
            )
        if isinstance(value, dict):
            found.update(value)
        else:
            found[metric.name] = value
    return found


def _spread(given: Any, outputs: dict[Any, Any]) -> dict[Any, list[Any]]:
    """Metrics by output: a dict by name, a list of lists in order, or a list for each output."""
    if given is None:
        return {k: [] for k in outputs}
    if None in outputs:
        return {None: _flat(given)}
    nested = isinstance(given, list | tuple) and any(isinstance(g, list | tuple) for g in given)
    if (
        isinstance(given, dict)
        or nested
        or (isinstance(given, list | tuple) and len(given) == len(outputs))
    ):
        found = matched("metrics", given, outputs, spread=True)
        return {k: _flat(v) for k, v in found.items()}
    return {k: _flat(given) for k in outputs}


def _flat(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return [one for part in given for one in _flat(part)]
    return [given]


def as_metric(metric: Any, y_true: Any, y_pred: Any) -> Metric:
    """A metric object from an object, string or function; accuracy, crossentropy go by shapes."""
    if isinstance(metric, Metric):
        return metric
    if metric in ("accuracy", "acc"):
        cls = metrics_module.accuracy_for(y_true.shape, y_pred.shape)
        return cls(name=metric)  # type: ignore[no-any-return]
    if metric in ("crossentropy", "ce"):
        cls = metrics_module.crossentropy_for(y_true.shape, y_pred.shape)
        return cls(name=metric)  # type: ignore[no-any-return]
    found: Metric | Callable[..., Any] = metrics_module.get(metric)
    if isinstance(found, type):
        found = found()
    if isinstance(found, Metric):
        if isinstance(metric, str):
            found.name = metric
        return found
    name = metric if isinstance(metric, str) else getattr(found, "__name__", "metric")
    return metrics_module.MeanMetricWrapper(found, name=name)
