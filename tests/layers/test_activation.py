"""Activation layers: what the contract does not see."""

import numpy as np
import pytest

import weft
from weft.engine import ShapeError
from weft.layers import ELU, LeakyReLU, PReLU, ReLU, Softmax

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def test_keras_2_spellings():
    assert LeakyReLU(alpha=0.2).negative_slope == 0.2
    assert Softmax(robust_masking=True).axis == -1


@pytest.mark.parametrize(
    ("shared", "shape"),
    [
        (None, (3, 4)),
        (1, (1, 4)),
        ([1, 2], (1, 1)),
        ([-1], (3, 1)),
        ((2, -2), (1, 1)),
    ],
)
def test_slopes_of_prelu_have_the_shape_of_what_is_not_shared(shared, shape):
    layer = PReLU(shared_axes=shared, alpha_initializer=weft.initializers.Constant(0.25))
    y = layer(X).numpy()
    assert tuple(layer.alpha.shape) == shape
    np.testing.assert_allclose(y, np.where(X > 0, X, 0.25 * X), rtol=1e-6)


def test_prelu_learns_its_slopes():
    layer = PReLU(shared_axes=[1, 2])
    optimizer = weft.optimizers.SGD(0.5)
    for _ in range(60):
        with weft.GradientTape() as tape:
            loss = weft.ops.mean((layer(X) - np.where(X > 0, X, 0.3 * X)) ** 2)
        grads = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(grads, layer.trainable_variables, strict=True))
    assert layer.alpha.numpy().item() == pytest.approx(0.3, abs=0.01)


def test_prelu_takes_steps_of_any_number_where_they_share():
    layer = PReLU(shared_axes=[1])
    layer.build((None, None, 4))
    for steps in (3, 5):
        assert layer(np.ones((2, steps, 4), "float32")).shape == (2, steps, 4)


def test_a_softmax_masked_wholly_is_zeros_with_a_finite_gradient():
    x = weft.convert_to_tensor(X[0])
    mask = np.array([[False] * 4, [True] * 4, [True, False, True, False]])
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = Softmax()(x, mask=mask)
        loss = weft.ops.sum(y**2)
    np.testing.assert_allclose(y.numpy().sum(-1), [0, 1, 1], atol=1e-6)
    assert not y.numpy()[~mask].any()
    gradient = tape.gradient(loss, x).numpy()
    assert np.isfinite(gradient).all() and not gradient[~mask].any()


def test_softmax_over_several_axes_sums_to_one_over_them():
    y = Softmax(axis=[1, 2])(X, mask=X > 0).numpy()
    np.testing.assert_allclose(y.sum((1, 2)), [1, 1], atol=1e-6)
    large = Softmax(axis=(0, 1, 2))(X * 1e4).numpy()
    assert large.sum() == pytest.approx(1)


def test_softmax_uses_the_mask_that_travels():
    x = weft.convert_to_tensor(X[0])
    x._keras_mask = weft.convert_to_tensor(X[0] > 0)
    assert not Softmax()(x).numpy()[X[0] <= 0].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReLU(max_value=-1), "ReLU: max_value must be a number, not below 0, got max_v"),
        (lambda: ReLU(threshold=None), "ReLU: threshold must be a number"),
        (lambda: LeakyReLU(-0.1), "LeakyReLU: negative_slope must be a number, not below 0"),
        (lambda: ELU("a"), "ELU: alpha must be a number, got alpha='a'"),
        (lambda: PReLU(shared_axes="a"), "shared_axes is an axis or several, got"),
        (lambda: Softmax(axis="last"), "Softmax: axis must be an integer or several, got"),
        (lambda: PReLU(alpha_initializer="zeroes"), "zeroes.*zeros"),
    ],
)
def test_arguments_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (PReLU(), (None, None, 4), r"the size of axis 1 must be known.*shared_axes=\[1\]"),
        (PReLU(shared_axes=[0]), (2, 3), "shared axis 0 is none of the axes 1 to 1"),
        (PReLU(shared_axes=[3]), (2, 3, 4), "shared axis 3 is none of the axes 1 to 2"),
        (PReLU(), (), r"expected a batch of samples"),
    ],
)
def test_shapes_refused_when_built(layer, shape, message):
    with pytest.raises(ShapeError, match=rf"layer '{layer.name}' .*{message}"):
        layer.build(shape)


def test_inputs_that_do_not_fit_are_refused():
    layer = PReLU()
    layer(X)
    for shape in [(2, 3, 1), (2, 5, 4), (2, 4)]:
        with pytest.raises(ShapeError, match=r"slopes of shape \(3, 4\) do not fit an input"):
            layer(np.ones(shape, "float32"))
    with pytest.raises(ShapeError, match=r"mask of shape \(5, 2, 3, 4\) does not broadcast to"):
        Softmax()(X, mask=np.ones((5, 2, 3, 4), bool))
    with pytest.raises(ShapeError, match="axis 9"):
        Softmax(axis=9)(X)
