"""What every test and doctest runs under; at the root, so that weft's own doctests have it too."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # read once, when Keras is first imported
# XLA has crashed while reading a program that the other worker had just put into the cache.
os.environ.setdefault("WEFT_CACHE_DIR", "off")

import jax
import pytest

import weft
from weft.engine.names import clear_names
from weft.engine.program import programs

# Folders whose tests run thousands of small programs once each, to compare their values: without
# XLA's optimisations these take half the time. All others are compiled as a user's are.
VALUES = {"initializers", "layers", "losses", "metrics", "ops", "optimizers"}


@pytest.fixture(autouse=True)
def fresh_state(request):
    """Global state as in a new process: no test depends on which ran before it."""
    values = "tests" in request.path.parts and bool(VALUES & set(request.path.parts))
    jax.config.update("jax_disable_most_optimizations", values)
    weft.random.set_seed(0)
    clear_names()
    weft.config.set_eager(False)
    weft.config.log_compiles(False)
    weft.precision.set_global_policy("float32")
    # Many tests, each with structures of its own, look like structure that never settles.
    programs.pressure = 0
    programs.waiting.clear()
