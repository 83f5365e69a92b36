"""`ops.dot_product_attention` beyond what Keras computes: see the registry for that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft import ops

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


QUERY, KEY, VALUE = draw(2, 3, 4, 6), draw(2, 5, 2, 6), draw(2, 5, 2, 7)


def by_hand(query, key, value, bias=0.0, scale=None, cap=None):
    """Equation 1 of the paper in float64, a head at a time."""
    query, key, value = (np.asarray(v, "float64") for v in (query, key, value))
    heads = query.shape[2]
    result = np.zeros((*query.shape[:3], value.shape[-1]))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    for b in range(len(query)):
        for n in range(heads):
            shared = n * key.shape[2] // heads
            scores = query[b, :, n] @ key[b, :, shared].T * scale
            scores = scores if cap is None else cap * np.tanh(scores / cap)
            weights = np.exp(scores + np.broadcast_to(bias, (2, heads, *scores.shape))[b, n])
            weights /= weights.sum(-1, keepdims=True)
            result[b, :, n] = weights @ value[b, :, shared]
    return result


@pytest.mark.parametrize("options", [{}, {"scale": 0.7}, {"bias": draw(4, 3, 5)}])
def test_values_are_those_of_the_paper(options):
    found = ops.dot_product_attention(QUERY, KEY, VALUE, **options)
    np.testing.assert_allclose(found, by_hand(QUERY, KEY, VALUE, **options), rtol=1e-5, atol=1e-6)


def test_a_soft_cap_bounds_the_scores():
    found = ops.dot_product_attention(QUERY, KEY, VALUE, attn_logits_soft_cap=0.5)
    np.testing.assert_allclose(found, by_hand(QUERY, KEY, VALUE, cap=0.5), rtol=1e-5, atol=1e-6)


def test_gradients_are_jax_s():
    arrays = QUERY, KEY, VALUE[..., :6]
    mask = RNG.random((2, 1, 3, 5)) > 0.3
    mask[..., 0] = True
    tensors = [weft.convert_to_tensor(a) for a in arrays]
    with weft.GradientTape() as tape:
        tape.watch(tensors)
        loss = ops.sum(ops.dot_product_attention(*tensors, mask=mask, is_causal=True) ** 2)
    found = tape.gradient(loss, tensors)
    expected = jax.grad(
        lambda *a: jnp.sum(jax.nn.dot_product_attention(*a, mask=mask, is_causal=True) ** 2),
        (0, 1, 2),
    )(*arrays)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_a_step_that_sees_nothing_gets_the_mean_and_passes_no_gradient():
    query = weft.convert_to_tensor(QUERY)
    mask = np.ones((2, 1, 3, 5), bool)
    mask[0, 0, 1] = False
    with weft.GradientTape() as tape:
        tape.watch(query)
        found = ops.dot_product_attention(query, KEY, VALUE, mask=mask)
        loss = ops.sum(found**2)
    np.testing.assert_allclose(found[0, 1, 0], VALUE[0, :, 0].mean(0), rtol=1e-5)
    gradient = tape.gradient(loss, query).numpy()
    assert not gradient[0, 1].any()
    assert gradient[0, 0].any()


def test_half_precision_has_a_wide_softmax():
    """With a thousand equal scores, float16 weights that were summed in float16 would be off."""
    query, key = np.ones((1, 1, 1, 4), "float16"), np.ones((1, 5000, 1, 4), "float16")
    value = np.full((1, 5000, 1, 1), 3, "float16")
    found = ops.dot_product_attention(query * 100, key * 100, value)
    assert found.dtype == "float16"
    assert float(found[0, 0, 0, 0]) == pytest.approx(3, rel=0.02)


def test_a_changed_scale_compiles_nothing():
    ops.dot_product_attention(QUERY, KEY, VALUE, scale=0.5).numpy()
    before = weft.config.compile_count()
    ops.dot_product_attention(QUERY, KEY, VALUE, scale=0.25).numpy()
    assert weft.config.compile_count() == before


def test_shapes_of_a_symbolic_call():
    query = weft.Input((None, 4, 6))
    assert ops.dot_product_attention(query, KEY[:1], VALUE[:1]).shape == (None, None, 4, 7)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((QUERY[0], KEY, VALUE), r"of shape \(batch, steps, heads, size\), got query \(3, 4, 6\)"),
        ((QUERY, KEY[..., :5], VALUE), r"heads of one size, got query .*6\), key \(2, 5, 2, 5\)"),
        ((QUERY, KEY, VALUE[:, :4]), "key and value must agree in batch, steps and heads"),
        ((QUERY[:, :, :3], KEY, VALUE), "the key's heads must divide the query's"),
        ((draw(3, 3, 4, 6), KEY, VALUE), "one batch size"),
        ((QUERY.astype("int32"), KEY.astype("int32"), VALUE.astype("int32")), "expected floats"),
        (
            (QUERY, KEY, VALUE, None, np.ones((3, 4), bool)),
            r"mask must broadcast .*\(2, 4, 3, 5",
        ),
        ((QUERY, KEY, VALUE, draw(3, 1, 3, 5)), r"bias must broadcast to \(batch, heads, T, S\)"),
        ((QUERY, KEY, VALUE, draw(1, 1, 1, 3, 5)), r"bias must broadcast .*got shape \(1, 1, 1"),
    ],
)
def test_shapes_that_do_not_fit(arguments, text):
    with pytest.raises(weft.ShapeError, match=text):
        ops.dot_product_attention(*arguments)


def test_a_cap_that_is_not_positive():
    with pytest.raises(ValueError, match="attn_logits_soft_cap must be positive, got 0"):
        ops.dot_product_attention(QUERY, KEY, VALUE, attn_logits_soft_cap=0)
