"""Normalization layers: what the contract does not see. State, stability, shapes refused."""

import keras
import numpy as np
import pytest

import weft
from weft.engine import ShapeError
from weft.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(8, 5, 6)).astype("float32")


# -- batch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("renorm", [False, True])
def test_moving_moments_follow_the_batches_and_serve_inference(renorm):
    layer = BatchNormalization(momentum=0.5, renorm=renorm, renorm_momentum=0.5, epsilon=1e-5)
    for _ in range(30):
        layer(X, training=True)
    flat = X.reshape(-1, 6).astype("float64")
    np.testing.assert_allclose(layer.moving_mean.numpy(), flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), flat.var(0), rtol=1e-4)
    expected = (X - flat.mean(0)) / flat.std(0)
    np.testing.assert_allclose(layer(X).numpy(), expected, atol=1e-4)


def test_renormalized_training_is_inference_once_the_moments_are_known():
    layer = BatchNormalization(momentum=0.0, renorm=True, renorm_momentum=0.0)
    layer(X, training=True)
    other = X[:3] * 2 - 1  # moments of its own
    layer.momentum = layer.renorm_momentum = 1.0
    np.testing.assert_allclose(layer(other, training=True), layer(other), atol=1e-4)
    plain = BatchNormalization()(other, training=True).numpy()
    assert abs(plain - layer(other).numpy()).max() > 0.5


def test_first_renormalized_moments_are_those_given():
    options = {"moving_mean_initializer": "ones", "renorm": True}
    four = weft.initializers.Constant(4.0)
    layer = BatchNormalization(moving_variance_initializer=four, **options)
    theirs = keras.layers.BatchNormalization(
        moving_variance_initializer=keras.initializers.Constant(4.0), **options
    )
    layer.build((2, 3))
    theirs.build((2, 3))
    for mine, other in zip(layer.weights, theirs.weights, strict=True):
        assert mine.name == other.name
        np.testing.assert_array_equal(mine.numpy(), np.asarray(other))


def test_what_a_mask_hides_changes_nothing():
    mask = RNG.random((8, 5)) > 0.4
    layer, other = BatchNormalization(), BatchNormalization()
    y = layer(X, training=True, mask=mask).numpy()
    changed = np.where(mask[..., None], X, 1e4).astype("float32")
    z = other(changed, training=True, mask=mask).numpy()
    np.testing.assert_allclose(y[mask], z[mask], atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.01 * X[mask].mean(0), rtol=1e-4)
    wholly = layer(X, training=True, mask=np.zeros((8, 5), bool)).numpy()
    assert np.isfinite(wholly).all()


def test_frozen_it_normalizes_with_the_moving_moments_and_keeps_them():
    layer = BatchNormalization()
    layer(X, training=True)
    layer.trainable = False
    before = layer.moving_mean.numpy()
    np.testing.assert_array_equal(layer(X, training=True), layer(X, training=False))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), before)


def test_momentum_may_change_later():
    layer = BatchNormalization()
    layer(X, training=True)
    layer.momentum = 0.0
    layer(X, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X.mean((0, 1)), rtol=1e-5)


def test_a_batch_on_many_devices_is_one_batch():
    same = [BatchNormalization(synchronized=s)(X, training=True).numpy() for s in (True, False)]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"renorm_clipping": {"rmax": 1.5, "foo": 1.0}}, "keys among rmax, rmin, dmax, got"),
        ({"renorm_clipping": "rmax"}, "renorm_clipping is a dict"),
        ({"renorm_clipping": {"rmax": 0.5, "rmin": 0.9}}, "rmin not above rmax"),
        ({"renorm_clipping": {"dmax": -1}}, "dmax must be a number, not below 0, got dmax=-1"),
        ({"renorm_momentum": 2}, r"renorm_momentum must be in \[0, 1\], got renorm_momentum=2"),
        ({"momentum": "0.9"}, r"momentum must be in \[0, 1\], got momentum='0.9'"),
        ({"epsilon": -1e-3}, "BatchNormalization: epsilon must be a number, not below 0"),
        ({"virtual_batch_size": 4}, "virtual_batch_size=4 is not offered"),
        ({"axis": True}, "axis must be an integer, got axis=True"),
    ],
)
def test_batch_arguments_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**options)


def test_keras_2_arguments_that_change_nothing_are_taken():
    layer = BatchNormalization(axis=[1], fused=True, virtual_batch_size=None)
    assert layer.axis == 1


