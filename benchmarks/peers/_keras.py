"""The six models in Keras's language, for whichever Keras is passed in (Keras 3 or tf-keras)."""

from __future__ import annotations

from types import ModuleType

from benchmarks.cases import (
    BLOCKS,
    HEADS,
    HIDDEN,
    LEARNING_RATE,
    LENGTH,
    RESNET_BLOCKS,
    VOCABULARY,
    WIDTH,
)
from benchmarks.peers._peer import Case


def build(keras: ModuleType, name: str, case: Case):
    """Returns the model, built, not compiled."""
    layers = keras.layers
    inputs = keras.Input(case.x_shape, dtype="int32" if case.vocabulary else "float32")
    return keras.Model(inputs, BODIES[name](keras, layers, inputs))


def compiled(keras: ModuleType, name: str, case: Case):
    """Returns the model compiled with Adam and cross-entropy from logits."""
    model = build(keras, name, case)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss)
    return model


def fit_way(model, case: Case, steps: int):
    """Returns a way (see ``_peer.report``) that trains with ``fit`` on up to ``steps`` batches."""
    x, y = case.data(steps)

    def fit(n: int) -> None:
        n *= case.batch
        model.fit(x[:n], y[:n], batch_size=case.batch, shuffle=False, verbose=0)
        model.get_weights()

    return fit


def parameter_count(model) -> int:
    """How many trainable numbers the model has."""
    total = 0
    for w in model.trainable_weights:
        n = 1
        for d in w.shape:
            n *= int(d)
        total += n
    return total


def _mlp(*hidden: int):
    def body(keras, layers, x):
        for units in hidden:
            x = layers.Dense(units, activation="relu")(x)
        return layers.Dense(10)(x)

    return body


def _cnn(keras, layers, x):
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return layers.Dense(10)(x)


def _resnet20(keras, layers, x):
    def unit(x, filters, size=3, strides=1):
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    relu = keras.activations.relu
    x = layers.Activation(relu)(unit(x, 16))
    for filters, strides in RESNET_BLOCKS:
        y = layers.Activation(relu)(unit(x, filters, strides=strides))
        y = unit(y, filters)
        if strides != 1:
            x = unit(x, filters, 1, strides)
        x = layers.Activation(relu)(layers.Add()([x, y]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def _lstm(keras, layers, x):
    return layers.Dense(10)(layers.LSTM(128)(x))


def _transformer(keras, layers, tokens):
    class Positions(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(LENGTH, WIDTH), initializer="uniform", name="table")

        def call(self, x):
            return x + self.table

    x = Positions()(layers.Embedding(VOCABULARY, WIDTH)(tokens))
    for _ in range(BLOCKS):
        y = layers.LayerNormalization(epsilon=1e-3)(x)
        y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, use_causal_mask=True)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization(epsilon=1e-3)(x)
        y = layers.Dense(WIDTH)(layers.Dense(HIDDEN, activation="relu")(y))
        x = layers.Add()([x, y])
    return layers.Dense(VOCABULARY)(layers.LayerNormalization(epsilon=1e-3)(x))


BODIES = {
    "mlp": _mlp(512, 512),
    "mlp_small": _mlp(64),
    "cnn": _cnn,
    "resnet20": _resnet20,
    "lstm": _lstm,
    "transformer": _transformer,
}
