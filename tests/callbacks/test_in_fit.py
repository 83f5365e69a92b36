"""The callbacks in real runs of fit: beside Keras's, on an equal model."""

import csv
import http.server
import json
import threading
import urllib.parse
from itertools import pairwise

import keras
import numpy as np
import pytest

import weft
from tests.callbacks.models import LIBRARIES, Boom, broken, fit, model
from weft import optimizers
from weft.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    Logs,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    SwapEMAWeights,
    TerminateOnNaN,
)
from weft.training.callback import HOOKS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def same(ours, theirs):
    """Two histories, and the weights of two models, are equal."""
    assert ours.epoch == theirs.epoch
    assert set(ours.history) == set(theirs.history)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-4, err_msg=name)
    for one, two in zip(ours.model.get_weights(), theirs.model.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


CALLBACKS = {
    "nothing": lambda kind: [],
    "stopping": lambda kind: [kind.EarlyStopping("val_loss", patience=1)],
    "stopping at the best": lambda kind: [
        kind.EarlyStopping("val_loss", patience=1, mode="max", restore_best_weights=True)
    ],
    "stopping at the end": lambda kind: [
        kind.EarlyStopping("loss", patience=9, mode="max", restore_best_weights=True)
    ],
    "stopping by a baseline": lambda kind: [
        kind.EarlyStopping("val_mae", baseline=0.01, patience=2, restore_best_weights=True)
    ],
    "stopping late": lambda kind: [
        kind.EarlyStopping("loss", mode="max", start_from_epoch=3, min_delta=0.5)
    ],
    "plateau": lambda kind: [
        kind.ReduceLROnPlateau("val_loss", 0.5, patience=1, min_delta=5.0, cooldown=1)
    ],
    "plateau with a floor": lambda kind: [
        kind.ReduceLROnPlateau("loss", 0.1, patience=1, mode="max", min_lr=0.02)
    ],
    "rates": lambda kind: [kind.LearningRateScheduler(lambda epoch, rate: rate * 0.7)],
    "rates and plateau": lambda kind: [
        kind.LearningRateScheduler(lambda epoch: 0.05 / (1 + epoch)),
        kind.ReduceLROnPlateau("val_mae", 0.5, patience=1, min_delta=5.0),
    ],
    "a function": lambda kind: [
        kind.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(twice=2 * logs["loss"]))
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CALLBACKS)
def test_a_run_is_kerass(case):
    theirs, ours = (
        fit(model(library), 6, CALLBACKS[case](library.callbacks)) for library in LIBRARIES
    )
    same(ours, theirs)


HOOKS_OF_EPOCHS = (
    "on_train_begin", "on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end",
    "on_train_end",
)  # fmt: skip


@pytest.mark.parametrize("swap", [False, True])
def test_swapped_averages_are_kerass(swap):
    seen, histories = {}, {}
    for library in LIBRARIES:
        made = model(library, library.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5))
        seen[library], swapping = [], library.callbacks.SwapEMAWeights(swap)
        watch = library.callbacks.LambdaCallback(
            **{name: noting(name, made, seen[library]) for name in HOOKS_OF_EPOCHS}
        )
        histories[library] = fit(made, 3, [swapping, watch])
        ones = np.ones((2, 4), "float32")
        found = made.evaluate(ones, ones[:, :1], verbose=0, callbacks=[swapping])
        seen[library] += [("evaluate", value) for value in found]
    assert [name for name, _ in seen[weft]] == [name for name, _ in seen[keras]]
    np.testing.assert_allclose(
        [v for _, v in seen[weft]], [v for _, v in seen[keras]], rtol=1e-4, atol=1e-6
    )
    for name, values in histories[keras].history.items():
        np.testing.assert_allclose(histories[weft].history[name], values, rtol=1e-4)
    assert made.get_weights()[0][0, 0] == dict(seen[weft])["on_train_end"]  # after `evaluate`


def noting(when, made, seen):
    """A hook that notes the model's first weight."""
    return lambda *_: seen.append((when, made.get_weights()[0][0, 0]))


def test_averages_are_put_back_after_an_error():
    made = model(weft, optimizers.SGD(0.05, use_ema=True))
    swapping = SwapEMAWeights()
    fit(made, 1)
    before = made.get_weights()[0]

    class Fails(Callback):
        def on_test_begin(self, logs=None):
            raise Boom

    with pytest.raises(Boom):
        fit(made, 1, [swapping, Fails()])
    seen = []
    fit(made, 1, [swapping, LambdaCallback(on_epoch_begin=lambda *_: seen.append(
        made.get_weights()[0]))])  # fmt: skip
    assert not np.array_equal(seen[0], before)  # trained, and not the average
    average = made.optimizer.get_weights()
    assert not any(np.array_equal(seen[0], each) for each in average)


def test_averages_that_nobody_keeps():
    made = model(weft)
    with pytest.raises(ValueError, match=r"SwapEMAWeights needs an optimizer .* got SGD with use"):
        fit(made, callbacks=[SwapEMAWeights()])
    with pytest.raises(ValueError, match="Make it with use_ema=True"):
        made.predict(np.ones((2, 4)), callbacks=[SwapEMAWeights()], verbose=0)


