"""weft.config: what was compiled and why, and the cache of compiled programs."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import Op, Variable, as_tensor, explain, function

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
    assert "2 operations" in note and "nothing like it was compiled before" in note
    assert "test_config.py" in note
    step(np.ones((7, 3), "float32")).numpy()
    assert log() == []
    step(np.ones((5, 3), "float32")).numpy()
    (note,) = log()
    line = step.__code__.co_firstlineno + 1
    assert f"test_config.py:{line} in step: scaled(float32[5, 3], float32[]~)" in note
    assert "where the nearest program has scaled(float32[7, 3], float32[]~)" in note


def test_a_dtype_and_a_structure_that_changed(log):
    x = np.ones((6, 3), "float32")
    step(x).numpy()
    log()
    step(x.astype("float16")).numpy()
    (note,) = log()
    assert (
        "scaled(float16[6, 3], float32[]~), where the nearest program has scaled(float32[6, 3]"
        in note
    )
    (step(x) + 1.0).numpy()
    (note,) = log()
    assert "1 more operations than the nearest program, from add(" in note
    assert "test_config.py:" in note.split("1 more")[0]
    y = scaled(x, 2.0)
    z = total(y)
    z.numpy()
    (note,) = log()
    assert "the same operations" in note and "other results kept" in note
    assert y.numpy().shape == (6, 3)


def test_functions_are_named(log):
    run = function(lambda x: total(x), name="my_step")
    run(np.ones(3, "float32"))
    (note,) = log()
    assert "(my_step, 1 operations" in note
    run(np.ones(4, "float32"))
    (note,) = log()
    assert "total(float32[4]), where the nearest program has total(float32[3])" in note


def test_gradients_are_logged_too(log):
    v = Variable(np.ones(3, "float32"))
    with weft.GradientTape() as tape:
        y = total(v * 2.0)
    tape.gradient(y, v).numpy()
    (note,) = log()
    assert "3 operations" in note


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
