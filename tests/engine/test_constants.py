"""Values asked for while Python is traced: what follows from constants alone has one."""

import numpy as np
import pytest

import weft
from weft import tf
from weft.engine import ValueNeededError, Variable, as_tensor, function


def test_a_value_that_follows_from_constants_is_computed():
    @function
    def tiled(x):
        sizes = as_tensor([1, 1]) + tf.concat([tf.expand_dims(tf.shape(x)[0], -1), [2]], 0)
        return weft.ops.tile(weft.ops.expand_dims(weft.ops.sum(x), 0), int(sizes[0])), sizes

    out, sizes = tiled(np.ones((3, 2), "float32"))
    assert out.numpy().tolist() == [6.0] * 4 and sizes.numpy().tolist() == [4, 3]
    tiled(np.zeros((3, 2), "float32"))
    assert len(tiled.programs) == 1


def test_what_was_made_before_may_be_another_the_next_time():
    """It is kept on an object, say, and set by each step: its value is no constant."""
    n = as_tensor(np.float32(3.0))

    @function
    def body(x):
        return x * 2.0 if n + 1.0 > 3.0 else x

    with pytest.raises(ValueNeededError, match="the value of a tensor"):
        body(np.float32(5.0))


def test_a_body_inside_a_body_knows_the_constants_around_it():
    @function
    def outer(x):
        n = as_tensor([2, 3]) + 1
        return weft.ops.cond(x > 0, lambda: x * int(n[0]), lambda: x * int(n[1] * 2))

    assert float(outer(np.float32(2.0))) == 6.0
    assert float(outer(np.float32(-1.0))) == -8.0


@pytest.mark.parametrize("which", ["argument", "variable", "random", "gradient"])
def test_what_follows_from_an_input_has_no_value(which):
    v = Variable(2.0)

    @function
    def body(x):
        if which == "argument":
            return float(x * 0.0 + 1.0)
        if which == "variable":
            return float(v + 1.0)
        if which == "random":
            return float(weft.random.normal(()))
        with weft.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        return float(tape.gradient(y, x))

    with pytest.raises(ValueNeededError, match=r"test_constants.py:\d+.*the value of a tensor"):
        body(np.float32(1.0))


def test_the_constant_is_still_part_of_the_graph():
    """It enters what is computed after it was looked at, gradients too."""

    @function
    def body(x):
        scale = as_tensor(2.0) * 3.0
        assert float(scale) == 6.0
        with weft.GradientTape() as tape:
            tape.watch(x)
            y = x * scale
        return y, tape.gradient(y, x)

    assert [float(t) for t in body(np.float32(2.0))] == [12.0, 6.0]


def test_a_loop_body_recorded_anew_reads_the_number_of_this_time():
    for n, want in ((2, 12), (4, 10)):
        (out,) = weft.ops.while_loop(
            lambda k: k < 10, lambda k, n=n: (k + int(as_tensor(n) + 1),), (as_tensor(0),)
        )
        assert int(out) == want


class CausalMask(tf.keras.layers.Layer):
    """As decoders build it: the batch size concatenated into the multiples of a tile."""

    def call(self, x):
        sizes = tf.shape(x)
        i = tf.range(sizes[1])[:, tf.newaxis]
        mask = tf.reshape(tf.cast(i >= tf.range(sizes[1]), "float32"), (1, sizes[1], sizes[1]))
        times = [tf.expand_dims(sizes[0], -1), tf.constant([1, 1], dtype=tf.int32)]
        return tf.matmul(tf.tile(mask, tf.concat(times, axis=0)), x)


@pytest.mark.filterwarnings("error")
def test_fit_compiles_one_step_of_a_layer_that_tiles_by_the_batch_size():
    model = tf.keras.Sequential([CausalMask(), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 3, 2), "float32")
    model.fit(x, x[..., :1], batch_size=4, epochs=2, verbose=0)
    assert len(model.programs["train_step"]) == 1
    want = np.cumsum(x, 1)
    np.testing.assert_allclose(model.layers[0](x), want)
