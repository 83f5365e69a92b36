"""F scores: exclusive classes, several labels, all averages."""

from tests.metrics.samples import batches, bits, one_hot, unit

# Before the first update Keras fails, and weights it takes in one shape only.
FLAGS = {"weights": ("none", "samples"), "before": False, "places": (4,)}


def averages(**more):
    return [
        ({"average": average, **more}, batches((bits, (4,)), (unit, (4,))), FLAGS)
        for average in (None, "micro", "macro", "weighted")
    ]


CASES = {
    "FBetaScore": [
        *averages(beta=2.0, threshold=0.5),
        *averages(beta=0.5),
        ({"average": "macro"}, batches((one_hot, (4,)), (unit, (4,))), FLAGS),
        ({}, batches((bits, (4,)), (bits, (4,))), FLAGS),  # ties, and rows without a choice
    ],
    "F1Score": [
        *averages(threshold=0.3),
        ({"threshold": 0.5}, batches((bits, (1,)), (unit, (1,))), {**FLAGS, "places": (1,)}),
        ({"dtype": "float32"}, batches((one_hot, (4,)), (unit, (4,))), FLAGS),
    ],
}
