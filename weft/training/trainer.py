"""`Trainer`: compile, fit, evaluate and predict, which every model has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from inspect import isroutine, signature
from typing import Any

import jax

from weft import optimizers
from weft.engine import GradientTape, Tensor
from weft.engine.stateless import stateless
from weft.engine.trace import state
from weft.layers.added import Logged
from weft.metrics import Mean, Metric
from weft.training.by_row import goes_by_row, number
from weft.training.compiled import CompiledLoss, CompiledMetrics, results
from weft.training.fitting import Fitting
from weft.training.sources import unpack

__all__ = ["Trainer"]


class _Compiled:
    """What `compile` was given, and what follows from it."""

    def __init__(
        self, optimizer: Any, loss: Any, loss_weights: Any, metrics: Any, weighted: Any, names: Any
    ):
        self.optimizer = optimizers.get(optimizer) if optimizer is not None else None
        self.loss = CompiledLoss(loss, loss_weights, names, self._steps)
        self.has_loss = loss is not None  # or one was added by a layer
        self.metrics = CompiledMetrics(metrics, weighted, names)
        self.loss_tracker = Mean(name="loss")
        # Losses computed in this step that the tracker has not been given, with their rows, and
        # what its sum was then; None outside of steps.
        self.untracked: list[tuple[Any, Any, Any]] | None = None
        self.metrics.before_update = self.track

    def track(self) -> None:
        """Give the tracker what was computed, where the step has not done so: as Keras 2 does."""
        untracked, self.untracked = self.untracked, None
        now = state.trace.read(self.loss_tracker.total)
        for loss, rows, then in untracked or ():
            if then is now:  # else the step did it
                self.loss_tracker.update_state(loss, sample_weight=rows)

    def computed(self, loss: Any, rows: Any) -> None:
        """Note a loss that the tracker may have to be given."""
        if self.untracked is not None:
            self.untracked.append((loss, rows, state.trace.read(self.loss_tracker.total)))

    def _steps(self) -> Any:
        return 0 if self.optimizer is None else self.optimizer.iterations


def _is_metric(given: Any) -> bool:
    """Whether what stands for a loss weight is a metric: a weight's callable takes nothing."""
    if isroutine(given):
        return any(p.default is p.empty for p in signature(given).parameters.values())
    return isinstance(given, str | Metric)


