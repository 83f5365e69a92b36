"""`fit` beside Keras 3's: the same weights and logs after three epochs, however compiled."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest

import weft

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*no gradient for:UserWarning"),  # an output without a loss
    pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning"),
]

N = 10  # rows; batches of four, so the last one is short
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
A = X.sum(1, keepdims=True)
B = np.stack([X[:, 0], -X[:, 1]], 1)
C = np.arange(N) % 3
BIT = (A > 0).astype("float32")
HOT = np.eye(3, dtype="float32")[C]
W = np.linspace(0.1, 2.0, N).astype("float32")
V = W[::-1].copy()


# -- models, by library -------------------------------------------------------------------


def of_layers(lib, outputs):
    """A graph: a hidden layer and, by name, the units and activation of each output's layer."""
    x = lib.Input((3,))
    h = lib.layers.Dense(4, "tanh", name="h")(x)
    make = {
        "a": lambda: lib.layers.Dense(1, name="a")(h),
        "b": lambda: lib.layers.Dense(2, name="b")(h),
        "c": lambda: lib.layers.Dense(3, "softmax", name="c")(h),
        "bit": lambda: lib.layers.Dense(1, "sigmoid", name="bit")(h),
    }
    return lib.Model(x, over(lambda name: make[name](), outputs))


def over(function, nest):
    if isinstance(nest, dict):
        return {k: over(function, v) for k, v in nest.items()}
    if isinstance(nest, list):
        return [over(function, v) for v in nest]
    return function(nest)


def regularized(lib):
    x = lib.Input((3,))
    h = lib.layers.Dense(4, "tanh", kernel_regularizer="l2", bias_regularizer="l1", name="h")
    out = lib.layers.Dense(1, activity_regularizer=lib.regularizers.L2(0.1), name="a")
    return lib.Model(x, out(h(x)))


def adding(lib):
    """Losses added by a layer that is called twice, inside a model inside."""

    class Adds(lib.layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * lib.ops.mean(x**2))
            return x

        def compute_output_shape(self, shape):
            return shape

    x = lib.Input((3,))
    adds = Adds(name="adds")
    dense = lib.layers.Dense(3, kernel_regularizer="l2", name="h")
    inner = lib.Model(x, adds(dense(adds(dense(x)))), name="inner")
    y = lib.Input((3,))
    return lib.Model(y, lib.layers.Dense(1, name="a")(inner(y)))


def subclassed(lib):
    class Net(lib.Model):
        def __init__(self):
            super().__init__()
            self.p, self.q = lib.layers.Dense(1), lib.layers.Dense(2, kernel_regularizer="l2")

        def call(self, x):
            return {"p": self.p(x), "q": self.q(x)}

    net = Net()
    net(X[:4])
    return net


def batch_normalized(lib):
    x = lib.Input((3,))
    h = lib.layers.BatchNormalization(momentum=0.5, name="bn")(lib.layers.Dense(4, name="h")(x))
    return lib.Model(x, lib.layers.Dense(1, name="a")(h))


def masked(lib):
    x = lib.Input((3,), dtype="int32")
    embedded = lib.layers.Embedding(5, 2, mask_zero=True, name="e")(x)
    return lib.Model(x, lib.layers.Dense(1, name="a")(embedded))


LIST, DICT, NEST = ["a", "b"], {"p": "a", "q": "b"}, {"p": "a", "q": ["b", "c"]}
LIST_Y, DICT_Y, NEST_Y = [A, B], {"p": A, "q": B}, {"p": A, "q": [B, HOT]}
DATA = {"a": A, "b": B, "c": C, "bit": BIT}


# -- configurations -----------------------------------------------------------------------


@dataclass
class Case:
    """One configuration: values that need the library are functions of it."""

    compile: dict[str, Any]
    outputs: Any = "a"
    y: Any = None
    x: Any = None
    fit: dict[str, Any] = field(default_factory=dict)
    model: Any = None
    optimizer: Any = lambda lib: lib.optimizers.SGD(0.1)


def squares(lib):
    return lambda y, p: lib.ops.square(y - p)


def adam(**options):
    return lambda lib: lib.optimizers.Adam(0.02, **options)


def own_metric(lib):
    class Largest(lib.metrics.Metric):
        def __init__(self, name="largest"):
            super().__init__(name=name)
            self.largest = self.add_weight(shape=(), initializer="zeros", name="largest")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(lib.ops.maximum(self.largest, lib.ops.max(y_pred)))

        def result(self):
            return {"largest": self.largest + 0, "doubled": self.largest * 2}

    return Largest()


