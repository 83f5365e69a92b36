"""Each optimizer reaches the minimum of a parabola and of Rosenbrock's function."""

import numpy as np
import pytest

import weft
from weft import optimizers
from weft.optimizers.schedules import CosineDecay

GOAL = np.array([[1.0, -2.0]], "float32")
STEPS = {"parabola": 1000, "rosenbrock": 6000}

LOSSES = {
    "parabola": weft.op(lambda p: ((p - GOAL) ** 2 * np.array([[4.0, 0.25]])).sum()),
    "rosenbrock": weft.op(lambda p: (1 - p[0, 0]) ** 2 + 100 * (p[0, 1] - p[0, 0] ** 2) ** 2),
}
MINIMA = {"parabola": GOAL, "rosenbrock": np.ones((1, 2), "float32")}


def fading(rate, steps):
    """For optimizers whose steps do not shrink with the gradient."""
    return CosineDecay(rate, steps)


# For each the rate on the parabola and on Rosenbrock's function, and further arguments.
CASES = {
    "Adadelta": (1.0, fading(0.1, 6000), {"epsilon": 1e-4}),
    "Adafactor": (fading(0.1, 1000), fading(0.02, 6000), {"relative_step": False}),
    "Adagrad": (1.0, 0.5, {}),
    "Adam": (0.1, 0.02, {}),
    "AdamW": (0.1, 0.02, {"weight_decay": 0.0}),
    "Adamax": (0.1, 0.05, {}),
    "Ftrl": (1.0, 0.5, {}),
    "Lamb": (fading(0.1, 1000), fading(0.02, 6000), {}),
    "Lion": (fading(0.05, 1000), fading(0.003, 6000), {}),
    "Muon": (fading(0.3, 1000), fading(0.02, 6000), {"weight_decay": None}),
    "Nadam": (0.1, fading(0.02, 6000), {}),
    "RMSprop": (fading(0.05, 1000), fading(0.01, 6000), {}),
    "SGD": (0.05, 0.001, {"momentum": 0.9}),
    "ScheduleFreeAdamW": (0.2, 0.02, {}),
}


def test_every_optimizer_is_here():
    with_rule = {
        name
        for name, value in vars(optimizers).items()
        if name in optimizers.__all__ and getattr(value, "rule", None) is not None
    }
    assert with_rule - {"OptaxOptimizer"} == set(CASES)


@pytest.mark.parametrize("problem", STEPS)
@pytest.mark.parametrize("name", CASES)
def test_minimum(name, problem):
    rates, further = dict(zip(STEPS, CASES[name])), CASES[name][-1]
    optimizer = getattr(optimizers, name)(rates[problem], **further)
    held = weft.Variable([[-1.0, 1.0]], name="point")
    optimizer.build([held])

    def step(_, total):
        with weft.GradientTape() as tape:
            loss = LOSSES[problem](held)
        optimizer.apply_gradients([(tape.gradient(loss, held), held)])
        return total + 1

    @weft.function
    def descend():
        return weft.ops.fori_loop(0, STEPS[problem], step, 0)

    assert int(descend()) == int(optimizer.iterations) == STEPS[problem]
    np.testing.assert_allclose(held.numpy(), MINIMA[problem], atol=2e-2)
