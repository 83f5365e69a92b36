"""The outputs of `predict`, joined: one array each, whatever the batches gave."""

import numpy as np
import pytest

import weft
from weft.training.joined import Joined


def tensor(*values):
    return weft.convert_to_tensor(np.array(values, "float32"))


def joined(*parts, rows=None, **more):
    made = Joined(rows)
    for part in parts:
        made.add(part, **more)
    return made.result()


@pytest.mark.parametrize("rows", [None, 4, 3, 2, 9])
def test_any_number_of_rows(rows):
    """What is known beforehand may be wrong: a model may give more rows or fewer than it took."""
    found = joined(tensor([1], [2]), tensor([3]), tensor([4]), rows=rows)
    assert found.tolist() == [[1], [2], [3], [4]]
    assert found.flags.owndata


def test_one_array_is_filled():
    made = Joined(3)
    made.add(tensor([1], [2]))
    made.last()
    whole = made._outputs[0].whole
    made.add(tensor([3]))
    assert made.result() is whole


def test_stacked_batches_and_rows_that_do_not_count():
    stacked = tensor([[1, 2], [3, 4], [0, 0]])
    made = Joined(3)
    made.add(stacked[0], batches=2, missing=1)
    assert made.result().tolist() == [1, 2, 3]
    assert made.last().tolist() == [1, 2, 3]


def test_other_shapes_and_dtypes_later():
    words = np.array([[1, 2]], "float32"), np.array([[3, 4]], "int32")
    assert joined(*map(weft.convert_to_tensor, words), rows=2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="must match exactly"):
        joined(tensor([1, 2]), tensor([3]), rows=2)


def test_another_structure_is_refused():
    with pytest.raises(ValueError, match="outputs of batches differ in structure"):
        joined({"a": tensor(1)}, {"a": tensor(1), "b": tensor(2)})


def test_a_scalar_is_refused():
    model = weft.Sequential([weft.Input((2,)), weft.layers.Lambda(weft.ops.sum)])
    with pytest.raises(ValueError, match="a batch's output is a scalar"):
        model.predict(np.ones((3, 2), "float32"), verbose=0)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="the data gave no batches"):
        joined()
