"""What goes wrong in a step, in an epoch or in validation: the text says where."""

import numpy as np
import pytest

import weft

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.zeros((4, 1), "float32")


def model(loss="mse", **options):
    made = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(1, **options)])
    made.compile("sgd", loss)
    return made


def batches(*items):
    yield from items


def notes(caught):
    return [note for note in caught.value.__notes__ if "JAX" not in note and "---" not in note]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((X, Y[:3]), r"y_true of shape \(3, 1\) and y_pred of shape \(4, 1\) do not fit"),
        ((X, Y, np.ones(3)), r"sample_weight of shape \(3,\) does not fit"),
        ((X[:, :2], Y), r"takes shape \(None, 3\), got \(4, 2\)"),
        ((X[0], Y), r"takes shape \(None, 3\), got \(3,\)"),
        (X, "the loss needs targets, but the data has no y"),
        ((X, Y, Y, Y), r"a batch must be x, .* got a tuple of 4"),
        (([X, X], Y), r"takes 1 inputs .* got 2: \(4, 3\), \(4, 3\)"),
        (({"a": X}, Y), r"no value for the inputs .* a dict with the keys \['a'\]"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_batch_that_does_not_fit_is_named_by_its_step(bad, message, method):
    trained = model()
    with pytest.raises(ValueError, match=message) as caught:
        getattr(trained, method)(batches((X, Y), bad), verbose=0)
    kind = "train" if method == "fit" else "test"
    assert notes(caught) == [
        f"raised by {kind}_step on batch 1 of an epoch (from 0) of the generator batches"
    ]
    assert int(trained.optimizer.iterations) == (1 if method == "fit" else 0)
    trained.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X[:, :2], Y), r"takes shape \(None, 3\), got \(4, 2\)"),
        (([X, X], Y), r"takes 1 inputs"),
        (({"a": X}, Y), "no value for the inputs"),
        ((X[:0], Y[:0]), "no examples"),
        ((X, Y[:2]), "x: 4, y: 2"),
    ],
)
@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_validation_of_another_shape_is_refused_before_training(data, message, kind):
    trained = model()
    if kind == "functional":
        trained = weft.Model(trained.inputs, trained.outputs)
        trained.compile("sgd", "mse")
    before = trained.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        trained.fit(X, Y, validation_data=data, verbose=0)
    assert notes(caught) == ["in validation_data"]
    np.testing.assert_array_equal(trained.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: (X,), "the loss needs targets"),
        (lambda: (X, [Y, Y]), "y has 2 entries, but the model has one output"),
        (lambda: batches(), "the generator batches gave no batches"),
        (lambda: batches((X, Y[:3])), r"y_true of shape \(3, 1\)"),
    ],
)
def test_validation_that_shows_later_is_named_with_its_epoch(data, message):
    trained = model()
    with pytest.raises(ValueError, match=message) as caught:
        trained.fit(X, Y, validation_data=data(), validation_freq=2, epochs=3, verbose=0)
    assert notes(caught)[-1] == "in validation_data, after epoch 1 (from 0)"
    assert int(trained.optimizer.iterations) == 2


def test_validation_of_another_length_is_none_of_another_shape():
    made = weft.Sequential([weft.layers.Input((None, 3)), weft.layers.GlobalMaxPooling1D()])
    made.add(weft.layers.Dense(1))
    made.compile("sgd", "mse")
    long = np.ones((4, 7, 3), "float32")
    history = made.fit(long[:, :5], Y, validation_data=(long, Y), verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    fixed = weft.Sequential([weft.layers.Input(batch_shape=(2, 3)), weft.layers.Dense(1)])
    fixed.compile("sgd", "mse")
    fixed.fit(X, Y, batch_size=2, validation_data=(X, Y), verbose=0)


def test_a_step_that_returns_nothing():
    class Forgetful(weft.Sequential):
        def train_step(self, data):
            super().train_step(data)

    made = Forgetful([weft.layers.Input((3,)), weft.layers.Dense(1)])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"train_step must return a dict .* it returned NoneType"):
        made.fit(X, Y, verbose=0)


def test_an_error_of_a_step_of_one_s_own_has_its_traceback():
    class Broken(weft.Sequential):
        def train_step(self, data):
            raise KeyError("mine")

    made = Broken([weft.layers.Input((3,)), weft.layers.Dense(1)])
    made.compile("sgd", "mse")
    with pytest.raises(KeyError, match="mine") as caught:
        made.fit(X, Y, verbose=0)
    assert caught.traceback[-1].name == "train_step"
    assert notes(caught) == ["raised by train_step on batch 0 of an epoch (from 0) of the arrays"]


# -- numbers --------------------------------------------------------------------------------


def test_whole_numbers_of_any_type():
    history = model().fit(
        X, Y, batch_size=2.0, epochs=np.int64(3), initial_epoch=1.0, steps_per_epoch=2.0, verbose=0
    )
    assert history.epoch == [1, 2]
    assert model().predict(X, batch_size=np.float32(3), verbose=0).shape == (4, 1)


@pytest.mark.parametrize("name", ["epochs", "initial_epoch"])
@pytest.mark.parametrize("value", [2.5, "2", None, True, float("nan")])
def test_epochs_that_are_no_whole_number(name, value):
    begun = []
    callback = weft.callbacks.LambdaCallback(on_train_begin=begun.append)
    with pytest.raises(ValueError, match=f"fit: {name} must be a whole number, got {value!r}"):
        model().fit(X, Y, verbose=0, callbacks=[callback], **{name: value})
    assert not begun


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", [4]])
def test_sizes_that_are_no_numbers(value):
    with pytest.raises(ValueError, match="batch_size must be at least 1, a whole number, got"):
        model().fit(X, Y, batch_size=value, verbose=0)
    with pytest.raises(ValueError, match="number of steps must be at least 1, a whole number"):
        model().fit(X, Y, steps_per_epoch=value, verbose=0)


# -- inputs, labels ---------------------------------------------------------------------------


def test_one_input_may_be_in_a_list():
    trained = model()
    expected = trained.predict(X, verbose=0)
    np.testing.assert_array_equal(trained.predict([X], verbose=0), expected)
    np.testing.assert_array_equal(trained(X.tolist()), expected)
    name = trained.input_names[0]
    np.testing.assert_array_equal(trained({name: X}), expected)


def test_several_inputs_for_one_are_not_stacked():
    """Three arrays of three numbers would have been three examples, and shuffled one by one."""
    with pytest.raises(ValueError, match=r"takes 1 inputs .*got 3: \(3,\), \(3,\), \(3,\)"):
        model().fit([X[0], X[1], X[2]], Y[:3], verbose=0)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_labels_of_a_single_batch_are_looked_at(method):
    made = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(3, "softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"labels run from 0 to 3, .*within 0 to 2"):
        getattr(made, method)(X, np.array([0, 3, 1, 2]))
    getattr(made, method)(X, np.array([0, 2, 1, 2]))
    with pytest.raises(ValueError, match="labels run from -1 to 2"):
        getattr(made, method)(X, np.array([0, -1, 1, 2]))
    assert int(made.optimizer.iterations) == (method == "train_on_batch")
