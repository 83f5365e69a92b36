"""Code as people write it against tf.keras, run as it stands with `from weft import tf`."""

import numpy as np
import pytest

from weft import tf


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 8)).astype("float32")
    y = (x @ rng.normal(size=(8, 3))).argmax(-1)
    return x, y


# -- models and layers as in a user's file ---------------------------------------------------


class MyDenseLayer(tf.keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer='random_normal')
        self.b = self.add_weight(shape=(self.units,), initializer='zeros')

    def call(self, inputs):
        return tf.matmul(inputs, self.w) + self.b


class MyModel(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense1 = tf.keras.layers.Dense(64, activation='relu')
        self.dense2 = tf.keras.layers.Dense(10)

    def call(self, inputs):
        x = self.dense1(inputs)
        return self.dense2(x)


class MyTrainedModel(MyModel):                   # custom logic under fit()
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class CustomCallback(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if logs['val_accuracy'] > 0.9:
            print("Validation accuracy over 90%, stopping training.")
            self.model.stop_training = True


class MyCustomLoss(tf.keras.losses.Loss):
    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.square(y_true - y_pred))


class MyMetric(tf.keras.metrics.Metric):
    def __init__(self, name="my_metric", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(tf.abs(y_true - y_pred)))


class MyMetricWithResult(MyMetric):
    def result(self):
        return self.total


class Reporting(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = tf.keras.layers.Dense(3)

    def call(self, inputs):
        output = self.dense(inputs)
        self.add_metric(tf.reduce_mean(output), name='output_mean')
        self.add_loss(tf.reduce_sum(output))
        return output


# -- what they do ---------------------------------------------------------------------------


def test_the_undecorated_loop(data):
    x, y = data
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    epochs = 100
    losses = []

    model = MyModel()
    optimizer = tf.keras.optimizers.Adam()
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    for epoch in range(epochs):  # noqa: B007  (as it is written in guides)
        for x_batch, y_batch in dataset:
            with tf.GradientTape() as tape:          # records the forward pass
                logits = model(x_batch, training=True)
                loss = loss_fn(y_batch, logits)
            grads = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(grads, model.trainable_variables))
        losses.append(float(loss))

    assert losses[-1] < 0.3 * losses[0]


def test_the_undecorated_loop_on_probabilities(data):
    """As in the documentation: the default loss, on outputs that sum to one."""
    x, y = data
    model = tf.keras.Sequential([tf.keras.layers.Dense(10, activation="softmax")])
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy()
    optimizer = tf.keras.optimizers.Adam(0.05)
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
    assert float(loss) < 0.4


def test_a_train_step_of_ones_own_under_fit(data):
    x, y = data
    model = MyTrainedModel()
    model.compile(
        "adam",
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(x, y, epochs=40, batch_size=16, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert history["loss"][-1] < 0.4 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9


def test_a_custom_layer():
    layer = MyDenseLayer(4)
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(layer(x).numpy(), x @ layer.w.numpy() + layer.b.numpy(), rtol=1e-6)
    assert [w.shape for w in layer.trainable_variables] == [(3, 4), (4,)]


def test_a_custom_callback_stops_training(data, capsys):
    x, y = data
    model = MyModel()
    model.compile(
        tf.keras.optimizers.Adam(0.01),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        x, y, epochs=200, verbose=0, validation_data=(x, y), callbacks=[CustomCallback()]
    )
    assert len(history.epoch) < 200
    assert history.history["val_accuracy"][-1] > 0.9
    assert "Validation accuracy over 90%, stopping training." in capsys.readouterr().out


def test_a_custom_loss_and_metric_through_compile(data):
    x, _ = data
    y = x[:, :2] * 2
    model = tf.keras.Sequential([tf.keras.layers.Dense(2)])
    model.compile(tf.keras.optimizers.Adam(0.05), MyCustomLoss(), metrics=[MyMetricWithResult()])
    history = model.fit(x, y, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    pred = model.predict(x, verbose=0)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["my_metric"] == pytest.approx(np.abs(y - pred).sum(), rel=1e-4)
    assert found["loss"] == pytest.approx(np.square(y - pred).mean(), rel=1e-4)


def test_a_metric_without_result_says_so(data):
    metric = MyMetric()
    metric.update_state(np.zeros(3, "float32"), np.ones(3, "float32"))
    with pytest.raises(NotImplementedError, match=r"MyMetric.*result"):
        metric.result()


def test_losses_and_metrics_added_inside_a_layer(data):
    x, y = data
    layer = Reporting()
    output = layer(x)
    assert float(layer.losses[0]) == pytest.approx(float(output.numpy().sum()), rel=1e-4)
    assert [m.name for m in layer.metrics] == ["output_mean"]

    model = tf.keras.Sequential([Reporting()])
    model.compile(
        tf.keras.optimizers.SGD(1e-5),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(before) == {"loss", "output_mean"}
    plain = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x))
    rows = np.array_split(model.predict(x, verbose=0), 3)
    added = np.mean([r.sum() for r in rows])
    assert before["loss"] == pytest.approx(float(plain) + added, rel=1e-3)
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert set(history) == {"loss", "output_mean"}
    assert history["output_mean"][1] < history["output_mean"][0]
