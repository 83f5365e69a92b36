"""What fit, evaluate and predict print, beside what Keras's print."""

import re

import keras
import numpy as np
import pytest

import weft
from tests.training.screen import BAR, Terminal
from weft.callbacks import Callback, ProgbarLogger
from weft.training import painters

X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")

# Keras's variables do not take NumPy 2's way to ask for an array yet.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]


def model(kind=weft, **options):
    made = kind.Sequential([kind.Input((3,)), kind.layers.Dense(1)])
    made.compile("sgd", "mse", metrics=["mae"], **options)
    return made


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(painters.Terminal, "open", 0)
    made = Terminal()
    yield made
    assert painters.Terminal.open == 0
    text = made.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


# -- the same facts as Keras's ----------------------------------------------------------------


def facts(text):
    """(steps done, names of values in their order) of each finished line."""
    lines = [line for line in re.sub(r"\x1b\[\d+m|\x08", "", text).split("\n") if "/" in line]
    made = []
    for line in lines:
        line = line.split("\r")[-1]
        if not re.search(r"\d+ ?(µs|us|ms|s)\b", line):
            continue  # Keras's line "Epoch 1/2"
        steps = re.findall(r"(?<![\w.])(\d+/\d+)", re.sub(r"Epoch \d+/\d+", "", line))[0]
        made.append((steps, re.findall(r"(\w+): ", line)))
    return made


def batches():
    for _ in range(3):
        yield X, Y


RUNS = {
    "fit": lambda m, v: m.fit(X, Y, batch_size=2, epochs=2, verbose=v),
    "validation": lambda m, v: m.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=v),
    "validated every second epoch": lambda m, v: m.fit(
        X, Y, epochs=2, validation_data=(X, Y), validation_freq=2, verbose=v
    ),
    "steps_per_epoch": lambda m, v: m.fit(batches(), steps_per_epoch=2, shuffle=False, verbose=v),
    "later epochs": lambda m, v: m.fit(X, Y, epochs=4, initial_epoch=2, verbose=v),
    "evaluate": lambda m, v: m.evaluate(X, Y, batch_size=3, verbose=v),
    "evaluate to a dict": lambda m, v: m.evaluate(X, Y, return_dict=True, verbose=v),
    "evaluate some": lambda m, v: m.evaluate(X, Y, batch_size=2, steps=2, verbose=v),
    "predict": lambda m, v: m.predict(X, batch_size=3, verbose=v),
}


@pytest.fixture(scope="module")
def models():
    return model(weft), model(keras)


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
@pytest.mark.parametrize("run", RUNS)
def test_steps_names_and_their_order_are_keras_s(models, run, verbose, capsys):
    ours, theirs = models
    RUNS[run](ours, verbose)
    printed = capsys.readouterr().out
    RUNS[run](theirs, verbose)
    assert facts(printed) == facts(capsys.readouterr().out) != []


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_data_of_unknown_length(models, verbose, capsys):
    # Keras says 2/2 of three batches at times.
    models[0].fit(batches(), verbose=verbose)
    assert facts(capsys.readouterr().out) == [("3/3", ["loss", "mae"])]


