"""What metrics refuse: what the message says, and that the state is as before."""

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft import metrics

CLASSES = {"num_classes": 3}
IDS = {"num_classes": 3, "target_class_ids": [0]}


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("MeanIoU", {"num_classes": 1}, ValueError, "MeanIoU: num_classes must be 2 or more, got"),
        ("OneHotIoU", {**IDS, "num_classes": 0}, ValueError, "OneHotIoU: num_classes must be 2"),
        ("MeanIoU", {"num_classes": 2.5}, TypeError, "num_classes must be an int, got 2.5"),
        ("IoU", {**IDS, "target_class_ids": [0, 3]}, ValueError, r"classes 0 to 2, got \[0, 3\]"),
        ("IoU", {**IDS, "target_class_ids": [-1]}, ValueError, r"classes 0 to 2, got \[-1\]"),
        ("IoU", {**IDS, "target_class_ids": []}, ValueError, r"name some of the classes 0 to 2"),
        ("IoU", {**IDS, "target_class_ids": [1.0]}, TypeError, "must be an int, got 1.0"),
        ("IoU", {**IDS, "target_class_ids": 1}, TypeError, "must be a list of ints, got 1"),
        ("BinaryIoU", {"target_class_ids": [2]}, ValueError, r"classes 0 to 1, got \[2\]"),
        ("FBetaScore", {"average": "marco"}, ValueError, "got 'marco'. Did you mean 'macro'?"),
        ("F1Score", {"average": "Micro"}, ValueError, "'macro' or 'weighted', got 'Micro'"),
        ("FBetaScore", {"beta": 0.0}, ValueError, "FBetaScore: beta must be above 0, got 0.0"),
        ("FBetaScore", {"beta": "1"}, ValueError, "beta must be above 0, got '1'"),
        ("F1Score", {"threshold": 0.0}, ValueError, "F1Score: threshold must be above 0 and at"),
        ("F1Score", {"threshold": 1.5}, ValueError, "at most 1 .*, got 1.5"),
        ("R2Score", {"class_aggregation": "uniform"}, ValueError, "Did you mean 'uniform_average'"),
        ("R2Score", {"num_regressors": -1}, ValueError, "must be an int of 0 or more, got -1"),
        ("R2Score", {"num_regressors": 1.5}, ValueError, "must be an int of 0 or more, got 1.5"),
        ("Mean", {"dtype": "float23"}, TypeError, "float23"),
    ],
)
def test_arguments(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "good", "true", "pred", "message"),
    [
        ("IoU", IDS, (4,), (4,), (5,), r"one label is expected for each place"),
        ("IoU", IDS, (4,), (4,), (4, 3), r"y_pred is one-hot or .* sparse_y_pred=False"),
        ("MeanIoU", CLASSES, (4,), (4, 3), (4,), r"y_true is one-hot or .* sparse_y_true=False"),
        ("OneHotIoU", IDS, (4, 3), (4,), (4, 3), r"of shapes \(\) and \(4,\)"),
        ("OneHotMeanIoU", {**CLASSES, "axis": 2}, None, (4, 3), (4, 3), "has no axis 2 of classes"),
        ("F1Score", {}, (4, 3), (4,), (4, 3), "labels must be made one-hot, with 3 columns"),
        ("F1Score", {}, (4, 3), (4,), (4,), r"Give them a last axis: x\[:, None\]"),
        ("F1Score", {}, (4, 3), (4, 2), (4, 2), "has 2 outputs, but the batches before had 3"),
        ("FBetaScore", {"average": "micro"}, (4, 3), (4, 3), (4, 2), r"shape \(batch, outputs\)"),
        ("R2Score", {}, (4, 3), (2, 4, 3), (2, 4, 3), r"shape \(batch, outputs\)"),
        ("PearsonCorrelation", {}, (4, 3), (4, 3), (4, 2), "do not fit"),
        ("ConcordanceCorrelation", {}, (4, 3), (4,), (4, 3), "do not fit"),
        ("CosineSimilarity", {}, (4, 3), (4, 3), (4, 2), "do not fit"),
        ("CategoricalHinge", {}, (4, 3), (4,), (4, 3), "do not fit"),
        ("KLDivergence", {}, (4, 3), (4, 2), (4, 3), "do not fit"),
    ],
)
def test_shapes(name, arguments, good, true, pred, message):
    metric = getattr(metrics, name)(**arguments)
    if good:
        metric.update_state(np.ones(good), np.ones(good))
    before = [v.numpy() for v in metric.variables]
    with pytest.raises(weft.ShapeError, match=message) as error:
        metric.update_state(np.ones(true), np.ones(pred))
    assert f"y_true of shape {true}" in str(error.value) or "outputs" in str(error.value)
    assert str(pred) in str(error.value)
    for variable, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 2)])
