"""ModelCheckpoint beside Keras's: which files there are, and what is in them."""

import os

import keras
import numpy as np
import pytest

import weft
from tests.callbacks.models import files, fit, model
from weft.callbacks import ModelCheckpoint

# Keras's variables do not take NumPy 2's way to ask for an array yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WEIGHTS = {"save_weights_only": True}
BEST = {**WEIGHTS, "save_best_only": True, "monitor": "val_loss"}
CASES = {
    "each epoch": ("{epoch:02d}.weights.h5", WEIGHTS),
    "values in the name": ("{epoch}-{val_loss:.3f}-{mae:.3f}.weights.h5", WEIGHTS),
    "one file": ("last.weights.h5", WEIGHTS),
    "folders": ("runs/{epoch}/w.weights.h5", WEIGHTS),
    "whole models": ("{epoch:02d}-{val_loss:.2f}.keras", {}),
    "every 3 batches": ("{epoch}-{batch}-{loss:.3f}.weights.h5", {**WEIGHTS, "save_freq": 3}),
    "every 9 batches": ("{epoch}-{batch}.weights.h5", {**WEIGHTS, "save_freq": 9}),
    "best": ("{epoch}.weights.h5", BEST),
    "best is largest": ("{epoch}.weights.h5", {**BEST, "mode": "max"}),
    "best below": ("{epoch}.weights.h5", {**BEST, "initial_value_threshold": 1.0}),
    "best of batches": (  # Keras breaks off where there are several in the first epoch
        "{epoch}-{batch}.weights.h5", {**BEST, "monitor": "loss", "save_freq": 5},
    ),
}  # fmt: skip


def run(library, folder, name, given, fits=1):
    callback = library.callbacks.ModelCheckpoint(os.fspath(folder / name), **given)
    made = model(library)
    for _ in range(fits):
        fit(made, callbacks=[callback])
    return callback, made


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_kerass(case, tmp_path):
    name, given = CASES[case]
    callbacks = {}
    for library in (keras, weft):
        folder = tmp_path / library.__name__
        folder.mkdir()
        callbacks[library], _ = run(library, folder, name, given, fits=2)
    theirs, ours = (files(tmp_path / library.__name__) for library in (keras, weft))
    assert ours == theirs and ours
    bests = [callbacks[library].best for library in (keras, weft)]
    assert bests == [None, None] or bests[1] == pytest.approx(bests[0], rel=1e-4)
    for file in ours:
        read = model(weft), model(weft)
        for made, library in zip(read, ("keras", "weft")):
            made.load_weights(tmp_path / library / file)
        for one, two in zip(*(made.get_weights() for made in read)):
            np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)


def test_a_whole_model_comes_back(tmp_path):
    callback, made = run(weft, tmp_path, "{epoch}.keras", {})
    read = weft.saving.load_model(tmp_path / "3.keras")
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(read.predict(x, verbose=0), made.predict(x, verbose=0))
    assert int(read.optimizer.iterations) == int(made.optimizer.iterations) == 12
    assert callback.filepath == str(tmp_path / "{epoch}.keras")


def test_steps_per_execution_are_counted(tmp_path):
    made = model(weft)
    made.compile("sgd", "mse", steps_per_execution=2)
    name = tmp_path / "{epoch}-{batch}.weights.h5"
    fit(made, callbacks=[ModelCheckpoint(name, save_weights_only=True, save_freq=3)], epochs=3)
    assert files(tmp_path) == [f"{n}.weights.h5" for n in ("1-4", "2-4", "3-4")]


def test_keras_2_s_period(tmp_path):
    made = model(weft)
    fit(made, 5, [ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True,
                                  period=2)])  # fmt: skip
    assert files(tmp_path) == ["2.weights.h5", "4.weights.h5"]


def test_a_missing_metric_is_said_once_and_nothing_lost(tmp_path):
    given = {**BEST, "monitor": "val_acc"}
    message = r"no metric 'val_acc' .* the model is saved .* loss, mae, val_loss, val_mae\.$"
    with pytest.warns(UserWarning, match=message) as seen:
        run(weft, tmp_path, "{epoch}.weights.h5", given)
    assert len(seen) == 1 and len(files(tmp_path)) == 3


