"""Equal small models of Keras and weft, their data, and callbacks that both can have."""

import keras
import numpy as np

import weft


def data(n=8):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, x.sum(1, keepdims=True) + 0.1


def model(library, optimizer=None, jit=True):
    """Always the same weights, for Keras or weft."""
    layers = library.layers
    made = library.Sequential(
        [library.Input((4,)), layers.Dense(3, activation="tanh", name="hid"),
         layers.Dense(1, name="out")],
        name="net",
    )  # fmt: skip
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(size=w.shape).astype("float32") for w in made.get_weights()])
    made.compile(optimizer or library.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return made


def fit(made, epochs=3, callbacks=(), **options):
    """Four batches an epoch, in order, with validation."""
    x, y = data()
    options = {"batch_size": 2, "validation_data": (x[:4], y[:4]), "verbose": 0, **options}
    return made.fit(x, y, epochs=epochs, shuffle=False, callbacks=list(callbacks), **options)


class Boom(Exception):
    """What the callback below raises."""


def broken(library, epoch, batch=None):
    """A callback that raises when an epoch begins, or at the end of one of its batches."""

    class Broken(library.callbacks.Callback):
        now = None

        def on_epoch_begin(self, epoch_now, logs=None):
            self.now = epoch_now
            if epoch_now == epoch and batch is None:
                raise Boom

        def on_train_batch_end(self, batch_now, logs=None):
            if self.now == epoch and batch_now == batch:
                raise Boom

    return Broken()


def files(folder):
    """The files in a folder and below it, by their names from there."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


LIBRARIES = (keras, weft)
