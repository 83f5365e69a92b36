"""Callbacks given by mistake, and runs that are broken off: what is left is a usable model."""

import os
import signal
import threading
import warnings

import h5py
import jax
import numpy as np
import pytest

import weft
from tests.callbacks.models import Boom
from weft.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    OrbaxCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
)
from weft.training.callback import HOOKS
from weft.training.callback_list import CallbackList

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
BATCHES = 3  # an epoch


@pytest.fixture(scope="module")
def trained():
    """A model with state of every kind, whose programs are there."""
    layers = weft.layers
    made = weft.Sequential([layers.Input((3,)), layers.Dense(4), layers.BatchNormalization()])
    made.add(layers.Dropout(0.2))
    made.add(layers.Dense(1))
    made.compile(weft.optimizers.Adam(0.01, use_ema=True), "mse", metrics=["mae"])
    fit(made)
    for callbacks in ([], [at("on_predict_batch_end", boom, after=9)]):
        made.predict(X, batch_size=4, verbose=0, callbacks=callbacks)
    return made


def fit(model, *callbacks, epochs=1, **options):
    options = {"batch_size": 4, "validation_data": (X, Y), "validation_batch_size": 4, **options}
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)


def count(model):
    return {name: len(programs) for name, programs in model.programs.items()}


class Steps(Callback):
    """Counts the steps that were done."""

    done = 0

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1


def at(hook, act, after=1):
    """A callback that acts at the so many-th call of a hook."""
    left = [after]

    def called(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            act()

    return type("At", (Callback,), {hook: lambda self, *args, **kwargs: called()})()


def boom():
    raise Boom


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def check_usable(model, steps, programs, folder):
    """The optimizer has done `steps`; the model computes, is saved, and trains as it was."""
    assert int(model.optimizer.iterations) == steps
    for variable in (*model.variables, *model.optimizer.variables):
        assert np.isfinite(variable.numpy()).all()
    found = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    outputs = model.predict(X, batch_size=4, verbose=0)
    np.testing.assert_allclose(found["loss"], np.square(outputs - Y).mean(), rtol=1e-4)
    np.testing.assert_allclose(found["mae"], np.abs(outputs - Y).mean(), rtol=1e-4)
    model.save(folder / "model.keras")
    loaded = weft.models.load_model(folder / "model.keras")
    np.testing.assert_allclose(loaded(X), outputs, rtol=1e-4, atol=1e-5)
    history = fit(model).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_mae"]).all()
    assert int(model.optimizer.iterations) == steps + BATCHES
    assert count(model) == programs  # nothing was compiled again
    assert not [t.name for t in threading.enumerate() if t.name.startswith("weft")]


def batches(act, step):
    for k in range(2 * BATCHES):
        if k == step:
            act()
        yield X[4 * (k % BATCHES) :][:4], Y[4 * (k % BATCHES) :][:4]


# -- broken off -----------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("act", [boom, ctrl_c])
def test_a_run_broken_off_in_a_hook(hook, act, trained, tmp_path):
    before, programs = int(trained.optimizer.iterations), count(trained)
    bar, steps = ProgbarLogger(verbose=0), Steps()
    breaking = at(hook, act, after=2 if "batch" in hook else 1)
    with pytest.raises((Boom, KeyboardInterrupt)):
        if "predict" in hook:
            trained.predict(X, batch_size=4, verbose=0, callbacks=[bar, breaking])
        else:
            fit(trained, bar, steps, breaking, epochs=2)
    assert bar._progress is None
    check_usable(trained, before + steps.done, programs, tmp_path)


@pytest.mark.parametrize("act", [boom, ctrl_c])
@pytest.mark.parametrize("place", ["data", "validation"])
def test_a_run_broken_off_in_the_data(place, act, trained, tmp_path):
    before, programs = int(trained.optimizer.iterations), count(trained)
    steps, data = Steps(), batches(act, 1)
    with pytest.raises((Boom, KeyboardInterrupt)) as caught:
        if place == "data":
            trained.fit(data, verbose=0, callbacks=[steps])
        else:
            fit(trained, steps, validation_data=data, validation_batch_size=None)
    assert steps.done == (1 if place == "data" else BATCHES)
    if act is boom:
        assert "the generator batches while making the batch of step 1" in caught.value.__notes__[0]
        assert [entry.name for entry in caught.traceback][-2:] == ["batches", "boom"]
    check_usable(trained, before + steps.done, programs, tmp_path)


def test_ctrl_c_while_a_step_is_compiled(tmp_path):
    calls = []

    class Interrupting(weft.layers.Dense):
        def call(self, inputs):
            if calls:
                calls.pop()()
            return super().call(inputs)

    model = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(2)])
    model.add(Interrupting(1))
    model.compile(weft.optimizers.Adam(0.01), "mse")
    calls.append(ctrl_c)
    before = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        fit(model)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert np.isfinite(fit(model).history["loss"]).all()
    assert int(model.optimizer.iterations) == BATCHES


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
@pytest.mark.parametrize("function", ["replace", "create_dataset"])
def test_ctrl_c_while_a_checkpoint_is_written(function, ending, trained, tmp_path, monkeypatch):
    """The file is the one before, whole, and nothing lies beside it."""
    before, programs = int(trained.optimizer.iterations), count(trained)
    path = tmp_path / "run" / f"best.{ending}"
    checkpoint = ModelCheckpoint(path, save_weights_only=ending != "keras")
    fit(trained, checkpoint)
    whole = path.read_bytes()
    owner = os if function == "replace" else h5py.Group
    real = getattr(owner, function)

    def interrupted(*args, **kwargs):
        ctrl_c()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(trained, checkpoint)
    monkeypatch.undo()
    assert path.read_bytes() == whole
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    check_usable(trained, before + 2 * BATCHES, programs, tmp_path)


