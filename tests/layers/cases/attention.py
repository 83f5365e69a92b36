"""Attention, additive, multi-head and grouped-query attention."""

import numpy as np

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 4)).astype("float32")
KEY = RNG.normal(size=(2, 5, 4)).astype("float32")
WIDE = RNG.normal(size=(2, 5, 6)).astype("float32")
GRID = RNG.normal(size=(2, 3, 2, 4)).astype("float32")
QUERY_MASK = np.array([[1, 1, 0], [1, 1, 1]], bool)
VALUE_MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 0]], bool)
KEY_MASK = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], bool)
PREFIX = np.array([[1, 1, 0, 1, 0], [1, 0, 1, 0, 0]], bool)  # all see the first step
PAIRS = np.array([[[1, 1, 0, 0, 1], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]]] * 2, bool)
EMPTY = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)  # the second sample sees nothing

# While training Keras draws other numbers.
RANDOM = {"random": True}
# Keras lets a gradient through the equal weights of a step that sees nothing.
BLIND = {"gradients": False}
# Keras takes masks of lengths that the inputs need not have,
MASKS = {"unknown": False}
# declares scores of shape (T, T) where they are (T, S),
SCORES = {"unknown": False}
# and axes not attended over that query and value need not share.
AXES = {"unknown": False}
HEADS_OPTIONS = {
    "use_bias": True,
    "kernel_initializer": "he_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "bias_regularizer": "l1",
    "activity_regularizer": "l2",
    "kernel_constraint": "max_norm",
    "bias_constraint": "non_neg",
}
GROUPS = {"head_dim": 3, "num_query_heads": 4}

CASES = {
    "Attention": [
        ({}, [QUERY, VALUE]),
        ({}, [QUERY, VALUE, KEY], {"mask": [QUERY_MASK, VALUE_MASK]}, MASKS),
        ({}, [QUERY, VALUE], {"mask": [None, EMPTY]}, {**MASKS, **BLIND}),
        ({}, [QUERY, WIDE, KEY], {"use_causal_mask": True, "return_attention_scores": True}),
        (
            {"use_scale": True, "score_mode": "concat"},
            [QUERY, VALUE, KEY],
            {"use_causal_mask": True, "mask": [QUERY_MASK, PREFIX, KEY_MASK]},
            MASKS,
        ),
        ({"use_scale": True, "score_mode": "dot", "seed": 3}, [GRID, GRID]),
        ({}, [QUERY, VALUE], {}, {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({"dropout": 0.5, "seed": 3}, [QUERY, VALUE], {}, RANDOM),
    ],
    "AdditiveAttention": [
        ({}, [QUERY, VALUE]),
        ({"use_scale": False}, [QUERY, VALUE, KEY], {"mask": [QUERY_MASK, VALUE_MASK]}, MASKS),
        ({}, [QUERY, WIDE, KEY], {"use_causal_mask": True, "return_attention_scores": True}),
        ({}, [QUERY, VALUE], {}, {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({"dropout": 0.5, "seed": 3}, [QUERY, VALUE], {}, RANDOM),
    ],
    "MultiHeadAttention": [
        ({"num_heads": 2, "key_dim": 3}, QUERY, {"value": VALUE}),
        ({"num_heads": 2, "key_dim": 3, "use_bias": False}, QUERY, {"value": VALUE, "key": KEY}),
        (
            {"num_heads": 2, "key_dim": 3, **HEADS_OPTIONS},
            QUERY,
            {"value": WIDE, "key": KEY, "value_mask": VALUE_MASK, "key_mask": KEY_MASK},
            MASKS,
        ),
        (
            {"num_heads": 2, "key_dim": 3, "use_gate": True, "use_bias": False},
            QUERY,
            {"value": VALUE, "attention_mask": PAIRS},
            MASKS,
        ),
        (
            {"num_heads": 2, "key_dim": 3, "use_bias": False},
            QUERY,
            {"value": VALUE, "value_mask": EMPTY},
            {**MASKS, **BLIND},
        ),
        (
            {"num_heads": 2, "key_dim": 3, "value_dim": 2, "output_shape": [3, 2]},
            QUERY,
            {"value": VALUE, "return_attention_scores": True},
            SCORES,
        ),
        (
            {"num_heads": 2, "key_dim": 3, "sliding_window": 2, "output_shape": 5},
            QUERY,
            {"value": VALUE, "use_causal_mask": True},
        ),
        (
            {"num_heads": 2, "key_dim": 3, "use_bias": False},
            QUERY,
            {"value": VALUE},
            {"mask": QUERY_MASK, **BLIND},
        ),
        (
            {"num_heads": 3, "key_dim": 2, "attention_axes": [1], "use_bias": False},
            GRID,
            {"value": GRID + 1},
            AXES,
        ),
        (
            {"num_heads": 3, "key_dim": 2, "attention_axes": -2, "use_bias": False},
            GRID,
            {"value": GRID + 1},
            AXES,
        ),
        (
            {"num_heads": 3, "key_dim": 2, "attention_axes": [2, 1], "use_bias": False},
            GRID,
            {"value": GRID + 1, "return_attention_scores": True},
            SCORES,
        ),
        ({"num_heads": 3, "key_dim": 2}, GRID, {"value": GRID[:, :2] + 1}),
        (
            {"num_heads": 2, "key_dim": 3, "dropout": 0.5, "seed": 3},
            QUERY,
            {"value": VALUE, "return_attention_scores": True},
            {**RANDOM, **SCORES},
        ),
    ],
    "GroupQueryAttention": [
        ({**GROUPS, "num_key_value_heads": 2}, QUERY, {"value": VALUE}),
        (
            {**GROUPS, "num_key_value_heads": 1, "use_bias": False, "use_gate": True},
            QUERY,
            {"value": VALUE, "key": KEY, "query_mask": QUERY_MASK, "value_mask": VALUE_MASK},
            {**MASKS, **BLIND},
        ),
        (
            {**GROUPS, "num_key_value_heads": 4, "sliding_window": 2, **HEADS_OPTIONS},
            QUERY,
            {"value": VALUE, "use_causal_mask": True, "attention_mask": PAIRS[:, ::-1]},
            MASKS,
        ),
        (
            {**GROUPS, "num_key_value_heads": 2, "use_bias": False},
            QUERY,
            {"value": VALUE, "return_attention_scores": True},
            SCORES,
        ),
        (
            {**GROUPS, "num_key_value_heads": 2, "dropout": 0.5, "seed": 3},
            QUERY,
            {"value": VALUE},
            RANDOM,
        ),
    ],
}
