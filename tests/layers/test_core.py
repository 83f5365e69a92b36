"""What the core layers do beside the contract: equations, masks, functions in configs, refusals."""

import functools

import keras
import numpy as np
import pytest

import weft
from weft import layers
from weft.engine import register_keras_serializable


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


def double(x):
    return x * 2.0


@register_keras_serializable("core_tests")
def triple(x):
    return x * 3.0


def swap(shape):
    return (*shape[:-2], shape[-1], shape[-2])


# -- EinsumDense ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "output_shape", "bias_axes", "input_shape", "kernel", "bias", "output"),
    [
        ("ab,bc->ac", 4, "c", (2, 3), (3, 4), (4,), (2, 4)),
        ("abc,cd->abd", (None, 4), "bd", (2, 3, 5), (5, 4), (3, 4), (2, 3, 4)),
        ("abc,cd->adb", (4, None), "d", (2, 3, 5), (5, 4), (4, 1), (2, 4, 3)),
        ("abc,dc->abd", (None, 4), None, (2, 3, 5), (4, 5), None, (2, 3, 4)),
        ("abc,bcd->ad", 4, "d", (2, 3, 5), (3, 5, 4), (4,), (2, 4)),
        ("ab,b->ab", 3, "b", (2, 3), (3,), (3,), (2, 3)),
        ("...x,xy->...y", 4, "y", (3,), (3, 4), (4,), (4,)),
        ("...x,xy->...y", 4, "y", (2, 5, 6, 3), (3, 4), (4,), (2, 5, 6, 4)),
        ("...bc,cd->...bd", (None, 6), "bd", (2, 3, 4, 5), (5, 6), (4, 6), (2, 3, 4, 6)),
        ("...abc,ad->...dbc", (4, None, None), None, (2, 3, 5, 6), (3, 4), None, (2, 4, 5, 6)),
        ("ab...,bc->ac...", 7, "c", (2, 3, 5, 6), (3, 7), (7, 1, 1), (2, 7, 5, 6)),
        ("ab...,bc->ac...", 7, "c", (2, 3), (3, 7), (7,), (2, 7)),
    ],
)
def test_shapes_of_equations(equation, output_shape, bias_axes, input_shape, kernel, bias, output):
    layer = layers.EinsumDense(equation, output_shape, bias_axes=bias_axes)
    x = np.random.default_rng(0).normal(size=input_shape).astype("float32")
    y = layer(x)
    assert layer.kernel.shape == kernel
    assert (None if layer.bias is None else layer.bias.shape) == bias
    expected = np.einsum(equation, x, layer.kernel.numpy())
    assert y.shape == output == expected.shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_unknown_steps():
    heads = layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")
    x = weft.Input((None, 4))
    assert heads(x).shape == (None, None, 2, 3)
    assert weft.Model(x, heads.output)(zeros(2, 5, 4)).shape == (2, 5, 2, 3)
    assert layers.EinsumDense("...c,cd->...d", 3)(x).shape == (None, None, 3)


@pytest.mark.parametrize(
    ("equation", "output_shape", "shape"),
    [
        ("abc,cde->abde", (None, 30, 40), (2, 5, 60)),
        ("abcd,cde->abe", (None, 120), (2, 5, 30, 40)),
        ("abc,bcd->abd", (7, 200), (2, 7, 60)),
    ],
)
@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_uniform"])
def test_fans_are_the_axes_summed_over_and_the_others(equation, output_shape, shape, initializer):
    mine = layers.EinsumDense(equation, output_shape, kernel_initializer=initializer)
    theirs = keras.layers.EinsumDense(equation, output_shape, kernel_initializer=initializer)
    mine.build(shape)
    theirs.build(shape)
    largest = np.abs(mine.kernel.numpy()).max(), np.abs(np.asarray(theirs.kernel)).max()
    assert largest[0] == pytest.approx(largest[1], rel=0.01)
    assert mine.get_config()["kernel_initializer"]["config"] == {"seed": None}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("ab,bc", 3), "an equation reads 'ab,bc->ac', .* got 'ab,bc'"),
        (("ab, bc -> ac", 3), "no spaces"),
        (("a...c,cd->a...d", 3), "got 'a...c,cd->a...d'"),
        ((3, 3), "got 3"),
        (("ab,bc->aa", 3), "output axis 'a' .* must stand once"),
        (("ab,bc->az", 3), "output axis 'z' .* in the input or the kernel"),
        (("ab,cd->ac", 3), "size of kernel axis 'd' .* follows from nothing"),
        (("ab,bc->ca", 3), "the batch axis, 'a' in the equation 'ab,bc->ca', must come first"),
        (("ab,bc->ac", (1, 2)), r"a size .or None. for each of the output axes c .*got \(1, 2\)"),
        (("ab,bc->ac", 0), "a size in output_shape must be a positive integer"),
        (("ab,bc->ac", -1), "must be a positive integer"),
        (("ab,bc->ac", 3, None, "z"), "bias_axes='z' names 'z', which is no output axis"),
        (("ab,bc->ac", 3, "rellu"), "Did you mean 'relu'"),
    ],
)
def test_refused_equations(args, text):
    with pytest.raises(ValueError, match=text):
        layers.EinsumDense(*args)


