"""The base class: subclasses, reductions, weights, masks, ranks, and what is refused."""

import keras
import numpy as np
import pytest

import weft
from weft import losses

Y = np.arange(6, dtype="float32").reshape(3, 2)
Z = np.zeros_like(Y)
PLACES = np.arange(24, dtype="float32").reshape(3, 4, 2)


class Mean(losses.Loss):
    def call(self, y_true, y_pred):
        return weft.ops.mean(weft.ops.square(y_true - y_pred))


class KerasMean(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred))


class Power(losses.Loss):
    def __init__(self, power, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def call(self, y_true, y_pred):
        return weft.ops.mean(weft.ops.abs(y_true - y_pred) ** self.power, axis=-1)

    def get_config(self):
        return {**super().get_config(), "power": self.power}


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("weight", [None, 3.0, np.array([1.0, 2.0, 0.0])], ids=str)
def test_a_call_that_returns_a_scalar(reduction, weight):
    mine, theirs = Mean(reduction=reduction), KerasMean(reduction=reduction)
    np.testing.assert_allclose(mine(Y, Z, weight).numpy(), theirs(Y, Z, weight), 1e-6)


def test_a_subclass_is_given_its_dtype():
    seen = []

    class Seeing(losses.Loss):
        def call(self, y_true, y_pred):
            seen.extend([y_true.dtype, y_pred.dtype])
            return y_pred

    Seeing()(np.array([1, 0], "uint8"), np.array([0.5, 0.5], "float16"))
    Seeing(dtype="bfloat16")([1], [0.5])
    assert [d.name for d in seen] == ["float32", "float32", "bfloat16", "bfloat16"]


def test_subclass_config_round_trip():
    loss = Power(3, name="cubic", reduction="sum")
    assert loss.get_config() == {"name": "cubic", "reduction": "sum", "power": 3}
    twin = Power.from_config(loss.get_config())
    assert float(twin(Y, Z)) == float(loss(Y, Z)) == 0.5 + 17.5 + 94.5
    written = losses.serialize(loss)
    assert written["class_name"] == written["registered_name"] == "Power"
    assert losses.deserialize(written, custom_objects={"Power": Power}).power == 3
    assert Power(2).name == "power"


def test_a_function_as_a_loss():
    def doubled(y_true, y_pred, factor=2.0):
        return factor * weft.ops.abs(y_true - y_pred)

    loss = losses.LossFunctionWrapper(doubled, reduction="sum", factor=3.0)
    assert loss.name == "doubled" and float(loss(Y, Z)) == 45
    with pytest.raises(ValueError, match="unknown loss 'doubled'"):
        losses.deserialize(losses.serialize(loss))
    twin = losses.deserialize(losses.serialize(loss), custom_objects={"doubled": doubled})
    assert float(twin(Y, Z)) == 45


@pytest.mark.parametrize(
    "weight",
    [[1.0, 2.0, 0.0], [[1.0], [2.0], [0.0]], [[[1.0]], [[2.0]], [[0.0]]]],
    ids=["n", "n1", "n11"],
)
def test_weights_belong_to_the_first_axes(weight):
    values = losses.MeanSquaredError(reduction="none")(PLACES, 0 * PLACES).numpy()
    weighted = losses.MeanSquaredError(reduction="none")(PLACES, 0 * PLACES, weight)
    np.testing.assert_allclose(weighted.numpy(), values * [[1.0], [2.0], [0.0]])


def test_weights_that_have_an_axis_of_size_one():
    loss = losses.MeanSquaredError(reduction="none")
    weights = np.array([[1.0, 0.0, 2.0, 1.0]])
    values = loss(PLACES, 0 * PLACES).numpy()
    np.testing.assert_allclose(loss(PLACES, 0 * PLACES, weights).numpy(), values * weights)
    assert loss(Y, Z, [[1.0], [2.0], [0.0]]).shape == (3,)


def test_keras_2_reductions():
    auto, total = losses.Reduction.AUTO, losses.Reduction.SUM
    assert losses.MeanSquaredError(reduction=auto).reduction == "sum_over_batch_size"
    assert float(losses.MeanSquaredError(reduction=total)(Y, Z)) == 27.5
    assert losses.MeanSquaredError(reduction=losses.Reduction.NONE)(Y, Z).shape == (3,)


def test_an_empty_batch_has_a_loss_of_zero():
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        value = losses.MeanSquaredError(reduction=reduction)(Y[:0], Z[:0])
        assert value.shape == () and float(value) == 0


def test_half_precision_losses_are_summed_in_float32():
    ones = np.ones((4096, 1))
    assert float(losses.MeanSquaredError(reduction="sum", dtype="bfloat16")(ones, 0 * ones)) == 4096
    small = losses.MeanSquaredError(dtype="float16")(ones * 300, 0 * ones)
    assert small.dtype == "float16" and np.isinf(float(small))  # 9e4: beyond float16
    assert float(losses.MeanSquaredError()(np.float16(ones * 300), np.float16(0 * ones))) == 9e4


@pytest.mark.parametrize("weight", [None, np.array([[1.0], [2.0]], "float32")], ids=["-", "w"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_a_mask_leaves_values_out(reduction, weight):
    target = np.zeros((2, 3, 1), "float32")
    output = np.arange(6, dtype="float32").reshape(2, 3, 1) + 1
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    theirs = keras.ops.convert_to_tensor(output)
    theirs._keras_mask = keras.ops.convert_to_tensor(mask)
    mine = weft.Variable(output)
    mine._keras_mask = mask
    expected = keras.losses.MeanSquaredError(reduction=reduction)(target, theirs, weight)
    result = losses.MeanSquaredError(reduction=reduction)(target, mine, weight)
    np.testing.assert_allclose(result.numpy(), expected, 1e-5)


def test_a_mask_joins_the_ignored_class():
    logits = weft.Variable(np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]], "float32"))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    alone = float(loss([0], logits.numpy()[:1]))
    logits._keras_mask = np.array([True, False, True])
    assert float(loss([0, 0, 1], logits)) == pytest.approx(alone)


