"""`fit(check_finite=...)`: the first value that is not finite is found, its step can be rerun."""

import numpy as np
import pytest

import weft
from weft import layers, ops
from weft.training import NonFiniteError, replay

X = np.linspace(-1, 1, 48, dtype="float32").reshape(16, 3)
Y = X.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Root(layers.Layer):
    """Not finite where its inputs are negative."""

    def call(self, x):
        return ops.sqrt(x)


def model(*inner, optimizer="sgd", **options):
    weft.random.set_seed(2)
    made = weft.Sequential([weft.Input((3,)), *inner, layers.Dense(1, name="head")], name="net")
    made.compile(optimizer, "mse", **options)
    return made


def fit(m, x=X, y=Y, how="explain", **options):
    return m.fit(x, y, batch_size=4, shuffle=False, verbose=0, check_finite=how, **options)


def test_a_layer_is_named_and_the_model_is_as_before():
    m = model(layers.Dense(4, "relu", name="first"), layers.Dropout(0.5), Root(name="root"))
    m.get_layer("first").set_weights([np.ones((3, 4)), np.full(4, 5.0)])
    m.get_layer("head").set_weights([np.full((4, 1), 1e30), np.zeros(1)])
    before = m.get_weights()
    with pytest.raises(NonFiniteError, match=r"step 1 leaves loss = inf\. Run again op by op"):
        fit(m)
    assert all(map(np.array_equal, m.get_weights(), before))
    m = model(Root(name="root"))
    with pytest.raises(NonFiniteError, match=r"in the output of layer 'root' \(Root\), shape") as e:
        fit(m)
    assert "within [-1, " in str(e.value) and e.value.where.startswith("in the output of layer")
    assert all(np.isfinite(w).all() for w in m.get_weights())
    m.fit(abs(X), Y, verbose=0)  # it goes on


def test_inputs_loss_gradients_and_updates():
    holed = X.copy()
    holed[9, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"step 3 .*in the input of layer 'head' \(Dense\)"):
        fit(model(), holed)
    with pytest.raises(NonFiniteError, match=r"is the loss, shape \(\)"):
        fit(model(), X, Y * np.float32(1e30))
    norm = layers.Lambda(lambda x: ops.sqrt(ops.abs(x - x)), name="norm")
    dense = layers.Dense(2, name="first")
    with pytest.raises(NonFiniteError, match="in the gradient of the loss for 'first/kernel'"):
        fit(model(dense, norm))  # the root's slope at 0 is infinite
    with pytest.raises(NonFiniteError, match="variable 'head/kernel' after the update"):
        fit(model(optimizer=weft.optimizers.SGD(3e38)), X * np.float32(1e4), Y)


def test_a_capsule_runs_the_step_again(in_a_folder):
    late = np.concatenate([abs(X), X])
    m = model(layers.Dropout(0.1), Root(name="root"), optimizer="adam", metrics=["mae"])
    with pytest.raises(NonFiniteError, match=r"step 5 .*replay\(model, 'net_step_5") as error:
        fit(m, late, np.concatenate([Y, Y]))
    capsule = error.value.capsule
    assert [f.name for f in in_a_folder.iterdir()] == [capsule]
    state = m.get_weights()
    again = model(layers.Dropout(0.1), Root(name="root"), optimizer="adam", metrics=["mae"])
    again.fit(abs(X), Y, verbose=0)
    with pytest.raises(NonFiniteError, match="in the output of layer 'root'"):
        replay(again, capsule)
    for a, b in zip(again.get_weights(), state):
        np.testing.assert_array_equal(a, b)
    assert int(again.optimizer.iterations) == 4
    other = model(layers.Dense(7))
    other.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"holds the values of .* variables .* of other shapes"):
        replay(other, capsule)


def test_without_an_explanation_nothing_is_written(in_a_folder):
    with pytest.raises(NonFiniteError, match=r"step 1 leaves loss = nan. fit\(check_finite='expl"):
        fit(model(Root()), how=True)
    assert not list(in_a_folder.iterdir())


def test_finite_training_is_the_same():
    plain, watched = model(), model()
    one = fit(plain, how=None, epochs=2).history
    other = fit(watched, epochs=2, validation_data=(X, Y)).history
    assert one["loss"] == other["loss"]
    assert all(map(np.array_equal, plain.get_weights(), watched.get_weights()))


def test_a_loss_scale_that_overflows_is_no_fault():
    m = model(optimizer=weft.optimizers.LossScaleOptimizer("sgd", initial_scale=2.0**127))
    fit(m, epochs=1)
    assert float(m.optimizer.loss_scale) < 2.0**127


def test_a_step_of_one_s_own():
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1, name="head")

        def call(self, x):
            return ops.log(self.dense(x))

        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = ops.mean((self(x) - y) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return {"loss": loss}

    own = Own()
    own.compile("sgd")
    with pytest.raises(NonFiniteError, match="in the gradient of the loss for 'own/head/kernel'"):
        fit(own)


def test_what_check_finite_takes():
    with pytest.raises(ValueError, match="check_finite is None, True or 'explain', got 'yes'"):
        fit(model(), how="yes")
