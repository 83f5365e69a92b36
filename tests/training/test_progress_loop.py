"""`Progbar` in a loop of one's own, beside Keras's; what `ProgbarLogger` takes."""

import inspect
import re

import keras
import numpy as np
import pytest

import weft
from tests.training.screen import Terminal
from weft.callbacks import ProgbarLogger
from weft.training import painters
from weft.training.loop_bar import Progbar

# -- Progbar ----------------------------------------------------------------------------------

UPDATES = {
    "means": [(1, [("a", 1.0)]), (2, [("a", 3.0)]), (3, [("a", 8.0)]), (4, [("a", 0.0)])],
    "unlike steps": [(2, [("a", 1.0)]), (3, [("a", 4.0), ("b", 1e-5)]), (4, [("b", 2.0)])],
    "backwards": [(3, [("a", 1.0)]), (2, [("a", 4.0)]), (4, [("a", 2.0)])],
    "without values": [(1, None), (2, []), (4, None)],
}
OPTIONS = {
    "all are means": {},
    "a is not": {"stateful_metrics": ["a"]},
    "only b is": {"stateless_metrics": ["b"]},
    "no length": {"target": None},
    "narrow": {"width": 7},
    "no bar": {"width": 0},
}


@pytest.fixture(autouse=True)
def on_a_wide_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(painters.Terminal, "open", 0)


def drawn(kind, updates, **options):
    """What a person sees after each update: steps, the bar's length, its filled part, values."""
    seen = []
    with Terminal() as terminal:
        bar = kind(**{"target": 4, "interval": 0, **options})
        for current, values in updates:
            bar.update(current, values)
            styled = terminal.getvalue().replace("\x08", "").rstrip("\n").split("\r")[-1]
            line = re.sub("\x1b\\[\\d*[mK]", "", styled)
            done = re.search("\x1b\\[32m(━*)", styled)
            seen.append((
                re.search(r"\d+(/\d+)?", line)[0],
                line.count("━") if options.get("target", 4) else 0,
                len(done[1]) if done else 0,
                dict(re.findall(r"(\w+): (\S+)", line)),
            ))  # fmt: skip
    return seen


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("updates", UPDATES)
def test_each_update_is_keras_s(updates, options):
    ours = drawn(Progbar, UPDATES[updates], **OPTIONS[options])
    theirs = drawn(keras.utils.Progbar, UPDATES[updates], **OPTIONS[options])
    assert ours[:-1] == theirs[:-1]
    assert ours[-1][:3] == theirs[-1][:3]  # Keras has no means on its last line
    assert list(ours[-1][3]) == list(theirs[-1][3])


def test_over_the_target_the_bar_is_full():
    assert [each[:3] for each in drawn(Progbar, [(3, None), (6, None)])] == [
        ("3/4", 20, 15), ("6/4", 20, 20),  # Keras's has 30 characters there
    ]  # fmt: skip


def test_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    values = {f"metric_{k}": float(k) for k in range(4)}
    with Terminal() as terminal:
        bar = Progbar(2, interval=0)
        bar.add(1, values)
        assert len(terminal.lines[-1]) == 29  # what is drawn again must not wrap
        bar.add(1, values)
    assert terminal.lines[-1].endswith("metric_3: 3.0000")


def test_arrays(capsys):
    bar = Progbar(2, verbose=2, stateful_metrics=["b"])
    for k in (1.0, 2.0):
        bar.add(1, {"a": np.array([k, k + 2]), "b": np.array([k, k])})
    assert capsys.readouterr().out.endswith("  a: 2.5000  b: [2. 2.]\n")


def test_what_a_step_is_called(capsys):
    bar = Progbar(2, verbose=2, unit_name="sample")
    bar.add(1)
    bar.add(1)
    assert re.fullmatch(r"2/2  .* [µm]?s/sample\n", capsys.readouterr().out)


def test_the_same_arguments_as_keras_s():
    for name in ("__init__", "update", "add"):
        mine, its = (
            inspect.signature(getattr(kind, name)).parameters
            for kind in (Progbar, keras.utils.Progbar)
        )
        assert {k: v.default for k, v in mine.items()} == {k: v.default for k, v in its.items()}


def test_the_last_line_has_means(capsys):
    bar = Progbar(4, verbose=2, stateful_metrics=["lr"])
    for k in (1.0, 2.0, 3.0, 4.0):
        bar.add(1, {"loss": k, "lr": k})
    line = capsys.readouterr().out
    assert re.fullmatch(r"4/4  .*/step  loss: 2\.5000  lr: 4\.0000\n", line)
    assert bar.seen_so_far == 4


def test_the_end_where_no_length_is_known(capsys):
    bar = Progbar(-1, verbose=2, unit_name="episode")
    assert bar.target is None
    bar.add(3, [("return", 1.0)])
    assert capsys.readouterr().out == ""
    bar.update(4, [("return", 5.0)], finalize=True)
    bar.update(5, [("return", 8.0)], finalize=True)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"4/4  .*/episode  return: 2\.0000", first)
    assert re.fullmatch(r"5/5  .*return: 3\.2000", second)


def test_a_loop_of_one_s_own(capsys):
    model = weft.Sequential([weft.Input((2,)), weft.layers.Dense(1)])
    optimizer = weft.optimizers.SGD(0.1)
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    mean, losses = weft.metrics.Mean(), []
    bar = Progbar(3, verbose=2, stateful_metrics=["running"])
    for _ in range(3):
        with weft.GradientTape() as tape:
            loss = weft.ops.mean((model(x) - y) ** 2)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        mean.update_state(loss)
        losses.append(loss)
        bar.add(1, [("loss", loss), ("running", mean.result())])
    expected = f"{np.mean([float(loss) for loss in losses]):.4f}"
    assert re.search(rf"  loss: {expected}  running: {expected}\n", capsys.readouterr().out)