@pytest.mark.parametrize(
    ("true", "pred"), [((3, 1), (3,)), ((3,), (3, 1)), ((3, 4, 1), (3, 4)), ((3, 4), (3, 4, 1))]
)
def test_a_last_axis_of_size_one_may_be_missing(true, pred):
    a, b = np.arange(12.0)[: np.prod(true)].reshape(true), np.ones(pred)
    for name in ("MeanSquaredError", "BinaryCrossentropy", "Huber"):
        mine = getattr(losses, name)(reduction="none")(a, b / 2)
        theirs = getattr(keras.losses, name)(reduction="none")(a, b / 2)
        np.testing.assert_allclose(mine.numpy(), theirs, 1e-5)


def test_a_scalar_target_stands_for_all():
    assert losses.mean_squared_error(1.0, np.zeros((3, 2))).tolist() == [1, 1, 1]
    assert float(losses.MeanSquaredError()(1.0, 3.0)) == 4


def test_variables_lists_and_arrays_are_taken():
    for make in (weft.Variable, np.ndarray.tolist, np.asarray):
        assert float(losses.MeanSquaredError()(make(Y), make(Z), make(np.zeros(3)))) == 0
        assert float(losses.MeanSquaredError()(make(Y), make(Z), make(np.ones(3) * 12))) == 110


def test_a_loss_in_a_compiled_function():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = np.eye(3, dtype="float32")
    compiled = weft.function(lambda y, p: loss(y, p))
    labels = np.array([0, 1, 1])
    assert float(compiled(labels, logits)) == pytest.approx(float(loss(labels, logits)))


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "Hinge", "Poisson"])
def test_shapes_that_do_not_fit(name):
    loss = getattr(losses, name)()
    for true, pred in [((3, 4), (3, 5)), ((4,), (4, 4)), ((2, 3, 4), (3, 4))]:
        with pytest.raises(weft.ShapeError) as error:
            loss(np.ones(true), np.ones(pred))
        assert f"y_true of shape {true} and y_pred of shape {pred} do not fit" in str(error.value)


def test_labels_where_one_hot_targets_belong():
    with pytest.raises(
        weft.ShapeError, match=r"\(3,\) and .* \(3, 4\) .*Integer labels .* sparse_cat"
    ):
        losses.CategoricalCrossentropy()(np.array([0, 1, 2]), np.ones((3, 4)))