@pytest.mark.parametrize("hook", ["on_test_batch_end", "on_test_end"])
def test_swapped_weights_come_back(hook, trained):
    """Averages are in the model while it is validated; a run broken off there leaves its own."""
    swap, kept = SwapEMAWeights(), {}
    note = LambdaCallback(
        on_test_begin=lambda logs: kept.update(own=[value for _, value in swap._kept])
    )
    with pytest.raises(Boom):
        fit(trained, at(hook, boom), swap, note)
    assert kept["own"]
    for variable, value in zip(trained.trainable_variables, kept["own"]):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_what_tensorboard_holds_is_given_back(trained, tmp_path):
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path, profile_batch=(1, 9))
    with pytest.raises(Boom):
        fit(trained, board, at("on_epoch_end", boom))
    assert not board._files
    with jax.profiler.trace(tmp_path / "again"):  # an error where one is being made
        pass


def test_what_orbax_holds_is_given_back(trained, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    saver = OrbaxCheckpoint(tmp_path / "there", save_freq=1)
    with pytest.raises(Boom):
        fit(trained, saver, at("on_epoch_end", boom))
    assert saver._manager is None
    assert saver.restore(trained) == int(trained.optimizer.iterations)


def test_each_callback_gives_back_what_it_holds_though_another_raises():
    over = []

    class Holds(Callback):
        def __init__(self, name):
            self.name = name

        def _run_over(self):
            over.append(self.name)
            if self.name == "b":
                raise Boom

    with pytest.raises(Boom):
        CallbackList([Holds("a"), Holds("b"), Holds("c")]).close()
    assert sorted(over) == ["a", "b", "c"]


# -- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(None), "EarlyStopping: monitor must be the name .* got None"),
        (lambda: EarlyStopping(["loss"]), r"monitor must be the name of one metric.*\['loss'\]"),
        (lambda: EarlyStopping(patience="3"), "EarlyStopping: patience must be a number, got '3'"),
        (lambda: EarlyStopping(min_delta=None), "min_delta must be a number, got None"),
        (lambda: EarlyStopping(baseline="low"), "baseline must be a number, got 'low'"),
        (lambda: EarlyStopping(start_from_epoch=None), "start_from_epoch must be a number"),
        (lambda: ReduceLROnPlateau(factor="0.1"), "ReduceLROnPlateau: factor must be a number"),
        (lambda: ReduceLROnPlateau(cooldown=None), "cooldown must be a number, got None"),
        (lambda: ModelCheckpoint("a.keras", monitor=len), "ModelCheckpoint: monitor must be the"),
    ],
)
def test_arguments_of_another_kind(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_callbacks_in_a_dict_and_half_a_callback():
    class Half:
        def set_model(self, model):
            raise AssertionError

    one, two = Steps(), Steps()
    assert CallbackList({"first": one, "others": [two]}).callbacks == [one, two]
    with pytest.raises(TypeError, match=r"must be Callback objects, got .*Half.* Subclass weft"):
        CallbackList([Half()])


# -- what is monitored ----------------------------------------------------------------------

MONITORS = {
    "EarlyStopping": lambda name, path: EarlyStopping(name),
    "ReduceLROnPlateau": lambda name, path: ReduceLROnPlateau(name),
    "ModelCheckpoint": lambda name, path: ModelCheckpoint(path, name, save_best_only=True),
}


@pytest.mark.parametrize("kind", MONITORS)
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("val_mea", r"val_mae(, learning_rate)?\. Did you mean 'val_mae'\?"),
        ("auc", r"val_mae(, learning_rate)?\."),
    ],
)
def test_an_unknown_metric_is_said_once(kind, name, end, trained, tmp_path):
    callback = MONITORS[kind](name, tmp_path / "a.keras")
    message = (
        f"^{kind}: there is no metric '{name}' .* metrics there are: loss, mae, val_loss, {end}$"
    )
    with pytest.warns(UserWarning, match=message) as told:
        fit(trained, callback, epochs=3)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=message) as told:  # again in the next run
        fit(trained, callback, epochs=2)
    assert len(told) == 1


def test_where_there_are_values_of_validation(trained):
    message = "need validation_data .* when an epoch ends that is validated .validation_freq.*"
    with pytest.warns(UserWarning, match=message) as told:
        fit(trained, EarlyStopping("val_loss", patience=5), epochs=4, validation_freq=2)
    assert len(told) == 1


def test_a_value_that_never_was_a_number_is_said_once(tmp_path):
    model = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(1)])
    model.compile("sgd", "mse")
    path = tmp_path / "a.keras"
    saver = ModelCheckpoint(path, "loss", save_best_only=True)
    with pytest.warns(UserWarning, match="ModelCheckpoint: loss is nan.* nothing is saved") as told:
        model.fit(X * np.nan, Y, epochs=3, verbose=0, callbacks=[saver])
    assert len(told) == 1 and not path.exists()
    saver.best = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X * np.nan, Y, verbose=0, callbacks=[saver])
