"""Every metric passes the same properties by being listed in `cases/`; one not listed fails."""

import copy
import inspect
import pickle

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from tests.metrics.registry import (
    CASES,
    WEIGHTS,
    close,
    each_case,
    made,
    nodes,
    one_case,
    values,
    weights_for,
)
from tests.metrics.samples import real
from weft import metrics

BASES = {"Metric"}
# What Keras's own updates say on JAX.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64"),
    pytest.mark.filterwarnings("ignore:More independent predictors than datapoints"),
    pytest.mark.filterwarnings("ignore:Division by zero in Adjusted R2"),
]


def test_every_metric_is_listed():
    public = {n for n in metrics.__all__ if inspect.isclass(getattr(metrics, n))}
    assert public - BASES == set(CASES)


def keras_data(batch):
    return [keras.ops.convert_to_tensor(x) for x in batch]


# Values --------------------------------------------------------------------------------------


def compared(kind, flags):
    if (kind == "places" and "places" not in flags) or flags.get("differs"):
        return False
    return kind in flags.get("weights", WEIGHTS)


@each_case
def test_values_are_keras_s(name, arguments, data, flags):
    """After every batch, and again after a reset."""
    if not compared("none", flags):
        return
    mine, theirs = made(weft, name, arguments), made(keras, name, arguments)
    assert mine.name == theirs.name and mine.dtype == theirs.dtype
    tolerance = flags.get("tolerance", 2e-5)
    if flags.get("before", True):
        close(mine.result(), theirs.result())
    for _ in range(2):
        for batch in data[1:]:
            mine.update_state(*batch)
            theirs.update_state(*keras_data(batch))
            result = mine.result()
            assert result.shape == theirs.result().shape and result.dtype == "float32"
            close(result, theirs.result(), tolerance)
        for own, its in zip(mine.variables, theirs.variables, strict=True):
            assert (own.path, own.dtype) == (its.path, its.dtype)
            close(own, its, tolerance)
        mine.reset_state()
        theirs.reset_state()
        for own, its in zip(mine.variables, theirs.variables, strict=True):
            close(own, its, 0)
        close(mine.result(), theirs.result())


@each_case
def test_weighted_values_are_keras_s(name, arguments, data, flags):
    tolerance = flags.get("tolerance", 2e-5)
    for kind in WEIGHTS[1:]:
        if not compared(kind, flags):
            continue
        mine, theirs = made(weft, name, arguments), made(keras, name, arguments)
        for batch in data[:2]:
            weight = weights_for(kind, batch, flags)
            mine.update_state(*batch, sample_weight=weight)
            theirs.update_state(*keras_data(batch), sample_weight=weight)
        for own, its in zip(mine.variables, theirs.variables, strict=True):
            close(own, its, tolerance)
        close(mine.result(), theirs.result(), tolerance)


@each_case
def test_masks_are_keras_s(name, arguments, data, flags):
    if "mask" not in flags:
        return
    mine, theirs = made(weft, name, arguments), made(keras, name, arguments)
    for y_true, y_pred in data[:2]:
        mask = np.arange(len(y_pred) * 3).reshape(-1, *flags["mask"]) % 4 > 0
        for weight in (None, weights_for("column", [y_pred], flags)):
            own, its = weft.Variable(y_pred), keras.ops.convert_to_tensor(y_pred)
            own._keras_mask, its._keras_mask = mask, keras.ops.convert_to_tensor(mask)
            mine.update_state(y_true, own, sample_weight=weight)
            theirs.update_state(y_true, its, sample_weight=weight)
            close(mine.result(), theirs.result())


@each_case
def test_weights_of_every_shape_are_those_of_each_place(name, arguments, data, flags):
    """(n,), (n, 1) and a number mean what the full table of weights means."""
    if "places" not in flags or name in ("Mean", "Sum"):  # they weigh means of samples
        return
    batch = data[0]
    n, places = len(batch[0]), flags["places"]
    for kind in ("samples", "column", "number"):
        weight = weights_for(kind, batch, flags)
        full = np.reshape(weight, np.shape(weight)[:1] + (1,) * len(places))
        full = np.broadcast_to(full, (n, *places))
        short, long = made(weft, name, arguments), made(weft, name, arguments)
        short.update_state(*batch, sample_weight=weight)
        long.update_state(*batch, sample_weight=full)
        close(short.result(), long.result(), 1e-6)


