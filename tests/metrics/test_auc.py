"""`AUC`: its curves and sums against Keras and scikit-learn, labels, bad input."""

import keras
import numpy as np
import pytest
from sklearn import metrics as sklearn

import weft
from weft import metrics

rng = np.random.default_rng(3)
N, LABELS = 30, 3
Y = rng.integers(0, 2, (N, LABELS)).astype("float32")
P = np.clip(0.3 * Y + rng.uniform(0, 0.7, (N, LABELS)), 0, 1).astype("float32")
P[0], P[1] = 0, 1
W = rng.uniform(0.1, 2, N).astype("float32")

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_and_method_is_keras_s(curve, method):
    cases = [
        {"num_thresholds": 12},
        {"num_thresholds": 12, "multi_label": True, "label_weights": [1.0, 3.0, 0.5]},
    ]
    for arguments in cases:
        arguments |= {"curve": curve, "summation_method": method}
        mine, theirs = metrics.AUC(**arguments), keras.metrics.AUC(**arguments)
        for part in (slice(0, 15), slice(15, 30)):
            mine.update_state(Y[part], P[part], W[part])
            theirs.update_state(Y[part], P[part], sample_weight=W[part])
        assert float(mine.result()) == pytest.approx(float(theirs.result()), rel=2e-5)
    assert float(metrics.AUC(**arguments).result()) == 0


