"""class_weight: in arrays, in batches, by output, beside sample weights."""

import keras
import numpy as np
import pytest

import weft
from weft.training import sources
from weft.training.class_weights import ClassWeights

LABELS = np.array([0, 1, 2, 1, 0], "int32")
WEIGHTS = {0: 2.0, 1: 0.5}
EXPECTED = np.array([2, 0.5, 1, 0.5, 2], "float32")
X = np.zeros((5, 2), "float32")


@pytest.mark.parametrize(
    "y",
    [
        LABELS,
        LABELS[:, None],
        LABELS.astype("float32"),
        np.eye(3, dtype="float32")[LABELS],
        np.eye(3, dtype="int32")[LABELS],
        LABELS.tolist(),
    ],
    ids=["whole", "column", "float", "one-hot", "whole one-hot", "list"],
)
def test_forms_of_targets(y):
    x, _, weights = next(sources.source_for(X, y, class_weight=WEIGHTS).batches())
    np.testing.assert_array_equal(weights, EXPECTED)
    assert weights.dtype == "float32"
    assert x.shape == (5, 2)


def test_steps_of_time_have_their_own_classes():
    y = np.array([[0, 1, 2], [2, 2, 0]])
    _, _, weights = ClassWeights({0: 3.0, 2: 5})((X[:2], y))
    np.testing.assert_array_equal(weights, [[3, 1, 5], [5, 5, 3]])
    _, _, again = ClassWeights({0: 3.0, 2: 5})((X[:2], np.eye(3)[y], np.array([1.0, 2.0])))
    np.testing.assert_array_equal(again, [[3, 1, 5], [10, 10, 6]])


def test_a_class_without_examples_and_examples_without_a_class():
    _, _, weights = ClassWeights({-1: 9.0, 7: 3.0})((X, LABELS))
    np.testing.assert_array_equal(weights, np.ones(5))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_both_weights_multiply(shape):
    own = np.arange(1, 6, dtype="float32").reshape(shape)
    data = sources.weighted_by_class((X, LABELS, own), WEIGHTS)
    np.testing.assert_allclose(data[2], own * EXPECTED.reshape(shape))


class ByNumber(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, LABELS


@pytest.mark.parametrize("kind", ["generator", "by number", "dataset"])
def test_batches_that_others_make(kind):
    data = {
        "generator": lambda: (batch for batch in [(X, LABELS)]),
        "by number": ByNumber,
        "dataset": lambda: weft.data.Dataset.from_tensor_slices((X, LABELS)).batch(5),
    }[kind]()
    (batch,) = sources.source_for(data, class_weight=WEIGHTS).batches()
    np.testing.assert_array_equal(batch[2], EXPECTED)


def test_losses_are_as_keras_has_them():
    x, y = np.arange(10, dtype="float32")[:, None], np.array([0, 1] * 5, "float32")[:, None]
    losses = []
    for library in (keras, weft):
        model = library.Sequential([library.layers.Dense(1, kernel_initializer="ones")])
        model.compile(library.optimizers.SGD(0.001), "mse", weighted_metrics=["mae"])
        options = {"class_weight": {1: 3.0}, "epochs": 2, "batch_size": 4, "shuffle": False}
        losses.append(model.fit(x, y, verbose=0, **options).history)
    assert losses[0].keys() == losses[1].keys()
    for name, values in losses[0].items():
        np.testing.assert_allclose(losses[1][name], values, rtol=1e-5)


# -- several outputs ------------------------------------------------------------------------


def test_weights_by_output():
    y = {"a": LABELS, "b": np.zeros((5, 4), "float32")}
    weights = ClassWeights({"a": WEIGHTS})((X, y))[2]
    np.testing.assert_array_equal(weights["a"], EXPECTED)
    np.testing.assert_array_equal(weights["b"], np.ones(5))
    both = ClassWeights({"a": WEIGHTS})((X, y, {"b": np.full(5, 3.0), "a": np.full(5, 2.0)}))[2]
    np.testing.assert_array_equal(both["a"], 2 * EXPECTED)
    np.testing.assert_array_equal(both["b"], np.full(5, 3))
    listed = ClassWeights({"a": WEIGHTS}, ["b", "a"])((X, [y["b"], y["a"]]))[2]
    np.testing.assert_array_equal(listed[1], EXPECTED)
    assert isinstance(listed, list)
    single = ClassWeights({"a": WEIGHTS}, ["a"])((X, LABELS))[2]
    np.testing.assert_array_equal(single, EXPECTED)


def test_one_output_in_a_structure():
    np.testing.assert_array_equal(ClassWeights(WEIGHTS)((X, {"a": LABELS}))[2]["a"], EXPECTED)
    np.testing.assert_array_equal(ClassWeights(WEIGHTS)((X, [LABELS]))[2][0], EXPECTED)


@pytest.mark.parametrize(
    ("weights", "y", "message"),
    [
        (WEIGHTS, None, r"class_weight needs targets \(y\)"),
        ([1.0, 2.0], LABELS, r"must be a dict from classes to weights, got \[1.0, 2.0\]"),
        ({"0": 1.0}, LABELS, r"whole numbers.*got the entry '0': 1.0"),
        ({0.5: 1.0}, LABELS, r"entry 0.5: 1.0"),
        ({0: "much"}, LABELS, r"entry 0: 'much'"),
        (WEIGHTS, {"a": LABELS, "b": LABELS}, r"2 outputs; class_weight must then be a dict by"),
        ({"c": WEIGHTS}, {"a": LABELS, "b": LABELS}, r"outputs \['c'\], but y has \['a', 'b'\]"),
        ({"a": WEIGHTS}, [LABELS, LABELS], r"outputs \['a'\], but y has \[0, 1\].* dict by"),
    ],
)
def test_what_is_refused(weights, y, message):
    with pytest.raises(ValueError, match=message):
        sources.source_for(X, y, class_weight=weights)
