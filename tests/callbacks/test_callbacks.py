"""The ready-made callbacks, beside Keras's own on the same logs."""

import csv
import math
import re
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import weft.callbacks
from weft.callbacks import (
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    Logs,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

# Keras's variables do not take NumPy 2's way to ask for an array yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Model:
    """As much of a model as callbacks touch; its weights are the epochs it has seen."""

    metrics = ()

    def __init__(self, learning_rate=None):
        self.stop_training = False
        self.weights = [np.float32(0)]
        self.optimizer = SimpleNamespace(learning_rate=learning_rate)

    def get_weights(self):
        return list(self.weights)

    def set_weights(self, weights):
        self.weights = list(weights)


def run(callback, model, epochs, name="loss"):
    """Feed a callback one epoch after another; the number of epochs that ran."""
    callback.set_model(model)
    callback.on_train_begin({})
    seen = []
    for epoch, value in enumerate(epochs):
        callback.on_epoch_begin(epoch, {})
        model.weights = [np.float32(epoch + 1)]
        logs = {} if value is None else {name: value}
        callback.on_epoch_end(epoch, logs)
        seen.append(logs)
        if model.stop_training:
            break
    callback.on_train_end({})
    return seen


def test_the_list_of_names():
    names = weft.callbacks.__all__
    assert names == sorted(set(names)) and all(hasattr(weft.callbacks, name) for name in names)
    theirs = {name for name in dir(keras.callbacks) if name[0].isupper()}
    assert set(names) - theirs == {"Logs"}  # Keras's ProgbarLogger is there, though not documented


# -- EarlyStopping ----------------------------------------------------------------------------

CURVES = [
    [1.0, 0.9, 0.8, 0.7],
    [1.0, 0.9, 0.95, 0.96, 0.85, 0.99, 0.99, 0.99],
    [1.0, 1.1, 1.2, 1.3, 1.4],
    [0.5, 0.5, 0.5, 0.5],
    [1.0, 0.95, 0.91, 0.87, 0.86, 0.855, 0.85],
    [1.0, 2.0, 0.1, 3.0, 3.0, 3.0, 3.0],
]


@pytest.mark.parametrize("values", CURVES)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"patience": 2},
        {"patience": 1, "min_delta": 0.06},
        {"patience": 2, "mode": "max"},
        {"patience": 1, "mode": "max", "min_delta": -0.2},
        {"patience": 2, "baseline": 0.88},
        {"patience": 1, "restore_best_weights": True},
        {"patience": 2, "restore_best_weights": True, "baseline": 0.2},
        {"patience": 1, "restore_best_weights": True, "start_from_epoch": 2},
        {"patience": 9, "restore_best_weights": True},
    ],
    ids=str,
)
def test_early_stopping_is_kerass(given, values):
    given = {"monitor": "loss", "mode": "min", **given}
    theirs, ours = Model(), Model()
    their_callback, our_callback = keras.callbacks.EarlyStopping(**given), EarlyStopping(**given)
    for _ in range(2):  # a callback may be used again
        theirs.stop_training = ours.stop_training = False
        assert len(run(our_callback, ours, values)) == len(run(their_callback, theirs, values))
        assert ours.weights == theirs.weights and ours.stop_training == theirs.stop_training
        for name in ("wait", "stopped_epoch", "best", "best_epoch"):
            assert getattr(our_callback, name) == getattr(their_callback, name), name


def test_early_stopping_says_what_it_does(capsys):
    callback = EarlyStopping("loss", patience=1, verbose=1, restore_best_weights=True)
    run(callback, Model(), [1.0, 0.5, 0.6])
    assert capsys.readouterr().out == (
        "Epoch 3: early stopping\nRestoring the weights of the best epoch: 2.\n"
    )


def test_nan_is_no_improvement():
    model = Model()
    callback = EarlyStopping("loss", patience=3, restore_best_weights=True)
    run(callback, model, [math.nan, 1.0, 0.5, math.nan, math.nan])
    assert callback.best == 0.5 and model.weights == [3.0]
    run(callback, model, [math.nan] * 5)
    assert callback.best is None and callback.stopped_epoch == 2 and model.weights == [3.0]


# -- what is monitored ------------------------------------------------------------------------


