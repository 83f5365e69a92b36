"""The coefficient of determination."""

from tests.metrics.samples import batches, real

# Keras has no result before the first update, and takes every output for a sample.
FLAGS = {"before": False, "places": (2,), "tolerance": 1e-4}
ADJUSTED = {**FLAGS, "differs": "num_samples"}
ONE = {**FLAGS, "places": (1,)}


def pair(width):
    return batches((real, (width,)), (real, (width,)))


CASES = {
    "R2Score": [
        ({}, pair(1), ONE),
        ({"num_regressors": 2}, pair(1), ONE),
        ({"num_regressors": 40}, pair(1), {**ONE, "differs": "a warning"}),
        ({}, pair(2), ADJUSTED),
        ({"class_aggregation": None}, pair(2), ADJUSTED),
        ({"class_aggregation": "variance_weighted_average"}, pair(2), ADJUSTED),
        ({"class_aggregation": None, "num_regressors": 1}, pair(2), ADJUSTED),
    ],
}
