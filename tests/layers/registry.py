"""The registry of layers: every case of `cases/`, and each case run in weft and in Keras.

A file of `cases/` holds one family: `CASES`, name of a public layer → list of cases, and if there
are any `SECOND_NAMES`, second name → name, and `KERAS_ONLY`, keys of Keras's configs that weft
leaves out. A case is a tuple `(options, x)`, `(options, x, kwargs)` or `(options, x, kwargs,
flags)`:

- `options`: the constructor's arguments; or a function of the library (`keras` or `weft`) that
  returns them, where layers are among them.
- `x`: the first argument of the call: an array, or a nest (list, dict) of them, of any dtype.
- `kwargs`: further arguments of the call, arrays (or lists of them) or plain values.
- `flags`: what is special about the case, with the reason in a comment beside it:
  - `"mask"`: the mask that `x` carries into the call; a nest like `x`, if that is one;
  - `"random": True`: while training it draws other numbers than Keras, so only shapes, dtypes and
    masks are compared then;
  - `"keras": False`: there is no such layer in Keras, or it cannot run; nothing is compared;
  - `"needs"`: a package without which the case is skipped;
  - `"config": False`: its config cannot be compared with Keras's (functions within, say);
  - `"tolerance"`, `"gradients"`: for outputs and gradients in float32, in place of 1e-5, relative
    to the largest element; `"gradients": False` where Keras's are not the derivative;
  - `"bfloat16"`: the same for outputs and gradients in bfloat16, in place of 0.02; or False;
  - `"differences": False`: finite differences do not apply (a step function);
  - `"state": False`: state after the call is not compared with Keras's;
  - `"unknown"`: more batch shapes of `x` to try than those with one axis unknown; False for none.
"""

import inspect
import runpy
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from unittest.mock import patch

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras.src import backend as keras_backend  # masks of traced arrays are kept apart there

import weft
from weft.layers.layer import set_mask

FLAGS = {
    "mask", "random", "keras", "config", "tolerance", "gradients", "bfloat16", "differences",
    "state", "unknown", "needs",
}  # fmt: skip
# Options of Keras's initializers that have no counterpart, and what only built layers write.
KERAS_ONLY = {"input_axes", "output_axes", "build_config"}


class Case:
    """One layer with its arguments and inputs."""

    def __init__(self, name, number, options, x, kwargs=None, flags=None):
        self.name, self.options, self.x = name, options, x
        self.kwargs, self.flags = kwargs or {}, flags or {}
        keys = "-".join(options) if isinstance(options, dict) else ""
        self.id = f"{name}-{number}-{keys}"[:60].rstrip("-")
        assert set(self.flags) <= FLAGS, f"{self.id}: unknown flags {set(self.flags) - FLAGS}"

    def __repr__(self):
        return self.id

    def make(self, lib, **more):
        """A new layer of weft or of Keras."""
        if "needs" in self.flags:
            pytest.importorskip(self.flags["needs"])
        options = self.options(lib) if callable(self.options) else self.options
        return getattr(lib.layers, self.name)(**{**options, **more})

    @cached_property
    def takes_training(self):
        call = getattr(weft.layers, self.name).call
        return "training" in inspect.signature(call).parameters

    @property
    def random(self):
        return self.flags.get("random", False)

    @cached_property
    def inputs(self):
        """(the arrays in `x` and `kwargs`, a function from other such leaves to `x, kwargs`)."""
        leaves, tree = jax.tree.flatten((self.x, self.kwargs))
        where = [i for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)]

        def rebuild(arrays):
            full = list(leaves)
            for i, array in zip(where, arrays):
                full[i] = array
            return jax.tree.unflatten(tree, full)

        return [leaves[i] for i in where], rebuild

    @property
    def shapes(self):
        """`x` with shapes in place of arrays."""
        return jax.tree.map(np.shape, self.x)

    def masked(self, x, carry):
        """`x`, its tensors carrying the case's mask, given by `carry(tensor, mask)`."""
        mask = self.flags.get("mask")
        if mask is not None:
            leaves = jax.tree.leaves(x)
            masks = jax.tree.leaves(mask, is_leaf=lambda m: m is None)
            for leaf, m in zip(leaves, masks, strict=True):
                if m is not None:
                    carry(leaf, m)
        return x


def _load():
    cases, second, keras_only, homes = {}, {}, set(KERAS_ONLY), {}
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        names = runpy.run_path(str(path))
        for name, listed in names["CASES"].items():
            assert name not in cases, f"{name} stands in {homes[name]} and {path.name}"
            homes[name] = path.name
            cases[name] = [Case(name, i, *case) for i, case in enumerate(listed)]
        second |= names.get("SECOND_NAMES", {})
        keras_only |= names.get("KERAS_ONLY", set())
    return cases, second, keras_only


CASES, SECOND_NAMES, KERAS_ONLY = _load()
ALL = [case for listed in CASES.values() for case in listed]


# -- pairs of layers -----------------------------------------------------------------------------


@contextmanager
def global_policy(policy):
    """Layers made inside take this policy, nested ones too."""
    keras.config.set_dtype_policy(policy)
    weft.precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")
        weft.precision.set_global_policy("float32")


def symbolic(array, batch_shape=None):
    shape = np.shape(array) if batch_shape is None else batch_shape
    return keras.KerasTensor(shape, array.dtype.name)


def values_for(weights):
    """Values for weights, none of them at its initial value, and of moderate size."""
    rng = np.random.default_rng(1)
    made = []
    for weight in weights:
        value = weight.numpy()
        if weight.dtype in ("float32", "bfloat16"):
            flat = value.ndim < 2  # scales and variances stay positive
            value = rng.uniform(0.2, 1.5, value.shape) if flat else rng.normal(size=value.shape) / 2
        made.append(np.asarray(value, "float32" if value.dtype.kind == "f" else value.dtype))
    return made


