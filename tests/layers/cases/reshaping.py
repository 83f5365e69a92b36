"""Cases of the layers that move elements about: reshaping, borders, upsampling."""

import numpy as np

RNG = np.random.default_rng(3)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 5, 4)).astype("float32")
STEPS_FIRST = np.moveaxis(STEPS, -1, 1).copy()
IMAGE = RNG.normal(size=(2, 7, 6, 4)).astype("float32")
FIRST = np.moveaxis(IMAGE, -1, 1).copy()
VOLUME = RNG.normal(size=(2, 4, 5, 3, 2)).astype("float32")
VOLUME_FIRST = np.moveaxis(VOLUME, -1, 1).copy()
BORDERS = [[[1, 0], [2, 1]], [1, [0, 2]], [2, 1]]
VOLUME_BORDERS = [[[1, 0], [0, 2], [0, 1]], [1, 2, [1, 0]]]

CASES = {
    "Flatten": [
        ({}, IMAGE),
        ({"data_format": "channels_first"}, FIRST),
        ({}, FLAT[:, 0], {}, {"unknown": [(None,)]}),
        ({}, STEPS, {}, {"unknown": [(None, None, 4), (None, None, None)]}),
    ],
    "Reshape": [
        ({"target_shape": [2, -1]}, STEPS, {}, {"unknown": [(None, None, 4), (None, None, None)]}),
        ({"target_shape": [3, 2]}, FLAT, {}, {"unknown": [(None, None)]}),
        ({"target_shape": [None, 2]}, STEPS, {}, {"unknown": False}),  # Keras leaves it unknown
    ],
    "Permute": [
        ({"dims": [2, 1]}, STEPS, {}, {"unknown": [(None, None, 4)]}),
        ({"dims": [3, 1, 2]}, IMAGE),
    ],
    "RepeatVector": [({"n": 3}, FLAT, {}, {"unknown": [(None, None)]})],
    "Cropping1D": [({}, STEPS), ({"cropping": 2}, STEPS), ({"cropping": [0, 3]}, STEPS)],
    "Cropping2D": [
        ({}, IMAGE),
        ({"cropping": 2}, IMAGE),
        *(({"cropping": borders}, IMAGE) for borders in BORDERS),
        ({"cropping": [[1, 2], [0, 1]], "data_format": "channels_first"}, FIRST),
    ],
    "Cropping3D": [
        ({}, VOLUME),
        *(({"cropping": borders}, np.tile(VOLUME, (1, 1, 1, 2, 1))) for borders in VOLUME_BORDERS),
        ({"cropping": 1, "data_format": "channels_first"}, VOLUME_FIRST),
    ],
    "ZeroPadding1D": [
        ({}, STEPS),
        ({"padding": [2, 0]}, STEPS),
        ({"padding": 2, "data_format": "channels_first"}, STEPS_FIRST),
    ],
    "ZeroPadding2D": [
        ({}, IMAGE),
        *(({"padding": borders}, IMAGE) for borders in BORDERS),
        ({"padding": [[1, 2], [0, 1]], "data_format": "channels_first"}, FIRST),
    ],
    "ZeroPadding3D": [
        ({}, VOLUME),
        *(({"padding": borders}, VOLUME) for borders in VOLUME_BORDERS),
        ({"padding": 2, "data_format": "channels_first"}, VOLUME_FIRST),
    ],
    "UpSampling1D": [({}, STEPS), ({"size": 3}, STEPS, {}, {"unknown": [(None, None, 4)]})],
    "UpSampling2D": [
        ({}, IMAGE),
        ({"size": [1, 3], "data_format": "channels_first"}, FIRST),
        ({"size": [2, 3], "interpolation": "bilinear"}, IMAGE),
        ({"size": 2, "interpolation": "bicubic", "data_format": "channels_first"}, FIRST),
        ({"size": [3, 1], "interpolation": "lanczos3"}, IMAGE),
        ({"size": 2, "interpolation": "lanczos5"}, IMAGE),
    ],
    "UpSampling3D": [
        ({}, VOLUME),
        ({"size": [1, 3, 2], "data_format": "channels_first"}, VOLUME_FIRST),
    ],
}
