"""What reshaping, border and upsampling layers do beyond the contract, and their refusals."""

import keras
import numpy as np
import pytest

import weft
from weft import layers
from weft.layers import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

PIXELS = np.random.default_rng(9).integers(0, 255, (2, 3, 4, 3)).astype("uint8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("UpSampling2D", {}),
        ("UpSampling2D", {"size": 3, "interpolation": "bicubic"}),
        ("ZeroPadding2D", {"padding": 1}),
        ("Cropping2D", {"cropping": 1}),
        ("Flatten", {}),
        ("Reshape", {"target_shape": (4, -1)}),
        ("Permute", {"dims": (2, 1, 3)}),
    ],
)
def test_whole_numbers_stay_whole(name, options):
    mine = getattr(layers, name)(**options)(PIXELS)
    theirs = getattr(keras.layers, name)(**options)(PIXELS)
    assert mine.dtype == theirs.dtype == "uint8"
    np.testing.assert_array_equal(mine.numpy(), np.asarray(theirs))


# -- unknown sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "shape", "expected"),
    [
        ((6, 2), (None, None, 4), (None, 6, 2)),
        ((-1, 11), (None, None, 3), (None, None, 11)),
        ((None, 11), (2, None, 3), (2, None, 11)),
        ((12,), (None, None, None), (None, 12)),
        ((-1,), (None, 3, 4), (None, 12)),
        ((0, 3), (None, None, 0), (None, 0, 3)),
    ],
)
def test_reshape_of_unknown_sizes(target, shape, expected):
    x = weft.Input(batch_shape=shape, dtype="int32")
    y = Reshape(target)(x)
    assert (tuple(y.shape), y.dtype) == (expected, "int32")
    assert Reshape(target).compute_output_shape(shape) == expected


def test_reshape_of_unknown_sizes_in_a_model():
    x = weft.Input((None, 4))
    model = weft.Model(x, Reshape((6, 2), dtype="mixed_bfloat16")(x))
    assert (model.output_shape, model.output.dtype) == ((None, 6, 2), "bfloat16")
    assert model(np.ones((5, 3, 4), "float32")).shape == (5, 6, 2)
    with pytest.raises(weft.ShapeError, match=r"\(2, 4\) has 8 numbers.*target_shape \(6, 2\)"):
        model(np.ones((5, 2, 4), "float32"))


def test_a_reshape_that_no_size_can_make_possible():
    with pytest.raises(weft.ShapeError) as caught:
        Reshape((3, 3), name="square")(weft.Input((None, 4)))
    assert "'square'" in str(caught.value)
    assert "multiple of 4 numbers, which never fit in target_shape (3, 3)" in str(caught.value)


def test_flatten_of_unknown_sizes():
    assert Flatten()(weft.Input((None, 4))).shape == (None, None)
    assert Flatten()(weft.Input((3, 4))).shape == (None, 12)
    assert Flatten()(weft.Input(())).shape == (None, 1)


# -- forms of arguments -------------------------------------------------------------------------


def test_pairs_are_kept_as_keras_writes_them():
    assert (Cropping1D(2).cropping, ZeroPadding1D().padding) == ((2, 2), (1, 1))
    assert Cropping2D((1, (0, 2))).cropping == ((1, 1), (0, 2))
    assert ZeroPadding3D((1, 2, 3)).padding == ((1, 1), (2, 2), (3, 3))
    assert UpSampling1D(3).get_config()["size"] == 3