def test_unknown_metric_warns_once_with_those_there_are():
    callback = EarlyStopping("val_acc")
    model = Model()
    callback.set_model(model)
    callback.on_train_begin({})
    message = r"EarlyStopping: there is no metric 'val_acc' .* there are: loss, accuracy\.$"
    with pytest.warns(UserWarning, match=message):
        callback.on_epoch_end(0, Logs(loss=1.0, accuracy=0.5))
    callback.on_epoch_end(1, Logs(loss=1.0, accuracy=0.5))  # a second warning would be an error
    callback.on_train_begin({})
    with pytest.warns(UserWarning, match=r"There are: none|there are: none\."):
        callback.on_epoch_end(0, {})
    assert not model.stop_training


def test_missing_validation_is_hinted_at():
    callback = ReduceLROnPlateau()
    callback.set_model(Model(0.1))
    with pytest.warns(UserWarning, match="validation need validation_data or validation_split"):
        callback.on_epoch_end(0, {"loss": 1.0})


def test_a_missing_value_is_left_out():
    callback = EarlyStopping("loss", patience=2)
    with pytest.warns(UserWarning, match="no metric 'loss'"):
        run(callback, Model(), [1.0, None, 0.5, None, None, None, 0.6])
    assert callback.best == 0.5 and callback.wait == 1 and callback.stopped_epoch == 0


def test_only_the_monitored_value_is_fetched():
    class Never:
        def __float__(self):
            raise AssertionError("fetched")

    callback = EarlyStopping("loss")
    callback.set_model(Model())
    callback.on_train_begin({})
    callback.on_epoch_end(0, Logs(loss=0.5, accuracy=Never()))
    assert callback.best == 0.5


def test_an_array_cannot_be_monitored():
    callback = EarlyStopping("recall")
    callback.set_model(Model())
    with pytest.raises(ValueError, match=r"one number to monitor; 'recall' has shape \(3,\)"):
        callback.on_epoch_end(0, Logs(recall=np.ones(3)))


def test_unknown_mode():
    with pytest.raises(ValueError, match="EarlyStopping: mode must be 'auto', 'min' or 'max', got"):
        EarlyStopping(mode="lower")


NEEDED = {
    "IoU": {"num_classes": 2, "target_class_ids": [0]},
    "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
    "MeanIoU": {"num_classes": 2},
    "OneHotMeanIoU": {"num_classes": 2},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "MeanMetricWrapper": {"fn": abs},
}


def _keras_metrics():
    """An object of each of Keras's metrics that knows its direction."""
    for name, kind in vars(keras.metrics).items():
        if isinstance(kind, type) and issubclass(kind, keras.metrics.Metric):
            metric = kind(**NEEDED.get(name, {}))
            if getattr(metric, "_direction", None):
                yield metric


def test_names_tell_the_direction_of_every_metric():
    found = {}
    for metric in _keras_metrics():
        callback = EarlyStopping(f"val_{metric.name}")
        callback.set_model(Model())
        callback.improved(1.0, None)
        found[metric.name] = {1: "up", -1: "down"}[callback._sign], metric._direction
    assert len(found) > 30
    assert {name: each for name, each in found.items() if each[0] != each[1]} == {}


@pytest.mark.parametrize(
    ("name", "sign"),
    [("loss", -1), ("val_loss", -1), ("acc", 1), ("val_acc", 1), ("head_accuracy", 1),
     ("accuracy_loss", -1), ("auc_1", 1), ("mse", -1), ("my_f1_score", 1)],
)  # fmt: skip
def test_directions_of_other_names(name, sign):
    callback = EarlyStopping(name)
    callback.set_model(Model())
    assert callback.improved(1.0 + sign, 1.0) and not callback.improved(1.0 - sign, 1.0)


def test_a_metrics_own_direction_comes_first():
    model = Model()
    model.metrics = [SimpleNamespace(name="my_loss", _direction="up")]
    callback = EarlyStopping("val_my_loss")
    callback.set_model(model)
    assert callback.improved(2.0, 1.0)


