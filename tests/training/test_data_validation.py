"""validation_split, validation_data, validation_freq: on what and when fit evaluates."""

import warnings

import keras
import numpy as np
import pytest

import weft
from weft.training.validation import Validation, held_out

X = np.arange(10, dtype="float32")[:, None]
Y = np.zeros((10, 1), "float32")


def rows(validation):
    batches = validation.source.batches()
    return [int(v) for b in batches for v in (b[0] if isinstance(b, tuple) else b)[:, 0]]


def batches(count=5):
    for k in range(count):
        yield X[2 * k : 2 * k + 2], Y[:2]


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.sizes = {"train": 0, "test": 0}

    def on_train_batch_end(self, batch, logs=None):
        self.sizes["train"] += 1

    def on_test_batch_end(self, batch, logs=None):
        self.sizes["test"] += 1


@pytest.mark.parametrize("fraction", [0.25, 0.33, 0.01, 0.5, 0.8])
def test_the_last_part_is_held_out_as_in_keras(fraction):
    (x, y, weights), held = held_out(X, Y, None, fraction)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    count = Count()
    options = {"validation_split": fraction, "batch_size": 1, "verbose": 0, "callbacks": [count]}
    model.fit(X, Y, **options)
    assert count.sizes == {"train": len(x), "test": len(held[0])}
    assert len(held) == 2
    assert weights is None
    np.testing.assert_array_equal(np.concatenate([x, held[0]]), X)
    assert len(y) == len(x)


def test_all_parts_are_split():
    kept, held = held_out({"a": X, "b": [X]}, Y, X[:, 0], 0.2)
    assert held[0]["b"][0].tolist() == [[8], [9]]
    assert held[2].tolist() == [8, 9]
    assert kept[2].tolist() == list(range(8))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X, Y, X[:, 0]),
        (X.tolist(), Y.tolist()),
        weft.data.Dataset.from_tensor_slices((X, Y)).batch(3),
        (weft.data.Dataset.from_tensor_slices((X, Y)).batch(3),),
    ],
)
def test_forms_of_data(data):
    validation = Validation(data, fallback=4)
    assert rows(validation) == rows(validation) == list(range(10))


def test_sizes_of_batches():
    assert Validation((X, Y), fallback=4).source.size == 3
    assert Validation((X, Y), batch_size=2, fallback=4).source.size == 5
    validation = Validation((X, Y), batch_size=2, steps=2)
    assert rows(validation) == rows(validation) == [0, 1, 2, 3]


@pytest.mark.parametrize("freq", [1, 2, 3, [1, 3], [7]])
def test_the_epochs_are_keras_s(freq):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    evaluated = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if "val_loss" in logs:
                evaluated.append(epoch)

    options = {"validation_data": (X, Y), "validation_freq": freq, "batch_size": 10}
    model.fit(X, Y, initial_epoch=1, epochs=5, verbose=0, callbacks=[Note()], **options)
    validation = Validation((X, Y), freq=freq)
    assert [epoch for epoch in range(1, 5) if validation.due(epoch)] == evaluated


def test_an_iterator_lasts_while_it_lasts():
    validation = Validation(batches(), steps=2)
    found = []
    with pytest.warns(UserWarning, match="step 1 of 2 .*no further epoch") as told:
        for epoch in range(5):
            if validation.due(epoch):
                found.append(rows(validation))
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(told) == 1


def test_a_data_set_has_batches_of_its_own():
    data = weft.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Validation(data, fallback=2).source.size == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: held_out(X, Y, None, 0.99), "=0.99 of 10 examples leaves one part empty"),
        (lambda: held_out(X, Y, None, 1.5), "between 0 and 1, got 1.5"),
        (lambda: held_out(X, Y, None, -0.5), "between 0 and 1, got -0.5"),
        (lambda: held_out(batches(), None, None, 0.5), "needs arrays.*x is a generator"),
        (lambda: held_out(X, Y[:4], None, 0.5), "x: 10, y: 4"),
        (lambda: Validation((X, Y, Y, Y)), r"validation_data must be \(x, y\).*tuple of 4"),
        (lambda: Validation(X), "validation_data must be .*got a ndarray"),
        (lambda: Validation({"a": X}), "validation_data must be .*got a dict"),
        (lambda: Validation((X, Y), freq=0), "validation_freq must be a positive.*got 0"),
        (lambda: Validation((X, Y), freq="all"), "validation_freq must be.*'all'"),
        (lambda: Validation((X, Y), steps=0), "number of steps must be at least 1"),
        (lambda: Validation(weft.data.Dataset.range(3).repeat()), "infinite.*validation_steps"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_messages_say_which_data_is_meant():
    with pytest.raises(ValueError, match="x: 10, y: 3") as caught:
        Validation((X, Y[:3]))
    assert caught.value.__notes__ == ["in validation_data"]
