"""Cases of the pooling layers: by windows, over all places, adaptive."""

import numpy as np

RNG = np.random.default_rng(6)


def apart(*shape):
    """Numbers far enough apart that a small change leaves the largest the largest."""
    n = np.prod(shape)
    return (RNG.permutation(n).reshape(shape) / 100 - n / 200).astype("float32")


STEPS = apart(2, 9, 3)
STEPS_FIRST = np.moveaxis(STEPS, -1, 1).copy()
IMAGE = apart(2, 7, 6, 4)
FIRST = np.moveaxis(IMAGE, -1, 1).copy()
VOLUME = apart(2, 5, 4, 6, 2)
VOLUME_FIRST = np.moveaxis(VOLUME, -1, 1).copy()
MASK = np.array([[True] * 4 + [False] * 5, [True, False] * 4 + [True]])

ADAPTIVE_1D = [
    ({"output_size": 3}, STEPS),
    ({"output_size": 4}, STEPS),
    ({"output_size": [12], "data_format": "channels_first"}, STEPS_FIRST),
]
ADAPTIVE_2D = [
    ({"output_size": 3}, IMAGE),
    ({"output_size": [2, 4], "data_format": "channels_first"}, FIRST),
]
ADAPTIVE_3D = [
    ({"output_size": [3, 2, 4]}, VOLUME),
    ({"output_size": 3, "data_format": "channels_first"}, VOLUME_FIRST),
]
GLOBAL_1D = [({}, STEPS), ({"data_format": "channels_first", "keepdims": True}, STEPS_FIRST)]
GLOBAL_2D = [({}, IMAGE), ({"data_format": "channels_first", "keepdims": True}, FIRST)]
GLOBAL_3D = [({"keepdims": True}, VOLUME), ({"data_format": "channels_first"}, VOLUME_FIRST)]
WINDOWS_1D = [
    ({"pool_size": 2}, STEPS),
    ({"pool_size": [3], "strides": 2, "padding": "same"}, STEPS),
    ({"pool_size": 6, "strides": 3, "data_format": "channels_first"}, STEPS_FIRST),
]
WINDOWS_2D = [
    ({"pool_size": 2}, IMAGE),
    ({"pool_size": [3, 2], "strides": 1, "padding": "same"}, IMAGE),
    ({"pool_size": 3, "strides": [2, 1], "padding": "same"}, IMAGE),
    ({"pool_size": 2, "data_format": "channels_first"}, FIRST),
]
WINDOWS_3D = [
    ({"pool_size": 2}, VOLUME),
    ({"pool_size": [3, 2, 1], "strides": [1, 2, 3], "padding": "same"}, VOLUME),
    ({"pool_size": 2, "strides": 1, "data_format": "channels_first"}, VOLUME_FIRST),
]

CASES = {
    "AdaptiveAveragePooling1D": ADAPTIVE_1D,
    "AdaptiveAveragePooling2D": ADAPTIVE_2D,
    "AdaptiveAveragePooling3D": ADAPTIVE_3D,
    "AdaptiveMaxPooling1D": ADAPTIVE_1D,
    "AdaptiveMaxPooling2D": ADAPTIVE_2D,
    "AdaptiveMaxPooling3D": ADAPTIVE_3D,
    "AveragePooling1D": WINDOWS_1D,
    "AveragePooling2D": WINDOWS_2D,
    "AveragePooling3D": WINDOWS_3D,
    # Steps of a number not known beside a mask of a known one do not go together.
    "GlobalAveragePooling1D": [
        *GLOBAL_1D,
        ({}, STEPS, {"mask": MASK}, {"unknown": False}),
        ({}, STEPS, {}, {"mask": MASK}),
        (
            {"data_format": "channels_first", "keepdims": True},
            STEPS_FIRST,
            {"mask": MASK},
            {"unknown": False},
        ),
    ],
    "GlobalAveragePooling2D": GLOBAL_2D,
    "GlobalAveragePooling3D": GLOBAL_3D,
    "GlobalMaxPooling1D": GLOBAL_1D,
    "GlobalMaxPooling2D": GLOBAL_2D,
    "GlobalMaxPooling3D": GLOBAL_3D,
    "MaxPooling1D": [({}, STEPS), *WINDOWS_1D],
    "MaxPooling2D": [({}, IMAGE), *WINDOWS_2D],
    "MaxPooling3D": [({}, VOLUME), *WINDOWS_3D],
}
SECOND_NAMES = {
    f"{second}{n}D": f"{first}{n}D"
    for n in (1, 2, 3)
    for second, first in {
        "AvgPool": "AveragePooling",
        "GlobalAvgPool": "GlobalAveragePooling",
        "GlobalMaxPool": "GlobalMaxPooling",
        "MaxPool": "MaxPooling",
    }.items()
}