@pytest.mark.parametrize(
    ("args", "shape", "text"),
    [
        (("abc,cd->abd", (None, 3)), (2, 4), r"'mine'.*takes an input of 3 axes, got shape \(2, 4"),
        (("...bc,cd->...bd", (None, 3)), (4,), "an input of 2 axes or more"),
        (("abc,cd->abd", (7, 3)), (2, 5, 4), r"axis 'b' .* has size 5 in the input.*and 7 in"),
        (("abc,cd->abd", (None, None)), (2, 5, 4), "the kernel has the axis 'd' .* must be known"),
        (("abc,cd->abd", (None, 3)), (2, 5, None), "the kernel has the axis 'c' .* must be known"),
        (("abc,cd->abd", (None, 3), None, "b"), (2, None, 4), "the bias has the axis 'b'"),
    ],
)
def test_refused_shapes(args, shape, text):
    layer = layers.EinsumDense(*args, name="mine")
    with pytest.raises(weft.ShapeError, match=text):
        layer.build(shape)
    assert not layer.built and layer.weights == []


def test_a_later_input_that_does_not_fit():
    layer = layers.EinsumDense("ab,bc->ac", 3, name="mine")
    layer(zeros(2, 4))
    with pytest.raises(weft.ShapeError, match=r"'mine' .*float32\[2, 5\] with weights kernel"):
        layer(zeros(2, 5))


# -- embeddings -----------------------------------------------------------------------------------


def test_a_first_table():
    table = np.arange(6.0).reshape(3, 2)
    for weights in (table, [table]):
        assert layers.Embedding(3, 2, weights=weights)([2]).tolist() == [[4.0, 5.0]]
    with pytest.raises(ValueError, match=r"here \(3, 2\); got \(2, 2\)"):
        layers.Embedding(3, 2, weights=np.eye(2))


def test_reverse_is_the_transposed_table():
    layer = layers.ReversibleEmbedding(5, 3, mask_zero=True)
    h = layer([[1, 0]])
    assert h._keras_mask.tolist() == [[True, False]]
    y = layer(h, reverse=True)
    assert y._keras_mask is None
    np.testing.assert_allclose(y.numpy(), h.numpy() @ layer.embeddings.numpy().T, rtol=1e-5)


def test_an_untied_reverse_has_its_own_values():
    layer = layers.ReversibleEmbedding(4, 4, tie_weights=False)
    layer.build()
    table, own = layer.get_weights()
    assert [w.name for w in layer.weights] == ["embeddings", "reverse_embeddings"]
    assert (table != own).any()


@pytest.mark.parametrize(
    ("dtype", "reverse_dtype", "result"),
    [
        ("float32", None, "float32"),
        ("float32", "bfloat16", "bfloat16"),
        ("mixed_bfloat16", None, "bfloat16"),
        ("mixed_bfloat16", "float32", "float32"),
    ],
)
def test_the_dtype_of_scores(dtype, reverse_dtype, result):
    layer = layers.ReversibleEmbedding(5, 3, dtype=dtype, reverse_dtype=reverse_dtype)
    assert layer(layer([[1, 2]]), reverse=True).dtype == result
    assert layer(zeros(1, 2, 3), reverse=True).dtype == result


def test_refusals_of_embeddings():
    for cap in (0, -1.0, True, "2"):
        with pytest.raises(ValueError, match="logit_soft_cap must be a positive number or None"):
            layers.ReversibleEmbedding(5, 3, logit_soft_cap=cap)
    with pytest.raises(ValueError, match="ReversibleEmbedding: input_dim must be a positive"):
        layers.ReversibleEmbedding(0, 3)
    with pytest.raises(weft.ShapeError, match=r"must have size output_dim=3, got .*\(2, 4"):
        layers.ReversibleEmbedding(5, 3)(zeros(2, 4), reverse=True)


# -- Masking --------------------------------------------------------------------------------------


def test_masking():
    x = np.array([[[1.0, 1.0], [1.0, 2.0], [np.inf, 1.0]]], "float32")
    y = layers.Masking(1.0)(x)
    assert y.tolist() == [[[0, 0], [1, 2], [np.inf, 1]]]
    assert y._keras_mask.tolist() == [[False, True, True]]
    assert layers.Masking()(np.array([[0, 2], [0, 0]], "int32"))._keras_mask.tolist() == [
        True, False,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="Masking: mask_value must be a number, got None"):
        layers.Masking(None)
    with pytest.raises(weft.ShapeError, match=r"'mine' .*last axis, but the input has none"):
        layers.Masking(name="mine")(zeros())


# -- Lambda ---------------------------------------------------------------------------------------


