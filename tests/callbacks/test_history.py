"""History: as a data frame, and drawn."""

import builtins

import numpy as np
import pytest

import weft
from tests.callbacks.models import fit, model
from weft.callbacks import History, Logs


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_a_data_frame():
    pytest.importorskip("pandas")
    history = fit(model(weft), 4, validation_freq=2)
    frame = history.to_frame()
    assert list(frame.columns) == ["loss", "mae", "val_loss", "val_mae"]
    assert list(frame.index) == [0, 1, 2, 3] and frame.index.name == "epoch"
    assert frame["loss"].tolist() == history.history["loss"]
    assert frame["val_loss"].isna().tolist() == [True, False, True, False]
    assert frame["val_loss"].dropna().tolist() == history.history["val_loss"]
    assert all(kind == np.float64 for kind in frame.dtypes)


def test_epochs_of_a_second_run_come_after_the_first():
    pytest.importorskip("pandas")
    history, made = History(), model(weft)
    fit(made, 2, [history])
    fit(made, 2, [history])
    assert history.epoch == [0, 1] and len(history.history["loss"]) == 4
    assert list(history.to_frame().index) == [0, 1, 2, 3]
    resumed = History()
    fit(made, 2, [resumed])
    fit(made, 4, [resumed], initial_epoch=2)
    assert list(resumed.to_frame().index) == [0, 1, 2, 3]


def test_a_frame_of_arrays_and_of_values_set_by_hand():
    pytest.importorskip("pandas")
    history = History()
    history.on_train_begin()
    history.on_epoch_end(3, Logs(loss=1.0, f1=np.array([0.5, 0.25])))
    frame = history.to_frame()
    assert frame.loc[3, "loss"] == 1.0 and frame.loc[3, "f1"].tolist() == [0.5, 0.25]
    history.history = {"loss": [3.0, 2.0]}
    assert history.to_frame()["loss"].tolist() == [3.0, 2.0]
    assert History().to_frame().empty


def test_it_is_drawn(pyplot):
    history = fit(model(weft), 4, validation_freq=2)
    figure = history.plot()
    loss, mae = figure.axes
    assert (loss.get_title(), mae.get_title()) == ("loss", "mae")
    train, validation = loss.lines
    np.testing.assert_array_equal(train.get_data(), [[1, 2, 3, 4], history.history["loss"]])
    np.testing.assert_array_equal(validation.get_data(), [[2, 4], history.history["val_loss"]])
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["loss", "val_loss"]
    _, axes = pyplot.subplots()
    assert history.plot("mae", ax=axes) is axes.figure and len(axes.lines) == 2


def test_what_cannot_be_drawn(pyplot):
    history = fit(model(weft), 1)
    with pytest.raises(ValueError, match=r"there is no metric 'acc'; there are: loss, mae\."):
        history.plot("acc")
    _, axes = pyplot.subplots()
    with pytest.raises(ValueError, match="2 metrics need as many axes, got 1"):
        history.plot(ax=axes)
    with pytest.raises(ValueError, match="no values yet"):
        History().plot()


@pytest.mark.parametrize(
    ("package", "method", "message"),
    [("pandas", "to_frame", "pip install pandas"), ("matplotlib", "plot", r"'weft\[plot\]'")],
)
def test_without_the_package_the_error_says_what_to_install(package, method, message, monkeypatch):
    load = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return load(name, *args, **kwargs)

    history = History()
    history.history = {"loss": [1.0]}
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=message):
        getattr(history, method)()
