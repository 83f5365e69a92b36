"""`compile`: names in the logs, what is given for which output, and what cannot be meant."""

import numpy as np
import pytest

import weft
from weft import layers, ops

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
A = X.sum(1, keepdims=True)
B = np.concatenate([A, -A], 1)
W = np.linspace(0.5, 2, 8).astype("float32")


def one():
    return weft.Sequential([weft.Input((3,)), layers.Dense(1, name="a")])


def two(structure=list):
    x = weft.Input((3,))
    a, b = layers.Dense(1, name="a")(x), layers.Dense(2, name="b")(x)
    return weft.Model(x, [a, b] if structure is list else {"p": a, "q": b})


class Two(weft.Model):
    """Outputs without names."""

    def __init__(self):
        super().__init__()
        self.a, self.b = layers.Dense(1), layers.Dense(2)

    def call(self, x):
        return self.a(x), self.b(x)


def logs(model, y, sample_weight=None, **options):
    model.compile("sgd", **options)
    return model.evaluate(X, y, sample_weight=sample_weight, verbose=0, return_dict=True)


# -- names ----------------------------------------------------------------------------------


def MyError(y_true, y_pred):
    return abs(y_true - y_pred)


def my_error(y_true, y_pred):
    return (y_true - y_pred) ** 2


class Callable:
    def __call__(self, y_true, y_pred):
        return abs(y_true - y_pred)


@pytest.mark.parametrize(
    ("metrics", "weighted", "names"),
    [
        (["mae", "mae"], None, ["mae", "mae_1"]),
        (["mae"], ["mae", "mse"], ["mae", "weighted_mae", "mse"]),
        (None, ["mae", "mae"], ["mae", "weighted_mae"]),
        (["mae"] * 2, ["mae"] * 2, ["mae", "mae_1", "weighted_mae", "weighted_mae_1"]),
        ([MyError, my_error], None, ["my_error", "my_error_1"]),
        ([lambda t, p: p, Callable()], None, ["lambda", "callable"]),
        ([weft.metrics.MeanAbsoluteError], None, ["mean_absolute_error"]),
        ([weft.losses.Huber(name="h")], None, ["h"]),
        (
            [{"class_name": "MeanAbsoluteError", "config": {"name": "m"}}, "acc"],
            None,
            ["m", "acc"],
        ),
        ("MAE", None, ["MAE"]),
        ({"a": [["mae"], "mse"]}, None, ["mae", "mse"]),
    ],
)
def test_names_of_metrics(metrics, weighted, names):
    model = one()
    found = logs(model, A, W, loss="mse", metrics=metrics, weighted_metrics=weighted)
    assert list(found) == ["loss", *names]
    assert model.metrics_names == ["loss", *names]
    values = model.evaluate(X, A, sample_weight=W, verbose=0)
    assert values == list(found.values())
    assert model.test_on_batch(X, A, sample_weight=W, return_dict=True) == pytest.approx(found)


@pytest.mark.parametrize(
    ("model", "names"),
    [(two(), ("a", "b")), (two(dict), ("p", "q")), (Two(), ("output_1", "output_2"))],
    ids=["list", "dict", "subclass"],
)
def test_names_of_outputs(model, names):
    y = [A, B] if names[0] != "p" else {"p": A, "q": B}
    first, second = names
    per_output = [f"{first}_loss", f"{second}_loss"]
    # As Keras 2, and unlike Keras 3, a list of another length stands for all outputs.
    found = logs(model, y, loss="mse", metrics=["mae", "mse", "mape"])
    each = [f"{name}_{metric}" for name in names for metric in ("mae", "mse", "mape")]
    assert list(found) == ["loss", *per_output, *each]
    found = logs(model, y, loss="mse", metrics=["mae", "mse"])
    assert list(found)[3:] == [f"{first}_mae", f"{second}_mse"]
    found = logs(model, y, loss=dict.fromkeys(names, "mse"), metrics={second: ["mae"]})
    assert list(found) == ["loss", *per_output, f"{second}_mae"]
    found = logs(model, y, loss={second: "mse"})
    assert list(found) == ["loss"]


