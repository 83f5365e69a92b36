"""`MultiOptimizer` and `OptimizerMap`: different optimizers for different variables."""

import copy

import keras
import numpy as np
import pytest

import weft
from weft import layers, optimizers
from weft.optimizers import SGD, Adam, MultiOptimizer, OptimizerMap

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X.sum(1, keepdims=True)


def model():
    weft.random.set_seed(5)
    return weft.Sequential(
        [weft.Input((3,)), layers.Dense(4, "tanh", name="encoder"), layers.Dense(1, name="head")]
    )


def by_pairs(m, slow, fast):
    return [(slow, m.get_layer("encoder")), (fast, None)]


WAYS = {
    "map": lambda m, slow, fast: OptimizerMap(fast, {"encoder/.*": slow}),
    "callable": lambda m, slow, fast: lambda v: slow if "encoder" in v.path else fast,
    "layer": by_pairs,
    "pattern": lambda m, slow, fast: [(slow, "encoder"), (fast, "head")],
    "variables": lambda m, slow, fast: [(slow, m.layers[0].weights), (fast, [m.layers[1]])],
}


def apart(m, slow, fast):
    """What it must be the same as: two optimizers by hand."""
    for _ in range(3):
        with weft.GradientTape() as tape:
            loss = weft.ops.mean((m(X) - Y) ** 2)
        grads = tape.gradient(loss, m.trainable_variables)
        slow.apply_gradients(zip(grads[:2], m.trainable_variables[:2]))
        fast.apply_gradients(zip(grads[2:], m.trainable_variables[2:]))
    return m.get_weights()


def together(m, optimizer):
    for _ in range(3):
        with weft.GradientTape() as tape:
            loss = weft.ops.mean((m(X) - Y) ** 2)
        grads = tape.gradient(loss, m.trainable_variables)
        optimizer.apply_gradients(zip(grads, m.trainable_variables))
    return m.get_weights()


def parts():
    return SGD(0.05, momentum=0.9), Adam(0.1, clipnorm=0.5)


def assert_equal(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_part_trains_its_own(way):
    expected = apart(model(), *parts())
    m = model()
    optimizer = MultiOptimizer(way(m, *parts()))
    assert_equal(together(m, optimizer), expected)
    assert int(optimizer.iterations) == 3
    fitted = model()
    fitted.compile(MultiOptimizer(way(fitted, *parts())), "mse")
    fitted.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    assert_equal(fitted.get_weights(), expected)


def test_a_step_is_one_program():
    m = model()
    optimizer = MultiOptimizer(by_pairs(m, *parts()))
    together(m, optimizer)
    count = weft.config.compile_count()
    optimizer.optimizers[0].learning_rate = 0.01
    together(m, optimizer)
    assert weft.config.compile_count() == count


def test_rates_are_the_parts_own():
    m, (slow, fast) = model(), parts()
    optimizer = MultiOptimizer(by_pairs(m, slow, fast), name="several")
    assert optimizer.optimizers == [slow, fast]
    with pytest.raises(AttributeError, match=r"several.optimizers\[0\].learning_rate"):
        print(optimizer.learning_rate)
    with pytest.raises(AttributeError, match="several: each part has a learning rate of its own"):
        optimizer.learning_rate = 0.1
    slow.learning_rate = 0.0
    before = m.get_weights()
    together(m, optimizer)
    after = m.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])


def test_freezing_and_thawing_after_compile():
    m = model()
    m.compile(MultiOptimizer(by_pairs(m, *parts())), "mse")
    m.get_layer("encoder").trainable = False
    before = m.get_weights()
    m.fit(X, Y, verbose=0)
    after = m.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])
    m.get_layer("encoder").trainable = True
    m.fit(X, Y, verbose=0)
    assert not np.array_equal(after[0], m.get_weights()[0])


def test_a_variable_without_a_gradient_rests():
    m, (slow, fast) = model(), parts()
    optimizer = MultiOptimizer(by_pairs(m, slow, fast), name="several")
    kernel, *others = m.trainable_variables
    before = kernel.numpy()
    with pytest.warns(UserWarning, match="several: no gradient for 'encoder/kernel'"):
        optimizer.apply(
            [None] + [np.ones(v.shape, "float32") for v in others], m.trainable_variables
        )
    assert np.array_equal(kernel.numpy(), before) and int(slow.iterations) == 1


def test_loss_scale():
    expected = apart(model(), *parts())
    for make in (
        lambda m: MultiOptimizer(by_pairs(m, *parts()), loss_scale_factor=64.0),
        lambda m: optimizers.LossScaleOptimizer(MultiOptimizer(by_pairs(m, *parts()))),
    ):
        m = model()
        m.compile(make(m), "mse")
        m.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        assert_equal(m.get_weights(), expected)


