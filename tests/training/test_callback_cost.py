"""What callbacks cost the host, on request."""

import time

import numpy as np

import weft
from weft import layers
from weft.callbacks import Callback, CallbackList, LambdaCallback

X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")


class Slow(Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)


def model():
    made = weft.Sequential([weft.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_each_callback_s_time():
    callbacks = CallbackList([Slow(), LambdaCallback(), Callback()], timed=True)
    history = model().fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=callbacks)
    assert len(history.history["loss"]) == 3
    seconds = callbacks.seconds
    assert seconds["Slow"] >= 0.06  # six batches
    assert 0 <= seconds["History"] < seconds["Slow"]
    assert "Callback" not in seconds  # which has no hook of its own


def test_two_of_a_class_are_told_apart():
    callbacks = CallbackList([Slow(), Slow()], timed=True)
    model().fit(X, Y, verbose=0, callbacks=callbacks)
    assert {"Slow 0", "Slow 1"} <= set(callbacks.seconds)


def test_a_list_that_is_not_timed_is_completed_too():
    callbacks = CallbackList([Slow()])
    made = model()
    history = made.fit(X, Y, verbose=0, callbacks=callbacks)
    assert callbacks.seconds == {} and callbacks.history is history and callbacks.model is made
