"""The base class: subclasses, state, weights, masks, and what is refused."""

import copy
import pickle

import keras
import numpy as np
import pytest

import weft
from weft import metrics


class AbsoluteTotal(metrics.Metric):
    def __init__(self, name="absolute_total", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(weft.ops.sum(weft.ops.abs(y_true - y_pred)))

    def result(self):
        return self.total


def test_a_subclass():
    metric = AbsoluteTotal()
    metric.update_state(np.ones(3), np.zeros(3))
    first = metric.result()
    assert float(metric(np.ones(2), np.zeros(2))) == 5
    metric.reset_states()
    assert float(first) == 3  # a value, though `result` returns the variable
    assert float(metric.result()) == 0
    assert metric.name == "absolute_total" and metric.dtype == "float32"
    (total,) = metric.variables
    assert total.path == "absolute_total/total" and not total.trainable
    assert metric.trainable_variables == [] and metric.non_trainable_variables == [total]


def test_a_subclass_that_calls_its_base_is_one_round():
    class Twice(metrics.Mean):
        def update_state(self, values, sample_weight=None):
            super().update_state(values, sample_weight)
            super().update_state(values, sample_weight)

    metric, counts = Twice(), []
    for _ in range(3):
        metric.update_state(2.0)
        counts.append(len(weft.engine.trace.state.trace.nodes))
    assert counts == [2, 2, 2] and float(metric.count) == 6


def test_a_result_of_several_values():
    class Range(metrics.Metric):
        def __init__(self):
            super().__init__()
            self.low = self.add_weight(name="low", initializer=np.inf)
            self.high = self.add_weight(name="high", initializer=-np.inf)

        def update_state(self, x):
            self.low.assign(weft.ops.minimum(self.low, weft.ops.min(x)))
            self.high.assign(weft.ops.maximum(self.high, weft.ops.max(x)))

        def result(self):
            return {"low": self.low, "high": self.high}

    metric = Range()
    found = metric([1.0, 5.0])
    metric.reset_state()
    assert {k: float(v) for k, v in found.items()} == {"low": 1, "high": 5}
    assert float(metric.low) == np.inf  # the first value, not zero
    assert metric.name == "range"


@pytest.mark.parametrize(
    ("args", "options", "shape", "value", "name"),
    [
        ((), {"name": "a"}, (), 0, "a"),
        (("b",), {"initializer": "ones"}, (), 1, "b"),
        (("c", (2,)), {"initializer": "zeros"}, (2,), 0, "c"),
        (((2, 3), "ones"), {"name": "d"}, (2, 3), 1, "d"),
        ((4, 2.5, None, "e"), {}, (4,), 2.5, "e"),
        ((), {"name": "f", "shape": (2,), "initializer": np.full(2, 7.0)}, (2,), 7, "f"),
        (("g", ()), {"initializer": lambda shape, dtype: np.full(shape, 3, dtype)}, (), 3, "g"),
        ((), {"name": "h", "initializer": weft.initializers.Constant(4.0)}, (), 4, "h"),
        (("i", (), "sum"), {"synchronization": "on_read"}, (), 0, "i"),
    ],
    ids="abcdefghi",
)
def test_add_weight_in_every_spelling(args, options, shape, value, name):
    metric = metrics.Metric("outer")
    weight = metric.add_weight(*args, **options)
    assert weight.shape == shape and weight.dtype == "float32" and not weight.trainable
    assert weight.name == name and weight.path == f"outer/{name}"
    assert (weight.numpy() == value).all()
    weight.assign(weight + 1)
    metric.reset_state()
    assert (weight.numpy() == value).all() and metric.variables == [weight]


def test_dtypes_of_state():
    metric = metrics.Metric(dtype="float16")
    assert metric.dtype == "float16" and metric.add_weight("a").dtype == "float32"
    assert metric.add_variable((2,), "zeros", dtype="int32", name="b").dtype == "int32"


def test_state_in_attributes_is_found():
    class Nested(metrics.Metric):
        def __init__(self):
            super().__init__()
            self.own = self.add_weight("own")
            self.given = weft.Variable(3.0, name="given")
            self.parts = [metrics.Mean(), {"deep": metrics.Sum()}]

        def update_state(self, x):
            self.own.assign_add(x)
            self.given.assign_add(x)
            for part in (self.parts[0], self.parts[1]["deep"]):
                part.update_state(x)

        def result(self):
            return self.own + self.parts[0].result() + self.parts[1]["deep"].result()

    metric = Nested()
    assert [v.name for v in metric.variables] == ["own", "given", "total", "count", "total"]
    assert float(metric(2.0)) == 6
    metric.reset_state()
    assert [float(v) for v in metric.variables] == [0] * 5


def test_merge_state():
    first, second, third = metrics.Mean(), metrics.Mean(), metrics.Sum()
    first.update_state([1.0, 2.0])
    second.update_state(6.0)
    first.merge_state([second, second])
    assert float(first.result()) == 15 / 4 and float(second.result()) == 6
    with pytest.raises(ValueError, match=r"cannot merge <weft.metrics.Sum 'sum'> into .*\[\(\)\]"):
        first.merge_state([second, third])
    assert float(first.count) == 4


def test_copies_have_a_state_of_their_own():
    metric = metrics.BinaryAccuracy(threshold=0.3)
    metric.update_state([1.0, 0.0], [0.4, 0.4])
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert float(twin.result()) == 0.5
        twin.update_state([1.0], [0.4])
        assert float(twin.count) == 3 and float(metric.count) == 2
        twin.reset_state()
        assert float(twin.count) == 0 and float(metric.count) == 2


def test_a_metric_under_a_tape_and_in_a_compiled_function():
    metric = metrics.Mean()
    variable = weft.Variable(3.0)
    with weft.GradientTape() as tape:
        loss = variable * variable
        metric.update_state(loss)
    assert float(tape.gradient(loss, variable)) == 6

    @weft.function
    def step(x):
        metric.update_state(x)
        return metric.result()

    assert float(step(1.0)) == 5 and float(step(2.0)) == 4
    metric.reset_state()
    assert float(step(2.0)) == 2


def test_a_metric_does_not_follow_the_loss_it_was_given():
    metric, losses = metrics.Mean(), []
    for k in range(3):
        loss = weft.Variable(float(k))
        losses.append(metric(loss))
        loss.assign(100.0)
    assert [float(x) for x in losses] == [0, 0.5, 1]


WEIGHTS = [None, np.array([[1.0], [2.0]]), np.ones((2, 3)), np.array([1.0, 2.0])]


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "n1", "nt", "n"])
def test_a_mask_leaves_values_out(weight):
    target = np.zeros((2, 3, 1), "float32")
    output = np.arange(6, dtype="float32").reshape(2, 3, 1) + 1
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    theirs = keras.ops.convert_to_tensor(output)
    theirs._keras_mask = keras.ops.convert_to_tensor(mask)
    mine = weft.Variable(output)
    mine._keras_mask = mask
    # Keras refuses (n,) beside a mask.
    its = weight[:, None] if weight is not None and weight.ndim == 1 else weight
    metric, expected = metrics.MeanSquaredError(), keras.metrics.MeanSquaredError()
    metric.update_state(target, mine, weight)
    expected.update_state(target, theirs, its)
    assert float(metric.result()) == pytest.approx(float(expected.result()))
    assert float(metric.count) == pytest.approx(float(expected.count))