FUNCTIONS = {
    name: cases
    for cls, cases in CASES.items()
    if (name := weft.engine.names.snake_case(cls)) in metrics.__all__
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_keras_s(name):
    for arguments, data, flags in FUNCTIONS[name]:
        mine = getattr(metrics, name)(*data[0], **arguments).numpy()
        theirs = np.asarray(getattr(keras.metrics, name)(*data[0], **arguments))
        close(mine.reshape(theirs.shape), theirs, flags.get("tolerance", 2e-5))


def _cast(x, dtype):
    """`x` in `dtype`, and the same values in its own."""
    if x.dtype.kind == "i":
        return x, x
    if dtype in ("int32", "bool"):
        x = np.round(x)
    cast = x.astype(jnp.dtype(dtype))
    return cast, cast.astype("float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int32", "bool"])
@one_case
def test_inputs_of_every_dtype(name, arguments, data, flags, dtype):
    given, wide = zip(*(_cast(x, dtype) for x in data[0]), strict=True)
    metric, other = made(weft, name, arguments), made(weft, name, arguments)
    metric.update_state(*given)
    other.update_state(*wide)
    assert metric.result().dtype == "float32"
    close(metric.result(), other.result(), 1e-6)


# State ---------------------------------------------------------------------------------------


@one_case
def test_result_at_any_time_disturbs_nothing(name, arguments, data, flags):
    asked, quiet = made(weft, name, arguments), made(weft, name, arguments)
    seen, pending = [], []
    with weft.GradientTape(persistent=True) as tape:
        source = weft.Variable(2.0)
        for batch in data:
            kept = source * 3.0  # work that is pending while a value is fetched
            asked.update_state(*batch)
            pending.append(asked.result())
            seen.append(asked.result().numpy())
    for batch in data:
        quiet.update_state(*batch)
    close(seen[-1], quiet.result(), 0)
    for value, tensor in zip(seen, pending, strict=True):  # values, not views of the state
        close(tensor, value, 0)
    assert float(tape.gradient(kept, source)) == 3.0
    for mine, other in zip(asked.variables, quiet.variables, strict=True):
        close(mine, other, 0)


@one_case
def test_halves_merged_are_the_whole(name, arguments, data, flags):
    whole, first, second, idle = (made(weft, name, arguments) for _ in range(4))
    for k, batch in enumerate(data):
        whole.update_state(*batch)
        (first, second)[k % 2].update_state(*batch)
    first.merge_state([second, idle])
    close(first.result(), whole.result(), 1e-6)
    idle.merge_state([first])  # also where the state is made with the first batch
    close(idle.result(), whole.result(), 1e-6)
    assert [v.path for v in idle.variables] == [v.path for v in whole.variables]


@one_case
def test_copies_have_a_state_of_their_own(name, arguments, data, flags):
    metric = made(weft, name, arguments)
    metric.update_state(*data[0])
    before = values(metric.variables)
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        close(twin.result(), metric.result(), 0)
        twin.update_state(*data[1])
        for own, value in zip(metric.variables, before, strict=True):
            close(own, value, 0)
        twin.reset_state()
        assert all(not np.any(v) for v in values(twin.variables))


# Configs -------------------------------------------------------------------------------------


@each_case
def test_config_round_trip(name, arguments, data, flags):
    metric = made(weft, name, arguments)
    metric.name = "mine"
    config = metric.get_config()
    assert config["name"] == "mine" and config["dtype"] == metric.dtype
    for key in arguments.keys() - {"fn"}:
        np.testing.assert_array_equal(config[key], arguments[key])
    metric.update_state(*data[0])
    expected = metric.result()
    written = metrics.serialize(metric)
    theirs = keras.metrics.deserialize(written)
    twins = [type(metric).from_config(config), metrics.get(written)]
    if flags.get("keras_config", True):
        assert theirs.get_config().keys() - {"fn"} == config.keys() - {"fn"}
        twins.append(metrics.deserialize(keras.metrics.serialize(theirs)))
    for twin in twins:
        assert type(twin) is type(metric) and twin.get_config().keys() == config.keys()
        twin.update_state(*data[0])
        close(twin.result(), expected, 1e-6)
    its_own = made(keras, name, arguments, name="mine").get_config()
    for key in its_own.keys() - {"fn"}:
        np.testing.assert_array_equal(theirs.get_config()[key], its_own[key])


# Programs ------------------------------------------------------------------------------------


