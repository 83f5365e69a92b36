"""What every layer of the registry refuses, and that the error names the layer and the argument."""

import inspect
import re

import jax
import keras
import numpy as np
import pytest

import weft
from tests.layers.registry import CASES, keras_layer, symbolic, weft_layer
from weft import layers

# Arguments that are sizes: a positive integer, or several.
SIZES = {
    "depth_multiplier", "dilation_rate", "filters", "groups", "head_dim", "input_dim", "key_dim",
    "kernel_size", "n", "num_heads", "num_key_value_heads", "num_query_heads", "output_dim",
    "output_size", "pool_size", "power_iterations", "size", "strides", "units", "value_dim",
}  # fmt: skip
RATES = {"dropout", "rate", "recurrent_dropout"}
# A name that is near one of each kind, and that one.
NEAR = {
    "activation": ("sigmoidd", "sigmoid"),
    "initializer": ("glorot_unifrm", "glorot_uniform"),
    "regularizer": ("l1_l22", "l1_l2"),
    "constraint": ("max_nrm", "max_norm"),
}


def kind_of(parameter):
    """The kind of name that an argument takes: `recurrent_activation` an activation, ..."""
    return next((kind for kind in NEAR if re.fullmatch(rf"(.*_)?{kind}", parameter)), None)


def arguments(wanted):
    """(the first case of each layer whose constructor takes such an argument, the argument)."""
    found = []
    for name, cases in CASES.items():
        for parameter in inspect.signature(getattr(layers, name).__init__).parameters:
            if wanted(parameter):
                found.append(pytest.param(cases[0], parameter, id=f"{name}-{parameter}"))
    return found


STRIDED_AND_DILATED = [
    cases[0]
    for name, cases in CASES.items()
    if {"strides", "dilation_rate"} <= set(inspect.signature(getattr(layers, name)).parameters)
]


def named(case, text):
    """Whether the error names the layer's class, or that of the cell that it makes itself."""
    return case.name in text or (case.name.startswith("ConvLSTM") and "ConvLSTMCell" in text)


def refused(case, error, **options):
    with pytest.raises(error) as caught:
        case.make(weft, **options)
    return str(caught.value)


@pytest.mark.parametrize(("case", "parameter"), arguments(SIZES.__contains__))
def test_a_size_is_a_positive_integer(case, parameter):
    for value in (0, -1, 2.5, "3", (4, 4, 4, 4)):
        if (parameter, value) == ("groups", -1) and case.name == "GroupNormalization":
            continue  # one group a channel
        text = refused(case, ValueError, **{parameter: value})
        assert named(case, text) and parameter in text and repr(value) in text, text


@pytest.mark.parametrize(("case", "parameter"), arguments(RATES.__contains__))
def test_a_rate_is_a_number_up_to_one(case, parameter):
    for value in (-0.1, 1.1, "0.5"):
        text = refused(case, ValueError, **{parameter: value})
        assert named(case, text) and parameter in text and repr(value) in text, text


@pytest.mark.parametrize(("case", "parameter"), arguments(kind_of))
def test_an_unknown_name_lists_the_near_ones(case, parameter):
    wrong, right = NEAR[kind_of(parameter)]
    text = refused(case, ValueError, **{parameter: wrong})
    assert repr(wrong) in text and repr(right) in text, text
    assert named(case, text), text


@pytest.mark.parametrize(("case", "parameter"), arguments({"data_format", "padding"}.__contains__))
def test_a_choice_is_one_of_its_names(case, parameter):
    text = refused(case, ValueError, **{parameter: "samee"})
    assert case.name in text and parameter in text and "'samee'" in text, text


@pytest.mark.parametrize("case", [cases[0] for cases in CASES.values()], ids=repr)
def test_an_unknown_argument_lists_near_ones(case):
    text = refused(case, TypeError, trainabel=True)
    assert case.name in text and "'trainable'" in text, text


@pytest.mark.parametrize("case", STRIDED_AND_DILATED, ids=repr)
def test_strides_with_dilation(case):
    """Refused by all that Keras refuses it in."""
    options = {"strides": 2, "dilation_rate": 3}
    try:
        case.make(keras, **options)
    except ValueError:
        text = refused(case, ValueError, **options)
        assert case.name in text and "strides" in text and "dilation_rate" in text, text
    else:
        case.make(weft, **options)


# -- inputs ---------------------------------------------------------------------------------------


def wrong_inputs(x):
    """The input with an axis less, with one more, and with each one axis longer."""
    yield "an axis less", jax.tree.map(lambda a: a[0], x)
    yield "an axis more", jax.tree.map(lambda a: a[None], x)
    for axis in range(1, min(a.ndim for a in jax.tree.leaves(x))):
        longer = lambda a: np.concatenate([a, a.take([0], axis)], axis)  # noqa: B023, E731
        yield f"axis {axis} longer", jax.tree.map(longer, x)


def in_each_layout():
    """The first case of each layer, and its first with channels first."""
    for cases in CASES.values():
        found = [c for c in cases if c.flags.get("keras", True)]
        yield from found[:1]
        yield from [c for c in found[1:] if "data_format" in c.id][:1]


@pytest.mark.parametrize("case", list(in_each_layout()), ids=repr)
def test_an_input_that_keras_refuses(case):
    """On layers built for another input, which stay as they were."""
    theirs, (mine, _) = keras_layer(case), weft_layer(case)
    arrays, rebuild = case.inputs
    _, kwargs = rebuild([weft.convert_to_tensor(a) for a in arrays])
    _, their_kwargs = rebuild([symbolic(a) for a in arrays])
    before = [v.numpy() for v in mine.variables]
    for what, wrong in wrong_inputs(case.x):
        try:
            theirs(jax.tree.map(symbolic, wrong), **their_kwargs)
        except Exception:
            with pytest.raises(weft.ShapeError) as caught:
                jax.tree.map(lambda y: y.numpy(), mine(wrong, **kwargs))
                pytest.fail(f"an input with {what} came through")
            names = [repr(layer.name) for layer in mine._flatten_layers()]
            assert any(name in str(caught.value) for name in names), str(caught.value)
    for value, variable in zip(before, mine.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
