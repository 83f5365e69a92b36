"""Cases of the normalization layers."""

import numpy as np

RNG = np.random.default_rng(4)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 3, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 7, 6, 4)).astype("float32")
FIRST = np.moveaxis(IMAGE, -1, 1).copy()
INDICES = np.array([[1, 0, 3], [2, 4, 0]], "int32")
MASK = np.array([[True, True, False], [True, False, False]])

OPTIONS = {
    "beta_initializer": "ones",
    "gamma_initializer": "zeros",
    "beta_regularizer": "l1",
    "gamma_regularizer": "l2",
    "beta_constraint": "non_neg",
    "gamma_constraint": "unit_norm",
}
CASES = {
    "BatchNormalization": [
        ({}, IMAGE),
        ({"axis": 1, "momentum": 0.7, "epsilon": 1e-2, "scale": False}, FIRST),
        (
            {
                "center": False,
                "moving_mean_initializer": "ones",
                "moving_variance_initializer": "zeros",
                **OPTIONS,
            },
            FLAT,
        ),
        ({"trainable": False}, FLAT),
        ({}, STEPS, {"mask": MASK}),
        ({"scale": False, "center": False}, STEPS, {}, {"mask": MASK}),
        ({"renorm": True, "momentum": 0.7, "renorm_momentum": 0.6}, IMAGE),
        (
            {
                "axis": 1,
                "renorm": True,
                "renorm_clipping": {"rmax": 1.1, "rmin": 0.9, "dmax": 0.2},
                **OPTIONS,
            },
            FIRST,
            {},
            # r and d count as constants, as the paper has it, so the gradient is not a difference.
            {"differences": False},
        ),
        (
            {"renorm": True, "renorm_clipping": {"rmax": 1.5}, "scale": False, "center": False},
            STEPS,
            {},
            {"mask": MASK, "differences": False},
        ),
    ],
    "LayerNormalization": [
        ({}, STEPS, {}, {"mask": MASK}),
        ({"axis": [1, 2], "epsilon": 1e-2, "center": False}, STEPS),
        ({"axis": 1, "scale": False, **OPTIONS}, IMAGE),
        ({"axis": [-1, 2], "center": False, "scale": False}, IMAGE),
    ],
    "GroupNormalization": [
        ({"groups": 2}, IMAGE),
        ({"groups": 2, "axis": 1, "epsilon": 1e-2, "center": False}, FIRST),
        ({"groups": -1, "scale": False}, IMAGE),
        ({"groups": 1, "axis": -2, **OPTIONS}, IMAGE),
        ({"groups": 3}, FLAT),
        ({"groups": 4, "center": False, "scale": False}, STEPS, {}, {"mask": MASK}),
    ],
    "RMSNormalization": [
        ({}, STEPS),
        ({"axis": [1, 2], "epsilon": 1e-2}, STEPS),
        # Keras cannot broadcast a scale along an axis that is not the last.
        ({"axis": 1}, IMAGE, {}, {"keras": False}),
    ],
    "UnitNormalization": [
        ({}, STEPS, {}, {"mask": MASK}),
        ({"axis": 1}, IMAGE),
        ({"axis": [1, -1]}, IMAGE),
    ],
    "SpectralNormalization": [
        # u and v count as constants, as the paper has it, so the gradient is not a difference.
        (lambda lib: {"layer": lib.layers.Dense(3)}, FLAT, {}, {"differences": False}),
        (
            lambda lib: {"layer": lib.layers.Dense(3, use_bias=False), "power_iterations": 4},
            STEPS,
            {},
            {"differences": False},
        ),
        (
            lambda lib: {"layer": lib.layers.Conv2D(3, 2, activation="relu")},
            IMAGE,
            {},
            {"differences": False},
        ),
        # Keras casts the output to the dtype of the input, here to integers.
        (
            lambda lib: {"layer": lib.layers.Embedding(5, 3)},
            INDICES,
            {},
            {"differences": False, "keras": False},
        ),
    ],
}
# Keras has withdrawn it, and writes that it is off.
KERAS_ONLY = {"rms_scaling"}
