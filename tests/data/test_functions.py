"""What runs the user's Python: from_generator, map, filter; and threads and caching around it."""

import gc
import threading
import traceback

import jax
import numpy as np
import pytest

from weft.data import AUTOTUNE, Dataset, TensorSpec
from weft.engine import Tensor, host_tensor
from weft.engine.trace import state

TEN = Dataset.range(10)


def values(dataset):
    return [element.tolist() for element in dataset.as_numpy_iterator()]


# map and filter ------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [None, 1, 3, AUTOTUNE])
def test_map_with_tensors_arrays_and_numbers(calls):
    assert values(TEN.map(lambda i: i * 2, calls)) == list(range(0, 20, 2))
    assert values(TEN.map(lambda i: np.asarray(i) * 2, calls)) == list(range(0, 20, 2))
    assert values(TEN.map(lambda i: int(i) / 2, calls)) == [i / 2 for i in range(10)]


def test_map_takes_the_parts_of_a_tuple_as_arguments():
    kinds = []

    def look(*arguments):
        kinds.append([type(argument) for argument in arguments])
        return arguments[0]

    data = Dataset.from_tensor_slices(([1], ([2], [3])))
    for dataset in (data, TEN.take(1), Dataset.from_tensor_slices({"a": [1]})):
        list(dataset.map(lambda *a: (look(*a), 1)[1]))
    assert kinds == [[Tensor, tuple], [Tensor], [dict]]
    assert values(Dataset.zip(TEN, TEN).map(lambda a, b: a + b).take(3)) == [0, 2, 4]


def test_map_of_batches():
    x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    dataset = Dataset.from_tensor_slices((x, np.arange(6))).batch(4)
    got = [a.tolist() for a, _ in dataset.map(lambda a, b: (a / 2, b)).as_numpy_iterator()]
    assert got == [(x[:4] / 2).tolist(), (x[4:] / 2).tolist()]


def test_filter():
    assert values(TEN.filter(lambda i: i > 7)) == [8, 9]
    assert values(TEN.filter(lambda i: int(i) % 4 == 0).batch(2)) == [[0, 4], [8]]
    pairs = Dataset.zip(TEN, TEN.skip(5)).filter(lambda a, b: a + b > 11)
    assert [tuple(map(int, pair)) for pair in pairs.as_numpy_iterator()] == [(4, 9)]


def test_text_to_arrays():
    lengths = Dataset.from_tensor_slices(["a", "bcd"]).map(lambda name: len(name))
    assert values(lengths) == [1, 3]
    names = Dataset.from_tensor_slices(["a", "bcd"]).map(lambda name: name + "!")
    assert values(names.batch(2)) == [["a!", "bcd!"]]


def test_a_function_leaves_pending_work_alone():
    outside = host_tensor(np.float32(1)) + 1
    before = len(state.trace.nodes)
    assert before > 0
    assert values(TEN.map(lambda i: i + 1).take(2)) == [1, 2]
    assert len(state.trace.nodes) == before
    assert float(outside) == 2


def test_asking_for_an_element_runs_pending_work():
    batches = iter(TEN.batch(5))
    next(batches)
    total = host_tensor(np.float32(1)) + 1
    assert state.trace.nodes
    next(batches)
    assert not state.trace.nodes
    assert float(total) == 2


def fails_at_three(i):
    if int(i) == 3:
        raise ZeroDivisionError("third")
    return i


@pytest.mark.parametrize("calls", [None, 2])
@pytest.mark.parametrize("depth", [0, 2])
def test_an_exception_in_map_names_the_element(calls, depth):
    elements = iter(TEN.map(fails_at_three, calls).prefetch(depth))
    assert [int(next(elements)) for _ in range(3)] == [0, 1, 2]
    text = (
        r"map: fails_at_three failed on element 3, called with 1 argument, int64\[\]: "
        "ZeroDivisionError: third"
    )
    with pytest.raises(RuntimeError, match=text) as caught:
        next(elements)
    cause = caught.value.__cause__
    assert type(cause) is ZeroDivisionError
    assert "fails_at_three" in [f.name for f in traceback.extract_tb(cause.__traceback__)]


