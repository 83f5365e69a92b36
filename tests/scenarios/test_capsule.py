"""A capsule network: a layer of the user's own whose routing is a loop inside `call`.

Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017).
"""

import numpy as np
from sklearn.datasets import load_digits

from weft import tf


def squash(s):
    """Equation 1: as long vectors, of length below 1."""
    square = tf.reduce_sum(tf.square(s), axis=-1, keepdims=True)
    return s * square / (1.0 + square) / tf.sqrt(square + 1e-7)


class Capsules(tf.keras.layers.Layer):
    """Capsules of a class each, by agreement with what the capsules below predict."""

    def __init__(self, count, size, routings=3, **kwargs):
        super().__init__(**kwargs)
        self.count, self.size, self.routings = count, size, routings

    def build(self, input_shape):
        self.w = self.add_weight(
            name="w",
            shape=(input_shape[1], self.count, input_shape[2], self.size),
            initializer=tf.keras.initializers.RandomNormal(stddev=0.1),
        )

    def call(self, inputs):
        predicted = tf.einsum("bid,icde->bice", inputs, self.w)
        logits = tf.zeros((inputs.shape[0], inputs.shape[1], self.count))
        for routing in range(self.routings):
            coupling = tf.nn.softmax(logits, axis=-1)
            outputs = squash(tf.einsum("bic,bice->bce", coupling, predicted))
            if routing < self.routings - 1:
                logits += tf.einsum("bice,bce->bic", predicted, outputs)
        return outputs

    def get_config(self):
        own = {"count": self.count, "size": self.size, "routings": self.routings}
        return {**super().get_config(), **own}


class CapsuleNet(tf.keras.Model):
    """The length of a class's capsule says whether the class is there."""

    def __init__(self, classes):
        super().__init__()
        self.features = tf.keras.layers.Conv2D(32, 3, activation="relu")
        self.primary = tf.keras.layers.Conv2D(32, 3, strides=2)
        self.split = tf.keras.layers.Reshape((-1, 8))
        self.capsules = Capsules(classes, 8)

    def call(self, images):
        primary = squash(self.split(self.primary(self.features(images))))
        capsules = self.capsules(primary)
        return tf.sqrt(tf.reduce_sum(tf.square(capsules), axis=-1) + 1e-7)


def margin_loss(labels, lengths):
    """Equation 4."""
    present = tf.square(tf.maximum(0.9 - lengths, 0.0))
    absent = tf.square(tf.maximum(lengths - 0.1, 0.0))
    return tf.reduce_sum(labels * present + 0.5 * (1.0 - labels) * absent, axis=-1)


def test_a_capsule_network_learns_digits():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    one_hot = np.eye(10, dtype="float32")[labels]
    known, held_out = np.split(np.random.default_rng(0).permutation(len(labels)), [1400])

    model = CapsuleNet(10)
    model.compile(tf.keras.optimizers.Adam(3e-3), margin_loss, metrics=["accuracy"])
    history = model.fit(images[known], one_hot[known], batch_size=50, epochs=6, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0] / 4
    lengths = model.predict(images[held_out], verbose=0)
    assert (lengths.argmax(1) == labels[held_out]).mean() > 0.92
    assert (lengths < 1).all()

    # The layer is carried elsewhere by its config and weights.
    again = Capsules.from_config(model.capsules.get_config())
    primary = np.random.default_rng(1).normal(size=(2, model.capsules.w.shape[0], 8))
    again.build(primary.shape)
    again.set_weights(model.capsules.get_weights())
    np.testing.assert_array_equal(again(primary).numpy(), model.capsules(primary).numpy())
