"""Losses against scikit-learn and SciPy, where these have them."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn import metrics

from tests.losses.test_catalogue import KINDS
from weft import losses

SHAPE = (6, 4)
LABELS = np.array([0, 1, 2, 3, 1, 0])


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(actual), expected, tolerance, 1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("MeanSquaredError", metrics.mean_squared_error),
        ("MeanAbsoluteError", metrics.mean_absolute_error),
        ("MeanSquaredLogarithmicError", metrics.mean_squared_log_error),
        ("MeanAbsolutePercentageError", metrics.mean_absolute_percentage_error),
    ],
)
def test_errors(name, function, weighted):
    y_true, y_pred = KINDS["positive"](SHAPE), KINDS["positive"](SHAPE)
    weight = KINDS["unit"]((6,)) if weighted else None
    factor = 100 if "Percentage" in name else 1
    loss = getattr(losses, name)(reduction="mean_with_sample_weight")
    close(loss(y_true, y_pred, weight), factor * function(y_true, y_pred, sample_weight=weight))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_crossentropies_are_log_loss(weighted):
    weight = KINDS["unit"]((6,)) if weighted else None
    p = KINDS["classes"](SHAPE)
    expected = metrics.log_loss(LABELS, p, sample_weight=weight, labels=range(4))
    one_hot = np.eye(4)[LABELS]
    options = {"reduction": "mean_with_sample_weight"}
    close(losses.SparseCategoricalCrossentropy(**options)(LABELS, p, weight), expected)
    close(losses.CategoricalCrossentropy(**options)(one_hot, p, weight), expected)
    logits = np.log(p)
    close(losses.SparseCategoricalCrossentropy(True, **options)(LABELS, logits, weight), expected)
    bits, unit = KINDS["bits"]((6,)), KINDS["unit"]((6,))
    bits[0] = 1 - bits[1]
    expected = metrics.log_loss(bits, unit, sample_weight=weight)
    close(losses.BinaryCrossentropy(**options)(bits[:, None], unit[:, None], weight), expected)


def test_hinges():
    decisions = KINDS["real"]((6,))
    signs = np.array([1, -1, 1, 1, -1, -1])
    expected = metrics.hinge_loss(signs, decisions)
    close(losses.Hinge()(signs[:, None], decisions[:, None]), expected)
    close(losses.Hinge()((signs[:, None] + 1) / 2, decisions[:, None]), expected)
    scores = KINDS["positive"](SHAPE)  # Keras's formula takes 0 for the true class's own score
    expected = metrics.hinge_loss(LABELS, scores, labels=range(4))
    close(losses.CategoricalHinge()(np.eye(4)[LABELS], scores), expected)


def test_divergence_is_scipy_s_relative_entropy():
    p, q = KINDS["classes"](SHAPE), KINDS["classes"](SHAPE)
    close(losses.kl_divergence(p, q), scipy.stats.entropy(p, q, axis=-1))
    close(losses.kl_divergence(p, q), scipy.special.rel_entr(p, q).sum(-1))


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.0])
def test_huber_is_scipy_s(delta):
    y_true, y_pred = KINDS["real"](SHAPE), KINDS["real"](SHAPE)
    expected = scipy.special.huber(delta, y_pred - y_true).mean(-1)
    close(losses.huber(y_true, y_pred, delta=delta), expected)


def test_log_cosh_is_numpy_s():
    y_true, y_pred = KINDS["large"](SHAPE).astype("float64") / 10, KINDS["real"](SHAPE)
    expected = np.log(np.cosh(y_pred - y_true)).mean(-1)
    close(losses.log_cosh(y_true, y_pred), expected)


def test_poisson_is_scipy_s_likelihood_up_to_a_constant_of_the_targets():
    counts, rates = KINDS["counts"](SHAPE), KINDS["positive"](SHAPE)
    likelihood = scipy.stats.poisson.logpmf(counts, rates) + scipy.special.gammaln(counts + 1)
    close(losses.poisson(counts, rates), -likelihood.mean(-1))


def test_dice_and_tversky_are_one_less_f1_and_jaccard_of_certain_predictions():
    y_true, y_pred = KINDS["bits"]((20,)), KINDS["bits"]((20,))
    close(losses.dice(y_true, y_pred), 1 - metrics.f1_score(y_true, y_pred))
    jaccard = metrics.jaccard_score(y_true, y_pred)
    close(losses.tversky(y_true, y_pred, alpha=1, beta=1), 1 - jaccard)
    # F-beta: misses weigh beta² times what false alarms do.
    fbeta = metrics.fbeta_score(y_true, y_pred, beta=2)
    close(losses.tversky(y_true, y_pred, alpha=0.8, beta=0.2), 1 - fbeta)


def test_cosine_similarity_is_scikit_learn_s():
    y_true, y_pred = KINDS["real"](SHAPE), KINDS["real"](SHAPE)
    expected = metrics.pairwise.paired_cosine_distances(y_true, y_pred) - 1
    close(losses.cosine_similarity(y_true, y_pred), expected)
