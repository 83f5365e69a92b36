"""OrbaxCheckpoint: which checkpoints there are, and a model that comes back from one."""

import builtins
import logging

import keras
import numpy as np
import pytest

import weft
from tests.callbacks.models import fit, model
from weft.callbacks import OrbaxCheckpoint

pytest.importorskip("orbax.checkpoint")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
BEST = {"save_best_only": True, "monitor": "loss"}
CASES = {
    "the last": {},
    "all": {"max_to_keep": None},
    "two": {"max_to_keep": 2, "save_on_background": False},
    "batches": {"max_to_keep": None, "save_freq": 3},
    "best": {"max_to_keep": None, **BEST},
    "largest": {"max_to_keep": None, **BEST, "mode": "max"},
    "weights": {"save_weights_only": True},
}


@pytest.fixture(autouse=True)
def quiet():
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


def steps(folder):
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_the_checkpoints_are_kerass(case, tmp_path):
    for library in (keras, weft):
        folder = tmp_path / library.__name__
        saver = library.callbacks.OrbaxCheckpoint(str(folder), **CASES[case])
        fit(model(library), 3, [saver])
    assert steps(tmp_path / "weft") == steps(tmp_path / "keras")


@pytest.mark.parametrize("given", [{}, {"save_weights_only": True}])
def test_a_model_comes_back(given, tmp_path):
    saver = OrbaxCheckpoint(tmp_path, max_to_keep=None, **given)
    made = model(weft, weft.optimizers.Adam(0.01))
    fit(made, 2, [saver])
    after = made.get_weights()
    fit(made, 1)
    again = model(weft, weft.optimizers.Adam(0.5))
    assert saver.restore(again) == 1
    for one, two in zip(again.get_weights(), after):
        np.testing.assert_array_equal(one, two)
    assert int(again.optimizer.iterations) == (0 if given else 8)
    assert float(again.optimizer.learning_rate) == pytest.approx(0.5 if given else 0.01)
    assert saver.restore(again, 0) == 0
    assert not np.array_equal(again.get_weights()[0], after[0])
    saver.wait_until_finished()
    assert saver.is_primary_host() and not saver.is_multihost_enabled()


def test_a_second_run_in_the_same_folder(tmp_path):
    made = model(weft)
    for _ in range(2):
        fit(made, 2, [OrbaxCheckpoint(tmp_path)])
    again = model(weft)
    assert OrbaxCheckpoint(tmp_path).restore(again) == 1
    np.testing.assert_array_equal(again.get_weights()[0], made.get_weights()[0])


def test_what_cannot_be_restored(tmp_path):
    saver = OrbaxCheckpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint.* those there are: none"):
        saver.restore(model(weft))
    fit(model(weft), 1, [saver])
    with pytest.raises(FileNotFoundError, match="has no checkpoint 7; those there are: 0"):
        saver.restore(model(weft), 7)
    other = weft.Sequential([weft.Input((4,)), weft.layers.Dense(1, name="other")])
    other.compile("sgd", "mse")
    before = other.get_weights()[0]
    with pytest.raises(ValueError, match=r"checkpoint 0 in .* is of another model"):
        saver.restore(other)
    np.testing.assert_array_equal(other.get_weights()[0], before)


def test_refused(monkeypatch):
    with pytest.raises(ValueError, match="max_to_keep must be 1 or more, or None, got 0"):
        OrbaxCheckpoint("there", max_to_keep=0)
    with pytest.raises(ValueError, match="save_freq must be 'epoch' or a number of batches"):
        OrbaxCheckpoint("there", save_freq="batch")
    load = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "orbax":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'weft\[orbax\]'"):
        OrbaxCheckpoint("there")
