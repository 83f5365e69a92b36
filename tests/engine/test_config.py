"""weft.config: what was compiled and why, and the cache of compiled programs."""

import os
import re
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import Op, Variable, as_tensor, explain, function, program

scaled = Op(lambda x, k: x * k, "scaled")
total = Op(lambda x: jnp.sum(x), "total")


@pytest.fixture
def log(capsys):
    """The notes printed since the last call."""
    explain._recent.clear()
    weft.config.log_compiles(True)
    yield lambda: capsys.readouterr().err.splitlines()
    weft.config.log_compiles(False)


def step(x):
    y = scaled(x, 2.0)
    return total(y)  # the second operation


def test_a_shape_that_changed_is_named_with_its_line(log):
    step(np.ones((7, 3), "float32")).numpy()
    (note,) = log()
    assert note.startswith("weft: pending work compiled for the first time; nothing like it was")
    line = step.__code__.co_firstlineno + 1
    assert re.search(r"\(program \d+: 2 operations, \d+\.\d\d s; run at .*test_config.py", note)
    step(np.ones((7, 3), "float32")).numpy()
    assert log() == []
    step(np.ones((5, 3), "float32")).numpy()
    (note,) = log()
    assert note.startswith("weft: pending work compiled: scaled at ")
    assert f"test_config.py:{line} in step: operand 1 float32 (7, 3) → (5, 3) (prog" in note


def test_a_dtype_and_a_structure_that_changed(log):
    x = np.ones((6, 3), "float32")
    step(x).numpy()
    log()
    step(x.astype("float16")).numpy()
    (note,) = log()
    assert "in step: operand 1 float32 (6, 3) → float16 (6, 3) (program" in note
    (step(x) + 1.0).numpy()
    (note,) = log()
    assert "compiled: 1 operation (add) more than in the nearest program, from add at " in note
    step(x[:, 0]).numpy()  # of another rank too
    (note,) = log()
    assert "operand 1 float16 (6, 3) → float32 (6,) (program" in note
    y = scaled(x, 2.0)
    z = total(y)
    z.numpy()
    (note,) = log()
    assert "compiled: the result of scaled at " in note and "is held and so computed too" in note
    assert y.numpy().shape == (6, 3)


def test_operations_that_came_went_or_took_another_s_place(log):
    x = as_tensor(np.ones((3, 2), "float32"))
    total(scaled(scaled(x, 2.0), 3.0)).numpy()
    log()
    total(scaled(x, 2.0)).numpy()
    (note,) = log()
    assert "1 operation (scaled) fewer than in the nearest program after scaled at " in note
    (scaled(x, 2.0) * 2.0).numpy()
    (note,) = log()
    assert re.search(r"compiled: multiply at .*, where the nearest program has total \(prog", note)
    total(scaled(x, x)).numpy()
    (note,) = log()
    assert "operand 2 float32 () of a Python number → float32 (3, 2)" in note
    for which in (0, 1):
        log()
        y = scaled(x, 2.0)
        (scaled(y, x) + (x, y)[which]).numpy()
    (note,) = log()
    assert "add at " in note and "is given other operands" in note


def test_an_option_of_an_operation_that_changed(log):
    x = np.ones((2, 3), "float32")
    weft.ops.sum(x, axis=0).numpy()
    log()
    weft.ops.sum(x, axis=1).numpy()
    (note,) = log()
    assert re.search(r"compiled: sum at .*: axis 0 → 1 \(program", note)
    powered = Op(lambda x, how: x ** len(how), "powered")
    powered(x, "ab").numpy()
    log()
    powered(x, "abc").numpy()
    (note,) = log()
    assert re.search(r"compiled: powered at .*: leaf 2 'ab' → 'abc' \(program", note)


def test_what_was_compiled_before_the_log_counts(log):
    weft.config.log_compiles(False)
    step(np.ones((2, 7), "float32")).numpy()
    weft.config.log_compiles(True)
    step(np.ones((3, 7), "float32")).numpy()
    (note,) = log()
    assert "operand 1 float32 (2, 7) → (3, 7)" in note


def test_functions_are_named(log):
    run = function(lambda x: total(x), name="my_step")
    run(np.ones(3, "float32"))
    (note,) = log()
    assert note.startswith("weft: my_step compiled for the first time; nothing like it was before")
    assert ": 1 operation, " in note
    run(np.ones(4, "float32"))
    (note,) = log()
    assert note.startswith("weft: my_step compiled again: x float32 (3,) → (4,) (program ")
    run = function(lambda x: total(x) * 2.0, name="my_step")
    run(np.ones(4, "float32"))
    (note,) = log()
    assert "for the first time; unlike the nearest my_step before, 1 operation (multipl" in note


