"""Losses, metrics and values for the logs that layers add from inside, in every loop."""

import numpy as np
import pytest

import weft
from weft import layers, ops

X = np.linspace(-1, 2, 30, dtype="float32").reshape(10, 3)  # the last batch of four is short
Y = X.sum(1, keepdims=True)
MEANS = [X[k : k + 4].mean() for k in (0, 4, 8)]


class Watch(layers.Layer):
    """Hands its input on, and does something with it."""

    def __init__(self, watch, **kwargs):
        super().__init__(**kwargs)
        self.watch = watch

    def call(self, x, training=None):
        self.watch(self, x, training)
        return x


def net(watch):
    model = weft.Sequential([Watch(watch), layers.Dense(1, kernel_initializer="ones")])
    model.compile(weft.optimizers.SGD(0.0), "mse")
    return model


def fit(model, epochs=2, **options):
    options = {"batch_size": 4, "shuffle": False, "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, **options).history


def values(layer, x, training):
    layer.add_metric(ops.mean(x), name="added")
    layer.add_metric(x, name="elements")
    layer.log("mean", ops.mean(x))
    layer.log("sum", ops.sum(x), reduce="sum")
    layer.log("last", x, "last")
    layer.log("number", 3)


EXPECTED = {
    "added": np.mean(MEANS), "elements": X.mean(), "mean": np.mean(MEANS), "sum": X.sum(),
    "last": MEANS[-1], "number": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"steps_per_execution": 2}, {"run_eagerly": True}], ids=str
)
def test_values_in_fit_and_evaluate(options):
    model = net(values)
    model.compile(weft.optimizers.SGD(0.0), "mse", **options)
    history = fit(model, validation_data=(X[:4], Y[:4]))
    assert list(history)[:7] == ["loss", *EXPECTED]
    for name, value in EXPECTED.items():
        assert history[name] == pytest.approx([value] * 2, rel=1e-5), name
        at_validation = {"sum": X[:4].sum(), "number": 3}.get(name, MEANS[0])
        assert history[f"val_{name}"] == pytest.approx([at_validation] * 2, rel=1e-5), name
    found = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    for name, value in EXPECTED.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_nothing_compiles_again_and_nobody_waits():
    class Unread(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert {type(logs.unfetched()[name]) for name in EXPECTED} == {weft.Tensor}

    model = net(values)
    fit(model, 1)
    before = weft.config.compile_count()
    fit(model, 2, callbacks=[Unread()])
    assert weft.config.compile_count() == before


def test_in_the_plain_loop():
    model = net(values)
    optimizer = weft.optimizers.SGD(0.0)
    counts = []
    for _ in range(2):
        model.reset_metrics()
        for k in (0, 4, 0, 4):
            with weft.GradientTape() as tape:
                loss = ops.mean((model(X[k : k + 4], training=True) - Y[k : k + 4]) ** 2)
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            counts.append(weft.config.compile_count())
        found = {m.name: float(m.result()) for m in model.metrics if m.name in EXPECTED}
        assert found["mean"] == pytest.approx(np.mean(MEANS[:2]))
        assert found["sum"] == pytest.approx(2 * X[:8].sum())
        assert found["last"] == pytest.approx(MEANS[1])
    assert counts[-1] == counts[-4]


def test_only_what_was_logged_is_shown():
    def watch(layer, x, training):
        if training:
            layer.log("temperature", ops.max(x))

    history = fit(net(watch), validation_data=(X, Y))
    assert set(history) == {"loss", "val_loss", "temperature"}


def test_a_step_of_one_s_own():
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.inside = Watch(lambda layer, x, training: layer.log("inside", ops.mean(x)))

        def call(self, x):
            return self.dense(self.inside(x))

        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            self.log("step", loss, reduce="last")
            return {"mine": loss}

        def test_step(self, data):
            return {"rows": data[0].shape[0]}

    for steps in (1, 2):
        model = Own()
        model.compile(weft.optimizers.SGD(0.0), steps_per_execution=steps)
        history = fit(model)
        assert set(history) == {"mine", "step", "inside"}
        assert history["step"] == pytest.approx(history["mine"], rel=1e-5)
        assert history["inside"] == pytest.approx([np.mean(MEANS)] * 2, rel=1e-5)
        assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"rows": 10}


def test_beside_metrics_of_one_s_own():
    """A model that says itself what its metrics are, as in Keras's guides."""

    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.mean_loss = weft.metrics.Mean(name="mine")

        @property
        def metrics(self):
            return [self.mean_loss]

        def call(self, x):
            self.log("rows", x.shape[0], reduce="sum")
            return self.dense(x)

        def train_step(self, data):
            self.mean_loss.update_state(ops.mean(self(data[0])))
            return {m.name: m.result() for m in self.metrics}

    model = Own()
    model.compile()
    history = fit(model, epochs=4)
    assert history["rows"] == [10] * 4
    assert history["mine"] == pytest.approx([history["mine"][0]] * 4)


