"""`LossScaleOptimizer`: scaled, unscaled, left out, in the loop and in fit, with any optimizer."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import layers, optimizers
from weft.optimizers import SGD, Adam, LossScaleOptimizer

# Keras's own variables lack `copy` in `__array__`, and its configs are made by way of it.
KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def variable(values=(1.0, 2.0), **options):
    return weft.Variable(np.array(values, "float32"), **options)


class Steps(optimizers.Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        variable.assign_sub(gradient * learning_rate)


INNER = {
    "sgd": lambda: SGD(0.1, momentum=0.9),
    "adam": lambda: Adam(0.1, clipnorm=0.5, use_ema=True, weight_decay=0.1),
    "accumulating": lambda: Adam(0.1, gradient_accumulation_steps=2),
    "by steps": lambda: Steps(0.1, use_ema=True),
    "several": lambda: optimizers.MultiOptimizer([(SGD(0.1), None)]),
}
inner = pytest.mark.parametrize("make", INNER.values(), ids=INNER)
GRADS = [[3.0, -1.0], [0.5, 0.5], [-2.0, 1.0], [1.0, 4.0]]


def values(optimizer):
    """The weights, slots and counts that an update changes."""
    return [v.numpy() for v in optimizer.inner_optimizer.variables]


@inner
def test_scaling_changes_nothing_but_the_range(make):
    held, same = variable(), variable()
    scaled, plain = LossScaleOptimizer(make(), initial_scale=1024.0), make()
    for grad in GRADS:
        scaled.apply_gradients([(1024 * np.array(grad, "float32"), held)])
        plain.apply_gradients([(np.array(grad, "float32"), same)])
    np.testing.assert_allclose(held.numpy(), same.numpy(), rtol=1e-6)
    for a, b in zip(values(scaled), plain.variables):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-5)


@inner
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_that_overflows_changes_nothing(make, bad):
    held = variable(constraint=lambda w: w * 0.999)  # no projection: seen if it is applied
    scaled = LossScaleOptimizer(make(), initial_scale=8.0)
    scaled.apply_gradients([(np.array([8.0, 4.0], "float32"), held)])
    weight, rest = held.numpy(), values(scaled)
    scaled.apply_gradients([(np.array([1.0, bad], "float32"), held)])
    assert np.array_equal(held.numpy(), weight)
    assert all(map(np.array_equal, values(scaled), rest))
    assert float(scaled.loss_scale) == 4.0 and int(scaled.step_counter) == 0
    scaled.apply_gradients([(np.array([8.0, 4.0], "float32"), held)])
    assert not np.array_equal(held.numpy(), weight)


def test_the_scale_grows_and_falls():
    scaled, held = (
        LossScaleOptimizer(SGD(0.0), initial_scale=4.0, dynamic_growth_steps=2),
        variable(),
    )
    seen = []
    for grad in (1.0, 1.0, 1.0, np.inf, 1.0, 1.0, np.nan, np.nan, np.nan, np.nan):
        scaled.apply_gradients([(np.array([1.0, grad], "float32"), held)])
        seen.append((float(scaled.loss_scale), int(scaled.step_counter)))
    assert seen == [
        (4, 1), (8, 0), (8, 1), (4, 0), (4, 1), (8, 0), (4, 0), (2, 0), (1, 0), (1, 0)
    ]  # fmt: skip
    assert int(scaled.iterations) == 5
    scaled.dynamic_scale.assign(2.0**127)
    for _ in range(2):
        scaled.apply_gradients([(np.array([1.0, 1.0], "float32"), held)])
    assert float(scaled.loss_scale) == 2.0**127  # and not infinite


def test_a_fixed_scale():
    scaled, held = LossScaleOptimizer(SGD(1.0), dynamic=False, initial_scale=4.0), variable()
    for grad in ([4.0, 8.0], [np.inf, 0.0]):
        scaled.apply_gradients([(np.array(grad, "float32"), held)])
    assert held.numpy().tolist() == [0.0, 0.0] and float(scaled.loss_scale) == 4.0
    same = optimizers.get(optimizers.serialize(scaled))
    assert same.get_config() == scaled.get_config() and not same.dynamic


def test_small_gradients_survive_float16():
    def narrow(w):
        return jnp.sin((w.astype("float16") * np.float16(1e-5)).sum()) * np.float16(1e-4)

    tiny = weft.op(narrow)
    plain, saved = variable(), variable()
    for held, optimizer in ((plain, SGD(1e9)), (saved, LossScaleOptimizer(SGD(1e9)))):
        with weft.GradientTape() as tape:
            loss = optimizer.scale_loss(tiny(held))
        optimizer.apply_gradients([(tape.gradient(loss, held), held)])
    assert plain.numpy().tolist() == [1.0, 2.0]  # 1e-9 is 0 in float16
    np.testing.assert_allclose(saved.numpy(), [0.0, 1.0], atol=2e-2)


def test_keras_2_s_way():
    held, same = variable(), variable()
    scaled, plain = LossScaleOptimizer(SGD(0.1), initial_scale=64.0), SGD(0.1)
    for _ in range(3):
        with weft.GradientTape() as tape:
            loss = scaled.get_scaled_loss(weft.ops.sum(held * held))
        grads = scaled.get_unscaled_gradients([*tape.gradient(loss, [held]), None])
        assert grads[1] is None
        clipped = [weft.ops.clip(grads[0], -1.0, 1.0)]
        scaled.apply_gradients(zip(clipped, [held]))
        plain.apply_gradients([(np.clip(2 * same.numpy(), -1, 1), same)])
    np.testing.assert_allclose(held.numpy(), same.numpy(), rtol=1e-6)


def test_minimize_scales():
    held, same = variable(), variable()
    scaled, plain = LossScaleOptimizer(SGD(0.1)), SGD(0.1)
    factor = SGD(0.1, loss_scale_factor=16.0)
    third = variable()
    for optimizer, v in ((scaled, held), (plain, same), (factor, third)):
        optimizer.minimize(lambda v=v: weft.ops.sum(v * v), [v])
        with weft.GradientTape() as tape:
            loss = weft.ops.sum(v * v)
        optimizer.minimize(loss, [v], tape=tape)
    np.testing.assert_allclose(held.numpy(), same.numpy(), rtol=1e-6)
    np.testing.assert_allclose(third.numpy(), same.numpy(), rtol=1e-6)


def model(optimizer):
    weft.random.set_seed(3)
    made = weft.Sequential([weft.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    made.compile(optimizer, "mse")
    return made


X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X.sum(1, keepdims=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LossScaleOptimizer(Adam(0.1)),
        lambda: Adam(0.1, loss_scale_factor=32.0),
        lambda: LossScaleOptimizer(Steps(0.1)),
    ],
    ids=["dynamic", "factor", "by steps"],
)
def test_fit_scales_the_loss(make):
    plain, scaled = (
        model(Steps(0.1) if "Steps" in repr(make().__dict__) else Adam(0.1)),
        model(make()),
    )
    histories = [
        m.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0) for m in (plain, scaled)
    ]
    np.testing.assert_allclose(*[h.history["loss"] for h in histories], rtol=1e-5)
    for a, b in zip(plain.get_weights(), scaled.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_fit_leaves_out_what_overflows():
    made = model(LossScaleOptimizer(Adam(0.1), initial_scale=2.0))
    before = made.get_weights()
    made.fit(X * np.float32(np.inf), Y, batch_size=4, epochs=1, verbose=0)
    assert all(map(np.array_equal, made.get_weights(), before))
    assert int(made.optimizer.iterations) == 0 and float(made.optimizer.loss_scale) == 1.0


def test_nothing_compiles_when_the_scale_changes():
    scaled, held = LossScaleOptimizer(Adam(0.1), dynamic_growth_steps=2), variable()
    for k, grad in enumerate((1.0, 1.0, np.inf, 1.0, 1.0, 1.0)):
        scaled.apply_gradients([(np.array([1.0, grad], "float32"), held)])
        if k == 1:
            count = weft.config.compile_count()
    assert weft.config.compile_count() == count


@KERAS
def test_variables_and_config_are_keras_s():
    ours, theirs = variable(name="v"), keras.Variable(np.zeros(2), name="v")
    mine = LossScaleOptimizer(Adam(0.1, name="a"), 8.0, 3, name="s")
    original = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.1, name="a"), 8.0, 3, name="s"
    )
    mine.build([ours])
    original.build([theirs])
    assert [v.path for v in mine.variables] == [v.path for v in original.variables]
    assert mine.get_config() == original.get_config()
    made = keras.optimizers.deserialize(optimizers.serialize(mine))
    assert made.get_config() == original.get_config()
    again = optimizers.deserialize(keras.optimizers.serialize(original))
    assert again.get_config() == mine.get_config()


def test_the_inner_optimizer_s_rate():
    scaled = LossScaleOptimizer(SGD(0.5))
    scaled.learning_rate = 0.25
    assert float(scaled.learning_rate) == float(scaled.inner_optimizer.lr) == 0.25
    scaled.inner_optimizer.learning_rate = 0.125
    assert float(scaled.lr) == 0.125


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "LossScaleOptimizer: an optimizer is given as .* got 3"),
        (("adaam",), ValueError, "LossScaleOptimizer: unknown optimizer 'adaam'"),
        ((SGD(), 0.0), ValueError, "initial_scale must be positive and finite, got 0.0"),
        ((SGD(), 8.0, 0), ValueError, "dynamic_growth_steps must be an integer of at least 1"),
        ((LossScaleOptimizer("sgd"),), ValueError, "scales the loss already"),
        ((SGD(loss_scale_factor=2.0),), ValueError, "scales the loss already"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        LossScaleOptimizer(*arguments)


def test_options_belong_to_the_inner_optimizer():
    with pytest.raises(TypeError, match="LossScaleOptimizer has no clipnorm of its own: set it"):
        LossScaleOptimizer(SGD(), clipnorm=1.0)


def test_bad_gradients_change_nothing():
    scaled, held = LossScaleOptimizer(SGD(0.1), initial_scale=8.0, name="s"), variable(name="v")
    with pytest.raises(ValueError, match=r"s: no gradient was given .* 'v' are None"):
        scaled.apply_gradients([(None, held)])
    with pytest.raises(weft.engine.ShapeError, match=r"gradient for variable 'v' has shape \(3,\)"):
        scaled.apply_gradients([(np.ones(3, "float32"), held)])
    assert held.numpy().tolist() == [1.0, 2.0] and float(scaled.loss_scale) == 8.0
