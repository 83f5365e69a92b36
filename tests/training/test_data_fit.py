"""fit on every kind of data: weights and logs as Keras 3 has them, unshuffled."""

import threading
import warnings

import keras
import numpy as np
import pytest

import weft

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype("float32")
Y = (RNG.random((22, 1)) > 0.5).astype("float32")
W = RNG.random(22).astype("float32")
KERNELS = [RNG.normal(size=(3, 5)).astype("float32"), RNG.normal(size=(5, 1)).astype("float32")]


def rows(k):
    return slice(4 * k, 4 * k + 4)


def by_number(library):
    class Data(library.utils.PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return X[rows(index)], Y[rows(index)]

    return Data()


def endless():
    while True:
        for k in range(6):
            yield X[rows(k)], Y[rows(k)], W[rows(k)]


ARRAYS = (X, Y)
FEW = (X[:9], Y[:9])
CASES = {
    "arrays": (lambda _: ARRAYS, {"batch_size": 4}),
    "split": (lambda _: ARRAYS, {"batch_size": 4, "validation_split": 0.3}),
    "steps": (lambda _: ARRAYS, {"batch_size": 4, "steps_per_epoch": 4}),
    "too many steps": (
        lambda _: ARRAYS, {"batch_size": 4, "steps_per_epoch": 9, "sample_weight": W},
    ),
    "class weights": (lambda _: ARRAYS, {"batch_size": 4, "class_weight": {0: 0.3, 1: 2.0}}),
    "validation": (
        lambda _: ARRAYS,
        {
            "batch_size": 4, "validation_data": (*FEW, W[:9]), "validation_batch_size": 2,
            "validation_freq": 2,
        },
    ),
    "validation's steps": (
        lambda _: ARRAYS,
        {
            "batch_size": 4, "validation_data": list(FEW), "validation_steps": 2,
            "validation_freq": [1, 3], "initial_epoch": 1,
        },
    ),
    "by number": (lambda library: (by_number(library),), {"class_weight": {1: 2.0}}),
    "by number, steps": (
        lambda library: (by_number(library),), {"steps_per_epoch": 4, "validation_data": ARRAYS},
    ),
    "generator": (lambda _: (endless(),), {"steps_per_epoch": 4}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_weights_and_logs_are_keras_s(name):
    make, options = CASES[name]
    found = []
    for library in (keras, weft):
        layers = library.layers
        model = library.Sequential(
            [layers.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(1, "sigmoid")]
        )
        model.set_weights([KERNELS[0], np.zeros(5), KERNELS[1], np.zeros(1)])
        model.compile(
            library.optimizers.Adam(0.01),
            "binary_crossentropy",
            metrics=["accuracy"],
            weighted_metrics=["mae"],
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            history = model.fit(*make(library), epochs=3, shuffle=False, verbose=0, **options)
            weights = model.get_weights()  # Keras's own code warns here
        cut_short = sum("ran out of data" in str(w.message) for w in told)
        found.append((history.history, weights, cut_short))
    (logs, weights, cut_short), (own_logs, own_weights, own_cut_short) = found
    assert own_logs.keys() == logs.keys()
    assert own_cut_short == cut_short
    for key, values in logs.items():
        np.testing.assert_allclose(own_logs[key], values, rtol=1e-4, atol=1e-6)
    for own, other in zip(own_weights, weights):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


# -- what Keras 3 does not do -----------------------------------------------------------------


def small_model():
    model = weft.Sequential([weft.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def three_batches():
    for k in range(3):
        yield X[rows(k)], Y[rows(k)]


def test_a_generator_that_ends_ends_training():
    """Keras 3 trains the next epochs on the first two batches again."""
    with pytest.warns(UserWarning, match="three_batches ended after 3 batches .* no further epoch"):
        history = small_model().fit(three_batches(), epochs=4, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="at step 1 of 2 .* no further epoch"):
        history = small_model().fit(three_batches(), steps_per_epoch=2, epochs=4, verbose=0)
    assert history.epoch == [0, 1]


def test_validation_goes_on_while_there_is_data():
    with pytest.warns(UserWarning, match="three_batches ended after 3 batches"):
        history = (
            small_model().fit(X, Y, epochs=3, validation_data=three_batches(), verbose=0).history
        )
    assert (len(history["loss"]), len(history["val_loss"])) == (3, 1)


def test_an_interrupt_ends_the_threads_at_once():
    data = by_number(weft)
    data.workers = 2

    class Interrupt(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = small_model()
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(data, verbose=0, callbacks=[Interrupt()])
    assert caught.traceback  # which keeps the frames of fit alive
    assert not [t for t in threading.enumerate() if t.name.startswith("weft")]
    model.fit(data, verbose=0)


def test_bad_data_changes_nothing():
    model = small_model()
    for options, message in (
        ({"validation_data": (X, Y[:3])}, "x: 22, y: 3"),
        ({"validation_freq": 0, "validation_data": ARRAYS}, "validation_freq"),
        ({"validation_split": 2.0}, "validation_split"),
        ({"sample_weight": W[:4]}, "sample_weight: 4"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y, verbose=0, **options)
        assert not model.weights
