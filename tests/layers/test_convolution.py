"""Convolution layers beyond the contract: what they do not see, older configs, refusals."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.layers import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)

rng = np.random.default_rng(0)
EVERY = {
    Conv1D: {"filters": 4}, Conv2D: {"filters": 4}, Conv3D: {"filters": 4},
    Conv1DTranspose: {"filters": 4}, Conv2DTranspose: {"filters": 4},
    Conv3DTranspose: {"filters": 4}, DepthwiseConv1D: {}, DepthwiseConv2D: {},
    SeparableConv1D: {"filters": 4}, SeparableConv2D: {"filters": 4},
}  # fmt: skip
every_layer = pytest.mark.parametrize("make", EVERY, ids=lambda c: c.__name__)


def normal(*shape):
    return rng.normal(size=shape).astype("float32")


# -- what they do -------------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_causal_convolution_sees_no_later_step(dilation):
    layer = Conv1D(3, 2, padding="causal", dilation_rate=dilation)
    x = normal(1, 10, 2)
    before = layer(x).numpy()
    x[:, 6:] += 1
    after = layer(x).numpy()
    np.testing.assert_array_equal(after[:, :6], before[:, :6])
    assert (after[:, 6] != before[:, 6]).all()


def test_groups_and_channels_do_not_mix():
    x = normal(1, 6, 6, 4)
    for layer, mine in [(Conv2D(4, 3, groups=2), slice(2, 4)), (DepthwiseConv2D(3), slice(2, 3))]:
        before = layer(x).numpy()
        changed = x.copy()
        changed[..., mine] += 1
        moved = (layer(changed).numpy() != before).any((0, 1, 2))
        assert moved.tolist() == [mine.start <= c < mine.stop for c in range(4)]


def test_conv2d_transpose_undoes_the_shape_that_output_padding_chooses():
    for size in (7, 8):  # both become 4 with stride 2
        small = Conv2D(2, 3, strides=2, padding="same")(normal(1, size, size, 2))
        assert small.shape == (1, 4, 4, 2)
        back = Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1 - size % 2)
        assert back(small).shape == (1, size, size, 2)


def test_output_padding_comes_later_in_3d_as_in_keras():
    layer = Conv3DTranspose(2, 3, 2, "same", "channels_first", 1)
    assert (layer.data_format, layer.output_padding) == ("channels_first", (1, 1, 1))
    layer = Conv2DTranspose(2, 3, 2, "same", 1, "channels_first")
    assert (layer.data_format, layer.output_padding) == ("channels_first", (1, 1))


def test_a_callable_activation_is_called():
    layer = Conv2D(2, 1, activation=lambda x: x * 0 + 7)
    assert (layer(normal(1, 3, 3, 2)).numpy() == 7).all()


@every_layer
def test_other_sizes_and_batches_after_the_first(make):
    layer = make(kernel_size=2, **EVERY[make])
    first = layer(np.zeros((1, *(4,) * layer.rank, 3), "float32")).shape
    later = layer(np.zeros((5, *(6,) * layer.rank, 3), "float32")).shape
    assert later[0] == 5 and later[1:-1] == tuple(n + 2 for n in first[1:-1])


@every_layer
def test_building_for_unknown_sizes(make):
    layer = make(kernel_size=2, **EVERY[make])
    layer.build((None, *(None,) * layer.rank, 3))
    kernels = [w for w in layer.weights if w.name != "bias"]
    assert [w.name for w in kernels] == list(layer.kernels)
    assert all(
        tuple(w.shape[: layer.rank]) in ((2,) * layer.rank, (1,) * layer.rank) for w in kernels
    )


@every_layer
def test_empty_batches(make):
    layer = make(kernel_size=2, **EVERY[make])
    x = weft.convert_to_tensor(np.zeros((0, *(4,) * layer.rank, 3), "float32"))
    with weft.GradientTape() as tape:
        tape.watch(x)
        total = weft.ops.sum(layer(x))
    slopes = tape.gradient(total, [x, *layer.trainable_variables])
    assert all((g.numpy() == 0).all() for g in slopes)


# -- configs of Keras 2 ---------------------------------------------------------------------------


def test_keras_2_configs():
    config = {"kernel_size": 3, "groups": 1}
    assert DepthwiseConv2D.from_config(config).kernel_size == (3, 3)
    assert Conv1DTranspose.from_config({**config, "filters": 2}).filters == 2
    unused = {
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        "kernel_regularizer": None,
        "kernel_constraint": None,
    }
    layer = SeparableConv2D.from_config({**config, **unused, "filters": 2})
    assert not hasattr(layer, "kernel_initializer")
    layer = DepthwiseConv2D(3)
    layer.build((None, 8, 8, 2))
    assert layer.depthwise_kernel is layer.kernel
    with pytest.raises(ValueError, match=r"DepthwiseConv2D has no groups: those are of Conv1D"):
        DepthwiseConv2D(3, groups=2)


# -- refusals -------------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kernel_size": 0}, "kernel_size must be a positive integer, got kernel_size=0"),
        ({"strides": -1}, "strides must be a positive integer, got strides=-1"),
        ({"dilation_rate": 0}, "dilation_rate must be a positive integer"),
        ({"kernel_size": (2, 2, 2, 2)}, r"must be an int or \d of them, got .*\(2, 2, 2, 2\)"),
        ({"padding": "sam"}, "padding is 'valid' or 'same'.*got 'sam'"),
        ({"data_format": "NHWC"}, "data_format is 'channels_last' or 'channels_first'"),
        ({"activation": "rellu"}, "unknown activation 'rellu'. Did you mean 'relu'"),
        ({"bias_constraint": "nonnegg"}, "unknown constraint 'nonnegg'"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_refused_options(make, options, text):
    with pytest.raises(ValueError, match=text):
        make(**{"kernel_size": 2, **EVERY[make], **options})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Conv1D(0, 3), "Conv1D: filters must be a positive integer, got filters=0"),
        (lambda: Conv3D(4, 3, groups=3), "filters must be a multiple of groups.*groups=3"),
        (lambda: Conv3D(4, 3, groups=0), "groups must be a positive integer"),
        (lambda: Conv1D(4, 3, padding="casual"), "'valid' or 'same' or 'causal', got 'casual'"),
        (lambda: Conv3D(4, 3, padding="causal"), "padding is 'valid' or 'same', got 'causal'"),
        (
            lambda: Conv2D(4, 3, strides=(1, 2), dilation_rate=(2, 1)),
            r"Conv2D: strides above 1 do not go with a dilation_rate above 1.*\(1, 2\).*\(2, 1\)",
        ),
        (lambda: Conv1DTranspose(4, 3, strides=2, dilation_rate=2), "leave one of them at 1"),
        (lambda: Conv2DTranspose(-1, 3), "filters must be a positive integer, got filters=-1"),
        (
            lambda: Conv2DTranspose(4, 3, strides=(2, 1), output_padding=(1, 1)),
            r"output_padding must be below strides .*\(1, 1\), strides=\(2, 1\)",
        ),
        (
            lambda: Conv2DTranspose(4, 3, output_padding=-1),
            "output_padding must be a non-negative integer, got output_padding=-1",
        ),
        (lambda: DepthwiseConv1D(3, depth_multiplier=0), "depth_multiplier must be a positive"),
        (lambda: SeparableConv1D(0, 3), "SeparableConv1D: filters must be a positive integer"),
        (lambda: SeparableConv2D(4, 3, depth_multiplier=1.5), "got depth_multiplier=1.5"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@every_layer
def test_refused_inputs(make):
    layer = make(kernel_size=2, name="conv", **EVERY[make])
    sizes = (4,) * layer.rank
    axes = r"\(batch, (steps|rows, columns|planes, rows, columns), channels\)"
    with pytest.raises(
        weft.ShapeError, match=rf"'conv' \({make.__name__}\).*{axes}.*x\[..., None\]"
    ):
        layer(np.zeros((2, *sizes), "float32"))
    with pytest.raises(weft.ShapeError, match=f"expected an input of shape {axes}"):
        layer(np.zeros((2, *sizes, 3, 3), "float32"))
    with pytest.raises(weft.ShapeError, match=r"channels must be known, and not 0.* got None"):
        layer.build((2, *sizes, None))
    with pytest.raises(weft.ShapeError, match=r"channels must be known, and not 0.* got 0"):
        layer(np.zeros((2, *sizes, 0), "float32"))
    assert not layer.built and layer.weights == []
    layer(np.zeros((2, *sizes, 3), "float32"))
    with pytest.raises(weft.ShapeError, match=r"'conv'.*(columns|steps), 3\), got .* 6\)"):
        layer(np.zeros((2, *sizes, 6), "float32"))


@pytest.mark.parametrize(
    "layer", [Conv1D(2, 5), Conv2D(2, (2, 5)), Conv3D(2, 2, dilation_rate=4), DepthwiseConv2D(5)]
)
def test_an_input_smaller_than_the_kernel(layer):
    with pytest.raises(weft.ShapeError, match="does not fit into the input's spatial shape"):
        layer(np.zeros((2, *(4,) * layer.rank, 3), "float32"))


def test_unknown_channels_of_a_functional_input():
    inputs = layers.Input((8, 8, None))
    with pytest.raises(weft.ShapeError, match="channels must be known"):
        Conv2D(4, 3)(inputs)
