"""A warning where shapes never settle, silence where they do, and the bound on what is kept."""

import gc
import warnings
import weakref

import numpy as np
import pytest

import weft
from weft.engine import Op, Variable, flush, function, program, settling

double = Op(lambda x: x * 2.0, "double")


@pytest.fixture(autouse=True)
def forget():
    """No program of an earlier test counts."""
    program.programs.kept.clear()
    program.programs.kinds.clear()
    program.programs.warned.clear()


def ones(*shape):
    return np.ones(shape, "float32")


def seen(call, arguments):
    """The warnings of calls, with the number of the call that gave each."""
    found = []
    for k, argument in enumerate(arguments, 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(argument)
        found += [(k, warning) for warning in caught]
    return found


def test_a_function_whose_sizes_never_settle_warns_once():
    f = function(lambda tokens: double(tokens), name="decode")
    ((k, warning),) = seen(f, [ones(2, n) for n in range(3, 24)])
    assert k == settling.SIZES == 12
    text = str(warning.message)
    assert text.startswith(
        "decode has been compiled for 12 sizes of axis 1 of tokens (..., 7, 8, 9, 10, 11, 12, 13, "
        "14), and each new size compiles it again. Pad that axis to a few sizes"
    )
    assert "weft.config.log_compiles(True)" in text
    assert warning.category is UserWarning and warning.filename == __file__  # the user's line


def test_the_axis_with_the_most_sizes_is_named():
    f = function(lambda batch: double(batch["x"]).sum() + batch["y"].sum(), name="f")
    batches = [{"x": ones(2 + n % 2, n), "y": ones(3)} for n in range(1, 17)]
    ((_, warning),) = seen(f, batches)
    assert "sizes of axis 1 of batch['x'] (" in str(warning.message)


def test_a_value_that_is_no_tensor():
    f = function(lambda x, n: x * n, name="f")
    ((k, warning),) = seen(lambda n: f(ones(2), n), range(20))
    assert k == 12
    text = "f has been compiled for 12 values of its argument n (..., 4, 5, 6, 7, 8, 9, 10, 11), "
    assert text in str(warning.message)
    assert "pass it as an array (np.int32(n))" in str(warning.message)
    assert seen(lambda n: f(ones(3), np.int32(n)), range(20)) == []


@pytest.mark.parametrize(
    "sizes",
    [list(range(1, 12)) * 2, [n for k in range(20) for n in (k, k // 2, k)]],
    ids=["eleven", "buckets that come again"],
)
def test_sizes_that_settle_do_not_warn(sizes):
    assert seen(function(double), [ones(n) for n in sizes]) == []


def test_other_differences_do_not_warn():
    f = function(lambda x: double(x))
    kinds = ["float32", "float16", "int32", "int8", "uint8", "bool", "int16", "uint16", "uint32"]
    assert seen(f, [np.ones(3, kind) for kind in kinds]) == []
    assert seen(f, [ones(*[2] * rank) for rank in range(1, 14)]) == []
    g = function(lambda batch: double(*batch.values()))
    assert seen(g, [{str(n): ones(n)} for n in range(1, 14)]) == []


def test_many_functions_do_not_warn():
    def once(n):
        function(lambda x: double(x), name="same")(ones(n))

    assert seen(once, range(1, 15)) == []


def make_step():
    v = Variable(ones(3))

    def step(n):
        with weft.GradientTape() as tape:
            loss = (double(ones(n, 3)) * v).sum()
        v.assign_sub(0.1 * tape.gradient(loss, v))
        flush()

    return step


def test_a_plain_loop_whose_sizes_never_settle_warns_once():
    ((k, warning),) = seen(make_step(), range(4, 20))
    assert k == 12
    assert str(warning.message).startswith(
        "the operations run here have been compiled for 12 sizes of axis 0 of what double is given "
        "(..., 8, 9, 10, 11, 12, 13, 14, 15), and each new size compiles it again. Pad that axis"
    )
    assert warning.filename == __file__


def test_a_plain_loop_that_settles_does_not_warn():
    assert seen(make_step(), [*range(1, 12)] * 2) == []
    assert seen(lambda n: double(ones(n)).sum().numpy(), range(1, 20)) == []  # small work
    x = ones(30)
    assert seen(lambda n: (double(x) + float(n)).numpy(), range(1, 20)) == []


def test_warnings_made_errors_leave_everything_usable():
    step = make_step()
    f = function(lambda x: double(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call, argument in ((step, int), (f, ones)):
            with pytest.raises(UserWarning, match="12 sizes of axis 0"):
                for n in range(1, 20):
                    call(argument(n))
    step(2)
    assert f(ones(2)).numpy().tolist() == [2.0, 2.0]


def test_a_function_keeps_the_programs_used_last(monkeypatch):
    monkeypatch.setattr(weft.engine.Function, "SIZE", 4)
    count = weft.config.compile_count
    f = function(lambda x: double(x))
    f(ones(1))
    first = weakref.ref(f.programs[0])
    f(ones(2))
    second = weakref.ref(f.programs[1])
    for n in (3, 4, 5):
        f(ones(1))
        f(ones(n))
    assert len(f.programs) == 4
    gc.collect()
    assert first() is not None and second() is None  # the one that was never used again is gone
    before = count()
    f(ones(1))
    assert count() == before
    assert f(ones(2)).numpy().tolist() == [2.0, 2.0]
    assert count() == before + 1


def test_pending_work_keeps_the_programs_used_last(monkeypatch):
    monkeypatch.setattr(program.programs, "SIZE", 4)
    count = weft.config.compile_count
    for n in (1, 2, 3, 4, 5):
        double(ones(1)).numpy()
        double(ones(n)).numpy()
    assert len(program.programs.kept) == 4
    before = count()
    double(ones(1)).numpy()
    assert count() == before
    double(ones(2)).numpy()
    assert count() == before + 1


def test_new_shapes_are_compiled_as_one_program_however_many(monkeypatch):
    monkeypatch.setattr(program.programs, "LIMIT", 3)
    before = weft.config.compile_count()
    fresh = Op(lambda x: x * 3.0, "triple")
    for n in range(1, 8):
        fresh(fresh(ones(n))).numpy()
    assert weft.config.compile_count() == before + 7
    assert not program.programs.waiting


def test_a_new_program_stays_where_all_others_are_in_use(monkeypatch):
    monkeypatch.setattr(program.programs, "SIZE", 3)
    monkeypatch.setattr(weft.engine.Function, "SIZE", 3)
    f = function(lambda x: double(x))
    for call in (f, double):
        for n in (1, 2, 3, 1, 2, 3, 4):
            call(ones(n)).numpy()
        before = weft.config.compile_count()
        for n in (2, 3, 4):
            call(ones(n)).numpy()
        assert weft.config.compile_count() == before