def test_a_name_that_tells_no_direction_warns():
    callback = EarlyStopping("my_metric")
    callback.set_model(Model())
    with pytest.warns(UserWarning, match="'my_metric' does not tell .* smaller is assumed"):
        callback.on_epoch_end(0, {"my_metric": 1.0})
    callback.on_epoch_end(1, {"my_metric": 0.5})
    assert callback.best == 0.5


# -- learning rates ---------------------------------------------------------------------------


@pytest.mark.parametrize("values", CURVES)
@pytest.mark.parametrize(
    "given",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "cooldown": 2},
        {"patience": 1, "cooldown": 1, "min_delta": 0.12},
        {"patience": 1, "mode": "max", "min_lr": 0.03},
        {"patience": 0, "factor": 0.9},
    ],
    ids=str,
)
def test_reduce_lr_on_plateau_is_kerass(given, values):
    given = {"monitor": "loss", "mode": "min", **given}
    theirs, ours = Model(), Model(0.1)
    theirs.optimizer = keras.optimizers.SGD(0.1)
    their_logs = run(keras.callbacks.ReduceLROnPlateau(**given), theirs, values)
    our_logs = run(ReduceLROnPlateau(**given), ours, values)
    np.testing.assert_allclose(
        [logs["learning_rate"] for logs in our_logs],
        [logs["learning_rate"] for logs in their_logs],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        ours.optimizer.learning_rate, float(theirs.optimizer.learning_rate.numpy()), rtol=1e-6
    )


def test_reduce_lr_says_so(capsys):
    run(ReduceLROnPlateau("loss", patience=1, verbose=1), Model(0.1), [1.0, 1.0])
    text = "Epoch 2: ReduceLROnPlateau lowers the learning rate to 0.01.\n"
    assert capsys.readouterr().out == text


def test_reduce_lr_refuses_to_raise_it():
    with pytest.raises(ValueError, match=r"factor must be less than 1, got 1\.5"):
        ReduceLROnPlateau(factor=1.5)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch, rate: rate * 0.5,
        lambda epoch: 0.1 / (1 + epoch),
        lambda epoch, rate=None: 0.1 / (1 + epoch),
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5),
    ],
    ids=["epoch and rate", "epoch", "default", "schedule object"],
)
def test_learning_rate_scheduler_is_kerass(schedule):
    theirs, ours = Model(), Model(0.1)
    theirs.optimizer = keras.optimizers.SGD(0.1)
    wanted = schedule
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):

        def wanted(epoch):  # Keras's callback takes a float only
            return float(schedule(epoch))

    their_logs = run(keras.callbacks.LearningRateScheduler(wanted), theirs, [1.0] * 3)
    our_logs = run(LearningRateScheduler(schedule), ours, [1.0] * 3)
    for our, their in zip(our_logs, their_logs):
        assert our["learning_rate"] == pytest.approx(their["learning_rate"], rel=1e-6)


def test_scheduler_says_so(capsys):
    run(LearningRateScheduler(lambda epoch: 0.25, verbose=1), Model(0.1), [1.0])
    text = "Epoch 1: LearningRateScheduler sets the learning rate to 0.25.\n"
    assert capsys.readouterr().out == text


def test_an_error_inside_a_schedule_is_shown():
    def schedule(epoch, rate):
        return rate + "0.1"

    with pytest.raises(TypeError, match="unsupported operand"):
        run(LearningRateScheduler(schedule), Model(0.1), [1.0])


@pytest.mark.parametrize("given", [None, "0.1", [0.1, 0.2], True])
def test_scheduler_refuses_what_is_no_number(given):
    model = Model(0.1)
    with pytest.raises(ValueError, match=f"must give a number, got {re.escape(repr(given))}"):
        run(LearningRateScheduler(lambda epoch: given), model, [1.0])
    assert model.optimizer.learning_rate == 0.1


@pytest.mark.parametrize("callback", [LearningRateScheduler(lambda e: 0.1), ReduceLROnPlateau()])
def test_learning_rates_that_cannot_be_set(callback):
    model = Model(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5))
    with pytest.raises(ValueError, match=r"follows a schedule \(ExponentialDecay\)"):
        run(callback, model, [1.0])
    model.optimizer = None
    with pytest.raises(ValueError, match="needs an optimizer with a learning_rate, got NoneType"):
        run(callback, model, [1.0])


