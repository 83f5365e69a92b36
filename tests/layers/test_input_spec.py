"""What an `InputSpec` demands, and how it says so."""

import keras
import numpy as np
import pytest

import weft
from weft.layers import InputSpec
from weft.layers.input_spec import check


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


FITTING = [
    (InputSpec(ndim=2), zeros(2, 3)),
    (InputSpec(shape=(None, 3)), zeros(2, 3)),
    (InputSpec(shape=(None, 3, 1), allow_last_axis_squeeze=True), zeros(2, 3)),
    (InputSpec(shape=(None, 3), allow_last_axis_squeeze=True), zeros(2, 3, 1)),
    (InputSpec(min_ndim=1, max_ndim=3, axes={-1: 3, 0: None}, dtype="float32"), zeros(2, 3)),
    (InputSpec(ndim=2, optional=True), None),
    ((InputSpec(ndim=2),), zeros(2, 3)),
    ([None, InputSpec(ndim=2)], [zeros(2), zeros(2, 3)]),
    ({"a": [InputSpec(ndim=1), InputSpec(ndim=2)]}, {"a": [zeros(2), zeros(2, 3)]}),
    ([InputSpec(ndim=1, name="p"), InputSpec(ndim=2, name="q")], {"q": zeros(2, 3), "p": zeros(2)}),
]
UNFIT = [
    (InputSpec(ndim=3), zeros(2, 3), r"the input: rank 3 was expected, got rank 2 .shape \(2, 3\)"),
    (InputSpec(min_ndim=3), zeros(2, 3), "a rank of at least 3 was expected, got 2"),
    (InputSpec(max_ndim=1), zeros(2, 3), "a rank of at most 1 was expected, got 2"),
    (InputSpec(shape=(None, 4)), zeros(2, 3), r"shape \(None, 4\) was expected, got shape \(2, 3"),
    (InputSpec(shape=(None, 4)), zeros(2, 3, 4), "rank 2 was expected, got rank 3"),
    (InputSpec(axes={-1: 4}), zeros(2, 3), r"axis -1 must have size 4, got shape \(2, 3\)"),
    (InputSpec(axes={3: 4}), zeros(2, 3), r"an axis 3 was expected, got shape \(2, 3\)"),
    (InputSpec(dtype="int32"), zeros(2, 3), "dtype int32 was expected, got float32"),
    (InputSpec(ndim=2), None, "the input: a tensor was expected, got None"),
    ([InputSpec(ndim=2)] * 2, [zeros(2, 3), zeros(2)], r"input \[1\]: rank 2 was expected"),
    ([InputSpec(ndim=2)] * 2, [zeros(2, 3)], "takes 2 inputs, got 1"),
    (InputSpec(ndim=2), [zeros(2, 3)] * 2, "takes 1 inputs, got 2"),
    ({"a": InputSpec(ndim=2)}, {"a": zeros(2)}, r"input \['a'\]: rank 2 was expected"),
    ([InputSpec(ndim=2, name="p")], {"p": zeros(2)}, "input 'p': rank 2 was expected"),
    ([InputSpec(ndim=2, name="p")], {"q": zeros(2, 2)}, r"no input 'p' among \['q'\]"),
]


@pytest.mark.parametrize(("spec", "inputs"), FITTING, ids=str)
def test_what_fits(spec, inputs):
    check(spec, inputs, "mine")


@pytest.mark.parametrize(("spec", "inputs", "text"), UNFIT, ids=str)
def test_what_does_not(spec, inputs, text):
    with pytest.raises(weft.ShapeError, match=f"layer 'mine'.*{text}"):
        check(spec, inputs, "mine")


def test_unknown_sizes_fit():
    x = weft.Input((None, 3))
    check(InputSpec(shape=(2, 5, 3)), x, "mine")
    check(InputSpec(axes={1: 7}), x, "mine")
    with pytest.raises(weft.ShapeError, match=r"axis 2 must have size 4, got shape \(None, None"):
        check(InputSpec(axes={2: 4}), x, "mine")


@pytest.mark.parametrize(
    "options",
    [{"shape": (None, 3), "axes": {-1: 3}}, {"ndim": 2, "min_ndim": 1, "dtype": "float32"}, {}],
)
def test_configs_and_texts_are_keras_s(options):
    mine, theirs = InputSpec(**options), keras.InputSpec(**options)
    assert mine.get_config() == theirs.get_config()
    assert repr(mine) == repr(theirs)
    assert InputSpec.from_config(theirs.get_config()).get_config() == theirs.get_config()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": 3}, "a shape is a tuple of sizes, None where any will do; got 3"),
        ({"shape": (3, "a")}, r"got \(3, 'a'\)"),
        ({"shape": (-1, 2)}, r"got \(-1, 2\)"),
        ({"ndim": "two"}, "ndim is a rank, a non-negative int, got 'two'"),
        ({"max_ndim": -1}, "max_ndim is a rank, a non-negative int, got -1"),
        ({"axes": {4: 3}, "ndim": 2}, "axes names axis 4, which an input of rank 2 has not"),
        ({"axes": {2: 3}, "max_ndim": 2}, "axes names axis 2"),
    ],
)
def test_refused_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        InputSpec(**options)


def test_axes_are_a_dict_of_integers():
    with pytest.raises(TypeError, match=r"axes is a dict from axes .ints. to sizes, got \[3\]"):
        InputSpec(axes=[3])
    with pytest.raises(TypeError, match=r"got \{'a': 3\}"):
        InputSpec(axes={"a": 3})


def test_a_layer_s_input_spec_is_checked_before_it_is_built():
    class Picky(weft.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.input_spec = InputSpec(ndim=3, axes={-1: 4})

        def build(self, shape):
            self.w = self.add_weight((shape[-1],))

        def call(self, x):
            return x * self.w

    layer = Picky(name="picky")
    for wrong in (np.ones((2, 4)), weft.Input((3, 5)), np.ones((2, 3, 5))):
        with pytest.raises(weft.ShapeError, match="layer 'picky' does not take the input"):
            layer(wrong)
    assert not layer.built
    assert layer(np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert layer(weft.Input((None, 4))).shape == (None, None, 4)
