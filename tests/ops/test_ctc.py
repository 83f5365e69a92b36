"""ctc_loss: against Keras, against the sum over all alignments, lengths, other blanks, errors."""

import itertools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import ops

rng = np.random.default_rng(3)
LABELS = np.array([[1, 2, 4], [3, 3, 1], [2, 1, 3]])
LOGITS = rng.normal(size=(3, 6, 5)).astype("float32")
FULL = np.array([6, 6, 6])
LENGTHS = [
    pytest.param([3, 3, 3], [6, 6, 6], id="full"),
    pytest.param([1, 2, 3], [6, 6, 6], id="labels"),
    pytest.param([2, 3, 1], [4, 5, 1], id="both"),
    pytest.param([0, 0, 0], [6, 3, 1], id="empty"),
]


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, 1e-5)


def by_alignments(target, output, blank):
    """The definition: the probabilities of all paths that read as the target, summed."""
    p = np.exp(output - np.log(np.exp(output).sum(-1, keepdims=True)))
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=p.shape[0]):
        read = [c for c, _ in itertools.groupby(path) if c != blank]
        if read == list(target):
            total += np.prod([p[t, c] for t, c in enumerate(path)])
    return -np.log(total)


@pytest.mark.parametrize("mask_index", [0, 4])
@pytest.mark.parametrize(("labels", "steps"), LENGTHS)
def test_values_and_gradients_are_keras_s(labels, steps, mask_index):
    target = np.where(mask_index == LABELS, 3 if mask_index else 1, LABELS)
    lengths = np.array(labels), np.array(steps)
    logits = weft.Variable(LOGITS)
    with weft.GradientTape() as tape:
        loss = ops.ctc_loss(target, logits, *lengths, mask_index=mask_index)

    def theirs(x):
        return keras.ops.ctc_loss(target, x, *map(jnp.asarray, lengths), mask_index=mask_index)

    possible = np.asarray(theirs(LOGITS)) < 1e4  # Keras has 1e5 where no alignment is
    close(loss.numpy()[possible], theirs(LOGITS)[possible])
    expected = jax.grad(lambda x: jnp.sum(jnp.where(possible, theirs(x), 0)))(LOGITS)
    close(tape.gradient(loss, logits).numpy()[possible], expected[possible])


@pytest.mark.parametrize("target", [[1], [1, 2], [1, 1], []], ids=str)
@pytest.mark.parametrize("blank", [0, 2, -1])
def test_it_is_the_sum_over_all_alignments(target, blank):
    output = rng.normal(size=(4, 3)).astype("float32")
    target = [(c + 1) % 3 if c == blank % 3 else c for c in target]
    if blank and target == [0, 0]:
        target = [1, 1]
    padded = np.array([[*target, 0, 0][:2]])
    loss = ops.ctc_loss(padded, output[None], [len(target)], [4], mask_index=blank)
    close(loss, [by_alignments(target, output, blank % 3)])


def test_what_lies_behind_the_lengths_does_not_count():
    labels, steps = np.array([2, 1, 2]), np.array([5, 4, 6])
    expected = ops.ctc_loss(LABELS, LOGITS, labels, steps)
    noise = LOGITS.copy()
    noise[0, 5:], noise[1, 4:] = 99, -99
    other = LABELS.copy()
    other[:, 2], other[1, 1] = 1, 2
    close(ops.ctc_loss(other, noise, labels, steps), expected.numpy())


def test_a_target_without_an_alignment_costs_more_than_any_with_one():
    loss = ops.ctc_loss([[1, 1]], np.zeros((1, 2, 3)), [2], [2])
    assert 1e29 < float(loss) < np.inf


def test_half_precision_is_computed_in_float32():
    half = LOGITS.astype("float16")
    loss = ops.ctc_loss(LABELS, half, [3, 3, 3], FULL)
    assert loss.dtype == "float32"
    close(loss, ops.ctc_loss(LABELS, half.astype("float32"), [3, 3, 3], FULL).numpy(), 1e-6)


def test_second_batch_compiles_nothing_and_other_lengths_neither():
    float(ops.sum(ops.ctc_loss(LABELS, LOGITS, np.array([3, 3, 3]), FULL)))
    before = weft.config.compile_count()
    float(ops.sum(ops.ctc_loss(LABELS[::-1], LOGITS[::-1], np.array([1, 2, 3]), FULL - 1)))
    assert weft.config.compile_count() == before


def test_on_symbolic_tensors():
    logits = weft.KerasTensor((None, 6, 5))
    target = weft.KerasTensor((None, 3), "int32")
    length = weft.KerasTensor((None,), "int32")
    assert ops.ctc_loss(target, logits, length, length).shape == (None,)


@pytest.mark.parametrize(
    ("target", "output", "labels", "steps", "blank", "message"),
    [
        ((3,), (3, 6, 5), (3,), (3,), 0, r"target of shape \(3,\) and output of shape \(3, 6, 5\)"),
        ((2, 3), (3, 6, 5), (3,), (3,), 0, r"\(batch, labels\) and \(batch, time, classes\)"),
        ((3, 3), (3, 6), (3,), (3,), 0, r"target of shape \(3, 3\) and output of shape \(3, 6\)"),
        ((3, 3), (3, 6, 5), (2,), (3,), 0, r"target_length of shape \(2,\) does not fit the 3 seq"),
        ((3, 3), (3, 6, 5), (3,), (3, 1), 0, r"output_length of shape \(3, 1\) .* \(3,\) is exp"),
        ((3, 3), (3, 6, 5), (3,), (3,), 5, r"mask_index 5 is none of the 5 classes"),
    ],
)
def test_what_does_not_fit(target, output, labels, steps, blank, message):
    with pytest.raises(weft.ShapeError, match=message):
        ops.ctc_loss(
            np.ones(target, int), np.ones(output), np.ones(labels, int), np.ones(steps, int),
            mask_index=blank,
        )  # fmt: skip
