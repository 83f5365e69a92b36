"""Every loss passes the same properties by being listed here; one that is not listed fails."""

import inspect
import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import losses

rng = np.random.default_rng(7)


def one_hot(shape):
    return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]


def classes(shape):
    drawn = rng.uniform(0.01, 0.99, shape)
    return (drawn / drawn.sum(-1, keepdims=True)).astype("float32")


def embeddings(shape):
    drawn = rng.normal(size=(shape[0], shape[-1]))
    return (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype("float32")


# What targets and predictions are made of, from the shape (batch, ..., classes).
KINDS = {
    "real": lambda shape: rng.normal(size=shape).astype("float32"),
    "large": lambda shape: (100 * rng.normal(size=shape)).astype("float32"),
    "positive": lambda shape: rng.uniform(0.1, 3, shape).astype("float32"),
    "unit": lambda shape: rng.uniform(0.01, 0.99, shape).astype("float32"),
    "classes": classes,
    "bits": lambda shape: rng.integers(0, 2, shape).astype("float32"),
    "signs": lambda shape: rng.choice([-1.0, 1.0], shape).astype("float32"),
    "counts": lambda shape: rng.integers(0, 4, shape).astype("float32"),
    "one-hot": one_hot,
    "labels": lambda shape: rng.integers(0, shape[-1], shape[:-1]).astype("int32"),
    "labels of size 1": lambda shape: rng.integers(0, shape[-1], (*shape[:-1], 1)).astype("int32"),
    "labels or -1": lambda shape: rng.integers(-1, shape[-1], shape[:-1]).astype("int32"),
    "pairs": lambda shape: np.arange(shape[0]) // 2,
    "pairs of size 1": lambda shape: np.arange(shape[0])[:, None] // 2,
    "embeddings": embeddings,
    "sequence": lambda shape: np.array([[1, 2, 0], [3, 3, 1], [4, 0, 0], [2, 4, 3]])[: shape[0]],
    "steps": lambda shape: rng.normal(size=(shape[0], 6, shape[-1])).astype("float32"),
}

# class -> (arguments, kind of y_true, kind of y_pred) of each case; the first one in all tests
CASES = {
    "MeanSquaredError": [({}, "real", "real")],
    "MeanAbsoluteError": [({}, "real", "real")],
    "MeanAbsolutePercentageError": [({}, "real", "real"), ({}, "bits", "real")],
    "MeanSquaredLogarithmicError": [({}, "positive", "positive"), ({}, "real", "real")],
    "Huber": [({}, "real", "real"), ({"delta": 0.3}, "real", "real")],
    "LogCosh": [({}, "real", "real"), ({}, "large", "real")],
    "CosineSimilarity": [({}, "real", "real"), ({"axis": 1}, "real", "real")],
    "BinaryCrossentropy": [
        ({}, "bits", "unit"),
        ({"from_logits": True}, "bits", "real"),
        ({"from_logits": True, "label_smoothing": 0.2}, "bits", "real"),
        ({"axis": 1}, "bits", "unit"),
    ],
    "BinaryFocalCrossentropy": [
        ({}, "bits", "unit"),
        ({"apply_class_balancing": True, "alpha": 0.3, "gamma": 0.5}, "bits", "unit"),
        ({"from_logits": True, "gamma": 3.0}, "bits", "real"),
        ({"from_logits": True, "label_smoothing": 0.2}, "unit", "real"),
        ({"gamma": 0.0, "axis": 1}, "unit", "unit"),
    ],
    "CategoricalCrossentropy": [
        ({}, "one-hot", "unit"),
        ({"label_smoothing": 0.1}, "one-hot", "classes"),
        ({"from_logits": True}, "classes", "real"),
        ({"from_logits": True, "axis": 1}, "bits", "real"),
    ],
    "CategoricalFocalCrossentropy": [
        ({}, "one-hot", "unit"),
        ({"alpha": [0.1, 0.2, 0.3, 0.4, 0.5], "gamma": 0.5}, "one-hot", "unit"),
        ({"from_logits": True, "label_smoothing": 0.1}, "one-hot", "real"),
        ({"from_logits": True, "alpha": 1.0, "axis": 1, "gamma": 0.0}, "classes", "real"),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, "labels", "unit"),
        ({"from_logits": True}, "labels", "real"),
        ({"from_logits": True}, "labels of size 1", "real"),
        ({"from_logits": True, "ignore_class": 2}, "labels", "real"),
        ({"from_logits": True, "ignore_class": -1}, "labels or -1", "real"),
    ],
    "CategoricalGeneralizedCrossEntropy": [
        ({"q": 0.5}, "labels", "unit"),
        ({"q": 0.9}, "labels", "classes"),
    ],
    "KLDivergence": [({}, "classes", "unit"), ({}, "one-hot", "classes")],
    "Poisson": [({}, "counts", "unit")],
    "Hinge": [({}, "signs", "real"), ({}, "bits", "real")],
    "SquaredHinge": [({}, "signs", "real"), ({}, "bits", "real")],
    "CategoricalHinge": [({}, "one-hot", "real"), ({}, "signs", "real")],
    "Dice": [
        ({}, "bits", "unit"),
        ({"axis": 1}, "bits", "unit"),
        ({"axis": (1, 2)}, "unit", "unit"),
    ],
    "Tversky": [
        ({}, "bits", "unit"),
        ({"alpha": 0.2, "beta": 1.5, "axis": [1, 2]}, "bits", "unit"),
        ({"axis": -1}, "unit", "unit"),
    ],
    "Circle": [
        ({}, "pairs", "embeddings"),
        ({"gamma": 10.0, "margin": 0.1, "remove_diagonal": False}, "pairs of size 1", "embeddings"),
    ],
    "CTC": [({}, "sequence", "steps")],
}
BASES = {"Loss", "LossFunctionWrapper", "Reduction"}
SHAPE = (4, 3, 5)
WEIGHTS = {
    "none": lambda shape: None,
    "number": lambda shape: 2.0,
    "places": lambda shape: rng.uniform(size=shape or 4).astype("float32"),
    "samples": lambda shape: rng.uniform(size=(4,) + (1,) * len(shape[1:])).astype("float32"),
    "zeros": lambda shape: np.zeros(shape, "float32"),
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


def case(name, arguments, true, pred):
    words = "-".join(map(str, arguments.values())) or f"{true}-{pred}"
    return pytest.param(
        name, arguments, KINDS[true](SHAPE), KINDS[pred](SHAPE), id=f"{name}-{words}"
    )


EACH = [case(name, *one) for name, cases in CASES.items() for one in cases]
ONE = [case(name, *cases[0]) for name, cases in CASES.items()]

# Of the others a mask does not leave out samples.
MASKED = [one for one in ONE if one.values[0] not in ("CTC", "Dice", "Tversky")]


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, tolerance)


