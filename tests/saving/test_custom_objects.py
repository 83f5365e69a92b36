"""The user's own classes and functions, found by name when a config is read."""

import pytest

import weft
from weft import layers, saving


@pytest.fixture
def doubling():
    @saving.register_keras_serializable(package="mine", name="Doubling")
    class Doubling_(layers.Layer):
        def __init__(self, by=2.0, **kwargs):
            super().__init__(**kwargs)
            self.by = by

        def call(self, inputs):
            return inputs * self.by

    return Doubling_


def test_a_registered_class_is_found(doubling):
    config = layers.serialize(doubling(by=3.0, name="d"))
    assert config["registered_name"] == "mine>Doubling"
    made = layers.deserialize(config)
    assert type(made) is doubling and made.by == 3.0 and made.name == "d"
    assert saving.get_registered_name(doubling) == "mine>Doubling"
    assert saving.get_registered_object("mine>Doubling") is doubling
    assert saving.get_registered_object("mine>Other") is None
    assert saving.get_registered_name(layers.Dense) == "Dense"


def test_scopes_nest_and_end():
    class A(layers.Layer):
        pass

    class B(layers.Layer):
        pass

    config = {"class_name": "Thing", "config": {}}
    with saving.CustomObjectScope({"Thing": A}):
        with saving.custom_object_scope({"Thing": B}):
            assert type(layers.deserialize(config)) is B
        assert type(layers.deserialize(config)) is A
    with pytest.raises(ValueError, match="unknown layer 'Thing'"):
        layers.deserialize(config)
    saving.get_custom_objects()["Thing"] = A
    try:
        assert type(layers.deserialize(config)) is A
    finally:
        saving.get_custom_objects().clear()


def test_every_kind_of_object_may_be_one_s_own():
    @saving.register_keras_serializable()
    class Sharp(weft.Loss):
        def call(self, y_true, y_pred):
            return weft.ops.mean((y_true - y_pred) ** 4, axis=-1)

    @saving.register_keras_serializable()
    def cube(x):
        return x**3

    assert isinstance(weft.losses.get("Sharp"), Sharp)
    assert weft.losses.deserialize(weft.losses.serialize(Sharp()))(1.0, [2.0]).numpy() == 1.0
    dense = layers.Dense(2, activation=cube)
    again = layers.deserialize(layers.serialize(dense))
    assert again.activation is cube


def test_what_cannot_be_registered_is_refused():
    with pytest.raises(ValueError, match="Plain cannot be registered: it has no get_config"):

        @saving.register_keras_serializable()
        class Plain:
            pass

    with pytest.raises(TypeError, match="serialize takes a layer, got int 3"):
        layers.serialize(3)


def test_a_layer_may_be_an_activation():
    dense = layers.Dense(2, activation=layers.LeakyReLU(negative_slope=0.5))
    again = layers.deserialize(layers.serialize(dense))
    assert again.activation.negative_slope == 0.5
