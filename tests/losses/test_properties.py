"""Weights and masks, whatever they are: what holds for any of them, and NumPy's own averages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.losses.test_catalogue import CASES, KINDS
from weft import losses

few = settings(max_examples=25, deadline=None, derandomize=True)
SHAPES = [(4, 5), (4, 3, 5)]  # few, so that programs are shared
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none"]
# One of each way to make values; the others share theirs.
NAMES = ["MeanSquaredError", "BinaryFocalCrossentropy", "SparseCategoricalCrossentropy", "Hinge"]
numbers = st.sampled_from([0.0, 0.25, 1.0, 3.0])


@st.composite
def samples(draw, names=NAMES):
    name, shape = draw(st.sampled_from(names)), draw(st.sampled_from(SHAPES))
    arguments, true, pred = CASES[name][0]
    return name, arguments, KINDS[true](shape), KINDS[pred](shape)


@st.composite
def weights(draw, shape):
    size = draw(st.sampled_from([(), shape[:1], (*shape[:1], 1), shape, (1,) * len(shape)]))
    count = int(np.prod(size))
    drawn = draw(st.lists(numbers, min_size=count, max_size=count))
    return np.array(drawn, "float32").reshape(size)


def full(weight, shape):
    """The weight of each value: those given belong to the first axes."""
    if weight.ndim > len(shape):
        weight = weight[..., 0]
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


def reduced(values, weight, reduction):
    if reduction == "none":
        return values * weight
    total = np.sum(values * weight, dtype="float64")
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight":
        return total / weight.sum() if weight.sum() else 0.0
    return total / values.size


def values_of(name, arguments, y_true, y_pred):
    return getattr(losses, name)(**arguments, reduction="none")(y_true, y_pred).numpy()


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(actual), expected, tolerance, 1e-5)


@few
@given(samples(), st.sampled_from(REDUCTIONS), st.data())
def test_weighted_reductions(sample, reduction, data):
    name, arguments, y_true, y_pred = sample
    values = values_of(*sample)
    weight = data.draw(weights(values.shape))
    loss = getattr(losses, name)(**arguments, reduction=reduction)
    expected = reduced(values, full(weight, values.shape), reduction)
    close(loss(y_true, y_pred, weight), expected)


@few
@given(samples(), st.sampled_from(["sum_over_batch_size", "sum", "none"]), st.data())
def test_losses_are_linear_in_their_weights(sample, reduction, data):
    name, arguments, y_true, y_pred = sample
    weight = data.draw(weights(y_pred.shape[:-1]))
    loss = getattr(losses, name)(**arguments, reduction=reduction)
    close(loss(y_true, y_pred, 3 * weight), 3 * loss(y_true, y_pred, weight).numpy())


@few
@given(samples(), st.data())
def test_a_weighted_mean_does_not_change_with_the_scale_of_the_weights(sample, data):
    name, arguments, y_true, y_pred = sample
    weight = data.draw(weights(y_pred.shape[:-1]))
    loss = getattr(losses, name)(**arguments, reduction="mean_with_sample_weight")
    close(loss(y_true, y_pred, 4 * weight), loss(y_true, y_pred, weight).numpy())


@few
@given(samples([*NAMES, "Circle"]), st.permutations(range(4)), st.data())
def test_the_order_of_samples_does_not_matter(sample, order, data):
    name, arguments, y_true, y_pred = sample
    weight = np.array(data.draw(st.lists(numbers, min_size=4, max_size=4)), "float32")
    loss = getattr(losses, name)(**arguments)
    close(loss(y_true[order], y_pred[order], weight[order]), loss(y_true, y_pred, weight).numpy())


@few
@given(samples(), st.sampled_from(["sum", "mean_with_sample_weight"]), st.integers(0, 3))
def test_a_weight_of_zero_leaves_a_sample_out(sample, reduction, out):
    name, arguments, y_true, y_pred = sample
    weight = np.ones(4, "float32")
    weight[out] = 0
    loss = getattr(losses, name)(**arguments, reduction=reduction)
    fewer = loss(np.delete(y_true, out, 0), np.delete(y_pred, out, 0))
    close(loss(y_true, y_pred, weight), fewer.numpy())


@few
@given(samples(), st.sampled_from(REDUCTIONS), st.data())
def test_a_mask_is_weights_of_zero_and_one(sample, reduction, data):
    name, arguments, y_true, y_pred = sample
    shape = y_pred.shape[:-1]
    count = int(np.prod(shape))
    drawn = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mask = np.array(drawn).reshape(shape)
    weight = data.draw(weights(shape))
    masked = weft.Variable(y_pred)
    masked._keras_mask = mask
    result = getattr(losses, name)(**arguments, reduction=reduction)(y_true, masked, weight)
    values = values_of(*sample)
    both = full(weight, shape) * mask
    if reduction in ("sum_over_batch_size", "mean"):  # over the values that count
        expected = (values * both).sum() / max(mask.sum(), 1)
    else:
        expected = reduced(values, both, reduction)
    close(result, expected)


@few
@given(samples(), st.data())
def test_gradients_are_weighted_as_values_are(sample, data):
    name, arguments, y_true, y_pred = sample
    weight = np.array(data.draw(st.lists(numbers, min_size=4, max_size=4)), "float32")
    loss = getattr(losses, name)(**arguments, reduction="sum")
    variable = weft.Variable(y_pred)
    with weft.GradientTape(persistent=True) as tape:
        plain, weighted = loss(y_true, variable), loss(y_true, variable, weight)
    expected = tape.gradient(plain, variable).numpy()
    shaped = weight.reshape(4, *[1] * (y_pred.ndim - 1))
    close(tape.gradient(weighted, variable), expected * shaped)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_none_of_the_weights_counts(shape):
    y_true, y_pred = KINDS["real"](shape), KINDS["real"](shape)
    for reduction in REDUCTIONS[:-1]:
        loss = losses.MeanSquaredError(reduction=reduction)
        assert float(loss(y_true, y_pred, np.zeros(4))) == 0