@pytest.mark.parametrize("run", RUNS)
def test_silence(models, run, capsys):
    RUNS[run](models[0], 0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("callbacks", [(), (ProgbarLogger(),)])
def test_a_bar_of_one_s_own_is_the_run_s(callbacks, models, capsys):
    models[0].fit(X, Y, verbose=0, callbacks=list(callbacks))
    assert capsys.readouterr().out == ""
    models[0].fit(X, Y, verbose=2, callbacks=list(callbacks))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_several_steps_in_one_program(capsys):
    made = model(steps_per_execution=3)
    made.fit(X, Y, batch_size=2, epochs=2)
    assert facts(capsys.readouterr().out) == [("4/4", ["loss", "mae"])] * 2


@pytest.mark.parametrize("verbose", [3, -1, 1.5, "yes", None, [1]])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_another_verbose_is_refused_before_anything_runs(models, method, verbose):
    class Looks(Callback):
        began = False

        def on_train_begin(self, logs=None):
            self.began = True

        on_test_begin = on_predict_begin = on_train_begin

    looks = Looks()
    before = models[0].get_weights()
    with pytest.raises(ValueError, match=r"verbose must be 0 .* or 2 \(a line an epoch\), got "):
        getattr(models[0], method)(X, verbose=verbose, callbacks=[looks])
    assert not looks.began
    for a, b in zip(before, models[0].get_weights()):
        np.testing.assert_array_equal(a, b)


# -- on a terminal ----------------------------------------------------------------------------


class Prints(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            print("half", end=" ")
            print("way")


def cut(line):
    """The line without times and values."""
    line = re.sub(r"  [\d.]+ (µs|us|ms|s)(/step)?(?=  |\n|$)", "", line)
    return re.sub(r": [-\d.e+]+(?=  |\n|$)", "", line)


def test_prints_stand_above_the_bar(models, terminal):
    with terminal:
        models[0].fit(X, Y, batch_size=2, epochs=2, validation_data=(X, Y), callbacks=[Prints()])
    ends = f"{BAR} 4/4  loss  mae  val_loss  val_mae"
    assert [cut(line) for line in terminal.lines] == [
        "half way", f"Epoch 1/2 {ends}", "half way", f"Epoch 2/2 {ends}",
    ]  # fmt: skip


def test_evaluate_and_predict_on_a_terminal(models, terminal):
    with terminal:
        models[0].evaluate(X, Y, batch_size=3)
        models[0].predict(X, batch_size=3)
    assert [cut(line) for line in terminal.lines] == [
        f"Evaluate {BAR} 3/3  loss  mae", f"Predict {BAR} 3/3",
    ]  # fmt: skip


def test_a_run_inside_a_run_is_in_lines(models, terminal):
    class Runs(Callback):
        def on_epoch_end(self, epoch, logs=None):
            inner.fit(X, Y, batch_size=4)
            self.model.evaluate(X, Y, batch_size=4)

    inner = model()
    with terminal:
        models[0].fit(X, Y, batch_size=2, epochs=2, callbacks=[Runs()])
    assert [cut(line) for line in terminal.lines] == [
        "Epoch 1/1  2/2  loss  mae", "Evaluate  2/2  loss  mae",
        f"Epoch 1/2 {BAR} 4/4  loss  mae",
        "Epoch 1/1  2/2  loss  mae", "Evaluate  2/2  loss  mae",
        f"Epoch 2/2 {BAR} 4/4  loss  mae",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_broken_off_leaves_its_line_and_the_terminal(models, terminal, error):
    class Breaks(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise error("stop")

    with terminal, pytest.raises(error, match="stop"):
        models[0].fit(X, Y, batch_size=2, epochs=2, callbacks=[ProgbarLogger(), Breaks()])
    (line,) = terminal.lines
    assert re.fullmatch("Epoch 1/2 (━){20} [23]/4(  loss  mae)?", cut(line))
    with terminal:
        models[0].fit(X, Y, batch_size=2)
    assert cut(terminal.lines[-1]) == f"Epoch 1/1 {BAR} 4/4  loss  mae"


def test_a_narrow_terminal_without_unicode(models, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    terminal.encoding = "ascii"

    class Says(Callback):
        def on_epoch_end(self, epoch, logs=None):
            print("größer")
            inner.evaluate(X, Y)

    inner = model()
    with terminal:
        models[0].fit(X, Y, batch_size=2, callbacks=[Says()])
    assert max(map(len, terminal.lines)) <= 24
    shown = " ".join(" ".join(terminal.lines).split())
    assert re.fullmatch(
        r"gr\?\?er Evaluate 1/1 [\d.]+ s [\d.]+ [mu]s/step loss: \S+ mae: \S+ "
        r"Epoch 1/1 ={20} 4/4 [\d.]+ s [\d.]+ [mu]s/step loss: \S+ mae: \S+", shown,
    ), shown  # fmt: skip


def test_lines_in_an_encoding_without_micro(models):
    class File(Terminal):
        def isatty(self):
            return False

    with File("ascii") as stream:
        models[0].fit(X, Y, batch_size=2)
    assert re.fullmatch(r"Epoch 1/1  4/4 .*[mu]s/step  loss: .*\n", stream.getvalue())


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(models, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with terminal:
        models[0].fit(X, Y, batch_size=2)
    assert cut(terminal.getvalue()) == "Epoch 1/1  4/4  loss  mae\n"
