"""What is shown of a run on a terminal, in a notebook and elsewhere; what is fetched for it."""

import io
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from tests.training.screen import BAR, screen
from weft.training import painters
from weft.training.callback import Callback
from weft.training.callback_list import CallbackList
from weft.training.progbar import ProgbarLogger
from weft.training.progress import Progress, Status, duration, number, pace


class Clock:
    """Time that passes only when told."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def terminal():
    return Console(
        file=io.StringIO(), force_terminal=True, force_interactive=True, width=200, height=50,
        color_system="standard", legacy_windows=False, _environ={"TERM": "xterm"},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def given_back(monkeypatch):
    monkeypatch.setattr(painters.Terminal, "open", 0)  # whatever a test that failed left behind
    streams = sys.stdout, sys.stderr
    yield
    assert painters.Terminal.open == 0
    assert (sys.stdout, sys.stderr) == streams


def lines(console):
    return screen(console.file.getvalue())


def shown(console):
    """The lines with something on them."""
    return [line for line in lines(console) if line]


class Value:
    """A number that counts how often it is fetched, and may not be computed yet."""

    def __init__(self, value, ready=True):
        self.value, self.done, self.fetched = value, ready, 0

    def is_ready(self):
        return self.done

    def __float__(self):
        self.fetched += 1
        return self.value


# -- a bar on a terminal ----------------------------------------------------------------------


def test_bar(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/2", total=4)
    assert shown(terminal) == [f"Epoch 1/2 {BAR} 0/4"]
    clock.now = 5.0  # the first step compiles; its time is not in the speed
    progress.step(1, {"loss": 2.0})
    assert shown(terminal) == [f"Epoch 1/2 {BAR} 1/4  loss: 2.0000"]
    clock.now = 5.25
    progress.step(2, {"loss": 1.5})
    assert shown(terminal) == [
        f"Epoch 1/2 {BAR} 2/4  250 ms/step  0.5 s left  loss: 1.5000"
    ]  # fmt: skip
    clock.now = 5.5
    progress.step(3, {"loss": 1.25})
    clock.now = 5.75
    progress.step(4, {"loss": 1.0})
    assert shown(terminal) == [f"Epoch 1/2 {BAR} 4/4  250 ms/step  loss: 1.0000"]
    progress.aside("validating", 1)
    assert shown(terminal) == [f"Epoch 1/2 {BAR} 4/4  250 ms/step  validating 1  loss: 1.0000"]
    clock.now = 6.75
    progress.finish({"loss": 1.0, "val_loss": 3.0})
    first = f"Epoch 1/2 {BAR} 4/4  6.8 s  250 ms/step  loss: 1.0000  val_loss: 3.0000"
    assert shown(terminal) == [first]
    progress.start("Epoch 2/2", total=4)
    assert shown(terminal) == [first, f"Epoch 2/2 {BAR} 0/4"]
    progress.step(1, {})
    progress.finish()
    progress.close()
    terminal.file.write("prompt")
    assert lines(terminal) == [first, f"Epoch 2/2 {BAR} 1/4  0.0 s", "prompt"]
    assert terminal.file.getvalue().count("\x1b[?25h") == 1  # the cursor is back


def test_bar_grows_with_the_steps():
    def filled(step, total):
        return "".join(t for t, s in Status("", total, step).parts("━━") if s == "bar").count("━")

    assert [filled(step, 10) for step in (0, 5, 10, 12)] == [0, 10, 20, 20]
    assert filled(5, None) == 0


def test_unknown_total(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1")
    for step in (1, 2, 3):
        clock.now += 0.5
        progress.step(step, {"loss": 1.0})
    assert shown(terminal) == [f"Epoch 1 {BAR} 3  500 ms/step  loss: 1.0000"]
    progress.finish({"loss": 1.0})
    progress.close()
    assert shown(terminal) == [f"Epoch 1 {BAR} 3/3  1.5 s  500 ms/step  loss: 1.0000"]


def test_prints_go_above_the_bar(terminal, clock, capsys):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/1", total=2)
    print("hello", "there")
    print("unfinished ", end="")
    clock.now = 1.0
    progress.step(1, {"loss": 1.0})
    print("line")
    print("a warning", file=sys.stderr)
    assert shown(terminal) == [
        "hello there", "unfinished line", "a warning", f"Epoch 1/1 {BAR} 1/2  loss: 1.0000",
    ]  # fmt: skip
    progress.finish()
    print("done")
    progress.close()
    assert shown(terminal)[-2:] == [f"Epoch 1/1 {BAR} 1/2  1.0 s  loss: 1.0000", "done"]
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_metrics_wider_than_the_terminal(terminal, clock):
    terminal.width = 40
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/1", total=3)
    logs = {f"metric_{k}": float(k) for k in range(6)}
    for step in (1, 2, 3):
        clock.now += 1
        progress.step(step, logs)
    progress.finish()
    progress.close()
    text = shown(terminal)
    assert 3 <= len(text) <= 5 and max(map(len, text)) <= 40
    assert " ".join(" ".join(text).split()).endswith("metric_4: 4.0000 metric_5: 5.0000")


def test_a_run_broken_off_leaves_its_last_line(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/9", total=9)
    clock.now = 1.0
    progress.step(1, {"loss": 1.0})
    progress.close()
    progress.close()
    assert lines(terminal) == [f"Epoch 1/9 {BAR} 1/9  loss: 1.0000"]


def test_breaking_off_waits_for_nothing_and_hides_no_error(terminal, clock):
    class Broken(Value):
        def __float__(self):
            raise RuntimeError("of the device")

    for value in (Value(2.0, ready=False), Broken(2.0)):
        progress = Progress(console=terminal, clock=clock)
        progress.start("Epoch 1/1", total=9)
        clock.now += 1.0
        progress.step(1, {"loss": 1.0})
        progress.step(2, {"loss": value})
        progress.close()
        assert value.fetched == 0
        assert shown(terminal)[-1] == f"Epoch 1/1 {BAR} 1/9  loss: 1.0000"


def test_breaking_off_says_the_last_step_that_was_done(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/1", total=9)
    for step in (1, 2, 3):
        progress.step(step, {"loss": float(step)})
    progress.close()
    assert shown(terminal) == [f"Epoch 1/1 {BAR} 3/9  0 µs/step  loss: 3.0000"]


def test_short_stages_are_drawn_now_and_then(terminal, clock, monkeypatch):
    drawn = []
    monkeypatch.setattr(painters.Terminal, "draw", lambda self, status: drawn.append(status.label))
    progress = Progress(console=terminal, clock=clock)
    for k in range(150):  # 0.3 seconds
        progress.start(f"Epoch {k}", total=2)
        for step in (1, 2):
            clock.now += 0.001
            progress.step(step, {"loss": 1.0})
        progress.aside("validating", 1)
        progress.finish()
    progress.close()
    assert drawn == ["Epoch 0", "Epoch 99"]
    assert len(shown(terminal)) == 150


def test_a_forgotten_bar_gives_the_terminal_back(terminal):
    progress = Progress(console=terminal)
    progress.start("Epoch 1/9", total=9)
    assert painters.Terminal.open == 1
    del progress
    assert painters.Terminal.open == 0
    assert terminal.file.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_a_second_bar_at_the_same_time_is_a_line(terminal, clock):
    outer = Progress(console=terminal, clock=clock)
    outer.start("Epoch 1/1", total=2)
    inner = Progress(clock=clock)
    inner.start("Evaluate", total=1)
    inner.step(1, {"loss": 1.0})
    inner.finish()
    inner.close()
    assert shown(terminal)[0] == "Evaluate  1/1  0.0 s  0 µs/step  loss: 1.0000"
    assert shown(terminal)[1:] == [f"Epoch 1/1 {BAR} 0/2"]
    outer.close()


def test_terminal_without_unicode(clock):
    raw = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    console = Console(file=raw, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    progress = Progress(console=console, clock=clock)
    progress.start("Epoch 1/1", total=2)
    progress.step(1, {})
    progress.close()
    raw.seek(0)
    assert "==========" in raw.read()


# -- what is fetched --------------------------------------------------------------------------


def test_values_are_fetched_when_drawn_only(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/1", total=1000)
    losses = [Value(float(step)) for step in range(100)]
    for step, loss in enumerate(losses, 1):
        progress.step(step, {"loss": loss})
        clock.now += 0.02  # ten steps from drawing to drawing
    assert 9 <= sum(loss.fetched for loss in losses) <= 11
    progress.close()


def test_a_value_still_being_computed_is_drawn_the_next_time(terminal, clock):
    progress = Progress(console=terminal, clock=clock)
    progress.start("Epoch 1/1", total=3)
    first, second = Value(1.0, ready=False), Value(2.0, ready=False)
    clock.now = 1.0
    progress.step(1, {"loss": first})
    assert first.fetched == 0
    clock.now = 2.0
    progress.step(2, {"loss": second})
    assert (first.fetched, second.fetched) == (1, 0)
    assert shown(terminal) == [f"Epoch 1/1 {BAR} 1/3  loss: 1.0000"]
    progress.finish()
    assert second.fetched == 1
    progress.close()


def test_lines_fetch_at_the_end_only(clock, capsys):
    progress = Progress(verbose=2, clock=clock)
    progress.start("Epoch 1/1", total=3)
    losses = [Value(1.0), Value(2.0), Value(3.0)]
    for step, loss in enumerate(losses, 1):
        clock.now += 1.0
        progress.step(step, {"loss": loss})
    assert [loss.fetched for loss in losses[:2]] == [0, 0]
    progress.finish()
    assert capsys.readouterr().out == "Epoch 1/1  3/3  3.0 s  1 s/step  loss: 3.0000\n"


def test_the_check_of_the_clock_is_cheap(terminal):
    progress = Progress(console=terminal)
    progress.start("Epoch 1/1", total=10**9)
    logs = {"loss": 1.0}

    def timed(times=20_000):
        begin = time.perf_counter()
        for _ in range(times):
            progress.step(5, logs)
        return (time.perf_counter() - begin) / times

    best = min(timed() for _ in range(5))
    progress.close()
    assert best < 0.5e-6, f"{best * 1e6:.2f} µs"


# -- elsewhere --------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [1, "auto", 2, True])
def test_lines_where_there_is_no_terminal(verbose, clock, capsys):
    progress = Progress(verbose, clock=clock)
    for epoch in (1, 2):
        progress.start(f"Epoch {epoch}/2", total=2)
        for step in (1, 2):
            clock.now += 0.125
            progress.step(step, {"loss": 1 / step})
        clock.now += 1.0  # a callback that takes long: not the steps' time
        progress.finish()
    progress.close()
    line = "2/2  1.2 s  125 ms/step  loss: 0.5000"
    assert capsys.readouterr().out == f"Epoch 1/2  {line}\nEpoch 2/2  {line}\n"


def test_verbose_0_shows_nothing(capsys):
    progress = Progress(0)
    progress.start("Epoch 1/1", total=1)
    progress.step(1, {"loss": 1.0})
    progress.aside("validating")
    progress.finish()
    progress.close()
    assert capsys.readouterr() == ("", "")


def test_verbose_2_on_a_terminal_is_lines(terminal, clock):
    progress = Progress(2, console=terminal, clock=clock)
    progress.start("Evaluate", total=1)
    progress.step(1)
    progress.finish({"loss": 1.0})
    progress.close()
    assert terminal.file.getvalue() == "Evaluate  1/1  0.0 s  0 µs/step  loss: 1.0000\n"


def test_unknown_verbose():
    with pytest.raises(ValueError, match=r"verbose must be 0 .* or 2 \(a line an epoch\), got 3"):
        Progress(3)


def test_nothing_is_imported_for_plain_lines():
    code = (
        "import sys, weft.training.callback_list as c\n"
        "p = c.CallbackList(add_progbar=True, epochs=1, steps=1, verbose=1)\n"
        "p.on_train_begin(); p.on_epoch_begin(0); p.on_epoch_end(0, {'loss': 1.0})\n"
        "p.on_train_end()\n"
        "sys.exit(len({'rich', 'IPython'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


# -- numbers ----------------------------------------------------------------------------------


def test_durations():
    assert list(map(duration, (0, 0.04, 9.9, 9.96, 59.4, 60, 125, 3725))) == [
        "0.0 s", "0.0 s", "9.9 s", "10 s", "59 s", "1:00", "2:05", "1:02:05",
    ]  # fmt: skip


def test_paces():
    assert list(map(pace, (2.34e-4, 9.999e-4, 1e-3, 0.01234, 0.9999, 1.5, 75.0, 2000.0))) == [
        "234 µs", "1 ms", "1 ms", "12.3 ms", "1 s", "1.5 s", "75 s", "33:20",
    ]  # fmt: skip


def test_values():
    values = (0.0, 0.12345, 1e-5, 1234.5, 1e9, float("nan"), float("inf"), 7, "text")
    assert list(map(number, values)) == [
        "0.0000", "0.1235", "1.0000e-05", "1234.5000", "1.0000e+09", "nan", "inf", "7", "text",
    ]  # fmt: skip
    assert number(np.array([0.5, 0.25], np.float32)) == "[0.5  0.25]"
    assert "\n" not in number(np.ones(500))


# -- the callback -----------------------------------------------------------------------------


def fit(callbacks, epochs=2, steps=2):
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for step in range(steps):
            callbacks.on_train_batch_begin(step)
            callbacks.on_train_batch_end(step, {"loss": 1.0})
        callbacks.on_test_begin()
        callbacks.on_test_batch_end(0, {"loss": 2.0})
        callbacks.on_test_end({"loss": 2.0})
        callbacks.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0})
    callbacks.on_train_end({})


def without_times(line):
    parts = line.split("  ")
    return "  ".join(part for part in parts if not part.endswith((" s", "/step")))


def test_fit_on_a_terminal_with_a_callback_that_prints(terminal):
    class Prints(Callback):
        def on_epoch_end(self, epoch, logs=None):
            print(f"val_loss is {logs['val_loss']} after epoch {epoch}")

    fit(CallbackList([Prints(), ProgbarLogger(console=terminal)], epochs=2, steps=2, verbose=1))
    assert [without_times(line) for line in lines(terminal)] == [
        "val_loss is 2.0 after epoch 0",
        f"Epoch 1/2 {BAR} 2/2  loss: 1.0000  val_loss: 2.0000",
        "val_loss is 2.0 after epoch 1",
        f"Epoch 2/2 {BAR} 2/2  loss: 1.0000  val_loss: 2.0000",
    ]


def test_fit_in_lines(capsys):
    fit(CallbackList(add_progbar=True, epochs=2, steps=None, verbose=2))
    assert [without_times(line) for line in capsys.readouterr().out.splitlines()] == [
        "Epoch 1/2  2/2  loss: 1.0000  val_loss: 2.0000",
        "Epoch 2/2  2/2  loss: 1.0000  val_loss: 2.0000",
    ]


def test_steps_are_known_from_the_second_epoch_on(terminal):
    callbacks = CallbackList([ProgbarLogger(console=terminal)], epochs=2, steps=None, verbose=1)
    callbacks.on_train_begin()
    totals = []
    for epoch in range(2):
        callbacks.on_epoch_begin(epoch)
        totals.append(callbacks.callbacks[0]._progress._total)
        for step in range(3):
            callbacks.on_train_batch_end(step, {})
        callbacks.on_epoch_end(epoch, {})
    callbacks.on_train_end()
    assert totals == [None, 3]


def test_evaluate_and_predict(capsys):
    callbacks = CallbackList(add_progbar=True, steps=1, verbose="auto")
    callbacks.on_test_begin()
    callbacks.on_test_batch_end(0, {"loss": 1.0})
    callbacks.on_test_end({"loss": 0.5})
    outputs = Value(1.0)
    callbacks.on_predict_begin()
    callbacks.on_predict_batch_end(0, {"outputs": outputs})
    callbacks.on_predict_end()
    assert [without_times(line) for line in capsys.readouterr().out.splitlines()] == [
        "Evaluate  1/1  loss: 0.5000", "Predict  1/1",
    ]  # fmt: skip
    assert outputs.fetched == 0


def test_close_after_an_error(terminal):
    callbacks = CallbackList([ProgbarLogger(console=terminal)], epochs=2, steps=2, verbose=1)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    callbacks.close()
    assert lines(terminal) == [f"Epoch 1/2 {BAR} 1/2  loss: 1.0000"]
    CallbackList().close()
