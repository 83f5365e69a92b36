"""What the merging layers do beside the contract: masks of odd shapes, integers, refusals."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.layers.layer import set_mask

ELEMENTWISE = ["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"]


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


def masked(value, mask):
    tensor = weft.convert_to_tensor(np.asarray(value, "float32"))
    set_mask(tensor, weft.convert_to_tensor(np.array(mask)))
    return tensor


# -- values ---------------------------------------------------------------------------------------


def test_integers_stay_integers_but_in_an_average():
    x, y = np.array([[1, 5]], "int32"), np.array([[4, 2]], "int32")
    assert layers.Add()([x, y]).dtype == "int32"
    assert layers.Multiply()([x, y]).tolist() == [[4, 10]]
    assert layers.Dot(1)([x, y]).tolist() == [[14]]
    assert layers.Average()([x, y]).tolist() == [[2.5, 3.5]]
    assert layers.Concatenate()([x, np.array([[0.5]], "float32")]).tolist() == [[1, 5, 0.5]]


def test_axes_are_put_in_behind_the_batch_axis():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32"), np.ones((2, 1), "f4")
    y[1] = 3
    np.testing.assert_array_equal(layers.Multiply()([y, x]).numpy(), x * y[:, None])


def test_a_batch_may_be_concatenated():
    assert layers.Concatenate(axis=0)([zeros(2, 3), zeros(1, 3)]).shape == (3, 3)


def test_function_forms():
    x, y = np.array([[1.0, 4.0]], "f4"), np.array([[3.0, 2.0]], "f4")
    assert layers.add([x, y]).tolist() == [[4, 6]]
    assert layers.subtract([x, y]).tolist() == [[-2, 2]]
    assert layers.multiply([x, y]).tolist() == [[3, 8]]
    assert layers.average([x, y]).tolist() == [[2, 3]]
    assert layers.maximum([x, y]).tolist() == [[3, 4]]
    assert layers.minimum([x, y]).tolist() == [[1, 2]]
    assert layers.concatenate([x, y], axis=0).tolist() == [[1, 4], [3, 2]]
    assert layers.dot([x, y], axes=1).tolist() == [[11]]
    assert layers.dot([x, x], 1, normalize=True).numpy() == pytest.approx(1)


def test_the_cosine_of_nothing_is_zero_and_has_a_gradient():
    x = weft.Variable(np.zeros((1, 3), "float32"))
    with weft.GradientTape() as tape:
        y = layers.Dot(1, normalize=True)([x, np.ones((1, 3), "float32")])
    assert y.tolist() == [[0.0]]
    assert np.isfinite(tape.gradient(y, x).numpy()).all()
    half = layers.Dot(1, normalize=True, dtype="float16")
    assert half([zeros(1, 3), np.ones((1, 3), "float32")]).tolist() == [[0.0]]


def test_one_node_whatever_the_number_of_inputs():
    xs = [np.ones((2, 3), "float32") * i for i in range(5)]
    with weft.GradientTape() as tape:
        tensors = [weft.convert_to_tensor(x) for x in xs]
        before = len(weft.engine.trace.state.trace.nodes)
        layers.Add()(tensors)
        assert len(weft.engine.trace.state.trace.nodes) == before + 1
    del tape


# -- masks ----------------------------------------------------------------------------------------


def test_masks_of_inputs_of_unlike_ranks():
    x = masked(np.ones((2, 3, 4)), [[True, False, False], [True, True, False]])
    y = masked(np.ones((2, 4)), [True, False])
    assert layers.Add()([x, y])._keras_mask.tolist() == [[True] * 3, [True, True, False]]


def test_masks_of_every_element_are_joined_as_they_are():
    x = masked([[1.0, 0.0]], [[True, False]])
    y = masked([[0.0]], [[False]])
    assert layers.Concatenate()([x, y])._keras_mask.tolist() == [[True, False, False]]


def test_masks_of_images_are_joined():
    x = masked(np.ones((1, 2, 3, 4)), [[True, False]])
    y = weft.convert_to_tensor(np.ones((1, 2, 3, 1), "float32"))
    assert layers.Concatenate()([x, y])._keras_mask.tolist() == [[True, True]]
    assert layers.Concatenate(1)([x, x])._keras_mask.tolist() == [[True, False] * 2]


def test_a_product_leaves_out_what_is_masked():
    x = masked(np.full((1, 4, 1), 2.0), [[True, True, False, False]])
    y = masked(np.full((1, 4, 1), 3.0), [[True, False, True, False]])
    assert layers.Multiply()([x, y]).numpy().ravel().tolist() == [6, 2, 3, 0]
    assert layers.Maximum()([x, y]).numpy().ravel().tolist() == [3, 2, 3, 2]
    assert layers.Minimum()([x, y]).numpy().ravel().tolist() == [2, 2, 3, 2]


# -- unknown sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_unknown_size_follows_from_a_known_one(name):
    x, y = weft.Input(batch_shape=(None, None, 4)), weft.Input(batch_shape=(None, 5, None))
    assert getattr(layers, name)()([x, y]).shape == (None, 5, 4)
    x, y = weft.Input(batch_shape=(None, None, 4)), weft.Input(batch_shape=(1, 4))
    assert getattr(layers, name)()([x, y]).shape == (1, None, 4)
    x, y = weft.Input((None, 4)), weft.Input((1, 4))
    assert getattr(layers, name)()([x, y]).shape == (None, None, 4)


def test_unknown_sizes_of_joined_tensors_and_products():
    x, y = weft.Input((None, 4)), weft.Input((5, 3))
    assert layers.Concatenate()([x, y]).shape == (None, 5, 7)
    assert layers.Concatenate(1)([weft.Input((None, 4)), weft.Input((5, None))]).shape == (
        None, None, 4,
    )  # fmt: skip
    assert layers.Dot((2, 1))([weft.Input((5, None)), weft.Input((3, 2))]).shape == (None, 5, 2)
    assert layers.Dot(1)([weft.Input((None,)), weft.Input((3,))]).shape == (None, 1)
    model = weft.Model([x, y], layers.concatenate([x, y]))
    assert model([zeros(2, 5, 4), zeros(2, 5, 3)]).shape == (2, 5, 7)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.Concatenate(axis="last"), "Concatenate: axis must be an integer, got"),
        (lambda: layers.Dot(0), "Dot: axes must be .* none of them 0, the batch axis; got axes=0"),
        (lambda: layers.Dot((1, 2, 3)), r"got axes=\(1, 2, 3\)"),
        (lambda: layers.Dot("last"), "Dot: axes must be an integer or two"),
        (lambda: layers.Dot((1, True)), r"got axes=\(1, True\)"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "text"),
    [
        ("Add", zeros(2, 3), r"'mine' \(Add\).*a list of one or more tensors, got one of shape"),
        ("Add", [], "one or more tensors, got a list of 0"),
        ("Add", {"a": zeros(2, 3)}, "a list of one or more tensors, got one dict"),
        ("Subtract", [zeros(2, 3)] * 3, "a list of exactly 2 tensors, got a list of 3"),
        ("Subtract", [zeros(2, 3)], "exactly 2 tensors, got a list of 1"),
        ("Add", [zeros(2, 3), zeros(2, 4)], r"the shapes \(2, 3\), \(2, 4\) do not fit"),
        ("Multiply", [zeros(2, 3, 4), zeros(2, 3)], r"\(2, 3, 4\), \(2, 3\) do not fit"),
        ("Maximum", [zeros(2, 3), zeros(1, 3)], r"same batch size, got the shapes \(2, 3\), \(1"),
        ("Average", [zeros(2, 3), zeros()], r"needs a batch axis, got the shapes \(2, 3\), \(\)"),
        ("Concatenate", zeros(2, 3), "a list of one or more tensors, got one of shape"),
        ("Concatenate", [zeros(2, 3, 4), zeros(2, 2, 4)], "equal shapes but for axis -1, got"),
        ("Concatenate", [zeros(2, 3, 4), zeros(2, 4)], r"got \(2, 3, 4\), \(2, 4\)"),
        ("Dot", [zeros(2, 3)], "exactly 2 tensors, got a list of 1"),
        ("Dot", [zeros(2, 3), zeros(4, 3)], r"the same batch size, got \(2, 3\), \(4, 3\)"),
        ("Dot", [zeros(2), zeros(2)], "two tensors of 2 axes or more"),
        ("Dot", [zeros(2, 3), zeros(2, 4)], "axis 1 of the first input and axis 1 of the second"),
    ],
)
def test_refused_inputs(layer, inputs, text):
    options = {"axes": 1} if layer == "Dot" else {}
    with pytest.raises(weft.ShapeError, match=text) as caught:
        getattr(layers, layer)(name="mine", **options)(inputs)
    assert "layer 'mine'" in str(caught.value)


def test_axes_that_are_not_there():
    with pytest.raises(weft.ShapeError, match=r"no axis 3 in the shapes \(2, 3\), \(2, 3\)"):
        layers.Concatenate(axis=3)([zeros(2, 3), zeros(2, 3)])
    with pytest.raises(weft.ShapeError, match=r"axes=\(-2, 1\) must be axes of the inputs behind"):
        layers.Dot((-2, 1))([zeros(2, 3), zeros(2, 3)])


def test_symbolic_inputs_are_refused_alike():
    with pytest.raises(weft.ShapeError, match=r"shapes \(None, 3\), \(None, 4\) do not fit"):
        layers.Add()([weft.Input((3,)), weft.Input((4,))])
    with pytest.raises(weft.ShapeError, match="a list of one or more tensors, got one of shape"):
        layers.Add()(weft.Input((3,)))


def test_a_mask_of_the_wrong_shape_is_refused():
    x = masked(np.ones((2, 3, 4)), [[True, False], [True, True]])
    y = masked(np.ones((2, 3, 4)), [[True] * 3] * 2)
    with pytest.raises(weft.ShapeError, match="merge_masks"):
        layers.Add()([x, y])
