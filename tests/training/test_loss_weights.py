"""Loss weights that change while training goes on, and nothing is compiled again."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.optimizers import SGD, schedules

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = {"a": X[:, :1], "b": X.sum(1, keepdims=True)}


def model():
    weft.random.set_seed(1)
    x = weft.Input((3,))
    return weft.Model(x, {"a": layers.Dense(1, name="a")(x), "b": layers.Dense(1, name="b")(x)})


def fit(m, epochs=3, callbacks=()):
    return m.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks)).history


def totals(logs, weights):
    return [
        w[0] * a + w[1] * b for w, a, b in zip(weights, logs["a_loss"], logs["b_loss"], strict=True)
    ]


def halve(weight):
    def each(epoch, logs):
        weight.assign(weight.numpy() / 2)

    return weft.callbacks.LambdaCallback(on_epoch_end=each)


def compiled(weights, m=None):
    m = m or model()
    m.compile(SGD(0.0), "mse", loss_weights=weights)
    return m


def test_numbers_can_be_assigned_by_a_callback():
    m = compiled({"a": 4.0, "b": 1})
    held = m.compiled_loss.weights
    assert list(held) == ["a", "b"] and held["a"].numpy() == 4.0
    count = []
    seen = weft.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: count.append(weft.config.compile_count())
    )
    logs = fit(m, 3, [halve(held["a"]), seen])
    np.testing.assert_allclose(logs["loss"], totals(logs, [(4, 1), (2, 1), (1, 1)]), rtol=1e-6)
    assert len(set(count)) == 1


@pytest.mark.parametrize("structure", [list, tuple, lambda pair: dict(zip("ab", pair))])
def test_a_variable(structure):
    weight = weft.Variable(1.0, trainable=False)
    logs = fit(compiled(structure([weight, 0.0])), 3, [halve(weight)])
    np.testing.assert_allclose(logs["loss"], totals(logs, [(1, 0), (0.5, 0), (0.25, 0)]), rtol=1e-6)


def test_one_weight_for_all_outputs_or_for_one():
    logs = fit(compiled(0.5), 1)
    np.testing.assert_allclose(logs["loss"], totals(logs, [(0.5, 0.5)]), rtol=1e-6)
    logs = fit(compiled({"b": 2.0}), 1)
    np.testing.assert_allclose(logs["loss"], totals(logs, [(1, 2)]), rtol=1e-6)
    single = weft.Sequential([weft.Input((3,)), layers.Dense(1)])
    losses = []
    for weights in (None, 3.0, [3.0]):
        single.compile(SGD(0.0), "mse", loss_weights=weights)
        losses.append(single.evaluate(X, Y["a"], verbose=0))
    np.testing.assert_allclose(losses, [losses[0], 3 * losses[0], 3 * losses[0]], rtol=1e-6)


def test_a_schedule_of_the_optimizer_s_steps():
    weights = {"a": schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25]), "b": 0.0}
    m = compiled(weights)
    logs = fit(m)
    np.testing.assert_allclose(logs["loss"], totals(logs, [(1, 0), (0.5, 0), (0.25, 0)]), rtol=1e-6)
    assert len(m.programs["train_step"]) == 1


def test_a_callable():
    held = weft.Variable(2.0, trainable=False)
    logs = fit(compiled([lambda: held * held, 0.0]), 2, [halve(held)])
    np.testing.assert_allclose(logs["loss"], totals(logs, [(4, 0), (1, 0)]), rtol=1e-6)


def test_the_same_in_a_step_of_one_s_own():
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def call(self, x):
            return self.inner(x)

        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = self.compiled_loss(y, self(x, training=True))
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return {m.name: m.result() for m in self.metrics}

    m = compiled({"a": 4.0, "b": 1.0}, Own())
    logs = fit(m, 2, [halve(m.compiled_loss.weights["a"])])
    np.testing.assert_allclose(logs["loss"], totals(logs, [(4, 1), (2, 1)]), rtol=1e-6)


def test_weights_that_are_learned():
    """Uncertainty weighting (Kendall et al., 2018): the weights are trained with the rest."""

    class Weighted(weft.Model):
        def __init__(self):
            super().__init__()
            self.inner = model()
            self.log_scale = self.add_weight(shape=(2,), initializer="zeros", name="log_scale")

        def call(self, x):
            return self.inner(x)

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            parts = [weft.ops.mean((y[k] - y_pred[k]) ** 2) for k in ("a", "b")]
            both = weft.ops.stack(parts)
            s = self.log_scale
            return weft.ops.sum(weft.ops.exp(-s) * both + s)

    m = Weighted()
    m.compile(SGD(0.05))
    m.fit(X, Y, epochs=5, verbose=0)
    assert abs(m.log_scale.numpy()).min() > 0.01


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (float("nan"), ValueError, "a loss weight is a finite scalar, got nan"),
        ([1.0, True], TypeError, "numbers, variables, schedules or callables .*, got True"),
        (weft.Variable([1.0]), weft.engine.ShapeError, r"is a scalar, got shape \(1,\)"),
        ({"c": 1.0}, ValueError, r"loss_weights names the outputs \['c'\], but .*'a', 'b'"),
        ([1.0], ValueError, "loss_weights has 1 entries for the 2 outputs"),
    ],
    ids=str,
)
def test_bad_weights(weights, error, message):
    m = model()
    before = m.get_weights()
    with pytest.raises(error, match=message):
        m.compile(SGD(1.0), "mse", loss_weights=weights)
        m.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, m.get_weights(), before))
