"""Makes the golden `.h5` files of Keras 2: `python make_legacy.py`, where tf_keras is installed.

Each model is described once, for any library. `<name>.h5` is the whole model, `<name>_weights.h5`
its weights alone; `legacy.npz` holds inputs, and the outputs that Keras 2 gave for them.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def recurrent(lib):
    L = lib.layers
    x = lib.Input((4,), dtype="int32", name="tokens")
    h = L.Embedding(7, 3, mask_zero=True)(x)
    h = L.Bidirectional(L.LSTM(2, return_sequences=True))(h)
    a = L.GRU(2)(h)
    b = L.GRU(2, reset_after=False)(h)
    whole, *states = L.LSTM(2, return_sequences=True, return_state=True)(h)
    c = L.LSTM(2)(whole, initial_state=states)
    d = L.SimpleRNN(2)(h)
    return lib.Model(x, L.Dense(2, kernel_regularizer="l2")(L.Concatenate()([a, b, c, d])))


def attention(lib):
    L = lib.layers
    x = lib.Input((4, 3), name="x")
    h = L.MultiHeadAttention(2, 2)(x, value=x)
    h = L.LayerNormalization()(L.Add()([x, h]))
    h = L.TimeDistributed(L.Dense(2, activation="gelu"))(h)
    h = L.Attention(use_scale=True)([h, h])
    h = L.Conv1D(2, 2, padding="causal")(h)
    return lib.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(h)))


def images(lib):
    L = lib.layers
    return lib.Sequential([
        L.Conv2D(3, 2, input_shape=(6, 6, 2)), L.BatchNormalization(), L.Activation("relu"),
        L.DepthwiseConv2D(2), L.SeparableConv2D(2, 2), L.Conv2DTranspose(2, 2),
        L.MaxPooling2D(2), L.PReLU(), L.Flatten(), L.Dropout(0.5), L.Dense(2),
    ])  # fmt: skip


def nested(lib, names=("norm", "first", "second"), frozen="norm"):
    """A model in a model, some of it frozen, called on two inputs."""
    L = lib.layers
    norm, first, second = names
    inner = lib.Sequential(
        [
            L.BatchNormalization(input_shape=(3,), name=norm), L.Dense(3, name=first),
            L.Dense(3, name=second),
        ],
        name="inner",
    )  # fmt: skip
    if frozen == "inner":
        inner.trainable = False
    elif frozen:
        inner.get_layer(dict(zip(("norm", "first", "second"), names))[frozen]).trainable = False
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    h = L.Subtract()([inner(x), inner(y)])
    return lib.Model([x, y], [L.Dense(1, name="a")(h), L.Dense(2, name="b")(h)])


def trained(lib):
    model = lib.Sequential([
        lib.layers.Dense(3, activation="tanh", input_shape=(3,), name="hidden"),
        lib.layers.Dense(1, name="out"),
    ])  # fmt: skip
    model.compile(lib.optimizers.Adam(0.02), lib.losses.MeanSquaredError(), metrics=["mae"])
    return model


MODELS = {f.__name__: f for f in (recurrent, attention, images, nested, trained)}
FROZEN = ("norm", "first", "inner")  # what is frozen in "nested" as its weights are saved


def filled(model):
    """The model with weights that are not those of a new one."""
    random = np.random.default_rng(len(model.weights))
    for v in model.weights:
        v.assign(random.uniform(0.1, 0.9, v.shape).astype("float32"))
    return model


def half(keras):
    """Half precision, a scaled loss, and metrics of outputs that have names."""
    L = keras.layers
    keras.mixed_precision.set_global_policy("mixed_float16")
    x = keras.Input((3,), name="x")
    h = L.Flatten()(L.SpatialDropout1D(0.5)(L.Reshape((3, 1))(x)))
    h = L.Dense(4, name="hidden")(h)
    outputs = {k: L.Dense(1, name=k, dtype="float32")(h) for k in ("b", "a")}
    model = keras.Model(x, outputs)
    losses = {"a": "mse", "b": keras.losses.Huber(0.5)}
    model.compile(keras.optimizers.Adam(0.02), losses, metrics={"b": ["mae", "mse"], "a": "mae"})
    keras.mixed_precision.set_global_policy("float32")
    return model


def inputs(name):
    random = np.random.default_rng(0)
    if name == "recurrent":
        return [np.array([[1, 2, 3, 0], [4, 5, 0, 0]], "int32")]
    shapes = {"attention": [(4, 3)], "images": [(6, 6, 2)], "nested": [(3,)] * 2, "trained": [(3,)]}
    shapes["half"] = shapes["trained"]
    rows = 8 if name in ("trained", "half") else 2
    return [random.standard_normal((rows, *s)).astype("float32") for s in shapes[name]]


def with_operations(keras, tensorflow):
    """Operations of TensorFlow between the layers."""
    x = keras.Input((4, 3), name="x")
    h = keras.layers.Dense(3, name="dense")(x)
    h = tensorflow.nn.relu(h * 2.0 + x) - 0.5
    h = tensorflow.concat([h, 1.0 - x], axis=-1)
    h = tensorflow.reduce_mean(h[:, 1:], axis=1, keepdims=True)
    h = tensorflow.reshape(tensorflow.transpose(h, [0, 2, 1]), [-1, 6])
    return keras.Model(x, tensorflow.math.tanh(h / 3.0))


def main():
    import tensorflow
    import tf_keras as keras

    found = {}
    for name, make in MODELS.items():
        keras.backend.clear_session()
        model, x = make(keras), inputs(name)
        if name == "trained":
            y = np.sum(x[0], axis=1, keepdims=True)
            model.fit(*x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        else:
            filled(model)
        model.save(FOLDER / f"{name}.h5")
        outputs = model(x if len(x) > 1 else x[0])
        for k, value in enumerate(outputs if isinstance(outputs, list) else [outputs]):
            found[f"{name}_{k}"] = np.asarray(value)
        if name == "attention":
            model.save_weights(FOLDER / f"{name}_weights.h5")
        if name == "trained":  # what more training makes of it
            model.fit(*x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
            found["trained_on"] = np.asarray(model(x[0]))
            model.save(FOLDER / "trained.keras")  # in the form that Keras 3 has taken over
    for frozen in FROZEN:
        model = filled(nested(keras, frozen=None))
        model.get_layer("inner").trainable = frozen != "inner"
        if frozen != "inner":
            model.get_layer("inner").get_layer(frozen).trainable = False
        model.save_weights(FOLDER / f"nested_{frozen}_weights.h5")
    model = filled(with_operations(keras, tensorflow))
    model.save(FOLDER / "operations.h5")
    found["operations_0"] = np.asarray(model(inputs("attention")[0]))
    model, (x,) = half(keras), inputs("half")
    y = {k: np.sum(x, axis=1, keepdims=True) for k in "ab"}
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    model.save(FOLDER / "half.h5")
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    found.update({f"half_log_{k}": np.asarray(v) for k, v in logs.items()})
    found.update({f"half_out_{k}": np.asarray(v) for k, v in model(x).items()})
    np.savez(FOLDER / "legacy.npz", **found)


if __name__ == "__main__":
    main()