def test_what_a_function_is_given():
    x = layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    seen = layers.Lambda(lambda x, mask, training, k: [mask, training, k], arguments={"k": 3})
    mask, training, k = seen(x, training=True)
    assert (mask.tolist(), training, k) == ([[True, False]], True, 3)
    assert layers.Lambda(lambda x, mask=None: mask)(zeros(1)) is None


def test_masks_of_functions():
    x = layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    assert layers.Lambda(double)(x)._keras_mask is None
    assert layers.Lambda(double, mask=lambda x, mask: mask)(x)._keras_mask.tolist() == [
        [True, False]
    ]
    assert layers.Lambda(double, mask=[[True, True]])(x)._keras_mask.tolist() == [[True, True]]


def test_output_shapes_of_functions():
    x = weft.Input((3, 4))
    assert layers.Lambda(lambda x: weft.ops.swapaxes(x, 1, 2))(x).shape == (None, 4, 3)

    def by_value(x):
        return weft.convert_to_tensor(np.asarray(x).swapaxes(-1, -2))

    assert layers.Lambda(by_value, output_shape=(4, 3))(x).shape == (None, 4, 3)
    assert layers.Lambda(by_value, output_shape=swap)(x).shape == (None, 4, 3)
    with pytest.raises(weft.ValueNeededError):
        layers.Lambda(by_value)(x)


def test_functions_are_written_by_name():
    config = layers.Lambda(triple, arguments={}, output_shape=swap, mask=[True]).get_config()
    theirs = keras.layers.Lambda(keras.activations.relu).get_config()
    assert config["function"] == {**theirs["function"], "config": "core_tests>triple"}
    assert config["output_shape"]["config"] == "swap"
    again = layers.Lambda.from_config(config, custom_objects={"swap": swap})
    assert again.function is triple
    assert again.get_config() == config
    assert layers.Lambda.from_config(theirs)([-1.0, 1.0]).tolist() == [0, 1]
    named = layers.Lambda(double).get_config()
    assert layers.Lambda.from_config(named, {"double": double}).function is double
    with weft.engine.custom_object_scope({"double": double}):
        assert layers.deserialize(layers.serialize(layers.Lambda(double)))([1.0]).tolist() == [2]


def test_code_is_neither_written_nor_read():
    with pytest.raises(NotImplementedError, match=r"layer 'mine' is a lambda.*names, never code"):
        layers.Lambda(lambda x: x, name="mine").get_config()
    with pytest.raises(NotImplementedError, match=r"is partial functools\.partial"):
        layers.Lambda(functools.partial(double)).get_config()
    with pytest.raises(NotImplementedError, match="the mask of layer 'mine' is a lambda"):
        layers.Lambda(double, mask=lambda x, mask: mask, name="mine").get_config()
    theirs = keras.layers.Lambda(lambda x: x, name="mine").get_config()
    assert "code" in theirs["function"]["config"]
    with pytest.raises(ValueError, match="Lambda layer 'mine' is stored as Python bytecode"):
        layers.Lambda.from_config(theirs)
    keras_2 = {"name": "old", "function": ["4wEA", None, None], "function_type": "lambda"}
    with pytest.raises(ValueError, match="'old' is stored as Python bytecode, which is not run"):
        layers.Lambda.from_config(keras_2)
    with pytest.raises(ValueError, match=r"no function 'double' is known. Write it with def"):
        layers.Lambda.from_config(layers.Lambda(double).get_config())


def test_refusals_of_functions():
    with pytest.raises(TypeError, match="Lambda takes a function, got int 3"):
        layers.Lambda(3)
    with pytest.raises(TypeError, match=r"arguments is a dict by name, got \[3\]"):
        layers.Lambda(double, arguments=[3])
    with pytest.raises(TypeError, match=r"output_shape is a tuple .* got 3"):
        layers.Lambda(double, output_shape=3)


# -- Wrapper --------------------------------------------------------------------------------------


class Around(layers.Wrapper):
    def call(self, inputs):
        return self.layer(inputs) + 1.0


def test_a_wrapper_builds_and_writes_what_it_holds():
    layer = Around(layers.Dense(2, name="inside"))
    layer.build((None, 3))
    assert [w.shape for w in layer.weights] == [(3, 2), (2,)]
    config = layer.get_config()
    assert config["layer"]["class_name"] == "Dense"
    again = Around.from_config(config)
    assert again.layer.name == "inside" and again.get_config() == config
    assert again(zeros(1, 3)).tolist() == [[1.0, 1.0]]
    theirs = keras.layers.Wrapper(keras.layers.Dense(2, name="inside")).get_config()
    assert layers.Wrapper.from_config(theirs).layer.units == 2


def test_refusals_of_wrappers():
    with pytest.raises(ValueError, match="Wrapper wraps a layer, got int 3"):
        layers.Wrapper(3)
    with pytest.raises(ValueError, match="Make one of it first"):
        layers.Wrapper(layers.Dense)
    with pytest.raises(NotImplementedError, match="defines no `call"):
        layers.Wrapper(layers.Dense(2))(zeros(1, 2))
