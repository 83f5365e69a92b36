"""What pooling layers do beyond the contract: ties, long windows, masks, whole numbers."""

import keras
import numpy as np
import pytest

import weft
from weft import layers

RNG = np.random.default_rng(8)


def values_and_gradient(layer, x, weights=None):
    x = weft.convert_to_tensor(x)
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = weft.ops.sum(y if weights is None else y * weights)
    return y.numpy(), tape.gradient(total, x).numpy()


def test_the_first_of_equal_values_gets_the_gradient():
    _, gradient = values_and_gradient(layers.MaxPooling2D(2), np.zeros((1, 4, 4, 1), "float32"))
    assert gradient[0, :, :, 0].tolist() == [[1, 0, 1, 0], [0] * 4] * 2
    _, gradient = values_and_gradient(layers.MaxPooling1D(70), np.zeros((1, 140, 1), "float32"))
    assert np.flatnonzero(gradient).tolist() == [0, 70]
    _, gradient = values_and_gradient(
        layers.MaxPooling1D(37, strides=5), np.zeros((1, 42, 1), "float32")
    )
    assert np.flatnonzero(gradient).tolist() == [0, 5]
    _, gradient = values_and_gradient(
        layers.AdaptiveMaxPooling1D(4), np.zeros((1, 9, 1), "float32")
    )
    assert np.flatnonzero(gradient).tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(33, 1, "valid"), (40, 20, "same"), (64, 64, "valid"), (50, 7, "same"), (12, 18, "valid")],
)
def test_long_windows(size, strides, padding):
    """Windows are put together from blocks and halves; values and gradients are Keras's."""
    x = RNG.normal(size=(2, 150, 3)).astype("float32")
    for name in ("MaxPooling1D", "AveragePooling1D"):
        options = {"pool_size": size, "strides": strides, "padding": padding}
        theirs = np.asarray(getattr(keras.layers, name)(**options)(x))
        layer = getattr(layers, name)(**options)
        weights = RNG.normal(size=theirs.shape).astype("float32")
        y, gradient = values_and_gradient(layer, x, weights)
        np.testing.assert_allclose(y, theirs, rtol=1e-5, atol=1e-6)
        # The output is homogeneous in x, so x·gradient is the weighted sum of the outputs.
        assert (x * gradient).sum() == pytest.approx((y * weights).sum(), rel=1e-4, abs=1e-3)


def test_nan_and_infinity_stay_in_their_windows():
    x = np.array([[[1.0], [np.nan], [2.0], [np.inf], [3.0], [-np.inf]]], "float32")
    expected = [np.nan, np.inf, 3.0]
    np.testing.assert_array_equal(layers.MaxPooling1D(2)(x).numpy().ravel(), expected)
    expected[2] = -np.inf
    np.testing.assert_array_equal(layers.AveragePooling1D(2)(x).numpy().ravel(), expected)
    np.testing.assert_array_equal(layers.AdaptiveAveragePooling1D(3)(x).numpy().ravel(), expected)


def test_means_in_half_precision_are_rounded_once():
    x = np.full((1, 1000, 1), 1.0, "float16")
    x[0, ::2] = 0.5
    for layer in (
        layers.AveragePooling1D(1000, dtype="float16"),
        layers.AdaptiveAveragePooling1D(1, dtype="float16"),
        layers.GlobalAveragePooling1D(dtype="float16"),
    ):
        assert layer(x).numpy().item() == 0.75
    steps = np.full((1, 4000, 1), 100.0, "float16")
    masked = layers.GlobalAveragePooling1D(dtype="float16")(steps, mask=np.ones((1, 4000), bool))
    assert masked.numpy().item() == 100.0


def test_whole_numbers():
    x = np.arange(8, dtype="int32").reshape(1, 8, 1)
    assert layers.MaxPooling1D()(x).dtype == layers.GlobalMaxPooling1D()(x).dtype == "int32"
    assert layers.AveragePooling1D(2)(x).dtype == layers.GlobalAveragePooling1D()(x).dtype
    assert layers.AveragePooling1D(2)(x).numpy().ravel().tolist() == [0.5, 2.5, 4.5, 6.5]


