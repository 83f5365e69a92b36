"""Every public layer passes the same properties, by being listed: against Keras, and weft's own."""

import inspect
import json
import re
from functools import cache

import jax
import keras
import numpy as np
import pytest

import weft
from tests.layers.registry import (
    ALL,
    CASES,
    KERAS_ONLY,
    SECOND_NAMES,
    call_weft,
    cotangent,
    is_float,
    reset,
    run_keras,
    run_weft,
    symbolic,
    weft_layer,
)
from weft import layers

# What computes nothing by itself.
WITHOUT_CASES = {"InputLayer", "InputSpec", "Layer", "Wrapper"}


# Keras's layers that come later: preprocessing and augmentation; and those of other frameworks.
LATER = {
    "AugMix", "AutoContrast", "CategoryEncoding", "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Discretization", "Equalization",
    "HashedCrossing", "Hashing", "IntegerLookup", "MaxNumBoundingBoxes", "MelSpectrogram", "MixUp",
    "Normalization", "Pipeline", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing",
    "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
    "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Rescaling", "Resizing",
    "STFTSpectrogram", "Solarization", "StringLookup", "TFSMLayer", "TextVectorization",
    "TorchModuleWrapper",
}  # fmt: skip


def one(case, *more):
    """A test's parameters; a case's tests run in one worker, where they share what was compiled."""
    ident = "-".join(map(repr, (case, *more)))
    return pytest.param(case, *more, id=ident, marks=pytest.mark.xdist_group(repr(case)))


def each(cases):
    return pytest.mark.parametrize("case", [one(case) for case in cases])


def first(count, cases):
    """The first cases of each layer: for what depends on the layer more than on its arguments."""
    names = [case.name for case in cases]
    return [case for i, case in enumerate(cases) if names[:i].count(case.name) < count]


AGAINST_KERAS = [case for case in ALL if case.flags.get("keras", True)]
every_case = each(ALL)
every_keras_case = each(AGAINST_KERAS)
every_keras_run = pytest.mark.parametrize(
    ("case", "training"),
    [one(c, t) for c in AGAINST_KERAS for t in ([False, True] if c.takes_training else [False])],
)


def all_close(mine, theirs, tolerance):
    """Arrays equal up to `tolerance`, relative to the largest element of each.

    One that is small beside the others of the list, a difference that cancels, counts as a tenth
    of the largest.
    """
    mine, theirs = ([np.asarray(v, "float64") for v in values] for values in (mine, theirs))
    assert [v.shape for v in mine] == [v.shape for v in theirs]
    sizes = [np.abs(v[np.isfinite(v)]).max(initial=1e-3) for v in theirs]
    for a, b, size in zip(mine, theirs, sizes):
        atol = tolerance * max(size, 0.1 * max(sizes))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=atol)


# -- the list -----------------------------------------------------------------------------------


def test_every_public_layer_is_listed():
    public = {n for n in layers.__all__ if isinstance(getattr(layers, n), type)}
    assert set(CASES) | WITHOUT_CASES | set(SECOND_NAMES) == public
    assert set(layers.__all__) >= {n for n in dir(keras.layers) if n[0] != "_"} - LATER
    for second, first in SECOND_NAMES.items():
        assert getattr(layers, second) is getattr(layers, first)


# -- against Keras ------------------------------------------------------------------------------


@every_keras_run
def test_outputs_masks_and_state_are_keras_s(case, training):
    mine, theirs = run_weft(case, training), run_keras(case, training)
    assert [(y.dtype, tuple(y.shape)) for y in mine.outputs] == [
        (y.dtype, y.shape) for y in theirs.outputs
    ]
    for mask, their_mask in zip(mine.masks, theirs.masks, strict=True):
        assert (mask is None) == (their_mask is None)
        if mask is not None:
            np.testing.assert_array_equal(np.asarray(mask), np.asarray(their_mask))
    if case.random and training:
        return
    all_close(mine.outputs, theirs.outputs, case.flags.get("tolerance", 1e-5))
    all_close(mine.losses, theirs.losses, 1e-5)
    if case.flags.get("state", True):
        all_close(mine.state, theirs.state, 1e-5)