class Value:
    """A number on a device that may still be computing it."""

    def __init__(self, value, ready):
        self.value, self.ready, self.fetched = value, ready, 0

    def is_ready(self):
        return self.ready

    def __float__(self):
        self.fetched += 1
        return self.value


def test_nothing_is_waited_for_before_the_end():
    values = [Value(1.0, True), Value(3.0, False), Value(8.0, False)]
    with Terminal() as terminal:
        bar = Progbar(3, interval=0)
        bar.add(1, [("a", values[0])])
        bar.add(1, [("a", values[1])])
        assert [value.fetched for value in values] == [1, 0, 0]
        assert "a: 1.0000" in terminal.lines[-1]
        bar.add(1, [("a", values[2])])
    assert [value.fetched for value in values] == [1, 1, 1]
    assert terminal.lines[-1].endswith("a: 4.0000")


def test_silence_fetches_nothing(capsys):
    value = Value(1.0, True)
    bar = Progbar(1, verbose=0)
    bar.add(1, [("a", value)])
    assert (value.fetched, bar.seen_so_far, capsys.readouterr().out) == (0, 1, "")


def test_values_waiting_are_not_heaped_up():
    values = [Value(1.0, False) for _ in range(200)]
    with Terminal():
        bar = Progbar(None, interval=1e9)
        for value in values:
            bar.add(1, [("a", value)])
        assert 100 <= sum(value.fetched for value in values) < 200
        bar.update(200, finalize=True)
    assert sum(value.fetched for value in values) == 200


def test_a_loop_left_early_holds_nothing_of_the_terminal():
    with Terminal() as terminal:
        Progbar(9, interval=0).add(1)
    assert "\x1b[?25l" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"stateful_metrics": ["a"], "stateless_metrics": ["b"]}, ValueError, "not both"),
        ({"stateful_metrics": "loss"}, TypeError, r"such as \['auc'\], got 'loss'"),
        ({"stateless_metrics": 3}, TypeError, "stateless_metrics must be a list .* got 3"),
        ({"stateful_metrics": [3]}, TypeError, "names of metrics, got 3 among them"),
        ({"width": -1}, ValueError, "width must be a number of 0 or more, got -1"),
        ({"interval": "a"}, ValueError, "interval must be a number of 0 or more, got 'a'"),
        ({"verbose": 3}, ValueError, "verbose must be 0 .* got 3"),
        ({"unit_name": 3}, TypeError, "unit_name must be text, got 3"),
        ({"target": "many"}, TypeError, "whole number of steps, or None, got 'many'"),
        ({"target": 2.5}, TypeError, "whole number of steps, or None, got 2.5"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Progbar(**{"target": 3, **arguments})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (5, r"\(name, value\) pairs, such as \[\('loss', 0.5\)\], got 5"),
        ([("a", 1, 2)], "pairs.* got"),
        ([(1, 2)], "named by text, got 1"),
    ],
)
def test_bad_values(values, message):
    bar = Progbar(3)
    with pytest.raises(TypeError, match=message):
        bar.add(1, values)
    assert bar.seen_so_far == 0


# -- ProgbarLogger's arguments ----------------------------------------------------------------


def fitted(*bars, verbose=2):
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    model = weft.Sequential([weft.Input((3,)), weft.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model.fit(x, y, batch_size=3, verbose=verbose, callbacks=list(bars))


@pytest.mark.parametrize(
    "bar",
    [
        lambda: ProgbarLogger(),
        lambda: ProgbarLogger("samples"),
        lambda: ProgbarLogger(count_mode="steps", stateful_metrics=["mae"]),
        lambda: ProgbarLogger("samples", ("loss", "mae")),
    ],
)
def test_keras_2_s_arguments(bar, capsys):
    history = fitted(bar()).history
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Epoch 1/1  3/3  ")
    assert line.endswith(f"  loss: {history['loss'][0]:.4f}  mae: {history['mae'][0]:.4f}")


def test_arguments_of_a_bar_that_are_refused():
    with pytest.raises(ValueError, match="count_mode must be 'steps' or 'samples', got 'batches'"):
        ProgbarLogger("batches")
    with pytest.raises(TypeError, match=r"stateful_metrics must be a list .* got 'mae'"):
        ProgbarLogger(stateful_metrics="mae")
    with pytest.raises(ValueError, match=r"verbose must be 0 .* got 7"):
        ProgbarLogger(verbose=7)


# -- which shells are notebooks ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "module", "expected"),
    [
        ("ZMQInteractiveShell", "ipykernel.zmqshell", True),
        ("Shell", "google.colab._shell", True),
        ("SpyderShell", "spyder_kernels.console.shell", False),
        ("TerminalInteractiveShell", "IPython.terminal.interactiveshell", False),
    ],
)
def test_shells_whose_outputs_can_be_replaced(name, module, expected, monkeypatch):
    shell = type(name, (), {"__module__": module})()
    ipython = type("IPython", (), {"get_ipython": staticmethod(lambda: shell)})
    monkeypatch.setitem(painters.sys.modules, "IPython", ipython)
    assert painters.is_notebook() is expected


def test_no_notebook_without_ipython(monkeypatch):
    monkeypatch.delitem(painters.sys.modules, "IPython", raising=False)
    assert not painters.is_notebook()
