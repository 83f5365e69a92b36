"""A short last batch is filled up where that changes nothing: exact numbers in one program."""

import jax
import numpy as np
import pytest

import weft
from tests.layers.registry import ALL, call_weft, reset, weft_layer
from tests.losses.test_catalogue import EACH
from tests.metrics.registry import each_case, made
from weft import layers
from weft.training import by_row

rng = np.random.default_rng(0)
X = rng.normal(size=(22, 6)).astype("float32")
Y = rng.integers(0, 3, 22)
WORDS = rng.integers(0, 5, (22, 4))
ROWS = 3  # of four


def filled(rows=ROWS, size=4):
    return by_row.Filled(np.zeros((size, 1)), weft.convert_to_tensor(np.int32(rows)))


# -- what says that it goes by row does -------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), EACH)
def test_losses(name, arguments, y_true, y_pred, weighted, reduction):
    loss = getattr(weft.losses, name)(**arguments, reduction=reduction)
    assert by_row._loss(loss) == (name not in ("Circle", "CTC", "Dice", "Tversky"))
    if not by_row._loss(loss):
        return
    weights = rng.uniform(size=4).astype("float32") if weighted else None
    expected = loss(y_true[:ROWS], y_pred[:ROWS], weights[:ROWS] if weighted else None)
    with by_row.counting(filled()):
        found = loss(y_true, by_row.counted(weft.convert_to_tensor(y_pred)), weights)
    np.testing.assert_allclose(float(found), float(expected), rtol=2e-5, atol=1e-6)


@each_case
def test_metrics(name, arguments, data, flags):
    if len(data[0]) != 2 or name in ("MeanMetricWrapper", "SumOverBatchSize"):
        return  # no targets and predictions
    whole, part = made(weft, name, arguments), made(weft, name, arguments)
    if by_row._along_rows(arguments.get("axis")):  # of the rows
        return
    assert by_row._metric(whole) == (name != "R2Score")
    if name == "R2Score":
        return
    for y_true, y_pred in data:
        rows, size = len(y_pred) - 1, len(y_pred)
        part.update_state(y_true[:rows], y_pred[:rows])
        with by_row.counting(filled(rows, size)):
            y_pred = by_row.counted(weft.convert_to_tensor(np.asarray(y_pred)))
            whole.update_state(y_true, y_pred)
    for a, b in zip(jax.tree.leaves(whole.result()), jax.tree.leaves(part.result()), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6)


def one_of_each():
    names = [case.name for case in ALL]
    return [case for i, case in enumerate(ALL) if case.name not in names[:i]]


@pytest.mark.parametrize("case", one_of_each(), ids=repr)
def test_layers(case):
    layer, start = weft_layer(case)
    arrays, _ = case.inputs
    if not by_row._layer(layer, "predict") or len({len(a) for a in arrays if a.ndim}) != 1:
        return
    reset(layer, start)
    others = [np.concatenate([a[:-1], a[:1]]) if a.ndim else a for a in arrays]
    found = call_weft(case, layer, [weft.convert_to_tensor(a) for a in arrays], False)
    reset(layer, start)
    again = call_weft(case, layer, [weft.convert_to_tensor(a) for a in others], False)
    assert len(found) > 0
    for a, b in zip(found, again, strict=True):
        assert a.shape[0] == len(arrays[0])
        np.testing.assert_allclose(a.numpy()[:-1], b.numpy()[:-1], rtol=1e-5, atol=1e-6)


# -- training ---------------------------------------------------------------------------------


def dense(**compiled):
    return weft.Sequential([weft.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])


def masked():
    return weft.Sequential(
        [
            weft.Input((4,), dtype="int32"),
            layers.Embedding(5, 3, mask_zero=True),
            layers.LSTM(3, return_sequences=True),
            layers.Dense(1),
        ]
    )


def functional():
    x = weft.Input((6,))
    y = layers.Dense(6, "relu")(x) + x
    head = layers.Dense(3, name="head")(y * 0.5)
    return weft.Model(x, {"head": head, "size": layers.Dense(1, name="size")(y)})