def test_one_hot_targets_where_labels_belong():
    with pytest.raises(
        weft.ShapeError,
        match=r"y_true of shape \(4, 4\) does not fit y_pred of shape \(4, 4\): labels of shape "
        r"\(4,\) are expected, .* One-hot targets go with categorical_crossentropy",
    ):
        losses.SparseCategoricalCrossentropy()(np.eye(4), np.ones((4, 4)))


@pytest.mark.parametrize("shape", [(4,), (5,), (3, 2), (3, 4, 2), (1, 2)])
def test_weights_that_do_not_fit(shape):
    with pytest.raises(weft.ShapeError) as error:
        losses.MeanSquaredError()(PLACES, PLACES, np.ones(shape))
    assert f"sample_weight of shape {shape} does not fit values of shape (3, 4)" in str(error.value)
    assert "a shape out of (3,), (3, 4), or 1 in place" in str(error.value)


@pytest.mark.parametrize("labels", [[0, 7, 1], [-1, 2, 0], [-3, 1, 9]], ids=str)
@pytest.mark.parametrize("make", [list, np.array, weft.engine.as_tensor])
def test_labels_outside_the_classes(labels, make):
    message = (
        rf"the labels run from {min(labels)} to {max(labels)}, but y_pred of shape \(3, 4\) has 4 "
        r"classes, so they must be within 0 to 3.* ignore_class"
    )
    with pytest.raises(ValueError, match=message):
        losses.SparseCategoricalCrossentropy()(make(labels), np.full((3, 4), 0.25))


def test_labels_that_are_not_a_number():
    with pytest.raises(ValueError, match="the labels run from nan to nan"):
        losses.SparseCategoricalCrossentropy()([0.0, np.nan], np.full((2, 4), 0.25))


def test_labels_outside_the_classes_on_the_device_give_nan():
    """No waiting for the values: the loss and the gradient of those rows show it instead."""
    logits = weft.Variable(np.zeros((4, 3), "float32"))
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=-2, reduction="none")
    with weft.GradientTape() as tape:
        labels = weft.engine.as_tensor([0, 2, -3, -3]) + weft.engine.as_tensor([0, 1, 1, 2])
        values = loss(labels, logits)
    gradient = tape.gradient(values, logits).numpy()
    assert np.isnan(values.numpy()).tolist() == [False, True, False, True]
    assert values.numpy()[2] == 0
    assert np.isnan(gradient).any(-1).tolist() == [False, True, False, True]
    compiled = weft.function(lambda y, p: losses.SparseCategoricalCrossentropy()(y, p))
    assert np.isnan(float(compiled(np.array([0, 4]), np.full((2, 4), 0.25))))


@pytest.mark.parametrize(
    ("name", "option", "value", "words"),
    [
        ("BinaryCrossentropy", "label_smoothing", 1.5, "between 0 and 1, got 1.5"),
        ("CategoricalCrossentropy", "label_smoothing", -0.1, "between 0 and 1, got -0.1"),
        ("BinaryFocalCrossentropy", "alpha", 1.5, "between 0 and 1, got 1.5"),
        ("BinaryFocalCrossentropy", "gamma", -1, "0 or more, got -1"),
        ("BinaryFocalCrossentropy", "label_smoothing", 2, "between 0 and 1, got 2"),
        ("CategoricalFocalCrossentropy", "alpha", [0.5, -0.5], r"0 or more, got \[0.5, -0.5\]"),
        ("CategoricalFocalCrossentropy", "alpha", "big", "0 or more, got 'big'"),
        ("CategoricalFocalCrossentropy", "gamma", float("nan"), "0 or more, got nan"),
        ("CategoricalGeneralizedCrossEntropy", "q", 0.0, "above 0 and at most 1, got 0.0"),
        ("CategoricalGeneralizedCrossEntropy", "q", 1.1, "above 0 and at most 1, got 1.1"),
        ("Huber", "delta", 0, "above 0, got 0"),
        ("Huber", "delta", None, "above 0, got None"),
        ("Tversky", "alpha", -1.0, "0 or more, got -1.0"),
        ("Tversky", "beta", -1.0, "0 or more, got -1.0"),
        ("Circle", "gamma", 0.0, "above 0, got 0.0"),
    ],
)
def test_options_out_of_range(name, option, value, words):
    with pytest.raises(ValueError, match=f"{name}: {option} must be {words}"):
        getattr(losses, name)(**{option: value})
    function = weft.engine.names.snake_case(name)
    if isinstance(value, float | int):
        y_true = np.zeros(2) if name in ("Circle", "CategoricalGeneralizedCrossEntropy") else Y[:2]
        with pytest.raises(ValueError, match=f"{function}: {option} must be {words}"):
            getattr(losses, function)(y_true, Y[:2], **{option: value})


