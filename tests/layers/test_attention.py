"""What attention layers do beyond the contract: masks, axes, dropout, and bad input."""

import keras
import numpy as np
import pytest

import weft
from weft import layers

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 4)).astype("float32")
KEY = RNG.normal(size=(2, 5, 4)).astype("float32")
GRID = RNG.normal(size=(2, 3, 2, 4)).astype("float32")
QUERY_MASK = np.array([[1, 1, 0], [1, 0, 0]], bool)
VALUE_MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 0]], bool)
KEY_MASK = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], bool)
HEADS = {
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    "GroupQueryAttention": {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
}
every_kind = pytest.mark.parametrize("kind", HEADS)


def made(kind, lib=weft, **more):
    return getattr(lib.layers, kind)(**HEADS[kind], **more)


def twins(kind, *inputs, **more):
    """A layer and Keras's, built for the inputs, with the same weights."""
    mine, theirs = made(kind, **more), made(kind, keras, **more)
    mine(*inputs)
    theirs(*inputs)
    theirs.set_weights(mine.get_weights())
    return mine, theirs


def carrying(array, mask):
    tensor = weft.convert_to_tensor(array)
    tensor._keras_mask = weft.convert_to_tensor(mask)
    return tensor


def close(mine, theirs, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), tolerance, tolerance)


# -- weights --------------------------------------------------------------------------------------


@every_kind
def test_paths_and_attributes_are_keras_s(kind):
    options = {"use_gate": True, "dropout": 0.1, "name": "heads"}
    mine, theirs = made(kind, **options), made(kind, keras, **options)
    mine.build((None, None, 4), (None, None, 4))
    theirs.build((None, 3, 4), (None, 5, 4))
    assert [w.path for w in mine.weights] == [w.path for w in theirs.weights]
    assert [tuple(w.shape) for w in mine.weights] == [tuple(w.shape) for w in theirs.weights]
    assert len(mine.variables) == len(theirs.variables)
    for name in ("query", "key", "gate", "value", "output"):
        inner, their_inner = getattr(mine, f"_{name}_dense"), getattr(theirs, f"_{name}_dense")
        assert inner.name == their_inner.name
        assert inner.bias.shape == tuple(their_inner.bias.shape)


def test_as_many_key_heads_as_query_heads_are_multi_head_attention():
    many = layers.MultiHeadAttention(2, 3)
    groups = layers.GroupQueryAttention(3, 2, 2)
    many(QUERY, VALUE), groups(QUERY, VALUE)
    groups.set_weights(many.get_weights())
    close(groups(QUERY, VALUE), many(QUERY, VALUE))


def test_configs_of_keras_2_are_read():
    config = layers.MultiHeadAttention(2, 3).get_config()
    shapes = {"query_shape": (2, 3, 4), "value_shape": (2, 5, 4), "key_shape": (2, 5, 4)}
    again = layers.MultiHeadAttention.from_config(
        {**config, **shapes, "softmax_robust_masking": False}
    )
    assert again.get_config() == config


# -- masks ----------------------------------------------------------------------------------------


@every_kind
def test_carried_masks_are_those_given(kind):
    layer = made(kind)
    query, value = carrying(QUERY, QUERY_MASK), carrying(VALUE, VALUE_MASK)
    key = carrying(KEY, KEY_MASK)
    given = {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK, "key_mask": KEY_MASK}
    close(layer(query, value, key), layer(QUERY, VALUE, KEY, **given))
    close(layer(query=query, value=value, key=key), layer(QUERY, VALUE, KEY, **given))
    close(layer(QUERY, value), layer(QUERY, VALUE, value_mask=VALUE_MASK))
    # What is given counts before what is carried, by name or by place.
    close(layer(QUERY, value, value_mask=KEY_MASK), layer(QUERY, VALUE, value_mask=KEY_MASK))
    close(layer(QUERY, value, None, None, KEY_MASK), layer(QUERY, VALUE, value_mask=KEY_MASK))
    assert np.abs(layer(QUERY, value).numpy() - layer(QUERY, VALUE).numpy()).max() > 0.01


@every_kind
def test_the_output_carries_the_query_s_mask(kind):
    layer = made(kind)
    query, value = carrying(QUERY, QUERY_MASK), carrying(VALUE, VALUE_MASK)
    np.testing.assert_array_equal(layer(query, value)._keras_mask, QUERY_MASK)
    np.testing.assert_array_equal(layer(query=query, value=VALUE)._keras_mask, QUERY_MASK)
    assert layer(QUERY, value)._keras_mask is None


@every_kind
def test_masks_are_carried_into_mixed_precision(kind):
    layer = made(kind, dtype="mixed_bfloat16")
    close(layer(QUERY, carrying(VALUE, VALUE_MASK)), layer(QUERY, VALUE, value_mask=VALUE_MASK))