def test_every_loss_is_listed():
    public = {n for n in losses.__all__ if inspect.isclass(getattr(losses, n))}
    assert public - BASES == set(CASES)
    functions = {n for n in losses.__all__ if inspect.isfunction(getattr(losses, n))}
    named = {losses.get(n).__name__ for n in functions - {"deserialize", "get", "serialize"}}
    assert {losses.get(weft.engine.names.snake_case(name)).__name__ for name in CASES} == named


def test_nothing_of_keras_is_missing():
    public = {n for n in dir(keras.losses) if not n.startswith("_")}
    assert public - {*losses.__all__, "losses", "loss"} == set()


@pytest.mark.parametrize("name", [*CASES, *map(weft.engine.names.snake_case, CASES)])
def test_signatures_are_keras_s(name):
    mine, theirs = (
        inspect.signature(getattr(module, name)).parameters.values()
        for module in (losses, keras.losses)
    )
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_values_are_keras_s(name, arguments, y_true, y_pred):
    for reduction in ("sum_over_batch_size", "none"):
        result = getattr(losses, name)(**arguments, reduction=reduction)(y_true, y_pred)
        assert result.dtype == "float32"
        close(result, getattr(keras.losses, name)(**arguments, reduction=reduction)(y_true, y_pred))


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), ONE)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_reductions_of_weighted_losses_are_keras_s(name, arguments, y_true, y_pred, weights):
    plain = getattr(losses, name)(**arguments, reduction="none")
    weight = WEIGHTS[weights](tuple(plain(y_true, y_pred).shape))
    for reduction in REDUCTIONS:
        if reduction == "mean_with_sample_weight" and weights in ("number", "samples"):
            continue  # Keras divides by the sum of the weights as they come, not by each place's
        mine = getattr(losses, name)(**arguments, reduction=reduction)
        theirs = getattr(keras.losses, name)(**arguments, reduction=reduction)
        result = mine(y_true, y_pred, sample_weight=weight)
        assert result.dtype == "float32"
        close(result, theirs(y_true, y_pred, sample_weight=weight))


