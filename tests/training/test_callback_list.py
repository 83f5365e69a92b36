"""Which hook is called when, with what, and that nobody pays for hooks without readers."""

import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from weft.training.callback import HOOKS, Callback
from weft.training.callback_list import CallbackList
from weft.training.history import History
from weft.training.logs import Logs
from weft.training.progbar import ProgbarLogger


class Value:
    """A number that counts how often it is fetched."""

    fetched = 0

    def __init__(self, value):
        self.value = value

    def __float__(self):
        Value.fetched += 1
        return self.value


@pytest.fixture(autouse=True)
def none_fetched():
    Value.fetched = 0


def recorder(base, seen, hooks=HOOKS):
    """A subclass of `base` that notes each of `hooks` with its arguments."""

    def noting(name):
        def hook(self, *where, logs=None):
            where, logs = (where, logs) if logs is not None else (where[:-1], where[-1])
            seen.append((name, *where, sorted(logs)))

        return hook

    return type("Recorder", (base,), {name: noting(name) for name in hooks})()


def run_fit(callbacks, epochs=2, steps=2):
    """The hooks of a fit with validation, in the order in which a trainer calls them."""
    callbacks.on_train_begin()
    logs = {}
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for step in range(steps):
            callbacks.on_train_batch_begin(step)
            logs = {"loss": Value(1 / (1 + step))}
            callbacks.on_train_batch_end(step, logs)
        callbacks.on_test_begin()
        callbacks.on_test_batch_begin(0)
        callbacks.on_test_batch_end(0, {"loss": Value(2.0)})
        callbacks.on_test_end({"loss": Value(2.0)})
        logs = {**logs, "val_loss": Value(2.0)}
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)


def test_every_hook_of_keras_is_there():
    theirs = {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}
    assert {*HOOKS, "on_batch_begin", "on_batch_end"} == theirs
    for name in theirs:
        assert callable(getattr(Callback(), name)) and callable(getattr(CallbackList(), name))


def test_same_calls_as_kerass_fit():
    hooks = [name for name in HOOKS if "predict" not in name]
    theirs, ours = [], []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")
    model.fit(
        x, y, batch_size=2, epochs=2, validation_data=(x[:2], y[:2]), verbose=0,
        callbacks=[recorder(keras.callbacks.Callback, theirs, hooks)],
    )  # fmt: skip
    run_fit(CallbackList([recorder(Callback, ours, hooks)]))
    assert ours == theirs


def test_order_of_callbacks():
    seen = []

    class Named(Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.name)

    callbacks = CallbackList([Named("a"), [Named("b"), (Named("c"),)]], add_history=True)
    callbacks.append(Named("d"))
    callbacks.on_epoch_end(0, {})
    assert seen == ["a", "b", "c", "d"]
    assert [type(each).__name__ for each in callbacks] == [*["Named"] * 3, "History", "Named"]


def test_other_names_of_the_batch_hooks():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs):
            seen.append(("end", batch, logs["loss"]))

    callbacks = CallbackList([Old()])
    callbacks.on_train_batch_begin(3)
    callbacks.on_train_batch_end(3, {"loss": Value(0.5)})
    callbacks.on_batch_end(4, {"loss": 0.25})
    callbacks.on_test_batch_end(5, {"loss": 0.125})
    assert seen == [("begin", 3), ("end", 3, 0.5), ("end", 4, 0.25)]


def test_one_adds_to_the_logs_and_the_next_finds_it():
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["rate"] = 0.1

    given = {"loss": Value(1.0)}
    callbacks = CallbackList([Adds()], add_history=True)
    callbacks.on_epoch_end(0, given)
    assert callbacks.history.history == {"loss": [1.0], "rate": [0.1]}
    assert list(given) == ["loss"]


def test_logs_given_as_logs_are_passed_on():
    got = []

    class Keeps(Callback):
        def on_epoch_end(self, epoch, logs=None):
            got.append(logs)

        def on_epoch_begin(self, epoch, logs=None):
            got.append(logs)

    callbacks = CallbackList([Keeps()])
    logs = Logs(loss=1.0)
    callbacks.on_epoch_end(0, logs)
    callbacks.on_epoch_begin(0)
    assert got[0] is logs and got[1] == {}


