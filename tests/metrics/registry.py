"""The cases of all metrics, collected from `cases/`, a file a family.

Each file has `CASES`: class -> (arguments, batches of the arguments of `update_state`[, flags]).
Flags:
    weights: which of WEIGHTS Keras takes here; all by default.
    places: the shape after the batch of what the weights "places" weigh.
    whole: weights are whole numbers, as the state is.
    mask: the shape after the batch of a mask that the prediction carries (Keras's means heed it).
    differs: how the values differ from Keras's, where they do; they are not compared then.
    before: whether Keras has a result before the first update.
    keras_config: False where Keras's own config loses an argument.
    tolerance: of the comparison with Keras.
"""

from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest

import weft
from tests.metrics.samples import rng, unit
from weft.engine.names import clear_names

CASES = {}
for _file in sorted((Path(__file__).parent / "cases").glob("*.py")):
    _found = import_module(f"tests.metrics.cases.{_file.stem}").CASES
    assert not CASES.keys() & _found.keys()
    CASES |= {name: [(*c, {})[:3] for c in cases] for name, cases in _found.items()}


def _params(cases):
    return [
        pytest.param(name, *case, id=f"{name}-{i}")
        for name, listed in cases.items()
        for i, case in enumerate(listed)
    ]


_names = ("name", "arguments", "data", "flags")
#: Parametrize a test by every case, or by the first of each metric.
each_case = pytest.mark.parametrize(_names, _params(CASES))
one_case = pytest.mark.parametrize(_names, _params({n: c[:1] for n, c in CASES.items()}))

WEIGHTS = ("none", "samples", "column", "number", "places")


def made(library, name, arguments, /, **more):
    """The metric of a case, weft's or Keras's, as the first of its class: none is numbered."""
    clear_names()
    keras.utils.clear_session(free_memory=False)
    arguments = {**arguments, **more}
    if "fn" in arguments:
        arguments["fn"] = getattr(library.losses, arguments["fn"])
        arguments.setdefault("name", "wrapped")
    return getattr(library.metrics, name)(**arguments)


def weights_for(kind, batch, flags):
    """Sample weights of a kind for a batch, one of them zero."""
    n = len(batch[0])
    shape = {"samples": (n,), "column": (n, 1), "number": (), "none": None}
    shape = (n, *flags.get("places", ())) if kind == "places" else shape[kind]
    if shape is None:
        return None
    weights = rng.integers(1, 4, size=shape) if flags.get("whole") else unit(shape)
    if shape:
        weights[0] = 0
    return weights


def values(tensors):
    return [np.asarray(x) for x in tensors]


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), tolerance, tolerance)


def nodes():
    """How many nodes are pending."""
    return len(weft.engine.trace.state.trace.nodes)