@pytest.mark.parametrize(
    ("name", "arguments", "data"),
    [
        ("MeanIoU", {**CLASSES, "dtype": "float32"}, (4, 3)),
        ("F1Score", {}, (4, 3)),
        ("R2Score", {}, (4, 3)),
        ("MeanSquaredError", {}, (4, 3, 2)),
        ("RootMeanSquaredError", {}, (4, 3)),
        ("PearsonCorrelation", {}, (4, 3)),
    ],
)
def test_weights(name, arguments, data, shape):
    if shape == data:
        return
    metric = getattr(metrics, name)(**arguments)
    with pytest.raises(weft.ShapeError, match=r"sample_weight of shape .* does not fit values of"):
        metric.update_state(np.ones(data), np.ones(data), sample_weight=np.ones(shape))
    assert not metric.variables or not any(np.any(v.numpy()) for v in metric.variables)


def test_a_first_batch_that_is_refused_leaves_no_state_behind():
    metric = metrics.F1Score()
    with pytest.raises(weft.ShapeError):
        metric.update_state(np.ones((4, 3)), np.ones((4, 3)), np.ones(9))
    assert metric.variables == [] and float(metric.result()) == 0
    metric.update_state(np.ones((4, 2)), np.ones((4, 2)))
    assert metric.result().shape == (2,)
    score = metrics.R2Score()
    with pytest.raises(weft.ShapeError):
        score.update_state(np.ones((4, 3)), np.ones((4, 2)))
    assert [v.name for v in score.variables] == ["num_samples"]


@pytest.mark.parametrize("wrong", [[0, 5, 1], [0, -1, 1], [0, np.nan, 1]])
def test_labels_outside_of_the_classes(wrong):
    metric = metrics.MeanIoU(3, ignore_class=9)
    metric.update_state([0, 1, 9], [0, 1, 2])
    with pytest.raises(ValueError, match=r"MeanIoU: the labels of y_true run from .* ignore_class"):
        metric.update_state(wrong, [0, 1, 2])
    with pytest.raises(ValueError, match=r"labels of y_pred run from .* within 0 to 2\.$"):
        metric.update_state([0, 1, 2], wrong)
    assert metric.total_cm.numpy().sum() == 2
    # On the device, or beside weights that may leave them out, they are not counted.
    metric.update_state(jnp.asarray(wrong, "float32"), [0, 1, 2])
    assert metric.total_cm.numpy().sum() == 4
    metric.update_state([0, 1, 2], wrong, sample_weight=[1, 0, 1])
    assert metric.total_cm.numpy().sum() == 6


def test_small_unsigned_labels_with_a_void_of_255():
    metric = metrics.MeanIoU(3, ignore_class=255)
    metric.update_state(np.array([0, 255, 2], "uint8"), np.array([0, 1, 2], "uint8"))
    assert float(metric.result()) == 1
    other = metrics.MeanIoU(3, ignore_class=-1)
    other.update_state(np.array([0, 2], "uint8"), np.array([0, 2], "uint8"))
    assert float(other.result()) == 1


def test_weights_that_an_integer_state_would_cut_off():
    metric = metrics.MeanIoU(3)
    with pytest.raises(ValueError, match=r"not whole numbers, .* int32, .*dtype='float32'"):
        metric.update_state([0, 1], [0, 1], sample_weight=[0.5, 1.0])
    assert not metric.total_cm.numpy().any()
    metric.update_state([0, 1], [0, 1], sample_weight=[1.0, 0.0])
    metric.update_state([0, 1], [0, 1], sample_weight=np.array([True, False]))
    with pytest.warns(UserWarning, match="sample_weight is float32, but the confusion matrix is i"):
        metric.update_state([0, 1], [0, 1], sample_weight=jnp.ones(2))
    assert metric.total_cm.numpy().sum() == 4


def test_unknown_names():
    for name, near in {
        "f1score": "F1Score",
        "mean_squared_eror": "mean_squared_error",
        "BinaryIou": "BinaryIoU",
        "pearson_corelation": "pearson_correlation",
    }.items():
        with pytest.raises(ValueError, match=f"unknown metric {name!r}.*{near}"):
            metrics.get(name)
    with pytest.raises(ValueError, match="3 is no metric"):
        metrics.get(3)
    with pytest.raises(TypeError, match="num_classes"):
        metrics.get("MeanIoU")


def test_what_cannot_be_merged():
    whole = metrics.F1Score()
    other = metrics.R2Score()
    other.update_state(np.ones((4, 3)), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"cannot merge <weft.metrics.R2Score"):
        whole.merge_state([other])
    narrow, wide = metrics.F1Score(), metrics.F1Score()
    narrow.update_state(np.ones((4, 2)), np.ones((4, 2)))
    wide.update_state(np.ones((4, 3)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="Merge metrics of one class"):
        whole.merge_state([narrow, wide])
    assert whole.variables == []
