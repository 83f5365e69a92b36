"""Optax transformations as optimizers, against Optax by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import weft
from weft import optimizers
from weft.optimizers import OptaxOptimizer

TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.1, momentum=0.9),
    "adamw": lambda: optax.adamw(0.1, weight_decay=0.1),
    "lion": lambda: optax.lion(0.01),
    "adafactor": lambda: optax.adafactor(0.1, min_dim_size_to_factor=2),
    "lamb": lambda: optax.lamb(0.1),
    "adagrad": lambda: optax.adagrad(0.1),  # its state starts from a value that is not zero
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(0.1, 10)),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.1)),
    "multi steps": lambda: optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "mu in bfloat16": lambda: optax.MultiSteps(
        optax.adam(0.1, mu_dtype="bfloat16"), 2
    ).gradient_transformation(),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, 3), optax.sgd(0.1)),
    "hyperparameters": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "lookahead free": lambda: optax.contrib.schedule_free_adamw(0.1),  # starts from the values
}


def start():
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype("float32") for shape in [(3, 4), (4,), ()]]


def gradients(steps=6):
    rng = np.random.default_rng(2)
    shapes = [(3, 4), (4,), ()]
    return [[rng.normal(size=s).astype("float32") for s in shapes] for _ in range(steps)]


@pytest.mark.parametrize("make", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
def test_trajectory_is_optax(make):
    plain = make()
    # Keyed as weft keys them: noise is drawn leaf by leaf.
    params = dict(zip("abc", map(jnp.asarray, start())))
    state = plain.init(params)
    held = [weft.Variable(x) for x in start()]
    optimizer = OptaxOptimizer(make())
    update = jax.jit(plain.update)
    for grads in gradients():
        updates, state = update(dict(zip("abc", map(jnp.asarray, grads))), state, params)
        params = optax.apply_updates(params, updates)
        optimizer.apply_gradients(zip(grads, held))
        for name, variable in zip("abc", held):
            np.testing.assert_allclose(variable.numpy(), params[name], rtol=2e-5, atol=1e-6)
    leaves = [x for x in jax.tree.leaves(state) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    kept = [v.numpy() for v in optimizer.variables[1:]]
    assert len(kept) == len(jax.tree.leaves(state))
    assert sum(x.size for x in kept) >= sum(x.size for x in leaves)


def test_parts_of_the_state_belong_to_variables():
    """Each variable alone, in turns, moves as if it were alone: nothing is shared but the count."""
    held, alone = ([weft.Variable(x) for x in start()] for _ in range(2))
    optimizer = OptaxOptimizer(optax.trace(0.9), learning_rate=0.1)
    others = [OptaxOptimizer(optax.trace(0.9), learning_rate=0.1) for _ in held]
    for k, grads in enumerate(gradients()):
        chosen = [k % 3, (k + 1) % 3]
        optimizer.apply_gradients([(grads[i], held[i]) for i in chosen])
        for i in chosen:
            others[i].apply_gradients([(grads[i], alone[i])])
    for a, b in zip(held, alone):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    assert len(optimizer.variables) == 2 + 3


def test_variables_are_named_after_their_place():
    kernel = weft.Variable(np.ones((2, 2)), name="kernel")
    kernel.path = "dense/kernel"
    optimizer = OptaxOptimizer(optax.adam(0.1), name="o")
    optimizer.build([kernel])
    assert [v.path for v in optimizer.variables] == [
        "o/iteration", "o/0_count", "o/0_mu_dense_kernel", "o/0_nu_dense_kernel",
    ]  # fmt: skip


def test_get_takes_a_transformation():
    held = weft.Variable([1.0, 2.0])
    optimizer = optimizers.get(optax.sgd(0.5))
    assert isinstance(optimizer, OptaxOptimizer)
    optimizer.apply_gradients([([1.0, 1.0], held)])
    assert held.numpy().tolist() == [0.5, 1.5]


def test_shared_arguments_apply():
    held, plain = weft.Variable([0.0, 0.0]), weft.Variable([0.0, 0.0])
    optimizer = OptaxOptimizer(optax.sgd(1.0), clipnorm=1.0, use_ema=True, ema_momentum=0.5)
    optimizer.apply_gradients([([3.0, 4.0], held)])
    optimizers.SGD(1.0, clipnorm=1.0).apply_gradients([([3.0, 4.0], plain)])
    np.testing.assert_allclose(held.numpy(), plain.numpy(), rtol=1e-6)
    optimizer.apply_gradients([([0.0, 0.0], held)])
    optimizer.finalize_variable_values([held])
    np.testing.assert_allclose(held.numpy(), plain.numpy(), rtol=1e-6)


def test_learning_rate_beside_the_transformation():
    held = weft.Variable([0.0])
    optimizer = OptaxOptimizer(optax.identity(), learning_rate=1.0)
    optimizer.apply_gradients([([1.0], held)])
    count = weft.config.compile_count()
    optimizer.learning_rate = 0.5
    optimizer.apply_gradients([([1.0], held)])
    assert held.numpy().tolist() == [-1.5]
    assert weft.config.compile_count() == count


def test_built_while_a_function_is_traced():
    held = [weft.Variable(x) for x in start()]
    eager = [weft.Variable(x) for x in start()]
    one, other = (OptaxOptimizer(optax.contrib.schedule_free_adamw(0.1)) for _ in range(2))
    run = weft.function(lambda *grads: one.apply_gradients(zip(grads, held)))
    for grads in gradients(3):
        run(*grads)
        other.apply_gradients(zip(grads, eager))
    for a, b in zip(held, eager):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(TypeError, match=r"needs an Optax transformation.*got str"):
        OptaxOptimizer("adam")
    with pytest.raises(ValueError, match=r"Chain optax.add_decayed_weights into it"):
        OptaxOptimizer(optax.sgd(0.1), weight_decay=0.1)
    optimizer = OptaxOptimizer(optax.sgd(0.1), name="o")
    with pytest.raises(AttributeError, match="o: the learning rate is part of the Optax"):
        optimizer.learning_rate = 0.5
    with pytest.raises(AttributeError, match=r"OptaxOptimizer\(optax.scale_by_adam\(\)"):
        _ = optimizer.lr
    with pytest.raises(
        NotImplementedError, match="o: an Optax transformation is made of functions"
    ):
        optimizer.get_config()


def test_a_state_of_all_variables_refuses_some():
    a, b = weft.Variable([1.0]), weft.Variable([1.0, 2.0])
    optimizer = OptaxOptimizer(optax.flatten(optax.adam(0.1)))
    optimizer.apply_gradients([([1.0], a), ([1.0, 1.0], b)])
    before = b.numpy()
    with pytest.raises(weft.engine.ShapeError, match=r"has shape \(3,\), but \(2,\) for the 1"):
        optimizer.apply_gradients([([1.0, 1.0], b)])
    assert np.array_equal(b.numpy(), before)
