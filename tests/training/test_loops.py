"""fit, an own train_step, single batches and the plain loop: one training, many ways."""

import numpy as np
import pytest

import weft
from weft import layers


def arrays(n=96, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype("float32")
    return x, (x @ rng.normal(size=(5, classes))).argmax(-1)


class Net(weft.Model):
    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        self.hidden = weft.layers.Dense(8, activation="tanh")
        self.norm = weft.layers.BatchNormalization() if norm else None
        self.dropout = weft.layers.Dropout(dropout)
        self.out = weft.layers.Dense(3)

    def call(self, inputs):
        x = self.hidden(inputs)
        if self.norm is not None:
            x = self.norm(x)
        return self.out(self.dropout(x))


class OwnStep(Net):
    def train_step(self, data):
        x, y = data
        with weft.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def compiled(model, **options):
    model.compile(
        weft.optimizers.Adam(0.01),
        weft.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **options,
    )
    return model


def by_fit(x, y, epochs, cls=Net, options=None, **kwargs):
    weft.random.set_seed(1)
    model = compiled(cls(**kwargs), **(options or {}))
    history = model.fit(x, y, epochs=epochs, batch_size=32, shuffle=False, verbose=0)
    return model, history.history["loss"]


def by_loop(x, y, epochs, **kwargs):
    weft.random.set_seed(1)
    model = Net(**kwargs)
    optimizer = weft.optimizers.Adam(0.01)
    loss_fn = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = []
    for _ in range(epochs):
        mean = weft.metrics.Mean()
        for k in range(0, len(x), 32):
            with weft.GradientTape() as tape:
                loss = loss_fn(y[k : k + 32], model(x[k : k + 32], training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            mean.update_state(loss)
        losses.append(float(mean.result()))
    return model, losses


@pytest.mark.parametrize("kwargs", [{}, {"dropout": 0.5}, {"norm": True}])
def test_all_loops_train_alike(kwargs):
    """The same seed gives the same weights, dropout masks and losses in every loop."""
    x, y = arrays()
    reference, losses = by_fit(x, y, 3, **kwargs)
    assert losses[-1] < losses[0]
    for other, other_losses in (
        by_fit(x, y, 3, cls=OwnStep, **kwargs),
        by_fit(x, y, 3, options={"run_eagerly": True}, **kwargs),
        by_loop(x, y, 3, **kwargs),
    ):
        np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
        for a, b in zip(other.get_weights(), reference.get_weights()):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_train_on_batch_is_a_step_of_fit():
    x, y = arrays()
    reference, losses = by_fit(x, y, 1)
    weft.random.set_seed(1)
    model = compiled(Net())
    for k in range(0, len(x), 32):
        found = model.train_on_batch(
            x[k : k + 32], y[k : k + 32], return_dict=True, reset_metrics=k == 0
        )
    assert found["loss"] == pytest.approx(losses[0], rel=1e-5)
    for a, b in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    loss, accuracy = model.test_on_batch(x[:32], y[:32])
    assert 0 < loss < 5
    assert 0 <= accuracy <= 1


def test_no_program_is_compiled_after_the_second_step():
    x, y = arrays(32 * 8)
    model = compiled(Net(dropout=0.1, norm=True))
    model.fit(x[:64], y[:64], epochs=1, batch_size=32, verbose=0)
    before = weft.config.compile_count()

    class Rates(weft.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.01 / (batch + 1)

    model.fit(x, y, epochs=3, batch_size=32, verbose=0, callbacks=[Rates()])
    assert weft.config.compile_count() == before
    model.evaluate(x, y, batch_size=32, verbose=0)
    model.predict(x, batch_size=32, verbose=0)
    before = weft.config.compile_count()
    model.evaluate(x, y, batch_size=32, verbose=0)
    model.predict(x, batch_size=32, verbose=0)
    assert weft.config.compile_count() == before


def test_the_plain_loop_compiles_nothing_after_the_second_step():
    x, y = arrays(32 * 12)
    model = Net(dropout=0.1, norm=True)
    optimizer = weft.optimizers.Adam(0.01)
    loss_fn = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = weft.metrics.SparseCategoricalAccuracy()
    counts = []
    for step, k in enumerate(range(0, len(x), 32)):
        optimizer.learning_rate = 0.01 / (step + 1)
        with weft.GradientTape() as tape:
            logits = model(x[k : k + 32], training=True)
            loss = loss_fn(y[k : k + 32], logits) * (1.0 + 0.1 * step)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        accuracy.update_state(y[k : k + 32], logits)
        counts.append(weft.config.compile_count())
    assert counts[-1] == counts[1]


def test_an_evaluation_loop_over_a_plain_list_is_one_program_a_batch():
    x, y = arrays(32 * 6)
    model = Net()
    accuracy = weft.metrics.SparseCategoricalAccuracy()
    batches = [(x[k : k + 32], y[k : k + 32]) for k in range(0, len(x), 32)]
    counts = []
    for x_batch, y_batch in batches:
        accuracy.update_state(y_batch, model(x_batch, training=False))
        counts.append(weft.config.compile_count())
    expected = np.mean(model.predict(x, verbose=0).argmax(-1) == y)
    assert float(accuracy.result()) == pytest.approx(expected, abs=1e-6)
    assert counts[-1] == counts[2]


def test_a_step_that_branches_on_a_value_falls_back_and_says_where():
    x, y = arrays()
    seen = []

    class Branching(Net):
        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            if loss > 0.5:
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            seen.append(float(loss))
            return {"loss": loss}

    model = compiled(Branching())
    with pytest.warns(UserWarning, match=r"train_step asks for a tensor's value .*test_loops\.py"):
        history = model.fit(x, y, epochs=4, batch_size=32, verbose=0).history
    assert len(seen) == 12  # the attempt to trace it got no further than the branch
    assert history["loss"][-1] < history["loss"][0]


def test_run_eagerly_runs_the_python_at_every_step():
    x, y = arrays()
    values = []

    class Printing(Net):
        def call(self, inputs):
            outputs = super().call(inputs)
            values.append(float(outputs.numpy().mean()))
            return outputs

    model = compiled(Printing(), run_eagerly=True)
    model.fit(x, y, epochs=2, batch_size=32, verbose=0)
    assert len(values) == 6


def test_eager_mode_runs_the_python_at_every_step():
    x, y = arrays()
    reference, losses = by_fit(x, y, 1)
    calls = []

    class Counting(Net):
        def call(self, inputs):
            calls.append(float(inputs.numpy().sum()))
            return super().call(inputs)

    weft.config.set_eager(True)
    try:
        model, eager_losses = by_fit(x, y, 1, cls=Counting)
    finally:
        weft.config.set_eager(False)
    assert len(calls) == 3
    np.testing.assert_allclose(eager_losses, losses, rtol=1e-5)
    for a, b in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_evaluate_and_predict():
    x, y = arrays(80)
    model = compiled(Net())
    logits = model.predict(x, batch_size=32, verbose=0)
    assert logits.shape == (80, 3)
    found = model.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)
    shifted = logits - logits.max(-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(80), y]
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(-1) == y))
    np.testing.assert_allclose(model.predict_on_batch(x[:4]), logits[:4], rtol=1e-5)


def test_validation_weights_and_splits():
    x, y = arrays(100)
    model = compiled(Net())
    history = model.fit(
        x, y, epochs=2, verbose=0, validation_split=0.2, class_weight={0: 2.0, 1: 1.0, 2: 0.5}
    ).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    weights = np.where(y == 0, 2.0, np.where(y == 1, 1.0, 0.5)).astype("float32")
    weft.random.set_seed(3)
    a = compiled(Net())
    a.fit(x, y, epochs=2, verbose=0, shuffle=False, class_weight={0: 2.0, 1: 1.0, 2: 0.5})
    weft.random.set_seed(3)
    b = compiled(Net())
    b.fit(x, y, epochs=2, verbose=0, shuffle=False, sample_weight=weights)
    for v, w in zip(a.get_weights(), b.get_weights()):
        np.testing.assert_allclose(v, w, rtol=1e-5)


@pytest.mark.parametrize("kind", ["dataset", "generator", "list of rows"])
def test_sources_of_batches(kind):
    x, y = arrays(96)
    model = compiled(Net())
    if kind == "dataset":
        model.fit(weft.data.Dataset.from_tensor_slices((x, y)).batch(32), epochs=2, verbose=0)
    elif kind == "generator":

        def batches():
            while True:
                yield x[:32], y[:32]

        history = model.fit(batches(), steps_per_epoch=4, epochs=3, verbose=0)
        assert len(history.epoch) == 3
    else:
        model.fit(x.tolist(), y.tolist(), epochs=1, verbose=0)


@pytest.mark.parametrize("named", [True, False], ids=["y by name", "y"])
def test_one_output_by_its_name(named):
    x, _ = arrays(64)
    inputs = weft.Input(x.shape[1:])
    model = weft.Model(inputs, weft.layers.Dense(1, name="size")(inputs))
    model.compile("sgd", {"size": "mse"}, loss_weights={"size": 0.5}, metrics={"size": ["mae"]})
    size = x.sum(-1, keepdims=True)
    by_name = {"size": size} if named else size
    half = model.evaluate(x, by_name, verbose=0, return_dict=True)["loss"]
    assert set(model.fit(x, by_name, verbose=0, batch_size=64).history) == {"loss", "mae"}
    model = weft.Model(inputs, model.outputs[0])
    model.compile("sgd", {"class_name": "MeanSquaredError", "config": {}})
    assert model.evaluate(x, size, verbose=0) < 2 * half  # a config is a dict too; one step better
    model.compile("sgd", {"size": "mse", "colour": "mse"})
    with pytest.raises(ValueError, match=r"loss names \['size', 'colour'\], but the model has one"):
        model.fit(x, size, verbose=0)


def test_several_outputs_and_losses():
    x, y = arrays(64)

    class Two(weft.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = weft.layers.Dense(3), weft.layers.Dense(1)

        def call(self, inputs):
            return {"label": self.a(inputs), "size": self.b(inputs)}

    size = np.abs(x).sum(-1, keepdims=True)
    model = Two()
    model.compile(
        "adam",
        {
            "label": weft.losses.SparseCategoricalCrossentropy(from_logits=True),
            "size": "mse",
        },
        loss_weights={"label": 1.0, "size": 0.5},
        metrics={"label": ["accuracy"], "size": ["mae"]},
    )
    logs = model.fit(x, {"label": y, "size": size}, epochs=1, verbose=0, batch_size=64).history
    assert set(logs) == {"loss", "label_loss", "size_loss", "label_accuracy", "size_mae"}
    total = logs["label_loss"][0] + 0.5 * logs["size_loss"][0]
    assert logs["loss"][0] == pytest.approx(total, rel=1e-5)


def test_a_gan_step_with_two_optimizers():
    class Gan(weft.Model):
        def __init__(self):
            super().__init__()
            self.g = weft.Sequential([weft.layers.Dense(8, "relu"), weft.layers.Dense(2)])
            self.d = weft.Sequential([weft.layers.Dense(8, "relu"), weft.layers.Dense(1)])

        def compile(self, g_optimizer, d_optimizer, loss):
            super().compile()
            self.g_optimizer, self.d_optimizer, self.loss_fn = g_optimizer, d_optimizer, loss

        def train_step(self, real):
            noise = weft.random.normal((real.shape[0], 4))
            with weft.GradientTape() as g_tape, weft.GradientTape() as d_tape:
                fake = self.g(noise, training=True)
                on_fake, on_real = self.d(fake, training=True), self.d(real, training=True)
                g_loss = self.loss_fn(weft.ops.ones_like(on_fake), on_fake)
                d_loss = self.loss_fn(weft.ops.ones_like(on_real), on_real) + self.loss_fn(
                    weft.ops.zeros_like(on_fake), on_fake
                )
            g, d = self.g.trainable_variables, self.d.trainable_variables
            self.g_optimizer.apply_gradients(zip(g_tape.gradient(g_loss, g), g))
            self.d_optimizer.apply_gradients(zip(d_tape.gradient(d_loss, d), d))
            return {"g": g_loss, "d": d_loss}

    rng = np.random.default_rng(0)
    real = (rng.normal(size=(256, 2)) * 0.2 + 3).astype("float32")
    gan = Gan()
    gan.compile(
        weft.optimizers.Adam(0.01),
        weft.optimizers.Adam(0.01),
        weft.losses.BinaryCrossentropy(from_logits=True),
    )
    before = weft.config.compile_count()
    history = gan.fit(real, epochs=60, batch_size=64, verbose=0).history
    assert len(gan.programs["train_step"]) == 1
    assert weft.config.compile_count() == before + 1
    assert np.isfinite(history["g"]).all()
    made = gan.g(rng.normal(size=(200, 4)).astype("float32")).numpy()
    assert np.linalg.norm(made.mean(0) - 3) < np.linalg.norm([3, 3]) * 0.6


def test_a_step_that_updates_each_of_its_metrics():
    """As in Keras 3's guide to custom steps: the compiled metrics are made by the first update."""
    x, y = arrays()

    class Each(Net):
        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    history = compiled(Each()).fit(x, y, epochs=2, shuffle=False, verbose=0).history
    weft.random.set_seed(0)
    assert set(history) == {"loss", "accuracy"}
    assert 0 < history["accuracy"][0] <= 1


# -- bad input ------------------------------------------------------------------------------


def test_fit_without_compile():
    x, y = arrays()
    with pytest.raises(ValueError, match=r"model 'net.*' is not compiled.*compile"):
        Net().fit(x, y)


def test_arrays_of_unlike_length():
    x, y = arrays()
    model = compiled(Net())
    with pytest.raises(ValueError, match=r"same number of examples.*x: 96, y: 90"):
        model.fit(x, y[:90], verbose=0)
    assert not model.weights  # refused before anything was made


@pytest.mark.parametrize(
    "data", [(np.zeros((0, 5), "float32"), np.zeros(0, int)), (iter(()), None)]
)
def test_no_data(data):
    with pytest.raises(ValueError, match=r"no (examples|batches)"):
        compiled(Net()).fit(*data, verbose=0)


def test_shapes_that_do_not_fit_name_the_layer():
    x, y = arrays()
    model = compiled(Net())
    model.fit(x, y, verbose=0)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"dense.*\[32, 4\].*kernel\[5, 8\]"):
        model.fit(x[:, :4], y, verbose=0)
    for a, b in zip(model.get_weights(), before):
        np.testing.assert_array_equal(a, b)
    model.fit(x, y, verbose=0)


def test_a_loss_that_is_no_scalar():
    x, y = arrays()
    model = Net()
    loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    model.compile("adam", loss)
    with pytest.raises(ValueError, match=r"returned shape \(32,\).*must be a scalar"):
        model.fit(x, y, verbose=0)


def test_no_loss_at_all():
    x, y = arrays()
    model = Net()
    model.compile("adam")
    with pytest.raises(ValueError, match="no loss to minimise"):
        model.fit(x, y, verbose=0)


def test_nan_data_trains_on_and_stops_when_asked():
    x, y = arrays()
    x[3, 2] = np.nan
    model = compiled(Net())
    history = model.fit(x, y, epochs=3, shuffle=False, verbose=0).history
    assert len(history["loss"]) == 3
    assert np.isnan(history["loss"]).all()
    model = compiled(Net())
    stopped = model.fit(
        x, y, epochs=5, shuffle=False, verbose=0, callbacks=[weft.callbacks.TerminateOnNaN()]
    )
    assert len(stopped.epoch) == 1


def test_a_step_that_returns_no_dict():
    x, y = arrays()

    class Odd(Net):
        def train_step(self, data):
            return 3

    with pytest.raises(ValueError, match="train_step must return a dict"):
        compiled(Odd()).fit(x, y, verbose=0)


@pytest.mark.parametrize("again", [False, True])
def test_labels_outside_the_classes(again):
    x, y = arrays()
    model = compiled(Net())
    if again:
        model.fit(x, y, verbose=0)
    before = [w.copy() for w in model.get_weights()] if again else None
    y = y.copy()
    y[5] = 3
    with pytest.raises(ValueError, match=r"labels run from 0 to 3.*3 classes.*within 0 to 2"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"labels run from 0 to 3"):
        model.evaluate(x, y, verbose=0)
    for a, b in zip(model.get_weights(), before or model.get_weights()):
        np.testing.assert_array_equal(a, b)
    loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"labels run from 0 to 3"):
        loss(y, model(x))


