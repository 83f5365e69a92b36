"""Accuracies."""

from tests.metrics.samples import batches, bits, labels, one_hot, unit

PLACES = {"places": (3,), "mask": (3,)}
LOST = {"keras_config": False}  # from_sorted_ids

CASES = {
    "Accuracy": [
        ({}, batches((labels, ()), (labels, ()))),
        ({}, batches((labels, (1,)), (labels, (1,)))),
        ({}, batches((labels, ()), (labels, (1,)))),
    ],
    "BinaryAccuracy": [
        ({}, batches((bits, (1,)), (unit, (1,)))),
        ({}, batches((bits, ()), (unit, (1,)))),
        ({"threshold": 0.8}, batches((bits, (3, 4)), (unit, (3, 4))), {"places": (3, 4)}),
    ],
    "CategoricalAccuracy": [
        ({}, batches((one_hot, (5,)), (unit, (5,)))),
        ({}, batches((one_hot, (3, 5)), (unit, (3, 5))), PLACES),
    ],
    "SparseCategoricalAccuracy": [
        ({}, batches((labels, ()), (unit, (5,)))),
        ({}, batches((labels, (1,)), (unit, (5,)))),
        ({}, batches((labels, (3,)), (unit, (3, 5))), PLACES),
    ],
    "TopKCategoricalAccuracy": [
        ({"k": 2}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"k": 9}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"k": 3}, batches((one_hot, (3, 5)), (unit, (3, 5))), PLACES),
    ],
    "SparseTopKCategoricalAccuracy": [
        ({"k": 2}, batches((labels, ()), (unit, (5,))), LOST),
        ({"k": 2}, batches((labels, (1,)), (unit, (5,))), LOST),
        ({"k": 3}, batches((labels, (3,)), (unit, (3, 5))), {**PLACES, **LOST}),
        ({"k": 2, "from_sorted_ids": True}, batches((labels, ()), (labels, (4,))), LOST),
        ({"k": 2}, batches((labels, ()), (bits, (5,))), LOST),  # ties
    ],
}
