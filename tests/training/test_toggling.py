"""`trainable` set while training goes on: taken up at the next step, and compiled once each."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.callbacks import Callback
from weft.engine import function


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 3)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")


def model():
    made = weft.Sequential([weft.Input((3,)), layers.Dense(4), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


class Compiled(Callback):
    """Sets the first layer's `trainable` before each epoch; how often each epoch compiled."""

    def __init__(self, values):
        super().__init__()
        self.values, self.counts = values, []

    def on_epoch_begin(self, epoch, logs=None):
        self.before = weft.config.compile_count()
        self.model.layers[0].trainable = self.values[epoch]

    def on_epoch_end(self, epoch, logs=None):
        self.counts.append(weft.config.compile_count() - self.before)


@pytest.mark.parametrize(
    "values, counts",
    [
        ([True, True, True], [1, 0, 0]),  # setting what it is already changes nothing
        ([False, True, False, True], [1, 1, 0, 0]),  # back as it was: the program of then
    ],
)
def test_a_value_of_trainable_is_compiled_once(data, values, counts):
    made, noted = model(), Compiled(values)
    made.fit(*data, batch_size=8, epochs=len(values), verbose=0, callbacks=[noted])
    assert noted.counts == counts


def test_each_program_trains_what_it_should(data):
    made = model()
    first, second = made.layers
    for value in (True, False, True, False, True):
        first.trainable = value
        before = [v.numpy() for v in (first.kernel, second.kernel)]
        made.train_on_batch(*data)
        after = [v.numpy() for v in (first.kernel, second.kernel)]
        assert np.array_equal(before[0], after[0]) is not value
        assert not np.array_equal(before[1], after[1])


def test_a_layer_that_is_gone_is_not_taken_for_a_new_one():
    held = [layers.Dense(1)]

    @function
    def run():
        return 1.0 if held[0].trainable else 0.0

    assert run() == 1.0
    for _ in range(20):
        held[0].trainable = False
        assert run() == 0.0
        held[:] = []
        held[:] = [layers.Dense(1)]  # which may well lie where the last one was