def test_a_metric_object_keeps_its_own_name():
    """It is named after the output, but not twice, and not in its config."""
    metric = weft.metrics.MeanAbsoluteError(name="bar")
    model = two()
    for _ in range(2):
        assert "a_bar" in logs(model, [A, B], loss="mse", metrics=[[metric], None])
    assert metric.name == "a_bar" and metric.get_config()["name"] == "bar"
    config = model.get_compile_config()
    again = two()
    again.compile_from_config(config)
    assert "a_bar" in again.evaluate(X, [A, B], verbose=0, return_dict=True)


def test_one_metric_object_for_all_outputs_counts_each_alone():
    metric = weft.metrics.MeanSquaredError("m")
    for _ in range(2):
        found = logs(two(), [A, B], loss="mse", metrics=metric)
        assert found["a_m"] == pytest.approx(found["a_loss"])
        assert found["b_m"] == pytest.approx(found["b_loss"])

    class Odd(weft.metrics.Mean):
        def __init__(self):
            super().__init__("odd")

        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_pred)

    with pytest.raises(TypeError, match=r"metric 'a_odd' is given for several outputs.*one for ea"):
        logs(two(), [A, B], loss="mse", metrics=Odd())
    assert "odd" in logs(one(), A, loss="mse", metrics=[Odd()])


def test_two_metrics_of_one_name_are_both_shown():
    class Seen(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = weft.metrics.Mean(name="mae")

        def call(self, x):
            self.seen.update_state(ops.ones(4))
            return x

    model = weft.Sequential([layers.Dense(1), Seen()])
    found = logs(model, A, loss="mse", metrics=["mae"])
    assert found["mae_1"] == 1 and found["mae"] != 1


def test_outputs_that_are_one_layer_s():
    """Keras gives both the name `d_loss`, so that one is lost."""
    x, dense = weft.Input((3,)), layers.Dense(1, name="d")
    model = weft.Model(x, [dense(x), dense(2 * x)])
    assert list(logs(model, [A, A], loss="mse")) == ["loss", "d_loss", "d_1_loss"]


def test_masks_count_in_metrics():
    """As in Keras 2; in Keras 3 on JAX they do not, and metrics beside a masked loss differ."""
    x = weft.Input((3,), dtype="int32")
    embedded = layers.Embedding(5, 1, mask_zero=True, embeddings_initializer="ones")(x)
    model = weft.Model(x, embedded)
    model.compile("sgd", "mse", metrics=["mse"], weighted_metrics=["mae"])
    targets = np.array([[[2.0], [3.0], [99.0]], [[1.0], [99.0], [99.0]]], "float32")
    found = model.evaluate(np.array([[1, 2, 0], [3, 0, 0]]), targets, verbose=0, return_dict=True)
    assert found["mse"] == pytest.approx(5 / 3)
    assert found["mae"] == pytest.approx(1.0)


# -- options --------------------------------------------------------------------------------


def test_options_of_keras():
    model = one()
    for given, kept in (("auto", True), (True, True), (False, False)):
        model.compile("sgd", "mse", jit_compile=given, auto_scale_loss=False)
        assert model.jit_compile is kept
        assert model.fit(X, A, verbose=0).history["loss"][0] > 0
    with pytest.raises(ValueError, match=r'jit_compile must be True, False or "auto", got \'no\''):
        model.compile("sgd", "mse", jit_compile="no")
    with pytest.raises(ValueError, match="steps_per_execution must be a positive integer, got 0"):
        model.compile("sgd", "mse", steps_per_execution=0)
    assert model.compiled and model.jit_compile is False  # as it was


@pytest.mark.parametrize("scaled", [True, False])
def test_the_loss_is_scaled_where_half_precision_is_trained(scaled):
    model = weft.Sequential([layers.Dense(1)])
    model.dtype_policy = weft.mixed_precision.Policy("mixed_float16")
    model.compile(weft.optimizers.SGD(0.1), "mse", auto_scale_loss=scaled)
    assert isinstance(model.optimizer, weft.optimizers.LossScaleOptimizer) is scaled
    assert model.fit(X, A, verbose=0, epochs=2).history["loss"][1] > 0


# -- what cannot be meant -------------------------------------------------------------------

BAD = [
    ({"loss": "msee"}, A, r"unknown loss 'msee'. Did you mean 'mse'"),
    ({"loss": "mse", "metrics": ["acuracy"]}, A, r"unknown metric 'acuracy'. Did you mean"),
    ({"loss": 3}, A, r"3 is no loss: give a name, a config, a class or a callable"),
    ({"loss": "mse", "metrics": [3]}, A, r"3 is no metric"),
    ({}, A, r"there is no loss to minimise: compile the model with one, call add_loss"),
    ({"loss": {"size": "mse"}}, A, r"loss names \['size'\], but the model has one output, 'a'"),
    ({"loss": "mse", "metrics": {"b": "mae"}}, A, r"metrics names \['b'\], but .* output, 'a'"),
    ({"loss": "mse"}, None, r"the loss needs targets, but the data has no y. Pass y"),
    ({"loss": "mse", "metrics": [lambda t, p: None]}, A, r"metric 'lambda' returned None. End"),
    ({"loss": lambda t, p: None}, A, r"loss function <lambda> returned None"),
    ({"loss": "mse", "optimizer": None}, A, r"compiled without an optimizer; fit needs one"),
]


@pytest.mark.parametrize(("options", "y", "message"), BAD, ids=[m for *_, m in BAD])
def test_bad_input_of_one_output(options, y, message):
    model = one()
    before = model.get_weights()
    model.compile(**{"optimizer": "sgd", **options})
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), before))


