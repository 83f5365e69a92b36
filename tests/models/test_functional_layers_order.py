"""The order of a functional model's layers, operations and weights is Keras 3's.

Weight lists and files are matched by position, so another order would load them wrongly.
"""

import random

import keras
import pytest

import weft


def dense(lib, name, x):
    return lib.layers.Dense(3, name=name)(x)


def chain(lib):
    x = lib.Input((3,), name="x")
    return lib.Model(x, dense(lib, "b", dense(lib, "a", x)))


def two_inputs(lib):
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    b = dense(lib, "b", y)
    return lib.Model([x, y], lib.layers.Add(name="add")([dense(lib, "a", x), b]))


def shared(lib):
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    both = lib.layers.Dense(3, name="both")
    first, second = both(x), dense(lib, "after", both(y))
    return lib.Model([x, y], lib.layers.Concatenate(name="cat")([second, first]))


def called_twice(lib):
    x = lib.Input((3,), name="x")
    twice = lib.layers.Dense(3, name="twice")
    return lib.Model(x, dense(lib, "last", twice(dense(lib, "between", twice(x)))))


def skips(lib):
    x = h = lib.Input((3,), name="x")
    for k in range(3):
        side = dense(lib, f"side{k}", h) if k == 1 else h
        h = dense(lib, f"b{k}", dense(lib, f"a{k}", h))
        h = lib.layers.Add(name=f"add{k}")([h, side])
    return lib.Model(x, h)


def nested(lib):
    i = lib.Input((3,), name="i")
    inner = lib.Model(i, dense(lib, "in2", dense(lib, "in1", i)), name="inner")
    x = lib.Input((3,), name="x")
    side = dense(lib, "side", x)
    return lib.Model(x, dense(lib, "out", lib.layers.Add(name="add")([side, inner(x)])))


def unused_input(lib):
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    return lib.Model([x, y], dense(lib, "b", dense(lib, "a", y)))


def unused_inputs(lib):
    x, y, z = (lib.Input((3,), name=n) for n in "xyz")
    return lib.Model([z, x, y], dense(lib, "b", dense(lib, "a", y)))


def several_outputs(lib):
    x = lib.Input((3,), name="x")
    a = dense(lib, "a", x)
    return lib.Model(x, {"deep": dense(lib, "c", dense(lib, "b", a)), "flat": dense(lib, "d", a)})


def outputs_turned_round(lib):
    x = lib.Input((3,), name="x")
    a = dense(lib, "a", x)
    b = dense(lib, "b", a)
    c = dense(lib, "c", a)
    return lib.Model(x, [c, b, a])


def diamond(lib):
    x = lib.Input((3,), name="x")
    top = dense(lib, "top", x)
    left, right = dense(lib, "left", top), dense(lib, "right", top)
    return lib.Model(x, lib.layers.Add(name="add")([right, left]))


def inception(lib):
    x = h = lib.Input((3,), name="x")
    for k in range(2):
        pool = lib.layers.Dropout(0.1, name=f"pool{k}")(h)
        ones = dense(lib, f"ones{k}", h)
        threes = dense(lib, f"threes{k}", dense(lib, f"reduce{k}", h))
        fives = dense(lib, f"f3{k}", dense(lib, f"f2{k}", dense(lib, f"f1{k}", h)))
        h = lib.layers.Concatenate(name=f"cat{k}")([ones, threes, fives, dense(lib, f"p{k}", pool)])
    return lib.Model(x, h)


def siamese(lib):
    i = lib.Input((3,), name="i")
    encoder = lib.Model(i, dense(lib, "e2", dense(lib, "e1", i)), name="encoder")
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    far = lib.layers.Subtract(name="far")([encoder(y), encoder(x)])
    return lib.Model([x, y], dense(lib, "head", far))


def from_the_middle(lib):
    x = lib.Input((3,), name="x")
    a = dense(lib, "a", x)
    b = dense(lib, "b", a)
    return lib.Model(a, dense(lib, "d", lib.layers.Add(name="add")([dense(lib, "c", b), b])))


def operations(lib):
    x = lib.Input((3,), name="x")
    a = dense(lib, "a", x)
    both = lib.ops.concatenate([x * 2.0, a], axis=-1)
    return lib.Model(x, dense(lib, "c", both) + dense(lib, "b", x))


