"""Counts at thresholds, the ratios of such counts, areas under curves, operating points."""

from tests.metrics.samples import batches, bits, real, unit

COLUMN = batches((bits, (1,)), (unit, (1,)))
LABELS = batches((bits, (3,)), (unit, (3,)))
LOGITS = batches((bits, (1,)), (real, (1,)))
GRID = batches((bits, (2, 3)), (unit, (2, 3)))
ROWS = {"places": (3,)}
WHOLE = {"weights": ("none", "number", "places"), "places": (2, 3)}
MANY = [0.9, 0.1, 0.35, 0.6]  # more than are compared one by one, and not sorted
# Keras's config of label weights is an array, which it cannot write.
OWN_CONFIG = {**ROWS, "keras_config": False}
UNBUILT = {**OWN_CONFIG, "before": False}

_one = [({}, COLUMN), ({"thresholds": MANY}, LABELS, ROWS)]
_at = [({"num_thresholds": 9}, GRID, WHOLE), ({"num_thresholds": 5, "class_id": 1}, LABELS)]


def _at_rate(rate, value):
    return [({rate: value, **arguments}, *rest) for arguments, *rest in _at]


CASES = {
    "TruePositives": [
        *_one,
        ({"thresholds": 0.3}, LABELS, ROWS),
        ({"thresholds": [0.3, 0.7]}, GRID, WHOLE),
    ],
    **dict.fromkeys(("TrueNegatives", "FalsePositives", "FalseNegatives"), _one),
    "Precision": [
        *_one,
        ({"thresholds": 0}, LOGITS),
        ({"top_k": 2}, LABELS, ROWS),
        ({"top_k": 1, "thresholds": MANY}, LABELS),
        ({"class_id": 1}, LABELS),
    ],
    "Recall": [*_one, ({"class_id": 2, "top_k": 2, "thresholds": [0.2, 0.4, 0.6]}, LABELS)],
    "AUC": [
        ({}, COLUMN),
        ({"curve": "PR"}, LABELS, ROWS),
        ({"from_logits": True, "summation_method": "minoring"}, LOGITS),
        ({"curve": "PR", "summation_method": "majoring", "num_thresholds": 7}, GRID, WHOLE),
        ({"thresholds": [0.1, 0.2, 0.8], "label_weights": [1.0, 0.0, 2.0]}, LABELS, OWN_CONFIG),
        ({"multi_label": True, "num_labels": 3, "curve": "PR"}, LABELS, ROWS),
        ({"multi_label": True, "label_weights": [1.0, 0.0, 2.0]}, LABELS, UNBUILT),
    ],
    "PrecisionAtRecall": [({"recall": 0.7}, COLUMN), *_at_rate("recall", 0.2)],
    "RecallAtPrecision": _at_rate("precision", 0.6),
    "SensitivityAtSpecificity": _at_rate("specificity", 0.5),
    "SpecificityAtSensitivity": _at_rate("sensitivity", 0.4),
}
