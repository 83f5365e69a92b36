"""Cases of the merging layers."""

import numpy as np

RNG = np.random.default_rng(11)


def some(*shapes):
    return [RNG.normal(size=s).astype("float32") for s in shapes]


FLAT = some((4, 3), (4, 3))
STEPS = some((2, 3, 4), (2, 3, 4), (2, 3, 4))
RANKS = some((2, 3, 4), (2, 4))
MASKS = [RNG.random((2, 3)) > 0.5 for _ in range(3)]
ELEMENTWISE = [
    ({}, FLAT),
    ({}, RANKS, {}, {"unknown": False}),  # beside a known size, Keras keeps one unknown
    ({}, some((4, 3), (4, 1))),
    ({}, STEPS[:2], {}, {"mask": MASKS[:2]}),
    ({}, STEPS[:2], {}, {"mask": [MASKS[0], None]}),
    ({}, STEPS[:2], {}, {"mask": [None, MASKS[1]]}),
]
ANY_NUMBER = [*ELEMENTWISE, ({}, STEPS, {}, {"mask": MASKS}), ({}, some((2, 3)))]

CASES = {
    "Add": ANY_NUMBER,
    "Subtract": ELEMENTWISE,
    "Multiply": ANY_NUMBER,
    "Average": ANY_NUMBER,
    "Maximum": ANY_NUMBER,
    "Minimum": ANY_NUMBER,
    "Concatenate": [
        ({}, some((4, 3), (4, 2))),
        ({"axis": 1}, some((2, 3, 4), (2, 1, 4), (2, 2, 4))),
        ({}, STEPS, {}, {"mask": MASKS}),
        ({"axis": 1}, STEPS, {}, {"mask": [MASKS[0], None, MASKS[2]]}),
        ({"axis": -2}, STEPS, {}, {"mask": MASKS}),
    ],
    "Dot": [
        ({"axes": 1}, FLAT),
        ({"axes": -1, "normalize": True}, FLAT),
        ({"axes": [1, 2]}, some((2, 3, 5), (2, 4, 3))),
        ({"axes": [2, 1], "normalize": True}, some((2, 3, 4), (2, 4))),
        ({"axes": [2, 1]}, some((2, 3, 4, 2), (2, 4, 2, 3))),
        ({"axes": 2}, STEPS[:2], {}, {"mask": MASKS[:2]}),
    ],
}
