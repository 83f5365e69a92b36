"""What fit is given by mistake: it is refused before anything changes, and the text says why."""

import threading

import numpy as np
import pytest

import weft
from weft.data import threads
from weft.training import sources
from weft.training.outputs import Outputs
from weft.training.validation import Validation

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.zeros((4, 1), "float32")


def model():
    made = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def weft_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("weft")]


class Batches(weft.utils.PyDataset):
    """Three batches by number, or whatever `make` gives for one."""

    def __init__(self, make=lambda index: (X, Y), number=3, **options):
        super().__init__(**options)
        self.make, self.number = make, number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return self.make(index)


# -- arrays ---------------------------------------------------------------------------------


class Frame:
    """What weft sees of a pandas frame whose columns are of unlike types."""

    def __init__(self, *columns):
        self.columns = columns

    def to_numpy(self):
        rows = np.empty((len(self.columns[0]), len(self.columns)), object)
        for k, column in enumerate(self.columns):
            rows[:, k] = column
        return rows


class Sparse:
    """What weft sees of a sparse matrix of SciPy, which can be iterated over by rows."""

    shape = (4, 3)

    def toarray(self):
        raise AssertionError("too large, perhaps")

    def __iter__(self):
        raise AssertionError("rows are not batches")


class TorchDataset:
    """What weft sees of a Dataset of torch's: examples by number."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= 4:
            raise IndexError
        return X[index], Y[index]


MASKED = np.ma.masked_array(X, X > 3)
PAIRS = np.zeros(4, [("a", "f4"), ("b", "f4")])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (Frame([1.0, 2.0], ["red", "blue"]), TypeError, r"Frame holds 'red' \(str\) at \[0, 1\]"),
        (Frame([1.0, None]), TypeError, r"None \(NoneType\) at \[1, 0\]. .* missing values one"),
        (np.array([1, None], object), TypeError, r"ndarray holds None \(NoneType\) at \[1\]"),
        (np.array(["2020-01-01"], "datetime64[D]"), TypeError, "dtype datetime64.* dates"),
        (PAIRS, TypeError, "data must be numbers: a ndarray became an array of dtype void64"),
        (MASKED, TypeError, r"MaskedArray has values that are masked.*filled\(number\)"),
        (Sparse(), TypeError, r"Sparse is sparse, and only dense .* toarray\(\), or .*PyDataset"),
        (TorchDataset(), TypeError, "TorchDataset is neither .* in a DataLoader, .*PyDataset"),
        (len, TypeError, "builtin_function_or_method is neither .* Call a function that makes"),
        ({}, ValueError, r"x holds no arrays, got \{\}"),
        ([], ValueError, r"x holds no arrays, got \[\]"),
    ],
)  # fmt: skip
def test_arrays_that_hold_no_numbers(x, error, message):
    with pytest.raises(error, match=message):
        sources.source_for(x, Y)


def test_python_s_numbers_in_an_array_of_objects_are_numbers():
    frame = Frame([1.5, 2.5], [True, False], [3, np.int8(4)])
    (batch,) = sources.source_for(frame).batches()
    np.testing.assert_array_equal(batch, [[1.5, 1, 3], [2.5, 0, 4]])
    assert batch.dtype == "float32"
    (batch,) = sources.source_for(np.array([1, 2], object)).batches()
    assert batch.dtype == "int32"


def test_a_masked_array_without_masked_values_is_an_array():
    (batch,) = sources.source_for(np.ma.masked_array(X, np.zeros_like(X, bool))).batches()
    np.testing.assert_array_equal(batch, X)


@pytest.mark.parametrize("fraction", ["0.2", None, 1, 1.0, -0.1, float("nan")])
def test_a_split_that_is_no_fraction(fraction):
    with pytest.raises(
        ValueError, match=f"validation_split must be between 0 and 1, got {fraction!r}"
    ):
        sources.split((X, Y), fraction)


# -- batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [None, (), {}, (None, None)], ids=repr)
@pytest.mark.parametrize("kind", ["generator", "by number"])
def test_a_batch_without_arrays_is_named_by_its_step(item, kind):
    items = [(X, Y), item]
    data = iter(items) if kind == "generator" else Batches(items.__getitem__, 2)
    trained = model()
    with pytest.raises(
        ValueError, match=r"a batch must be x, \(x, y\) .* without arrays"
    ) as caught:
        trained.fit(data, shuffle=False, verbose=0)
    assert "while making the batch of step 1" in caught.value.__notes__[0]
    assert int(trained.optimizer.iterations) == 1


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Batches(number=0), "PyDataset Batches"),
        (lambda: weft.data.Dataset.from_tensor_slices((X, Y)).batch(2).take(0), "Dataset"),
        (lambda: weft.data.Dataset.from_tensor_slices(X).batch(8, drop_remainder=True), "Dataset"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "validation"])
def test_data_that_says_it_is_empty(make, name, method):
    trained = model()
    run = {
        "fit": lambda: trained.fit(make(), verbose=0),
        "evaluate": lambda: trained.evaluate(make(), verbose=0),
        "predict": lambda: trained.predict(make(), verbose=0),
        "validation": lambda: trained.fit(X, Y, validation_data=make(), verbose=0),
    }[method]
    with pytest.raises(
        ValueError, match=f"the {name} has no batches.*a batch larger than"
    ) as caught:
        run()
    assert getattr(caught.value, "__notes__", []) == (
        ["in validation_data"] if method == "validation" else []
    )
    assert int(trained.optimizer.iterations) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_iteration_in_a_batch_by_number_does_not_shorten_the_epoch(workers):
    def make(index):
        return (X, Y) if index < 2 else next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        model().fit(Batches(make, workers=workers), shuffle=False, verbose=0)
    assert "PyDataset Batches while making the batch of step 2" in caught.value.__notes__[-1]
    assert isinstance(caught.value.__cause__, StopIteration)
    assert not weft_threads()


def test_the_structure_of_a_later_batch_may_be_another_one():
    """Sample weights that only some batches have, as in Keras; their program is another one."""
    history = model().fit(
        Batches(lambda index: (X, Y, np.ones(4)) if index == 1 else (X, Y)), verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("first", [0, 1, 4])
def test_an_error_does_not_wait_for_ever_for_a_worker(first, monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE", 0.05)
    go_on = threading.Event()

    def make(index):
        if index > first:
            go_on.wait(20)
        if index == first:
            raise KeyError("boom")
        return X, Y

    with pytest.raises(KeyError, match="boom"):
        model().fit(Batches(make, 6, workers=2), shuffle=False, verbose=0)
    assert weft_threads()  # of the worker that still waits
    go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("weft"):
            thread.join(5)
    assert not weft_threads()


# -- validation -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -2, 2.5, "4"])
def test_a_validation_s_batch_size(size):
    with pytest.raises(ValueError, match=f"batch_size must be .* got {size!r}") as caught:
        Validation((X, Y), batch_size=size, fallback=4)
    assert caught.value.__notes__ == ["in validation_data"]


def test_every_kind_of_validation_data_is_named():
    for data in (weft.data.Dataset.range(3).repeat(), (Batches(number=0),), X, (X, Y[:2])):
        with pytest.raises(ValueError) as caught:
            Validation(data)
        assert caught.value.__notes__ == ["in validation_data"]


# -- outputs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "given"),
    [("y", [Y, Y]), ("sample_weight", (Y, Y)), ("loss", ["mse", "mae"]), ("loss_weights", [1, 2])],
)
def test_several_things_for_one_output(what, given):
    message = f"{what} has 2 entries, but the model has one output, 'left'. Give one."
    with pytest.raises(ValueError, match=message):
        Outputs(Y, ["left"]).matched(what, given, spread=True)
    with pytest.raises(ValueError, match=r"has one output\. Give one"):
        Outputs(Y).matched(what, given, spread=True)


def test_a_list_of_numbers_is_one_thing():
    assert Outputs(Y).matched("y", [0.5, 1.0], spread=False) == {None: [0.5, 1.0]}


def test_targets_for_more_outputs_than_there_are():
    """They would otherwise be stacked, and compared with the only output by broadcasting."""
    trained = model()
    before = trained.get_weights()
    with pytest.raises(ValueError, match="y has 2 entries, but the model has one output, 'dense"):
        trained.fit(X, [Y, Y], verbose=0)
    np.testing.assert_array_equal(trained.get_weights()[0], before[0])
    assert int(trained.optimizer.iterations) == 0
