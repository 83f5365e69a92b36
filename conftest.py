"""What every test and doctest runs under; at the root, so that weft's own doctests have it too."""

import gc
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # read once, when Keras is first imported

import jax
import pytest

import weft
from weft.engine.names import clear_names
from weft.engine.program import programs

# Names only: the examples of what is published there run in the files that define it, and the
# published operators that are JAX's own carry its documentation.
collect_ignore = ["weft/ops/__init__.py"]

# Folders and files whose tests run thousands of small programs once each, to compare their values:
# without XLA's optimisations these take half the time. All others are compiled as a user's are.
VALUES = {
    "initializers", "layers", "losses", "metrics", "ops", "optimizers",
    "test_activations.py", "test_functions_of_weights.py",
}  # fmt: skip


def mappings():
    """How many memory mappings this process has; the kernel allows 65,530."""
    try:
        with open("/proc/self/maps", "rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0


@pytest.fixture(autouse=True)
def few_programs():
    """Forget programs before there are too many: each takes several mappings, and XLA crashes
    where the kernel gives it no more."""
    few_programs.tests += 1
    if few_programs.tests % 25 == 0 and mappings() > 20_000:
        programs.kept.clear()
        jax.clear_caches()
        gc.collect()


few_programs.tests = 0


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
    programs.kinds.clear()
    programs.waiting.clear()
    for kept in programs.kept.values():
        kept.used = True