@every_keras_run
def test_gradients_are_keras_s(case, training):
    tolerance = case.flags.get("gradients", 1e-5)
    if (case.random and training) or tolerance is False:
        pytest.skip("other draws than Keras's" if case.random else "no gradients")
    mine, theirs = run_weft(case, training), run_keras(case, training)
    all_close(mine.d_inputs, theirs.d_inputs, tolerance)
    all_close(mine.d_weights, theirs.d_weights, tolerance)


@pytest.mark.parametrize(
    ("case", "policy"),
    [one(c, "mixed_bfloat16") for c in AGAINST_KERAS]
    + [one(c, "bfloat16") for c in first(1, AGAINST_KERAS)],
)
def test_half_precision_is_keras_s(case, policy):
    """Outputs and gradients are as near to those of float32 as Keras's are, or nearer."""
    tolerance = case.flags.get("bfloat16", 0.02)  # one step of bfloat16 is 2**-8
    if tolerance is False:
        pytest.skip("not in bfloat16")
    training = case.takes_training and not case.random
    mine, theirs = run_weft(case, training, policy), run_keras(case, training, policy)
    assert [y.dtype for y in mine.outputs] == [y.dtype for y in theirs.outputs]
    found, expected, truth = map(results, (mine, theirs, run_weft(case, training)))
    if case.flags.get("gradients") is False:
        found, expected, truth = (r[: len(mine.outputs)] for r in (found, expected, truth))
    for a, b, c in zip(found, expected, truth, strict=True):
        a, b, c = (np.asarray(v, "float32") for v in (a, b, c))
        size = np.abs(c).max(initial=0)
        allowed = np.maximum(tolerance * max(size, 1e-3), 2 * np.abs(b - c).max(initial=0))
        # Draws may depend on the dtype: then it is Keras's that count.
        error = np.minimum(np.abs(a - b), np.abs(a - c))
        np.testing.assert_array_less(error, allowed + 1e-30)


def results(run):
    return [*run.outputs, *run.d_inputs, *run.d_weights]