VAL = {"validation_data": (X[:7], A[:7])}
sparse = "sparse_categorical_crossentropy"
CASES = {
    # one output: losses and metrics of all kinds
    "mse": Case({"loss": "mse"}),
    "function": Case({"loss": squares}),
    "object": Case({"loss": lambda lib: lib.losses.Huber(0.5, reduction="sum")}, fit=VAL),
    "mean with weights": Case(
        {"loss": lambda lib: lib.losses.MeanSquaredError(reduction="mean_with_sample_weight")},
        fit={"sample_weight": W},
    ),
    "metrics": Case({"loss": "mse", "metrics": ["mse", "mae", "accuracy"]}, fit=VAL),
    "metric twice": Case({"loss": "mse", "metrics": ["mae", "mae"], "weighted_metrics": ["mae"]}),
    "metric spelled differently": Case(
        {"loss": "mse", "metrics": ["mae", "MAE", lambda lib: lib.metrics.MeanAbsoluteError("m")]}
    ),
    "metric functions": Case(
        {"loss": "mse", "metrics": [squares, lambda lib: lib.losses.mean_absolute_error]}
    ),
    "a metric of several values": Case({"loss": "mae", "metrics": [own_metric, "mse"]}, fit=VAL),
    "loss and metrics by the output's name": Case(
        {"loss": {"a": "mae"}, "metrics": {"a": ["mse"]}, "loss_weights": {"a": 0.5}}
    ),
    "lists of one": Case({"loss": ["mse"], "metrics": [["mae", "mse"]], "loss_weights": [3.0]}),
    "a loss weight": Case({"loss": "mse", "loss_weights": 3.0, "metrics": ["mse"]}, fit=VAL),
    "sample weights": Case(
        {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae", "mse"]},
        fit={"sample_weight": W, "validation_data": (X[:7], A[:7], V[:7])},
    ),
    "validation split": Case({"loss": "mse", "metrics": ["mae"]}, fit={"validation_split": 0.3}),
    "validation at times": Case({"loss": "mse"}, fit={**VAL, "validation_freq": 2}),
    # classes
    "labels": Case({"loss": sparse, "metrics": ["accuracy", sparse]}, "c"),
    "one-hot": Case({"loss": "categorical_crossentropy", "metrics": ["acc"]}, "c", HOT),
    "bits": Case(
        {
            "loss": "binary_crossentropy",
            "metrics": ["accuracy", lambda lib: lib.metrics.AUC(name="auc"), "Precision"],
        },
        "bit",
    ),
    "class weights": Case(
        {"loss": sparse, "metrics": ["acc"], "weighted_metrics": ["accuracy"]},
        "c",
        fit={"class_weight": {0: 1.0, 1: 0.3, 2: 2.0}},
    ),
    "class weights of one-hot targets": Case(
        {"loss": "categorical_crossentropy", "weighted_metrics": ["mse"]},
        "c",
        HOT,
        fit={"class_weight": {0: 0.5, 1: 2.0, 2: 0.25}},
    ),
    "label smoothing": Case(
        {"loss": lambda lib: lib.losses.CategoricalCrossentropy(label_smoothing=0.1)}, "c", HOT
    ),
    # several outputs
    "a list": Case({"loss": "mse"}, LIST),
    "a list of losses": Case({"loss": ["mse", "mae"]}, LIST, fit={"validation_split": 0.3}),
    "a list by name": Case(
        {"loss": {"b": "mae", "a": "mse"}, "metrics": {"b": ["mse"], "a": "mae"}}, LIST
    ),
    "a flat list of metrics": Case({"loss": "mse", "metrics": ["mae", "mse"]}, LIST),
    "lists of metrics": Case({"loss": "mse", "metrics": [["mae", "mae"], ["mse"]]}, LIST),
    "metric objects": Case(
        {"loss": "mse", "metrics": [[lambda lib: lib.metrics.MeanAbsoluteError("bar")], None]}, LIST
    ),
    "weights of a list": Case({"loss": ["mse", "mae"], "loss_weights": [0.5, 3.0]}, LIST),
    "sample weights by output": Case(
        {
            "loss": ["mse", "mae"],
            "loss_weights": [0.5, 3.0],
            "metrics": [["mae"], ["mse", "mae"]],
            "weighted_metrics": [["mae"], ["mse"]],
        },
        LIST,
        fit={"sample_weight": [W, V]},
    ),
    "one sample weight for all": Case({"loss": "mse"}, LIST, fit={"sample_weight": W}),
    "no loss for one": Case(
        {"loss": [None, "mse"], "loss_weights": [3.0, 0.5], "metrics": ["mae", None]}, LIST
    ),
    "a dict": Case({"loss": "mse", "metrics": ["mae", "mse"]}, DICT),
    "a dict by name": Case(
        {
            "loss": {"q": "mae", "p": "mse"},
            "loss_weights": {"p": 0.3, "q": 2.0},
            "metrics": {"q": ["mse"], "p": ["mae", "mse"]},
            "weighted_metrics": {"p": "mae"},
        },
        DICT,
        fit={"validation_data": (X[:7], {"p": A[:7], "q": B[:7]})},
    ),
    "sample weights in a dict": Case(
        {"loss": "mse", "weighted_metrics": {"p": ["mae"], "q": ["mse"]}},
        DICT,
        fit={"sample_weight": {"p": W, "q": V}},
    ),
    "losses for a part of a dict": Case({"loss": {"p": "mse"}}, DICT, {"p": A}),
    "a nest": Case({"loss": "mse"}, NEST, NEST_Y),
    "a nest of losses": Case(
        {
            "loss": {"p": "mse", "q": ["mae", "categorical_crossentropy"]},
            "loss_weights": {"p": 1.0, "q": [0.5, 2.0]},
        },
        NEST,
        NEST_Y,
        fit={"validation_split": 0.3},
    ),
    "one output in a dict": Case({"loss": {"p": "mse"}, "metrics": ["mae"]}, {"p": "a"}),
    "one output in a list": Case({"loss": ["mse"], "metrics": ["mae", "mse"]}, ["a"]),
    "three outputs": Case(
        {
            "loss": ["mse", "mae", sparse],
            "metrics": [None, ["mse"], ["accuracy"]],
            "loss_weights": [1.0, 0.1, 2.0],
        },
        ["a", "b", "c"],
        [A, B, C],
    ),
    "a subclass": Case(
        {"loss": {"p": "mse", "q": "mae"}, "metrics": {"p": ["mae"], "q": ["mse"]}},
        y=DICT_Y,
        model=subclassed,
    ),
    # optimizers, and how steps are run
    "adam": Case({"loss": "mse", "metrics": ["mae"]}, optimizer=adam()),
    "accumulation": Case(
        {"loss": "mse"}, optimizer=adam(gradient_accumulation_steps=2), fit={"batch_size": 2}
    ),
    "accumulation that ends within an epoch": Case(
        {"loss": ["mse", "mae"], "loss_weights": [1.0, 0.5]},
        LIST,
        optimizer=adam(gradient_accumulation_steps=2),
    ),
    "clipping and averages": Case({"loss": "mse"}, optimizer=adam(clipnorm=0.1, use_ema=True)),
    "steps per execution": Case(
        {"loss": "mse", "metrics": ["mae"], "steps_per_execution": 2},
        fit={"batch_size": 2, "validation_data": (X[:8], A[:8])},
    ),
    "steps per execution, a short batch": Case(
        {"loss": ["mse", "mae"], "weighted_metrics": [["mae"], None], "steps_per_execution": 2},
        LIST,
        fit={"sample_weight": [W, V]},
    ),
    "steps per execution and accumulation": Case(
        {"loss": "mse", "steps_per_execution": 3},
        optimizer=adam(gradient_accumulation_steps=2),
        fit={"batch_size": 2},
    ),
    "one batch": Case({"loss": "mse", "metrics": ["mae"]}, fit={"batch_size": 32}),
    # losses from inside
    "regularizers": Case({"loss": "mse", "metrics": ["mse"]}, model=regularized, fit=VAL),
    "regularizers and weights": Case(
        {"loss": "mse", "loss_weights": [0.5]},
        model=regularized,
        fit={"sample_weight": W},
    ),
    "added losses": Case({"loss": "mse", "metrics": ["mae"]}, model=adding, fit=VAL),
    "added losses, several steps": Case(
        {"loss": "mse", "steps_per_execution": 2}, model=adding, fit={"batch_size": 2}
    ),
    "added losses alone": Case({}, model=adding),
    "a mask": Case(
        {"loss": "mse"},
        x=np.arange(3 * N).reshape(N, 3) % 5,
        y=np.stack([A, -A, 2 * A], 1),
        model=masked,
    ),
    "batch normalization": Case({"loss": "mse"}, model=batch_normalized, fit=VAL),
}


def resolved(lib, value):
    if isinstance(value, dict):
        return {k: resolved(lib, v) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(lib, v) for v in value]
    if callable(value):
        return value(lib)
    return value


def trained(lib, case):
    """The history and weights of a fit from weights that both libraries begin with."""
    model = case.model(lib) if case.model else of_layers(lib, case.outputs)
    rng = np.random.default_rng(1)
    model.set_weights([0.5 * rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile(resolved(lib, case.optimizer), **resolved(lib, case.compile))
    y = over(DATA.__getitem__, case.outputs) if case.y is None else case.y
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0, **case.fit}
    return model.fit(X if case.x is None else case.x, y, **options).history, model.get_weights()


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_keras(name):
    case = CASES[name]
    logs, weights = trained(weft, case)
    expected, expected_weights = trained(keras, case)
    assert set(logs) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(logs[key], values, rtol=1e-4, atol=1e-4, err_msg=key)
    assert len(weights) == len(expected_weights)
    for mine, theirs in zip(weights, expected_weights):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_table_is_long_enough():
    assert len(CASES) >= 40