# What is refused --------------------------------------------------------------------------


def test_a_metric_without_result():
    class MyMetric(metrics.Metric):
        def update_state(self, x):
            pass

    metric = MyMetric()
    metric.update_state(1.0)
    with pytest.raises(
        NotImplementedError,
        match=r"MyMetric has no result: write result\(self\), returning a tensor",
    ):
        metric.result()


def test_a_metric_without_update_state():
    class Idle(metrics.Metric):
        pass

    with pytest.raises(NotImplementedError, match=r"Idle has no update_state: write update_state"):
        Idle()(1.0)


def test_a_metric_without_super_init():
    class Early(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight("total")

    class Late(metrics.Metric):
        def __init__(self):
            self.factor = 2

        def update_state(self, x):
            pass

    message = r"{}.__init__ did not call super\(\).__init__\(\)"
    with pytest.raises(RuntimeError, match=message.format("Early")):
        Early()
    with pytest.raises(RuntimeError, match=message.format("Late")):
        Late().update_state(1.0)
    with pytest.raises(RuntimeError, match=message.format("Late")):
        Late().reset_state()
    with pytest.raises(AttributeError, match="'Late' object has no attribute 'facto'"):
        _ = Late().facto


@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 4, 2)])
@pytest.mark.parametrize("cls", [metrics.Mean, metrics.Sum])
def test_weights_that_do_not_fit(cls, shape):
    metric = cls()
    metric.update_state([2.0])
    with pytest.raises(weft.ShapeError) as error:
        metric.update_state(np.ones((3, 4)), sample_weight=np.ones(shape))
    assert f"sample_weight of shape {shape} does not fit values of shape (3" in str(error.value)
    assert float(metric.result()) == 2


@pytest.mark.parametrize(
    ("name", "true", "pred", "message"),
    [
        ("Accuracy", (4,), (4, 4), "do not fit"),
        ("BinaryAccuracy", (3,), (4,), "do not fit"),
        ("CategoricalAccuracy", (4,), (4, 3), "labels go with sparse_categorical_accuracy"),
        ("SparseCategoricalAccuracy", (4, 3), (4, 3), "One-hot targets go with categorical_acc"),
        ("TopKCategoricalAccuracy", (4,), (4, 3), "go with sparse_top_k_categorical_accuracy"),
        ("SparseTopKCategoricalAccuracy", (4, 3), (4, 3), "go with top_k_categorical_accuracy"),
        ("RootMeanSquaredError", (4, 2), (4, 3), "do not fit"),
    ],
)
def test_shapes_that_do_not_fit(name, true, pred, message):
    metric = getattr(metrics, name)()
    with pytest.raises(weft.ShapeError, match=message) as error:
        metric.update_state(np.ones(true), np.ones(pred))
    assert f"y_true of shape {true}" in str(error.value) and str(pred) in str(error.value)
    assert float(metric.count) == 0


def test_scores_that_are_not_finite_are_wrong():
    scores = np.array([[np.nan, 1.0], [2.0, 1.0], [-np.inf, 1.0]])
    assert metrics.sparse_top_k_categorical_accuracy([0, 5, 0], scores, k=2).tolist() == [0, 0, 0]


def test_arguments_of_add_weight():
    metric = metrics.Metric()
    with pytest.raises(TypeError, match="add_weight takes name, shape, aggregation by position"):
        metric.add_weight("a", (), "sum", "zeros")
    with pytest.raises(weft.ShapeError, match=r"initial value has shape \(3,\), but shape=\(2,\)"):
        metric.add_weight("a", (2,), initializer=np.zeros(3))
    with pytest.raises(ValueError, match="unknown initializer 'zeroes'"):
        metric.add_weight("a", initializer="zeroes")
    assert metric.variables == []
