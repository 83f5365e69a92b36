"""Convolution: its lowerings against XLA's own, the adjoint, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import weft
from weft import ops
from weft.kernels import conv as kernels
from weft.kernels.conv import convolve
from weft.kernels.conv_transpose import transposed

rng = np.random.default_rng(3)
CPU = jax.default_backend() == "cpu"


def signed(*shape):
    return rng.normal(size=shape).astype("float32")


def plainly(x, kernel, strides, pads, dilation):
    """XLA's own convolution, on channels in front."""
    n = len(strides)
    y = lax.conv_general_dilated(
        jnp.moveaxis(x, -1, 1),
        jnp.transpose(kernel, (n + 1, n, *range(n))),
        strides,
        pads,
        rhs_dilation=dilation,
        feature_group_count=x.shape[-1] // kernel.shape[-2],
    )
    return jnp.moveaxis(y, 1, -1)


def agree(got, want, arrays, tolerance=1e-4):
    """Two functions of arrays have the same values, gradients and gradients of those."""
    shape = jax.eval_shape(want, *arrays).shape
    weights = signed(*shape)

    def orders(f):
        def first(*arrays):
            return jax.grad(lambda *a: (f(*a) ** 2 * weights).sum(), (0, 1))(*arrays)

        def second(*arrays):
            return sum((g**2).sum() for g in first(*arrays))

        return [f(*arrays), *first(*arrays), *jax.grad(second, (0, 1))(*arrays)]

    pairs = zip(jax.jit(lambda: orders(got))(), jax.jit(lambda: orders(want))(), strict=True)
    for mine, theirs in pairs:
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale)


# (input, kernel, strides, pads, dilation), for each lowering.
LOWERINGS = {
    "by_patches": [
        ((2, 7, 6, 3), (3, 2, 3, 4), (1, 1), [(0, 0), (0, 0)], (1, 1)),
        ((2, 7, 6, 3), (1, 1, 3, 5), (2, 1), [(0, 0), (0, 0)], (1, 1)),
        ((2, 9, 3), (4, 3, 2), (1,), [(0, 0)], (1,)),
    ],
    "by_shifts": [
        ((2, 9, 3), (4, 1, 6), (2,), [(1, 2)], (2,)),
        ((2, 7, 6, 3), (3, 2, 1, 3), (1, 1), [(1, 1), (0, 1)], (1, 2)),
        ((2, 7, 6, 3), (2, 3, 1, 6), (3, 2), [(0, 0), (2, 0)], (1, 1)),
        ((2, 4, 3, 5, 2), (2, 1, 2, 1, 2), (2, 1, 2), [(0, 1), (0, 0), (1, 1)], (1, 1, 2)),
    ],
    "by_blocks": [
        ((2, 7, 6, 4), (3, 2, 2, 6), (1, 2), [(1, 1), (0, 1)], (1, 1)),
        ((2, 9, 64), (2, 8, 16), (1,), [(0, 0)], (2,)),  # two groups together, four blocks
        ((1, 4, 4, 4, 4), (2, 2, 2, 2, 2), (1, 1, 1), [(0, 0)] * 3, (1, 1, 1)),
    ],
    "by_planes": [
        ((2, 5, 4, 6, 3), (2, 3, 2, 3, 4), (1, 1, 1), [(0, 1), (1, 1), (0, 0)], (1, 1, 1)),
        ((2, 6, 4, 5, 3), (3, 2, 1, 3, 2), (2, 1, 2), [(1, 1), (0, 0), (0, 0)], (1, 1, 1)),
        ((2, 6, 4, 5, 3), (2, 2, 2, 3, 2), (1, 1, 1), [(0, 1), (1, 0), (-1, 2)], (3, 2, 1)),
    ],
}


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, cases in LOWERINGS.items() for case in cases]
)
def test_lowerings_are_xla_s_convolution(name, case, monkeypatch):
    x, kernel, *how = case
    used = []
    original = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, lambda *args: used.append(name) or original(*args))
    arrays = signed(*x), signed(*kernel)
    agree(lambda x, k: convolve(x, k, *how), lambda x, k: plainly(x, k, *how), arrays)
    assert bool(used) == CPU


