"""Metrics by subclass, as users write them: in plain loops, in `weft.function` and under `fit`."""

import numpy as np
import pytest

import weft
from tests.metrics.registry import close
from tests.metrics.samples import bits, real, unit
from weft import metrics, ops

X = real((8, 4))
Y = bits((8, 3))


class AbsoluteTotal(metrics.Metric):
    """Keras 2's style: a name with a default, `assign_add`, the variable itself as result."""

    def __init__(self, name="my_metric", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)))
        return self.total  # what is returned is nobody's concern

    def result(self):
        return self.total


class WithoutResult(metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass


class MultiLabelF1(metrics.Metric):
    """Of two metrics inside."""

    def __init__(self, threshold=0.5, name="f1", **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        self.precision = metrics.Precision(thresholds=threshold)
        self.recall = metrics.Recall(thresholds=threshold)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.precision.update_state(y_true, y_pred, sample_weight)
        self.recall.update_state(y_true, y_pred, sample_weight)

    def result(self):
        p, r = self.precision.result(), self.recall.result()
        return 2 * p * r / (p + r + 1e-7)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


class PerLabel(metrics.Metric):
    """A list of metrics, and a dict of results."""

    def __init__(self, labels, **kwargs):
        super().__init__(**kwargs)
        self.parts = [metrics.BinaryAccuracy(name=f"label_{k}") for k in range(labels)]
        self.seen = self.add_weight(shape=(labels, 2), name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        for k, part in enumerate(self.parts):
            part.update_state(y_true[:, k], y_pred[:, k])
        positive = ops.sum(ops.cast(y_true, "float32"), axis=0)
        self.seen.assign_add(ops.stack([positive, y_true.shape[0] - positive], axis=1))

    def result(self):
        scores = {part.name: part.result() for part in self.parts}
        return {**scores, "positive": ops.sum(self.seen[:, 0])}


class Lazy(metrics.Metric):
    """State whose shape the first batch tells."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        if not hasattr(self, "columns"):
            self.columns = self.add_weight(shape=(y_pred.shape[-1],), name="columns")
        self.columns.assign_add(ops.sum(y_pred, axis=0))

    def result(self):
        return ops.max(self.columns)


def compiled(*given, **options):
    model = weft.models.Sequential([weft.layers.Dense(3, activation="sigmoid")])
    model.compile("sgd", "mse", metrics=list(given), **options)
    return model


def each_batch(metric, model, size=4):
    metric.reset_state()
    for k in range(0, len(X), size):
        metric.update_state(Y[k : k + size], model(X[k : k + size]))
    return metric.result()


@pytest.mark.parametrize(
    "make", [AbsoluteTotal, MultiLabelF1, lambda: PerLabel(3), Lazy], ids="abcd"
)
def test_loop_function_and_fit_agree(make):
    metric, other, traced = make(), make(), make()
    model = compiled(metric)
    logs = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    logs.pop("loss")
    expected = each_batch(other, model)
    if not isinstance(expected, dict):
        expected = {metric.name: expected}
    assert logs.keys() == expected.keys()

    @weft.function
    def step(y_true, y_pred):
        traced.update_state(y_true, y_pred)
        return traced.result()

    for k in (0, 4):
        found = step(Y[k : k + 4], model(X[k : k + 4]))
    found = found if isinstance(found, dict) else {metric.name: found}
    for name, value in expected.items():
        close(logs[name], value, 1e-6)
        close(found[name], value, 1e-6)
    assert [tuple(v.shape) for v in traced.variables] == [tuple(v.shape) for v in other.variables]


def test_results_that_are_dicts_are_logged_by_their_keys():
    history = compiled(PerLabel(3)).fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0).history
    keys = {"loss", "label_0", "label_1", "label_2", "positive"}
    assert history.keys() == keys | {f"val_{k}" for k in keys}
    assert history["positive"] == [Y.sum()] * 2 == history["val_positive"]


def test_the_f1_of_two_metrics_is_the_f1():
    mine, built_in = MultiLabelF1(), metrics.F1Score(average="micro", threshold=0.5)
    for _ in range(2):
        y_true, y_pred, weight = bits((8, 3)), unit((8, 3)), unit((8,))
        mine.update_state(y_true, y_pred, weight)
        built_in.update_state(y_true, y_pred, weight)
    close(mine.result(), built_in.result())
    twin = MultiLabelF1.from_config(mine.get_config())
    assert twin.threshold == 0.5 and twin.name == "f1"


def test_vectors_are_logged_as_arrays():
    logs = compiled(metrics.F1Score(threshold=0.5)).fit(X, Y, epochs=2, verbose=0).history
    assert [np.shape(v) for v in logs["f1_score"]] == [(3,), (3,)]


def test_reset_at_each_epoch_evaluation_and_validation():
    events = []

    class Watched(AbsoluteTotal):
        def reset_state(self):
            events.append("reset")
            super().reset_state()

        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true, y_pred)
            weft.ops.shape(y_true)

    metric = Watched()
    metric.update_state(Y, Y + 100)  # what it saw before does not count
    model = compiled(metric, run_eagerly=True)
    history = model.fit(X, Y, epochs=2, batch_size=8, validation_data=(X, Y), verbose=0).history
    before = len(events)
    assert before == 4  # each epoch, each validation
    value = model.evaluate(X, Y, verbose=0)[1]
    assert len(events) == before + 1
    # A sum that was not reset would have grown with every epoch.
    assert value == pytest.approx(history["val_my_metric"][-1])
    close(history["my_metric"][1], history["my_metric"][0], 0.2)


def test_keras_2_s_reset_states_overridden_is_what_fit_calls():
    calls = []

    class Old(AbsoluteTotal):
        def reset_states(self):
            calls.append(self.name)
            self.total.assign(0.0)

    class Older(Old):
        def reset_states(self):
            super().reset_states()
            calls.append("more")

    metric = Older()
    model = compiled(metric)
    first = model.evaluate(X, Y, verbose=0)[1]
    assert calls and calls[:2] == ["my_metric", "more"]
    assert model.evaluate(X, Y, verbose=0)[1] == pytest.approx(first)
    calls.clear()
    metric.reset_state()
    assert calls == ["my_metric", "more"] and float(metric.total) == 0

    class New(AbsoluteTotal):
        def reset_state(self):
            calls.append("new")
            super().reset_state()

    calls.clear()
    New().reset_states()
    assert calls == ["new"]


def test_a_plain_loop_compiles_once_for_several_metrics():
    model = weft.models.Sequential([weft.layers.Dense(3, activation="sigmoid")])
    optimizer, loss = weft.optimizers.SGD(0.1), weft.losses.MeanSquaredError()
    several = [AbsoluteTotal(), MultiLabelF1(), PerLabel(3), metrics.F1Score("macro", 0.5)]

    def epoch():
        for k in (0, 4):
            x, y = X[k : k + 4], Y[k : k + 4]
            with weft.GradientTape() as tape:
                y_pred = model(x, training=True)
                value = loss(y, y_pred)
            for metric in several:
                metric.update_state(y, y_pred)
            grads = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        found = [metric.result() for metric in several]
        values = [v for f in found for v in (f.values() if isinstance(f, dict) else [f])]
        assert all(np.isfinite(float(v)) for v in values)
        for metric in several:
            metric.reset_state()

    epoch()
    epoch()
    before = weft.config.compile_count()
    epoch()
    assert weft.config.compile_count() == before


def test_calling_a_metric_updates_it():
    metric = AbsoluteTotal()
    assert float(metric(np.ones(2), np.zeros(2))) == 2
    assert float(metric(np.ones(2), np.zeros(2))) == 4


# What is refused -----------------------------------------------------------------------------


def test_a_metric_without_result_under_fit():
    with pytest.raises(NotImplementedError, match="WithoutResult has no result: write result"):
        compiled(WithoutResult()).fit(X, Y, verbose=0)


def test_a_result_that_forgets_to_return():
    class Forgetful(AbsoluteTotal):
        def result(self):
            self.total / 2

    with pytest.raises(TypeError, match=r"Forgetful.result returned None: end it with `return`"):
        Forgetful().result()


def test_a_result_that_is_no_number():
    class Pair(AbsoluteTotal):
        def result(self):
            return [self.total, self.total]

    with pytest.raises(TypeError, match=r"metric 'my_metric' \(Pair\) returned a list as its re"):
        compiled(Pair()).fit(X, Y, verbose=0)


def test_a_result_of_several_values_where_one_is_monitored():
    stop = weft.callbacks.EarlyStopping(monitor="f1_score", mode="max")
    model = compiled(metrics.F1Score(threshold=0.5))
    with pytest.raises(ValueError, match=r"needs one number to monitor; 'f1_score' has shape \(3"):
        model.fit(X, Y, verbose=0, callbacks=[stop])


@pytest.mark.parametrize("name", [3, ["a"], b"a"])
def test_a_name_that_is_no_string(name):
    with pytest.raises(TypeError, match="Mean: name must be a string, got"):
        metrics.Mean(name=name)


def test_an_update_without_predictions():
    metric = metrics.MeanSquaredError()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y_pred'"):
        metric.update_state([1.0])
    assert float(metric.count) == 0


def test_names_are_numbered_where_they_are_taken():
    assert [Lazy().name, Lazy().name, WithoutResult().name] == ["lazy", "lazy_1", "without_result"]


def test_a_string_that_goes_by_the_shapes():
    model = weft.models.Sequential([weft.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc", "ce", "crossentropy"])
    logs = model.evaluate(X, Y[:, 0].astype(int), verbose=0, return_dict=True)
    assert list(logs) == ["loss", "acc", "ce", "crossentropy"]
    assert logs["ce"] == pytest.approx(logs["loss"]) == logs["crossentropy"]