def test_callbacks_see_an_epoch_without_waiting_for_it():
    """Logs that nobody reads are not fetched."""
    x, y = arrays()

    class Watch(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert logs.unfetched()["loss"].__class__ is weft.Tensor

    compiled(Net()).fit(x, y, epochs=1, verbose=0, callbacks=[Watch()])


def test_keras_2_s_order_of_compile_s_arguments():
    x = np.ones((4, 3), "float32")
    for metrics in (["mae"], [weft.metrics.MeanAbsoluteError(name="mae")], "mae"):
        model = weft.Sequential([weft.layers.Dense(1)])
        model.compile("sgd", "mse", metrics)
        assert "mae" in model.fit(x, x[:, :1], verbose=0).history


def test_values_of_a_batch_are_its_own():
    """As Keras's are: neither an epoch of fit nor the batch before counts."""
    x, y = arrays()
    model = compiled(Net())
    model.fit(x, y, verbose=0)
    found = [model.test_on_batch(x[k : k + 32], y[k : k + 32]) for k in (0, 32, 0)]
    assert found[0] == found[2] != found[1]
    first, _ = model.train_on_batch(x[:32], y[:32])
    assert first == pytest.approx(found[0][0], rel=1e-5)
    both = model.test_on_batch(x[:32], y[:32]), model.test_on_batch(
        x[32:64], y[32:64], reset_metrics=False
    )
    last, _ = model.test_on_batch(x[32:64], y[32:64])
    assert both[1][0] == pytest.approx((both[0][0] + last) / 2, rel=1e-5)


class Keras2Step(weft.Sequential):
    """A step as it was written for Keras 2.9: the loss by `compute_loss`, metrics by themselves."""

    def train_step(self, data):
        x, y = data
        with weft.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.update(y, y_pred, loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def update(self, y, y_pred, loss):
        self.compiled_metrics.update_state(y, y_pred)


class Keras3Step(Keras2Step):
    """As Keras 3's guide has it: the loss's metric is one of the metrics."""

    def update(self, y, y_pred, loss):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)


@pytest.mark.parametrize("cls", [Keras2Step, Keras3Step])
def test_the_loss_of_a_step_of_one_s_own_is_logged_once(cls):
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    found = []
    for made in (cls, weft.Sequential):
        weft.random.set_seed(0)
        model = made([weft.Input((3,)), layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        found.append(model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0, shuffle=False))
    for name in ("loss", "mae"):
        np.testing.assert_allclose(found[0].history[name], found[1].history[name], rtol=1e-5)


def test_a_step_with_other_arguments_is_refused():
    class Pure(weft.Sequential):
        def train_step(self, state, data):
            return {}, state

    model = Pure([weft.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    match = r"Pure.train_step must take one argument, the batch: `def train_step\(self, data\)`"
    with pytest.raises(TypeError, match=match):
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