@pytest.mark.parametrize("shape", [(2, 5), (4, 1, 2), (2, 3, 2, 5)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_other_ranks_are_keras_s(name, shape):
    arguments, true, pred = CASES[name][0]
    y_true, y_pred = KINDS[true](shape), KINDS[pred](shape)
    if name == "CTC":
        y_true = np.minimum(y_true, shape[-1] - 1)
    mine = getattr(losses, name)(**arguments)(y_true, y_pred)
    close(mine, getattr(keras.losses, name)(**arguments)(y_true, y_pred))


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), MASKED)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_masked_losses_are_keras_s(name, arguments, y_true, y_pred, weighted):
    plain = getattr(losses, name)(**arguments, reduction="none")
    shape = tuple(plain(y_true, y_pred).shape)
    mask = np.resize([True, False, True, True, False], shape)
    weight = rng.uniform(size=shape).astype("float32") if weighted else None
    variable, theirs = weft.Variable(y_pred), jnp.asarray(y_pred)
    variable._keras_mask, theirs._keras_mask = mask, jnp.asarray(mask)
    for reduction in ("sum_over_batch_size", "sum", "none", "mean_with_sample_weight"):
        loss = getattr(losses, name)(**arguments, reduction=reduction)
        expected = getattr(keras.losses, name)(**arguments, reduction=reduction)
        close(loss(y_true, variable, weight), expected(y_true, theirs, weight))


def test_ctc_counts_the_time_steps_of_a_mask():
    labels, logits = KINDS["sequence"](SHAPE), weft.Variable(KINDS["steps"](SHAPE))
    steps = np.array([6, 5, 3, 4])
    logits._keras_mask = np.arange(6) < steps[:, None]
    expected = keras.ops.ctc_loss(labels, logits.numpy(), (labels != 0).sum(1), steps)
    close(losses.CTC(reduction="none")(labels, logits), expected)


def test_circle_with_references():
    labels, refs = np.arange(4) // 2, np.array([0, 1, 1])
    samples, others = KINDS["embeddings"](SHAPE), KINDS["embeddings"]((3, 5))
    for diagonal in (True, False):
        options = {"ref_labels": refs, "ref_embeddings": others, "remove_diagonal": diagonal}
        close(
            losses.circle(labels, samples, **options),
            keras.losses.circle(labels, samples, **options),
        )


def test_circle_without_a_partner_has_no_gradient():
    samples = weft.Variable(KINDS["embeddings"](SHAPE))
    for labels in ([0, 1, 2, 3], [1, 1, 1, 1]):
        with weft.GradientTape() as tape:
            loss = losses.Circle(reduction="none")(labels, samples)
        assert loss.tolist() == [0] * 4
        assert tape.gradient(loss, samples).numpy().tolist() == [[0.0] * 5] * 4


def test_labels_are_smoothed_along_the_axis_of_classes():
    y_true, y_pred = KINDS["one-hot"]((2, 3, 5)), KINDS["real"]((2, 3, 5))
    turned = y_true.swapaxes(1, 2), y_pred.swapaxes(1, 2)
    for name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy"):
        options = {"from_logits": True, "label_smoothing": 0.3}
        expected = getattr(losses, name)(**options)(y_true, y_pred)
        close(getattr(losses, name)(**options, axis=1)(*turned), expected)  # Keras: of the last


def test_tversky_weighs_misses_by_alpha():
    y_true, y_pred = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])
    close(losses.tversky(y_true, y_pred, alpha=9, beta=0.25), 1 - 1 / 1.5)
    close(losses.tversky(y_pred, y_true, alpha=0.25, beta=9), 1 - 1 / 1.5)


def test_alphas_belong_to_the_axis_of_classes():
    y_true, y_pred = np.eye(3, dtype="float32"), classes((3, 3))
    alpha = [0.1, 0.5, 0.9]
    last = losses.categorical_focal_crossentropy(y_true, y_pred, alpha=alpha)
    first = losses.categorical_focal_crossentropy(y_true.T, y_pred.T, alpha=alpha, axis=0)
    close(first, last)
    close(losses.categorical_focal_crossentropy(y_true, y_pred, weft.Variable(alpha)), last)
    close(losses.CategoricalFocalCrossentropy(np.array(alpha))(y_true, y_pred), np.mean(last))