def structure_changes(i):
    return i if int(i) < 2 else (i, i)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: TEN.map(3), TypeError, "map: expected a function, got 3 of type int"),
        (lambda: TEN.filter(None), TypeError, "filter: expected a function, got None"),
        (
            lambda: TEN.map(lambda i: i, num_parallel_calls=0),
            ValueError,
            "num_parallel_calls must be at least 1 or AUTOTUNE, got 0",
        ),
        (
            lambda: list(Dataset.zip(TEN, TEN).map(lambda i: i)),
            RuntimeError,
            r"called with 2 arguments, \(int64\[\], int64\[\]\): TypeError: .*takes 1 positional",
        ),
        (lambda: list(TEN.map(lambda i: None)), RuntimeError, "returned None .* Is a return miss"),
        (
            lambda: list(TEN.map(structure_changes)),
            TypeError,
            r"structure_changes returned \(int32\[\], int32\[\]\) for element 2, but int32\[\]",
        ),
        (
            lambda: list(TEN.filter(lambda i: i)),
            TypeError,
            r"must return one bool, but returned int32\[\] for element 0, int64\[\]",
        ),
        (
            lambda: list(TEN.batch(2).filter(lambda i: i > 0)),
            TypeError,
            r"must return one bool, but returned bool\[2\] for element 0, int64\[2\]",
        ),
        (
            lambda: list(TEN.map(lambda i: np.zeros(int(i) // 2)).batch(4)),
            ValueError,
            r"batch: element 2 is float64\[1\], while element 0, the first of its batch, is float",
        ),
    ],
)
def test_map_and_filter_refuse(build, error, text):
    with pytest.raises(error, match=text):
        build()


# from_generator ------------------------------------------------------------------------------


def test_generator_is_called_anew_with_its_arguments():
    def count(n):
        yield from range(n)

    signature = TensorSpec((), "int32")
    dataset = Dataset.from_generator(count, args=(3,), output_signature=signature)
    assert values(dataset) == values(dataset) == [0, 1, 2]
    assert values(dataset.shuffle(3).batch(3).map(lambda b: np.sort(b))) == [[0, 1, 2]]


def test_generator_with_signature_converts():
    def pairs():
        yield {"a": [1, 2]}, np.float64(2.5)

    signature = ({"a": TensorSpec((None,), "float16")}, jax.ShapeDtypeStruct((), np.int32))
    old = Dataset.from_generator(pairs, ({"a": "float16"}, "int32"), ({"a": (None,)}, ()))
    for dataset in (Dataset.from_generator(pairs, output_signature=signature), old):
        ((x, y),) = dataset.as_numpy_iterator()
        assert (x["a"].dtype, x["a"].tolist(), y.dtype, y) == (np.float16, [1, 2], np.int32, 2)
        assert dataset.element_spec == (
            {"a": TensorSpec((None,), "float16")},
            TensorSpec((), "int32"),
        )
    shapeless = Dataset.from_generator(pairs, ({"a": "float16"}, "int32"))
    assert shapeless.element_spec[1].shape is None and len(list(shapeless)) == 1


def test_generator_may_fill_one_buffer_again():
    def reuse():
        buffer = np.zeros(2)
        for k in range(4):
            buffer[:] = k
            yield buffer

    assert values(Dataset.from_generator(reuse).batch(4)) == [[[k, k] for k in range(4)]]


@pytest.mark.parametrize(
    ("elements", "signature", "error", "text"),
    [
        ([1, (2, 3)], None, TypeError, r"element 1 is \(int32\[\], int32\[\]\), but the first is"),
        ([(1, 2)], TensorSpec(()), TypeError, "element 0 is .* but output_signature is float32"),
        ([[1, 2]], (TensorSpec(()),) * 2, TypeError, r"element 0 is int32\[2\], but output_sign"),
        ([{"a": 1}, {"b": 1}], None, TypeError, r"element 1 is \{'b': int32\[\]\}, but the first"),
        (
            [(1, [1]), (1, [1, 2])],
            (TensorSpec(()), TensorSpec((1,))),
            ValueError,
            r"element 1 is int32\[2\] at \[1\], but output_signature says float32\[1\]",
        ),
        (["a"], TensorSpec(()), ValueError, "element 0 is .*but output_signature says float32"),
    ],
)
def test_generator_yields_something_else(elements, signature, error, text):
    dataset = Dataset.from_generator(lambda: iter(elements), output_signature=signature)
    with pytest.raises(error, match=rf"from_generator: {text}"):
        list(dataset)


def test_batch_names_the_unlike_element():
    shapes = Dataset.from_generator(
        lambda: ((np.zeros(1), np.zeros(2 + (k == 5))) for k in range(8))
    )
    text = (
        r"batch: element 5 is float64\[3\] at \[1\], while element 4, the first of its batch, is "
        r"float64\[2\]"
    )
    with pytest.raises(ValueError, match=text):
        list(shapes.batch(4))
    dtypes = Dataset.from_generator(lambda: iter([1, 2.5]))
    with pytest.raises(ValueError, match=r"element 1 is float32\[\], while element 0.* int32\[\]"):
        list(dtypes.batch(2))


def test_generator_refuses():
    with pytest.raises(TypeError, match=r"expected a function .* got \[1, 2\] of type list"):
        Dataset.from_generator([1, 2])
    with pytest.raises(TypeError, match=r"<lambda> must return an iterable, .* returned 3 of type"):
        list(Dataset.from_generator(lambda: 3))
    with pytest.raises(TypeError, match=r"output_signature must be a TensorSpec or .* 'float32'"):
        Dataset.from_generator(lambda: iter(()), output_signature="float32")
    with pytest.raises(TypeError, match="output_types or output_signature, not both"):
        Dataset.from_generator(iter, "int32", output_signature=TensorSpec(()))


# Threads and caching -------------------------------------------------------------------------


def test_parallel_calls_run_at_once_and_keep_the_order():
    met = threading.Barrier(3, timeout=20)

    def meet(i):
        met.wait()
        return i

    assert values(Dataset.range(6).map(meet, num_parallel_calls=3)) == list(range(6))


def test_prefetch_works_ahead_in_a_thread_that_ends():
    made, reached = [], threading.Event()

    def note(i):
        made.append(threading.current_thread())
        if int(i) == 2:
            reached.set()
        return i

    elements = iter(TEN.map(note).prefetch(2))
    assert int(next(elements)) == 0
    assert reached.wait(20)  # made before it was asked for
    (worker,) = set(made)
    assert worker is not threading.current_thread()
    del elements
    gc.collect()
    worker.join(20)
    assert not worker.is_alive()
    assert len(made) < 10


@pytest.mark.parametrize("depth", [0, 1, 3, AUTOTUNE])
def test_prefetch_changes_no_element(depth):
    big = Dataset.from_tensor_slices(np.ones((8, 2**17), np.float32)).batch(2)  # 1 MiB a batch
    assert [batch.sum() for batch in big.prefetch(depth).as_numpy_iterator()] == [2**18] * 4
    assert values(TEN.shuffle(10, seed=1).batch(3).prefetch(depth)) == values(
        TEN.shuffle(10, seed=1).batch(3)
    )
    assert values(TEN.map(lambda i: i).prefetch(depth)) == list(range(10))


def test_prefetch_passes_on_what_only_ends_a_thread():
    def leave(i):
        raise SystemExit

    with pytest.raises(RuntimeError, match="prefetch: SystemExit in the pipeline"):
        list(TEN.map(leave).prefetch(1))


def test_cache_keeps_the_first_whole_run():
    calls = []
    dataset = TEN.map(lambda i: calls.append(1) or np.zeros(2) + int(i)).cache()
    next(iter(dataset))
    assert len(calls) == 1
    assert values(dataset) == values(dataset) == [[i, i] for i in range(10)]
    assert len(calls) == 11
    with pytest.raises(ValueError, match="read-only"):
        next(dataset.as_numpy_iterator())[0] = 5
    frozen = TEN.shuffle(10).cache()
    assert values(frozen) == values(frozen)
    assert values(frozen.batch(10)) == [values(frozen)]