def test_curves_without_positives_or_negatives():
    for curve in CURVES:
        for method in METHODS:
            for truth in ([0, 0, 0], [1, 1, 1]):
                arguments = {"curve": curve, "summation_method": method, "num_thresholds": 12}
                mine, theirs = metrics.AUC(**arguments), keras.metrics.AUC(**arguments)
                theirs.update_state(truth, [0.0, 0.3, 1.0])
                found = mine(truth, [0.0, 0.3, 1.0])
                assert float(found) == pytest.approx(float(theirs.result()), abs=1e-6)


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
def test_with_a_threshold_between_all_scores_it_is_scikit_learn_s(weights):
    y, p = Y[:, 0], P[:, 0]
    levels = np.unique(p)
    metric = metrics.AUC(thresholds=(levels[1:] + levels[:-1]) / 2)
    expected = sklearn.roc_auc_score(y, p, sample_weight=weights)
    assert float(metric(y, p, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_near_scikit_learn_s_areas_with_many_thresholds(weighted):
    y = rng.integers(0, 2, 2000)
    p = np.clip(rng.normal(0.4 + 0.2 * y, 0.15), 0, 1).astype("float32")
    w = rng.uniform(size=2000).astype("float32") if weighted else None
    found = metrics.AUC(num_thresholds=1000)(y, p, w)
    assert float(found) == pytest.approx(sklearn.roc_auc_score(y, p, sample_weight=w), abs=1e-3)
    areas = {method: float(metrics.AUC(1000, "PR", method)(y, p, w)) for method in METHODS}
    expected = sklearn.average_precision_score(y, p, sample_weight=w)
    assert areas["interpolation"] == pytest.approx(expected, abs=3e-3)
    assert areas["minoring"] <= areas["interpolation"] <= areas["majoring"]


def test_labels_are_averaged_as_scikit_learn_s():
    levels = np.unique(P)
    between = (levels[1:] + levels[:-1]) / 2
    each = [sklearn.roc_auc_score(Y[:, k], P[:, k], sample_weight=W) for k in range(LABELS)]
    found = metrics.AUC(thresholds=between, multi_label=True, num_labels=3)(Y, P, W)
    assert float(found) == pytest.approx(np.mean(each), rel=1e-5)
    weights = [1.0, 0.0, 3.0]
    metric = metrics.AUC(thresholds=between, multi_label=True, label_weights=weights)
    assert float(metric(Y, P, W)) == pytest.approx(np.average(each, weights=weights), rel=1e-5)


def test_label_weights_of_flat_labels_weigh_predictions():
    weights = np.array([1.0, 0.0, 3.0], "float32")
    one, other = metrics.AUC(label_weights=weights), metrics.AUC()
    one.update_state(Y, P, W)
    other.update_state(Y, P, W[:, None] * weights)
    for own, its in zip(one.variables, other.variables, strict=True):
        np.testing.assert_allclose(own, its, 1e-5)
    assert one.get_config()["label_weights"] == [1.0, 0.0, 3.0]


def test_state_made_with_the_first_batch():
    metric = metrics.AUC(multi_label=True, num_thresholds=12)
    assert metric.variables == [] and float(metric.result()) == 0
    metric.reset_state()
    with pytest.raises(weft.ShapeError, match="AUC: sample_weight of shape"):
        metric.update_state(Y[:, :2], P[:, :2], np.ones(7))
    assert metric.variables == [] and not metric.built

    @weft.function
    def step(y, p):
        metric.update_state(y, p)
        return metric.result()

    expected = metrics.AUC(multi_label=True, num_thresholds=12, num_labels=3)
    for _ in range(2):
        assert float(step(Y, P)) == pytest.approx(float(expected(Y, P)), rel=1e-6)
    assert [v.name for v in metric.variables] == [v.name for v in expected.variables]
    assert metric.true_positives.shape == (12, 3)
    for own, its in zip(metric.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(own, its)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_metrics_whose_state_is_not_made_are_merged():
    idle, first, other = (metrics.AUC(multi_label=True, num_thresholds=12) for _ in range(3))
    idle.merge_state([other])
    first.update_state(Y, P)
    first.merge_state([other])
    idle.merge_state([other, first])
    np.testing.assert_array_equal(idle.true_positives, first.true_positives)
    assert float(idle.result()) == float(first.result()) > 0


def test_on_the_device_scores_are_brought_into_range():
    given = weft.ops.convert_to_tensor(np.array([-0.5, 1.5, np.nan, 0.4], "float32"))
    metric, other = metrics.AUC(), metrics.AUC()
    metric.update_state([0, 1, 1, 0], given)
    other.update_state([0, 1, 1, 0], [0.0, 1.0, 0.0, 0.4])
    for own, its in zip(metric.variables, other.variables, strict=True):
        np.testing.assert_array_equal(own, its)


def test_logits():
    logits = rng.normal(size=(N, 1)).astype("float32") * 3
    logits[0], logits[1] = 1e4, -1e4
    metric, other = metrics.AUC(from_logits=True), metrics.AUC()
    metric.update_state(Y[:, :1], logits)
    other.update_state(Y[:, :1], np.asarray(keras.ops.sigmoid(logits)))
    assert float(metric.result()) == pytest.approx(float(other.result()), rel=1e-5)


def test_scores_a_rounding_beyond_one_are_taken():
    metric = metrics.AUC()
    metric.update_state([1, 0], np.array([np.nextafter(np.float32(1), np.float32(2)), 0.0]))
    assert float(metric.result()) == 1 and float(metric.true_positives[-1]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curve": "RO"}, "AUC: unknown curve 'RO'. Did you mean 'ROC'"),
        ({"curve": "lift"}, "unknown curve 'lift'. Known: PR, PRGAIN, ROC"),
        ({"summation_method": "minor"}, "unknown summation_method 'minor'. Did you mean 'minoring"),
        ({"num_thresholds": 1}, "num_thresholds must be an integer, 2 or more, got 1"),
        ({"num_thresholds": 2.5}, "num_thresholds must be an integer, 2 or more, got 2.5"),
        ({"thresholds": [0.2, 1.1]}, r"thresholds must be a number in \[0, 1\] or a list of them"),
        ({"num_labels": 3}, "num_labels=3 goes with multi_label=True"),
        ({"label_weights": [0.5, -1]}, r"label_weights must be numbers ≥ 0, got \[0.5, -1.0\]"),
        (
            {"multi_label": True, "num_labels": 3, "label_weights": [1, 2]},
            "AUC: 2 label_weights for 3 labels",
        ),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.AUC(**arguments)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"multi_label": True}, (4,), r"y_pred must have the shape \(batch, labels\), got \(4,\)"),
        (
            {"multi_label": True, "num_labels": 3},
            (4, 2),
            r"multi_label=True and 3 labels y_pred must have the shape \(batch, 3\), got y_true",
        ),
        ({"multi_label": True, "num_labels": 3}, (4, 2, 3), r"must have the shape \(batch, 3\)"),
        (
            {"multi_label": True, "label_weights": [1, 2, 3]},
            (4, 2),
            "AUC: 3 label_weights for 2 labels",
        ),
        ({"label_weights": [1, 2]}, (4, 3), r"2 label_weights do not fit y_pred of shape \(4, 3\)"),
    ],
)
def test_updates_that_are_refused(arguments, shape, message):
    metric = metrics.AUC(**arguments)
    with pytest.raises(ValueError, match=message):
        metric.update_state(np.ones(shape), np.full(shape, 0.5))
    assert all(not np.any(np.asarray(v)) for v in metric.variables)
