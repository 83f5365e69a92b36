"""Targets (n,) beside outputs (n, 1): as in Keras 2 they are given in the shape of the outputs."""

import numpy as np
import pytest

import weft
from weft import layers, ops

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X.sum(1)


class Error(weft.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred))


class Total(weft.metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)))

    def result(self):
        return self.total


class Squeezing(weft.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - ops.squeeze(y_pred, -1)))


def model(loss, metrics=None):
    weft.random.set_seed(2)
    made = weft.Sequential([weft.Input((3,)), layers.Dense(1)])
    made.compile(weft.optimizers.SGD(0.0), loss, metrics=metrics)
    return made


def test_losses_and_metrics_of_one_s_own():
    logs = [
        model(Error(), [Total(name="total")]).evaluate(X, y, verbose=0, return_dict=True)
        for y in (Y, Y[:, None])
    ]
    assert logs[0] == logs[1]
    m = model(Error(), [Total(name="total")])
    errors = Y - m.predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(logs[0]["loss"], np.mean(errors**2), rtol=1e-5)
    np.testing.assert_allclose(logs[0]["total"], np.abs(errors).sum(), rtol=1e-5)


def test_functions_and_losses_of_weft():
    for loss in ("mse", lambda t, p: ops.square(t - p), weft.losses.Huber()):
        values = [model(loss).evaluate(X, y, verbose=0) for y in (Y, Y[:, None])]
        assert values[0] == values[1]


def test_outputs_brought_to_the_targets_shape_are_told():
    message = r"squeezing: subtract of shapes \(8, 1\) and \(8,\) pairs every target .*leave out"
    with pytest.warns(UserWarning, match=message):
        model(Squeezing()).evaluate(X, Y, verbose=0)
    model(Error()).evaluate(X[:1], Y[:1], verbose=0)  # one sample pairs with nothing else


def test_class_labels_stay_as_they_are():
    seen = []

    class Seen(weft.losses.Loss):
        def call(self, y_true, y_pred):
            seen.append((tuple(y_true.shape), tuple(y_pred.shape)))
            return ops.sum(y_pred, -1)

    made = weft.Sequential([weft.Input((3,)), layers.Dense(4)])
    made.compile("sgd", Seen())
    made.evaluate(X, np.arange(8), verbose=0)
    assert seen == [((8,), (8, 4))]
