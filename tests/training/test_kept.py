"""Tensors that `call` keeps on `self` are there after a compiled step, with its values."""

import numpy as np
import pytest

import weft
from weft import layers, ops

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X.sum(1, keepdims=True)


class Watched(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)
        self.last = None
        self.maps = []

    def call(self, x, training=False):
        self.last = self.dense(x)
        self.maps = [self.last * 2, {"sum": ops.sum(self.last), "name": "maps"}]
        self.add_loss(1e-3 * ops.sum(self.last**2))
        return self.last


def model(**options):
    weft.random.set_seed(1)
    watched = Watched()
    made = weft.Sequential([weft.Input((3,)), watched, layers.Dense(1)])
    made.compile(weft.optimizers.SGD(0.0), "mse", **options)
    return made, watched


@pytest.mark.parametrize(
    "options", [{}, {"steps_per_execution": 3}, {"run_eagerly": True}], ids=str
)
def test_values_of_the_last_batch(options):
    made, watched = model(**options)
    for run in (
        lambda: made.fit(X, Y, batch_size=2, shuffle=False, verbose=0),
        lambda: made.evaluate(X, Y, batch_size=2, verbose=0),
        lambda: made.predict(X, batch_size=2, verbose=0),
    ):
        run()
        expected = watched.dense(X[6:]).numpy()
        np.testing.assert_allclose(watched.last.numpy(), expected, rtol=1e-6)
        twice, rest = watched.maps
        np.testing.assert_allclose(twice.numpy(), 2 * expected, rtol=1e-6)
        assert float(rest["sum"]) == pytest.approx(expected.sum(), rel=1e-5)
        assert rest["name"] == "maps"
        watched.last = None  # the next run sets it again


def test_a_callback_reads_them():
    made, watched = model()
    seen = []
    callback = weft.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(float(ops.sum(watched.last)))
    )
    made.fit(X, Y, batch_size=4, shuffle=False, verbose=0, callbacks=[callback])
    halves = [watched.dense(part).numpy().sum() for part in (X[:4], X[4:])]
    np.testing.assert_allclose(seen, halves, rtol=1e-4)


def test_nothing_kept_adds_nothing():
    weft.random.set_seed(1)
    made = weft.Sequential([weft.Input((3,)), layers.Dense(1, kernel_regularizer="l2")])
    made.compile("sgd", "mse")
    made.fit(X, Y, verbose=0)
    (program,) = made.programs["train_step"]
    assert program.n_results == 1  # the loss


class Counts(weft.Sequential):
    """Carries a tensor from step to step on an attribute, where a Variable would do better."""

    def __init__(self, looks):
        super().__init__([weft.Input((3,)), layers.Dense(1)])
        self.count = weft.convert_to_tensor(0)
        self.looks, self.seen = looks, []

    def train_step(self, data):
        if self.looks == "before" and int(self.count) % 3 == 0:
            self.seen.append(int(self.count))
        self.count = self.count + 1
        if self.looks == "after" and self.count % 3 == 0:
            self.seen.append(int(self.count))
        return super().train_step(data)


@pytest.mark.parametrize(("looks", "seen"), [("", []), ("before", [0, 3, 6]), ("after", [3, 6])])
def test_a_tensor_carried_from_step_to_step_goes_on(looks, seen):
    """One program would read the first one for ever, so the Python is run."""
    made = Counts(looks)
    made.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="asks for a tensor's value"):
        made.fit(X[:7], Y[:7], batch_size=1, verbose=0)
    assert int(made.count) == 7
    assert sorted(set(made.seen)) == seen