@pytest.mark.filterwarnings("ignore:Layer .* will therefore destroy the mask")  # Keras's own
@every_kind
def test_masks_of_embeddings_are_keras_s(kind):
    tokens = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])

    def model(lib):
        inputs = lib.Input((None,), dtype="int32")
        x = lib.layers.Embedding(5, 4, mask_zero=True)(inputs)
        return lib.Model(inputs, made(kind, lib)(x, x, use_causal_mask=True))

    mine, theirs = model(weft), model(keras)
    theirs.set_weights(mine.get_weights())
    found = mine(tokens)
    close(found, theirs(tokens))
    np.testing.assert_array_equal(found._keras_mask, tokens > 0)


@pytest.mark.parametrize(
    "shape", [(3, 5), (1, 3, 5), (2, 1, 5), (1, 5), (2, 1, 3, 5), (2, 2, 3, 5)]
)
def test_attention_masks_of_fewer_axes_are_keras_s(shape):
    mine, theirs = twins("MultiHeadAttention", QUERY, VALUE)
    mask = np.random.default_rng(1).random(shape) > 0.4
    close(mine(QUERY, VALUE, attention_mask=mask), theirs(QUERY, VALUE, attention_mask=mask))
    for number in ("int32", "float32"):
        close(
            mine(QUERY, VALUE, attention_mask=mask.astype(number)),
            mine(QUERY, VALUE, attention_mask=mask),
        )


def test_a_mask_of_heads_and_one_of_steps_go_together():
    layer = layers.MultiHeadAttention(2, 3)
    pairs = np.random.default_rng(1).random((2, 1, 3, 5)) > 0.3
    both = pairs & VALUE_MASK[:, None, None]
    close(
        layer(QUERY, VALUE, attention_mask=pairs, value_mask=VALUE_MASK),
        layer(QUERY, VALUE, attention_mask=both),
    )


@every_kind
def test_a_step_that_sees_nothing_is_as_in_keras(kind):
    nothing = np.zeros((2, 5), bool)
    for more in ({}, {"dropout": 0.5}):
        mine, theirs = twins(kind, QUERY, VALUE, **more)
        close(mine(QUERY, VALUE, value_mask=nothing), theirs(QUERY, VALUE, value_mask=nothing))
        options = {"value_mask": nothing, "return_attention_scores": True}
        for found, expected in zip(mine(QUERY, VALUE, **options), theirs(QUERY, VALUE, **options)):
            close(found, expected)


@every_kind
def test_causal_attention_does_not_look_ahead(kind):
    layer = made(kind)
    moved = QUERY + np.array([0, 0, 1], "float32")[:, None]
    before, after = (layer(x, x, use_causal_mask=True).numpy() for x in (QUERY, moved))
    close(before[:, :2], after[:, :2])
    assert np.abs(before[:, 2] - after[:, 2]).max() > 1e-3


def test_a_window_is_a_band():
    layer = layers.MultiHeadAttention(2, 3, sliding_window=2)
    _, scores = layer(VALUE, VALUE, return_attention_scores=True)
    far = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) >= 2
    assert not scores.numpy()[..., far].any()
    assert (scores.numpy()[..., ~far] > 0).all()


# -- axes -----------------------------------------------------------------------------------------


def test_several_axes_are_one_long_axis():
    grid = layers.MultiHeadAttention(2, 3)
    line = layers.MultiHeadAttention(2, 3)
    flat = GRID.reshape(2, 6, 4)
    grid(GRID, GRID), line(flat, flat)
    line.set_weights(grid.get_weights())
    assert grid.attention_axes == (1, 2)
    mask = np.random.default_rng(1).random((2, 3, 2)) > 0.3
    pairs = np.random.default_rng(2).random((2, 3, 2, 3, 2)) > 0.2
    found, scores = grid(
        GRID, GRID, value_mask=mask, attention_mask=pairs, return_attention_scores=True
    )
    expected, their_scores = line(
        flat, flat, value_mask=mask.reshape(2, 6), attention_mask=pairs.reshape(2, 6, 6),
        return_attention_scores=True,
    )  # fmt: skip
    close(found, expected.numpy().reshape(2, 3, 2, 4))
    close(scores, their_scores.numpy().reshape(2, 2, 3, 2, 3, 2))


