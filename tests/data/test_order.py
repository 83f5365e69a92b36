"""Which elements come, and in what order: the results TensorFlow 2.21 gives."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from weft.data import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset
from weft.engine.random import set_seed

TEN = Dataset.range(10)
NONE = Dataset.range(0)


def values(dataset):
    """The elements as Python's own numbers, lists and tuples."""

    def plain(nest):
        return tuple(map(plain, nest)) if isinstance(nest, tuple) else nest.tolist()

    return [plain(element) for element in dataset.as_numpy_iterator()]


@pytest.fixture(params=["rows", "elements"])
def ten(request):
    """0 to 9, as row numbers of an array or as elements that a generator made."""
    if request.param == "rows":
        return TEN
    return Dataset.from_generator(lambda: (np.int64(i) for i in range(10)))


def test_selections(ten):
    assert values(ten) == values(ten) == list(range(10))
    assert values(ten.take(3)) == [0, 1, 2]
    assert values(ten.take(-5)) == values(ten.take(99)) == list(range(10))
    assert values(ten.skip(7)) == [7, 8, 9]
    assert values(ten.skip(-1)) == values(ten.skip(20)) == values(ten.take(0)) == []
    assert values(ten.shard(3, 1)) == [1, 4, 7]
    assert values(ten.shard(12, 11)) == []
    assert values(ten.take(2).repeat(3)) == [0, 1] * 3
    assert values(ten.repeat().skip(8).take(4)) == [8, 9, 0, 1]
    assert values(ten.take(2).repeat(0)) == []
    assert values(ten.take(2).concatenate(TEN.skip(9))) == [0, 1, 9]


def test_batches(ten):
    assert values(ten.batch(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert values(ten.batch(4, drop_remainder=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    # Batches cross from one repetition to the next; a repeated batch does not.
    assert values(ten.repeat(2).batch(8)) == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [8, 9, 0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9],
    ]
    assert values(ten.batch(8).repeat(2)) == 2 * [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]
    assert values(ten.batch(3).unbatch()) == list(range(10))
    assert values(ten.batch(2).batch(4)) == [[[0, 1], [2, 3], [4, 5], [6, 7]], [[8, 9]]]


def test_zip_and_enumerate(ten):
    assert values(Dataset.zip(ten.take(2), TEN)) == [(0, 0), (1, 1)]
    assert values(Dataset.zip((ten.skip(8), (ten, ten)))) == [(8, (0, 0)), (9, (1, 1))]
    assert values(ten.take(2).enumerate(start=5)) == [(5, 0), (6, 1)]
    assert values(Dataset.zip(ten, ten.skip(1)).batch(5).take(1)) == [
        ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5])
    ]
    assert values(Dataset.zip(ten).take(1)) == [0]
    (element,) = Dataset.zip({"b": ten.take(1), "a": (ten, ten)}).as_numpy_iterator()
    assert element == {"b": 0, "a": (0, 0)} and list(element) == ["b", "a"]


def test_range():
    assert values(Dataset.range(2, 5)) == [2, 3, 4]
    assert values(Dataset.range(10, 2, -3).batch(3)) == [[10, 7, 4]]
    assert values(Dataset.range(5, 0)) == []
    assert values(Dataset.range(10**12).skip(3).take(2)) == [3, 4]
    assert next(TEN.as_numpy_iterator()).dtype == np.int64
    with pytest.raises(ValueError, match=r"range: step must not be 0"):
        Dataset.range(0, 5, 0)


def test_nothing_to_iterate():
    empty = Dataset.from_tensor_slices((np.zeros((0, 3)), np.zeros(0)))
    for dataset in (empty, empty.batch(3), empty.shuffle(4), empty.repeat(), NONE.map(abs)):
        assert values(dataset) == values(dataset.prefetch(2)) == []
    assert len(empty.batch(3)) == 0
    assert bool(empty)


# Shuffling -----------------------------------------------------------------------------------


def test_shuffle_gives_every_order_equally(ten):
    runs = Counter(tuple(values(TEN.take(3).shuffle(3, seed=s))) for s in range(1200))
    assert len(runs) == 6
    assert all(140 < count < 260 for count in runs.values())  # 200 each, sigma 13
    assert sorted(values(ten.shuffle(10, seed=0))) == list(range(10))
    assert sorted(values(ten.shuffle(UNKNOWN_CARDINALITY, seed=0))) == list(range(10))


def test_shuffle_reaches_no_further_than_its_buffer():
    order = values(Dataset.range(5000).shuffle(10, seed=3))
    assert sorted(order) == list(range(5000))
    ahead = np.array(order) - np.arange(5000)
    assert ahead.max() == 9
    assert -ahead.min() > 20  # what a slot keeps may stay long
    assert values(TEN.shuffle(1, seed=0)) == list(range(10))


def test_a_run_has_a_new_order_unless_told_otherwise(ten):
    shuffled = ten.shuffle(10, seed=1)
    runs = [values(shuffled), values(shuffled)]
    assert runs[0] != runs[1]
    repeated = values(ten.shuffle(10, seed=1).repeat(2))
    assert [repeated[:10], repeated[10:]] == runs
    fixed = ten.shuffle(10, seed=1, reshuffle_each_iteration=False)
    assert values(fixed) == values(fixed) == runs[0]
    assert values(fixed.repeat(2)) == 2 * runs[0]


def test_order_depends_on_the_seed_alone(ten):
    def order(seed):
        return values(ten.shuffle(4, seed=seed).batch(10))

    assert order(7) == order(7) != order(8)
    assert order(-1) == order(-1)
    # The same order whether row numbers or elements are shuffled.
    assert order(7) == values(TEN.shuffle(4, seed=7).batch(10))


def test_seed_means_the_same_in_a_new_process():
    dataset = TEN.shuffle(5, seed=42).repeat(2)
    program = (
        "import sys\n"
        "from weft.data import Dataset\n"
        "assert 'grain' not in sys.modules\n"  # it is imported where it is used
        "d = Dataset.range(10).shuffle(5, seed=42).repeat(2)\n"
        "print([int(i) for i in d.as_numpy_iterator()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(values(dataset))


def test_without_a_seed_the_global_one_decides():
    def order(seed):
        set_seed(seed)
        first, second = TEN.shuffle(10), TEN.shuffle(10)
        assert values(first) != values(second)
        return values(TEN.shuffle(10))

    assert order(5) == order(5) != order(6)


def test_looking_at_the_spec_does_not_change_the_order():
    looked, not_looked = (TEN.shuffle(10, seed=1).map(lambda i: i) for _ in range(2))
    assert looked.element_spec.shape == ()
    assert values(looked) == values(not_looked)


def test_rows_stay_together_through_a_shuffle():
    x = np.arange(40.0).reshape(20, 2)
    dataset = Dataset.from_tensor_slices({"x": x, "y": np.arange(20)}).shuffle(20).batch(6)
    batches = list(dataset.as_numpy_iterator())
    y = np.concatenate([batch["y"] for batch in batches])
    assert sorted(y.tolist()) == list(range(20)) != y.tolist()
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in batches]), x[y])