def test_options_may_be_tensors():
    gamma, delta = weft.Variable(0.0), weft.Variable(0.5)
    focal = losses.BinaryFocalCrossentropy(gamma=gamma)
    p = np.full((2, 3), 0.25, "float32")
    before = float(focal(0 * p, p))
    assert before == pytest.approx(float(losses.binary_crossentropy([0.0], [0.25])))
    gamma.assign(2.0)
    assert float(focal(0 * p, p)) == pytest.approx(before / 16)
    assert float(losses.huber([[0.0]], [[1.0]], delta=delta)) == 0.375


@pytest.mark.parametrize(
    ("name", "true", "pred", "words"),
    [
        ("MeanSquaredError", (3,), (3, 4), "Integer labels beside the 4 outputs"),
        ("CategoricalFocalCrossentropy", (3,), (3, 4), "go with sparse_categorical_crossentropy"),
        ("Dice", (2, 3, 3, 1), (2, 3, 3, 4), "Integer labels beside the 4 outputs"),
        ("CategoricalHinge", (3, 1), (3, 4), "or through weft.ops.one_hot"),
        ("BinaryCrossentropy", (3, 4), (3, 1), r"Targets of 4 columns .* a last layer of 4 units"),
        ("CategoricalCrossentropy", (3, 4), (3, 1), "or integer labels and sparse_categorical_cr"),
        ("KLDivergence", (3, 4), (3, 5), "Give the last layer 4 units"),
        ("Tversky", (3, 4), (2, 4), "must have the same shape"),
        ("BinaryFocalCrossentropy", (3, 4), (3, 5), "Give the last layer 4 units"),
    ],
)
def test_shapes_that_do_not_fit_and_the_usual_cause(name, true, pred, words):
    with pytest.raises(weft.ShapeError, match=words) as error:
        getattr(losses, name)()(np.ones(true), np.ones(pred))
    assert f"y_true of shape {true} and y_pred of shape {pred} do not fit" in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "true", "words"),
    [
        ("CategoricalFocalCrossentropy", {"from_logits": True, "axis": 2}, (3, 4), "axis 2 is out"),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1, "axis": 2}, (3, 4), "axis 2 is out"),
        ("BinaryFocalCrossentropy", {"axis": -3}, (3, 4), "axis -3 is out of range"),
        ("SparseCategoricalCrossentropy", {"axis": 2}, (3,), r"of shape \(3, 4\) has no axis 2"),
        ("Dice", {"axis": (0, 5)}, (3, 4), "axis 5 is out of bounds"),
        ("CategoricalFocalCrossentropy", {"alpha": [0.5, 0.5]}, (3, 4), r"each of the 4 classes"),
    ],
)
def test_axes_and_alphas_that_do_not_fit(name, arguments, true, words):
    with pytest.raises(weft.ShapeError, match=words):
        getattr(losses, name)(**arguments)(np.ones(true), np.full((3, 4), 0.25))


@pytest.mark.parametrize(
    ("labels", "shape", "words"),
    [
        (
            [[1, 7]],
            (1, 6, 5),
            r"labels run from 1 to 7, but .* has 5 classes: 0, the blank.* 1 to 4",
        ),
        ([[-1, 2]], (1, 6, 5), "the labels run from -1 to 2"),
        ([[1, 2, 3], [1, 0, 2]], (2, 6, 5), r"row 1 of y_true has a 0 before a label: \[1, 0, 2\]"),
        (
            [[1, 2], [3, 3]],
            (2, 2, 5),
            r"row 1 of y_true needs 3 time steps \(2 labels and 1 blanks",
        ),
        ([1, 2], (2, 6, 5), r"y_true of shape \(2,\) and y_pred of shape \(2, 6, 5\) do not fit"),
    ],
)
def test_sequences_that_do_not_fit(labels, shape, words):
    for make in (list, np.array):
        with pytest.raises(ValueError, match=words):
            losses.CTC()(make(labels), np.zeros(shape))


