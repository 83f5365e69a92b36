"""Every loss passes the same properties by being listed here; one that is not listed fails."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import losses

rng = np.random.default_rng(7)
REAL = rng.normal(size=(4, 3, 5)).astype("float32")
OTHER = rng.normal(size=(4, 3, 5)).astype("float32")
UNIT = rng.uniform(0.01, 0.99, size=(4, 3, 5)).astype("float32")
CLASSES = (UNIT / UNIT.sum(-1, keepdims=True)).astype("float32")
BITS = rng.integers(0, 2, size=(4, 3, 5)).astype("float32")
LABELS = rng.integers(0, 5, size=(4, 3)).astype("int32")
ONE_HOT = np.eye(5, dtype="float32")[LABELS]

# class -> (arguments, y_true, y_pred) of each case
CASES = {
    "MeanSquaredError": [({}, REAL, OTHER)],
    "MeanAbsoluteError": [({}, REAL, OTHER)],
    "Huber": [({}, REAL, OTHER), ({"delta": 0.3}, REAL, OTHER)],
    "LogCosh": [({}, REAL, OTHER), ({}, 100 * REAL, OTHER)],
    "CosineSimilarity": [({}, REAL, OTHER), ({"axis": 1}, REAL, OTHER)],
    "BinaryCrossentropy": [
        ({}, BITS, UNIT),
        ({"from_logits": True}, BITS, OTHER),
        ({"from_logits": True, "label_smoothing": 0.2}, BITS, OTHER),
        ({"axis": 1}, BITS, UNIT),
    ],
    "CategoricalCrossentropy": [
        ({}, ONE_HOT, UNIT),
        ({"label_smoothing": 0.1}, ONE_HOT, CLASSES),
        ({"from_logits": True}, CLASSES, OTHER),
        ({"from_logits": True, "axis": 1}, BITS, OTHER),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, LABELS, UNIT),
        ({"from_logits": True}, LABELS, OTHER),
        ({"from_logits": True}, LABELS[..., None], OTHER),
        ({"from_logits": True, "ignore_class": 2}, LABELS, OTHER),
        ({"from_logits": True, "ignore_class": -1}, np.where(LABELS == 2, -1, LABELS), OTHER),
    ],
    "KLDivergence": [({}, CLASSES, UNIT), ({}, ONE_HOT, CLASSES)],
    "Poisson": [({}, 3 * BITS, UNIT)],
    "Hinge": [({}, 2 * BITS - 1, OTHER), ({}, BITS, OTHER)],
}
BASES = {"Loss", "LossFunctionWrapper", "Reduction"}
WEIGHTS = {
    "none": None,
    "number": 2.0,
    "places": rng.uniform(size=(4, 3)).astype("float32"),
    "samples": rng.uniform(size=(4, 1)).astype("float32"),
    "zeros": np.zeros((4, 3), "float32"),
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]

EACH = [
    pytest.param(name, *case, id=f"{name}-{'-'.join(map(str, case[0].values())) or i}")
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
]
ONE = [pytest.param(name, *cases[0], id=name) for name, cases in CASES.items()]


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, tolerance)


def test_every_loss_is_listed():
    public = {n for n in losses.__all__ if inspect.isclass(getattr(losses, n))}
    assert public - BASES == set(CASES)
    functions = {n for n in losses.__all__ if inspect.isfunction(getattr(losses, n))}
    named = {losses.get(n).__name__ for n in functions}
    assert {losses.get(weft.engine.names.snake_case(name)).__name__ for name in CASES} == named


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_values_are_keras_s(name, arguments, y_true, y_pred, weights):
    weight = WEIGHTS[weights]
    if arguments.get("axis") == 1 and weight is not None:
        weight = np.resize(weight, (4, 5)) if np.ndim(weight) and weight.shape[1] > 1 else weight
    for reduction in REDUCTIONS:
        if reduction == "mean_with_sample_weight" and weights in ("number", "samples"):
            continue  # Keras divides by the sum of the weights as they come, not by each place's
        mine = getattr(losses, name)(**arguments, reduction=reduction)
        theirs = getattr(keras.losses, name)(**arguments, reduction=reduction)
        result = mine(y_true, y_pred, sample_weight=weight)
        assert result.dtype == "float32"
        close(result, theirs(y_true, y_pred, sample_weight=weight))


def test_mean_with_sample_weight_divides_by_the_weight_of_each_place():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    values = np.mean((REAL - OTHER) ** 2, -1)
    close(loss(REAL, OTHER, sample_weight=3.0), values.mean())
    weights = WEIGHTS["samples"]
    expected = np.average(values, weights=weights * np.ones(3))
    close(loss(REAL, OTHER, sample_weight=weights), expected)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_gradients_are_keras_s(name, arguments, y_true, y_pred):
    mine = getattr(losses, name)(**arguments)
    theirs = getattr(keras.losses, name)(**arguments)
    variable = weft.Variable(y_pred)
    with weft.GradientTape() as tape:
        loss = mine(y_true, variable)
    expected = jax.grad(lambda p: theirs(y_true, p))(jnp.asarray(y_pred))
    close(tape.gradient(loss, variable), expected, 1e-5)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_function_is_keras_s(name, arguments, y_true, y_pred):
    short = weft.engine.names.snake_case(name)
    mine, theirs = getattr(losses, short), getattr(keras.losses, short)
    result = mine(y_true, y_pred, **arguments)
    close(result, theirs(y_true, y_pred, **arguments))
    options = list(inspect.signature(mine).parameters)[2:]
    if [*arguments] == options[: len(arguments)]:
        close(mine(y_true, y_pred, *arguments.values()), result, 0)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_half_precision_is_computed_in_float32(name, arguments, y_true, y_pred):
    half = y_pred.astype(jnp.bfloat16)
    target = y_true if y_true.dtype.kind == "i" else y_true.astype(jnp.bfloat16)
    loss = getattr(losses, name)(**arguments)
    result = loss(target, half)
    assert result.dtype == "float32"
    wide = target if y_true.dtype.kind == "i" else target.astype("float32")
    close(result, loss(wide, half.astype("float32")), 1e-6)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_config_round_trip(name, arguments, y_true, y_pred):
    cls = getattr(losses, name)
    loss = cls(**arguments, reduction="sum", name="mine", dtype="float32")
    config = loss.get_config()
    assert config["name"] == "mine" and config["reduction"] == "sum"
    assert {key: config[key] for key in arguments} == arguments
    expected = loss(y_true, y_pred).numpy()
    written = losses.serialize(loss)
    for twin in (cls.from_config(config), losses.get(written), losses.deserialize(written)):
        assert type(twin) is cls and twin.get_config() == config
        close(twin(y_true, y_pred), expected, 0)
    close(keras.losses.deserialize(written)(y_true, y_pred), expected)
    assert type(losses.get(keras.losses.serialize(getattr(keras.losses, name)()))) is cls


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), ONE)
def test_second_batch_compiles_nothing(name, arguments, y_true, y_pred):
    loss = getattr(losses, name)(**arguments)
    weight = rng.uniform(size=4).astype("float32")
    float(loss(y_true, y_pred)), float(loss(y_true, y_pred, sample_weight=weight))
    before = weft.config.compile_count()
    float(loss(y_true[::-1], y_pred[::-1]))
    float(loss(y_true[::-1], y_pred[::-1], sample_weight=weight[::-1]))
    assert weft.config.compile_count() == before


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), ONE)
def test_loss_is_two_nodes(name, arguments, y_true, y_pred):
    loss = getattr(losses, name)(**arguments)
    targets, outputs = weft.engine.as_tensor(y_true), weft.engine.as_tensor(y_pred)
    weft.engine.flush()
    value = loss(targets, outputs, sample_weight=2.0)
    assert len(weft.engine.trace.state.trace.nodes) == 2
    float(value)


@pytest.mark.parametrize("name", ["Binary", "Categorical", "SparseCategorical"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_crossentropy_of_huge_logits(name, dtype):
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]], dtype)
    target = {
        "Binary": np.array([[1, 0], [1, 0], [1, 1]], "float32"),
        "Categorical": np.array([[1, 0], [1, 0], [0, 1]], "float32"),
        "SparseCategorical": np.array([0, 0, 1]),
    }[name]
    loss = getattr(losses, f"{name}Crossentropy")(from_logits=True, reduction="none")
    variable = weft.Variable(logits)
    with weft.GradientTape() as tape:
        values = loss(target, variable)
    expected = [0, 1e4, 0] if name == "Binary" else [0, 2e4, np.log(2)]
    close(values, expected, 1e-3)  # float16 itself rounds 1e4
    assert np.isfinite(tape.gradient(values, variable).numpy()).all()


@pytest.mark.parametrize("name", ["Binary", "Categorical", "SparseCategorical"])
def test_crossentropy_of_certain_probabilities(name):
    certain = np.array([[0.0, 1.0]], "float32")
    target = np.array([0]) if name.startswith("Sparse") else np.array([[1.0, 0.0]])
    mine = getattr(losses, f"{name}Crossentropy")()
    close(mine(target, certain), getattr(keras.losses, f"{name}Crossentropy")()(target, certain))


def test_tiny_probabilities_from_logits_keep_their_digits():
    # log(1 + exp(-20)) is lost where softmax or sigmoid comes first.
    binary = losses.binary_crossentropy([[1.0]], [[20.0]], from_logits=True)
    sparse = losses.sparse_categorical_crossentropy([0], [[0.0, -15.0]], from_logits=True)
    close(float(binary) * 1e9, np.log1p(np.exp(-20.0)) * 1e9, 1e-3)
    close(float(sparse) * 1e7, np.log1p(np.exp(-15.0)) * 1e7, 0.2)


def test_zero_vectors_have_a_gradient():
    variable = weft.Variable(np.zeros((2, 3), "float32"))
    with weft.GradientTape() as tape:
        loss = losses.CosineSimilarity()(np.ones((2, 3)), variable)
    assert float(loss) == 0 and np.isfinite(tape.gradient(loss, variable).numpy()).all()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mse", "mean_squared_error"), ("MSE", "mean_squared_error"),
        ("mae", "mean_absolute_error"), ("MAE", "mean_absolute_error"),
        ("bce", "binary_crossentropy"), ("BCE", "binary_crossentropy"),
        ("kld", "kl_divergence"), ("KLD", "kl_divergence"),
        ("kullback_leibler_divergence", "kl_divergence"),
        ("logcosh", "log_cosh"), ("huber_loss", "huber"), ("hinge", "hinge"),
        ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
        ("cosine_similarity", "cosine_similarity"), ("poisson", "poisson"),
    ],
)  # fmt: skip
def test_names(name, function):
    assert losses.get(name) is getattr(losses, function)
    assert losses.deserialize(losses.serialize(losses.get(name))) is losses.get(name)


def test_get_takes_what_compile_does():
    assert losses.get(None) is None
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}})._fn_kwargs["delta"] == 2.0
    assert losses.get(max) is max
