"""weft.utils: each name against Keras's of the same name."""

import inspect
import random

import keras
import numpy as np
import pytest

import weft
from weft import layers, ops, utils


def test_names_are_kerass():
    assert [name for name in utils.__all__ if not hasattr(keras.utils, name)] == []
    assert weft.tf.keras.utils.to_categorical is utils.to_categorical


@pytest.mark.parametrize(
    "name", [n for n in utils.__all__ if inspect.isfunction(getattr(utils, n))]
)
def test_arguments_are_kerass(name):
    def arguments(function):
        return {k: p.default for k, p in inspect.signature(function).parameters.items()}

    mine, theirs = arguments(getattr(utils, name)), arguments(getattr(keras.utils, name))
    if name == "get_registered_name":
        assert len(mine) == len(theirs) == 1
    else:
        assert mine == theirs


# -- seeds and names --------------------------------------------------------------------------


def test_set_random_seed_seeds_all_generators():
    def drawn():
        utils.set_random_seed(7)
        weights = layers.Dense(2)
        weights.build((None, 3))
        return (
            random.random(), *np.random.rand(2), *weft.random.normal((2,)).numpy(),
            *weights.kernel.numpy().ravel(),
        )  # fmt: skip

    first = drawn()
    assert drawn() == first and len(set(first)) == len(first)
    keras.utils.set_random_seed(7)
    assert first[:3] == (random.random(), *np.random.rand(2))
    before = random.getstate()
    for seed in (-1, 2**32, 1.5, "a"):
        with pytest.raises(ValueError, match=r"whole number from 0 to 2\*\*32 - 1, got"):
            utils.set_random_seed(seed)
    assert random.getstate() == before


def test_clear_session():
    for lib in (weft, keras):
        lib.utils.clear_session()
        names = [lib.layers.Dense(2).name for _ in range(2)]
        lib.utils.clear_session(free_memory=False)
        assert [*names, lib.layers.Dense(2).name] == ["dense", "dense_1", "dense"]
    weft.precision.set_global_policy("mixed_bfloat16")
    utils.clear_session()
    assert layers.Dense(2).dtype_policy.name == "float32"


def test_custom_objects():
    class Mine(layers.Layer):
        def call(self, x):
            return x

    config = layers.serialize(Mine())
    with pytest.raises(ValueError, match="unknown layer 'Mine'"):
        layers.deserialize(config)
    with utils.custom_object_scope({"Mine": Mine}):
        assert type(layers.deserialize(config)) is Mine
    utils.get_custom_objects()["Mine"] = Mine
    try:
        assert type(layers.deserialize(config)) is Mine
        assert utils.get_registered_object("Mine") is Mine
    finally:
        utils.get_custom_objects().clear()
    assert utils.get_registered_object("Mine") is None
    assert utils.get_registered_name(Mine) == keras.utils.get_registered_name(Mine) == "Mine"
    named = utils.register_keras_serializable("tests_utils", "Own")(Mine)
    assert utils.get_registered_name(named) == "tests_utils>Own"
    assert utils.get_registered_object("tests_utils>Own") is Mine


# -- arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [[0, 2], [[0], [2]], np.array([[1, 0], [2, 1]]), [[[1], [0]]], np.array([1.0, 0.0])]
)
def test_to_categorical(labels):
    for classes in (None, 4):
        got, want = (lib.utils.to_categorical(labels, classes) for lib in (weft, keras))
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    got = utils.to_categorical(ops.array(np.asarray(labels)), 4)
    assert isinstance(got, weft.Tensor)
    np.testing.assert_array_equal(got, keras.utils.to_categorical(labels, 4))


def test_to_categorical_refuses_what_is_no_class():
    for labels, odd in (([0, 3], "3"), ([-1, 1], "-1"), ([0.5, 1], "0.5")):
        with pytest.raises(ValueError, match=rf"with num_classes=3.*from 0 to 2, got {odd}"):
            utils.to_categorical(labels, 3)


@pytest.mark.parametrize(("axis", "order"), [(-1, 2), (0, 1), (1, np.inf)])
def test_normalize(axis, order):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 2.0]])
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    want = x / np.where(norm == 0, 1, norm)
    if axis != 0:  # Keras 3.15 lays the norms of axis 0 along axis 1
        np.testing.assert_array_equal(keras.utils.normalize(x, axis, order), want)
    np.testing.assert_allclose(utils.normalize(x, axis, order), want)
    np.testing.assert_allclose(utils.normalize(x.tolist(), axis, order), want)
    if order != np.inf:
        got = utils.normalize(ops.array(x), axis, order)
        assert isinstance(got, weft.Tensor)
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    ("sequences", "options"),
    [
        ([[1], [2, 3], [4, 5, 6]], {}),
        ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2, "padding": "post", "truncating": "post"}),
        ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2, "value": -1}),
        ([[1, 2, 3], []], {"maxlen": 5, "truncating": "post"}),
        ([[1.5], [2.5, 3.5]], {"dtype": "float32", "value": 0.25}),
        ([[[1, 2]], [[3, 4], [5, 6]]], {"padding": "post"}),
    ],
)
def test_pad_sequences(sequences, options):
    got, want = (lib.utils.pad_sequences(sequences, **options) for lib in (weft, keras))
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


def test_pad_sequences_refuses():
    for name in ("padding", "truncating"):
        with pytest.raises(ValueError, match=f"{name} must be 'pre' or 'post', got 'left'"):
            utils.pad_sequences([[1]], **{name: "left"})
    with pytest.raises(TypeError, match="takes a list of sequences, got 2 among them"):
        utils.pad_sequences([[1], 2])
    with pytest.raises(ValueError, match=r"need one shape, got \[\(1,\), \(2,\)\]"):
        utils.pad_sequences([[[1]], [[1, 2]]])
    assert utils.pad_sequences([]).shape == (0, 0)
    assert utils.pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)


# -- batches and symbols ----------------------------------------------------------------------


def test_batches():
    for args in ((1,), ([1, 2],), ((1, 2),), (1, 2), (1, 2, 3)):
        packed = utils.pack_x_y_sample_weight(*args)
        assert packed == keras.utils.pack_x_y_sample_weight(*args)
    # Keras loses these weights.
    assert utils.pack_x_y_sample_weight(1, None, 3) == (1, None, 3)
    for data in (1, (1,), [1, 2], (1, 2, 3)):
        unpacked = utils.unpack_x_y_sample_weight(data)
        assert unpacked == keras.utils.unpack_x_y_sample_weight(data)
    with pytest.raises(ValueError, match=r"x, \(x, y\) or \(x, y, sample_weight\), got a tuple"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))


def test_symbols():
    def sources(lib):
        x, y, unused = (lib.Input((3,), name=name) for name in "xyz")
        z = lib.layers.Add()([lib.layers.Dense(3)(y) * 2.0, x, y])
        assert lib.utils.is_keras_tensor(z) and not lib.utils.is_keras_tensor(np.ones(2))
        assert lib.utils.get_source_inputs(unused) == [unused]
        return [symbol.name for symbol in lib.utils.get_source_inputs(z)]

    assert sources(weft) == sources(keras) == ["y", "x"]
    with pytest.raises(TypeError, match="takes a symbolic tensor, got ndarray"):
        utils.get_source_inputs(np.ones(2))