@pytest.mark.parametrize(("axis", "turned"), [(1, (0, 2, 1, 3)), (2, (0, 1, 2, 3))])
def test_axes_not_attended_over_are_a_batch(axis, turned):
    grid = layers.MultiHeadAttention(2, 3, attention_axes=axis)
    line = layers.MultiHeadAttention(2, 3)
    rows = GRID.transpose(turned)
    flat = rows.reshape(-1, *rows.shape[2:])
    grid(GRID, GRID), line(flat, flat)
    line.set_weights(grid.get_weights())
    mask = np.random.default_rng(1).random((2, 3, 2)) > 0.3
    rows_mask = mask.transpose(turned[:-1])
    found = grid(GRID, GRID, value_mask=mask, use_causal_mask=True)
    expected = line(flat, flat, value_mask=rows_mask.reshape(flat.shape[:-1]), use_causal_mask=True)
    close(found.numpy().transpose(turned), expected.numpy().reshape(rows.shape))


# -- dropout --------------------------------------------------------------------------------------


@every_kind
def test_weights_are_dropped_while_training_alone(kind):
    layer = made(kind, dropout=0.5, seed=3)
    still = layer(QUERY, VALUE).numpy()
    close(layer(QUERY, VALUE, training=False), still, 0)
    state = layer.variables[-3].numpy()  # before the output's kernel and bias
    first, scores = layer(QUERY, VALUE, training=True, return_attention_scores=True)
    assert (layer.variables[-3].numpy() == state + np.array([0, 1], "uint32")).all()
    close(scores.numpy().sum(-1), 1)  # the weights as before the dropout
    assert np.abs(first.numpy() - still).max() > 1e-3
    draws = [layer(QUERY, VALUE, training=True).numpy() for _ in range(300)]
    close(np.mean(draws, 0), still, 0.25)


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
def test_attention_returns_the_weights_that_are_left(kind):
    layer = getattr(layers, kind)(dropout=0.5, seed=3)
    result, weights = layer([QUERY, VALUE], training=True, return_attention_scores=True)
    whole = layer([QUERY, VALUE], return_attention_scores=True)[1].numpy()
    kept = weights.numpy() > 0
    assert 0.2 < kept.mean() < 0.8
    close(weights.numpy()[kept], 2 * whole[kept])
    close(result, weights.numpy() @ VALUE)


def test_dropout_s_state_is_carried_by_a_loop():
    layer = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=3)
    x = weft.convert_to_tensor(QUERY)
    layer(x, x)
    start = [v.numpy() for v in layer.variables]
    y = x
    for _ in range(3):
        y = layer(y, y, training=True)
    expected = y.numpy()
    for variable, value in zip(layer.variables, start):
        variable.assign(value)
    close(weft.ops.fori_loop(0, 3, lambda i, y: layer(y, y, training=True), x), expected)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("MultiHeadAttention", {"num_heads": 0}, "num_heads must be a positive integer, got"),
        ("MultiHeadAttention", {"key_dim": 1.5}, "key_dim must be a positive integer, got"),
        ("MultiHeadAttention", {"value_dim": -1}, "value_dim must be a positive integer"),
        ("MultiHeadAttention", {"output_shape": (3, 0)}, "output_shape must be a positive"),
        ("MultiHeadAttention", {"dropout": 1.5}, r"dropout must be a number in \[0, 1\], got"),
        ("MultiHeadAttention", {"sliding_window": 0}, "sliding_window must be a positive integer"),
        ("MultiHeadAttention", {"attention_axes": "1"}, "attention_axes must be an integer or"),
        ("MultiHeadAttention", {"dropout": 0.1, "flash_attention": True}, "set dropout to 0"),
        ("MultiHeadAttention", {"kernel_initializer": "glorot_unifrom"}, "glorot_uniform"),
        ("GroupQueryAttention", {"num_key_value_heads": 3}, "must be a multiple of num_key_value"),
        ("GroupQueryAttention", {"num_key_value_heads": 0}, "num_key_value_heads must be a pos"),
        (
            "GroupQueryAttention",
            {"head_dim": 0},
            "GroupQueryAttention: head_dim must be",
        ),
    ],
)
def test_options_that_make_no_layer(kind, options, text):
    with pytest.raises(ValueError, match=text):
        getattr(layers, kind)(**{**HEADS[kind], **options})


def test_options_of_attention_that_make_no_layer():
    with pytest.raises(ValueError, match="score_mode is 'dot' or 'concat', got 'sum'"):
        layers.Attention(score_mode="sum")
    with pytest.raises(ValueError, match="AdditiveAttention: dropout must be a number"):
        layers.AdditiveAttention(dropout=-0.1)
    with pytest.raises(TypeError, match="use_scale"):
        layers.Attention(use_scales=True)