def same_config(mine, theirs):
    """Whether two configs mean the same, nested ones included."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys = set(mine) | set(theirs)
        return all(same_config(mine.get(k), theirs.get(k)) for k in keys - KERAS_ONLY - {"name"})
    if isinstance(theirs, dict) and theirs.get("class_name") == "DTypePolicy":
        return mine == theirs["config"]["name"]
    if isinstance(mine, list | tuple) and isinstance(theirs, list | tuple):
        return len(mine) == len(theirs) and all(map(same_config, mine, theirs))
    if isinstance(mine, float):
        return mine == pytest.approx(theirs, rel=1e-6)  # Keras's L1 keeps a float32
    return mine == theirs


@each([case for case in AGAINST_KERAS if case.flags.get("config", True)])
def test_configs_are_keras_s_both_ways(case):
    mine, theirs = case.make(weft), case.make(keras)
    config, their_config = mine.get_config(), theirs.get_config()
    assert same_config(config, their_config), (config, their_config)
    assert same_config(type(mine).from_config(their_config).get_config(), their_config)
    passed = json.loads(json.dumps(config))  # some of Keras's take it apart
    assert same_config(config, type(theirs).from_config(passed).get_config())
    again = type(mine).from_config(json.loads(json.dumps(config)))
    assert same_config(again.get_config(), config)
    numbered = re.compile(r"_\d+$")
    assert numbered.sub("", mine.name) == numbered.sub("", theirs.name)
    assert again.name == mine.name


# -- shapes ---------------------------------------------------------------------------------------


def unknown_shapes(case):
    """`x` as a nest of batch shapes: the batch unknown, and each one further axis too."""
    tried = case.flags.get("unknown", ())
    if tried is False:
        return []
    leaves, tree = jax.tree.flatten(case.x)
    without = lambda axes: [  # noqa: E731
        tuple(None if i in axes else n for i, n in enumerate(leaf.shape)) for leaf in leaves
    ]
    found = [without({0})]
    if len(leaves) == len(case.inputs[0]):  # other arguments would have to follow
        found += [without({0, axis}) for axis in range(1, max(leaf.ndim for leaf in leaves))]
    return [jax.tree.unflatten(tree, shapes) for shapes in found] + list(tried)


def flat_shapes(shapes):
    return jax.tree.leaves(shapes, is_leaf=is_shape)


def is_shape(value):
    return isinstance(value, tuple) and all(n is None or isinstance(n, int) for n in value)


@pytest.mark.skipif(isinstance(weft.Input((1,)), layers.Layer), reason="not there yet")
@every_keras_case
def test_shapes_with_unknown_sizes_are_keras_s(case):
    arrays, rebuild = case.inputs
    first = len(jax.tree.leaves(case.x))
    for shapes in unknown_shapes(case):
        given = [*flat_shapes(shapes), *[(None, *a.shape[1:]) for a in arrays[first:]]]
        x, kwargs = rebuild([symbolic(a, s) for a, s in zip(arrays, given)])
        try:
            expected = jax.tree.leaves(case.make(keras)(x, **kwargs))
        except Exception:
            continue  # Keras needs that size
        x, kwargs = rebuild(
            [weft.Input(batch_shape=s, dtype=a.dtype.name) for a, s in zip(arrays, given)]
        )
        found = jax.tree.leaves(case.make(weft)(x, **kwargs))
        assert [(tuple(y.shape), str(y.dtype)) for y in found] == [
            (tuple(y.shape), str(y.dtype)) for y in expected
        ], shapes


@pytest.mark.skipif(not hasattr(layers.Layer, "compute_output_shape"), reason="not there yet")
# Of the shapes of the inputs alone: an output that depends on more is left out.
@each([c for c in ALL if len(c.inputs[0]) == len(jax.tree.leaves(c.x)) and not c.kwargs])
def test_the_declared_shape_is_the_real_one(case):
    before = weft.config.compile_count()
    declared = [tuple(s) for s in flat_shapes(case.make(weft).compute_output_shape(case.shapes))]
    assert weft.config.compile_count() == before
    outputs = run_weft(case, False).outputs
    assert declared == [tuple(y.shape) for y in outputs] == [y.numpy().shape for y in outputs]


# -- weft's own promises --------------------------------------------------------------------------


@every_case
def test_gradients_are_finite_differences(case):
    """Along one random direction in the space of inputs and weights."""
    if not case.flags.get("differences", True):
        pytest.skip("no differences")
    run = run_weft(case, case.takes_training)
    layer, start = weft_layer(case)
    arrays, _ = case.inputs
    floats = [i for i, a in enumerate(arrays) if is_float(a)]
    trained = {id(v) for v in layer.trainable_variables}
    weights = [i for i, v in enumerate(layer.variables) if id(v) in trained]
    rng = np.random.default_rng(3)
    points = [arrays[i] for i in floats] + [start[i] for i in weights]
    ways = [rng.normal(size=p.shape).astype("float32") for p in points]
    forward = traced(case)

    def score(step):
        moved = [p + step * way for p, way in zip(points, ways)]
        x, values = list(arrays), list(start)
        for i, value in zip(floats, moved):
            x[i] = value
        for i, value in zip(weights, moved[len(floats) :]):
            values[i] = value
        reset(layer, values)  # the seed too, so the draws are the same
        outputs = [y.numpy().astype("float64") for y in forward(x)]
        return sum((y * cotangent(i, y.shape)).sum() for i, y in enumerate(outputs))

    found = (score(1e-3) - score(-1e-3)) / 2e-3
    reset(layer, start)
    grads = [np.asarray(g, "float64") for g in [*run.d_inputs, *run.d_weights]]
    expected = sum((g * way).sum() for g, way in zip(grads, ways))
    size = np.sqrt(sum((g**2).sum() for g in grads))
    assert found == pytest.approx(expected, rel=0.02, abs=0.01 * size + 1e-3)


@cache
def traced(case):
    """The layer as a function of its inputs, one program."""
    layer, _ = weft_layer(case)
    return weft.function(lambda x: call_weft(case, layer, x, True))


@each(first(2, ALL))
def test_same_in_the_loop_and_in_a_function(case):
    layer, start = weft_layer(case)
    found = []
    for call in (lambda x: call_weft(case, layer, x, True), traced(case)):
        reset(layer, start)
        x = [weft.convert_to_tensor(a) for a in case.inputs[0]]
        # The second call sees the first's state.
        found.append([y.numpy() for _ in range(2) for y in call(x)])
        found[-1] += [v.numpy() for v in layer.variables]
    all_close(*found, 1e-5)


class Scored(weft.Model):
    """One number a sample from any layer's outputs, so that it can be trained."""

    def __init__(self, case, layer):
        super().__init__()
        self.case, self.layer = case, layer
        self.scale = self.add_weight((), "ones")  # something to train in every case
        self.rest = case.inputs[0][len(jax.tree.leaves(case.x)) :]

    def compute_mask(self, x, previous_mask=None):
        return None  # of samples

    def call(self, x, training=False):
        tensors = [*jax.tree.leaves(x), *map(weft.convert_to_tensor, self.rest)]
        outputs = call_weft(self.case, self.layer, tensors, training)
        score = 0
        for i, y in enumerate(outputs):
            if is_float(y):
                rows = weft.ops.reshape(y * cotangent(i, y.shape), (y.shape[0], -1))
                score += weft.ops.mean(rows, axis=1, keepdims=True)
        return score * self.scale