def shared_at_two_depths(lib):
    x, y = lib.Input((3,), name="x"), lib.Input((3,), name="y")
    both = lib.layers.Dense(3, name="both")
    deep = both(dense(lib, "b", dense(lib, "a", x)))
    return lib.Model([x, y], lib.layers.Add(name="add")([both(y), dense(lib, "c", deep)]))


def output_inside(lib):
    x = lib.Input((3,), name="x")
    a = dense(lib, "a", x)
    b = dense(lib, "b", a)
    return lib.Model(x, [b, dense(lib, "d", dense(lib, "c", a)), a])


class Summed:
    """A layer that takes a dict, and others by name."""

    def call(self, given, left=None, right=None):
        return given["z"] + given["a"] + left + right


def dict_outputs(lib):
    x = lib.Input((3,), name="x")
    made = {"z": dense(lib, "z", x), "m": [dense(lib, "m1", x), dense(lib, "m0", x)]}
    return lib.Model(x, [dense(lib, "q", x), {**made, "a": dense(lib, "a", x)}])


def dict_inputs(lib):
    x = {name: lib.Input((3,), name=name) for name in ("z", "a", "m")}
    heads = [dense(lib, f"of_{name}", x[name]) for name in ("m", "z", "a")]
    return lib.Model(x, lib.layers.Add(name="add")(heads))


def dict_arguments(lib):
    x = lib.Input((3,), name="x")
    summed = type("Summed", (Summed, lib.layers.Layer), {})(name="summed")
    given = {"z": dense(lib, "z", x), "a": dense(lib, "a", x)}
    return lib.Model(x, summed(given, right=dense(lib, "r", x), left=dense(lib, "l", x)))


SHAPES = [
    chain, two_inputs, shared, called_twice, skips, nested, unused_input, unused_inputs,
    several_outputs, outputs_turned_round, diamond, inception, siamese, from_the_middle,
    operations, shared_at_two_depths, output_inside, dict_outputs, dict_inputs, dict_arguments,
]  # fmt: skip


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_order(make):
    original, model = make(keras), make(weft)

    def named(layers):  # of an input put into the middle of a graph each makes up a name
        start = model.inputs[0] if make is from_the_middle else None
        return ["start" if start is not None and k == 0 else x.name for k, x in enumerate(layers)]

    assert named(model.layers) == named(original.layers)
    assert [type(o).__name__ for o in model.operations if isinstance(o, weft.Layer)] == [
        type(o).__name__ for o in original.operations if isinstance(o, keras.layers.Layer)
    ]
    assert len(model.operations) == len(original.operations)
    for what in ("weights", "trainable_weights"):
        mine, theirs = getattr(model, what), getattr(original, what)
        assert [(w.path, tuple(w.shape)) for w in mine] == [(w.path, w.shape) for w in theirs]


def drawn(lib, seed):
    """A random graph: layers and operations called on what is there, some several times."""
    draw = random.Random(seed)
    inputs = [lib.Input((3,), name=f"x{i}") for i in range(draw.randint(1, 3))]
    pool, layers = list(inputs), []
    for k in range(draw.randint(1, 10)):
        kind = draw.random()
        if kind < 0.25 and layers:
            pool.append(draw.choice(layers)(draw.choice(pool)))
        elif kind < 0.35:
            pool.append(draw.choice(pool) + draw.choice(pool))
        elif kind < 0.6 and len(pool) > 1:
            pool.append(lib.layers.Add(name=f"add{k}")(draw.sample(pool, 2)))
        else:
            layers.append(lib.layers.Dense(3, name=f"d{k}"))
            pool.append(layers[-1](draw.choice(pool)))
    made = pool[len(inputs) :]
    outputs = draw.sample(made, min(len(made), draw.randint(1, 3)))
    draw.shuffle(inputs)
    return lib.Model(inputs, outputs)


def test_order_of_random_graphs():
    for seed in range(40):
        original, model = drawn(keras, seed), drawn(weft, seed)
        assert [x.name for x in model.layers] == [x.name for x in original.layers], seed
        assert [w.path for w in model.weights] == [w.path for w in original.weights], seed
