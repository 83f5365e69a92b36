"""`Trainer`: compile, fit, evaluate and predict, which every model has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from inspect import isroutine, signature
from typing import Any

import jax
import numpy as np

from weft import optimizers
from weft.engine import (
    Function,
    GradientTape,
    Tensor,
    ValueNeededError,
    config,
    flush,
    to_numpy,
)
from weft.metrics import Mean, Metric
from weft.training import sources
from weft.training.callback_list import CallbackList
from weft.training.compiled import CompiledLoss, CompiledMetrics, results
from weft.training.history import History
from weft.training.logs import Logs
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

    def _steps(self) -> Any:
        return 0 if self.optimizer is None else self.optimizer.iterations


def _is_metric(given: Any) -> bool:
    """Whether what stands for a loss weight is a metric: a weight's callable takes nothing."""
    if isroutine(given):
        return any(p.default is p.empty for p in signature(given).parameters.values())
    return isinstance(given, str | Metric)


class _Steps:
    """One of a model's step functions: compiled, or run as Python where that cannot be."""

    def __init__(self, model: Trainer, name: str) -> None:
        self.name = name
        self.python: Callable[..., Any] = getattr(model, name)
        self.function = Function(self.python, name)
        self.lazily = model.run_eagerly

    def __call__(self, batch: Any) -> Any:
        if not self.lazily and not config.is_eager():
            try:
                return self.function.run_arrays(batch)
            except ValueNeededError as error:
                warnings.warn(
                    f"{self.name} asks for a tensor's value ({error.line}), so its Python is run "
                    "at every step instead of once; each step is still compiled work. Use "
                    "weft.ops.cond or where to have one program, or compile(run_eagerly=True) to "
                    "silence this.",
                    UserWarning,
                    stacklevel=4,
                )
                self.lazily = True
        result = self.python(jax.tree.map(Tensor, batch))
        flush()
        return result