BAD_OF_TWO = [
    (
        {"loss": {"z": "mse"}},
        {"p": A, "q": B},
        r"loss names the outputs \['z'\], but the model's outputs are \['p', 'q'\]",
    ),
    (
        {"loss": "mse", "metrics": {"z": "mae"}},
        {"p": A, "q": B},
        r"metrics names the outputs \['z'\]",
    ),
    (
        {"loss": "mse", "loss_weights": {"z": 1.0}},
        {"p": A, "q": B},
        r"loss_weights names the outputs \['z'\]",
    ),
    ({"loss": ["mse"]}, {"p": A, "q": B}, r"loss has 1 entries for the 2 outputs \['p', 'q'\]"),
    (
        {"loss": "mse", "metrics": [["mae"], ["mae"], ["mae"]]},
        {"p": A, "q": B},
        r"metrics has 3 entries for the 2 outputs",
    ),
    (
        {"loss": "mse"},
        {"p": A},
        r"output 'q' needs targets, but y has them for \['p'\] only. Give them, or compile without",
    ),
    ({"loss": "mse"}, {"p": A, "r": B}, r"y names the outputs \['r'\], but .* are \['p', 'q'\]"),
    ({"loss": "mse"}, A, r"y must have one entry for each of the outputs \['p', 'q'\]"),
    ({"loss": "mse"}, [A, B, A], r"y has 3 entries for the 2 outputs"),
]


@pytest.mark.parametrize(("options", "y", "message"), BAD_OF_TWO, ids=[m for *_, m in BAD_OF_TWO])
def test_bad_input_of_several_outputs(options, y, message):
    model = two(dict)
    before = model.get_weights()
    model.compile("sgd", **options)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), before))


def test_a_metric_whose_result_is_no_tensor():
    class Wrong(weft.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return "good"

    model = one()
    model.compile("sgd", "mse", metrics=[Wrong(name="wrong")])
    with pytest.raises(TypeError, match=r"'wrong' \(Wrong\) returned a str as its result; return"):
        model.evaluate(X, A, verbose=0)


def test_text_as_targets():
    model = one()
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"y: data must be numbers.*Encode text"):
        model.fit(X, np.array(["a"] * 8), verbose=0)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match=r"unknown optimizer 'adamm'. Did you mean 'adam'"):
        one().compile("adamm", "mse")


def test_an_only_output_s_targets_may_have_any_name():
    model = one()
    model.compile("sgd", "mse")
    assert model.evaluate(X, {"label": A}, verbose=0) == model.evaluate(X, A, verbose=0)


@pytest.mark.parametrize("steps", [1, 2])
def test_evaluate_gives_values_in_the_order_of_compile(steps):
    """Keras sorts them by name in places."""
    model = one()
    model.compile("sgd", "mse", metrics=["mse", "mae", "acc"], steps_per_execution=steps)
    names = ["loss", "mse", "mae", "acc"]
    found = model.evaluate(X, A, batch_size=2, verbose=0, return_dict=True)
    assert list(found) == names
    assert model.evaluate(X, A, batch_size=2, verbose=0) == list(found.values())
    assert list(model.fit(X, A, batch_size=2, verbose=0).history) == names
    assert list(model.train_on_batch(X[:2], A[:2], return_dict=True)) == names
