"""Metrics against scikit-learn and SciPy, and against what weights, order and batches may do."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from tests.metrics.registry import close
from tests.metrics.samples import bits, labels, one_hot, real, unit
from weft import metrics

N, D = 12, 4
WEIGHTS = [None, unit((N,))]
each_weight = pytest.mark.parametrize("weight", WEIGHTS, ids=["plain", "weighted"])


def fed(metric, y_true, y_pred, weight=None):
    """The metric after two batches."""
    for part in (slice(0, 6), slice(6, None)):
        metric.update_state(y_true[part], y_pred[part], None if weight is None else weight[part])
    return metric.result().numpy()


@each_weight
def test_accuracies(weight):
    y_true, y_pred = labels((N,)), unit((N, 5))
    chosen = y_pred.argmax(1)
    expected = reference.accuracy_score(y_true, chosen, sample_weight=weight)
    close(fed(metrics.Accuracy(), y_true, chosen, weight), expected)
    close(fed(metrics.SparseCategoricalAccuracy(), y_true, y_pred, weight), expected)
    close(fed(metrics.CategoricalAccuracy(), np.eye(5)[y_true], y_pred, weight), expected)
    for k in (2, 3):
        expected = reference.top_k_accuracy_score(
            y_true, y_pred, k=k, sample_weight=weight, labels=range(5)
        )
        close(fed(metrics.SparseTopKCategoricalAccuracy(k), y_true, y_pred, weight), expected)
        close(fed(metrics.TopKCategoricalAccuracy(k), np.eye(5)[y_true], y_pred, weight), expected)


@each_weight
def test_intersections_over_union(weight):
    y_true, y_pred = labels((N,)), labels((N,))
    mean = metrics.MeanIoU(5, dtype="float32")
    found = fed(mean, y_true, y_pred, weight)
    options = {"labels": range(5), "sample_weight": weight}
    close(mean.total_cm, reference.confusion_matrix(y_true, y_pred, **options))
    each = reference.jaccard_score(y_true, y_pred, average=None, zero_division=0, **options)
    seen = np.isin(range(5), [*y_true, *y_pred])
    close(found, each[seen].mean())
    for k in (0, 3):
        one = metrics.IoU(5, [k], dtype="float32")
        close(fed(one, y_true, y_pred, weight), each[k])
    truth, scores = bits((N,)), unit((N,))
    binary = metrics.BinaryIoU([1], 0.4, dtype="float32")
    expected = reference.jaccard_score(truth, scores >= 0.4, sample_weight=weight)
    close(fed(binary, truth, scores, weight), expected)


@each_weight
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_f_scores(average, beta, weight):
    options = {"average": average, "sample_weight": weight, "zero_division": 0}
    y_true, y_pred = bits((N, D)), unit((N, D))
    expected = reference.fbeta_score(y_true, y_pred > 0.4, beta=beta, **options)
    close(fed(metrics.FBetaScore(average, beta, 0.4), y_true, y_pred, weight), expected)
    exclusive = one_hot((N, D))
    chosen = np.eye(D)[y_pred.argmax(1)]
    expected = reference.fbeta_score(exclusive, chosen, beta=beta, **options)
    close(fed(metrics.FBetaScore(average, beta), exclusive, y_pred, weight), expected)


@each_weight
@pytest.mark.parametrize(
    ("aggregation", "multioutput"),
    [
        (None, "raw_values"),
        ("uniform_average", "uniform_average"),
        ("variance_weighted_average", "variance_weighted"),
    ],
)
def test_r2(aggregation, multioutput, weight):
    y_true, y_pred = real((N, 3)), real((N, 3))
    expected = reference.r2_score(y_true, y_pred, multioutput=multioutput, sample_weight=weight)
    close(fed(metrics.R2Score(aggregation), y_true, y_pred, weight), expected, 1e-4)
    # The adjusted score, from its definition.
    adjusted = fed(metrics.R2Score(aggregation, num_regressors=4), y_true, y_pred, weight)
    close(adjusted, 1 - (1 - expected) * (N - 1) / (N - 4 - 1), 1e-4)


def test_r2_of_constant_targets():
    ones = np.ones((4, 1), "float32")
    for y_pred in (ones, 2 * ones):
        close(metrics.R2Score()(ones, y_pred), reference.r2_score(ones, y_pred))
    assert np.isnan(metrics.R2Score().result())


@each_weight
def test_errors(weight):
    y_true, y_pred = unit((N, 3)) + 1, unit((N, 3))
    for name, expected in {
        "MeanSquaredError": reference.mean_squared_error,
        "MeanAbsoluteError": reference.mean_absolute_error,
        "RootMeanSquaredError": lambda *a, **k: np.sqrt(reference.mean_squared_error(*a, **k)),
        "MeanSquaredLogarithmicError": reference.mean_squared_log_error,
        "MeanAbsolutePercentageError": lambda *a, **k: (
            100 * reference.mean_absolute_percentage_error(*a, **k)
        ),
    }.items():
        found = fed(getattr(metrics, name)(), y_true, y_pred, weight)
        close(found, expected(y_true, y_pred, sample_weight=weight), 1e-4)
    score = reference.log_loss(one_hot((N, 3)), distribution(y_pred), sample_weight=weight)
    assert np.isfinite(score)


def distribution(x):
    return x / x.sum(-1, keepdims=True)


@each_weight
def test_log_losses(weight):
    y_true, y_pred = labels((N,)), distribution(unit((N, 5)))
    expected = reference.log_loss(y_true, y_pred, sample_weight=weight, labels=range(5))
    close(fed(metrics.SparseCategoricalCrossentropy(), y_true, y_pred, weight), expected)
    truth, score = bits((N, 1)), unit((N, 1))
    expected = reference.log_loss(truth, score, sample_weight=weight, labels=[0, 1])
    close(fed(metrics.BinaryCrossentropy(), truth, score, weight), expected)
    signs, margin = 2 * bits((N,)) - 1, real((N,))
    expected = reference.hinge_loss(signs, margin, sample_weight=weight)
    close(fed(metrics.Hinge(), signs[:, None], margin[:, None], weight), expected)


@each_weight
def test_cosines_and_correlations(weight):
    y_true, y_pred = real((N, D)), real((N, D)) + 1
    cosine = np.diag(reference.pairwise.cosine_similarity(y_true, y_pred))
    close(
        fed(metrics.CosineSimilarity(), y_true, y_pred, weight), np.average(cosine, weights=weight)
    )
    rows = [stats.pearsonr(t, p).statistic for t, p in zip(y_true, y_pred, strict=True)]
    close(
        fed(metrics.PearsonCorrelation(), y_true, y_pred, weight), np.average(rows, weights=weight)
    )
    scales = y_true.std(1) * y_pred.std(1)
    apart = y_true.var(1) + y_pred.var(1) + (y_true.mean(1) - y_pred.mean(1)) ** 2
    lin = 2 * np.array(rows) * scales / apart
    found = fed(metrics.ConcordanceCorrelation(), y_true, y_pred, weight)
    close(found, np.average(lin, weights=weight))


def test_concordance_does_not_depend_on_the_unit():
    y_true, y_pred = real((2, D)), real((2, D))
    expected = metrics.concordance_correlation(y_true, y_pred)
    close(metrics.concordance_correlation(1e-4 * y_true, 1e-4 * y_pred), expected, 1e-4)
    assert float(metrics.concordance_correlation([1.0, 1.0], [1.0, 1.0])) == 0
    assert np.isnan(metrics.pearson_correlation([1.0, 1.0], [1.0, 2.0]))


# What weights, order and batches may do ------------------------------------------------------

PROPERTIES = {
    "Mean": lambda: (metrics.Mean(), (real((N,)),)),
    "MeanSquaredError": lambda: (metrics.MeanSquaredError(), (real((N, D)), real((N, D)))),
    "RootMeanSquaredError": lambda: (metrics.RootMeanSquaredError(), (real((N, D)), real((N, D)))),
    "SparseCategoricalAccuracy": lambda: (
        metrics.SparseCategoricalAccuracy(),
        (labels((N,)), unit((N, 5))),
    ),
    "CosineSimilarity": lambda: (metrics.CosineSimilarity(), (real((N, D)), real((N, D)))),
    "MeanIoU": lambda: (metrics.MeanIoU(5, dtype="float32"), (labels((N,)), labels((N,)))),
    "F1Score": lambda: (metrics.F1Score("macro", 0.5), (bits((N, D)), unit((N, D)))),
    "R2Score": lambda: (metrics.R2Score(None), (real((N, D)), real((N, D)))),
}
each_property = pytest.mark.parametrize("name", PROPERTIES)
some = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
weights_of = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=N, max_size=N).filter(sum)


def value(metric, data, weight=None):
    metric.reset_state()
    metric.update_state(*data, sample_weight=weight)
    return metric.result().numpy()


@each_property
@some
@given(weight=weights_of, factor=st.sampled_from([0.25, 2.0, 8.0]))
def test_scaling_all_weights_changes_nothing(name, weight, factor):
    metric, data = PROPERTIES[name]()
    weight = np.array(weight, "float32")
    close(value(metric, data, factor * weight), value(metric, data, weight), 1e-4)


@each_property
@some
@given(weight=weights_of)
def test_a_weight_of_zero_leaves_out(name, weight):
    metric, data = PROPERTIES[name]()
    weight = np.array(weight, "float32")
    spoilt = [np.where(weight.reshape(-1, *[1] * (x.ndim - 1)) == 0, x[::-1], x) for x in data]
    close(value(metric, spoilt, weight), value(metric, data, weight), 1e-4)


@each_property
@some
@given(weight=weights_of, order=st.permutations(range(N)))
def test_order_does_not_matter(name, weight, order):
    metric, data = PROPERTIES[name]()
    weight = np.array(weight, "float32")
    other = value(metric, [x[order] for x in data], weight[order])
    close(other, value(metric, data, weight), 1e-4)


@each_property
@some
@given(weight=weights_of, parts=st.sampled_from([2, 3, 6]))
def test_batches_do_not_matter(name, weight, parts):
    metric, data = PROPERTIES[name]()
    weight = np.array(weight, "float32")
    expected = value(metric, data, weight)
    metric.reset_state()
    for k in range(0, N, N // parts):
        at = slice(k, k + N // parts)
        metric.update_state(*[x[at] for x in data], sample_weight=weight[at])
    close(metric.result(), expected, 1e-4)


@each_property
def test_weights_of_one_are_no_weights(name):
    metric, data = PROPERTIES[name]()
    expected = value(metric, data)
    close(value(metric, data, 1.0), expected, 1e-6)
    close(value(metric, data, np.ones(N)), expected, 1e-6)
    close(value(metric, data, np.ones(N, bool)), expected, 1e-6)
