"""Sources: whose batches an epoch has, in what order, and what is refused, beside Keras 3."""

import warnings
from collections import namedtuple

import grain
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft.training import sources

X = np.arange(10, dtype="float32")[:, None]
Y = np.zeros((10, 1), "float32")


def epochs_of(source, epochs):
    """The rows of x that each epoch has."""
    return [
        [int(v) for batch in source.batches() for v in sources.unpack(batch)[0][:, 0]]
        for _ in range(epochs)
        if source.more()
    ]


class KerasBatches(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[:2]


def keras_losses(epochs, *args, **options):
    """The losses of fit with a frozen identity model: the mean of x² of each epoch's rows."""
    model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = model.fit(*args, epochs=epochs, shuffle=False, verbose=0, **options)
    return history.history["loss"], any("ran out of data" in str(w.message) for w in told)


# -- epochs and passes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["arrays", "batches by number"])
@pytest.mark.parametrize("steps", [None, 1, 2, 5, 8])
def test_epochs_are_as_in_keras(kind, steps):
    """An epoch goes on where the last one stopped; the data's end cuts it short, with a warning."""
    if kind == "arrays":
        args, options = (X, Y), {"batch_size": 2}
    else:
        args, options = (KerasBatches(),), {}
    losses, cut_short = keras_losses(4, *args, steps_per_epoch=steps, **options)
    source = sources.source_for(*args, steps=steps, continuing=True, **options)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rows = epochs_of(source, 4)
    np.testing.assert_allclose([np.mean(np.square(r)) for r in rows], losses, rtol=1e-6)
    assert any("ran out of data" in str(w.message) for w in told) == cut_short


def test_the_warning_of_an_epoch_cut_short_has_the_step():
    source = sources.source_for(X, batch_size=2, steps=2, continuing=True)
    assert epochs_of(source, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.warns(UserWarning, match=r"out of data at step 1 of 2 .*after 5 batches.* anew"):
        assert epochs_of(source, 2) == [[8, 9], [0, 1, 2, 3]]


def test_evaluations_begin_anew():
    source = sources.source_for(X, batch_size=2, steps=2)
    assert epochs_of(source, 2) == [[0, 1, 2, 3]] * 2


def batches(count=5):
    for k in range(count):
        yield X[2 * k : 2 * k + 2], Y[:2]


def test_an_iterator_goes_on_and_is_read_no_further_than_asked():
    items = batches()
    assert epochs_of(sources.source_for(items, steps=2, continuing=True), 2) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]
    assert next(items)[0][0, 0] == 8


@pytest.mark.parametrize(
    ("steps", "expected", "message"),
    [
        (None, [list(range(10))], "out of data: the generator batches ended after 5 batches and"),
        (5, [list(range(10))], "ended after 5 batches"),
        (3, [list(range(6)), [6, 7, 8, 9]], "at step 2 of 3 .*5 batches.* no further epoch"),
    ],
)
def test_an_iterator_that_ends_ends_training(steps, expected, message):
    source = sources.source_for(batches(), steps=steps, continuing=True)
    with pytest.warns(UserWarning, match=message) as told:
        assert epochs_of(source, 4) == expected
    assert len(told) == 1


def test_an_iterator_for_one_epoch_gives_no_warning():
    assert epochs_of(sources.source_for(batches()), 1) == [list(range(10))]
    used = batches()
    list(used)
    assert epochs_of(sources.source_for(used), 1) == [[]]


@pytest.mark.parametrize("thread", [False, True])
def test_a_generator_that_raises_names_the_step(thread):
    def broken():
        yield from batches(4)
        raise KeyError("boom")

    source = sources.source_for(broken())
    source._ahead.pays = thread
    got = []
    with pytest.raises(KeyError, match="boom") as caught:
        got.extend(source.batches())
    assert len(got) == 4
    (note,) = caught.value.__notes__
    assert "generator broken while making the batch of step 4" in note
    assert caught.traceback[-1].name == "broken"


# -- order ----------------------------------------------------------------------------------


def test_shuffled_orders_are_new_each_epoch_and_reproducible():
    def orders():
        weft.random.set_seed(5)
        return epochs_of(sources.source_for(X, batch_size=4, shuffle=True), 3)

    first = orders()
    assert first == orders()
    assert len({tuple(order) for order in first}) == 3
    assert all(sorted(order) == list(range(10)) for order in first)


def test_shuffling_in_blocks_keeps_neighbours_together():
    source = sources.source_for(X, batch_size=3, shuffle="batch")
    rows = [[int(v) for v in x[:, 0]] for x in source.batches()]
    assert sorted(rows[:3]) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert rows[3] == [9]
    assert len({tuple(epochs_of(source, 1)[0]) for _ in range(8)}) > 1


@pytest.mark.parametrize("kind", ["arrays", "batches by number"])
@pytest.mark.parametrize("taken", [0, 3, 5, 8])
@pytest.mark.parametrize("steps", [None, 4])
def test_a_position_says_all_that_comes(kind, taken, steps):
    def make():
        if kind == "arrays":
            return sources.source_for(X, batch_size=2, shuffle=True, steps=steps, continuing=True)
        return sources.source_for(KerasBatches(), shuffle=True, steps=steps, continuing=True)

    def stream(source):
        while True:
            for batch in source.batches():
                yield sources.unpack(batch)[0].tolist()

    source = make()
    items = stream(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # epochs of 4 of 5 are cut short
        for _ in range(taken):
            next(items)
        state = source.get_state()
        rest = [next(items) for _ in range(7)]
        other = make()
        other.set_state(state)
        again = stream(other)
        assert [next(again) for _ in range(7)] == rest
    assert set(state) == {"seed", "epoch", "index"}


# -- kinds of data --------------------------------------------------------------------------


class Frame:
    """What weft sees of a pandas object."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __iter__(self):
        raise AssertionError("a frame's rows are not its batches")


Pair = namedtuple("Pair", ["left", "right"])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (X, X),
        (X.tolist(), X),
        (X.astype("float64"), X),
        (jnp.asarray(X), X),
        (weft.ops.convert_to_tensor(X), X),
        (weft.Variable(X), X),
        (Frame(X), X),
        (Frame(X[:, 0]), X),
        ({"a": Frame(X[:, 0]), "b": X}, {"a": X, "b": X}),
        ([X, X], [X, X]),
        ((X, {"c": [X]}), (X, {"c": [X]})),
        (Pair(X, X), Pair(X, X)),
    ],
)
def test_kinds_of_arrays(x, expected):
    source = sources.source_for(x, batch_size=16)
    (batch,) = source.batches()
    if isinstance(expected, tuple | list):
        (batch,) = batch
    assert jax.tree.structure(batch) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(expected)):
        assert a.dtype == "float32"
        np.testing.assert_array_equal(a, b)


def test_a_column_is_a_vector_as_weights():
    (batch,) = sources.source_for(X, Frame(Y[:, 0]), Frame(X[:, 0])).batches()
    assert [part.shape for part in batch] == [(10, 1), (10, 1), (10,)]


class TorchTensor:
    """What weft sees of a torch tensor."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.values


class TorchLoader:
    """torch's DataLoader yields lists of tensors."""

    def __len__(self):
        return 5

    def __iter__(self):
        return iter([TorchTensor(part) for part in batch] for batch in batches())


class TfDataset:
    """tf.data's iterators of tensors are slower than those of NumPy arrays."""

    def __len__(self):
        raise TypeError("unknown")

    def cardinality(self):
        return np.int64(-2)

    def __iter__(self):
        raise AssertionError("as_numpy_iterator is there")

    def as_numpy_iterator(self):
        return batches()


def grain_rows():
    return grain.MapDataset.source(list(zip(X, Y)))


LOADERS = {
    "torch": (TorchLoader, 5),
    "tf.data": (TfDataset, None),
    "grain map": (lambda: grain_rows().batch(2), 5),
    "grain iterator": (lambda: grain_rows().to_iter_dataset().batch(2), None),
    "weft": (lambda: weft.data.Dataset.from_tensor_slices((X, Y)).batch(2), 5),
}


@pytest.mark.parametrize("name", LOADERS)
def test_kinds_of_loaders(name):
    make, size = LOADERS[name]
    source = sources.source_for(make(), shuffle=True)  # their order is their own
    assert source.size == size
    assert epochs_of(source, 2) == [list(range(10))] * 2
    (first, *_) = source.batches()
    assert isinstance(first, tuple)
    assert [part.shape for part in first] == [(2, 1), (2, 1)]


def test_a_jax_batch_stays_where_it_is():
    (batch,) = sources.source_for(iter([jnp.asarray(X)])).batches()
    assert isinstance(batch, jax.Array)


def test_a_buffer_that_is_filled_again_changes_no_earlier_step():
    buffer = np.zeros((512, 512), "float32")

    def refilling():
        for k in range(6):
            buffer[:] = k
            yield buffer

    model = weft.Sequential([weft.layers.Dense(1, kernel_initializer="ones")])
    found = model.predict(refilling(), verbose=0)[::512, 0]
    np.testing.assert_allclose(found, 512.0 * np.arange(6))


# -- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((X, Y[:4]), {}, ValueError, r"same number of examples.*got x: 10, y: 4\."),
        (({"a": X, "b": X[:3]}, Y), {}, ValueError, r"got x\['a'\]: 10, x\['b'\]: 3, y: 10"),
        (([X, X[:3]], Y), {}, ValueError, r"x\[0\]: 10, x\[1\]: 3"),
        ((X, Y, Y[:3]), {}, ValueError, "y: 10, sample_weight: 3"),
        ((X, 3.0), {}, ValueError, "y: a scalar"),
        ((X[:0], Y[:0]), {}, ValueError, "no examples"),
        (({}, None), {}, ValueError, "holds no arrays"),
        ((np.array(["a", "b"]),), {}, TypeError, "x: data must be numbers: .* dtype str32"),
        ((X, [[1], [2, 3]]), {}, TypeError, "y: a list of parts of unlike shapes.*pad_sequences"),
        ((object(),), {}, TypeError, "x: a object is neither.*DataLoader.*PyDataset"),
        ((X,), {"batch_size": 0}, ValueError, "batch_size must be at least 1, .*got 0"),
        ((X,), {"batch_size": 2.5}, ValueError, "batch_size must be .*whole number, got 2.5"),
        ((X,), {"steps": 0}, ValueError, "number of steps must be at least 1.*got 0"),
        ((X,), {"shuffle": "rows"}, ValueError, "shuffle must be True, False or 'batch'.*'rows'"),
        ((iter([X]), Y), {}, ValueError, "list_iterator that yields whole.*y and sample_weight"),
        ((iter([X]),), {"batch_size": 2}, ValueError, "batch_size=2 has no effect: leave it out"),
        ((KerasBatches(), Y), {}, ValueError, "x is a KerasBatches that yields whole batches"),
        (
            (weft.data.Dataset.range(3).repeat(),), {}, ValueError,
            "dataset is infinite: say how many batches .*steps_per_epoch",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(args, options, error, message):
    with pytest.raises(error, match=message):
        sources.source_for(*args, **options)


def test_a_batch_of_four_parts():
    with pytest.raises(ValueError, match="got a tuple of 4"):
        sources.unpack((X, Y, Y, Y))
