"""What an element is: structure, arrays, dtypes, specs, batches, and the memory they lie in."""

import sys
from collections import namedtuple

import numpy as np
import pytest

import weft.data
from weft.data import Dataset, TensorSpec
from weft.engine import Tensor, host_tensor

Point = namedtuple("Point", "x y")
TEN = Dataset.range(10)


def first(dataset):
    return next(dataset.as_numpy_iterator())


def scalar(dtype):
    return TensorSpec((), dtype)


STRUCTURES = [
    (([1, 2], [3.0, 4.0]), (scalar("i4"), scalar("f4"))),
    ([[1, 2], [3, 4]], TensorSpec((2,), "i4")),
    ([np.zeros(3), np.ones(3)], TensorSpec((3,), "f8")),
    ([np.float64(1)], scalar("f8")),
    ([2**40], scalar("i8")),
    ([True], scalar("?")),
    ({"x": {"y": [1]}, "a": [[1, 2]]}, {"x": {"y": scalar("i4")}, "a": TensorSpec((2,), "i4")}),
    (Point([1], [2.0]), Point(scalar("i4"), scalar("f4"))),
    (([1], None), (scalar("i4"), None)),
    (["a", "bc"], scalar("U2")),
    (np.array(["a", "bc"], object), scalar("U2")),
]  # fmt: skip


@pytest.mark.parametrize(("tensors", "spec"), STRUCTURES, ids=str)
def test_structure_and_dtypes(tensors, spec):
    dataset = Dataset.from_tensor_slices(tensors)
    assert dataset.element_spec == spec
    for nest in (dataset.element_spec, first(dataset), first(dataset.batch(2))):
        if isinstance(spec, tuple | dict):
            assert type(nest) is type(spec)
        if isinstance(spec, dict):
            assert list(nest) == list(spec)
        if isinstance(spec, tuple):
            assert [part is None for part in nest] == [part is None for part in spec]


def test_iterating_gives_tensors():
    x, y = next(iter(Dataset.from_tensor_slices(([[1.5, 2.0]], np.arange(1))).batch(1)))
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    assert (x.shape, x.dtype, y.dtype) == ((1, 2), "float32", "int32")
    np.testing.assert_array_equal(x.numpy(), [[1.5, 2.0]])
    names = Dataset.from_tensor_slices(["a.png", "b.png"])
    assert list(names) == ["a.png", "b.png"]  # text is no tensor
    assert next(iter(names.batch(2))).tolist() == ["a.png", "b.png"]


def test_tensors_in_a_list_become_one_array():
    rows = [host_tensor(np.arange(2)), host_tensor(np.arange(2) + 5)]
    assert first(Dataset.from_tensor_slices(rows).skip(1)).tolist() == [5, 6]
    assert first(Dataset.from_tensors(rows)).tolist() == [[0, 1], [5, 6]]
    assert first(Dataset.from_tensor_slices(rows[1])) == 5


def test_scalars_are_scalars_on_the_host():
    assert type(first(TEN)) is np.int64
    (a, b) = first(Dataset.from_tensors((1, [1.0])))
    assert type(a) is np.int32 and b.dtype == np.float32 and b.shape == (1,)
    assert isinstance(next(TEN.host_batches()), np.ndarray)


NUMBERS = Dataset.from_generator(lambda: iter([1]))


@pytest.mark.parametrize(
    ("dataset", "spec"),
    [
        (TEN.batch(3), TensorSpec((None,), "i8")),
        (TEN.batch(3, drop_remainder=True), TensorSpec((3,), "i8")),
        (TEN.batch(3).batch(2), TensorSpec((None, None), "i8")),
        (TEN.batch(5).unbatch(), scalar("i8")),
        (TEN.shuffle(3).repeat().take(4).cache().prefetch(1), scalar("i8")),
        (TEN.enumerate(), (scalar("i8"), scalar("i8"))),
        (Dataset.zip((TEN, {"a": TEN})), (scalar("i8"), {"a": scalar("i8")})),
        (TEN.concatenate(TEN), scalar("i8")),
        (TEN.concatenate(TEN.batch(2)), TensorSpec(None, "i8")),
        (TEN.batch(2).concatenate(TEN.batch(2, True)), TensorSpec((None,), "i8")),
        (TEN.map(lambda i: [i, 1.5]), (scalar("i4"), scalar("f4"))),
        (TEN.map(lambda i: (i, [i, i])), (scalar("i4"), TensorSpec((2,), "i4"))),
        (TEN.map(lambda i: {"a": np.zeros((2, 1))}), {"a": TensorSpec((2, 1), "f8")}),
        (TEN.batch(3).map(lambda i: {"i": i}), {"i": TensorSpec((None,), "i4")}),
        (TEN.batch(3).map(lambda i: np.zeros(2)), TensorSpec((2,), "f8")),
        (TEN.batch(3, True).map(lambda i: i), TensorSpec((3,), "i4")),
        (NUMBERS, scalar("i4")),
        (NUMBERS.filter(lambda i: True).batch(2), TensorSpec((None,), "i4")),
    ],
    ids=str,
)  # fmt: skip
def test_element_spec(dataset, spec):
    assert dataset.element_spec == spec


