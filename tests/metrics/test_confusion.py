"""Counts at thresholds and what follows from them, against tables, scikit-learn and Keras."""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

import weft
from weft import metrics
from weft.metrics import counting, counts

KINDS = counts.KINDS
counts_at = jax.jit(counts.counts_at, static_argnums=(0, 4))
rng = np.random.default_rng(5)


def table(thresholds, truth, scores, weights):
    """The counts by kind, from the table of thresholds × predictions."""
    above = scores[None].astype("float32") > np.asarray(thresholds, "float32")[:, None, None]
    kinds = (above & truth, above & ~truth, ~above & ~truth, ~above & truth)
    return [np.where(kind, weights, 0).sum(1) for kind in kinds]


even = np.linspace(0, 1, 21)
GRIDS = {
    "one": [0.4],
    "two": [0.6, 0.2],
    "any": [0.1, 0.15, 0.7, 0.75, 0.9],
    "unsorted": [0.9, 0.1, 0.5, 0.3],
    "equal": [0.5, 0.5, 0.2, 0.5],
    "none": [-np.inf, 0.3, 0.6],
    "even": even,
    "ends": [-1e-7, *even[1:-1], 1 + 1e-7],
    "nearly even": [0, 0.25, 0.5 + 1e-7, 0.75, 1],
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("labels", [1, 3])
def test_counts_are_those_of_the_table(grid, labels):
    thresholds = GRIDS[grid]
    edge = np.asarray(thresholds, "float32")
    beside = np.concatenate([np.nextafter(edge, k, dtype="float32") for k in (-9, 9)])
    beside = np.where(np.abs(beside) < 1e-30, np.sign(beside) * 1e-30, beside)  # XLA's least
    special = [*edge, *beside, 0, 1, -3, 7]
    scores = np.array([*special, -np.inf, np.inf, np.nan, *rng.uniform(size=20)], "float32")
    scores = np.concatenate([scores, -scores])[: 2 * len(scores) // labels * labels]
    scores = rng.permutation(scores).reshape(-1, labels)
    truth = rng.integers(0, 2, scores.shape).astype(bool)
    weights = rng.integers(0, 5, scores.shape).astype("float32")
    found = counts_at(tuple(thresholds), truth, jnp.asarray(scores), weights, KINDS)
    expected = table(thresholds, truth, scores, weights)
    for kind, own, its in zip(KINDS, found, expected, strict=True):
        np.testing.assert_array_equal(own, its, kind)


@pytest.mark.parametrize("size", [50, 101, 200])
def test_scores_at_even_thresholds_are_not_above_them(size):
    scores = np.linspace(0, 1, size).astype("float32")[:, None]
    truth, weights = np.ones_like(scores, bool), np.ones_like(scores)
    (found,) = counts_at(tuple(np.linspace(0, 1, size)), truth, scores, weights, KINDS[:1])
    np.testing.assert_array_equal(found[:, 0], size - 1 - np.arange(size))


@pytest.mark.parametrize(
    ("metric", "bytes_each"),
    [
        (metrics.AUC(), 24),
        (metrics.AUC(thresholds=np.linspace(0, 1, 198) ** 2), 24),
        (metrics.PrecisionAtRecall(0.5), 24),
        (metrics.Precision([0.2, 0.5, 0.7, 0.9]), 24),
        (metrics.Precision(), 24),
    ],
    ids=["even", "any", "at", "several", "one"],
)
def test_an_update_holds_no_table(metric, bytes_each):
    n = 1_000_000  # × 200 thresholds: 200 MB of bits, 800 MB of float32
    state = [np.zeros(v.shape, "float32") for v in metric.variables]
    pure = functools.partial(counting._updated, masked=False, **metric._options)
    inputs = [jax.ShapeDtypeStruct((n,), "float32")] * 3
    used = jax.jit(pure).lower(*state, *inputs).compile().memory_analysis()
    assert used.temp_size_in_bytes < bytes_each * n


# Names, state, configs -------------------------------------------------------------------------

RATES = {
    "PrecisionAtRecall": "recall",
    "RecallAtPrecision": "precision",
    "SensitivityAtSpecificity": "specificity",
    "SpecificityAtSensitivity": "sensitivity",
}
COUNTS = ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
NAMES = (*COUNTS, "Precision", "Recall", "AUC", *RATES)


def made(library, cls, **arguments):
    if cls in RATES:
        arguments[RATES[cls]] = 0.5
    return getattr(library.metrics, cls)(**arguments)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_numbered_and_configs_keras_s(name):
    keras.utils.clear_session(free_memory=False)
    for arguments in ({}, {}, {"name": "mine"}, {"dtype": "float16"}):
        mine, theirs = made(weft, name, **arguments), made(keras, name, **arguments)
        assert mine.name == theirs.name and mine.get_config() == theirs.get_config()
        state = [(v.path, v.shape, v.dtype) for v in theirs.variables]
        assert [(v.path, v.shape, v.dtype) for v in mine.variables] == state
        np.testing.assert_allclose(mine.thresholds, theirs.thresholds, 1e-12)


def test_a_subclass_is_named_after_itself():
    class MyRecall(metrics.Recall):
        pass

    assert [MyRecall().name, MyRecall().name] == ["my_recall", "my_recall_1"]


@pytest.mark.parametrize("given", [(0.3, 0.6), np.array([0.3, 0.6]), [np.float32(0.5), 0.6]])
def test_thresholds_of_every_kind(given):
    metric = metrics.Precision(thresholds=given)
    again = metrics.Precision.from_config(metric.get_config())
    assert again.thresholds == metric.thresholds == [float(t) for t in given]
    assert metric.result().shape == (2,)
    assert metrics.Precision(thresholds=[0.3]).result().shape == ()


# Values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_against_scikit_learn(threshold):
    y, p = rng.integers(0, 2, 40), rng.uniform(size=40).astype("float32")
    w, hard = rng.uniform(size=40).astype("float32"), p > threshold
    tn, fp, fn, tp = sklearn.confusion_matrix(y, hard, sample_weight=w).ravel()
    for name, expected in zip(COUNTS, (tp, tn, fp, fn), strict=True):
        found = getattr(metrics, name)(threshold)(y, p, w)
        assert float(found) == pytest.approx(expected, rel=1e-5)
    precision, recall = metrics.Precision(threshold), metrics.Recall(threshold)
    expected = sklearn.precision_score(y, hard, sample_weight=w)
    assert float(precision(y, p, w)) == pytest.approx(expected, rel=1e-5)
    expected = sklearn.recall_score(y, hard, sample_weight=w)
    assert float(recall(y, p, w)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", RATES)
def test_operating_points_are_the_best_of_all(name):
    y, p = rng.integers(0, 2, 60), rng.uniform(size=60).astype("float32")
    tp, fp, tn, fn = (k[:, 0] for k in table(np.linspace(0, 1, 200), y[:, None] > 0, p[:, None], 1))
    with np.errstate(invalid="ignore"):
        rates = {
            "recall": tp / (tp + fn),
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "precision": np.nan_to_num(tp / (tp + fp)),
        }
    kept, wanted = RATES[name], name.split("At")[0].lower()
    for value in (0, 0.35, 0.77, 1.0):
        metric = getattr(metrics, name)(value)
        expected = max(rates[wanted][rates[kept] >= value], default=0)
        assert float(metric(y, p)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("axes", [(4,), (2, 4), (3, 2, 4)])
def test_top_k_and_class_id_on_the_last_axis(axes):
    y = rng.integers(0, 2, (5, *axes)).astype("float32")
    p = rng.permutation(y.size).reshape(y.shape).astype("float32") / y.size
    best = np.argsort(np.argsort(-p, -1), -1) < 2
    cases = [
        ({"top_k": 2}, best),
        ({"class_id": 3}, p > 0.5),
        ({"top_k": 2, "class_id": 1}, best),
        ({"top_k": 2, "thresholds": 0.4}, best & (p > 0.4)),
    ]
    for arguments, hard in cases:
        at = arguments.get("class_id", slice(None))
        truth, hard = y[..., at] > 0, hard[..., at]
        found = metrics.Precision(**arguments)(y, p)
        assert float(found) == pytest.approx((truth & hard).sum() / max(hard.sum(), 1))
        found = metrics.Recall(**arguments)(y, p)
        assert float(found) == pytest.approx((truth & hard).sum() / truth.sum())


def test_of_equal_scores_the_first_are_the_highest():
    assert float(metrics.Precision(top_k=2)([[1, 1, 0, 0]], [[0.5, 0.5, 0.5, 0.5]])) == 1
    assert float(metrics.Precision(top_k=1)([[0, 1]], [[-7.0, -9.0]])) == 0


def test_shapes_that_differ_by_last_axes_of_size_one():
    y, p = rng.integers(0, 2, (6,)), rng.uniform(size=6).astype("float32")
    expected = metrics.AUC()(y, p).numpy()
    for true, pred in [((6, 1), (6,)), ((6,), (6, 1)), ((6, 1, 1), (6,)), ((1, 6), (1, 6, 1))]:
        assert metrics.AUC()(y.reshape(true), p.reshape(pred)).numpy() == expected
    assert float(metrics.TruePositives()(1, 0.7)) == 1
    assert float(metrics.TruePositives()(np.zeros((0, 3)), np.zeros((0, 3)))) == 0


def test_scores_that_are_not_numbers_are_never_positive():
    for thresholds in (0.0, [0.0, 0.5, 1.0], [0.1, 0.2, 0.9]):
        metric = metrics.FalseNegatives(thresholds)
        assert np.all(metric([1.0], [np.nan]).numpy() == 1)
    assert np.all(metrics.TruePositives([0.0, 0.5, 1.0])([1, 1], [np.inf, 9.0]).numpy() == 2)


# Weights and masks -----------------------------------------------------------------------------

SHAPES = [(), (1,), (4,), (4, 1), (4, 2), (4, 2, 1), (4, 1, 3), (1, 2, 3), (4, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["Recall", "AUC"])
def test_weights_of_every_shape(name, shape):
    y, p = rng.integers(0, 2, (4, 2, 3)), rng.uniform(size=(4, 2, 3)).astype("float32")
    w = rng.uniform(size=shape).astype("float32")
    full = np.broadcast_to(w.reshape(shape + (1,) * (3 - len(shape))), y.shape)
    short, long = made(weft, name), made(weft, name)
    short.update_state(y, p, w)
    long.update_state(y, p, np.array(full))
    for own, other in zip(short.variables, long.variables, strict=True):
        np.testing.assert_allclose(own, other, 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_leaves_places_out(name):
    y, p = rng.integers(0, 2, (4, 3, 2)), rng.uniform(size=(4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    w = np.where(mask, rng.uniform(size=mask.shape), np.nan).astype("float32")
    for weight, kept in [(None, None), (w, np.repeat(w[mask], 2)), (w[:, :, None], None)]:
        masked, short = made(weft, name), made(weft, name)
        output = weft.Variable(p)
        output._keras_mask = mask
        masked.update_state(y, output, weight)
        kept = np.repeat(w[mask], 2) if weight is not None else kept
        short.update_state(y[mask].ravel(), p[mask].ravel(), kept)
        for own, other in zip(masked.variables, short.variables, strict=True):
            np.testing.assert_allclose(own, other, 1e-6)


weights_of_six = st.lists(st.integers(0, 8), min_size=6, max_size=6).map(
    lambda w: np.array(w, "float32") / 4
)
few = settings(max_examples=12, deadline=None)
METRICS = {
    "share": lambda: metrics.Precision([0.3, 0.6, 0.7]),
    "auc": lambda: metrics.AUC(num_thresholds=8, curve="PR"),
    "at": lambda: metrics.SpecificityAtSensitivity(0.4, num_thresholds=8),
}
Y, P = np.array([0, 1, 1, 0, 1, 0]), np.array([0.1, 0.4, 0.8, 0.65, 0.3, 0.35], "float32")


def state(metric):
    return [np.asarray(v) for v in metric.variables]


@pytest.mark.parametrize("kind", METRICS)
@few
@given(weights=weights_of_six, scale=st.sampled_from([0.5, 2.0, 8.0]))
def test_weights_scale_counts_and_leave_ratios(kind, weights, scale):
    plain, scaled = METRICS[kind](), METRICS[kind]()
    plain.update_state(Y, P, weights)
    scaled.update_state(Y, P, weights * np.float32(scale))
    for own, other in zip(state(plain), state(scaled), strict=True):
        np.testing.assert_array_equal(own * scale, other)
    np.testing.assert_allclose(plain.result(), scaled.result(), 1e-6)


@pytest.mark.parametrize("kind", METRICS)
@few
@given(kept=st.lists(st.booleans(), min_size=6, max_size=6).map(np.array))
def test_weight_zero_is_left_out(kind, kept):
    weighted, masked, alone = (METRICS[kind]() for _ in range(3))
    weighted.update_state(Y, P, kept.astype("float32"))
    output = weft.Variable(P)
    output._keras_mask = kept
    masked.update_state(Y, output)
    for y, p in zip(Y[kept, None], P[kept, None], strict=True):
        alone.update_state(y, p)
    for one, two, three in zip(state(weighted), state(masked), state(alone), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("kind", METRICS)
@few
@given(weights=weights_of_six, order=st.permutations(range(3)))
def test_batches_in_any_order_and_merged_are_the_whole(kind, weights, order):
    whole, mixed, first, second = (METRICS[kind]() for _ in range(4))
    whole.update_state(Y, P, weights)
    for k in order:
        part = slice(2 * k, 2 * k + 2)
        mixed.update_state(Y[part], P[part], weights[part])
        (first, second)[k % 2].update_state(Y[part], P[part], weights[part])
    first.merge_state([second])
    for one, two, three in zip(state(whole), state(mixed), state(first), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


# What is refused -------------------------------------------------------------------------------

THREE = np.full((2, 3), 0.5, "float32")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("TruePositives", {"thresholds": 1.2}, r"TruePositives: thresholds must be .* got 1.2"),
        ("FalseNegatives", {"thresholds": [0.5, -0.1]}, r"in \[0, 1\] or a list.*\[0.5, -0.1\]"),
        ("Precision", {"thresholds": [None, 0.5]}, r"thresholds must be .*\[None, 0.5\]"),
        ("Precision", {"thresholds": "half"}, r"thresholds must be .* got 'half'"),
        ("Recall", {"thresholds": []}, "thresholds is empty: give one number at least"),
        ("Recall", {"top_k": 0}, "Recall: top_k must be 1 or more, got 0"),
        ("Precision", {"class_id": -1}, "Precision: class_id must be 0 or more, got -1"),
        ("PrecisionAtRecall", {"recall": 1.5}, r"recall must be in \[0, 1\], got 1.5"),
        ("RecallAtPrecision", {"precision": -0.1}, r"precision must be in \[0, 1\], got -0.1"),
        (
            "SensitivityAtSpecificity",
            {"specificity": 0.5, "num_thresholds": 0},
            "num_thresholds must be an integer, 1 or more, got 0",
        ),
        (
            "SpecificityAtSensitivity",
            {"sensitivity": 0.5, "class_id": -2},
            "SpecificityAtSensitivity: class_id must be 0 or more, got -2",
        ),
    ],
)
def test_arguments_that_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "true", "pred", "weight", "message"),
    [
        ("Recall", {}, (2,), (2, 3), None, r"Recall: y_true of shape \(2,\) and y_pred of shape "),
        ("Recall", {}, (2,), (2, 3), None, r"Integer labels beside scores of classes must be made"),
        ("AUC", {}, (2, 1), (2, 3), None, r"AUC: y_true of shape \(2, 1\) .*\(2, 3\) do not fit"),
        ("TruePositives", {}, (1,), (4,), None, r"\(1,\) and y_pred of shape \(4,\) do not fit"),
        ("Precision", {}, (2, 3), (2, 3), (3,), r"Precision: sample_weight of shape \(3,\)"),
        ("AUC", {}, (2, 3), (2, 3), (2, 3, 2), r"AUC: sample_weight of shape \(2, 3, 2\)"),
        ("Recall", {"class_id": 3}, (2, 3), (2, 3), None, "class_id=3 needs .* more than 3 class"),
        ("Recall", {"class_id": 0}, (2,), (2,), None, "class_id=0 needs y_pred of shape"),
        ("Recall", {"top_k": 4}, (2, 3), (2, 3), None, "top_k=4 is more than the 3 classes"),
    ],
)
def test_updates_that_are_refused(name, arguments, true, pred, weight, message):
    metric = getattr(metrics, name)(**arguments)
    metric.update_state(THREE, THREE) if not arguments else None
    before = state(metric)
    weight = None if weight is None else np.ones(weight)
    with pytest.raises(weft.ShapeError, match=message):
        metric.update_state(np.ones(true), np.full(pred, 0.5), weight)
    for own, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(own, value)


def test_a_mask_that_does_not_fit():
    output = weft.Variable(THREE)
    output._keras_mask = np.ones((3, 2), bool)
    with pytest.raises(weft.ShapeError, match=r"Recall: the mask of shape \(3, 2\) does not fit"):
        metrics.Recall().update_state(THREE, output)


@pytest.mark.parametrize("scores", [[1.5, 0.2], [0.2, -0.5], [np.nan, 0.3]])
@pytest.mark.parametrize("name", ["AUC", *RATES])
def test_scores_on_the_host_that_are_no_probabilities(name, scores):
    metric = made(weft, name)
    metric.update_state([1, 0], [0.4, 0.6])
    before = state(metric)
    message = rf"{name}: y_pred must be probabilities, numbers in \[0, 1\], got values from .* to"
    with pytest.raises(ValueError, match=message):
        metric.update_state([1, 0], np.array(scores))
    for own, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(own, value)
