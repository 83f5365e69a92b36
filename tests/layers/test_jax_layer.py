"""JAX functions as layers: their weights, state, keys, configs and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.layers import Dense, JaxLayer

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


def product(params, inputs):
    return inputs @ params


def product_init(rng, inputs):
    return jax.random.normal(rng, (inputs.shape[-1], 3))


def test_given_params_are_used_and_trained():
    params = {"b": [jnp.ones(3)], "w": np.ones((5, 3), "float32")}
    layer = JaxLayer(lambda params, inputs: inputs @ params["w"] + params["b"][0], params=params)
    assert [(w.name, tuple(w.shape)) for w in layer.weights] == [("b_0", (3,)), ("w", (5, 3))]
    np.testing.assert_allclose(layer(X).numpy(), X @ params["w"] + 1, rtol=1e-5)
    model = weft.Sequential([layer, Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((4, 1), "float32"), verbose=0)
    assert (layer.get_weights()[1] != params["w"]).any()


def test_a_seed_gives_the_same_first_params():
    first, second = JaxLayer(product, product_init, seed=1), JaxLayer(product, product_init, seed=1)
    first(X), second(X)
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_init_sees_shapes_and_dtypes():
    seen = []

    def init(rng, inputs, training):
        seen.append((jax.tree.map(lambda a: (a.shape, a.dtype.name), inputs), training))
        return ()

    def call(params, inputs):
        return inputs["x"] * 1.0

    JaxLayer(call, init)(training=True, inputs={"x": X, "i": np.array([1, 2], "int32")})
    assert seen == [({"x": ((4, 5), "float32"), "i": ((2,), "int32")}, True)]
    y = JaxLayer(call, init)({"x": weft.Input((None, 5)), "i": weft.Input((), dtype="int32")})
    assert y.shape == (None, None, 5)
    assert seen[1][0] == {"x": ((1, 1, 5), "float32"), "i": ((1,), "int32")}


def test_only_shapes_are_asked_for_without_running_init():
    layer = JaxLayer(product, product_init)
    assert layer.compute_output_shape((None, 5)) == (None, 3)
    assert not layer.built and layer.weights == []


def test_state_is_kept_in_its_own_dtype():
    def call(state, inputs, training):
        return inputs, {"n": state["n"] + (1 if training else 0), "mean": jnp.mean(inputs)}

    layer = JaxLayer(call, state={"n": jnp.zeros((), "int32"), "mean": 0.0}, dtype="mixed_bfloat16")
    assert layer(X).dtype == "bfloat16"
    layer(X, training=True)
    values = {w.name: (w.dtype, float(w.numpy())) for w in layer.non_trainable_weights}
    assert values["n"] == ("int32", 1)
    assert values["mean"] == ("float32", pytest.approx(X.mean(), abs=0.01))
    assert layer.trainable_weights == []


def test_keys_are_new_at_each_call():
    layer = JaxLayer(lambda rng, inputs: jax.random.uniform(rng, (2,)) + 0 * inputs, seed=3)
    first, second = layer(np.zeros(2, "f4")).tolist(), layer(np.zeros(2, "f4")).tolist()
    assert first != second
    again = JaxLayer(lambda rng, inputs: jax.random.uniform(rng, (2,)) + 0 * inputs, seed=3)
    assert again(np.zeros(2, "f4")).tolist() == first


def test_equal_layers_share_their_programs():
    def made():
        layer = JaxLayer(product, params=np.ones((5, 3), "float32"))
        return layer(X).numpy()

    made()
    before = weft.config.compile_count()
    made()
    assert weft.config.compile_count() == before


def test_functions_are_written_by_name():
    layer = JaxLayer(product, product_init, name="mine")
    config = layer.get_config()
    assert config["call_fn"]["config"] == "product"
    again = JaxLayer.from_config(config, {"product": product, "product_init": product_init})
    assert again.get_config() == config and again(X).shape == (4, 3)
    with pytest.raises(NotImplementedError, match="the call_fn of layer 'mine' is a lambda"):
        JaxLayer(lambda inputs: inputs, name="mine").get_config()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: JaxLayer(3), "JaxLayer: call_fn must be a function, got int 3"),
        (lambda: JaxLayer(lambda x: x), "got an argument 'x'"),
        (lambda: JaxLayer(lambda params: 1), r"got no `inputs` among \(params\)"),
        (lambda: JaxLayer(lambda inputs, trainin: 1), "'trainin'. Did you mean 'training'"),
        (lambda: JaxLayer(product, lambda inputs, **k: 1), "init_fn takes .* got an argument 'k'"),
        (lambda: JaxLayer(product), "call_fn takes params, but there is no params: give"),
        (
            lambda: JaxLayer(lambda params, state, inputs: 1, product_init, params=1.0),
            "takes params and state, but there is no state",
        ),
    ],
)
def test_refused_functions(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_refused_states():
    def call(params, state, inputs):
        return (inputs, {"n": jnp.zeros(2)}) if params.ndim else inputs

    with pytest.raises(weft.ShapeError, match=r"'mine' .* structure and shapes of the old"):
        JaxLayer(call, params=np.ones(1), state={"n": 0.0}, name="mine")(X)
    with pytest.raises(weft.ShapeError, match=r"returns \(outputs, new state\), got"):
        JaxLayer(call, params=1.0, state={"n": 0.0})(X)
    layer = JaxLayer(call, lambda rng, inputs: 3.0, name="mine")
    with pytest.raises(weft.ShapeError, match=r"'mine' .* returns \(params, state\), got float"):
        layer(X)
    assert not layer.built