def test_upsampling_s_gradient_is_the_sum_over_the_copies():
    x = weft.Variable(np.ones((1, 2, 3, 1), "float32"))
    with weft.GradientTape() as tape:
        y = weft.ops.sum(UpSampling2D((2, 3))(x))
    assert (tape.gradient(y, x).numpy() == 6).all()


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Cropping1D(-1), "Cropping1D: cropping must be a non-negative integer, or a pair"),
        (lambda: Cropping1D((1, 2, 3)), r"\(before, after\), got cropping=\(1, 2, 3\)"),
        (lambda: Cropping2D((1, 2, 3)), r"or 2 of them, or 2 pairs, got cropping=\(1, 2, 3\)"),
        (lambda: Cropping2D(((1, 2), (3, -4))), "Cropping2D: cropping must be a non-negative"),
        (lambda: Cropping3D(1.5), "or 3 pairs, got cropping=1.5"),
        (lambda: ZeroPadding1D("same"), "ZeroPadding1D: padding must be .*got padding='same'"),
        (lambda: ZeroPadding2D((-1, 2)), r"got padding=\(-1, 2\)"),
        (lambda: ZeroPadding3D(True), "got padding=True"),
        (lambda: ZeroPadding2D(1, "NHWC"), "ZeroPadding2D: data_format is 'channels_last' or"),
        (lambda: UpSampling1D(0), "UpSampling1D: size must be a positive integer, got size=0"),
        (lambda: UpSampling2D((2, 2, 2)), r"or 2 of them, got size=\(2, 2, 2\)"),
        (lambda: UpSampling2D(2, None, "bilinea"), "interpolation 'bilinea'. Did you mean 'bilin"),
        (lambda: UpSampling3D(-2), "UpSampling3D: size must be a positive integer"),
        (lambda: Permute((0, 1)), r"from 1 on, each once, .*got dims=\(0, 1\)"),
        (lambda: Permute((1, 1)), r"got dims=\(1, 1\)"),
        (lambda: Permute((1, 3)), r"got dims=\(1, 3\)"),
        (lambda: Permute(()), r"got dims=\(\)"),
        (lambda: RepeatVector(0), "RepeatVector: n must be a positive integer, got n=0"),
        (lambda: RepeatVector(1.5), "got n=1.5"),
        (lambda: Reshape((2.5, 2)), r"tuple of sizes, at most one of them -1, got \(2.5, 2\)"),
        (lambda: Reshape((None, -1)), r"got \(None, -1\)"),
        (lambda: Reshape("ab"), "got 'ab'"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("cls", [Cropping1D, UpSampling1D])
def test_sequences_know_one_data_format(cls):
    with pytest.raises(TypeError, match=f"{cls.__name__} got unknown arguments. 'data_format'"):
        cls(1, data_format="channels_first")


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (Cropping1D(2), (1, 4, 3), r"cropping \(\(2, 2\),\) leaves nothing .* shape \(4,\)"),
        (Cropping2D(((0, 0), (3, 2))), (1, 9, 5, 1), r"leaves nothing .* shape \(9, 5\)"),
        (
            Cropping3D(1, "channels_first"),
            (1, 9, 2, 9, 9),
            r"leaves nothing of the input's spatial shape \(2, 9, 9\)",
        ),
        (Cropping1D(), (4, 3), r"\(batch, steps, channels\), got shape \(4, 3\)"),
        (ZeroPadding2D(), (1, 4, 3), r"\(batch, rows, columns, channels\), got shape \(1, 4, 3\)"),
        (UpSampling3D(), (1, 4, 4, 3), r"\(batch, planes, rows, columns, channels\), got shape"),
        (Permute((2, 1)), (1, 2, 3, 4), r"\(batch, 2 more axes\) for dims=\(2, 1\), got shape"),
        (RepeatVector(2), (1, 2, 3), r"\(batch, features\), got shape \(1, 2, 3\)"),
        (Flatten(), (), r"\(batch, ...\), got shape \(\)"),
        (Reshape((1,)), (), r"\(batch, ...\), got shape \(\)"),
        (Reshape((5, -1)), (2, 12), r"\(12,\) has 12 numbers, which do not fit"),
    ],
    ids=lambda v: v.name if isinstance(v, layers.Layer) else "",
)
def test_refused_inputs(layer, shape, text):
    with pytest.raises(weft.ShapeError, match=text) as caught:
        layer(np.zeros(shape, "float32"))
    assert repr(layer.name) in str(caught.value)
    assert not layer.built or "called on" in str(caught.value)


@pytest.mark.parametrize("layer", [Permute((2, 1)), RepeatVector(2), UpSampling1D(2)])
def test_the_rank_is_checked_at_each_call(layer):
    rank = 2 if isinstance(layer, RepeatVector) else 3
    layer(np.zeros((1, 2, 3)[:rank], "float32"))
    with pytest.raises(weft.ShapeError, match=repr(layer.name)):
        layer(np.zeros((1, 2, 3, 4), "float32"))
