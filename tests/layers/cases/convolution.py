"""Cases of the convolution layers."""

import numpy as np

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def first(x):
    return np.moveaxis(x, -1, 1).copy()


STEPS, IMAGE, VOLUME = normal(2, 9, 4), normal(2, 7, 6, 4), normal(1, 4, 5, 4, 4)
STEPS_FIRST, IMAGE_FIRST, VOLUME_FIRST = map(first, (STEPS, IMAGE, VOLUME))
CHANNELS_FIRST = {"data_format": "channels_first"}


def max_norm(*axes):
    return {"class_name": "MaxNorm", "config": {"max_value": 1, "axis": list(axes)}}


def options(weight, axes):
    """Every option of a weight, none at its default."""
    return {
        f"{weight}_initializer": "he_normal",
        f"{weight}_regularizer": "l2",
        f"{weight}_constraint": max_norm(*axes),
    }


BIAS = {
    "bias_initializer": "ones",
    "bias_regularizer": "l1",
    "bias_constraint": "non_neg",
    "activity_regularizer": "l2",
}

CASES = {
    "Conv1D": [
        ({"filters": 3, "kernel_size": 3}, STEPS),
        ({"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, STEPS),
        ({"filters": 4, "kernel_size": 2, "padding": "causal", "strides": [2], "groups": 2}, STEPS),
        (
            {
                "filters": 4,
                "kernel_size": [4],
                "padding": "same",
                "strides": 3,
                "activation": "gelu",
                **CHANNELS_FIRST,
                **options("kernel", [0, 1]),
                **BIAS,
            },
            STEPS_FIRST,
        ),
    ],
    "Conv2D": [
        ({"filters": 3, "kernel_size": 3}, IMAGE),
        (
            {
                "filters": 4,
                "kernel_size": [3, 2],
                "strides": 2,
                "padding": "same",
                "groups": 2,
                "activation": "relu",
                "use_bias": False,
            },
            IMAGE,
        ),
        (
            {
                "filters": 2,
                "kernel_size": 2,
                "dilation_rate": [2, 1],
                **CHANNELS_FIRST,
                **options("kernel", [0, 1, 2]),
                **BIAS,
            },
            IMAGE_FIRST,
        ),
        ({"filters": 8, "kernel_size": 3, "groups": 4, "padding": "SAME"}, IMAGE),
    ],
    "Conv3D": [
        ({"filters": 3, "kernel_size": 2}, VOLUME),
        (
            {
                "filters": 2,
                "kernel_size": [2, 3, 1],
                "strides": [1, 2, 2],
                "padding": "same",
                "groups": 2,
                "activation": "tanh",
            },
            VOLUME,
        ),
        (
            {
                "filters": 2,
                "kernel_size": 2,
                "dilation_rate": 2,
                "use_bias": False,
                **CHANNELS_FIRST,
                **options("kernel", [0, 1, 2, 3]),
            },
            VOLUME_FIRST,
        ),
    ],
    "Conv1DTranspose": [
        ({"filters": 3, "kernel_size": 3}, STEPS),
        ({"filters": 3, "kernel_size": 2, "strides": 3, "activation": "relu"}, STEPS),
        (
            {
                "filters": 3,
                "kernel_size": [4],
                "strides": [2],
                "padding": "same",
                "output_padding": 1,
                **CHANNELS_FIRST,
                **options("kernel", [0, 2]),
                **BIAS,
            },
            STEPS_FIRST,
        ),
    ],
    "Conv2DTranspose": [
        ({"filters": 3, "kernel_size": 2, "strides": 2}, IMAGE),
        ({"filters": 3, "kernel_size": 3, "dilation_rate": [2, 1], "use_bias": False}, IMAGE),
        (
            {
                "filters": 2,
                "kernel_size": [3, 5],
                "strides": [2, 1],
                "padding": "same",
                "activation": "sigmoid",
                **CHANNELS_FIRST,
                **options("kernel", [0, 1, 3]),
                **BIAS,
            },
            IMAGE_FIRST,
        ),
        ({"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": [1, 0]}, IMAGE),
    ],
    "Conv3DTranspose": [
        ({"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, VOLUME),
        (
            {
                "filters": 2,
                "kernel_size": 2,
                "strides": [1, 2, 3],
                "output_padding": [0, 1, 2],
                "activation": "tanh",
                **CHANNELS_FIRST,
                **options("kernel", [0, 1, 2, 4]),
                **BIAS,
            },
            VOLUME_FIRST,
        ),
    ],
    "DepthwiseConv1D": [
        ({"kernel_size": 3}, STEPS),
        ({"kernel_size": 3, "strides": 2, "dilation_rate": 2, "depth_multiplier": 2}, STEPS),
        (
            {
                "kernel_size": [4],
                "padding": "same",
                "activation": "relu",
                **CHANNELS_FIRST,
                **options("depthwise", [0]),
                **BIAS,
            },
            STEPS_FIRST,
        ),
    ],
    "DepthwiseConv2D": [
        ({"kernel_size": 3, "padding": "same"}, IMAGE),
        ({"kernel_size": [2, 3], "strides": 2, "padding": "same", "use_bias": False}, IMAGE),
        (
            {
                "kernel_size": [3, 2],
                "dilation_rate": [1, 2],
                "depth_multiplier": 3,
                "activation": "softplus",
                **CHANNELS_FIRST,
                **options("depthwise", [0, 1]),
                **BIAS,
            },
            IMAGE_FIRST,
        ),
    ],
    "SeparableConv1D": [
        ({"filters": 3, "kernel_size": 3}, STEPS),
        ({"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, STEPS),
        (
            {
                "filters": 2,
                "kernel_size": [2],
                "dilation_rate": 2,
                "depth_multiplier": 2,
                "activation": "tanh",
                **CHANNELS_FIRST,
                **options("depthwise", [0]),
                **options("pointwise", [0, 1]),
                **BIAS,
            },
            STEPS_FIRST,
        ),
    ],
    "SeparableConv2D": [
        ({"filters": 3, "kernel_size": 3, "padding": "same", "use_bias": False}, IMAGE),
        ({"filters": 5, "kernel_size": [3, 2], "strides": 2, "activation": "relu"}, IMAGE),
        (
            {
                "filters": 2,
                "kernel_size": 2,
                "dilation_rate": [2, 1],
                "depth_multiplier": 2,
                **CHANNELS_FIRST,
                **options("depthwise", [0, 1]),
                **options("pointwise", [0, 1, 2]),
                **BIAS,
            },
            IMAGE_FIRST,
        ),
    ],
}
SECOND_NAMES = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"Convolution{n}DTranspose": f"Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
}