def test_swapping_several_optimizers():
    made = model(weft)
    parts = [(optimizers.SGD(0.05, use_ema=True), made.layers[0]), (optimizers.SGD(0.1), None)]
    made.compile(optimizers.MultiOptimizer(parts), "mse")
    fit(made, 2, [SwapEMAWeights(swap_on_epoch=True)])
    assert np.isfinite(made.get_weights()[0]).all()


# -- learning rates of other optimizers ---------------------------------------------------------


def halved():
    return [LearningRateScheduler(lambda epoch, rate: rate / 2)]


def plateau():
    return [ReduceLROnPlateau("loss", 0.5, patience=1, mode="max")]


@pytest.mark.parametrize(("callbacks", "wanted"), [(halved, [0.05, 0.025]), (plateau, [0.1, 0.1])])
def test_rates_of_an_optimizer_inside(callbacks, wanted):
    made = model(weft, optimizers.LossScaleOptimizer(optimizers.SGD(0.1)))
    history = fit(made, 2, callbacks())
    np.testing.assert_allclose(history.history["learning_rate"], wanted, rtol=1e-6)


@pytest.mark.parametrize(("callbacks", "factors"), [(halved, [0.5, 0.25]), (plateau, [1, 1])])
def test_rates_of_several_optimizers(callbacks, factors):
    made = model(weft)
    parts = [(optimizers.SGD(0.01), made.layers[0]), (optimizers.Adam(0.1), None)]
    made.compile(optimizers.MultiOptimizer(parts), "mse")
    history = fit(made, 2, callbacks()).history
    np.testing.assert_allclose(history["learning_rate_0"], np.multiply(0.01, factors), rtol=1e-6)
    np.testing.assert_allclose(history["learning_rate_1"], np.multiply(0.1, factors), rtol=1e-6)
    if callbacks is plateau:
        assert float(parts[0][0].learning_rate) == pytest.approx(0.005)
        assert float(parts[1][0].learning_rate) == pytest.approx(0.05)


def test_one_rate_for_several_optimizers_is_refused():
    made = model(weft)
    parts = [(optimizers.SGD(0.01), made.layers[0]), (optimizers.Adam(0.1), None)]
    made.compile(optimizers.MultiOptimizer(parts), "mse")
    with pytest.raises(ValueError, match=r"all 2 optimizers one rate\. Write schedule\(epoch, lea"):
        fit(made, callbacks=[LearningRateScheduler(lambda epoch: 0.1)])


@pytest.mark.parametrize("callbacks", [halved, plateau])
def test_a_schedule_is_left_alone(callbacks):
    made = model(weft, optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)))
    before = made.get_weights()[0]
    with pytest.raises(ValueError, match=r"learning rate of sgd, which follows a schedule \(Expon"):
        fit(made, callbacks=callbacks())
    np.testing.assert_array_equal(made.get_weights()[0], before)


def test_keras_2_s_epsilon_and_unknown_arguments():
    assert ReduceLROnPlateau(epsilon=0.25).min_delta == 0.25
    with pytest.raises(TypeError, match=r"no argument 'patiense'\. Did you mean 'patience'"):
        ReduceLROnPlateau(patiense=3)
    with pytest.raises(TypeError, match=r"schedule must be a function .* got 0\.1 of type float"):
        LearningRateScheduler(0.1)


# -- what a callback may do -----------------------------------------------------------------------


def test_the_order_of_all_hooks():
    seen = []

    def noting(name):
        return lambda *where: seen.append((name, *where[:-1], *where[-1]))

    fit(model(weft), 2, [LambdaCallback(**{name: noting(name) for name in HOOKS})], batch_size=4)
    batch = [(f"on_{{}}_batch_{when}", 0, *names) for when, names in
             (("begin", ()), ("end", ("loss", "mae")))]  # fmt: skip

    def batches(kind, count):
        return [(name.format(kind), k, *rest) for k in range(count) for name, _, *rest in batch]

    def epoch(number):
        return [
            ("on_epoch_begin", number),
            *batches("train", 2),
            ("on_test_begin",),
            *batches("test", 1),
            ("on_test_end", "loss", "mae"),
            ("on_epoch_end", number, "loss", "mae", "val_loss", "val_mae"),
        ]

    last = ("on_train_end", "loss", "mae", "val_loss", "val_mae")
    assert seen == [("on_train_begin",), *epoch(0), *epoch(1), last]