# -- each sample -----------------------------------------------------------------------------------


def test_axes_in_any_order_carry_their_weights_along():
    ways = [LayerNormalization(axis=[1, 2]), LayerNormalization(axis=[-1, 1])]
    gamma = RNG.normal(size=(5, 6)).astype("float32")
    outputs = []
    for layer, value in zip(ways, [gamma, gamma.T], strict=True):
        layer.build(X.shape)
        layer.gamma.assign(value)
        outputs.append(layer(X).numpy())
    np.testing.assert_allclose(*outputs, atol=1e-6)


@pytest.mark.parametrize("make", [LayerNormalization, lambda **k: GroupNormalization(2, **k)])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_moments_of_half_precision_keep_their_digits(make, offset):
    x = (RNG.normal(size=(4, 256)) + offset).astype("float16")
    y = make(dtype="mixed_float16", epsilon=0.0)(x)
    assert y.dtype == "float16"
    grouped = x.astype("float64").reshape((4, 1, -1) if make is LayerNormalization else (4, 2, -1))
    expected = (grouped - grouped.mean(2, keepdims=True)) / grouped.std(2, keepdims=True)
    np.testing.assert_allclose(y.numpy().astype("float64"), expected.reshape(4, 256), atol=4e-3)


@pytest.mark.parametrize("make", [RMSNormalization, UnitNormalization])
def test_squares_beyond_float16_are_no_trouble(make):
    y = make(dtype="mixed_float16")(np.full((1, 4), 6e4, "float32")).numpy()
    np.testing.assert_allclose(y, y[0, 0] * np.ones((1, 4)))
    assert y[0, 0] == (0.5 if make is UnitNormalization else 1.0)


def test_a_zero_has_no_direction_and_a_finite_gradient():
    x = weft.convert_to_tensor(np.zeros((2, 3), "float32"))
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = UnitNormalization()(x)
    assert np.isfinite(tape.gradient(y, x).numpy()).all()
    np.testing.assert_array_equal(y.numpy(), np.zeros((2, 3)))


@pytest.mark.parametrize("groups", [-1, 6])
def test_a_group_for_each_channel_is_instance_normalization(groups):
    x = RNG.normal(size=(2, 4, 5, 6)).astype("float32")
    expected = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    layer = GroupNormalization(groups, epsilon=1e-8)
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-4)
    assert layer.get_config()["groups"] == 6


def test_integers_are_taken_as_floats():
    x = np.array([[1, 2, 3, 6]], "int32")
    for make in (LayerNormalization, RMSNormalization, UnitNormalization, BatchNormalization):
        np.testing.assert_allclose(make()(x), make()(x.astype("float32")))
    np.testing.assert_allclose(GroupNormalization(2)(x), GroupNormalization(2)(x * 1.0))


ZEROS = np.zeros((2, 4, 6), "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupNormalization(0), "positive integer, or -1 .* got groups=0"),
        (lambda: GroupNormalization(-2), "got groups=-2"),
        (lambda: GroupNormalization(2.5), "got groups=2.5"),
        (lambda: GroupNormalization(2, axis=[1]), r"axis must be an integer, got axis=\[1\]"),
        (
            lambda: LayerNormalization(axis=None),
            "axis must be an integer or several, got",
        ),
        (lambda: LayerNormalization(rms_scaling=True), "RMSNormalization divides by the root mean"),
        (lambda: RMSNormalization(axis=[]), "RMSNormalization: axis must be an integer or several"),
        (lambda: RMSNormalization(epsilon="x"), "epsilon must be a number, not below 0"),
        (lambda: UnitNormalization(axis=[1, "a"]), "UnitNormalization: axis must be an integer"),
    ],
)
def test_arguments_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (GroupNormalization(4), (2, 4, 6), r"6 channels .* into 4 groups of one size"),
        (GroupNormalization(2, axis=0), (2, 4, 6), "axis 0 is the batch"),
        (GroupNormalization(2, axis=3), (2, 4, 6), "axis 3 is out of range .* has 3 axes"),
        (GroupNormalization(2), (2, 4, None), "the size of axis -1 must be known"),
        (LayerNormalization(axis=[1, -2]), (2, 4, 6), r"axis=\[1, -2\] names an axis .* twice"),
        (LayerNormalization(), (2, None), "the size of axis -1 must be known"),
        (UnitNormalization(axis=-4), (2, 4, 6), "axis -4 is out of range"),
        (BatchNormalization(axis=0), (3,), r"expected a batch of samples, \(batch, ...\)"),
    ],
)
def test_shapes_refused_when_built(layer, shape, message):
    with pytest.raises(ShapeError, match=rf"layer '{layer.name}' .*{message}"):
        layer.build(shape)
    assert not layer.built and layer.weights == []


