"""`Fitting`: fit, evaluate, predict and their single batches, in terms of step functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import jax
import numpy as np

from weft.engine import Tensor, nest, to_numpy
from weft.training import sources
from weft.training.callback_list import CallbackList
from weft.training.finite import FiniteSteps
from weft.training.history import History
from weft.training.joined import Joined
from weft.training.logs import Logs
from weft.training.preflight import Preflight, measure
from weft.training.steps import Batches, StepFunction
from weft.training.validation import Validation, held_out

__all__ = ["Fitting"]


class Fitting:
    """The loops of a model that has steps: the part of `Trainer` that goes through data."""

    steps_per_execution: int = 1
    run_eagerly: bool = False
    stop_training: bool = False
    _initial_epoch: int | None = None
    history: History | None = None
    train_function: Callable[..., Any] | None = None
    test_function: Callable[..., Any] | None = None
    predict_function: Callable[..., Any] | None = None

    # -- step functions -------------------------------------------------------------------

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `fit` calls: an iterator over batches -> the logs of a step.

        It takes `steps_per_execution` batches (fewer at the end of the data) through
        `train_step`. Override it to go through the data in another way; the function raises
        StopIteration, or is not called, when there are no more batches.

        Args:
            force: whether to make it anew, which compiles the step again.
        """
        return self._made("train", force)

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `evaluate` calls, as `make_train_function`."""
        return self._made("test", force)

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """The function that `predict` calls: an iterator -> the outputs for one batch."""
        return self._made("predict", force)

    def _made(self, kind: str, force: bool) -> Callable[..., Any]:
        name = f"{kind}_function"
        if force or getattr(self, name) is None:
            steps = 1 if kind == "predict" else self.steps_per_execution
            step = getattr(self, f"{kind}_step")
            _check_step(f"{type(self).__name__}.{kind}_step", step)
            if kind != "predict":
                step = partial(self._with_logged, step)  # type: ignore[attr-defined]
            made = StepFunction(
                step,
                f"{kind}_step",
                self.run_eagerly,
                steps,
                self._flatten_layers,  # type: ignore[attr-defined]
            )
            object.__setattr__(self, name, made)
        return getattr(self, name)  # type: ignore[no-any-return]

    def _forget_steps(self) -> None:
        for kind in ("train", "test", "predict"):
            object.__setattr__(self, f"{kind}_function", None)

    def __getstate__(self) -> dict[str, Any]:
        # A copy compiles its own.
        return {k: v for k, v in self.__dict__.items() if not isinstance(v, StepFunction)}

    @property
    def programs(self) -> dict[str, list[Any]]:
        """The programs compiled for each step, for inspection."""
        functions = {
            kind: getattr(self, f"{kind}_function") for kind in ("train", "test", "predict")
        }
        return {
            f"{kind}_step": function.programs
            for kind, function in functions.items()
            if isinstance(function, StepFunction)
        }

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
        check_finite: str | bool | None = None,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: inputs: an array or a nest of them (first dimension: examples), or an iterable of
                batches (`weft.data.Dataset`, generator, torch DataLoader, ...).
            y: targets, in the structure of the outputs.
            batch_size: examples a step; 32 by default. A shorter last batch of arrays is filled up
                and goes through the same program, its own rows alone counting, where that is known
                to change nothing (`Layer.by_row`); else it has a program of its own, compiled once.
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
            check_finite: True looks at the loss and the weights after each step (and so waits for
                it), and raises where they are not finite. "explain" also keeps the state before
                each step, goes back to it, runs the step again op by op to name the first value
                that is not finite, and writes a file from which `weft.training.replay` runs it.

        Returns:
            The History: `history.history["loss"]` and so on, a value for each epoch.

        Raises:
            ValueError: the model is not compiled; arrays of unlike lengths or without examples.
            NonFiniteError: with `check_finite`.
        """
        if check_finite not in (None, False, True, "explain"):
            raise ValueError(f"fit: check_finite is None, True or 'explain', got {check_finite!r}.")
        compiled = self._need_compiled("fit")
        epochs, initial_epoch = _epochs("epochs", epochs), _epochs("initial_epoch", initial_epoch)
        if x is None:
            raise ValueError("fit needs data: x, or an iterable of batches.")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = held_out(x, y, sample_weight, validation_split)
        one = self.steps_per_execution == 1
        source = sources.source_for(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
            continuing=True,
            names=self._names_of_outputs(),
            to_device=one,
        )
        validation = None
        if validation_data is not None:
            validation = Validation(
                validation_data,
                validation_batch_size,
                fallback=batch_size,
                steps=validation_steps,
                freq=validation_freq,
                to_device=one,
            )
            validation.check(self)
            validation.source.fill_up(partial(self._goes_by_row, "test"))  # type: ignore[attr-defined]
        if not check_finite:  # which looks at batches as they are
            source.fill_up(partial(self._goes_by_row, "train"))  # type: ignore[attr-defined]
        if not self.built and (batch := source.peek()) is not None:  # type: ignore[attr-defined]
            self._build_like(sources.unpack(batch)[0])  # type: ignore[attr-defined]
        compiled.loss.expect(source.targets)
        callback_list = _callbacks(
            self, callbacks, verbose, add_history=True, epochs=epochs, steps=source.size
        )
        step = self.make_train_function()
        if check_finite:
            step = FiniteSteps(self, step, check_finite == "explain")
        object.__setattr__(self, "stop_training", False)
        logs = Logs()
        try:
            object.__setattr__(self, "_initial_epoch", None)
            callback_list.on_train_begin()
            if self._initial_epoch is not None:  # a callback has found where to go on
                initial_epoch = self._initial_epoch
            for epoch in range(initial_epoch, epochs):
                if not source.more():
                    break
                self.reset_metrics()
                callback_list.on_epoch_begin(epoch)
                logs = Logs(_run_epoch(source, step, callback_list, "train", self))
                if validation is not None and validation.due(epoch):
                    try:
                        found = self._evaluate(validation.source, callback_list)
                    except Exception as error:
                        error.add_note(f"in validation_data, after epoch {epoch} (from 0)")
                        raise
                    logs.update({f"val_{name}": value for name, value in found.items()})
                callback_list.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self.optimizer is not None:
                self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]
            callback_list.on_train_end(logs)
        finally:
            callback_list.close()
            source.close()
            if validation is not None:
                validation.source.close()
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
        logs = _run_epoch(source, self.make_test_function(), callback_list, "test", self)
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
        source.fill_up(partial(self._goes_by_row, "test"))  # type: ignore[attr-defined]
        callback_list = _callbacks(self, callbacks, verbose, epochs=1, steps=source.size)
        try:
            logs = dict(Logs(self._evaluate(source, callback_list)))
        finally:
            callback_list.close()
            source.close()
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
        source.fill_up(partial(self._goes_by_row, "predict"))  # type: ignore[attr-defined]
        callback_list = _callbacks(self, callbacks, verbose, epochs=1, steps=source.size)
        step = self.make_predict_function()
        several = (
            isinstance(step, StepFunction)
            and isinstance(source, sources.ArraySource)
            and source.size != 1
            and not callback_list.watches("on_predict_batch")
        )
        outputs = Joined(source.rows)
        batches = Batches(source.batches())
        try:
            callback_list.on_predict_begin()
            while batches.more():
                callback_list.on_predict_batch_begin(batches.taken)
                if several:
                    step.gather(batches, outputs)
                    result = None  # nobody looks
                else:
                    result = step(batches)
                    outputs.add(result, missing=batches.missing)
                    if batches.missing:
                        result = nest.mapped(Tensor, outputs.last())
                callback_list.on_predict_batch_end(batches.taken - 1, {"outputs": result})
            callback_list.on_predict_end()
        finally:
            callback_list.close()
            source.close()
            self._after()
        return outputs.result()

    def preflight(self, x: Any, y: Any = None, sample_weight: Any = None) -> Preflight:
        """What a training step on a batch like this will cost; nothing is trained.

        Args:
            x, y, sample_weight: a batch, as for `train_on_batch`.

        Returns:
            What to print or look at: compile time, FLOPs, peak memory.

        Raises:
            ValueError: the model is not compiled, or its step is not one program.
            ValueNeededError: the step's Python asks for a tensor's value.
        """
        self._need_compiled("preflight")
        step = self.make_train_function()
        if not isinstance(step, StepFunction) or step.lazily:
            raise ValueError(
                f"preflight: the training step of {getattr(self, 'name', 'the model')!r} is run as "
                "Python, not as one program. Compile without run_eagerly, and without overriding "
                "make_train_function."
            )
        data = sources.arrays(x, y, sample_weight)
        sources.check_lengths(data)
        return measure(step.function, sources.packed(data))

    # -- single batches -------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
        *,
        reset_metrics: bool = True,
    ) -> Any:
        """One step of training on a batch.

        Args:
            x, y, sample_weight, class_weight: as for `fit`.
            return_dict: whether to return a dict by name.
            reset_metrics: whether the metrics are this batch's own; else they go on from the
                batches before (as in Keras 2).

        Returns:
            The loss, or a list of it and the metrics; with `return_dict` a dict by name.
        """
        self._need_compiled("train_on_batch")
        if reset_metrics:
            self.reset_metrics()
        return self._on_batch(
            self.make_train_function(), x, y, sample_weight, class_weight, return_dict
        )

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
        *,
        reset_metrics: bool = True,
    ) -> Any:
        """One step of evaluation on a batch; the arguments are those of `train_on_batch`."""
        self._need_compiled("test_on_batch")
        if reset_metrics:
            self.reset_metrics()
        return self._on_batch(self.make_test_function(), x, y, sample_weight, None, return_dict)

    def _on_batch(
        self,
        step: Callable[..., Any],
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        as_dict: bool,
    ) -> Any:
        data = sources.arrays(x, y, sample_weight)
        sources.check_lengths(data)
        if class_weight:
            data = sources.weighted_by_class(data, class_weight)
        batches = Batches([jax.tree.map(np.array, sources.packed(data))])
        self._compiled.loss.expect(sources.unpack(data)[1])
        try:
            logs = dict(Logs(step(batches)))
        finally:
            self._after()
        if as_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        data = jax.tree.map(np.array, sources.packed(sources.arrays(x, None, None)))
        return jax.tree.map(to_numpy, self.make_predict_function()(Batches([data])))


