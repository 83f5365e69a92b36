"""What callbacks remember of a run, taken out as JSON and given to others."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from weft.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    Logs,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
)

LOSSES = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2]


class Model:
    metrics = ()

    def __init__(self):
        self.stop_training = False
        self.optimizer = SimpleNamespace(learning_rate=0.1)
        self.saved = []

    def save_weights(self, path):
        self.saved.append(path)


def epochs(callback, model, numbers):
    for epoch in numbers:
        callback.on_epoch_begin(epoch, Logs())
        callback.on_epoch_end(epoch, Logs(loss=LOSSES[epoch], val_loss=LOSSES[epoch] / 2))
        if model.stop_training:
            return epoch
    return None


MAKERS = {
    "stopping": lambda folder: EarlyStopping("loss", patience=3),
    "plateau": lambda folder: ReduceLROnPlateau("loss", patience=2, cooldown=1),
    "checkpoint": lambda folder: ModelCheckpoint(
        folder / "{epoch}.weights.h5", "loss", save_best_only=True, save_weights_only=True
    ),
    "table": lambda folder: CSVLogger(folder / "log.csv"),
    "history": lambda folder: History(),
    "swapping": lambda folder: SwapEMAWeights(),
    "one's own": lambda folder: Callback(),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("split", [1, 3])
def test_a_run_taken_up_is_like_one_in_one_piece(name, split, tmp_path):
    results = []
    for pieces in ([range(6)], [range(split), range(split, 6)]):
        folder = tmp_path / str(len(pieces))
        folder.mkdir()
        model, state = Model(), None
        for numbers in pieces:
            callback = MAKERS[name](folder)
            callback.set_model(model)
            if name != "swapping":
                callback.on_train_begin(Logs())
            if state is not None:
                callback.set_state(json.loads(json.dumps(state)))
            stopped = epochs(callback, model, numbers)
            state = callback.get_state()
        files = {path.name: path.read_text() for path in folder.iterdir()}
        saved = [path.rsplit("/", 1)[1] for path in model.saved]
        results.append((state, stopped, model.optimizer.learning_rate, files, saved))
    assert results[0] == results[1]
    if name not in ("swapping", "one's own"):
        assert results[0][0]


def test_arrays_of_the_history_are_written_as_lists():
    history = History()
    history.on_train_begin()
    history.on_epoch_end(0, Logs(f1=np.array([0.5, 0.25])))
    assert json.loads(json.dumps(history.get_state()))["history"] == {"f1": [[0.5, 0.25]]}


def test_unknown_state_is_refused_before_any_is_set():
    callback = EarlyStopping("loss")
    with pytest.raises(ValueError, match=r"EarlyStopping has no state 'bst'\. Did you mean 'best'"):
        callback.set_state({"wait": 3, "bst": 1.0})
    assert callback.wait == 0
    with pytest.raises(ValueError, match=r"Callback has no state 'n'\. It keeps none\."):
        Callback().set_state({"n": 1})


def test_state_of_one_s_own():
    class Counts(Callback):
        count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

        def get_state(self):
            return {"count": self.count}

        def set_state(self, state):
            self.count = state["count"]

    one, two = Counts(), Counts()
    one.on_epoch_end(0)
    two.set_state(one.get_state())
    assert two.count == 1