@pytest.mark.parametrize(
    "layer",
    [GroupNormalization(1), LayerNormalization(), RMSNormalization(), BatchNormalization()],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("training", [False, True])
def test_one_channel_is_not_spread_over_many(layer, training):
    layer(ZEROS)
    options = {"training": training} if isinstance(layer, BatchNormalization) else {}
    with pytest.raises(ShapeError, match=rf"layer '{layer.name}'.*\(2, 4, 1\)|\[2, 4, 1\]"):
        layer(np.zeros((2, 4, 1), "float32"), **options)


def test_a_mask_of_another_shape_is_refused():
    layer = BatchNormalization()
    with pytest.raises(
        ShapeError, match=r"the mask has shape \(2, 5\).* whose shape is \(2, 4, 6\)"
    ):
        layer(ZEROS, training=True, mask=np.ones((2, 5), bool))


# -- spectral --------------------------------------------------------------------------------------


def largest(kernel):
    value = kernel.numpy()
    return np.linalg.svd(value.reshape(-1, value.shape[-1]))[1][0]


@pytest.mark.parametrize(
    ("inner", "x"),
    [
        (lambda: Dense(4), X),
        (lambda: Conv2D(3, 2), RNG.normal(size=(2, 5, 5, 2)).astype("float32")),
        (lambda: Embedding(7, 3), np.array([[1, 2]])),
    ],
)
def test_the_largest_singular_value_becomes_one(inner, x):
    layer = SpectralNormalization(inner(), power_iterations=3)
    layer(x)
    layer.kernel.assign(RNG.normal(size=tuple(layer.kernel.shape)).astype("float32"))
    for _ in range(20):
        y = layer(x, training=True)
    assert largest(layer.kernel) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(layer(x), y, atol=1e-3)  # inference has the kernel too
    assert layer.kernel is getattr(layer.layer, layer.kernel.name)


def test_kernel_and_vector_after_a_call_are_keras_s():
    x = X[:, 0]
    mine = SpectralNormalization(Dense(3), power_iterations=2)
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(3), power_iterations=2)
    mine(x)
    theirs(x)
    assert [w.name for w in mine.weights] == ["kernel", "vector_u", "bias"]
    assert [w.name for w in theirs.weights] == ["kernel", "vector_u", "bias"]
    values = [RNG.normal(size=tuple(w.shape)).astype("float32") for w in mine.weights]
    mine.set_weights(values)
    theirs.set_weights(values)
    np.testing.assert_allclose(mine(x, training=True), theirs(x, training=True), atol=1e-5)
    for weight, other in zip(mine.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), np.asarray(other), atol=1e-5)
    kept = mine.kernel.numpy()
    mine(x, training=False)
    np.testing.assert_array_equal(mine.kernel.numpy(), kept)


def test_training_keeps_the_norm_near_one():
    model = weft.Sequential([SpectralNormalization(Dense(4, use_bias=False)), Dense(1)])
    model.compile(weft.optimizers.SGD(0.01), "mse")
    model.fit(X[:, 0], np.ones((8, 1), "float32"), epochs=30, verbose=0)
    assert largest(model.layers[0].kernel) == pytest.approx(1, abs=0.05)


def test_a_failing_call_leaves_the_layer_whole():
    layer = SpectralNormalization(Dense(3))
    layer(X)
    kernel = layer.kernel.numpy()
    with pytest.raises(ShapeError):
        layer(np.zeros((2, 9), "float32"), training=True)
    assert layer.layer.kernel is layer.kernel
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)


def test_what_cannot_be_normalized_is_refused():
    with pytest.raises(ValueError, match="power_iterations must be a positive integer"):
        SpectralNormalization(Dense(2), power_iterations=0)
    with pytest.raises(ValueError, match="SpectralNormalization wraps a layer, got int 3"):
        SpectralNormalization(3)
    with pytest.raises(ValueError, match=r"'flatten.*' \(Flatten\) has neither a kernel nor embed"):
        SpectralNormalization(Flatten())(X)