@cache
def two_steps(case, how):
    """(variables after two training steps of that way, programs that the second one added)."""
    layer, start = weft_layer(case)
    reset(layer, start)
    model, optimizer, mse = Scored(case, layer), weft.optimizers.SGD(0.1), weft.losses.mse
    x, target = case.x, np.ones((len(jax.tree.leaves(case.x)[0]), 1), "float32")

    def step():
        with weft.GradientTape() as tape:
            score = model(jax.tree.map(weft.convert_to_tensor, x), training=True)
            loss = weft.ops.mean(mse(target, score)) + sum(model.losses)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        return loss

    def fit():
        model.fit(x, target, batch_size=len(target), shuffle=False, verbose=0)

    if how == "fit":
        model.compile(optimizer, "mse")
    run = {"loop": lambda: float(step()), "function": weft.function(step), "fit": fit}[how]
    run()
    [v.numpy() for v in layer.variables]
    before = weft.config.compile_count()
    run()
    after = [v.numpy() for v in layer.variables]
    added = weft.config.compile_count() - before
    reset(layer, start)
    return after, added


@pytest.mark.parametrize("how", ["loop", "function", "fit"])
@each(first(2, ALL))
def test_a_training_step(case, how):
    """It leaves the same weights in a plain loop, in a function and in `fit`; one program each."""
    after, added = two_steps(case, how)
    assert added == 0
    all_close(after, two_steps(case, "loop")[0], 1e-5)
    assert all(np.isfinite(v).all() for v in after)


@every_case
def test_building_compiles_nothing(case):
    before = weft.config.compile_count()
    layer = case.make(weft)
    named = inspect.signature(layer.build).parameters
    rest = {f"{key}_shape": value for key, value in case.kwargs.items() if f"{key}_shape" in named}
    layer.build(case.shapes, **{name: np.shape(value) for name, value in rest.items()})
    assert layer.built
    weights = layer.get_weights()
    layer.set_weights(weights)
    for value, again in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(value, again)
    assert [w.shape for w in weights] == [tuple(w.shape) for w in weft_layer(case)[0].weights]
    layer.trainable = False
    assert layer.trainable_variables == []
    assert len(layer.non_trainable_weights) == len(weights)
    assert weft.config.compile_count() == before


def goes_round(case):
    """Whether the layer's output is an input of its own, with state beside it."""
    alone = isinstance(case.x, np.ndarray) and not case.kwargs
    return alone and (case.random or case.name in ("BatchNormalization", "Dropout"))


@each([case for case in ALL if goes_round(case)])
def test_state_is_carried_by_a_loop(case):
    layer, start = weft_layer(case)
    if [tuple(y.shape) for y in run_weft(case, True).outputs] != [case.x.shape]:
        pytest.skip("the output is another input's")
    reset(layer, start)
    y = weft.convert_to_tensor(case.x)
    for _ in range(3):
        y = layer(y, training=True)
    expected = [y.numpy(), *(v.numpy() for v in layer.variables)]
    reset(layer, start)
    y = weft.ops.fori_loop(0, 3, lambda i, y: layer(y, training=True), case.x)
    all_close([y, *layer.variables], expected, 1e-5)


@each([case for case in ALL if case.random])
def test_draws_follow_from_the_state(case):
    """The same state gives the same draws, the next call others."""
    layer, start = weft_layer(case)
    found = []
    for _ in range(2):
        reset(layer, start)
        x = [weft.convert_to_tensor(a) for a in case.inputs[0]]
        found.append([call_weft(case, layer, x, True)[0].numpy() for _ in range(2)])
    (first, second), again = found[0], found[1]
    np.testing.assert_array_equal([first, second], again)
    assert (first != second).any()