class Trainer(Fitting):
    """Training, evaluation and prediction of a model, in compiled steps."""

    # State is kept in one object, so that a model's own attributes stay the user's.
    _compiled: _Compiled | None = None
    optimizer: Any = None
    loss: Any = None

    # -- compile --------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        The logs have `loss`, the whole that is minimised; where several outputs have a loss,
        `<output>_loss` for each, before its weight; and `<metric>` or, of several outputs,
        `<output>_<metric>`. A name given twice is numbered (`mae_1`), and a weighted metric whose
        name is taken has `weighted_` before it. Outputs are named as in `Outputs`; those of a
        subclass that returns a list are `output_1`, `output_2`, ... as in Keras 2 (Keras 3 names
        their losses after the losses' functions, so that two of one kind fall together). Values
        that a mask leaves out do not count in metrics either.

        Args:
            optimizer: a name, an Optimizer or an Optax transformation.
            loss: a name, Loss or function `(y_true, y_pred)`; with several outputs a dict by name
                or a list.
            loss_weights: in the same structure, numbers, variables, schedules (of the optimizer's
                `iterations`) or callables without arguments (asked while the step is traced, so
                they return tensors). Numbers become variables, `compiled_loss.weights`: a callback
                that assigns one changes the weight, and nothing is compiled again. Metrics in
                their place, by position, are taken for metrics: so Keras 2's order works.
            metrics, weighted_metrics: names, metrics or functions, or lists of them; likewise. A
                list as long as that of the outputs has an entry for each; another one is for all of
                them. The weighted ones get the sample weights.
            run_eagerly: run the step's Python at every step (values can be asked for and printed).
            steps_per_execution: how many batches one program goes through; callbacks see the last
                of them. It pays where a step is short. At the end of the data the same program
                takes fewer.
            jit_compile: accepted for Keras's sake: every step is compiled.
            auto_scale_loss: whether a model of the policy "mixed_float16" has its optimizer put
                into a LossScaleOptimizer.

        Raises:
            ValueError: an unknown name of an optimizer (the near ones are listed; those of losses
                and metrics are looked up with the first batch), `steps_per_execution` is no
                positive integer, or `jit_compile` neither a bool nor "auto".
        """
        if jit_compile not in ("auto", True, False, None):
            raise ValueError(f'jit_compile must be True, False or "auto", got {jit_compile!r}.')
        whole = isinstance(steps_per_execution, int) and not isinstance(steps_per_execution, bool)
        if not whole or steps_per_execution < 1:
            raise ValueError(
                f"steps_per_execution must be a positive integer, got {steps_per_execution!r}."
            )
        if any(map(_is_metric, jax.tree.leaves(loss_weights))):
            loss_weights, metrics = metrics, loss_weights
        names = self._names_of_outputs()  # type: ignore[attr-defined]
        compiled = _Compiled(optimizer, loss, loss_weights, metrics, weighted_metrics, names)
        half = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        plain = not isinstance(compiled.optimizer, optimizers.LossScaleOptimizer | None)
        if auto_scale_loss and half and plain:
            compiled.optimizer = optimizers.LossScaleOptimizer(compiled.optimizer)
        set_ = object.__setattr__
        set_(self, "_compiled", compiled)
        set_(self, "optimizer", compiled.optimizer)
        set_(self, "loss", loss)
        set_(self, "jit_compile", jit_compile if isinstance(jit_compile, bool) else True)
        set_(self, "run_eagerly", bool(run_eagerly))
        set_(self, "steps_per_execution", steps_per_execution)
        set_(self, "stop_training", False)
        self._forget_steps()

    def _need_compiled(self, method: str) -> _Compiled:
        if self._compiled is None:
            raise ValueError(
                f"{method}: model {getattr(self, 'name', '')!r} is not compiled. Call "
                "model.compile(optimizer=..., loss=...) first."
            )
        return self._compiled

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def compiled_loss(self) -> Callable[..., Any]:
        """Keras 2's way to the loss: `compiled_loss(y, y_pred, sample_weight=None,
        regularization_losses=None)` gives the total and updates the `loss` metric.

        Its attribute `weights` holds the `loss_weights`, numbers as variables to assign to.
        """
        compiled = self._need_compiled("compiled_loss")

        def loss(
            y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
        ) -> Tensor:
            total = compiled.loss(y_true, y_pred, sample_weight)
            for extra in regularization_losses or ():
                total = total + extra
            compiled.loss_tracker.update_state(total, sample_weight=_rows(y_pred))
            return total

        loss.weights = compiled.loss.weights  # type: ignore[attr-defined]
        return loss

    @property
    def compiled_metrics(self) -> CompiledMetrics:
        """Keras 2's way to the metrics: `compiled_metrics.update_state(y, y_pred)`."""
        return self._need_compiled("compiled_metrics").metrics

    @property
    def metrics(self) -> list[Metric]:
        """The loss's average, the metrics of `compile`, and those of the layers."""
        own = super().metrics  # type: ignore[misc]
        compiled = self._compiled
        if compiled is None:
            return list(own)
        first: list[Metric] = [compiled.loss_tracker] if compiled.has_loss else []
        return [*first, *compiled.loss.metrics, *compiled.metrics.listed, *own]

    @property
    def metrics_variables(self) -> list[Any]:
        """The variables of `metrics`."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Reset the state of all metrics."""
        for metric in self.metrics:
            metric.reset_state()
        for metric in self._logged():  # also where a subclass says itself what its metrics are
            metric.reset_state()

    def _logged(self) -> list[Logged]:
        """The values that layers log."""
        return [m for m in super().metrics if isinstance(m, Logged)]  # type: ignore[misc]

    # -- steps, to be overridden ----------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The scalar to be minimised: the compiled loss, and those added by layers.

        Override it for a loss of another form.
        """
        compiled = self._need_compiled("compute_loss")
        parts = list(self.losses)  # type: ignore[attr-defined]
        if compiled.loss.given is not None:
            parts.insert(0, compiled.loss(y, y_pred, sample_weight))
        if not parts:
            raise ValueError(
                "there is no loss to minimise: compile the model with one, call add_loss in a "
                "layer, or override compute_loss or train_step."
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        compiled.computed(total, _rows(x if y_pred is None else y_pred))
        return total

    def stateless_compute_loss(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        metrics_variables: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[list[Any], list[Any], list[Any]]]:
        """`compute_loss` as a pure function, for JAX's transformations.

        Args:
            trainable_variables, non_trainable_variables, metrics_variables: arrays in the order of
                the attributes of these names.
            x, y, y_pred, sample_weight, training: of `compute_loss`.

        Returns:
            The loss, and the values of the three lists of variables afterwards.
        """
        lists = (self.trainable_variables, self.non_trainable_variables, self.metrics_variables)  # type: ignore[attr-defined]
        values = [*trainable_variables, *non_trainable_variables, *metrics_variables]
        loss, news = stateless(self, _computed_loss)(
            [v for variables in lists for v in variables], values, x, y, y_pred, sample_weight,
            training,
        )  # fmt: skip
        rest = iter(news)
        return loss, tuple([next(rest) for _ in variables] for variables in lists)  # type: ignore[return-value]

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics with a batch, and give all results by name."""
        self._need_compiled("compute_metrics").metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The results of all metrics by name."""
        return results(self.metrics)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch; override it for another kind of step.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`, nests of tensors.

        Returns:
            Values by name, for the logs.
        """
        x, y, sample_weight = unpack(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)  # type: ignore[operator]
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            if loss.shape != ():
                raise ValueError(
                    f"the loss to minimise has shape {tuple(loss.shape)}; it must be a scalar. "
                    "Reduce it in compute_loss (weft.ops.mean)."
                )
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        self._track_loss(loss, x)
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if variables:
            gradients = tape.gradient(scaled, variables)
            self._need_optimizer().apply_gradients(zip(gradients, variables, strict=True))
        else:
            warnings.warn("the model has no trainable weights: fit changes nothing.", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _need_optimizer(self) -> Any:
        if self.optimizer is None:
            raise ValueError("the model was compiled without an optimizer; fit needs one.")
        return self.optimizer

    def _track_loss(self, loss: Any, x: Any) -> None:
        compiled = self._need_compiled("train_step")
        compiled.has_loss = True
        compiled.untracked = None
        compiled.loss_tracker.update_state(loss, sample_weight=_rows(x))

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation on a batch; override it for another kind of step."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        if self._need_compiled("test_step").has_loss or self.losses:  # type: ignore[attr-defined]
            self._track_loss(self.compute_loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _goes_by_row(self, mode: str) -> bool:
        return goes_by_row(self, Trainer, mode)

    def _with_logged(self, step: Callable[..., Any], data: Any) -> Any:
        """What a step returns, with what layers logged in it."""
        compiled = self._need_compiled("a step")
        compiled.untracked = []
        try:
            logs = step(data)
        finally:
            compiled.untracked = None
        if not isinstance(logs, dict):
            return logs
        logged = results(self._logged())
        return {**logs, **{k: v for k, v in logged.items() if k not in logs}} if logged else logs

    def predict_step(self, data: Any) -> Any:
        """The outputs for a batch; override it for another kind of step."""
        x, _, _ = unpack(data)
        return self(x, training=False)  # type: ignore[operator]


def _rows(given: Any) -> Any:
    """How many of a batch's rows count."""
    shape = jax.tree.leaves(given)[0].shape
    return number(shape[0]) if shape else 1


def _computed_loss(model: Any, x: Any, y: Any, y_pred: Any, weight: Any, training: bool) -> Any:
    return model.compute_loss(x, y, y_pred, weight, training=training)