def test_hooks_that_nobody_has_are_not_called_and_nothing_is_fetched(monkeypatch):
    seen, fetched = [], []

    class Watched(Logs):
        __slots__ = ()

        def __getitem__(self, key):
            fetched.append(key)
            return super().__getitem__(key)

        def _fetch(self):
            fetched.append("all")

    class Epochs(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, type(logs), sorted(logs)))

    def never(*_):
        raise AssertionError("a hook that nobody has was called")

    for hook in {*HOOKS, "on_batch_begin", "on_batch_end"} - {"on_epoch_end"}:
        monkeypatch.setattr(Callback, hook, never)
    monkeypatch.setattr("weft.training.fitting.Logs", Watched)
    monkeypatch.setattr("weft.training.callback_list.Logs", Watched)
    fit(model(weft), 2, [Epochs()])
    names = ["loss", "mae", "val_loss", "val_mae"]
    assert seen == [(0, Watched, names), (1, Watched, names)] and fetched == []


def test_callbacks_change_rates_weights_and_what_is_trained():
    made = model(weft, optimizers.SGD(0.05))
    made.compile(optimizers.SGD(0.05), "mse", loss_weights=1.0)
    states = []

    class Changes(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            states.append([w.copy() for w in made.get_weights()])
            if epoch == 1:
                self.model.layers[0].trainable = False
            if epoch == 2:
                self.model.compiled_loss.weights.assign(0.0)
            if epoch == 3:
                self.model.compiled_loss.weights.assign(1.0)
                self.model.optimizer.learning_rate = 0.0
            if epoch == 4:
                self.model.optimizer.learning_rate = 0.05
                self.model.layers[0].trainable = True

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 4:
                self.model.stop_training = True

    assert fit(made, 9, [Changes()]).epoch == [0, 1, 2, 3, 4]
    states.append(made.get_weights())
    changed = [
        (not np.array_equal(a[0], b[0]), not np.array_equal(a[2], b[2]))
        for a, b in pairwise(states)
    ]
    assert changed == [
        (True, True), (False, True), (False, False), (False, False), (True, True)
    ]  # fmt: skip


@pytest.mark.parametrize("when", [(1, None), (1, 2)], ids=["epoch", "batch"])
def test_a_callback_that_raises_leaves_the_model_usable(when):
    made = model(weft)
    bar = ProgbarLogger(verbose=0)
    with pytest.raises(Boom):
        fit(made, 3, [bar, broken(weft, *when)], verbose=2)
    assert bar._progress is None
    history = fit(made, 2)
    assert history.epoch == [0, 1] and np.isfinite(history.history["loss"]).all()
    assert made.evaluate(np.ones((2, 4)), np.ones((2, 1)), verbose=0)


def test_a_missing_metric_is_said_once_in_a_run():
    names = r"no metric 'val_acc' .* The metrics there are: loss, mae, val_loss, val_mae\.$"
    with pytest.warns(UserWarning, match=names) as seen:
        fit(model(weft), 4, [EarlyStopping("val_acc")])
    assert len(seen) == 1


def test_a_loss_that_is_no_number_stops_at_its_step(capsys):
    made, seen = model(weft, optimizers.SGD(1e20)), []
    steps = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    history = fit(made, 3, [steps, TerminateOnNaN()])
    assert len(seen) < 4 and not np.isfinite(seen[-1]) and np.isfinite(seen[:-1]).all()
    assert history.epoch == [0]
    assert f"Step {len(seen) - 1}: the loss is" in capsys.readouterr().out


# -- files and servers ------------------------------------------------------------------------


def test_a_csv_file_is_kerass(tmp_path):
    tables = []
    for library in LIBRARIES:
        path = tmp_path / f"{library.__name__}.csv"
        made = model(library)
        for append in (False, True):
            fit(made, 2, [library.callbacks.CSVLogger(str(path), append=append)])
        with open(path, newline="") as file:
            tables.append(list(csv.reader(file)))
    theirs, ours = tables
    assert ours[0] == theirs[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    np.testing.assert_allclose(
        [[float(cell) for cell in row] for row in ours[1:]],
        [[float(cell) for cell in row] for row in theirs[1:]],
        rtol=1e-4,
    )


@pytest.fixture
def server():
    """A server's address, and the requests that it got: path, headers, body."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    served = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}", got
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_server_is_told(as_json, server):
    root, got = server
    monitor = RemoteMonitor(root, "/there", "field", {"X-Run": "7"}, send_as_json=as_json)
    history = fit(model(weft), 2, [monitor]).history
    for epoch, (path, headers, body) in enumerate(got):
        text = body if as_json else urllib.parse.parse_qs(body)["field"][0]
        assert path == "/there" and headers["X-Run"] == "7"
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        assert headers["Content-Type"] == kind
        logs = {name: values[epoch] for name, values in history.items()}
        assert json.loads(text) == {"epoch": epoch, **logs}
    assert len(got) == 2


def test_a_server_that_is_not_there_is_said_once(server):
    root, got = server
    with pytest.warns(UserWarning, match=r"nothing could be sent to http://127\.0\.0\.1") as seen:
        fit(model(weft), 2, [RemoteMonitor(root.rsplit(":", 1)[0] + ":9")])
    assert len(seen) == 1 and got == []
    with pytest.raises(ValueError, match=r"root must be an address such as .* got 'localhost'"):
        RemoteMonitor("localhost")