def test_it_says_what_it_does(tmp_path, capsys):
    callback = ModelCheckpoint(tmp_path / "w.weights.h5", "loss", 1, True, True)
    callback.set_model(model(weft))
    callback.on_train_begin()
    for epoch, loss in enumerate([1.0, 0.5, 0.75]):
        callback.on_epoch_end(epoch, {"loss": loss})
    path = tmp_path / "w.weights.h5"
    assert capsys.readouterr().out == (
        f"Epoch 1: loss improved to 1.00000, saved {path}\n"
        f"Epoch 2: loss improved from 1.00000 to 0.50000, saved {path}\n"
        "Epoch 3: loss did not improve from 0.50000\n"
    )
    assert callback.get_state() == {"best": 0.5}


def test_the_name_alone_is_fetched(tmp_path):
    class Never:
        def __float__(self):
            raise AssertionError("fetched")

    callback = ModelCheckpoint(tmp_path / "{loss:.1f}.weights.h5", save_weights_only=True)
    callback.set_model(model(weft))
    callback.on_train_begin()
    callback.on_epoch_end(0, weft.callbacks.Logs(loss=0.5, mae=Never()))
    assert files(tmp_path) == ["0.5.weights.h5"]


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("a.h5", {}, r"must end in '\.weights\.h5' with save_weights_only=True, and in '\.keras'"),
        ("a.keras", WEIGHTS, r"got filepath='a\.keras' with save_weights_only=True"),
        ("a.weights.h5", {}, "save_weights_only=False"),
        ("{epoch.keras", {}, r"cannot be filled in: .*a brace of the name itself is doubled"),
        ("a.keras", {"save_freq": "batch"}, "must be 'epoch' or a number of batches, 1 or more"),
        ("a.keras", {"save_freq": 0}, "save_freq must be .* got 0"),
        ("a.keras", {"save_freq": 2.5}, r"save_freq must be .* got 2\.5"),
        ("a.keras", {"mode": "lower"}, "mode must be 'auto', 'min' or 'max', got 'lower'"),
        ("a.keras", {"period": 0}, "period must be a number of epochs, 1 or more, got 0"),
    ],
)
def test_refused_at_once(name, given, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(name, **given)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("val_los", "asks for 'val_los', .* Did you mean 'val_loss'.* Known: epoch, loss, mae, "),
        ("batch", "asks for 'batch', which is not there. Known: .*epoch.*val_mae"),
        ("", "asks for '', which is not there"),
    ],
)
def test_unknown_fields_list_those_there_are(field, message, tmp_path):
    with pytest.raises(KeyError, match=message):
        run(weft, tmp_path, f"{{epoch}}-{{{field}}}.weights.h5", WEIGHTS)
    assert files(tmp_path) == []


def test_a_field_that_cannot_be_formatted(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be filled in: Unknown format code 'd'"):
        run(weft, tmp_path, "{loss:d}.weights.h5", WEIGHTS)


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    made = model(weft)
    before = made.get_weights()
    callback = ModelCheckpoint(tmp_path / "file" / "{epoch}.keras")
    with pytest.raises(OSError, match=r"ModelCheckpoint cannot write .*file.*is writable\.$"):
        fit(made, callbacks=[callback])
    np.testing.assert_array_equal(before[0], made.get_weights()[0])


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "1.weights.h5").mkdir()
    with pytest.raises(IsADirectoryError, match=r"cannot write .*1\.weights\.h5"):
        run(weft, tmp_path, "{epoch}.weights.h5", WEIGHTS)


def test_a_model_that_cannot_be_saved_can_go_on_training(tmp_path):
    made = model(weft)
    with pytest.raises(KeyError, match="asks for 'nothing'"):
        fit(made, callbacks=[ModelCheckpoint(tmp_path / "{nothing}.keras")])
    assert len(fit(made).history["loss"]) == 3
