"""What `compile` was given: the losses and metrics, matched with a model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any

import numpy as np

from weft import losses as losses_module
from weft import metrics as metrics_module
from weft.engine import ArrayLike, ShapeError, Tensor, Variable, as_tensor, nest
from weft.engine.names import snake_case
from weft.layers.added import Logged
from weft.losses import Loss
from weft.metrics import Mean, Metric
from weft.optimizers.schedules import LearningRateSchedule
from weft.training.by_row import counted, number
from weft.training.outputs import Outputs
from weft.training.ranks import in_one_shape

__all__ = ["CompiledLoss", "CompiledMetrics"]


class CompiledLoss:
    """The losses of `compile`: called on targets and outputs, it gives their weighted sum.

    Where there are several, each one's is averaged in a metric `<output>_loss`, before its weight.

    Args:
        loss: what `compile` takes.
        weights: None, or by output a number, a scalar variable, a schedule, or a callable without
            arguments. `weights` holds them in this structure, numbers as variables, so that each
            can be assigned while training goes on.
        names: as in `Outputs`.
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
        self._outputs: Outputs | None = None  # shapes of the last batch's
        self._expected: Any = None

    def expect(self, y_true: Any) -> None:
        """Let the losses check all targets of a run, now or once the outputs' shapes are known.

        None forgets what was to be checked.
        """
        self._expected = y_true
        if y_true is not None and self._outputs is not None:
            self._check(self._outputs)

    def _check(self, outputs: Outputs) -> None:
        given, self._expected = self._expected, None
        targets = outputs.matched("y", given, spread=False)
        for name, loss in (self._losses or {}).items():
            if loss is not None and isinstance(targets[name], np.ndarray):
                loss.check_targets(targets[name], outputs.by_name[name])

    def _build(self, outputs: Outputs) -> None:
        found = outputs.matched("loss", self.given, spread=True)
        losses = {k: None if v is None else as_loss(v) for k, v in found.items()}
        self._weights = outputs.matched("loss_weights", self.weights, spread=True)
        used = [k for k, v in losses.items() if v is not None]
        self.trackers = {k: Mean(name=f"{k}_loss") for k in used} if len(used) > 1 else {}
        self._losses = losses

    @property
    def metrics(self) -> list[Metric]:
        """The averages of the outputs' losses."""
        return list(self.trackers.values())

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        outputs = Outputs(y_pred, self.names)
        if self._losses is None or list(self._losses) != outputs.names:
            self._build(outputs)
        assert self._losses is not None
        self._outputs = outputs.shapes()
        if self._expected is not None:
            self._check(self._outputs)
        targets = outputs.matched("y", y_true, spread=False)
        weights = outputs.matched("sample_weight", sample_weight, spread=True)
        total: Any = None
        for name, loss in self._losses.items():
            if loss is None:
                continue
            output = counted(outputs.by_name[name])
            if targets[name] is None:
                raise ValueError(_without_targets(name, y_true, targets))
            call = partial(loss, sample_weight=weights[name])
            value = as_tensor(in_one_shape(loss.name, call, targets[name], output))
            if value.shape != ():
                raise ValueError(
                    f"the loss {getattr(loss, 'name', loss)!r} returned shape "
                    f"{tuple(value.shape)}; to train on it, it must be a scalar. Reduce it "
                    "(reduction='sum_over_batch_size', or a mean in your function)."
                )
            if name in self.trackers:
                self.trackers[name].update_state(value, sample_weight=number(_rows(output)))
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


def _without_targets(name: str | None, y_true: Any, targets: dict[Any, Any]) -> str:
    if y_true is None:
        where = "" if name is None else f" of output {name!r}"
        return (
            f"the loss{where} needs targets, but the data has no y. Pass y, or batches of (x, y)."
        )
    there = [k for k, v in targets.items() if v is not None]
    return (
        f"the loss of output {name!r} needs targets, but y has them for {there} only. Give them, "
        "or compile without a loss for that output."
    )


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
        self.before_update: Callable[[], None] | None = None

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

    def _build(self, targets: dict[Any, Any], outputs: Outputs) -> None:
        by_output: dict[Any, list[tuple[Metric, bool]]] = {k: [] for k in outputs.names}
        used: set[str] = set()
        seen: set[int] = set()
        for what in ("metrics", "weighted_metrics"):
            weighted = what == "weighted_metrics"
            given = self.weighted if weighted else self.given
            for name, wanted in outputs.matched(what, given, spread=True, many=True).items():
                for one in _flat(wanted) if targets[name] is not None else ():
                    metric = as_metric(one, targets[name], outputs.by_name[name])
                    if id(metric) in seen:  # one for several outputs: a copy for each
                        metric = _another(metric)
                    seen.add(id(metric))
                    _rename(metric, outputs.prefix(name), weighted, used)
                    by_output[name].append((metric, weighted))
        self._by_output = by_output

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update all metrics with one batch."""
        if self.before_update is not None:
            self.before_update()
        if self.given is None and self.weighted is None:
            return
        outputs = Outputs(y_pred, self.names)
        targets = outputs.matched("y", y_true, spread=False)
        weights = outputs.matched("sample_weight", sample_weight, spread=True)
        if self._by_output is None:
            self._build(targets, outputs)
        assert self._by_output is not None
        for name, group in self._by_output.items():
            if targets[name] is None:
                continue
            output = counted(outputs.by_name[name])
            for metric, weighted in group:
                update = metric.update_state
                if weighted and weights[name] is not None:
                    update = partial(update, sample_weight=weights[name])
                in_one_shape(metric.name, update, targets[name], output)

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
        if isinstance(metric, Logged) and metric.idle:
            continue
        value = metric.result()
        if isinstance(value, str | list | tuple):
            raise TypeError(
                f"the metric {metric.name!r} ({type(metric).__name__}) returned a "
                f"{type(value).__name__} as its result; return a scalar tensor, or a dict of them "
                "by name to report several values."
            )
        for name, one in value.items() if isinstance(value, dict) else [(metric.name, value)]:
            found[unused(name, found)] = one
    return found


def _another(metric: Metric) -> Metric:
    try:
        return type(metric).from_config(metric.get_config())  # type: ignore[no-any-return]
    except TypeError as error:
        raise TypeError(
            f"the metric {metric.name!r} is given for several outputs, and its config makes no "
            f"other ({error}). Give one for each output, in a dict by name or a list."
        ) from error


def _rename(metric: Metric, prefix: str, weighted: bool, used: set[str]) -> None:
    """Give a metric its name in the logs: the output first, `weighted_` where that is taken.

    The name that it came with is kept, for its config and for the next time.
    """
    base = metric.__dict__.setdefault("_base_name", metric.name)
    name = prefix + base
    if weighted and name in used:
        name = f"{prefix}weighted_{base}"
    metric.name = unused(name, used)
    used.add(metric.name)


def unused(name: str, used: Container[str]) -> str:
    """`name`, with a number where it is taken."""
    found, k = name, 0
    while found in used:
        k += 1
        found = f"{name}_{k}"
    return found


def _flat(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, dict) and "class_name" not in given:
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
    name = metric if isinstance(metric, str) else _called(found)
    return metrics_module.MeanMetricWrapper(found, name=name)


def _called(function: Any) -> str:
    """The name of a function's values in logs; Keras writes it in snake case."""
    name = getattr(function, "name", None) or getattr(function, "__name__", None)
    return snake_case((name or type(function).__name__).strip("<>"))
