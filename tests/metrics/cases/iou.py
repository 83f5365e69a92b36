"""Intersection over union."""

import numpy as np

from tests.metrics.samples import batches, bits, labels, one_hot, unit

WHOLE = {"whole": True}
# Keras flattens the weights, so that they fit only if they are as many as the places.
IMAGE = {"weights": ("none", "number", "places"), "places": (3,), "whole": True}
# Keras takes the highest of an array that is flat already, and fails.
AXIS = {"differs": "axis", "places": (3,), "whole": True}


def void(shape):
    """Labels some of which are -1."""
    found = labels(shape)
    return np.where(found == 0, -1, found).astype("int32")


CASES = {
    "IoU": [
        (
            {"num_classes": 5, "target_class_ids": [0, 3]},
            batches((labels, ()), (labels, ())),
            WHOLE,
        ),
        (
            {"num_classes": 7, "target_class_ids": [1, 6], "sparse_y_pred": False},
            batches((labels, (3,)), (unit, (3, 7))),
            IMAGE,
        ),
        (
            {"num_classes": 5, "target_class_ids": [2], "ignore_class": -1, "dtype": "float32"},
            batches((void, (3,)), (labels, (3,))),
            {**IMAGE, "whole": False},
        ),
        (
            {"num_classes": 5, "target_class_ids": [2, 4], "axis": 1, "sparse_y_pred": False},
            batches((labels, (3,)), (unit, (5, 3))),
            AXIS,
        ),
    ],
    "BinaryIoU": [
        ({}, batches((bits, ()), (unit, ())), WHOLE),
        (
            {"target_class_ids": [1], "threshold": 0.3, "dtype": "float32"},
            batches((bits, (3, 1)), (unit, (3, 1))),
            {"weights": ("none", "number")},
        ),
    ],
    "MeanIoU": [
        ({"num_classes": 5}, batches((labels, ()), (labels, ())), WHOLE),
        ({"num_classes": 9}, batches((labels, (3, 1)), (labels, (3,))), IMAGE),
        ({"num_classes": 5, "ignore_class": 2}, batches((labels, (3,)), (labels, (3,))), IMAGE),
        (
            {"num_classes": 5, "ignore_class": -1, "sparse_y_pred": False, "dtype": "float32"},
            batches((void, ()), (unit, (5,))),
        ),
        (
            {"num_classes": 5, "sparse_y_true": False, "sparse_y_pred": False},
            batches((one_hot, (5,)), (unit, (5,))),
            WHOLE,
        ),
    ],
    "OneHotIoU": [
        (
            {"num_classes": 5, "target_class_ids": [0, 2]},
            batches((one_hot, (5,)), (unit, (5,))),
            WHOLE,
        ),
        (
            {"num_classes": 5, "target_class_ids": [1], "sparse_y_pred": True, "ignore_class": 0},
            batches((one_hot, (3, 5)), (labels, (3,))),
            IMAGE,
        ),
    ],
    "OneHotMeanIoU": [
        ({"num_classes": 5}, batches((one_hot, (5,)), (unit, (5,))), WHOLE),
        ({"num_classes": 5, "dtype": "float32"}, batches((one_hot, (3, 5)), (unit, (3, 5))), IMAGE),
        ({"num_classes": 3, "axis": 1}, batches((one_hot, (3, 3)), (unit, (3, 3))), AXIS),
    ],
}
