"""The six models in weft, and its two ways of training them: ``fit`` and the plain loop."""

from __future__ import annotations

import math

import weft
from benchmarks.cases import (
    BLOCKS,
    CASES,
    HEADS,
    HIDDEN,
    LEARNING_RATE,
    LENGTH,
    RESNET_BLOCKS,
    VOCABULARY,
    WIDTH,
)

layers = weft.layers


def mlp(*hidden: int):
    dense = [layers.Dense(units, activation="relu") for units in hidden]
    return weft.Sequential([*dense, layers.Dense(10)])


def _cnn():
    return weft.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )


class Unit(layers.Layer):
    """Convolution and BatchNormalization."""

    def __init__(self, filters: int, size: int = 3, strides: int = 1):
        super().__init__()
        self.conv = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()

    def call(self, x, training=None):
        return self.norm(self.conv(x), training=training)


class ResidualBlock(layers.Layer):
    def __init__(self, filters: int, strides: int):
        super().__init__()
        self.a = Unit(filters, strides=strides)
        self.b = Unit(filters)
        self.skip = None if strides == 1 else Unit(filters, 1, strides)
        self.relu = layers.Activation("relu")

    def call(self, x, training=None):
        y = self.b(self.relu(self.a(x, training=training)), training=training)
        if self.skip is not None:
            x = self.skip(x, training=training)
        return self.relu(x + y)


class ResNet20(weft.Model):
    def __init__(self):
        super().__init__()
        self.stem = Unit(16)
        self.relu = layers.Activation("relu")
        self.blocks = [ResidualBlock(*sizes) for sizes in RESNET_BLOCKS]
        self.pool = layers.GlobalAveragePooling2D()
        self.out = layers.Dense(10)

    def call(self, x, training=None):
        x = self.relu(self.stem(x, training=training))
        for block in self.blocks:
            x = block(x, training=training)
        return self.out(self.pool(x))


def _lstm():
    return weft.Sequential([layers.LSTM(128), layers.Dense(10)])


class Positions(layers.Layer):
    """Adds one learned vector to each position."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=(LENGTH, WIDTH), initializer="uniform")

    def call(self, x):
        return x + self.table


class TransformerBlock(layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm1 = layers.LayerNormalization(epsilon=1e-3)
        self.attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        self.norm2 = layers.LayerNormalization(epsilon=1e-3)
        self.up = layers.Dense(HIDDEN, activation="relu")
        self.down = layers.Dense(WIDTH)

    def call(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, use_causal_mask=True)
        return x + self.down(self.up(self.norm2(x)))


def _transformer():
    return weft.Sequential(
        [
            layers.Embedding(VOCABULARY, WIDTH),
            Positions(),
            *(TransformerBlock() for _ in range(BLOCKS)),
            layers.LayerNormalization(epsilon=1e-3),
            layers.Dense(VOCABULARY),
        ]
    )


MODELS = {
    "mlp": lambda: mlp(512, 512),
    "mlp_small": lambda: mlp(64),
    "cnn": _cnn,
    "resnet20": ResNet20,
    "lstm": _lstm,
    "transformer": _transformer,
}


def wait(model) -> None:
    """Returns when the last step is done: its variables are outputs of that step's program."""
    model.trainable_variables[-1].numpy()


def parameter_count(model) -> int:
    """How many trainable numbers a built model has."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)


class Fit:
    """A compiled model trained by ``fit``, as users run it.

    Example::

        run = Fit(MODELS["mlp_small"]())
        run.loop(x, y, batch=32)          # one epoch
    """

    def __init__(self, model):
        self.model = model
        loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=weft.optimizers.Adam(LEARNING_RATE), loss=loss)

    def loop(self, x, y, batch: int, callbacks=None, epochs: int = 1) -> None:
        """An epoch or more over x and y (NumPy arrays), in order; waits for the end."""
        options = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
        self.model.fit(x, y, batch_size=batch, epochs=epochs, **options)
        wait(self.model)


class PlainLoop:
    """A model trained by the undecorated GradientTape loop.

    Example::

        run = PlainLoop(MODELS["mlp_small"]())
        run.loop(batches)                 # (x, y) pairs of NumPy arrays
    """

    def __init__(self, model):
        self.model = model
        self.optimizer = weft.optimizers.Adam(LEARNING_RATE)
        self.loss_fn = weft.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(self, x, y):
        """One train step; returns its loss, not waited for."""
        with weft.GradientTape() as tape:
            logits = self.model(x, training=True)
            loss = self.loss_fn(y, logits)
        variables = self.model.trainable_variables
        grads = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(grads, variables, strict=True))
        return loss

    def loop(self, batches) -> float:
        """Trains on each (x, y) of ``batches``, waits for the last, returns its loss."""
        for x, y in batches:
            loss = self.step(x, y)
        wait(self.model)
        return float(loss)


def check_parameters(name: str, model) -> None:
    """Refuses to time a model whose size is not that of the hand-written one."""
    count = parameter_count(model)
    if count != CASES[name].parameters:
        raise ValueError(
            f"weft's {name} has {count} trainable parameters; the hand-written one has "
            f"{CASES[name].parameters}: make the two models the same before timing them"
        )
