"""Cases of the activation layers."""

import numpy as np

RNG = np.random.default_rng(1)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 3, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 4, 3, 2)).astype("float32")
MASK = np.array([[True, True, False], [True, False, False]])

CASES = {
    "Activation": [
        ({"activation": "tanh"}, FLAT),
        ({"activation": "softmax"}, STEPS, {}, {"mask": MASK}),
    ],
    "ReLU": [
        ({}, STEPS, {}, {"mask": MASK}),
        ({"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, FLAT),
    ],
    "LeakyReLU": [({}, FLAT), ({"negative_slope": 0.1}, STEPS, {}, {"mask": MASK})],
    "ELU": [({}, FLAT), ({"alpha": 0.5}, STEPS, {}, {"mask": MASK})],
    "PReLU": [
        ({}, FLAT),
        ({"shared_axes": [1]}, STEPS, {}, {"mask": MASK, "unknown": [(None, None, 4)]}),
        (
            {
                "shared_axes": [1, 2],
                "alpha_initializer": "ones",
                "alpha_regularizer": "l2",
                "alpha_constraint": "non_neg",
            },
            IMAGE,
        ),
    ],
    "Softmax": [
        ({}, FLAT),
        ({"axis": 1}, STEPS),
        ({"axis": [1, 2]}, STEPS),
        # A mask of a known size needs inputs of a known size.
        ({}, FLAT, {"mask": FLAT > 0}, {"unknown": False}),
        ({"axis": [1, 2]}, STEPS, {"mask": STEPS > -0.5}, {"unknown": False}),
        ({}, FLAT, {"mask": np.array([[True], [False], [True], [True]])}),
    ],
}
