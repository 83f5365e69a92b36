"""split_dataset: two parts of arrays and of data sets."""

import numpy as np
import pytest

import weft
from weft.utils import split_dataset


def values(dataset):
    return [int(v) for v in dataset.as_numpy_iterator()]


@pytest.mark.parametrize(
    ("sizes", "left", "right"),
    [  # as tf.keras has them
        ({"left_size": 0.33}, 3, 7),
        ({"left_size": 0.25}, 2, 8),
        ({"right_size": 0.25}, 8, 2),
        ({"left_size": 0.35}, 4, 6),
        ({"right_size": 0.15}, 8, 2),
        ({"left_size": 7}, 7, 3),
        ({"left_size": 0.5, "right_size": 0.2}, 5, 2),
        ({"left_size": 3, "right_size": 3}, 3, 3),
    ],
)
def test_sizes(sizes, left, right):
    first, second = split_dataset(np.arange(10), **sizes)
    assert values(first) == list(range(left))
    assert values(second) == list(range(10 - right, 10))
    assert len(first) == left


def test_structures():
    x, y = np.arange(6.0).reshape(6, 1), np.arange(6)
    for data in ((x, y), [x, y]):
        left, _ = split_dataset(data, left_size=2)
        assert [(a.tolist(), int(b)) for a, b in left.as_numpy_iterator()] == [([0], 0), ([1], 1)]
    left, right = split_dataset({"x": x, "y": y}, right_size=1)
    assert [int(row["y"]) for row in right.as_numpy_iterator()] == [5]
    assert values(split_dataset([1, 2, 3, 4], left_size=0.5)[1]) == [3, 4]


class ByNumber:  # as torch's data sets
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.int32(index)


@pytest.mark.parametrize(
    "make",
    [
        lambda: weft.data.Dataset.range(4),
        ByNumber,
        lambda: iter(range(4)),
    ],
)
def test_data_sets(make):
    left, right = split_dataset(make(), left_size=0.5)
    assert (values(left), values(right)) == ([0, 1], [2, 3])


def test_shuffling():
    def order(**options):
        left, right = split_dataset(np.arange(20), left_size=0.5, shuffle=True, **options)
        return values(left) + values(right)

    assert sorted(order()) == list(range(20))
    assert order(seed=3) == order(seed=3) != order(seed=4)
    weft.random.set_seed(1)
    first = order()
    weft.random.set_seed(1)
    assert order() == first


@pytest.mark.parametrize(
    ("data", "sizes", "error", "message"),
    [
        (np.arange(10), {}, ValueError, "left_size, right_size or both"),
        (np.arange(10), {"left_size": 0.05}, ValueError, "make parts of 0 and 10"),
        (np.arange(10), {"left_size": 0.999}, ValueError, "make parts of 10 and 0"),
        (np.arange(10), {"left_size": 10}, ValueError, "examples from 1 to 9, got 10"),
        (np.arange(10), {"left_size": 1.0}, ValueError, "fraction between 0 and 1.*got 1.0"),
        (np.arange(10), {"right_size": -1}, ValueError, "right_size must be .*got -1"),
        (np.arange(10), {"left_size": "a"}, TypeError, "left_size must be .*got 'a'"),
        (np.arange(10), {"left_size": 0.7, "right_size": 0.7}, ValueError, "at most 10"),
        (weft.data.Dataset.range(3).repeat(), {"left_size": 1}, ValueError, "infinite"),
        (3, {"left_size": 1}, TypeError, "arrays or a data set, got a int"),
        ((np.arange(3), np.arange(4)), {"left_size": 1}, ValueError, "one number of rows"),
    ],
)
def test_what_is_refused(data, sizes, error, message):
    with pytest.raises(error, match=message):
        split_dataset(data, **sizes)
