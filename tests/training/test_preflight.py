"""`preflight`: what a step costs is known before it is made."""

import numpy as np
import pytest

import weft
from weft import layers

X, Y = np.ones((16, 32), "float32"), np.ones((16, 1), "float32")


def model(**options):
    made = weft.Sequential([weft.Input((32,)), layers.Dense(64, "relu"), layers.Dense(1)])
    made.compile(weft.optimizers.Adam(), "mse", **options)
    return made


def test_what_it_says():
    m = model()
    before = m.get_weights()
    cost = m.preflight(X, Y)
    assert all(map(np.array_equal, m.get_weights(), before)) and int(m.optimizer.iterations) == 0
    weights = 4 * (32 * 64 + 64 + 64 + 1)
    assert cost.batch_bytes == X.nbytes + Y.nbytes
    assert 3 * weights <= cost.state_bytes < 3 * weights + 100  # Adam's two slots
    products = 2 * 16 * (32 * 64 + 64)  # forward; and as much again for the weights' gradients
    assert cost.flops >= 2 * products
    assert cost.peak_bytes == cost.state_bytes + cost.batch_bytes + cost.temporary_bytes
    assert cost.operations > 3 and cost.compile_seconds > 0
    assert "one program of" in str(cost) and "KiB" in str(cost)


def test_the_first_step_traces_nothing_more():
    m = model()
    m.preflight(X, Y)
    m.fit(X, Y, batch_size=16, verbose=0)
    assert len(m.programs["train_step"]) == 1


def test_errors():
    with pytest.raises(ValueError, match=r"preflight: model .* is not compiled"):
        weft.Sequential([layers.Dense(1)]).preflight(X, Y)
    with pytest.raises(ValueError, match=r"preflight: the training step of .* is run as Python"):
        model(run_eagerly=True).preflight(X, Y)
    with pytest.raises(ValueError, match=r"same number of examples .* x: 16, y: 8"):
        model().preflight(X, Y[:8])