def test_nothing_is_fetched_for_hooks_that_do_not_read():
    class Looks(Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert "loss" in logs

    run_fit(CallbackList([Looks(), Callback()]))
    assert Value.fetched == 0


def test_only_what_is_read_is_fetched():
    class Reads(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                assert logs["loss"] == 0.5

    run_fit(CallbackList([Reads()], epochs=2))
    assert Value.fetched == 2  # a step of each epoch


def test_outputs_of_predict_keep_their_structure():
    got = []

    class Keeps(Callback):
        def on_predict_batch_end(self, batch, logs=None):
            got.append(logs["outputs"])

    outputs = {"a": Value(1.0), "b": [Value(2.0)]}
    CallbackList([Keeps()]).on_predict_batch_end(0, {"outputs": outputs})
    assert got == [outputs] and Value.fetched == 0


def test_readers_are_known():
    class Reads(Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    callbacks = CallbackList([Reads()], add_history=True)
    assert callbacks.reads("on_train_batch_end") and callbacks.reads("on_epoch_end")
    assert not callbacks.reads("on_train_batch_begin") and not callbacks.reads("on_test_batch_end")


def test_hooks_set_on_an_object_are_found_when_a_run_begins():
    seen = []
    callback = Callback()
    callbacks = CallbackList([callback])
    callback.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    callbacks.on_train_begin()
    callbacks.on_epoch_end(7)
    assert seen == [7]


def test_a_batch_without_readers_is_cheap():
    callbacks = CallbackList([Callback()], add_history=True)
    logs = {"loss": Value(0.5), "accuracy": Value(0.5)}
    best = min(_timed(lambda: callbacks.on_train_batch_end(5, logs)) for _ in range(5))
    assert best < 1e-6, f"{best * 1e6:.2f} µs"


def _timed(call, times=10_000):
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def test_params_and_model_reach_everyone():
    model = SimpleNamespace()
    first, history = Callback(), History()
    callbacks = CallbackList([first, history], add_history=True, model=model, epochs=3, steps=None)
    assert len(callbacks.callbacks) == 2
    for each in (callbacks, first, history):
        assert each.model is model and each.params == {"epochs": 3, "steps": None}
    assert model.history is history is callbacks.history


def test_defaults_are_added_once():
    callbacks = CallbackList([ProgbarLogger(), History()], add_history=True, add_progbar=True)
    assert len(callbacks.callbacks) == 2
    made = CallbackList(None, add_history=True, add_progbar=True).callbacks
    assert {type(each) for each in made} == {History, ProgbarLogger}


def test_kerass_own_callbacks_work():
    class Theirs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.seen = (epoch, logs["loss"], self.params["epochs"])

    model = SimpleNamespace()
    callbacks = CallbackList([Theirs()], model=model, epochs=3)
    callbacks.on_epoch_end(1, {"loss": Value(0.5)})
    assert model.seen == (1, 0.5, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (History, r"got History\. That is a class; pass an object of it: History\(\)"),
        (print, r"got print\. For a plain function there is LambdaCallback"),
        ("early", r"got 'early'\. Subclass weft\.callbacks\.Callback"),
    ],
)
def test_refuses_what_is_no_callback(wrong, message):
    with pytest.raises(TypeError, match=message):
        CallbackList([Callback(), wrong])


# -- History ----------------------------------------------------------------------------------


def test_history_is_kerass():
    theirs, ours = keras.callbacks.History(), History()
    theirs.set_model(SimpleNamespace())  # Keras's leaves itself on the model
    for history in (theirs, ours):
        history.set_params({"epochs": 5})
        history.on_train_begin()
        history.on_epoch_end(0, {"loss": 1.0})
        history.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.7})
        history.on_train_begin()  # a second fit with the same object
        history.on_epoch_end(2, {"loss": 0.25})
    assert (ours.history, ours.epoch, ours.params) == (
        theirs.history, theirs.epoch, theirs.params,
    )  # fmt: skip


def test_history_waits_for_an_epoch_only_when_the_next_is_done():
    history = History()
    history.on_epoch_end(0, {"loss": Value(1.0)})
    assert Value.fetched == 0
    history.on_epoch_end(1, {"loss": Value(2.0)})
    assert Value.fetched == 1
    assert history.history == {"loss": [1.0, 2.0]}
    assert Value.fetched == 2


def test_history_can_be_added_to():
    history = History()
    history.on_epoch_end(0, {"loss": 1.0})
    history.history.setdefault("mine", []).append(3.0)
    assert history.history == {"loss": [1.0], "mine": [3.0]}
    history.history = {}
    history.on_epoch_end(1, {"loss": 2.0})
    assert history.history == {"loss": [2.0]}
