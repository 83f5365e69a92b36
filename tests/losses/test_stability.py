"""Losses where formulas overflow or round off: huge logits, certain probabilities, halves."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from tests.losses.test_catalogue import CASES, EACH, ONE
from weft import losses

HUGE = 1e4


def with_gradient(loss, y_true, y_pred):
    variable = weft.Variable(y_pred)
    with weft.GradientTape() as tape:
        value = loss(y_true, variable)
    return value.numpy(), tape.gradient(value, variable).numpy()


# arguments, y_true, logits, losses, gradients of their sum
LOGITS = [[HUGE, -HUGE], [HUGE, -HUGE], [HUGE, HUGE]]
TARGETS = [[1, 0], [0, 1], [1, 0]]
EXACT = {
    "BinaryCrossentropy": ({}, [0, HUGE, HUGE / 2], [[0, 0], [0.5, -0.5], [0, 0.5]]),
    "BinaryFocalCrossentropy": ({}, [0, HUGE, HUGE / 2], [[0, 0], [0.5, -0.5], [0, 0.5]]),
    "CategoricalCrossentropy": ({}, [0, 2 * HUGE, np.log(2)], [[0, 0], [1, -1], [-0.5, 0.5]]),
    "CategoricalFocalCrossentropy": (
        {"alpha": 1.0, "gamma": 1.0},
        [0, 2 * HUGE, np.log(2) / 2],
        # d/dx of -(1 - p)·log p at p = 1/2: p(1 - p)·(log p - (1 - p)/p)
        [[0, 0], [1, -1], np.array([-1, 1]) * 0.25 * (np.log(2) + 1)],
    ),
}


@pytest.mark.parametrize(
    ("name", "gamma"),
    [(name, None) for name in EXACT]
    + [(name, gamma) for name in EXACT if "Focal" in name for gamma in (0.0, 0.5, 2.0)],
)
def test_huge_logits_cost_what_the_formula_says(name, gamma):
    arguments, expected, slopes = EXACT[name]
    rows = slice(None)
    if gamma is not None:
        arguments = {**arguments, "gamma": gamma}
        rows = slice(2)  # where p is 0 or 1, whatever gamma is
    loss = getattr(losses, name)(from_logits=True, reduction="none", **arguments)
    value, gradient = with_gradient(loss, np.array(TARGETS, "float32"), np.array(LOGITS, "float32"))
    np.testing.assert_allclose(value[rows], expected[rows], 1e-5)
    np.testing.assert_allclose(gradient[rows], slopes[rows], 1e-5, 1e-7)


def test_huge_logits_of_a_sequence():
    """Every step costs as much as its label's logit lies below the largest."""
    logits = np.full((1, 8, 3), -HUGE, "float32")
    logits[:, :, 2] = HUGE  # sure of a class that the labels do not have
    value, gradient = with_gradient(losses.CTC(), [[1]], logits)
    alignments = 8 * 9 / 2  # where the one label begins and ends
    np.testing.assert_allclose(value, 8 * 2 * HUGE - np.log(alignments), 1e-6)
    # Shares of alignments are differences of costs of 1.6e5, of which float32 has two digits.
    np.testing.assert_allclose(gradient[0, :, 2], 1, 0.05)
    np.testing.assert_allclose(gradient[0, :, :2].sum(-1), -1, 0.05)
    right = np.where(np.arange(3) == 1, HUGE, -HUGE) * np.ones((1, 8, 1), "float32")
    value, gradient = with_gradient(losses.CTC(), [[1]], right.astype("float32"))
    np.testing.assert_allclose(value, 0, atol=1e-4)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def extreme(name, arguments, y_pred):
    """Predictions at the ends of what they can be."""
    kind = CASES[name][0][2]
    if name.startswith("Categorical") and not arguments.get("from_logits") and kind == "unit":
        return np.eye(y_pred.shape[-1], dtype="float32")[y_pred.argmax(-1)]
    logits = arguments.get("from_logits") or kind in ("real", "positive", "steps", "embeddings")
    high, low = (HUGE, -HUGE) if logits else (1.0, 0.0)
    return np.where(y_pred > np.median(y_pred), high, low).astype("float32")


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_extreme_predictions_have_finite_losses_and_gradients(name, arguments, y_true, y_pred):
    y_pred = extreme(name, arguments, y_pred)
    loss = getattr(losses, name)(**arguments)
    value, gradient = with_gradient(loss, y_true, y_pred)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if not ("Focal" in name and arguments.get("from_logits")):  # where Keras clips probabilities
        expected = getattr(keras.losses, name)(**arguments)(y_true, y_pred)
        np.testing.assert_allclose(value, expected, 1e-5, 1e-6)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), ONE)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_dtype_of_a_loss_is_that_of_its_result(name, arguments, y_true, y_pred, dtype):
    """Computed in float32, from what came, and rounded once."""
    exact = getattr(losses, name)(**arguments)(y_true, y_pred)
    result = getattr(losses, name)(**arguments, dtype=dtype)(y_true, y_pred)
    assert result.dtype == dtype
    assert result.numpy() == exact.numpy().astype(jnp.dtype(dtype))


@pytest.mark.parametrize(
    ("name", "true", "pred"),
    [
        ("MeanSquaredError", 300, 0), ("MeanSquaredLogarithmicError", 6e4, 0), ("Dice", 1, 1),
        ("Poisson", 100, 6e4), ("CosineSimilarity", 300, 300),
        ("MeanAbsolutePercentageError", 0, 1),
    ],
)  # fmt: skip
def test_float16_predictions_do_not_overflow(name, true, pred):
    y_true, y_pred = (np.full((1, 70_000), x, "float16") for x in (true, pred))
    loss = getattr(losses, name)(reduction="sum")
    value, gradient = with_gradient(loss, y_true, y_pred)
    assert value.dtype == "float32" and gradient.dtype == "float16"
    expected = loss(y_true.astype("float32"), y_pred.astype("float32")).numpy()
    assert np.isfinite(value)
    np.testing.assert_allclose(value, expected, 1e-6)


def test_certain_mistakes_about_noisy_labels():
    value, gradient = with_gradient(
        losses.CategoricalGeneralizedCrossEntropy(0.5, reduction="none"),
        np.array([0, 1, 0]),
        np.array([[0.0, 1.0], [0.0, 1.0], [1e-12, 1.0]], "float32"),
    )
    np.testing.assert_allclose(value, [2, 0, 2 * (1 - 1e-6)], 1e-6)
    np.testing.assert_allclose(gradient, [[0, 0], [0, -1], [-1e6, 0]], 1e-4)


def test_zero_targets_have_a_percentage_error():
    value = losses.mean_absolute_percentage_error(np.zeros((1, 2)), np.full((1, 2), 1e4))
    np.testing.assert_allclose(value.numpy(), 1e13, 1e-5)
