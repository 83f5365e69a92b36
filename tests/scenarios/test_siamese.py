"""A Siamese network: one encoder, two branches, a contrastive loss, in a loop of the user's own.

Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an Invariant Mapping (2006).
"""

import numpy as np
from sklearn.datasets import load_digits

import weft
from weft import tf

MARGIN = 1.0


class Siamese(tf.keras.Model):
    """The distance between two images, both seen through the same encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = tf.keras.Sequential(
            [
                tf.keras.layers.Conv2D(8, 3, activation="relu"),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(64, activation="relu"),
                tf.keras.layers.Dense(8),
            ]
        )

    def call(self, pair):
        left, right = self.encoder(pair[0]), self.encoder(pair[1])
        return tf.sqrt(tf.reduce_sum(tf.square(left - right), axis=-1) + 1e-9)


class ContrastiveLoss(tf.keras.losses.Loss):
    """Pairs of one class are drawn together, others pushed apart up to a margin."""

    def call(self, same, distance):
        apart = tf.maximum(MARGIN - distance, 0.0)
        return same * tf.square(distance) + (1.0 - same) * tf.square(apart)


def pairs(images, labels, count, rng):
    """(left, right, whether of one class), half of them of one class."""
    left = rng.integers(len(labels), size=count)
    right = rng.integers(len(labels), size=count)
    for i in range(0, count, 2):
        right[i] = rng.choice(np.flatnonzero(labels == labels[left[i]]))
    return images[left], images[right], (labels[left] == labels[right]).astype("float32")


def test_a_siamese_network_learns_which_digits_are_alike():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    rng = np.random.default_rng(0)
    known, held_out = np.split(rng.permutation(len(labels)), [1200])

    model, loss_fn = Siamese(), ContrastiveLoss()
    optimizer = tf.keras.optimizers.Adam(2e-3)
    programs = []
    for step in range(400):
        left, right, same = pairs(images[known], labels[known], 64, rng)
        with tf.GradientTape() as tape:
            distance = model((left, right), training=True)
            loss = loss_fn(same, distance)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        if step in (5, 399):
            float(loss)
            programs.append(weft.config.compile_count())
    assert programs[0] == programs[1]
    assert len(model.trainable_variables) == 6  # the branches share them

    left, right, same = pairs(images[held_out], labels[held_out], 600, rng)
    distance = model((left, right)).numpy()
    assert ((distance < MARGIN / 2) == same).mean() > 0.95
    mirrored = model((right, left)).numpy()
    np.testing.assert_allclose(distance, mirrored, rtol=1e-4, atol=1e-5)

    # The space that was learned is one in which neighbours are of one class.
    codes = model.encoder(images).numpy()
    far = np.linalg.norm(codes[held_out][:, None] - codes[known][None], axis=-1)
    assert (labels[known][far.argmin(1)] == labels[held_out]).mean() > 0.95