def test_averages_and_decay_are_the_parts():
    m = model()
    slow = SGD(0.0, use_ema=True, ema_momentum=0.0)
    fast = optimizers.AdamW(0.0, weight_decay=0.5)
    optimizer = MultiOptimizer([(slow, "encoder"), (fast, "head")])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    together(m, optimizer)
    assert not fast._decays(m.layers[1].bias) and fast._decays(m.layers[1].kernel)
    m.layers[0].bias.assign(np.ones(4))
    m.layers[1].bias.assign(np.ones(1))
    optimizer.finalize_variable_values(m.trainable_variables)
    assert m.layers[0].bias.numpy().tolist() == [0.0] * 4 and m.layers[1].bias.numpy() == [1.0]


def test_a_copy_goes_on_by_itself():
    m = model()
    optimizer = MultiOptimizer(OptimizerMap(SGD(0.05, momentum=0.9), {"encoder": Adam(0.1)}))
    together(m, optimizer)
    twin, twins = copy.deepcopy((optimizer, m))
    assert_equal(together(m, optimizer), together(twins, twin))
    assert len(twin.optimizers) == 2


# Keras's own variables lack `copy` in `__array__`, and its configs are made by way of it.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_variables_and_config_are_keras_s():
    def made(lib):
        held = lib.optimizers.OptimizerMap(
            lib.optimizers.SGD(0.25, name="s"), {"head/.*": lib.optimizers.Adam(0.5, name="a")}
        )
        return lib.optimizers.MultiOptimizer(held, name="m")

    mine, original = made(weft), made(keras)
    assert [v.path for v in mine.variables] == [v.path for v in original.variables]
    assert mine.get_config() == original.get_config()
    again = optimizers.deserialize(keras.optimizers.serialize(original))
    assert again.get_config() == mine.get_config()
    theirs = keras.optimizers.deserialize(optimizers.serialize(mine))
    assert theirs.get_config() == original.get_config()
    with pytest.raises(
        NotImplementedError, match="only an OptimizerMap can be written as a config"
    ):
        MultiOptimizer(lambda v: SGD()).get_config()


def test_paths_in_a_map():
    whole, part, rest = Adam(), SGD(), SGD()
    held = OptimizerMap(rest, {"model/encoder/.*": whole, "encoder": part})
    assert held["model/encoder/kernel"] is whole  # a match of all of it counts first
    assert held["model/encoder2/kernel"] is part
    assert held["head/kernel"] is rest is held.default_optimizer
    assert list(held) == ["model/encoder/.*", "encoder"] and len(held) == 2
    assert "encoder" in held and "head" not in held
    del held["encoder"]
    assert held["model/encoder2/kernel"] is rest


def test_errors_of_a_map():
    held = OptimizerMap(SGD(), {"enc": Adam(), "coder": Adam()})
    with pytest.raises(ValueError, match=r"'encoder/k' is matched by several patterns, \['enc',"):
        held["encoder/k"]
    with pytest.raises(ValueError, match=r"the pattern 'enc' stands for .* already"):
        held["enc"] = SGD()
    with pytest.raises(TypeError, match="OptimizerMap: a pattern is a string, got 3"):
        held[3] = SGD()
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        held["("] = SGD()
    with pytest.raises(TypeError, match="OptimizerMap: an optimizer is expected, got 'adam'"):
        held["x"] = "adam"
    assert len(held) == 2


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, r"takes an OptimizerMap\(default, .* got 3 of type int"),
        ([3], TypeError, "pairs .* are expected, got 3"),
        ([(SGD(), 3)], TypeError, "an optimizer trains layers, variables or patterns .* got 3"),
        ([("adaam", None)], ValueError, "unknown optimizer 'adaam'"),
        ([(SGD(loss_scale_factor=2.0), None)], ValueError, "scales the loss"),
        ([(MultiOptimizer([(SGD(), None)]), None)], ValueError, "is made of parts itself"),
    ],
    ids=str,
)
def test_bad_arguments(given, error, message):
    with pytest.raises(error, match=message):
        MultiOptimizer(given)


def test_bad_choices_change_nothing():
    m = model()
    grads = [np.ones(v.shape, "float32") for v in m.trainable_variables]
    before = m.get_weights()
    for given, error, message in (
        ([(SGD(), "encoder")], ValueError, "no optimizer was given for the variable 'head/kernel'"),
        ([(SGD(), "head"), (SGD(), "kernel"), (SGD(), None)], ValueError, "by several optimizers"),
        (lambda v: "adam", TypeError, "an optimizer is expected for each variable, got 'adam'"),
    ):
        with pytest.raises(error, match=message):
            MultiOptimizer(given).apply(grads, m.trainable_variables)
    assert_equal(m.get_weights(), before)
