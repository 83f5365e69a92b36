"""Keras's stateless forms, as code for its JAX backend uses them: the loop of its guide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft import layers, losses, metrics, ops, optimizers

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 5)).astype("float32")
Y = rng.integers(0, 3, 32)


def model(dropout=0.0):
    weft.random.set_seed(1)
    made = weft.Sequential(
        [
            weft.Input((5,)),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(dropout),
            layers.Dense(3),
        ]
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(optimizers.Adam(0.05), loss, metrics=["accuracy"])
    return made


def arrays(variables):
    return [v.array() for v in variables]


def test_the_loop_of_keras_s_guide_is_fit():
    m, fitted = model(), model()
    loss_fn = losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = metrics.SparseCategoricalAccuracy()
    optimizer = optimizers.Adam(0.05)
    optimizer.build(m.trainable_variables)

    def compute(trainable, non_trainable, metric_variables, x, y):
        y_pred, non_trainable, extra = m.stateless_call(
            trainable, non_trainable, x, training=True, return_losses=True
        )
        loss = loss_fn(y, y_pred) + sum(extra)
        metric_variables = accuracy.stateless_update_state(metric_variables, y, y_pred)
        return loss, (non_trainable, metric_variables)

    grad_fn = jax.value_and_grad(compute, has_aux=True)

    @jax.jit
    def train_step(state, x, y):
        trainable, non_trainable, optimizer_variables, metric_variables = state
        (loss, (non_trainable, metric_variables)), grads = grad_fn(
            trainable, non_trainable, metric_variables, x, y
        )
        trainable, optimizer_variables = optimizer.stateless_apply(
            optimizer_variables, grads, trainable
        )
        return loss, (trainable, non_trainable, optimizer_variables, metric_variables)

    state = (
        arrays(m.trainable_variables), arrays(m.non_trainable_variables),
        arrays(optimizer.variables), arrays(accuracy.variables),
    )  # fmt: skip
    for k in range(0, 32, 8):
        loss, state = train_step(state, X[k : k + 8], Y[k : k + 8])
    assert isinstance(loss, jax.Array)
    fitted.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    for variable, value in zip(m.trainable_variables, state[0]):
        assert not np.array_equal(variable.numpy(), value)  # nothing was assigned
        variable.assign(value)
    for variable, value in zip(m.non_trainable_variables, state[1]):
        variable.assign(value)
    for a, b in zip(m.get_weights(), fitted.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    expected = fitted.history.history["accuracy"][0]
    assert float(accuracy.stateless_result(state[3])) == pytest.approx(expected)
    assert float(accuracy.result()) == 0.0


def test_dropout_draws_on_from_its_state():
    m = model(0.5)
    trainable, state = arrays(m.trainable_variables), arrays(m.non_trainable_variables)
    call = jax.jit(lambda t, n: m.stateless_call(t, n, X, training=True))
    first, after = call(trainable, state)
    again, _ = call(trainable, state)
    other, _ = call(trainable, after)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_stateless_compute_loss():
    m = model()
    m.evaluate(X, Y, verbose=0)  # makes the metrics
    lists = [
        arrays(v) for v in (m.trainable_variables, m.non_trainable_variables, m.metrics_variables)
    ]
    y_pred, _ = m.stateless_call(*lists[:2], X)
    loss, news = jax.jit(m.stateless_compute_loss)(*lists, X, Y, y_pred)
    assert float(loss) == pytest.approx(m.evaluate(X, Y, verbose=0)[0], rel=1e-5)
    assert [len(x) for x in news] == [len(x) for x in lists]


def test_metrics():
    metric = metrics.AUC(num_thresholds=20)
    scores, labels = rng.random(40).astype("float32"), rng.integers(0, 2, 40)
    values = metric.stateless_reset_state()
    for k in (0, 20):
        values = jax.jit(metric.stateless_update_state)(
            values, labels[k : k + 20], scores[k : k + 20]
        )
    expected = metrics.AUC(num_thresholds=20)
    expected.update_state(labels, scores)
    assert float(metric.stateless_result(values)) == pytest.approx(float(expected.result()))
    assert not any(v.numpy().any() for v in metric.variables)


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1, use_ema=True),
        lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 10)),
        lambda: optimizers.Adam(0.1, gradient_accumulation_steps=2),
        lambda: optimizers.LossScaleOptimizer("adam", initial_scale=8.0),
        lambda: optimizers.MultiOptimizer([(optimizers.SGD(0.1), None)]),
    ],
    ids=["sgd", "schedule", "accumulation", "loss scale", "several"],
)
def test_optimizers(make):
    held = [weft.Variable([1.0, 2.0]), weft.Variable(3.0)]
    pure, same = make(), make()
    pure.build(held)
    twins = [weft.Variable(v.numpy()) for v in held]
    state, values = arrays(pure.variables), arrays(held)
    step = jax.jit(pure.stateless_apply)
    for k in range(3):
        grads = [jnp.array([1.0, k]), jnp.array(-1.0)]
        values, state = step(state, grads, values)
        same.apply_gradients(zip(grads, twins))
    for value, twin in zip(values, twins):
        np.testing.assert_allclose(value, twin.numpy(), rtol=1e-6)
    for value, variable in zip(state, same.variables):
        np.testing.assert_allclose(value, variable.numpy(), rtol=1e-5)
    assert held[1].numpy() == 3.0 and int(pure.iterations) == 0


def test_weft_s_functions_inside_jax_s_transformations():
    w = jnp.array([1.0, 2.0])
    assert float(jax.grad(lambda w: ops.sum(ops.square(w)))(w)[1]) == 4.0
    assert jax.vmap(lambda row: ops.softmax(row))(jnp.ones((3, 4))).shape == (3, 4)
    assert float(jax.jit(losses.MeanSquaredError())(jnp.zeros(2), w)) == 2.5
    dense = layers.Dense(1)
    dense.build((None, 2))
    out = jax.jit(dense)(jnp.ones((3, 2)))
    np.testing.assert_allclose(out, dense(np.ones((3, 2), "float32")).numpy(), rtol=1e-6)
    assert isinstance(jax.jit(weft.op(lambda x: x + 1))(w), jax.Array)
    pending = weft.ops.ones(2) * 3  # pending work stays weft's own
    assert jax.jit(lambda x: ops.add(x, pending))(w).tolist() == [4.0, 5.0]
    assert pending.numpy().tolist() == [3.0, 3.0]


def test_errors():
    m = model()
    trainable, others = arrays(m.trainable_variables), arrays(m.non_trainable_variables)
    with pytest.raises(ValueError, match=r"its 6 trainable_variables, got 1"):
        m.stateless_call(trainable[:1], others, X)
    with pytest.raises(ValueError, match=r"the value for 'dense/kernel' has shape \(8,\)"):
        m.stateless_call([trainable[1], *trainable[1:]], others, X)
    with pytest.raises(ValueError, match="stateless_call needs a layer that is built"):
        layers.Dense(2).stateless_call([], [], X)
    with pytest.raises(ValueError, match="stateless_apply needs an optimizer that is built"):
        optimizers.Adam().stateless_apply([], [], [])
    with pytest.raises(
        weft.engine.GraphError, match=r"a variable cannot keep a value. Use the stat"
    ):
        jax.jit(lambda x: m(x, training=True))(X)
    with pytest.raises(weft.engine.GraphError, match=r"Inside jax.jit, jax.grad and the like use"):
        jax.jit(lambda x: metrics.Mean().update_state(x))(X)
    assert all(np.isfinite(w).all() for w in m.get_weights())