@pytest.mark.parametrize("name", LOWERINGS)
def test_other_platforms_use_xla_s(name, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.delattr(kernels, name)
    x, kernel, *how = LOWERINGS[name][0]
    x, kernel = signed(*x), signed(*kernel)
    np.testing.assert_allclose(
        convolve(jnp.asarray(x), jnp.asarray(kernel), *how),
        plainly(x, kernel, *how),
        rtol=1e-4,
        atol=1e-4,
    )


def test_groups_are_put_together_up_to_a_width(monkeypatch):
    products = []
    original = lax.conv_general_dilated
    monkeypatch.setattr(
        lax,
        "conv_general_dilated",
        lambda x, k, *a, **kw: products.append(k.shape) or original(x, k, *a, **kw),
    )
    x, kernel = jnp.ones((1, 5, 5, 64)), jnp.ones((3, 3, 4, 128))
    kernels.by_blocks(x, kernel, (1, 1), [(1, 1), (1, 1)], (1, 1))
    assert products == [(3, 3, 16, 32)] * 4


@pytest.mark.skipif(not CPU, reason="XLA's own elsewhere")
def test_depthwise_sums_are_in_float32():
    x = jnp.concatenate([jnp.full((1, 1, 1), 256.0), jnp.ones((1, 15, 1))], 1).astype("bfloat16")
    y = convolve(jnp.repeat(x, 2, -1), jnp.ones((16, 1, 2), "bfloat16"), (1,), [(0, 0)], (1,))
    # One at a time, each 1 would be lost beside 256.
    assert y.dtype == jnp.bfloat16 and np.asarray(y, "float32").ravel().tolist() == [272, 272]


@pytest.mark.parametrize(
    ("sizes", "kernel", "how"),
    [
        ((9,), (3, 2, 4), ((2,), [(1, 0)], (1,))),
        ((8, 7), (3, 2, 2, 3), ((1, 2), [(1, 1), (0, -1)], (2, 1))),
        ((5, 4, 6), (2, 2, 3, 2, 3), ((2, 1, 1), [(0, 1), (0, 0), (1, 1)], (1, 1, 1))),
    ],
)
def test_a_transposed_convolution_is_the_adjoint(sizes, kernel, how):
    z = jnp.zeros((2, *sizes, kernel[-2]))
    k = signed(*kernel)
    y, _ = jax.vjp(lambda z: plainly(z, k, *how), z)

    def adjoint(x, k):
        return jax.vjp(lambda z: plainly(z, k, *how), z)[1](x)[0]

    agree(lambda x, k: transposed(x, k, sizes, *how), adjoint, (signed(*y.shape), k))


def test_patches_are_for_what_was_measured():
    image, small = jnp.zeros((8, 16, 16, 32)), jnp.zeros((3, 3, 32, 32))
    none, one = [(0, 0), (0, 0)], (1, 1)
    worth = kernels.worthwhile
    assert worth(image, small, one, none, one) == CPU
    assert worth(image, small[:1, :1], (2, 2), none, one) == CPU
    assert not worth(image, small, one, [(1, 1), (1, 1)], one)
    assert not worth(image, small, (2, 2), none, one)
    assert not worth(image, small, one, none, (2, 2))
    assert not worth(image, small[:, :, :16], one, none, one)
    assert not worth(image.astype("float16"), small, one, none, one)
    assert not worth(jnp.zeros((64, 64, 64, 32)), small, one, none, one)


def test_second_steps_compile_nothing():
    x = weft.convert_to_tensor(signed(2, 6, 6, 4))
    weights = [signed(3, 3, 4, 2), signed(3, 3, 4, 5), signed(1, 1, 8, 3)]
    depthwise, transpose, pointwise = map(weft.Variable, weights)

    def step():
        with weft.GradientTape() as tape:
            y = ops.separable_conv(x, depthwise, pointwise, 2, "same")
            z = ops.conv_transpose(x, ops.transpose(transpose, (0, 1, 3, 2)), [2, 1])
            loss = ops.sum(y**2) + ops.sum(z**2)
        return [g.numpy() for g in tape.gradient(loss, [depthwise, transpose, pointwise])]

    step(), step()
    before = weft.config.compile_count()
    step()
    assert weft.config.compile_count() == before


def test_whole_numbers_stay_whole():
    x, kernel = np.arange(6, dtype="int32").reshape(1, 6, 1), np.ones((2, 1, 1), "int32")
    y = ops.conv(x, kernel, 2)
    assert y.dtype == "int32" and y.numpy().ravel().tolist() == [1, 5, 9]
    y = ops.depthwise_conv(np.repeat(x, 2, -1), np.ones((2, 2, 1), "int32"))
    assert y.dtype == "int32" and y.numpy()[0, :, 1].tolist() == [1, 3, 5, 7, 9]


# -- errors -----------------------------------------------------------------------------------

IMAGE = np.zeros((2, 5, 5, 2), "float32")


def ones(*shape):
    return np.ones(shape, "float32")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ops.conv(ones(3, 4), ones(3, 4)), r"1 to 3 spatial axes, got shape \(3, 4\)"),
        (
            lambda: ops.conv(IMAGE, ones(2, 2, 3, 2)),
            r"2 channels, the kernel \(2, 2, 3, 2\) is for 3",
        ),
        (lambda: ops.conv(IMAGE, ones(2, 2, 1, 3)), "groups that divide the output's channels"),
        (
            lambda: ops.conv(IMAGE, ones(2, 2, 2)),
            r"must have 4 axes \(spatial..., in, out\), got shape \(2, 2, 2\)",
        ),
        (lambda: ops.conv(IMAGE, ones(6, 6, 2, 2)), r"window of \(6, 6\) does not fit into the"),
        (
            lambda: ops.conv(IMAGE, ones(3, 3, 2, 2), dilation_rate=3),
            r"window of \(7, 7\) does not fit",
        ),
        (
            lambda: ops.conv(IMAGE, ones(2, 2, 2, 2), padding="causal"),
            "conv: padding is 'valid' or 'same', got 'causal'",
        ),
        (lambda: ops.conv(IMAGE, ones(2, 2, 2, 2), 0), "conv: strides must be a positive int or 2"),
        (
            lambda: ops.conv(IMAGE, ones(2, 2, 2, 2), 1, "same", "NHWC"),
            "data_format is 'channels_last' or 'channels_first', got 'NHWC'",
        ),
        (
            lambda: ops.depthwise_conv(IMAGE, ones(2, 2, 1, 2)),
            r"2 channels, the kernel \(2, 2, 1, 2\) is for 1",
        ),
        (
            lambda: ops.separable_conv(IMAGE, ones(2, 2, 2, 2), ones(1, 1, 2, 3)),
            r"\(1, 1, 4, 'filters'\).* gives 4 channels. Got shape \(1, 1, 2, 3\)",
        ),
        (
            lambda: ops.separable_conv(IMAGE, ones(2, 2, 2, 2), ones(2, 2, 4, 3)),
            r"pointwise kernel must have shape .* Got shape \(2, 2, 4, 3\)",
        ),
        (
            lambda: ops.conv_transpose(IMAGE, ones(2, 2, 2, 3)),
            r"2 channels, the kernel \(2, 2, 2, 3\) is for 3",
        ),
        (
            lambda: ops.conv_transpose(IMAGE, ones(2, 3, 2)),
            r"must have 4 axes \(spatial..., out, in\)",
        ),
        (
            lambda: ops.conv_transpose(IMAGE, ones(2, 2, 3, 2), output_padding=(0, -1)),
            r"output_padding must be a non-negative int or 2 of them, got \(0, -1\)",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ValueError, match=text):
        call()