@one_case
def test_second_round_compiles_nothing(name, arguments, data, flags):
    metric = made(weft, name, arguments)
    weight = weights_for("samples", data[0], flags)

    def rounds(*batches):
        for batch in batches:
            metric.update_state(*batch)
            metric.update_state(*batch, sample_weight=weight)
            metric.result().numpy()

    rounds(data[0], data[1])  # a program first sees zeros that are not on the device
    metric.reset_state()
    before = weft.config.compile_count()
    rounds(data[1], data[0])
    assert weft.config.compile_count() == before


@one_case
def test_an_update_is_two_nodes_at_most(name, arguments, data, flags):
    metric = made(weft, name, arguments)
    operands = [weft.engine.as_tensor(x) for x in data[0]]
    metric.update_state(*operands)
    weft.engine.flush()
    metric.update_state(*operands, sample_weight=2)
    assert nodes() == (2 if isinstance(metric, metrics.MeanMetricWrapper) else 1)


@one_case
def test_a_loop_that_only_updates_is_one_program_a_batch(name, arguments, data, flags):
    metric = made(weft, name, arguments)
    for _ in range(2):
        metric.update_state(*data[0])
    counts, compiled = [], weft.config.compile_count()
    for _ in range(4):
        metric.update_state(*data[0])
        counts.append(nodes())
    assert len(set(counts)) == 1 and counts[0] <= 2
    assert weft.config.compile_count() - compiled <= 1


@one_case
def test_loop_function_and_evaluate_agree(name, arguments, data, flags):
    loop, traced, evaluated = (made(weft, name, arguments) for _ in range(3))

    @weft.function
    def step(*batch):
        traced.update_state(*batch)
        return traced.result()

    for batch in data[:2]:
        loop.update_state(*batch)
        close(step(*batch), loop.result(), 1e-6)
    for mine, other in zip(traced.variables, loop.variables, strict=True):
        close(mine, other, 1e-6)
    if len(data[0]) < 2:
        return
    model = weft.models.Sequential([weft.layers.Activation("linear", dtype=data[0][1].dtype)])
    model.compile(loss=lambda y_true, y_pred: weft.ops.sum(y_pred) * 0, metrics=[evaluated])
    y_true, y_pred = (np.concatenate(x) for x in zip(*data[:2], strict=True))
    for _ in range(2):  # each evaluation starts anew
        found = model.evaluate(y_pred, y_true, batch_size=6, verbose=0)
        close(found[1], loop.result(), 1e-6)


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
        ("mape", "MeanAbsolutePercentageError"), ("MAPE", "MeanAbsolutePercentageError"),
        ("msle", "MeanSquaredLogarithmicError"), ("MSLE", "MeanSquaredLogarithmicError"),
        ("kld", "KLDivergence"), ("KLD", "KLDivergence"), ("kl_divergence", "KLDivergence"),
        ("logcosh", "LogCoshError"), ("log_cosh_error", "LogCoshError"), ("rmse",
        "RootMeanSquaredError"), ("cosine_similarity", "CosineSimilarity"),
        ("cosine_proximity", "CosineSimilarity"), ("hinge", "Hinge"), ("poisson", "Poisson"),
        ("f1_score", "F1Score"), ("fbeta_score", "FBetaScore"), ("f_beta_score", "FBetaScore"),
        ("r2_score", "R2Score"), ("binary_io_u", "BinaryIoU"),
        ("pearson_correlation", "PearsonCorrelation"), ("squared_hinge", "SquaredHinge"),
        ("top_k_categorical_accuracy", "TopKCategoricalAccuracy"),
        ("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
        ("sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy"),
    ],
)  # fmt: skip
def test_names(name, cls):
    assert type(metrics.get(name)) is getattr(metrics, cls)


def test_every_name_of_keras_is_here():
    theirs = {n for n in dir(keras.metrics) if not n.startswith("_")}
    assert theirs <= set(metrics.__all__)


def test_the_matrix_of_classes_is_added_to_without_a_table_of_examples():
    """No value within an update of `MeanIoU` is larger than the examples or the matrix."""
    examples, classes = 5000, 40
    zeros = jnp.zeros(examples, "int32")
    metric = metrics.MeanIoU(classes)
    metric.update_state(zeros, zeros)
    (instr, *_) = weft.engine.trace.state.trace.nodes[-1]
    made = jax.make_jaxpr(instr.fn)(jnp.zeros((classes, classes), "int32"), zeros, zeros)
    sizes = [v.aval.size for e in made.jaxpr.eqns for v in e.outvars]
    assert max(sizes) == examples


def test_a_loss_without_a_metric_is_found_as_a_function():
    assert metrics.get("huber") is weft.losses.huber
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