def test_sequences_on_the_device_that_do_not_fit_cost_nan():
    labels = weft.engine.as_tensor([[1, 2], [0, 2], [9, 1], [-1, 0]]) + weft.engine.as_tensor(0)
    values = losses.CTC(reduction="none")(labels, np.zeros((4, 3, 5))).numpy()
    assert np.isnan(values).tolist() == [False, True, True, True]


def test_noisy_labels_outside_the_classes():
    with pytest.raises(ValueError, match=r"entropy: the labels run from 0 to 4, .* within 0 to 3"):
        losses.CategoricalGeneralizedCrossEntropy()([0, 4], np.full((2, 4), 0.25))
    with pytest.raises(weft.ShapeError, match=r"y_true of shape \(2, 4\) does not fit"):
        losses.CategoricalGeneralizedCrossEntropy()(np.eye(4)[:2], np.full((2, 4), 0.25))
    labels = weft.engine.as_tensor([0, 4]) + weft.engine.as_tensor(0)
    loss = losses.CategoricalGeneralizedCrossEntropy(reduction="none")
    assert np.isnan(loss(labels, np.full((2, 4), 0.25)).numpy()).tolist() == [False, True]


def test_labels_are_checked_before_the_first_step():
    model = weft.Sequential([weft.layers.Input((2,)), weft.layers.Dense(3, activation="softmax")])
    model.compile("sgd", losses.CategoricalGeneralizedCrossEntropy())
    model.predict(np.ones((4, 2)), verbose=0)
    before = model.get_weights()
    with pytest.raises(ValueError, match="the labels run from 0 to 3"):
        model.fit(np.ones((40, 2)), np.arange(40) // 10, batch_size=10, shuffle=False, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_embeddings_that_do_not_fit_their_labels():
    with pytest.raises(weft.ShapeError, match=r"y_true and y_pred of shapes \(3,\) and \(2, 4\)"):
        losses.Circle()([1, 1, 2], np.ones((2, 4)))
    with pytest.raises(weft.ShapeError, match="ref_labels and ref_embeddings of shapes"):
        losses.circle([1, 1], Y[:2], ref_labels=[1], ref_embeddings=Y)
    with pytest.raises(ValueError, match="give ref_labels and ref_embeddings together"):
        losses.circle([1, 1], Y[:2], ref_labels=[1, 2])


def test_unknown_reduction():
    with pytest.raises(ValueError, match=r"Huber: unknown reduction 'avg'. Use one of 'sum_over"):
        losses.Huber(reduction="avg")


def test_unknown_names_list_the_near_ones():
    with pytest.raises(ValueError, match=r"unknown loss 'mean_sqared_eror'.*'mean_squared_error'"):
        losses.get("mean_sqared_eror")
    with pytest.raises(ValueError, match=r"unknown loss 'Hubr'. Did you mean 'huber'"):
        losses.deserialize({"class_name": "Hubr", "config": {}})
    with pytest.raises(ValueError, match="3 is no loss: give a name"):
        losses.get(3)
    with pytest.raises(ValueError, match="a dict with 'class_name'"):
        losses.deserialize({"config": {}})
    with pytest.raises(TypeError, match=r"cannot write the loss 3 as a config"):
        losses.serialize(3)


def test_a_subclass_without_call():
    class Empty(losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no call: write call\(self, y_true"):
        Empty()(Y, Z)


def test_a_subclass_without_super_init():
    class Forgetful(losses.Loss):
        def __init__(self):
            self.factor = 2

        def call(self, y_true, y_pred):
            return y_pred

    with pytest.raises(RuntimeError, match=r"Forgetful.__init__ did not call super\(\).__init__"):
        Forgetful()(Y, Z)
    with pytest.raises(AttributeError, match="'Forgetful' object has no attribute 'fctor'"):
        _ = Forgetful().fctor


def test_targets_that_are_no_numbers():
    loss = losses.MeanSquaredError()
    for given, what in (
        ((None, Z), "y_true: .* got None"),
        ((Z, "yes"), "y_pred: .* got 'yes'"),
        ((Z, Z, "balanced"), "sample_weight: .* got 'balanced'"),
    ):
        with pytest.raises(TypeError, match=f"mean_squared_error: {what}"):
            loss(*given)
    with pytest.raises(TypeError, match="is not a dtype"):
        losses.MeanSquaredError(dtype="float33")
