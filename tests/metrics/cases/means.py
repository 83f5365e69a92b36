"""Sums and means."""

from tests.metrics.samples import batches, real

CASES = {
    "Mean": [
        ({}, batches((real, ()))),
        ({}, batches((real, (3,))), {"places": (3,)}),
        ({}, batches((real, (3, 2))), {"places": (3, 2)}),
    ],
    "Sum": [({}, batches((real, ()))), ({}, batches((real, (3, 2))), {"places": (3, 2)})],
    "MeanMetricWrapper": [({"fn": "mean_squared_error"}, batches((real, (2,)), (real, (2,))))],
}
