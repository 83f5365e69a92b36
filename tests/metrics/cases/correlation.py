"""Cosines and correlations."""

from tests.metrics.samples import batches, real

PLACES = {"places": (3,), "mask": (3,)}
LOST = {"keras_config": False}  # axis
NUMBER = {"weights": ("none", "number"), "tolerance": 1e-4}


def pair(*shape):
    return batches((real, shape), (real, shape))


CASES = {
    "CosineSimilarity": [
        ({}, pair(4), LOST),
        ({}, pair(3, 4), {**PLACES, **LOST}),
        ({"axis": 1}, pair(3, 4), {**LOST, "places": (4,)}),
    ],
    "PearsonCorrelation": [
        ({}, pair(4)),
        ({}, pair(3, 4), PLACES),
        ({"axis": (1, 2)}, pair(3, 4)),
        ({"axis": 0}, pair(4), NUMBER),
    ],
    "ConcordanceCorrelation": [
        ({}, pair(4)),
        ({}, pair(3, 4), PLACES),
        ({"axis": (0, 1)}, pair(4), NUMBER),
    ],
}
