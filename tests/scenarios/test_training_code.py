"""Training programs as people write them for tf.keras; every number is TensorFlow 2.21's own."""

import numpy as np

from weft import tf
from weft.tf import keras
from weft.tf.keras import layers

rng = np.random.RandomState(3)
X = rng.randn(256, 10).astype("float32")
Y = (X @ rng.randn(10, 4)).argmax(1).astype("int32")


def same_weights(*models):
    """The weights with which TensorFlow was run."""
    rng = np.random.RandomState(0)
    for model in models:
        for w in model.trainable_variables:
            shape = tuple(w.shape)
            value = rng.normal(size=shape) / np.sqrt(shape[0]) if len(shape) > 1 else 0 * w.numpy()
            w.assign(value.astype("float32"))


def mlp(*widths, inputs=10, activation="relu"):
    hidden = [layers.Dense(n, activation=activation) for n in widths[:-1]]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(widths[-1])])


def sparse():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def close(got, want):
    np.testing.assert_allclose(np.asarray(got, "float64"), want, rtol=2e-4, atol=2e-5)


# -- contrastive learning: two optimizers, a variable of one's own, zipped data --------------


class Contrastive(keras.Model):
    def __init__(self, width=16):
        super().__init__()
        self.encoder = mlp(width)
        self.encoder.add(layers.ReLU())
        self.head = mlp(width, width, inputs=width)
        self.probe = mlp(4, inputs=width)
        self.log_temperature = tf.Variable(np.log(0.1).astype("float32"), name="log_temperature")

    def compile(self, contrastive_optimizer, probe_optimizer, **kwargs):
        super().compile(**kwargs)
        self.contrastive_optimizer = contrastive_optimizer
        self.probe_optimizer = probe_optimizer
        self.probe_loss = sparse()
        self.contrastive_tracker = keras.metrics.Mean(name="c_loss")
        self.contrastive_accuracy = keras.metrics.SparseCategoricalAccuracy(name="c_acc")
        self.probe_tracker = keras.metrics.Mean(name="p_loss")
        self.probe_accuracy = keras.metrics.SparseCategoricalAccuracy(name="p_acc")

    @property
    def metrics(self):
        return [
            self.contrastive_tracker,
            self.contrastive_accuracy,
            self.probe_tracker,
            self.probe_accuracy,
        ]

    def contrastive_loss(self, p1, p2):
        p1 = tf.math.l2_normalize(p1, axis=1)
        p2 = tf.math.l2_normalize(p2, axis=1)
        similarities = tf.matmul(p1, p2, transpose_b=True) / tf.exp(self.log_temperature)
        labels = tf.range(tf.shape(p1)[0])
        loss = 0.0
        for each in (similarities, tf.transpose(similarities)):
            self.contrastive_accuracy.update_state(labels, each)
            loss += keras.losses.sparse_categorical_crossentropy(labels, each, from_logits=True)
        return tf.reduce_mean(loss / 2)

    def train_step(self, data):
        (unlabeled,), (labeled, labels) = data
        images = tf.concat((unlabeled, labeled), axis=0)
        one, other = images * 1.1, images + 0.1 * tf.sin(images * 20)
        with tf.GradientTape() as tape:
            p1 = self.head(self.encoder(one, training=True), training=True)
            p2 = self.head(self.encoder(other, training=True), training=True)
            loss = self.contrastive_loss(p1, p2)
        weights = [*self.encoder.trainable_weights, *self.head.trainable_weights]
        weights.append(self.log_temperature)
        gradients = tape.gradient(loss, weights)
        self.contrastive_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.contrastive_tracker.update_state(loss)
        with tf.GradientTape() as tape:
            logits = self.probe(self.encoder(labeled, training=False), training=True)
            loss = self.probe_loss(labels, logits)
        gradients = tape.gradient(loss, self.probe.trainable_weights)
        self.probe_optimizer.apply_gradients(
            zip(gradients, self.probe.trainable_weights, strict=True)
        )
        self.probe_tracker.update_state(loss)
        self.probe_accuracy.update_state(labels, logits)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, labels = data
        logits = self.probe(self.encoder(x, training=False), training=False)
        self.probe_tracker.update_state(self.probe_loss(labels, logits))
        self.probe_accuracy.update_state(labels, logits)
        return {m.name: m.result() for m in self.metrics[2:]}


