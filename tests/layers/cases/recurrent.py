"""Cases of recurrent layers, their cells, and the layers around them."""

import numpy as np

RNG = np.random.default_rng(9)
STEPS = RNG.normal(size=(2, 5, 3)).astype("float32")
LINES = RNG.normal(size=(2, 3, 6, 2)).astype("float32")
FRAMES = RNG.normal(size=(2, 3, 5, 6, 2)).astype("float32")
VOLUMES = RNG.normal(size=(1, 2, 4, 3, 5, 2)).astype("float32")
FRAMES_FIRST = np.moveaxis(FRAMES, -1, 2).copy()
ONE = RNG.normal(size=(2, 3)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
SHORT = np.array([[1, 0, 1], [1, 1, 0]], bool)


def states(*shapes):
    return [RNG.normal(size=shape).astype("float32") for shape in shapes]


# Seeds are given, as Keras's own would be others; Keras has no orthogonal start in bfloat16.
PLAIN = {"units": 4, "seed": 1, "recurrent_initializer": "glorot_uniform"}
GLOROT = {"seed": 1, "recurrent_initializer": "glorot_uniform"}
# Keras draws dropout's masks also where it does not use them.
DRAWS_LESS = {"state": False}
WITHOUT_SEED = {"config": False}  # a SimpleRNN's config has no seed in Keras
EVERY = {
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l1",
    "bias_regularizer": "l2",
    "activity_regularizer": "l2",
    "kernel_constraint": "max_norm",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": "non_neg",
}
# Keras draws a mask for each gate once recurrent_dropout is on.
DROPS = {"dropout": 0.3, "recurrent_dropout": 0.4}


def sequence_cases(gated, **more):
    n = 2 if "unit_forget_bias" in more else 1
    relu = {"activation": "relu"} | ({"recurrent_activation": "hard_sigmoid"} if gated else {})
    flags = {} if gated else WITHOUT_SEED
    every = dict(EVERY)
    if not gated:
        del every["activity_regularizer"]  # which Keras's SimpleRNN forgets
    return [
        (PLAIN, STEPS, {}, flags),
        ({**PLAIN, **relu, "use_bias": False, "unroll": True}, STEPS, {}, flags),
        ({**PLAIN, **every, **more}, STEPS, {"mask": MASK}, flags),
        (
            {**PLAIN, "return_sequences": True, "zero_output_for_mask": True},
            STEPS,
            {"initial_state": states(*[(2, 4)] * n), "mask": MASK},
            {**flags, "unknown": False},  # the states' batch is known
        ),
        ({**PLAIN, "return_sequences": True}, STEPS, {}, {**flags, "mask": MASK}),
        ({**PLAIN, "dropout": 0.3}, STEPS, {}, {**flags, **DRAWS_LESS}),
        (
            {**PLAIN, **DROPS, "units": 3, "return_sequences": True},
            STEPS,
            {},
            {**flags, **DRAWS_LESS, "random": True},
        ),
    ]


def cell_cases(n_states, *more):
    call = {"states": states(*[(2, 4)] * n_states)}
    flags = {"unknown": False}
    return [
        (PLAIN, ONE, call, flags),
        *[({**PLAIN, **options}, ONE, call, flags) for options in more],
        # Keras's cell keeps its first mask, which its own tracing leaks.
        ({**PLAIN, "dropout": 0.3}, ONE, call, {**flags, "keras": False, "random": True}),
    ]


def conv_cases(x, channels_first=None):
    cases = [
        ({**GLOROT, "filters": 2, "kernel_size": 2}, x),
        (
            {
                **GLOROT, "filters": 3, "kernel_size": 2, "strides": 2, "padding": "same",
                "return_sequences": True, "go_backwards": True, "activation": "softsign",
                "use_bias": False,
            },
            x,
        ),
        (
            {**GLOROT, **DROPS, "filters": 2, "kernel_size": 2, "padding": "same",
             "return_sequences": True},
            x,
            {},
            {**DRAWS_LESS, "random": True},
        ),
    ]  # fmt: skip
    if channels_first is not None:
        options = {
            **GLOROT, "filters": 2, "kernel_size": [3, 2], "dilation_rate": [1, 2],
            "data_format": "channels_first", "return_state": True,
            "recurrent_activation": "hard_sigmoid", "unit_forget_bias": False,
        }  # fmt: skip
        cases.append((options, channels_first))
    return cases


def both(merge_mode, name="LSTM", **options):
    def make(lib):
        layer = getattr(lib.layers, name)(3, **GLOROT, **options)
        return {"layer": layer, "merge_mode": merge_mode}

    return make


CASES = {
    "SimpleRNNCell": cell_cases(1, {"activation": "relu", "use_bias": False}),
    "GRUCell": cell_cases(1, {"reset_after": False}, {"recurrent_activation": "relu"}),
    "LSTMCell": cell_cases(2, {"unit_forget_bias": False}, {"use_bias": False}),
    "StackedRNNCells": [
        (
            lambda lib: {
                "cells": [lib.layers.LSTMCell(4, **GLOROT), lib.layers.GRUCell(3, **GLOROT)]
            },
            ONE,
            {"states": [states((2, 4), (2, 4)), states((2, 3))]},
            {"unknown": False},
        )
    ],
    "SimpleRNN": sequence_cases(False),
    "GRU": [
        *sequence_cases(True, reset_after=False),
        ({**PLAIN, "reset_after": False, "return_state": True}, STEPS, {"mask": MASK}),
        ({**PLAIN, "use_bias": False}, STEPS, {}, {"bfloat16": False}),  # Keras adds float32 zeros
    ],
    "LSTM": sequence_cases(True, unit_forget_bias=False),
    "RNN": [
        (lambda lib: {"cell": lib.layers.LSTMCell(4, **GLOROT), "return_state": True}, STEPS),
        (
            lambda lib: {
                "cell": [lib.layers.GRUCell(4, **GLOROT), lib.layers.SimpleRNNCell(3, **GLOROT)],
                "return_sequences": True,
                "go_backwards": True,
            },
            STEPS,
            {"mask": MASK},
        ),
    ],
    "Bidirectional": [
        (both("concat"), STEPS),
        (both("sum", return_sequences=True), STEPS, {}, {"mask": MASK}),
        (both("mul", "GRU"), STEPS),
        (both("ave", "GRU", return_sequences=True), STEPS, {"mask": MASK}),
        (both(None, return_state=True), STEPS),
        (
            lambda lib: {
                "layer": lib.layers.LSTM(3, return_sequences=True, **GLOROT),
                "backward_layer": lib.layers.GRU(
                    2, return_sequences=True, go_backwards=True, **GLOROT
                ),
            },
            STEPS,
            {},
            {"unknown": False},  # Keras says twice the forward layer's units
        ),
    ],
    "TimeDistributed": [
        (lambda lib: {"layer": lib.layers.Dense(2, activation="relu")}, STEPS),
        (lambda lib: {"layer": lib.layers.LSTM(2, **GLOROT)}, LINES, {"mask": LINES[..., 0] > 0}),
        (lambda lib: {"layer": lib.layers.Conv1D(2, 3)}, LINES),
    ],
    "ConvLSTM1D": conv_cases(LINES),
    "ConvLSTM2D": conv_cases(FRAMES, FRAMES_FIRST),
    "ConvLSTM3D": conv_cases(VOLUMES),
}
