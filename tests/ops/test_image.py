"""`ops.image`, and the adaptive pools, against Keras and against plain definitions."""

import itertools

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import ops

RNG = np.random.default_rng(4)
IMAGES = RNG.uniform(0, 255, (2, 6, 9, 3)).astype("float32")
SIZES = [(3, 4), (12, 18), (7, 5), (1, 1), (6, 9)]


def same_as_keras(x, *args, tolerance=2e-6, **kwargs):
    mine = ops.image.resize(x, *args, **kwargs)
    theirs = keras.ops.image.resize(x, *args, **kwargs)
    assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    mine, theirs = (np.asarray(v, "float64") for v in (mine, theirs))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * 255)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_resize_is_keras_s(method, antialias):
    for size in SIZES:
        same_as_keras(IMAGES, size, method, antialias)


@pytest.mark.parametrize("way", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_resize_keeping_the_aspect_ratio_is_keras_s(way):
    for size in itertools.product((1, 2, 4, 7, 10, 30), repeat=2):
        same_as_keras(IMAGES, size, **{way: True}, fill_value=7.0)
    same_as_keras(IMAGES, (5, 5), "nearest", **{way: True}, data_format="channels_first")


def test_resize_takes_one_image_and_channels_first():
    first = np.moveaxis(IMAGES, -1, 1).copy()
    same_as_keras(IMAGES[0], [4, 5])
    same_as_keras(first, (4, 5), "bicubic", data_format="channels_first")
    same_as_keras(first[0], (4, 5), data_format="channels_first", pad_to_aspect_ratio=True)
    assert ops.image.resize(IMAGES.tolist(), np.array([2, 3])).shape == (2, 2, 3, 3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "float16", "bfloat16"])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_resize_keeps_the_dtype(method, dtype):
    """Integers are rounded and kept in range, where the cubic's weights lead out of it."""
    x = jnp.asarray(np.where(IMAGES > 127, 127, 0)).astype(dtype)
    same_as_keras(x, (11, 7), method, tolerance=1e-6 if "int" in dtype else 0.01)


def test_resize_of_a_mask_of_bools():
    image = np.array([[[True], [False]]])
    assert ops.image.resize(image, (1, 4))[0, :, 0].tolist() == [True, True, False, False]


def test_resize_is_differentiable():
    x = weft.Variable(IMAGES[:1])
    with weft.GradientTape() as tape:
        y = ops.sum(ops.image.resize(x, (12, 18), "bilinear"))
    # An old pixel's weights sum to the ratio of the areas.
    gradient = tape.gradient(y, x).numpy()
    np.testing.assert_allclose(gradient[:, 1:-1, 1:-1], 4, rtol=1e-5)
    np.testing.assert_allclose(gradient.sum(), 12 * 18 * 3, rtol=1e-5)


def test_resize_in_a_functional_model():
    inputs = weft.Input((None, None, 3))
    model = weft.Model(inputs, ops.image.resize(inputs, (4, 5)))
    assert model.output_shape == (None, 4, 5, 3)
    expected = ops.image.resize(IMAGES, (4, 5)).numpy()
    np.testing.assert_allclose(model(IMAGES).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"size": (0, 3)}, r"size is \(height, width\), both positive, got size=\(0, 3\)"),
        ({"size": 3}, r"got size=\(3,\)"),
        ({"size": (1, 2, 3)}, r"got size=\(1, 2, 3\)"),
        ({"interpolation": "bilinea"}, "unknown interpolation 'bilinea'. Did you mean 'bilinear'"),
        ({"interpolation": "area"}, "Known: bicubic, bilinear, lanczos3, lanczos5, nearest"),
        ({"data_format": "NHWC"}, "data_format is 'channels_last' or 'channels_first', got 'NHWC'"),
        ({"fill_mode": "reflect"}, "fill_mode is 'constant', got 'reflect'"),
        (
            {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            "are both True; choose one",
        ),
        ({"images": IMAGES[0, 0]}, r"\(height, width, channels\) or \(batch, .*got \(9, 3\)"),
        ({"images": IMAGES[:, :0]}, r"images without pixels, of shape \(2, 0, 9, 3\)"),
    ],
)
def test_resize_refuses(kwargs, text):
    with pytest.raises(ValueError, match=text):
        ops.image.resize(**{"images": IMAGES, "size": (3, 4), **kwargs})


# -- adaptive pools -------------------------------------------------------------------------------


def by_definition(x, m, reduce):
    n = x.shape[1]
    windows = [x[:, i * n // m : -(-(i + 1) * n // m)] for i in range(m)]
    return np.stack([reduce(w, 1) for w in windows], 1)


@pytest.mark.parametrize(
    ("n", "m"), [(7, 7), (100, 7), (30, 7), (49, 7), (9, 4), (5, 12), (6, 1), (1, 3), (70, 2)]
)
def test_adaptive_pools_of_any_size(n, m):
    """Keras gives NaN for the first ones: there ⌈(i+1)·n/m⌉ is rounded in floating point."""
    x = RNG.normal(size=(2, n, 3)).astype("float32")
    mine = ops.adaptive_average_pool(x, m).numpy()
    np.testing.assert_allclose(mine, by_definition(x, m, np.mean), rtol=1e-5, atol=1e-6)
    largest = ops.adaptive_max_pool(x, m).numpy()
    np.testing.assert_array_equal(largest, by_definition(x, m, np.max))


def test_adaptive_pools_of_whole_numbers():
    x = np.arange(14).reshape(1, 7, 2).astype("int32")
    assert ops.adaptive_max_pool(x, 3).dtype == "int32"
    assert ops.adaptive_average_pool(x, 3).dtype == "float32"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((IMAGES, 0), "output_size must be a positive int or 2 of them, got 0"),
        ((IMAGES, (2, 2, 2)), r"or 2 of them, got \(2, 2, 2\)"),
        ((IMAGES[0, 0], 2), r"1 to 3 spatial axes, got shape \(9, 3\)"),
        ((IMAGES, 2, "NHWC"), "got 'NHWC'"),
        ((IMAGES[:, :0], 2), r"an input without elements, of spatial shape \(0, 9\)"),
    ],
)
def test_adaptive_pools_refuse(args, text):
    for pool in (ops.adaptive_average_pool, ops.adaptive_max_pool):
        with pytest.raises(ValueError, match=text):
            pool(*args)
