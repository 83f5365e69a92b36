"""BackupAndRestore: what is kept, and where a run that was broken off goes on."""

import json
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import weft
from tests.callbacks.models import Boom, broken, files, fit, model
from weft.callbacks import BackupAndRestore, backup

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CASES = [("epoch", 2, None), ("epoch", 2, 1), (3, 1, 3), (3, 2, 2), (1, 1, 1)]


def interrupted(library, folder, freq, epoch, batch, optimizer=None):
    """A run of four epochs that is broken off; then one with a new model and the same folder."""
    kind = library.callbacks.BackupAndRestore
    with pytest.raises(Boom):
        fit(model(library, optimizer), 4,
            [kind(str(folder), save_freq=freq), broken(library, epoch, batch)])  # fmt: skip
    position = folder / "training_metadata.json"
    position = json.loads(position.read_text()) if position.exists() else {}
    made = model(library, library.optimizers.get("adam") if optimizer else None)
    history = fit(made, 4, [kind(str(folder), save_freq=freq)])
    return position, history, made


@pytest.mark.parametrize(("freq", "epoch", "batch"), CASES)
def test_it_goes_on_where_keras_does(freq, epoch, batch, tmp_path):
    (their, theirs, their_model), (our, ours, our_model) = (
        interrupted(library, tmp_path / library.__name__, freq, epoch, batch)
        for library in (keras, weft)
    )
    # Keras notes the last batch (0 also where there is none yet), weft how many are done.
    assert our["epoch"] == their["epoch"]
    assert our["batch"] == (their["batch"] + 1 if freq != "epoch" else 0)
    assert ours.epoch == theirs.epoch
    assert set(ours.history) == set(theirs.history)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-4)
    assert int(our_model.optimizer.iterations) == int(their_model.optimizer.iterations.numpy())
    for one, two in zip(our_model.get_weights(), their_model.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_the_same_as_a_run_that_was_not_broken_off(tmp_path):
    whole = model(weft, weft.optimizers.Adam())
    fit(whole, 4)
    _, history, made = interrupted(weft, tmp_path / "b", "epoch", 2, 1, weft.optimizers.Adam())
    assert history.epoch == [2, 3]
    for one, two in zip(made.variables, whole.variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    for one, two in zip(made.optimizer.variables, whole.optimizer.variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_a_run_that_is_done_leaves_nothing(tmp_path):
    fit(model(weft), callbacks=[BackupAndRestore(tmp_path / "b")])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("")
    fit(model(weft), callbacks=[BackupAndRestore(tmp_path / "b")])
    assert files(tmp_path) == ["b/mine"]


def test_a_run_killed_between_two_files_goes_on_from_the_backup_before(tmp_path, monkeypatch):
    whole = model(weft)
    fit(whole, 4)

    def killed(source, target):
        if "epoch_3" in source.read_text():
            raise KeyboardInterrupt
        os.replace(source, target)

    monkeypatch.setattr(backup, "os", SimpleNamespace(replace=killed, fspath=os.fspath))
    with pytest.raises(KeyboardInterrupt):
        fit(model(weft), 4, [BackupAndRestore(tmp_path, delete_checkpoint=False)])
    monkeypatch.undo()
    assert {"epoch_2_batch_0.weights.h5", "epoch_3_batch_0.weights.h5"} < set(files(tmp_path))
    made = model(weft)
    history = fit(made, 4, [BackupAndRestore(tmp_path, delete_checkpoint=False)])
    assert history.epoch == [2, 3]
    np.testing.assert_array_equal(made.get_weights()[0], whole.get_weights()[0])
    assert files(tmp_path) == ["epoch_4_batch_0.weights.h5", "training_metadata.json"]


def test_no_backups_on_request(tmp_path):
    made = model(weft)
    with pytest.raises(Boom):
        fit(made, callbacks=[BackupAndRestore(tmp_path, save_freq=False), broken(weft, 2)])
    assert files(tmp_path) == []


def test_what_is_kept_on_request(tmp_path):
    backup = BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    made = model(weft)
    fit(made, callbacks=[backup])
    assert files(tmp_path) == [
        "epoch_2_batch_0.weights.h5", "epoch_3_batch_0.weights.h5",
        "training_metadata.json", "training_metadata.json.bkp",
    ]  # fmt: skip
    again = model(weft)
    assert fit(again, callbacks=[BackupAndRestore(tmp_path)]).epoch == []  # it is done already
    np.testing.assert_array_equal(again.get_weights()[0], made.get_weights()[0])


def test_a_backup_that_cannot_be_read(tmp_path):
    kept = {"double_checkpoint": True, "delete_checkpoint": False}
    fit(model(weft), callbacks=[BackupAndRestore(tmp_path, **kept)])
    (tmp_path / "epoch_3_batch_0.weights.h5").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="the last backup in .* cannot be read .* before it is"):
        assert fit(model(weft), callbacks=[BackupAndRestore(tmp_path, **kept)]).epoch == [2]
    for path in tmp_path.glob("*.h5"):
        path.unlink()
    with pytest.warns(UserWarning, match="the last backup"):  # noqa: SIM117
        with pytest.raises(ValueError, match=r"cannot be loaded into .* Delete that"):
            fit(model(weft), callbacks=[BackupAndRestore(tmp_path)])


def test_a_backup_and_a_model_without_weights(tmp_path):
    """Its steps make calls that nobody can know of, so its weights come with them."""

    class Own(weft.Model):
        pass

    fit(model(weft), callbacks=[BackupAndRestore(tmp_path, delete_checkpoint=False)])
    made = Own()
    made.compile("sgd")
    with pytest.raises(ValueError, match="no weights yet to load it into: call it on a batch"):
        made.fit(np.ones((4, 2)), verbose=0, callbacks=[BackupAndRestore(tmp_path)])


def test_a_backup_of_another_model(tmp_path):
    fit(model(weft), callbacks=[BackupAndRestore(tmp_path, delete_checkpoint=False)])
    other = weft.Sequential([weft.Input((4,)), weft.layers.Dense(1)])
    other.compile("sgd", "mse")
    before = other.get_weights()
    with pytest.raises(ValueError, match="cannot be loaded into this model"):
        fit(other, callbacks=[BackupAndRestore(tmp_path)])
    np.testing.assert_array_equal(before[0], other.get_weights()[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backup_dir": ""}, "backup_dir is empty"),
        ({"save_freq": "batch"}, "save_freq must be 'epoch' or a number of batches"),
        ({"save_freq": 0}, "got 0"),
        ({"save_freq": True}, "got True"),
        ({"save_before_preemption": True}, "is TensorFlow's"),
    ],
)
def test_refused(given, message):
    with pytest.raises(ValueError, match=message):
        BackupAndRestore(**{"backup_dir": "b", **given})


class Net(weft.Model):
    """Made of layers that are built by their first call."""

    def __init__(self):
        super().__init__()
        self.first, self.last = weft.layers.Dense(4, "relu"), weft.layers.Dense(1)

    def call(self, inputs):
        return self.last(self.first(inputs))


def test_a_model_built_by_its_first_batch_goes_on(tmp_path):
    x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")

    class Stops(weft.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise Boom

    def run(*more):
        weft.random.set_seed(2)
        model = Net()
        model.compile(weft.optimizers.SGD(0.05), "mse")
        backup = weft.callbacks.BackupAndRestore(tmp_path / "backup")
        fitted = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0}
        model.fit(x, x[:, :1], callbacks=[backup, *more], **fitted)
        return model.get_weights()

    whole = run()
    with pytest.raises(Boom):
        run(Stops())
    for a, b in zip(run(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
