"""Sequential's list of layers, and a model built from shapes alone."""

import numpy as np
import pytest

import weft
from weft import layers

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def test_sequential_is_the_layers_in_order():
    a, b = layers.Dense(3, activation="relu"), layers.Dense(2)
    model = weft.Sequential([a, b])
    assert model.layers == [a, b]
    assert model.weights == []  # nothing says the shape of the inputs yet
    outputs = model(X).numpy()
    expected = np.maximum(X @ a.kernel.numpy(), 0) @ b.kernel.numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_an_input_builds_sequential_at_once():
    model = weft.Sequential([weft.Input((4,)), layers.Dense(3)])
    model.add(layers.Dense(2))
    assert [tuple(w.shape) for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    declared = weft.Sequential([layers.Dense(3, input_shape=(4,))])
    assert [tuple(w.shape) for w in declared.weights] == [(4, 3), (3,)]


def test_layers_are_added_and_taken_away():
    model = weft.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((6, 2)), verbose=0)
    assert model.pop().name == "b"
    assert model(X).shape == (6, 3)
    assert model.predict(X, verbose=0).shape == (6, 3)  # no step of the old stack is used
    model.add(layers.Dense(5, name="c"))
    model.fit(X, np.zeros((6, 5)), verbose=0)
    assert model.get_layer("c") is model.get_layer(index=1) is model.layers[-1]
    assert model.metrics_names == ["loss"]


def test_what_sequential_refuses():
    model = weft.Sequential([layers.Dense(3, name="a")], name="stack")
    with pytest.raises(ValueError, match=r"'stack' has a layer named 'a' already"):
        model.add(layers.Dense(2, name="a"))
    with pytest.raises(ValueError, match="an Input must be the first layer"):
        model.add(weft.Input((4,)))
    with pytest.raises(TypeError, match=r"takes layers, got function"):
        model.add(lambda x: x)
    with pytest.raises(ValueError, match=r"has no layer 'z'. Known: a"):
        model.get_layer("z")
    with pytest.raises(ValueError, match=r"has no layer 4"):
        model.get_layer(index=4)
    assert [layer.name for layer in model.layers] == ["a"]
    with pytest.raises(ValueError, match="no layers to pop"):
        weft.Sequential().pop()


def test_a_subclass_is_built_from_a_shape():
    class Net(weft.Model):
        def __init__(self):
            super().__init__()
            self.norm, self.out = layers.BatchNormalization(), layers.Dense(2)

        def call(self, inputs):
            return self.out(self.norm(inputs))

    model = Net()
    with pytest.raises(ValueError, match="depends on a dimension that is unknown"):
        model.build((None, None))
    assert not model.weights
    model.build((None, 4))
    assert [tuple(w.shape) for w in model.weights] == [(4,)] * 4 + [(4, 2), (2,)]
    np.testing.assert_array_equal(model.norm.moving_mean.numpy(), 0)  # no batch was seen
    assert model(X).shape == (6, 2)