def test_a_mask_leaves_steps_out():
    steps = RNG.normal(size=(2, 4, 3)).astype("float32")
    steps[0, 3] = np.nan  # what is left out counts for nothing, not even a NaN
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)
    y = layers.GlobalAveragePooling1D()(steps, mask=mask).numpy()
    np.testing.assert_allclose(y[0], steps[0, :2].mean(0), rtol=1e-6)
    assert np.isnan(y[1]).all()


def test_an_embedding_s_mask_is_used_and_ends():
    embedding = layers.Embedding(5, 3, mask_zero=True)
    pool = layers.GlobalAveragePooling1D()
    y = pool(embedding(np.array([[2, 3, 0, 0]])))
    table = embedding.get_weights()[0]
    np.testing.assert_allclose(y.numpy()[0], table[[2, 3]].mean(0), rtol=1e-6)
    assert y._keras_mask is None


def test_a_mask_of_another_shape():
    steps = np.zeros((2, 4, 3), "float32")
    for mask in (np.ones((2, 3), bool), np.ones((1, 4), bool), np.ones((2, 4, 3), bool)):
        with pytest.raises(weft.ShapeError, match=r"\(batch, steps\) = \(2, 4\), got \("):
            layers.GlobalAveragePooling1D()(steps, mask=mask)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.MaxPooling1D(0), "MaxPooling1D: pool_size must be a positive integer"),
        (lambda: layers.MaxPooling3D((2, 2)), r"or 3 of them, got pool_size=\(2, 2\)"),
        (lambda: layers.AveragePooling3D(2, strides=-1), "strides must be a positive integer"),
        (lambda: layers.AveragePooling1D(2, padding="causal"), "padding is 'valid' or 'same'"),
        (lambda: layers.GlobalMaxPooling3D("first"), "GlobalMaxPooling3D: data_format is"),
        (lambda: layers.AdaptiveMaxPooling2D(0), "output_size must be a positive integer"),
        (lambda: layers.AdaptiveMaxPooling2D((3, None)), "positive integer, got output_size=None"),
        (lambda: layers.AdaptiveAveragePooling3D((1, 2)), r"or 3 of them, got output_size=\(1, 2"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (layers.MaxPooling1D(5), (2, 4, 1), r"window of \(5,\) does not fit .*\(4,\)"),
        (layers.AveragePooling3D((1, 1, 3)), (1, 2, 2, 2, 1), r"shape \(2, 2, 2\)"),
        (layers.MaxPooling1D(), (2, 4), r"shape \(batch, steps, channels\), got shape \(2, 4\)"),
        (
            layers.MaxPooling3D(data_format="channels_first"),
            (2, 4, 4, 4),
            r"\(batch, channels, planes, rows, columns\), got shape \(2, 4, 4, 4\)",
        ),
        (layers.GlobalAveragePooling1D(), (2, 4), r"got shape \(2, 4\)"),
        (layers.GlobalMaxPooling3D(), (2, 4, 3), r"\(batch, planes, rows, columns, channels\)"),
        (layers.AdaptiveMaxPooling2D(2), (2, 4, 3), r"\(batch, rows, columns, channels\), got"),
        (layers.AdaptiveMaxPooling1D(2), (2, 0, 3), r"without elements, of spatial shape \(0,\)"),
    ],
    ids=lambda v: v.name if isinstance(v, layers.Layer) else "",
)
def test_refused_inputs(layer, shape, text):
    with pytest.raises(weft.ShapeError, match=text) as caught:
        layer(np.zeros(shape, "float32"))
    assert repr(layer.name) in str(caught.value)


def test_the_rank_is_checked_at_each_call():
    layer = layers.GlobalAveragePooling2D()
    layer(np.zeros((1, 2, 2, 3), "float32"))
    with pytest.raises(weft.ShapeError, match=r"got shape \(1, 2, 3\)"):
        layer(np.zeros((1, 2, 3), "float32"))


def test_a_window_larger_than_an_unknown_size_says_nothing_yet():
    x = weft.Input((None, 3))
    assert layers.MaxPooling1D(50)(x).shape == (None, None, 3)
    with pytest.raises(weft.ShapeError, match=r"window of \(50,\) does not fit"):
        layers.MaxPooling1D(50)(weft.Input((49, 3)))