class Trainer:
    """Training, evaluation and prediction of a model, in compiled steps."""

    # State is kept in one object, so that a model's own attributes stay the user's.
    _compiled: _Compiled | None = None
    run_eagerly: bool = False
    steps_per_execution: int = 1
    stop_training: bool = False
    optimizer: Any = None
    loss: Any = None
    history: History | None = None

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

        Args:
            optimizer: a name, an Optimizer or an Optax transformation.
            loss: a name, Loss or function `(y_true, y_pred)`; with several outputs a dict by name
                or a list.
            loss_weights: in the same structure, numbers, variables, schedules (of the optimizer's
                `iterations`) or callables without arguments (asked while the step is traced, so
                they return tensors). Numbers become variables, `compiled_loss.weights`: a callback
                that assigns one changes the weight, and nothing is compiled again. Metrics in
                their place, by position, are taken for metrics: so Keras 2's order works.
            metrics, weighted_metrics: names, metrics or functions; likewise. The weighted ones get
                the sample weights.
            run_eagerly: run the step's Python at every step (values can be asked for and printed).
            steps_per_execution: batches in one call of the step; 1 for now.
            jit_compile, auto_scale_loss: accepted for Keras's sake: every step is compiled.

        Raises:
            ValueError: an unknown name (the near ones are listed).
        """
        if steps_per_execution != 1:
            raise ValueError(
                f"steps_per_execution={steps_per_execution}: only 1 is supported so far."
            )
        if any(map(_is_metric, jax.tree.leaves(loss_weights))):
            loss_weights, metrics = metrics, loss_weights
        names = self._names_of_outputs()  # type: ignore[attr-defined]
        compiled = _Compiled(optimizer, loss, loss_weights, metrics, weighted_metrics, names)
        set_ = object.__setattr__
        set_(self, "_compiled", compiled)
        set_(self, "optimizer", compiled.optimizer)
        set_(self, "loss", loss)
        set_(self, "run_eagerly", bool(run_eagerly))
        set_(self, "stop_training", False)
        self._forget_steps()

    def _forget_steps(self) -> None:
        object.__setattr__(self, "_step_functions", {})

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
            rows = jax.tree.leaves(y_pred)[0].shape
            compiled.loss_tracker.update_state(total, sample_weight=rows[0] if rows else 1)
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
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Reset the state of all metrics."""
        for metric in self.metrics:
            metric.reset_state()

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
        return total

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
        shape = jax.tree.leaves(x)[0].shape
        compiled.loss_tracker.update_state(loss, sample_weight=shape[0] if shape else 1)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation on a batch; override it for another kind of step."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        if self._need_compiled("test_step").has_loss or self.losses:  # type: ignore[attr-defined]
            self._track_loss(self.compute_loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The outputs for a batch; override it for another kind of step."""
        x, _, _ = unpack(data)
        return self(x, training=False)  # type: ignore[operator]

    def _steps(self, name: str) -> _Steps:
        made = self.__dict__.get("_step_functions")
        if made is None:
            self._forget_steps()
            made = self.__dict__["_step_functions"]
        if name not in made:
            made[name] = _Steps(self, name)
        return made[name]  # type: ignore[no-any-return]

    @property
    def programs(self) -> dict[str, list[Any]]:
        """The programs compiled for each step function, for inspection."""
        made = self.__dict__.get("_step_functions") or {}
        return {name: steps.function.programs for name, steps in made.items()}

    # -- loops ----------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: inputs: an array or a nest of them (first dimension: examples), or an iterable of
                batches (`weft.data.Dataset`, generator, torch DataLoader, ...).
            y: targets, in the structure of the outputs.
            batch_size: examples a step; 32 by default.
            epochs: the epoch to stop at.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch, "auto" 1.
            callbacks: Callback objects.
            validation_split: the last part of the arrays is held out.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or an iterable of batches.
            shuffle: whether arrays are shuffled anew each epoch.
            class_weight: weights of the examples of each class.
            sample_weight: weights of the examples.
            initial_epoch: the number of the first epoch.
            steps_per_epoch: batches an epoch.
            validation_steps, validation_batch_size: for the evaluation of `validation_data`.
            validation_freq: evaluate each so many epochs.

        Returns:
            The History: `history.history["loss"]` and so on, a value for each epoch.

        Raises:
            ValueError: the model is not compiled; arrays of unlike lengths or without examples.
        """
        compiled = self._need_compiled("fit")
        if x is None:
            raise ValueError("fit needs data: x, or an iterable of batches.")
        if validation_split and validation_data is None:
            whole = sources.arrays(x, y, sample_weight)
            kept, held = sources.split(whole, validation_split)
            x, y, sample_weight = unpack(kept)
            validation_data = held
        source = sources.source_for(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        validation = None
        if validation_data is not None:
            packed = sources.is_iterable_of_batches(validation_data)
            parts = (validation_data,) if packed else unpack(validation_data)
            validation = sources.source_for(
                *parts, batch_size=validation_batch_size or batch_size, steps=validation_steps
            )
        compiled.loss.expect(source.targets)
        callback_list = _callbacks(
            self, callbacks, verbose, add_history=True, epochs=epochs, steps=source.size
        )
        step = self._steps("train_step")
        object.__setattr__(self, "stop_training", False)
        logs = Logs()
        try:
            callback_list.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                callback_list.on_epoch_begin(epoch)
                logs = Logs(_run_epoch(source, step, callback_list, "train", self))
                if validation is not None and (epoch + 1 - initial_epoch) % validation_freq == 0:
                    found = self._evaluate(validation, callback_list)
                    logs.update({f"val_{name}": value for name, value in found.items()})
                callback_list.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self.optimizer is not None:
                self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
            callback_list.on_train_end(logs)
        finally:
            callback_list.close()
            self._after()
        assert self.history is not None
        return self.history

    def _after(self) -> None:
        """A run is over: forget its targets, and the losses that a traced step left (symbolic)."""
        if self._compiled is not None:
            self._compiled.loss.expect(None)
        self._clear_losses()  # type: ignore[attr-defined]

    def _evaluate(self, source: sources.Source, callback_list: CallbackList) -> dict[str, Any]:
        self._need_compiled("evaluate").loss.expect(source.targets)
        self.reset_metrics()
        callback_list.on_test_begin()
        logs = _run_epoch(source, self._steps("test_step"), callback_list, "test", self)
        callback_list.on_test_end(logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, given as for `fit`.

        Returns:
            The loss, or a list of it and the metrics; with `return_dict` a dict by name.
        """
        self._need_compiled("evaluate")
        source = sources.source_for(x, y, sample_weight, batch_size=batch_size, steps=steps)
        callback_list = _callbacks(self, callbacks, verbose, epochs=1, steps=source.size)
        try:
            logs = dict(Logs(self._evaluate(source, callback_list)))
        finally:
            callback_list.close()
            self._after()
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for data, batch by batch.

        Returns:
            NumPy arrays in the structure of the outputs, the batches joined.
        """
        source = sources.source_for(x, batch_size=batch_size, steps=steps)
        callback_list = _callbacks(self, callbacks, verbose, epochs=1, steps=source.size)
        step = self._steps("predict_step")
        batches: list[Any] = []
        try:
            callback_list.on_predict_begin()
            for index, batch in enumerate(source.batches()):
                callback_list.on_predict_batch_begin(index)
                outputs = step(batch)
                batches.append(outputs)
                callback_list.on_predict_batch_end(index, {"outputs": outputs})
            if not batches:
                raise ValueError("predict: the data gave no batches.")
            callback_list.on_predict_end()
        finally:
            callback_list.close()
            self._after()
        return jax.tree.map(
            lambda *parts: np.concatenate([to_numpy(part) for part in parts]), *batches
        )

    # -- single batches -------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on a batch; the metrics go on from earlier batches.

        Returns:
            The loss, or a list of it and the metrics; with `return_dict` a dict by name.
        """
        self._need_compiled("train_on_batch")
        return self._on_batch("train_step", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step of evaluation on a batch; returns as `train_on_batch`."""
        self._need_compiled("test_on_batch")
        return self._on_batch("test_step", x, y, sample_weight, None, return_dict)

    def _on_batch(
        self, step: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, as_dict: bool
    ) -> Any:
        data = sources.arrays(x, y, sample_weight)
        sources.check_lengths(data)
        if class_weight:
            data = sources.weighted_by_class(data, class_weight)
        logs = dict(Logs(self._steps(step)(jax.tree.map(np.array, sources.packed(data)))))
        self._after()
        if as_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        data = jax.tree.map(np.array, sources.packed(sources.arrays(x, None, None)))
        return jax.tree.map(to_numpy, self._steps("predict_step")(data))


def _callbacks(
    model: Any, callbacks: Any, verbose: Any, *, add_history: bool = False, **params: Any
) -> CallbackList:
    if isinstance(callbacks, CallbackList):
        return callbacks
    return CallbackList(
        callbacks,
        add_history=add_history,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        **params,
    )


def _run_epoch(
    source: sources.Source, step: _Steps, callbacks: CallbackList, mode: str, model: Any
) -> dict[str, Any]:
    """One pass over the batches; the logs of the last."""
    begin = getattr(callbacks, f"on_{mode}_batch_begin")
    end = getattr(callbacks, f"on_{mode}_batch_end")
    logs: Any = None
    for index, batch in enumerate(source.batches()):
        begin(index)
        logs = step(batch)
        end(index, logs)
        if mode == "train" and model.stop_training:
            break
    if logs is None:
        raise ValueError(
            "the data gave no batches. An iterator that was used up cannot be run again; pass a "
            "Dataset or a list of batches, or arrays."
        )
    if not isinstance(logs, dict):
        raise ValueError(
            f"{step.name} must return a dict of values by name, it returned {type(logs).__name__}."
        )
    return logs