# -- the others -------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_terminate_on_nan_stops_at_the_step(bad, capsys):
    model = Model()
    callbacks = CallbackList([TerminateOnNaN()], model=model)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    callbacks.on_train_batch_end(1, {"accuracy": bad})
    assert not model.stop_training
    callbacks.on_train_batch_end(2, {"loss": bad})
    assert model.stop_training
    assert capsys.readouterr().out == f"Step 2: the loss is {bad}, training stops.\n"


def test_terminate_on_nan_raises_if_asked():
    callback = TerminateOnNaN(raise_error=True)
    with pytest.raises(RuntimeError, match="the loss is nan at step 3 of this epoch"):
        callback.on_train_batch_end(3, {"loss": math.nan})


def test_lambda_callback():
    seen = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"])),
        on_train_begin=lambda logs: seen.append("begin"),
        on_predict_begin=lambda logs: seen.append("predict"),
        on_batch_end=lambda batch, logs: seen.append(batch),
        on_epoch_begin=None,
    )
    callbacks = CallbackList([callback])
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_begin(4)
    callbacks.on_train_batch_end(4, {})
    callbacks.on_epoch_end(0, {"loss": 0.5})
    callbacks.on_predict_begin()
    assert seen == ["begin", 4, (0, 0.5), "predict"]
    assert not callbacks.reads("on_epoch_begin")


def test_lambda_callback_refuses_unknown_hooks():
    with pytest.raises(TypeError, match=r"no hook 'on_epoch_finish'\. Did you mean on_epoch_"):
        LambdaCallback(on_epoch_finish=print)
    with pytest.raises(TypeError, match=r"on_epoch_end must be a function, got 3 of type int"):
        LambdaCallback(on_epoch_end=3)


EPOCHS = [
    [{"loss": 1.0, "acc": 0.5}, {"loss": 0.5, "acc": 0.6}],
    [{"val_loss": 1.0, "loss": 2.0}, {"loss": 0.5}, {"loss": 0.5, "val_loss": 3.0, "new": 1.0}],
    [{"loss": 1.0}, {"loss": 0.25, "val_loss": 0.5}],
]


@pytest.mark.parametrize("epochs", EPOCHS)
def test_csv_logger_is_kerass(epochs, tmp_path):
    tables = []
    for name, kind in (("theirs", keras.callbacks.CSVLogger), ("ours", CSVLogger)):
        callback = kind(tmp_path / name, separator=";")
        callback.set_model(Model())
        for _ in range(2):  # the second run begins anew
            callback.on_train_begin()
            for epoch, logs in enumerate(epochs):
                callback.on_epoch_end(epoch, dict(logs))
            callback.on_train_end()
        with open(tmp_path / name, newline="") as file:
            tables.append(list(csv.reader(file, delimiter=";")))
    assert tables[1] == tables[0]


def test_csv_logger_appends(tmp_path):
    path = tmp_path / "log.csv"
    for first, append in ((0, False), (2, True)):
        callback = CSVLogger(path, append=append)
        callback.on_train_begin()
        for epoch in (first, first + 1):
            callback.on_epoch_end(epoch, Logs(loss=1.0 / (1 + epoch), val_loss=0.5))
            assert path.read_text().splitlines()[-1].startswith(f"{epoch},")  # on the disk
    assert path.read_text() == (
        "epoch,loss,val_loss\n0,1.0,0.5\n1,0.5,0.5\n2,0.3333333333333333,0.5\n3,0.25,0.5\n"
    )


def test_csv_logger_writes_arrays(tmp_path):
    callback = CSVLogger(tmp_path / "log.csv", separator=";")
    callback.on_train_begin()
    callback.on_epoch_end(0, Logs(f1=np.array([0.5, 0.25], np.float32), val_loss=1))
    assert (tmp_path / "log.csv").read_text() == "epoch;f1;val_loss\n0;[0.5, 0.25];1\n"


def test_csv_logger_needs_its_folder_at_the_start(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        CSVLogger(tmp_path / "missing" / "log.csv").on_train_begin()


def test_no_callback_warns_on_ordinary_logs():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(EarlyStopping("val_accuracy", patience=3), Model(), [0.1, 0.2], "val_accuracy")