@every_kind
@pytest.mark.parametrize(
    ("inputs", "options", "text"),
    [
        ((QUERY[0], VALUE), {}, r"query must have .*got \(3, 4\)"),
        (
            (QUERY, VALUE[..., :3]),
            {},
            r"value must have .*\(batch, steps, 4\), got \(2, 5, 3",
        ),
        (
            (QUERY, VALUE, KEY[:, :4]),
            {},
            "key and value must agree in all axes but",
        ),
        ((np.ones((3, 3, 4), "float32"), VALUE), {}, r"one batch size, got shapes \(3, 3, 4\)"),
        (
            (QUERY, VALUE),
            {"value_mask": VALUE_MASK[:, :4]},
            r"value_mask must .*\(2, 5\), got",
        ),
        (
            (QUERY, VALUE),
            {"query_mask": VALUE_MASK},
            r"query_mask must .*\(2, 3\), got",
        ),
        ((QUERY, VALUE), {"key_mask": np.ones((2, 5, 1), bool)}, r"key_mask must have the shape"),
        (
            (QUERY, VALUE),
            {"attention_mask": np.ones((2, 3, 4), bool)},
            r"attention_mask must have the shape \(2, 3, 5\) \(or .*got \(2, 3, 4\)",
        ),
        ((QUERY, VALUE), {"attention_mask": np.ones(5, bool)}, r"attention_mask .*got \(5,\)"),
    ],
)
def test_inputs_that_do_not_fit(kind, inputs, options, text):
    layer = made(kind, name="heads")
    layer(QUERY, VALUE)
    with pytest.raises(weft.ShapeError, match=rf"(?s)layer 'heads' \({kind}\).*{text}"):
        layer(*inputs, **options)


@every_kind
@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((None, 3), (None, 5, 4)), r"query must have a shape \(batch, steps.*got \(None, 3\)"),
        (((None, 3, None), (None, 5, 4)), "query must have .*known features"),
        (((None, 3, 4), (None, 5, 4), (None, 6, 4)), "key and value must agree"),
    ],
)
def test_shapes_that_build_nothing(kind, shapes, text):
    layer = made(kind, name="heads")
    with pytest.raises(weft.ShapeError, match=rf"layer 'heads' .*{text}"):
        layer.build(*shapes)
    assert not layer.built
    assert layer.weights == []


def test_ranks_and_axes_that_do_not_fit():
    with pytest.raises(weft.ShapeError, match=r"must have one rank, got query of .*and value"):
        layers.MultiHeadAttention(2, 3)(GRID, VALUE)
    for axes in (0, 3, (1, -3), 7):
        with pytest.raises(weft.ShapeError, match="attention_axes must be axes between the batch"):
            layers.MultiHeadAttention(2, 3, attention_axes=axes)(GRID, GRID)
    with pytest.raises(weft.ShapeError, match="use_causal_mask and sliding_window need one attent"):
        layers.MultiHeadAttention(2, 3)(GRID, GRID, use_causal_mask=True)
    with pytest.raises(weft.ShapeError, match=r"must agree in the axes \(2,\)"):
        layers.MultiHeadAttention(2, 3, attention_axes=1)(GRID, GRID[:, :, :1])
    with pytest.raises(weft.ShapeError, match=r"query must have a .*\(batch, steps, features\)"):
        layers.GroupQueryAttention(3, 4, 2)(GRID, GRID)


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
@pytest.mark.parametrize(
    ("inputs", "options", "text"),
    [
        (QUERY, {}, r"expected a list \[query, value\] .*got one tensor of shape \(2, 3, 4\)"),
        ([QUERY], {}, r"expected a list \[query, value\] or \[query, value, key\], got"),
        ([QUERY] * 4, {}, r"expected a list \[query, value\] .*got a list of 4"),
        (
            [QUERY, VALUE],
            {"mask": VALUE_MASK},
            r"mask must be a list \[mask of the .*got one",
        ),
        ([QUERY, VALUE], {"mask": [VALUE_MASK]}, "mask must be a list .*got 1 of them"),
        (
            [QUERY, VALUE],
            {"mask": [None, QUERY_MASK]},
            r"mask of the value must .*\(2, 5\), got",
        ),
        (
            [QUERY[0], VALUE[0]],
            {},
            r"expected tensors of shape \(batch, steps, dim\)",
        ),
        ([QUERY, VALUE, KEY[..., :3]], {}, "query and key must have the same last"),
        ([QUERY, VALUE, KEY[:, :3]], {}, "value and key must agree in all axes but the last"),
        ([QUERY, np.ones((3, 5, 4), "float32")], {}, "query and value must have one batch size"),
    ],
)
def test_inputs_of_attention_that_do_not_fit(kind, inputs, options, text):
    layer = getattr(layers, kind)(name="attention")
    with pytest.raises(weft.ShapeError, match=rf"(?s)layer 'attention' \({kind}\).*{text}"):
        layer(inputs, **options)
