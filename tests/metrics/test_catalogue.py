"""Every metric passes the same properties by being listed here; one that is not listed fails."""

import inspect

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import metrics

rng = np.random.default_rng(11)
BATCHES = 3


def batches(*shapes):
    """Arrays of those shapes for each of the batches, the last of them smaller."""
    return [
        [make((n, *shape)) for make, shape in shapes] for n in (6,) * (BATCHES - 1) + (4,)
    ]  # fmt: skip


def real(shape):
    return rng.normal(size=shape).astype("float32")


def unit(shape):
    return rng.uniform(0.01, 0.99, size=shape).astype("float32")


def bits(shape):
    return rng.integers(0, 2, size=shape).astype("float32")


def labels(shape):
    return rng.integers(0, 5, size=shape).astype("int32")


def one_hot(shape):
    return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], size=shape[:-1])]


# class -> (arguments, batches of the arguments of update_state) of each case
CASES = {
    "Mean": [({}, batches((real, ()))), ({}, batches((real, (3,)))), ({}, batches((real, (3, 2))))],
    "Sum": [({}, batches((real, ()))), ({}, batches((real, (3, 2))))],
    "MeanMetricWrapper": [({"fn": "mean_squared_error"}, batches((real, (2,)), (real, (2,))))],
    "Accuracy": [
        ({}, batches((labels, ()), (labels, ()))),
        ({}, batches((labels, (1,)), (labels, (1,)))),
        ({}, batches((labels, ()), (labels, (1,)))),
    ],
    "BinaryAccuracy": [
        ({}, batches((bits, (1,)), (unit, (1,)))),
        ({}, batches((bits, ()), (unit, (1,)))),
        ({"threshold": 0.8}, batches((bits, (3, 4)), (unit, (3, 4)))),
    ],
    "CategoricalAccuracy": [
        ({}, batches((one_hot, (5,)), (unit, (5,)))),
        ({}, batches((one_hot, (3, 5)), (unit, (3, 5)))),
    ],
    "SparseCategoricalAccuracy": [
        ({}, batches((labels, ()), (unit, (5,)))),
        ({}, batches((labels, (1,)), (unit, (5,)))),
        ({}, batches((labels, (3,)), (unit, (3, 5)))),
    ],
    "TopKCategoricalAccuracy": [
        ({"k": 2}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"k": 9}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"k": 3}, batches((one_hot, (3, 5)), (unit, (3, 5)))),
    ],
    "SparseTopKCategoricalAccuracy": [
        ({"k": 2}, batches((labels, ()), (unit, (5,)))),
        ({"k": 2}, batches((labels, (1,)), (unit, (5,)))),
        ({"k": 3}, batches((labels, (3,)), (unit, (3, 5)))),
        ({"k": 2, "from_sorted_ids": True}, batches((labels, ()), (labels, (4,)))),
        ({"k": 2}, batches((labels, ()), (bits, (5,)))),  # ties
    ],
    "MeanSquaredError": [({}, batches((real, (2,)), (real, (2,))))],
    "RootMeanSquaredError": [
        ({}, batches((real, (2,)), (real, (2,)))),
        ({}, batches((real, ()), (real, (1,)))),
    ],
    "MeanAbsoluteError": [({}, batches((real, (3, 2)), (real, (3, 2))))],
    "BinaryCrossentropy": [
        ({}, batches((bits, (2,)), (unit, (2,)))),
        ({"from_logits": True, "label_smoothing": 0.1}, batches((bits, (2,)), (real, (2,)))),
    ],
    "CategoricalCrossentropy": [
        ({}, batches((one_hot, (5,)), (unit, (5,)))),
        ({"from_logits": True, "label_smoothing": 0.1}, batches((one_hot, (5,)), (real, (5,)))),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, batches((labels, ()), (unit, (5,)))),
        ({"from_logits": True}, batches((labels, (3,)), (real, (3, 5)))),
    ],
}
EACH = [
    pytest.param(name, *case, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
]
ONE = [pytest.param(name, *cases[0], id=name) for name, cases in CASES.items()]


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, tolerance)


def made(library, name, arguments):
    arguments = dict(arguments)
    if "fn" in arguments:
        arguments["fn"] = getattr(library.losses, arguments["fn"])
        arguments["name"] = "wrapped"
    return getattr(library.metrics, name)(**arguments)


def weights_for(kind, batch):
    n = len(batch[0])
    shapes = {"samples": (n,), "column": (n, 1), "number": ()}
    return None if kind == "none" else unit(shapes[kind])


def test_every_metric_is_listed():
    public = {n for n in metrics.__all__ if inspect.isclass(getattr(metrics, n))}
    assert public - {"Metric"} == set(CASES)


@pytest.mark.parametrize("kind", ["none", "samples", "column", "number"])
@pytest.mark.parametrize(("name", "arguments", "data"), EACH)
def test_values_are_keras_s(name, arguments, data, kind):
    mine, theirs = made(weft, name, arguments), made(keras, name, arguments)
    assert mine.name == theirs.name and mine.dtype == theirs.dtype == "float32"
    assert [v.path for v in mine.variables] == [v.path for v in theirs.variables]
    close(mine.result(), theirs.result())
    for _ in range(2):
        for batch in data:
            weight = weights_for(kind, batch)
            mine.update_state(*batch, sample_weight=weight)
            theirs.update_state(*batch, sample_weight=weight)
            close(mine.result(), theirs.result())
        for own, its in zip(mine.variables, theirs.variables):
            close(own, its)
        mine.reset_state()
        theirs.reset_state()
        assert all(float(v) == 0 for v in mine.variables)
        close(mine.result(), theirs.result())