def test_arguments_are_named_as_the_user_writes_them(log):
    @function
    def f(x, scale=1.0, n=2, *more, opts=None):
        return total(x) * scale * n

    x = np.ones((4, 2), "float32")

    def why(*args, **kwargs):
        f(*args, **kwargs)
        (note,) = log()
        return re.search(r"weft: f compiled (.*) \(program", note)[1]

    assert why(x).startswith("for the first time")
    assert why(x.astype("int32")) == "again: x float32 (4, 2) → int32 (4, 2)"
    assert why(x, 2.0) == "again: scale is new: float32 () of a Python number"
    f(x, 3.0)
    assert log() == []  # a float is an input
    assert why(x, 3.0, 5) == "again: n is new: 5"
    assert why(x, 3.0, 6) == "again: n 5 → 6"
    assert why(x, 3.0, 6, x) == "again: more[0] is new: float32 (4, 2)"
    assert why(x, opts={"a": [x, "s"]}) == (
        "again: opts['a'][0] is new: float32 (4, 2), opts['a'][1] is new: 's'"
    )
    assert why(x, opts={"a": [x, "t"]}) == "again: opts['a'][1] 's' → 't'"
    assert why(x, opts={"b": [x, "t"]}) == (
        "again: opts['b'][0] is new: float32 (4, 2), opts['b'][1] is new: 't', "
        "opts['a'][0] is gone: float32 (4, 2), opts['a'][1] is gone: 't'"
    )
    assert why(x, opts={"b": (x, "t")}) == (
        "again: the same arguments in other containers, or by keyword instead of by position"
    )
    many = {str(k): x for k in range(6)}
    assert why(x, opts=many).endswith("opts['3'] is new: float32 (4, 2) and 4 more")


def test_a_method_s_arguments_are_named(log):
    class Thing:
        @function
        def run(self, x):
            return total(x)

    thing = Thing()
    thing.run(np.ones(6, "float32"))
    thing.run(np.ones(7, "float32"))
    assert "weft: run compiled again: x float32 (6,) → (7,)" in log()[-1]


def test_what_is_trainable_is_named(log):
    v, w = Variable(2.0, name="v"), Variable(3.0, name="w")

    def descend():
        with weft.GradientTape() as tape:
            y = v * v * w
        return tape.gradient(y, [one for one in (v, w) if one.trainable])

    run = function(descend, name="descend")
    run()
    log()
    w.trainable = False
    run()
    assert "descend compiled again: trainable of 'w' True → False (program" in log()[-1]
    v.trainable, w.trainable = False, True
    run()
    assert "trainable of 'w' False → True, trainable of 'v' True → False (prog" in log()[-1]
    v.trainable = True
    run()
    assert log() == []  # as it was: the program is still there
    descend()[0].numpy()
    log()
    w.trainable = False
    descend()[0].numpy()
    (note,) = log()
    assert "pending work compiled: trainable of 'w' True → False; gradient at " in note


def test_work_that_is_run_op_by_op_is_told_once(log, monkeypatch):
    monkeypatch.setattr(program.programs, "LIMIT", 3)
    first = Op(lambda x: x + 1.0, "first_of_two")
    second = Op(lambda x: x * 2.0, "second_of_two")
    x = as_tensor(np.ones(2, "float32"))
    for k in range(9):
        y = x
        for bit in range(5):
            y = first(y) if k >> bit & 1 else second(y)
        first(second(y)).numpy()
    told = [note for note in log() if "op by op" in note]
    assert len(told) == 1
    assert "pending work of these operations has had 3 structures that did not come a" in told[0]


def test_a_value_read_from_another_thread_is_counted_and_told(log):
    y = scaled(np.ones(11, "float32"), 2.0)
    before = weft.config.compile_count()
    reader = threading.Thread(target=y.numpy)
    reader.start()
    reader.join()
    assert weft.config.compile_count() == before + 1
    assert "weft: a value read from another thread compiled for the first time" in log()[-1]


def test_gradients_are_logged_too(log):
    v = Variable(np.ones(3, "float32"))
    with weft.GradientTape() as tape:
        y = total(v * 2.0)
    tape.gradient(y, v).numpy()
    (note,) = log()
    assert ": 3 operations, " in note


def test_nothing_is_printed_when_off(capsys):
    weft.config.log_compiles(True)
    weft.config.log_compiles(False)
    before = weft.config.compile_count()
    step(np.ones((9, 9), "float32")).numpy()
    assert weft.config.compile_count() == before + 1
    assert capsys.readouterr().err == ""


def test_the_compilation_cache(tmp_path):
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir",
             "jax_persistent_cache_min_compile_time_secs",
             "jax_persistent_cache_min_entry_size_bytes")  # fmt: skip
    before = {name: getattr(jax.config, name) for name in names}
    try:
        weft.config.set_compilation_cache(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        assert jax.config.jax_enable_compilation_cache
        weft.config.set_compilation_cache(None)
        assert not jax.config.jax_enable_compilation_cache
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


PROGRAM = """
import numpy as np, weft
from weft.engine import as_tensor, scan, function
x = as_tensor(np.ones((64, 64), "float32"))
def layers(x):
    for k in range(40):
        x = scan(lambda c, _: (c @ x / 64.0 + k, None), x, length=7)[0] % 7.0
    return x.sum()
print(float(function(layers)(x)))
"""


def start(**environment):
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("WEFT_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env={**kept, **environment},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_programs_are_kept_between_processes(tmp_path):
    first = start(WEFT_CACHE_DIR=str(tmp_path / "a"))
    kept = {p.name for p in (tmp_path / "a").iterdir()}
    assert kept
    assert start(WEFT_CACHE_DIR=str(tmp_path / "a")) == first
    assert {p.name for p in (tmp_path / "a").iterdir() if "atime" not in p.name} <= kept


def test_the_cache_s_place(tmp_path):
    start(XDG_CACHE_HOME=str(tmp_path))
    assert list((tmp_path / "weft" / "xla").iterdir())
    start(XDG_CACHE_HOME=str(tmp_path / "none"), WEFT_CACHE_DIR="off")
    assert not (tmp_path / "none").exists()


def test_as_tensor_under_the_log_costs_no_program(log):
    as_tensor([1.0, 2.0]).numpy()
    assert log() == []
