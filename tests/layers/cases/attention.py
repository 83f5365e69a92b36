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
PAIRS = np.array([[[1, 1, 0, 0, 1], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]]] * 2, bool)
EMPTY = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)  # the second sample sees nothing

# While training Keras draws other numbers.
RANDOM = {"random": True}
# Keras takes no mask for several attention axes, and its scores' masks are left-overs.
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

CASES = {
    "Attention": [
        ({}, [QUERY, VALUE]),
        ({}, [QUERY, VALUE, KEY], {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({}, [QUERY, VALUE], {"mask": [None, EMPTY]}),
        ({}, [QUERY, WIDE, KEY], {"use_causal_mask": True, "return_attention_scores": True}),
        (
            {"use_scale": True, "score_mode": "concat"},
            [QUERY, VALUE, KEY],
            {"use_causal_mask": True, "mask": [QUERY_MASK, VALUE_MASK, KEY_MASK]},
        ),
        ({"use_scale": True, "score_mode": "dot", "seed": 3}, [GRID, GRID]),
        ({}, [QUERY, VALUE], {}, {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({"dropout": 0.5, "seed": 3}, [QUERY, VALUE], {}, RANDOM),
    ],
    "AdditiveAttention": [
        ({}, [QUERY, VALUE]),
        ({"use_scale": False}, [QUERY, VALUE, KEY], {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({}, [QUERY, WIDE, KEY], {"use_causal_mask": True, "return_attention_scores": True}),
        ({}, [QUERY, VALUE], {}, {"mask": [QUERY_MASK, VALUE_MASK]}),
        ({"dropout": 0.5, "seed": 3}, [QUERY, VALUE], {}, RANDOM),
    ],
    "MultiHeadAttention": [
        ({"num_heads": 2, "key_dim": 3}, QUERY, {"value": VALUE}),
        (
            {"num_heads": 2, "key_dim": 3, **HEADS_OPTIONS},
            QUERY,
            {"value": WIDE, "key": KEY, "value_mask": VALUE_MASK, "key_mask": KEY_MASK},
        ),
        (
            {"num_heads": 2, "key_dim": 3, "use_gate": True, "use_bias": False},
            QUERY,
            {"value": VALUE, "attention_mask": PAIRS, "use_causal_mask": False},
        ),
        ({"num_heads": 2, "key_dim": 3}, QUERY, {"value": VALUE, "value_mask": EMPTY}),
        (
            {"num_heads": 2, "key_dim": 3, "value_dim": 2, "output_shape": [3, 2]},
            QUERY,
            {"value": VALUE, "return_attention_scores": True, "value_mask": EMPTY},
        ),
        (
            {"num_heads": 2, "key_dim": 3, "sliding_window": 2, "output_shape": 5},
            QUERY,
            {"value": VALUE, "use_causal_mask": True},
        ),
        ({"num_heads": 2, "key_dim": 3}, QUERY, {"value": VALUE}, {"mask": QUERY_MASK}),
        ({"num_heads": 3, "key_dim": 2, "attention_axes": [1]}, GRID, {"value": GRID + 1}),
        ({"num_heads": 3, "key_dim": 2, "attention_axes": -2}, GRID, {"value": GRID + 1}),
        (
            {"num_heads": 3, "key_dim": 2, "attention_axes": [2, 1]},
            GRID,
            {"value": GRID + 1, "return_attention_scores": True},
        ),
        ({"num_heads": 3, "key_dim": 2}, GRID, {"value": GRID[:, :2] + 1}),
        (
            {"num_heads": 2, "key_dim": 3, "dropout": 0.5, "seed": 3},
            QUERY,
            {"value": VALUE, "return_attention_scores": True},
            RANDOM,
        ),
    ],
    "GroupQueryAttention": [
        (
            {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
            QUERY,
            {"value": VALUE},
        ),
        (
            {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 1, **HEADS_OPTIONS},
            QUERY,
            {"value": WIDE, "key": KEY, "query_mask": QUERY_MASK, "value_mask": VALUE_MASK},
        ),
        (
            {
                "head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "use_gate": True,
                "sliding_window": 2,
            },
            QUERY,
            {"value": VALUE, "use_causal_mask": True, "attention_mask": PAIRS},
        ),
        (
            {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 2, "use_bias": False},
            QUERY,
            {"value": VALUE, "return_attention_scores": True, "value_mask": EMPTY},
        ),
        (
            {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
            QUERY,
            {"value": VALUE},
            {"mask": QUERY_MASK},
        ),
        (
            {
                "head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "dropout": 0.5,
                "seed": 3,
            },
            QUERY,
            {"value": VALUE},
            RANDOM,
        ),
    ],
}  # fmt: skip
