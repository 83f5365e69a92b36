"""Running means of losses: errors, cross-entropies, divergences, margins."""

from tests.metrics.samples import batches, bits, distributions, labels, one_hot, real, signs, unit

PLACES = {"places": (3,), "mask": (3,)}

CASES = {
    "MeanSquaredError": [
        ({}, batches((real, (2,)), (real, (2,)))),
        ({}, batches((real, (3, 2)), (real, (3, 2))), PLACES),
    ],
    "RootMeanSquaredError": [
        ({}, batches((real, (2,)), (real, (2,))), {"places": (2,)}),
        ({}, batches((real, ()), (real, (1,)))),
    ],
    "MeanAbsoluteError": [({}, batches((real, (3, 2)), (real, (3, 2))), PLACES)],
    "BinaryCrossentropy": [
        ({}, batches((bits, (2,)), (unit, (2,)))),
        ({"from_logits": True, "label_smoothing": 0.1}, batches((bits, (2,)), (real, (2,)))),
    ],
    "CategoricalCrossentropy": [
        ({}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"from_logits": True, "label_smoothing": 0.1}, batches((one_hot, (5,)), (real, (5,)))),
        ({"axis": 1}, batches((distributions, (3, 5)), (unit, (3, 5)))),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, batches((labels, ()), (unit, (5,)))),
        ({"from_logits": True}, batches((labels, (3,)), (real, (3, 5))), PLACES),
    ],
    "MeanAbsolutePercentageError": [({}, batches((unit, (3, 2)), (real, (3, 2))), PLACES)],
    "MeanSquaredLogarithmicError": [({}, batches((unit, (3, 2)), (real, (3, 2))), PLACES)],
    "LogCoshError": [({}, batches((real, (3, 2)), (real, (3, 2))), PLACES)],
    "KLDivergence": [({}, batches((distributions, (3, 5)), (distributions, (3, 5))), PLACES)],
    "Poisson": [({}, batches((unit, (3, 2)), (unit, (3, 2))), PLACES)],
    "Hinge": [
        ({}, batches((signs, (3, 2)), (real, (3, 2))), PLACES),
        ({}, batches((bits, (2,)), (real, (2,)))),
    ],
    "SquaredHinge": [({}, batches((signs, (3, 2)), (real, (3, 2))), PLACES)],
    "CategoricalHinge": [({}, batches((one_hot, (3, 5)), (real, (3, 5))), PLACES)],
}
