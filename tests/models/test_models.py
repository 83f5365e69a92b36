"""Sequential's list of layers, and a model built from shapes alone."""

import json

import keras
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


def test_sequential_is_built_by_its_first_data():
    model = weft.Sequential([layers.Dense(3), layers.Dense(2)])
    with pytest.raises(AttributeError, match="not described by symbolic inputs"):
        _ = model.inputs
    model(X)
    assert model.input_shape == (None, 4) and model.output_shape == (None, 2)
    features = weft.Model(model.inputs, model.layers[0].output)
    assert features(X).shape == (6, 3)
    assert model(X[:2]).shape == (2, 2)


def test_sequential_s_shapes_follow_its_layers():
    model = weft.Sequential([weft.Input((4,)), layers.Dense(3)])
    assert model.output_shape == (None, 3)
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    model.pop()
    assert model.output_shape == (None, 3) and model(X).shape == (6, 3)
    model.pop()
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7) and model.weights[0].shape == (4, 7)
    with pytest.raises(ValueError, match=r"input 'input_layer.*' takes shape \(None, 4\), got"):
        model(np.ones((2, 5)))


def test_sequential_is_built_from_a_shape():
    model = weft.Sequential([layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match="cannot be built without the shape of its input"):
        model.build()
    model.build((None, None, None, 2))
    assert model.output_shape == (None, 3)
    assert model(np.ones((1, 5, 6, 2))).shape == model(np.ones((1, 9, 9, 2)))[:, :3].shape
    inner = weft.Sequential([weft.Input((4,)), layers.Dense(3)])
    outer = weft.Sequential([inner, layers.Dense(2)])  # the shape is the inner model's
    assert outer.built and outer.output_shape == (None, 2)


def test_a_stateful_layer_keeps_the_batch_size():
    for first in (
        layers.LSTM(3, stateful=True),
        layers.LSTM(3, stateful=True, batch_input_shape=(2, None, 4)),
        layers.LSTM(3, stateful=True, input_shape=(None, 4), batch_size=2),
    ):
        model = weft.Sequential([first, layers.Dense(1)])
        once, twice = model(np.ones((2, 5, 4))).numpy(), model(np.ones((2, 5, 4))).numpy()
        assert model.input_shape[0] == 2 and (once != twice).all()
        first.reset_state()
        np.testing.assert_allclose(model(np.ones((2, 5, 4))), once, rtol=1e-6)


def test_sequential_of_integers():
    model = weft.Sequential([layers.Embedding(10, 4, mask_zero=True), layers.Dense(2)])
    out = model(np.array([[1, 2, 0]]))
    assert model.inputs[0].dtype == "int32" and out._keras_mask.tolist() == [[True, True, False]]


def test_sequential_s_config():
    made = [
        weft.Sequential([weft.Input((4,)), layers.Dense(3, activation="relu")], name="declared"),
        weft.Sequential([layers.Dense(3)], name="open"),
        weft.Sequential([weft.Sequential([weft.Input((4,)), layers.Dense(2)]), layers.ReLU()]),
    ]
    made.append(weft.Sequential([layers.Dense(3)], name="seen"))
    made[-1](X)
    for model in made:
        config = json.loads(json.dumps(model.get_config()))
        again = weft.Sequential.from_config(config)
        assert again.get_config() == model.get_config() and again.built == model.built
        theirs = keras.Sequential.from_config(config)
        if model.built:
            again.set_weights(model.get_weights())
            theirs.set_weights(model.get_weights())
            np.testing.assert_allclose(again(X), model(X), rtol=1e-6)
            np.testing.assert_allclose(theirs(X), model(X), rtol=1e-5, atol=1e-6)
        back = weft.Sequential.from_config(json.loads(json.dumps(theirs.get_config())))
        assert [layer.name for layer in back.layers] == [layer.name for layer in model.layers]


def test_a_layer_that_works_on_values_is_built_by_data():
    class Halts(layers.Layer):
        def call(self, x):
            return x * 2 if float(x.sum()) > 0 else x

    model = weft.Sequential([Halts(), layers.Dense(2)])
    assert model(X).shape == (6, 2) and len(model.weights) == 2


def test_a_shared_encoder_called_twice_is_one_program():
    encoder = weft.Sequential([layers.Dense(3)])

    class Pair(weft.Model):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def call(self, inputs):
            return self.encoder(inputs[0]) - self.encoder(inputs[1])

    pair = Pair()
    pair([X, X])
    before = len(weft.engine.program.programs.kept)
    for _ in range(3):
        assert not pair([X, X]).numpy().any()
    assert len(weft.engine.program.programs.kept) <= before + 1


def test_nothing_compiles_while_a_model_is_built():
    import jax

    seen = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: seen.append(event) if "compile" in event else None
    )
    x = weft.Input((13, 11, 3))
    y = x
    for filters in (5, 7):
        y = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(y)
        y = layers.BatchNormalization()(y)
        y = layers.Add()([y, layers.Dense(filters, kernel_initializer="orthogonal")(y)])
    model = weft.Model(x, layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(y)))
    weft.Sequential([layers.Dense(9), layers.LayerNormalization()]).build((None, 17))
    jax.monitoring.clear_event_listeners()
    assert len(model.weights) == 16 and not [e for e in seen if "backend_compile" in e]