FUNCTIONS = {
    name: cases
    for cls, cases in CASES.items()
    if (name := weft.engine.names.snake_case(cls)) in metrics.__all__
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_keras_s(name):
    for arguments, data in FUNCTIONS[name]:
        mine = getattr(metrics, name)(*data[0], **arguments).numpy()
        theirs = np.asarray(getattr(keras.metrics, name)(*data[0], **arguments))
        close(mine.reshape(theirs.shape), theirs)


@pytest.mark.parametrize(("name", "arguments", "data"), ONE)
def test_half_precision_inputs(name, arguments, data):
    half = [x if x.dtype.kind == "i" else x.astype(jnp.bfloat16) for x in data[0]]
    wide = [x if x.dtype.kind == "i" else x.astype("float32") for x in half]
    metric, other = made(weft, name, arguments), made(weft, name, arguments)
    assert metric(*half).dtype == "float32"
    close(metric.result(), other(*wide), 1e-6)


@pytest.mark.parametrize(("name", "arguments", "data"), EACH)
def test_config_round_trip(name, arguments, data):
    metric = made(weft, name, arguments)
    metric.name = "mine"
    config = metric.get_config()
    assert config["name"] == "mine" and config["dtype"] == "float32"
    assert {k: config[k] for k in arguments if k != "fn"} == {
        k: v for k, v in arguments.items() if k != "fn"
    }
    expected = metric(*data[0])
    written = metrics.serialize(metric)
    for twin in (type(metric).from_config(config), metrics.get(written)):
        assert type(twin) is type(metric) and twin.get_config() == config
        close(twin(*data[0]), expected, 0)
    theirs = keras.metrics.deserialize(written)
    close(theirs(*data[0]), expected)
    close(metrics.deserialize(keras.metrics.serialize(theirs))(*data[0]), expected, 1e-6)


@pytest.mark.parametrize(("name", "arguments", "data"), ONE)
def test_second_round_compiles_nothing(name, arguments, data):
    metric = made(weft, name, arguments)
    weight = unit((6,))
    for batch in (data[0], data[1]):  # a program first sees zeros that are not on the device
        metric.update_state(*batch)
        metric.update_state(*batch, sample_weight=weight)
        float(metric.result())
    metric.reset_state()
    before = weft.config.compile_count()
    for batch in (data[1], data[0]):
        metric.update_state(*batch)
        metric.update_state(*batch, sample_weight=weight)
        float(metric.result())
    assert weft.config.compile_count() == before


@pytest.mark.parametrize(("name", "arguments", "data"), ONE)
def test_an_update_is_two_nodes_at_most(name, arguments, data):
    metric = made(weft, name, arguments)
    operands = [weft.engine.as_tensor(x) for x in data[0]]
    weft.engine.flush()
    metric.update_state(*operands, sample_weight=2.0)
    assert len(weft.engine.trace.state.trace.nodes) == (1 if name in ("Mean", "Sum") else 2)


@pytest.mark.parametrize(("name", "arguments", "data"), ONE)
def test_a_loop_that_only_updates_is_one_program_a_batch(name, arguments, data):
    metric = made(weft, name, arguments)
    for _ in range(2):
        metric.update_state(*data[0])
    counts, compiled = [], weft.config.compile_count()
    for _ in range(4):
        metric.update_state(*data[0])
        counts.append(len(weft.engine.trace.state.trace.nodes))
    assert len(set(counts)) == 1 and counts[0] <= 2
    assert weft.config.compile_count() - compiled <= 1


def test_ignored_labels_do_not_count():
    logits, target = real((4, 5)), np.array([0, -1, 2, -1])
    metric = metrics.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    theirs = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    theirs.update_state(target, logits, sample_weight=np.ones(4))
    close(metric(target, logits), theirs.result())
    metric.reset_state()
    close(metric(target, logits, sample_weight=np.ones(4)), theirs.result())


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("acc", "Accuracy"), ("accuracy", "Accuracy"), ("mse", "MeanSquaredError"),
        ("MSE", "MeanSquaredError"), ("mae", "MeanAbsoluteError"), ("bce", "BinaryCrossentropy"),
        ("binary_accuracy", "BinaryAccuracy"), ("RootMeanSquaredError", "RootMeanSquaredError"),
        ("mean_squared_error", "MeanSquaredError"),
        ("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
        ("sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy"),
    ],
)  # fmt: skip
def test_names(name, cls):
    assert type(metrics.get(name)) is getattr(metrics, cls)


def test_a_loss_without_a_metric_is_found_as_a_function():
    assert metrics.get("kl_divergence") is weft.losses.kl_divergence
    assert metrics.get(metrics.Mean).name == "mean" and metrics.get(None) is None
    with pytest.raises(ValueError, match=r"unknown metric 'acuracy'. Did you mean 'accuracy'"):
        metrics.get("acuracy")


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((8, 1), (8, 1), "Binary"), ((8,), (8, 1), "Binary"), ((8,), (8,), "Binary"),
        ((8, 3), (8, 3), "Categorical"), ((8, 4, 3), (8, 4, 3), "Categorical"),
        ((8,), (8, 3), "SparseCategorical"), ((8, 1), (8, 3), "SparseCategorical"),
        ((8, 4), (8, 4, 3), "SparseCategorical"), ((8, 4, 1), (8, 4, 3), "SparseCategorical"),
    ],
)  # fmt: skip
def test_accuracy_and_crossentropy_by_shape(y_true, y_pred, kind):
    assert metrics.accuracy_for(y_true, y_pred).__name__ == f"{kind}Accuracy"
    assert metrics.crossentropy_for(y_true, y_pred).__name__ == f"{kind}Crossentropy"