@cache
def weft_layer(case, policy="float32"):
    """(the layer, built; the values of its variables to begin with)."""
    with global_policy(policy):
        layer = case.make(weft)
        arrays, rebuild = case.inputs
        # On symbols: a call whose outputs are dropped would be work left for the next program.
        x, kwargs = rebuild([weft.Input(batch_shape=a.shape, dtype=a.dtype.name) for a in arrays])
        layer(x, **kwargs)
        layer.set_weights(values_for(layer.weights))
    return layer, [v.numpy() for v in layer.variables]


@cache
def keras_layer(case, policy="float32"):
    """Keras's layer, built, with the weights of weft's."""
    with global_policy(policy):
        layer = case.make(keras)
        arrays, rebuild = case.inputs
        x, kwargs = rebuild([symbolic(a) for a in arrays])
        with patch.object(keras.initializers.Orthogonal, "__call__", zeros):
            layer(x, **kwargs)
    mine = weft_layer(case, policy)[0].weights
    described = [(v.name, tuple(v.shape), str(v.dtype)) for v in mine]
    assert described == [(v.name, tuple(v.shape), str(v.dtype)) for v in layer.weights]
    layer.set_weights(values_for(mine))
    return layer


def zeros(initializer, shape, dtype=None):
    """In place of Keras's orthogonal matrices, which do not come in bfloat16."""
    return jnp.zeros(shape, dtype)


def reset(layer, start):
    for variable, value in zip(layer.variables, start, strict=True):
        variable.assign(value)


# -- a case run ----------------------------------------------------------------------------------


class Run:
    """What came of a call: outputs, their masks, gradients, state after, losses."""

    def __init__(self, outputs, masks, d_inputs, d_weights, state, losses):
        self.outputs, self.masks = outputs, masks
        self.d_inputs, self.d_weights = d_inputs, d_weights
        self.state, self.losses = state, losses


def is_float(array):
    return jnp.issubdtype(array.dtype, jnp.floating)


def cotangent(number, shape):
    """Weights that turn the output of this number into a scalar."""
    return np.random.default_rng(2 + number).normal(size=tuple(shape)).astype("float32")


@cache
def run_weft(case, training, policy="float32"):
    layer, start = weft_layer(case, policy)
    reset(layer, start)
    arrays, _ = case.inputs
    tensors = [weft.convert_to_tensor(a) for a in arrays]
    floats = [t for t in tensors if is_float(t)]
    with weft.GradientTape() as tape:
        tape.watch(floats)
        outputs = call_weft(case, layer, tensors, training)
        scored = [y * cotangent(i, y.shape) for i, y in enumerate(outputs) if is_float(y)]
        loss = sum(weft.ops.sum(weft.ops.cast(y, "float32")) for y in scored)
    d_inputs, d_weights = tape.gradient(loss, [floats, layer.trainable_variables])
    return Run(
        outputs=outputs,
        masks=[y._keras_mask for y in outputs],
        d_inputs=zeros_for_none(d_inputs, floats),
        d_weights=zeros_for_none(d_weights, layer.trainable_variables),
        state=[v.numpy() for v in layer.non_trainable_variables],
        losses=[float(value) for value in layer.losses],
    )


def call_weft(case, layer, tensors, training):
    """The outputs, flat."""
    x, kwargs = case.inputs[1](tensors)
    if case.takes_training:
        kwargs = {**kwargs, "training": training}
    x = case.masked(x, lambda t, m: set_mask(t, weft.convert_to_tensor(m)))
    return jax.tree.leaves(layer(x, **kwargs))


def zeros_for_none(grads, values):
    return [np.zeros(v.shape, "float32") if g is None else g for g, v in zip(grads, values)]


@cache
def run_keras(case, training, policy="float32"):
    layer = keras_layer(case, policy)
    arrays, rebuild = case.inputs
    floats = [jnp.asarray(a) for a in arrays if is_float(a)]
    variables = layer.variables
    params = [v.value for v in layer.trainable_variables]
    trained = {id(v) for v in layer.trainable_variables}

    # `stateless_call` passes over what `__call__` does: casts, masks, activity regularizers.
    def outcome(floats, params):
        left = iter(floats)
        x, kwargs = rebuild([next(left) if is_float(a) else jnp.asarray(a) for a in arrays])
        if "training" in inspect.signature(layer.call).parameters:
            kwargs = {**kwargs, "training": training}
        x = case.masked(x, lambda t, m: keras_backend.set_keras_mask(t, jnp.asarray(m)))
        given = list(zip(layer.trainable_variables, params))
        with keras.StatelessScope(given, collect_losses=True) as scope:
            outputs = jax.tree.leaves(layer(x, **kwargs))
            losses = layer.losses
            after = [current(scope, v) for v in variables if id(v) not in trained]
        masks = [keras_backend.get_keras_mask(y) for y in outputs]
        scored = [y * cotangent(i, y.shape) for i, y in enumerate(outputs) if is_float(y)]
        loss = sum(jnp.sum(y.astype("float32")) for y in scored)
        return loss, (outputs, masks, after, losses)

    step = jax.jit(jax.grad(outcome, (0, 1), has_aux=True))
    (d_inputs, d_weights), (outputs, masks, after, losses) = step(floats, params)
    return Run(outputs, masks, d_inputs, d_weights, after, [float(v) for v in losses])


def current(scope, variable):
    value = scope.get_current_value(variable)
    return variable.value if value is None else value