def test_spec_of_nothing_cannot_be_learned():
    with pytest.raises(ValueError, match="no elements, so what a function makes of them"):
        _ = Dataset.range(0).map(abs).element_spec
    with pytest.raises(ValueError, match=r"yields nothing, .* Pass output_signature=TensorSpec"):
        _ = Dataset.from_generator(lambda: iter(())).element_spec


def test_tensor_spec():
    spec = TensorSpec((None, 2), "float32", name="x")
    assert repr(spec) == "TensorSpec(shape=(None, 2), dtype=float32, name='x')"
    assert spec == TensorSpec([None, 2]) and hash(spec) == hash(TensorSpec([None, 2]))
    assert spec != TensorSpec((2, 2)) and spec != TensorSpec((None, 2), "int32") and spec != 3


# Memory --------------------------------------------------------------------------------------


def test_a_batch_has_memory_of_its_own():
    x = np.zeros((4, 2), np.float32)
    dataset = Dataset.from_tensor_slices(x)
    taken = [first(dataset), first(dataset.batch(2)), next(iter(dataset.batch(4)))]
    x[:] = 1
    assert [np.asarray(part).sum() for part in taken] == [0, 0, 0]
    assert first(dataset.batch(4)).sum() == 8  # the arrays are read, not copied


@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_of_arrays_in_any_layout(order, tmp_path):
    x = np.asarray(np.arange(24).reshape(6, 2, 2), order=order)
    path = tmp_path / "x.npy"
    np.save(path, x)
    for array in (x, x[::2], np.load(path, mmap_mode="r")):
        batch = first(Dataset.from_tensor_slices(array).skip(1).batch(2))
        np.testing.assert_array_equal(batch, array[1:3])
        assert type(batch) is np.ndarray and not np.shares_memory(batch, array)


def calls_per_batch(batch_size):
    """Python function calls that 20 batches of the idiom take."""
    x, y = np.zeros((64 * 100, 3)), np.zeros(64 * 100)
    batches = Dataset.from_tensor_slices((x, y)).shuffle(6400).repeat().batch(batch_size)
    batches = batches.skip(1).take(21).prefetch(2).host_batches()
    next(batches)
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for _ in range(20):
            next(batches)
    finally:
        sys.setprofile(None)
    return calls / 20


def test_an_element_of_an_array_costs_only_the_generators_that_order_it():
    assert calls_per_batch(4) < 20
    # Resuming the generators of shuffle() and repeat() is all that is counted a row.
    grown = calls_per_batch(64) - calls_per_batch(4)
    assert grown <= 2 * 60 + 1


# Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "error", "text"),
    [
        (
            {"x": np.zeros((10, 2)), "y": np.zeros(9)},
            ValueError,
            r"one number of rows .* \['x'\] has 10, \['y'\] has 9; all of it: "
            r"\{'x': float64\[10, 2\], 'y': float64\[9\]\}",
        ),
        ((1, [2]), ValueError, r"\[0\] is a scalar \(int32\).* Use from_tensors"),
        (3, ValueError, r"the value is a scalar \(int32\)"),
        (None, ValueError, "need at least one array, got None"),
        ({}, ValueError, r"need at least one array, got \{\} of type dict"),
        ([[1, 2], [3]], ValueError, r"one array of \[\[1, 2\], \[3\]\] .*use a tuple for several"),
        ([np.zeros(2), np.zeros(3)], ValueError, "cannot make one array of .* use a tuple"),
        (object(), TypeError, "cannot make an array of <object"),
        ([{"a": 1}], TypeError, r"cannot make an array of \[\{'a': 1\}\]"),
    ],
)
def test_bad_slices(tensors, error, text):
    with pytest.raises(error, match=text):
        Dataset.from_tensor_slices(tensors)


def test_unbatch_refuses():
    with pytest.raises(ValueError, match=r"unbatch: .* element 0 is \(int32\[2\], int32\[3\]\)"):
        first(Dataset.from_tensors(([1, 2], [1, 2, 3])).unbatch())
    with pytest.raises(ValueError, match=r"unbatch: .* but element 0 is int64\[\]"):
        first(TEN.map(lambda i: np.int64(i.numpy())).unbatch())
    with pytest.raises(ValueError, match=r"have scalars, which have no rows: int64\[\]"):
        _ = TEN.unbatch().element_spec


def test_concatenate_refuses():
    with pytest.raises(TypeError, match=r"one structure and dtype.*int64\[\] and \(int64\[\], int"):
        TEN.concatenate(Dataset.zip(TEN, TEN))
    with pytest.raises(TypeError, match=r"int64\[\] and float32\[\]"):
        TEN.concatenate(Dataset.from_tensors(1.0))


def test_public_names():
    assert [name for name in weft.data.__all__ if not hasattr(weft.data, name)] == []
    assert repr(TEN.shuffle(3).batch(2)) == (
        "<weft.data.Dataset source.shuffle.batch, cardinality=5>"
    )
    assert "unknown" in repr(NUMBERS) and "infinite" in repr(NUMBERS.repeat())
