"""Flax modules as layers: as in Flax, with their statistics and keys, configs and refusals."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import register_keras_serializable
from weft.layers import FlaxLayer

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


class Block(nn.Module):
    @nn.compact
    def __call__(self, inputs, training=False):
        x = nn.Dense(3, name="dense")(inputs)
        x = nn.BatchNorm(use_running_average=not training, name="norm")(x)
        return nn.Dropout(0.5, deterministic=not training)(x)

    @nn.compact
    def encode(self, inputs):
        return nn.Dense(7)(inputs)


@register_keras_serializable("flax_tests")
class Scale(nn.Module):
    factor: float = 2.0

    def __call__(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {"factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def halved(module, inputs):
    return module(inputs) / 2


def test_a_module_computes_as_in_flax():
    variables = Block().init(jax.random.key(0), X)
    layer = FlaxLayer(Block(), variables=variables)
    np.testing.assert_allclose(layer(X).numpy(), Block().apply(variables, X), rtol=1e-5, atol=1e-6)
    assert [w.name for w in layer.trainable_weights] == [
        "dense_bias", "dense_kernel", "norm_bias", "norm_scale",
    ]  # fmt: skip
    assert [w.name for w in layer.non_trainable_weights] == [
        "batch_stats_norm_mean", "batch_stats_norm_var",
    ]  # fmt: skip


def test_statistics_move_and_drops_differ():
    layer = FlaxLayer(Block(), seed=1)
    first, second = layer(X, training=True).numpy(), layer(X, training=True).numpy()
    assert ((first == 0) != (second == 0)).any()
    assert (layer.non_trainable_weights[0].numpy() != 0).any()
    before = layer.non_trainable_weights[0].numpy()
    assert (layer(X).numpy() != 0).all()
    np.testing.assert_array_equal(layer.non_trainable_weights[0].numpy(), before)


def test_gradients_are_those_of_flax():
    variables = Block().init(jax.random.key(0), X)
    layer = FlaxLayer(Block(), variables=variables)
    with weft.GradientTape() as tape:
        loss = weft.ops.sum(layer(X) ** 2)
    found = tape.gradient(loss, layer.trainable_variables)
    expected = jax.grad(lambda p: jnp.sum(Block().apply({**variables, "params": p}, X) ** 2))(
        variables["params"]
    )
    for mine, theirs in zip(found, jax.tree.leaves(expected)):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-4, atol=1e-5)


def test_methods_of_modules():
    assert FlaxLayer(Block(), method="encode")(X).shape == (4, 7)
    np.testing.assert_allclose(FlaxLayer(Scale(3.0), method=halved)(X).numpy(), X * 1.5, rtol=1e-6)
    assert FlaxLayer(nn.Embed(10, 4))(np.array([[1, 2]], "int32")).shape == (1, 2, 4)
    assert FlaxLayer(Block(), dtype="mixed_bfloat16")(X).dtype == "bfloat16"
    assert FlaxLayer(Block())(weft.Input((5,))).shape == (None, 3)


def test_modules_are_written_by_their_configs():
    layer = FlaxLayer(Scale(3.0), method=halved)
    config = layer.get_config()
    assert config["module"]["config"] == {"factor": 3.0}
    again = FlaxLayer.from_config(config, {"halved": halved})
    assert again.module == Scale(3.0) and again.get_config() == config
    with pytest.raises(NotImplementedError, match="layer 'mine', Block, has no config"):
        FlaxLayer(Block(), name="mine").get_config()


def test_refused_modules():
    with pytest.raises(TypeError, match=r"takes a flax\.linen\.Module, got 3"):
        FlaxLayer(3)
    with pytest.raises(TypeError, match=r"Make one of it first, with \(\)\."):
        FlaxLayer(Block)
    with pytest.raises(ValueError, match=r"Block has no method 'encod'\. Did you mean 'encode'"):
        FlaxLayer(Block(), method="encod")
