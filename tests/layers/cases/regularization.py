"""Cases of the layers against overfitting. The draws are Keras's own, so nothing is random here."""

import numpy as np

RNG = np.random.default_rng(2)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 3, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
FIRST = np.moveaxis(IMAGE, -1, 1).copy()
VOLUME = RNG.normal(size=(2, 2, 3, 2, 4)).astype("float32")
MASK = np.array([[True, True, False], [True, False, False]])

CASES = {
    "ActivityRegularization": [
        ({"l1": 0.1, "l2": 0.2}, FLAT),
        ({"l2": 0.3}, STEPS, {}, {"mask": MASK}),
        ({}, FLAT),
    ],
    "Dropout": [
        ({"rate": 0.4, "seed": 7}, FLAT),
        ({"rate": 0.4, "seed": 7, "noise_shape": [None, 1, 4]}, STEPS, {}, {"mask": MASK}),
        ({"rate": 0, "seed": 7}, FLAT),
        # Keras draws nothing then, so its seed stays.
        ({"rate": 1.0, "seed": 7}, FLAT, {}, {"state": False}),
    ],
    "SpatialDropout1D": [
        ({"rate": 0.4, "seed": 7}, STEPS, {}, {"mask": MASK}),
        ({"rate": 0, "seed": 7}, STEPS),
    ],
    "SpatialDropout2D": [
        ({"rate": 0.4, "seed": 7}, IMAGE),
        ({"rate": 0.4, "seed": 7, "data_format": "channels_first"}, FIRST),
    ],
    "SpatialDropout3D": [
        ({"rate": 0.4, "seed": 7}, VOLUME),
        ({"rate": 0.4, "seed": 7, "data_format": "channels_first"}, VOLUME),
    ],
    "GaussianDropout": [
        ({"rate": 0.4, "seed": 7}, STEPS, {}, {"mask": MASK}),
        ({"rate": 0, "seed": 7}, FLAT),
    ],
    "GaussianNoise": [
        ({"stddev": 0.4, "seed": 7}, STEPS, {}, {"mask": MASK}),
        ({"stddev": 0, "seed": 7}, FLAT),
    ],
    "AlphaDropout": [
        ({"rate": 0.4, "seed": 7}, FLAT),
        ({"rate": 0.4, "seed": 7, "noise_shape": [None, 1, 4]}, STEPS, {}, {"mask": MASK}),
    ],
}
