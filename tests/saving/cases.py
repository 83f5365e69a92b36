"""Models of every kind, described once and made in weft or in Keras."""

import numpy as np


def _layers(lib):
    """Layers that hold others, shared and nested ones, and operations between them."""
    L = lib.layers
    x = lib.Input((4, 3))
    r = L.Conv1D(2, 1)(x)
    r = L.MultiHeadAttention(2, 2, dropout=0.1)(r, r)
    r = L.GroupQueryAttention(2, 2, 1)(r, r)
    r = L.Bidirectional(L.LSTM(2, return_sequences=True))(r)
    r = L.TimeDistributed(L.Dense(2))(r)
    r = L.RNN([L.LSTMCell(2), L.GRUCell(2)], return_sequences=True)(r)
    r = L.SpectralNormalization(L.Dense(2))(L.Dropout(0.1)(r))
    r = lib.ops.relu(L.GRU(2, dropout=0.1)(r))
    shared = L.Dense(2)
    r = shared(r) + shared(r * 2)
    inner = lib.Sequential([L.Dense(2), L.Dense(3)])
    r = inner(r)
    y = lib.Input((3,))
    outputs = lib.Model(y, [L.Dense(2)(y), L.Dense(1)(y)])(r)
    return lib.Model(x, list(outputs)), (4, 3)


def _images(lib):
    L = lib.layers
    model = lib.Sequential([
        lib.Input((4, 4, 2)), L.SeparableConv2D(3, 2), L.BatchNormalization(),
        L.DepthwiseConv2D(2), L.GroupNormalization(3), L.PReLU(), L.Conv2DTranspose(2, 2),
        L.LayerNormalization(), L.Flatten(), L.Dense(2),
    ])  # fmt: skip
    return model, (4, 4, 2)


def _block(lib):
    L = lib.layers

    class Block(L.Layer):
        """Parts under public and private names, in containers, and behind a property."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self._hidden = L.Dense(2)
            self.b, self.a, self.Z = L.Dense(2), L.Dense(2), L.Dense(2)
            self._inside = [L.Dense(2), [L.Dense(2)]]
            self.in_tuple = (L.Dense(2),)
            self.in_dict = {"z": L.Dense(2), "a": L.Dense(2)}
            self.mean = lib.metrics.Mean()
            self._moving = self.add_weight((3,), trainable=False)
            self.bias = self.add_weight((2,))
            self.raw = lib.Variable(np.ones(2, "float32"))
            self.later = self.add_weight((2,))
            self.layers = [L.Dense(2)]

        def call(self, x):
            for layer in (
                self._hidden, self.a, self.b, self.Z, self._inside[0], self._inside[1][0],
                *self.in_tuple, *self.in_dict.values(), *self.layers,
            ):  # fmt: skip
                x = layer(x)
            return x + self.bias * self.raw + self.later

        @property
        def shown(self):
            return self._hidden

    return Block


def _functional_block(lib):
    x = lib.Input((2,))
    return lib.Model(x, _block(lib)()(x)), (2,)


def _subclass(lib):
    L = lib.layers
    Block = _block(lib)

    class Net(lib.Model):
        def __init__(self):
            super().__init__()
            self.block, self._other_block = Block(), Block()
            self.first = L.Dense(2)
            self.again = self.first
            self.blocks = [L.Dense(2), L.Dense(2, name="last"), L.LSTM(2)]
            self.by_name = {"x": L.Dense(2), "inner": [L.Dense(2)]}
            self.scale = self.add_weight((2,))
            self.shifts = [lib.Variable(np.float32(3.0))]
            self.dropout = L.Dropout(0.5)
            self.sub = lib.Sequential([L.Dense(2), L.Dense(2)])
            self.own_optimizer = lib.optimizers.SGD()

        def call(self, x):
            x = self._other_block(self.block(self.again(x)))
            x = self.sub(self.dropout(x)) * self.scale + self.shifts[0]
            for layer in self.blocks[:2]:
                x = layer(x)
            x = x + self.blocks[2](x[:, None])
            return self.by_name["inner"][0](self.by_name["x"](x))

    model = Net()
    model(np.ones((1, 2), "float32"))
    return model, (2,)


def _described_subclass(lib):
    """A subclass that describes its graph itself, and has parts beside it."""
    L = lib.layers

    class Net(lib.Model):
        def __init__(self):
            x, self_dense = lib.Input((2,)), L.Dense(2)
            super().__init__(x, L.Dense(3)(self_dense(x)))
            self.dense, self.extra = self_dense, L.Dense(2)
            self.extra.build((None, 2))
            self.factor = self.add_weight((2,))

    return Net(), (2,)


def _half(lib):
    L = lib.layers
    layers = [lib.Input((3,)), L.Dense(2, dtype="bfloat16"), L.Dense(1, dtype="mixed_float16")]
    return lib.Sequential(layers), (3,)


MODELS = {
    "layers": _layers, "images": _images, "block": _functional_block, "subclass": _subclass,
    "described subclass": _described_subclass, "half precision": _half,
}  # fmt: skip

OPTIMIZERS = {
    "Adam": lambda o: o.Adam(0.01, amsgrad=True),
    "loss scale": lambda o: o.LossScaleOptimizer(o.Adam(0.01)),
    "several": lambda o: o.MultiOptimizer(
        o.OptimizerMap(o.Adam(0.01), {".*kernel": o.SGD(0.1, momentum=0.9)})
    ),
    "averages": lambda o: o.SGD(0.1, use_ema=True, gradient_accumulation_steps=2),
    "schedule": lambda o: o.RMSprop(o.schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.9),
    "Muon": lambda o: o.Muon(),
}


def dense(lib, units=3, names=(None, None)):
    """A small Sequential model on five features."""
    return lib.Sequential([
        lib.Input((5,)),
        lib.layers.Dense(units, activation="relu", name=names[0]),
        lib.layers.BatchNormalization(),
        lib.layers.Dense(2, name=names[1]),
    ])  # fmt: skip


def filled(model):
    """The model with other weights than a new one."""
    random = np.random.default_rng(1)
    for v in model.weights:
        v.assign(np.asarray(random.uniform(0.1, 0.9, v.shape), "float32"))
    return model


def data(rows=16):
    random = np.random.default_rng(0)
    return (
        random.standard_normal((rows, 5)).astype("float32"),
        random.standard_normal((rows, 2)).astype("float32"),
    )