def test_contrastive_learning():
    model = Contrastive()
    same_weights(model.encoder, model.head, model.probe)
    adam = keras.optimizers.Adam
    model.compile(contrastive_optimizer=adam(0.005), probe_optimizer=adam(0.005))
    slices = tf.data.Dataset.from_tensor_slices
    unlabeled, labeled = slices((X[:192],)).batch(48), slices((X[192:], Y[192:])).batch(16)
    data = tf.data.Dataset.zip((unlabeled, labeled)).prefetch(tf.data.AUTOTUNE)
    valid = slices((X, Y)).batch(64)
    history = model.fit(data, epochs=5, validation_data=valid, verbose=0).history
    assert list(history) == ["c_loss", "c_acc", "p_loss", "p_acc", "val_p_loss", "val_p_acc"]
    close([history["c_loss"][0], history["c_loss"][-1]], [1.03129, 0.24888])
    close([history["p_loss"][-1], history["val_p_loss"][-1]], [1.54453, 1.49751])
    close([history["c_acc"][0], history["val_p_acc"][-1]], [0.98047, 0.32812])
    close(model.log_temperature, -2.39621)
    assert {kind: len(made) for kind, made in model.programs.items()} == {
        "train_step": 1, "test_step": 1,
    }  # fmt: skip


# -- gradients gathered over steps, applied under tf.cond ------------------------------------


class Gathering(tf.keras.Model):
    def __init__(self, n_gradients, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_gradients = tf.constant(n_gradients, dtype=tf.int32)
        self.step = tf.Variable(0, dtype=tf.int32, trainable=False)
        self.sums = [
            tf.Variable(tf.zeros_like(v, dtype=tf.float32), trainable=False)
            for v in self.trainable_variables
        ]

    def train_step(self, data):
        self.step.assign_add(1)
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        for total, gradient in zip(
            self.sums, tape.gradient(loss, self.trainable_variables), strict=True
        ):
            total.assign_add(gradient)
        tf.cond(tf.equal(self.step, self.n_gradients), self.apply_sums, lambda: None)
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    def apply_sums(self):
        self.optimizer.apply_gradients(zip(self.sums, self.trainable_variables, strict=True))
        self.step.assign(0)
        for total in self.sums:
            total.assign(tf.zeros_like(total, dtype=tf.float32))


def test_gradients_gathered_by_a_train_step():
    x = keras.Input((10,))
    y = layers.Dense(4)(layers.Dense(16, activation="relu")(x))
    model = Gathering(n_gradients=4, inputs=x, outputs=y)
    same_weights(model)
    model.compile(keras.optimizers.Adam(0.01), sparse(), metrics=["accuracy"])
    history = model.fit(X, Y, batch_size=16, epochs=4, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    close([history["loss"][0], history["loss"][-1]], [1.51371, 0.99497])
    close(history["accuracy"][-1], 0.67969)
    assert int(model.optimizer.iterations) == 16
    assert len(model.programs["train_step"]) == 1


# -- second derivatives: the residual of Burgers' equation, its coefficient learned ----------


def test_a_physics_informed_network():
    u = mlp(16, 16, 1, inputs=2, activation="tanh")
    same_weights(u)
    nu = tf.Variable(0.1, name="nu")
    rng = np.random.RandomState(0)
    inside = tf.constant(rng.rand(64, 2), dtype=tf.float32)
    start = tf.constant(np.c_[rng.rand(32), np.zeros(32)], dtype=tf.float32)
    x, t = inside[:, 0:1], inside[:, 1:2]
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([10, 30], [1e-2, 1e-3, 5e-4])
    optimizer = keras.optimizers.Adam(learning_rate=rates)

    def residual():
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(x)
                inner.watch(t)
                value = u(tf.stack([x[:, 0], t[:, 0]], axis=1))
            u_x, u_t = inner.gradient(value, x), inner.gradient(value, t)
            del inner
        u_xx = outer.gradient(u_x, x)
        del outer
        return u_t + value * u_x - nu * u_xx

    def step():
        with tf.GradientTape() as tape:
            first = tf.square(u(start) + tf.sin(np.pi * start[:, 0:1]))
            loss = tf.reduce_mean(tf.square(residual())) + tf.reduce_mean(first)
        variables = [*u.trainable_variables, nu]
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    losses = [step() for _ in range(41)]
    close([losses[0], losses[-1]], [3.09754, 0.17033])


# -- gradients through an update: layers whose weights are tensors for a while ---------------


def test_learning_to_learn_through_replaced_weights():
    model, copy = mlp(16, 16, 1, inputs=1), mlp(16, 16, 1, inputs=1)
    same_weights(model)
    mse = keras.losses.MeanSquaredError()
    x = np.linspace(0, 3, 10, dtype="float32")[:, None]
    y = np.sin(x)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            before = mse(y, model(x))
        gradients = iter(inner.gradient(before, model.trainable_variables))
        for layer, updated in zip(model.layers, copy.layers, strict=True):
            updated.kernel = tf.subtract(layer.kernel, tf.multiply(0.01, next(gradients)))
            updated.bias = tf.subtract(layer.bias, tf.multiply(0.01, next(gradients)))
        after = mse(y, copy(x))
    gradients = outer.gradient(after, model.trainable_variables)
    close([before, after], [3.02501, 0.44349])
    close([tf.reduce_sum(gradients[0]), tf.linalg.global_norm(gradients)], [2.42653, 5.17755])