def test_several_layers_and_taken_names():
    class Both(weft.Model):
        def __init__(self):
            super().__init__()
            self.a = Watch(lambda layer, x, training: layer.log("level", ops.mean(x)))
            self.b = Watch(lambda layer, x, training: layer.log("level", ops.mean(x) + 1))
            self.out = layers.Dense(1)

        def call(self, x):
            self.log("loss", 7.0)
            return self.out(self.b(self.a(x)))

    model = Both()
    model.compile("sgd", "mse")
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["level_1"] == pytest.approx(found["level"] + 1)
    assert found["loss_1"] == 7 and found["loss"] != 7


def test_a_layer_called_twice_counts_twice():
    shared = Watch(lambda layer, x, training: (layer.log("m", ops.mean(x)), layer.add_loss(1.0)))
    x = weft.Input((3,))
    model = weft.Model(x, [shared(x), shared(3 * x)])
    model.compile("sgd")
    found = model.evaluate(X, batch_size=10, verbose=0, return_dict=True)
    assert found == pytest.approx({"loss": 2.0, "m": 2 * X.mean()}, abs=1e-6)
    model(X)
    assert list(map(float, model.losses)) == [1, 1]


def test_symbolic_values_of_a_graph():
    x = weft.Input((3,))
    y = layers.Dense(1, kernel_initializer="ones")(x)
    model = weft.Model(x, y)
    model.add_loss(ops.mean(y) * 0.5)
    model.add_metric(ops.mean(y), name="level")
    model.log("top", ops.max(y), reduce="last")
    model.compile(weft.optimizers.SGD(0.0))
    history = fit(model, validation_data=(X, Y))
    level = np.mean([Y[k : k + 4].mean() for k in (0, 4, 8)])
    assert history["level"] == pytest.approx([level] * 2, rel=1e-5)
    assert history["top"] == pytest.approx([Y.max()] * 2, rel=1e-5)
    weighted = np.average([Y[k : k + 4].mean() for k in (0, 4, 8)], weights=[4, 4, 2])
    assert history["loss"] == pytest.approx([weighted / 2] * 2, rel=1e-4, abs=1e-6)
    assert set(history) == {f"{v}{n}" for v in ("", "val_") for n in ("loss", "level", "top")}


def test_losses_count_once():
    """Those of layers, regularizers and models inside, with a layer that both hold."""
    l2 = weft.regularizers.L2(0.1)
    dense = layers.Dense(3, use_bias=False, kernel_initializer="ones", kernel_regularizer=l2)
    adds = Watch(lambda layer, x, training: layer.add_loss(0.5))
    inner = weft.Sequential([dense, adds])

    class Outer(weft.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.dense, self.adds = inner, dense, adds

        def call(self, x):
            return self.dense(self.inner(x))

    model = Outer()
    model.compile(weft.optimizers.SGD(0.0))
    for _ in range(2):
        assert model.evaluate(X, verbose=0) == pytest.approx(0.5 + 0.1 * 9)
    assert fit(model)["loss"] == pytest.approx([0.5 + 0.9] * 2)
    model(X)
    assert sum(map(float, model.losses)) == pytest.approx(1.4)


def test_predict_returns_outputs_alone():
    x = weft.Input((3,))
    watch = Watch(lambda layer, x, training: layer.log("m", ops.mean(x)))
    model = weft.Model(x, {"p": watch(x), "q": 2 * x})
    found = model.predict(X, verbose=0)
    assert set(found) == {"p", "q"}
    np.testing.assert_array_equal(found["p"], X)


def test_half_precision_is_summed_in_full():
    model = weft.Sequential(
        [Watch(lambda layer, x, training: layer.log("s", x, "sum"), dtype="bfloat16")]
    )
    for _ in range(3):
        model(np.full((1000, 1), 1.0, "float32"))
    assert float(model.metrics[0].result()) == 3000


def test_an_attribute_named_log():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.log = []

        def call(self, x):
            self.log.append(tuple(x.shape))
            self.add_metric(ops.mean(x), name="m")
            return x

    layer = Own()
    layer(X)
    assert layer.log == [(10, 3)]
    assert [m.name for m in layer.metrics] == ["m"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("v", 1.0, "max"), ValueError, "reduce must be one of mean, sum, last, got 'max'"),
        ((3, 1.0), TypeError, "the name must be a string, got 3"),
        (("v", "text"), TypeError, "expected a tensor, an array or a number"),
    ],
)
def test_bad_values(arguments, error, message):
    layer = layers.Layer()
    with pytest.raises(error, match=message):
        layer.log(*arguments)
    assert layer.metrics == []


def test_one_name_has_one_reduce():
    layer = layers.Layer()
    layer.log("v", 1.0)
    with pytest.raises(ValueError, match="'v' was logged with reduce='mean' and now with 'sum'"):
        layer.log("v", 1.0, reduce="sum")
    assert float(layer.metrics[0].result()) == 1


def test_a_callback_reads_what_layers_log_in_every_epoch():
    found = []

    class Reads(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found.append(sorted(self.model.get_metrics_result()))

        def on_epoch_begin(self, epoch, logs=None):
            found.append(sorted(self.model.get_metrics_result()))

    class Says(layers.Layer):
        def call(self, x):
            self.log("size", weft.ops.mean(x))
            return x

    model = weft.Sequential([weft.Input((2,)), Says(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, verbose=0, callbacks=[Reads()])
    assert found == [["loss"], ["loss", "size"]] * 3
