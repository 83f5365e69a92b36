"""Cases of the core layers: arguments and inputs; the harness says what a case may hold."""

import jax
import jax.numpy as jnp
import numpy as np

import weft

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 3, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
INDICES = np.array([[1, 0, 3], [2, 4, 0]], "int32")
PADDED = STEPS.copy()
PADDED[0, 1], PADDED[1, 2], PADDED[1, 1, :2] = 0, 1, 0


def affine(params, inputs):
    return inputs @ params["w"] + params["b"]


def affine_init(rng, inputs):
    return {"w": jax.random.normal(rng, (inputs.shape[-1], 3)), "b": jnp.zeros(3)}


def counted(params, state, inputs, training):
    y = (inputs["a"] - inputs["b"] * state["mean"].astype(inputs["a"].dtype)) * params
    return y, {"mean": state["mean"] + 0.5 * training, "calls": state["calls"] + 1}


def counted_init(rng, inputs, training):
    assert training
    return jnp.ones(inputs["a"].shape[-1]), {"mean": jnp.zeros(()), "calls": jnp.zeros((), "int32")}


def noisy(params, rng, inputs, training):
    y = inputs @ params["w"]
    return y + jax.random.normal(rng, y.shape, y.dtype) if training else y


def flax_module():
    from flax import linen

    class Block(linen.Module):
        @linen.compact
        def __call__(self, inputs, training=False):
            x = linen.Dense(3, name="dense")(inputs)
            x = linen.BatchNorm(use_running_average=not training, name="norm")(x)
            return linen.Dropout(0.5, deterministic=not training)(x)

    return Block()


# Sizes that output_shape leaves open are the input's here, and unknown in Keras.
KNOWN = {"unknown": False}
# A step that is padding is none once it is moved.
STEP_FUNCTION = {"differences": False}
# Keras's own needs TensorFlow.
JAX = {"keras": False, "config": False}

CASES = {
    "Dense": [
        ({"units": 3}, FLAT),
        ({"units": 3, "activation": "relu", "use_bias": False}, STEPS),
        (
            {
                "units": 2,
                "activation": "softmax",
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "kernel_regularizer": "l2",
                "bias_regularizer": "l1",
                "activity_regularizer": "l2",
                "kernel_constraint": "max_norm",
                "bias_constraint": "non_neg",
            },
            FLAT,
        ),
    ],
    "Embedding": [
        ({"input_dim": 5, "output_dim": 3}, INDICES),
        (
            {
                "input_dim": 5,
                "output_dim": 3,
                "mask_zero": True,
                "embeddings_initializer": "ones",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "unit_norm",
            },
            INDICES.astype("float32"),
            {},
            {"differences": False},  # indices are rounded
        ),
    ],
    "ReversibleEmbedding": [
        ({"input_dim": 5, "output_dim": 3, "mask_zero": True}, INDICES),
        (
            {"input_dim": 5, "output_dim": 4, "logit_soft_cap": 2.0},
            STEPS,
            {"reverse": True},
            # The last axis is known; Keras leaves float32 as it is where the documentation says
            # that it is cast.
            {"unknown": False, "bfloat16": False},
        ),
        (
            {
                "input_dim": 5,
                "output_dim": 6,
                "tie_weights": False,
                "reverse_dtype": "float32",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "max_norm",
            },
            FLAT,
            {"reverse": True},
            {"unknown": False},
        ),
    ],
    "EinsumDense": [
        ({"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, FLAT),
        (
            {
                "equation": "abc,cde->abde",
                "output_shape": [None, 2, 3],
                "bias_axes": "de",
                "activation": "softmax",
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "kernel_regularizer": "l2",
                "bias_regularizer": "l1",
                "activity_regularizer": "l2",
                "kernel_constraint": "max_norm",
                "bias_constraint": "non_neg",
            },
            STEPS,
            {},
            KNOWN,
        ),
        ({"equation": "...x,xy->...y", "output_shape": 5, "bias_axes": "y"}, STEPS),
        ({"equation": "ab...,bc->ac...", "output_shape": 7, "bias_axes": "c"}, IMAGE),
        (
            {"equation": "abc,cd->abd", "output_shape": [3, 5], "bias_axes": "bd"},
            STEPS,
            {},
            KNOWN,
        ),
        (
            {"equation": "abc,bcd->abd", "output_shape": [3, 5]},
            STEPS,
            {},
            KNOWN,
        ),
        (
            {"equation": "abcd,cde->abe", "output_shape": [None, 6], "bias_axes": "e"},
            IMAGE,
            {},
            KNOWN,
        ),
    ],
    "Identity": [({}, STEPS), ({}, STEPS, {}, {"mask": INDICES > 0}), ({}, [STEPS, STEPS[:, 0]])],
    "Masking": [
        ({}, PADDED, {}, STEP_FUNCTION),
        ({"mask_value": 1.0}, PADDED, {}, STEP_FUNCTION),
        ({}, PADDED, {}, {"mask": INDICES > 0, **STEP_FUNCTION}),  # it makes its own
    ],
    "Lambda": [
        ({"function": weft.activations.tanh}, STEPS, {}, {"keras": False}),
        (lambda lib: {"function": lib.ops.relu}, STEPS, {}, {"config": False}),
        (
            lambda lib: {
                "function": lambda x, scale, training=None: x * scale,
                "arguments": {"scale": 2.0},
                "mask": lambda inputs, mask: mask,
            },
            STEPS,
            {},
            {"mask": INDICES > 0, "config": False},
        ),
    ],
    "JaxLayer": [
        ({"call_fn": affine, "init_fn": affine_init}, STEPS, {}, JAX),
        ({"call_fn": counted, "init_fn": counted_init}, {"a": FLAT, "b": FLAT}, {}, JAX),
        (
            {"call_fn": noisy, "params": {"w": np.eye(6, dtype="float32")}, "seed": 3},
            FLAT,
            {},
            {**JAX, "random": True},
        ),
    ],
    "FlaxLayer": [
        (lambda lib: {"module": flax_module(), "seed": 1}, STEPS, {}, {**JAX, "needs": "flax"}),
    ],
}
# Options of Keras's configs that are off here.
KERAS_ONLY = {"quantization_config"}