def _check_step(name: str, step: Callable[..., Any]) -> None:
    """Refuse a step with other arguments than the batch."""
    try:
        signature(step).bind(None)
    except TypeError as error:
        raise TypeError(
            f"{name} must take one argument, the batch: `def {name.split('.')[-1]}(self, data)`, "
            f"got {signature(step)}. The form of Keras's JAX backend, (state, data), has no place "
            "here: variables are assigned, and a weft.GradientTape gives the gradients."
        ) from error
    except ValueError:  # no signature is known
        return


def _epochs(name: str, value: Any) -> int:
    number = sources.whole(value)
    if number is None:
        raise ValueError(f"fit: {name} must be a whole number, got {value!r}.")
    return number


def _callbacks(
    model: Any, callbacks: Any, verbose: Any, *, add_history: bool = False, **params: Any
) -> CallbackList:
    made = callbacks if isinstance(callbacks, CallbackList) else CallbackList(callbacks)
    made.complete(add_history, verbose != 0, model, verbose=verbose, **params)
    return made


def _run_epoch(
    source: sources.Source, step: Callable[..., Any], callbacks: CallbackList, mode: str, model: Any
) -> dict[str, Any]:
    """One pass over the batches; the logs of the last step."""
    begin = getattr(callbacks, f"on_{mode}_batch_begin")
    end = getattr(callbacks, f"on_{mode}_batch_end")
    logs: Any = None
    batches = Batches(source.batches())
    while batches.more():
        begin(batches.taken)
        try:
            logs = step(batches)
        except StopIteration:
            break
        except Exception as error:
            where = f"batch {max(batches.taken - 1, 0)} of an epoch (from 0)"
            error.add_note(f"raised by {mode}_step on {where} of {source.describe()}")
            raise
        end(max(batches.taken - 1, 0), logs)
        if mode == "train" and model.stop_training:
            break
    if not batches.taken:
        raise ValueError(
            f"{source.describe()} gave no batches. An iterator that was used up cannot be run "
            "again; pass arrays, a Dataset or a PyDataset."
        )
    if not isinstance(logs, dict):
        raise ValueError(
            f"{mode}_step must return a dict of values by name, it returned {type(logs).__name__}."
        )
    return logs
