"""What every test and doctest runs under; at the root, so that weft's own doctests have it too."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # read once, when Keras is first imported

import pytest

import weft
from weft.engine.program import programs


@pytest.fixture(autouse=True)
def fresh_state():
    """Global state as in a new process: no test depends on which ran before it."""
    # Names are looked up so that the engine is tested before the parts above it are there.
    for path, value in (
        ("random.set_seed", 0),
        ("config.set_eager", False),
        ("config.log_compiles", False),
        ("precision.set_global_policy", "float32"),
    ):
        holder, name = path.split(".")
        setter = getattr(getattr(weft, holder, None), name, None)
        if setter is not None:
            setter(value)
    # Many tests, each with structures of its own, look like structure that never settles.
    programs.pressure = 0
    programs.waiting.clear()
