"""Copies of models: deep copies and pickles, compiled and trained or not."""

import copy
import pickle

import numpy as np
import pytest

import weft
from weft import layers

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X.sum(1, keepdims=True)
WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


class Subclass(weft.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4, "tanh")
        self.last = layers.Dense(1)

    def call(self, inputs):
        return self.last(self.hidden(inputs))


def functional():
    inputs = weft.Input((3,))
    x = layers.Dense(4, "tanh", kernel_constraint="max_norm")(inputs)
    return weft.Model(inputs, layers.Dense(1)(x + 1) * 2)


MODELS = {
    "Sequential": lambda: weft.Sequential([layers.Dense(4, "tanh"), layers.Dense(1)]),
    "functional": functional,
    "subclass": Subclass,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_copy_trains_on_by_itself(make, way):
    model = make()
    model.compile(weft.optimizers.Adam(0.1), "mse", metrics=["mae"])
    model.fit(X, Y, shuffle=False, verbose=0)
    twin = way(model)
    before = model.get_weights()
    np.testing.assert_allclose(twin.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
    twin.fit(X, Y, shuffle=False, verbose=0)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    model.fit(X, Y, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert int(twin.optimizer.iterations) == int(model.optimizer.iterations) == 2