def test_mean_with_sample_weight_divides_by_the_weight_of_each_place():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    y_true, y_pred = KINDS["real"](SHAPE), KINDS["real"](SHAPE)
    values = np.mean((y_true - y_pred) ** 2, -1)
    close(loss(y_true, y_pred, sample_weight=3.0), values.mean())
    weights = WEIGHTS["samples"](SHAPE[:-1])
    expected = np.average(values, weights=weights * np.ones(3))
    close(loss(y_true, y_pred, sample_weight=weights), expected)


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
    mine = getattr(losses, short)
    result = mine(y_true, y_pred, **arguments)
    close(result, getattr(keras.losses, name)(**arguments).call(y_true, y_pred))
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


# What Keras's own configs leave out.
FORGOTTEN = {
    "Huber": {"delta"}, "CosineSimilarity": {"axis"}, "SparseCategoricalCrossentropy": {"axis"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_configs_go_both_ways(name, arguments, y_true, y_pred):
    mine = getattr(losses, name)(**arguments)
    theirs = getattr(keras.losses, name)(**arguments)
    forgotten = FORGOTTEN.get(name, set())
    config = mine.get_config()
    assert {k: v for k, v in config.items() if k not in forgotten} == theirs.get_config()
    assert forgotten <= config.keys()
    there, back = (json.loads(json.dumps(m.serialize(x))) for m, x in (
        (losses, mine), (keras.losses, theirs)
    ))  # fmt: skip
    if name != "CategoricalGeneralizedCrossEntropy":  # which Keras cannot read itself
        assert keras.losses.deserialize(there).get_config() == {
            k: v for k, v in there["config"].items() if k not in forgotten
        }
    assert {k: v for k, v in there.items() if k != "config"} == {
        k: v for k, v in back.items() if k != "config"
    }
    again = losses.deserialize(back)
    assert type(again) is type(mine)
    if not forgotten & arguments.keys():
        assert json.dumps(again.get_config()) == json.dumps(config)


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), ONE)
def test_keras_2_configs(name, arguments, y_true, y_pred):
    expected = getattr(losses, name)(**arguments)
    config = {**expected.get_config(), "reduction": "auto"}
    function = weft.engine.names.snake_case(name)
    for more in ({}, {"fn": function}):
        written = {"class_name": name, "config": {**config, **more}}
        assert losses.deserialize(written).get_config() == expected.get_config()
    for reduction in ("sum", "none"):
        written = {"class_name": name, "config": {**config, "reduction": reduction}}
        assert losses.deserialize(written).reduction == reduction
    written = {"class_name": "LossFunctionWrapper", "config": {"fn": function, **config}}
    close(losses.deserialize(written)(y_true, y_pred), expected(y_true, y_pred), 0)


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
        ("mape", "mean_absolute_percentage_error"), ("MAPE", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"), ("MSLE", "mean_squared_logarithmic_error"),
        ("cosine_proximity", "cosine_similarity"), ("squared_hinge", "squared_hinge"),
        ("categorical_hinge", "categorical_hinge"), ("dice", "dice"), ("tversky", "tversky"),
        ("circle", "circle"), ("ctc", "ctc"),
        ("binary_focal_crossentropy", "binary_focal_crossentropy"),
        ("categorical_focal_crossentropy", "categorical_focal_crossentropy"),
        ("logcosh", "log_cosh"), ("huber_loss", "huber"), ("hinge", "hinge"),
        ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
        ("cosine_similarity", "cosine_similarity"), ("poisson", "poisson"),
    ],
)  # fmt: skip
def test_names(name, function):
    assert losses.get(name) is getattr(losses, function)
    assert losses.deserialize(losses.serialize(losses.get(name))) is losses.get(name)


@pytest.mark.parametrize("name", CASES)
def test_class_names(name):
    assert type(losses.get(name)) is getattr(losses, name)


def test_get_takes_what_compile_does():
    assert losses.get(None) is None
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}})._fn_kwargs["delta"] == 2.0
    assert losses.get(max) is max