SPARSE = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
CASES = {
    "plain": (dense, X, Y, {"loss": SPARSE, "metrics": ["accuracy"]}, {}),
    "sum": (
        dense, X, Y,
        {"loss": weft.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")}, {},
    ),
    "class weights": (
        dense, X, Y, {"loss": SPARSE, "weighted_metrics": ["accuracy"]},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "sample weights": (
        dense, X, Y, {"loss": SPARSE, "weighted_metrics": ["accuracy"]},
        {"sample_weight": rng.uniform(size=22)},
    ),
    "masks": (masked, WORDS, WORDS[..., None] / 5, {"loss": "mse", "metrics": ["mae"]}, {}),
    "outputs": (
        functional, X, {"head": Y, "size": X[:, :1]},
        {"loss": {"head": SPARSE, "size": "mse"}, "loss_weights": {"head": 1.0, "size": 0.3},
         "metrics": {"head": ["accuracy"], "size": ["mae"]}}, {},
    ),
}  # fmt: skip


def trained(case, fill, **options):
    make, x, y, compiled, fitted = CASES[case]
    weft.random.set_seed(1)
    model = make()
    model.by_row = fill
    model.compile(weft.optimizers.SGD(0.1, momentum=0.9), **compiled, **options)
    fitted = {"batch_size": 8, "epochs": 2, "verbose": 0, **fitted}
    held = jax.tree.map(lambda a: a[:11], (x, y))
    history = model.fit(x, y, validation_data=held, **fitted).history
    found = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    return model, {**history, **{f"again_{k}": [v] for k, v in found.items()}}


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_same_numbers_in_one_program(case, steps):
    model, found = trained(case, None, steps_per_execution=steps)
    other, expected = trained(case, False)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, err_msg=name)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    assert [len(p) for p in model.programs.values()] == [1, 1]
    assert len(other.programs["train_step"]) == 2


def test_predictions_of_all_rows_and_no_more():
    model = dense()
    found = model.predict(X, batch_size=8, verbose=0)
    np.testing.assert_allclose(found, model(X).numpy(), rtol=1e-5, atol=1e-6)
    assert len(model.programs["predict_step"]) == 1


def test_a_callback_sees_the_rows_of_the_data():
    sizes = []

    class Looks(weft.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            sizes.append((batch, logs["outputs"].shape, type(logs["outputs"])))

    found = dense().predict(X, batch_size=8, verbose=0, callbacks=[Looks()])
    assert found.shape == (22, 3)
    assert sizes == [(k, (rows, 3), weft.Tensor) for k, rows in enumerate([8, 8, 6])]


# -- who may --------------------------------------------------------------------------------


class Own(layers.Layer):
    def call(self, inputs):
        return inputs - weft.ops.mean(inputs, axis=0)


class ByRow(layers.Layer):
    by_row = True

    def call(self, inputs):
        return inputs * 2


class OwnNorm(layers.BatchNormalization):
    def call(self, inputs, training=None):
        return inputs - weft.ops.mean(inputs, axis=0)


class OwnStep(weft.Sequential):
    by_row = True

    def train_step(self, data):
        return super().train_step(data)


def after(*more, **options):
    return weft.Sequential([weft.Input((6,)), layers.Dense(6), *more], **options)


def graph(function):
    x = weft.Input((6,))
    return weft.Model(x, function(layers.Dense(6)(x)))


MODELS = {  # may it while training, evaluating, predicting
    "weft's": (after, (True, True, True)),
    "own layer": (lambda: after(Own()), (False, False, False)),
    "own layer that says so": (lambda: after(ByRow()), (True, True, True)),
    "made from one that says so": (
        lambda: after(type("Other", (OwnNorm,), {})()), (False, False, False),
    ),
    "Lambda": (lambda: after(layers.Lambda(lambda x: x)), (False, False, False)),
    "own activation": (lambda: after(layers.Dense(3, lambda x: x)), (False, False, False)),
    "statistics of batches": (lambda: after(layers.BatchNormalization()), (False, True, True)),
    "frozen statistics": (
        lambda: after(layers.BatchNormalization(trainable=False)), (True, True, True),
    ),
    "penalties of outputs": (
        lambda: after(layers.Dense(3, activity_regularizer="l2")), (False, False, True),
    ),
    "weights' penalties": (
        lambda: after(layers.Dense(3, kernel_regularizer="l2")), (True, True, True),
    ),
    "along the rows": (lambda: after(layers.Softmax(axis=0)), (False, False, False)),
    "own step": (lambda: OwnStep([layers.Dense(3)]), (False, True, True)),
    "operations by row": (lambda: graph(lambda x: weft.ops.relu(x) * 2 + x), (True, True, True)),
    "other operations": (
        lambda: graph(lambda x: x - weft.ops.mean(x, axis=0)), (False, False, False),
    ),
    "a vector beside": (
        lambda: graph(lambda x: x + np.ones(6, "float32")), (True, True, True),
    ),
    "another rank": (
        lambda: graph(lambda x: x + weft.ops.expand_dims(x, 1)), (False, False, False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", MODELS)
def test_who_may(which):
    make, expected = MODELS[which]
    model = make()
    model.compile("sgd", "mse", metrics=["mae", "accuracy"])
    assert tuple(model._goes_by_row(mode) for mode in ("train", "test", "predict")) == expected


def contrast(y_true, y_pred):
    return weft.ops.sum(weft.ops.square(y_pred - weft.ops.mean(y_pred, axis=0)), axis=-1)


class OwnLoss(weft.losses.MeanSquaredError):
    pass


class OwnMetric(weft.metrics.Mean):
    pass


@pytest.mark.parametrize(
    ("loss", "metrics", "expected"),
    [
        (contrast, None, False),
        (OwnLoss(), None, False),
        ("circle", None, False),
        (weft.losses.dice, None, False),
        (weft.losses.CosineSimilarity(axis=0), None, False),
        ("mse", [contrast], False),
        ("mse", [OwnMetric()], False),
        (weft.losses.huber, [weft.metrics.RootMeanSquaredError()], True),
    ],
)
def test_losses_and_metrics_that_may(loss, metrics, expected):
    model = after()
    model.compile("sgd", loss, metrics=metrics)
    assert model._goes_by_row("train") == model._goes_by_row("test") == expected
    assert model._goes_by_row("predict")


def test_others_get_the_batch_as_it_is():
    shapes = []

    class Looks(layers.Layer):
        def call(self, inputs):
            shapes.append(inputs.shape)
            return inputs

    model = after(Looks(), layers.Dense(1))
    model.compile("sgd", "mse")
    shapes.clear()
    model.fit(X, X[:, :1], batch_size=8, verbose=0)
    assert sorted(set(shapes)) == [(6, 6), (8, 6)]