@pytest.mark.parametrize("buffer_size", [0, -3])
def test_shuffle_refuses(buffer_size):
    with pytest.raises(ValueError, match=rf"buffer_size must be at least 1, got {buffer_size}"):
        TEN.shuffle(buffer_size)


# Length --------------------------------------------------------------------------------------

ENDLESS = TEN.repeat()
SOME = TEN.filter(lambda i: True)


@pytest.mark.parametrize(
    ("dataset", "cardinality"),
    [
        (TEN, 10),
        (SOME, -2),
        (ENDLESS, -1),
        (TEN.repeat(-3), -1),
        (TEN.repeat(0), 0),
        (TEN.repeat(2).enumerate(), 20),
        (NONE.repeat(), 0),
        (SOME.repeat(), -1),
        (SOME.repeat(0), 0),
        (SOME.repeat(2), -2),
        (ENDLESS.filter(lambda i: True), -2),
        (ENDLESS.take(3), 3),
        (SOME.take(5), -2),
        (TEN.take(-1), 10),
        (TEN.skip(-1), 0),
        (TEN.skip(20), 0),
        (ENDLESS.skip(2), -1),
        (TEN.batch(3), 4),
        (TEN.batch(3, drop_remainder=True), 3),
        (ENDLESS.batch(3), -1),
        (TEN.batch(5).unbatch(), -2),
        (TEN.batch(5, drop_remainder=True).unbatch(), 10),
        (TEN.batch(5).repeat().unbatch(), -1),
        (Dataset.zip(TEN, ENDLESS), 10),
        (Dataset.zip(ENDLESS, ENDLESS), -1),
        (Dataset.zip(ENDLESS, SOME), -2),
        (TEN.concatenate(TEN), 20),
        (TEN.concatenate(ENDLESS), -1),
        (TEN.concatenate(SOME), -2),
        (ENDLESS.concatenate(SOME), -1),
        (TEN.shard(3, 0), 4),
        (TEN.shard(3, 2), 3),
        (ENDLESS.shard(3, 2), -1),
        (TEN.map(abs).cache().shuffle(2).prefetch(1), 10),
        (Dataset.from_generator(lambda: iter([1])), -2),
        (Dataset.from_tensors(([1, 2], 3)), 1),
    ],
    ids=repr,
)
def test_cardinality(dataset, cardinality):
    assert dataset.cardinality() == cardinality
    if cardinality >= 0:
        assert len(dataset) == cardinality
        assert dataset.repeat(0).cardinality() == 0


def test_no_len():
    assert (ENDLESS.cardinality(), SOME.cardinality()) == (
        INFINITE_CARDINALITY,
        UNKNOWN_CARDINALITY,
    )
    with pytest.raises(TypeError, match=r"The dataset is infinite. Limit it with take"):
        len(ENDLESS)
    with pytest.raises(TypeError, match=r"The dataset length is unknown: a generator, filter"):
        len(SOME)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: TEN.batch(0), ValueError, "batch: batch_size must be at least 1, got 0"),
        (lambda: TEN.batch(2.0), TypeError, "batch: batch_size must be an integer, got 2.0"),
        (lambda: TEN.take(2.5), TypeError, "take: count must be an integer, got 2.5"),
        (lambda: Dataset.range("3"), TypeError, "range: each bound must be an integer, got '3'"),
        (lambda: TEN.shard(0, 0), ValueError, "num_shards must be at least 1, got 0"),
        (lambda: TEN.shard(3, 3), ValueError, r"index must be below num_shards \(3\), got 3"),
        (
            lambda: TEN.prefetch(-3),
            ValueError,
            "must be at least 0 or AUTOTUNE, got -3",
        ),
        (lambda: ENDLESS.shuffle(-2), ValueError, "infinite data set needs a finite buffer_size"),
        (
            lambda: Dataset.zip([TEN, TEN]),
            TypeError,
            r"tuple or dict of them, got \[<weft",
        ),
        (lambda: Dataset.zip(()), TypeError, r"one tuple or dict of them, got \(\) of type tuple"),
    ],
)
def test_refusals(build, error, text):
    with pytest.raises(error, match=text):
        build()
