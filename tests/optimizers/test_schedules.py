"""Learning-rate schedules against Keras, and their configs."""

import keras
import numpy as np
import pytest

import weft
from weft.optimizers import schedules

CASES = [
    ("ExponentialDecay", (0.1, 10, 0.5)),
    ("ExponentialDecay", (0.1, 10, 0.5, True)),
    ("InverseTimeDecay", (0.1, 7, 0.5)),
    ("InverseTimeDecay", (0.1, 7, 0.5, True)),
    ("PiecewiseConstantDecay", ([3, 10], [1.0, 0.5, 0.1])),
    ("PiecewiseConstantDecay", ([2.5], [1.0, 0.5])),
    ("PolynomialDecay", (0.1, 10)),
    ("PolynomialDecay", (0.1, 10, 0.01, 2.0)),
    ("PolynomialDecay", (0.1, 10, 0.01, 0.5, True)),
    ("CosineDecay", (0.1, 20)),
    ("CosineDecay", (0.1, 20, 0.2)),
    ("CosineDecay", (0.0, 20, 0.1, "c", 0.3, 5)),
    ("CosineDecay", (0.2, 20, 0.0, "c", 0.1, 4)),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_values_are_keras(name, arguments):
    ours = getattr(schedules, name)(*arguments)
    original = getattr(keras.optimizers.schedules, name)(*arguments)
    for step in (0, 1, 2, 3, 4, 5, 7, 10, 11, 14, 20, 25, 30, 100):
        np.testing.assert_allclose(
            float(ours(step)), float(original(step)), rtol=1e-5, atol=1e-8, err_msg=str(step)
        )
    assert ours(weft.Variable(3)).shape == ()


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_config_round_trip(name, arguments):
    ours = getattr(schedules, name)(*arguments)
    original = getattr(keras.optimizers.schedules, name)(*arguments)
    assert ours.get_config() == original.get_config()
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(original)
    again = schedules.deserialize(schedules.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


def test_all_are_tested():
    formulas = set(schedules.__all__) - {"LearningRateSchedule", "deserialize", "serialize"}
    assert {name for name, _ in CASES} == formulas


def test_steps_compile_nothing_anew():
    schedule = schedules.CosineDecay(0.1, 10)
    step = weft.Variable(0)
    rates = []
    for k in range(4):
        step.assign(k)
        rates.append(float(schedule(step)))
        if k == 0:
            count = weft.config.compile_count()
    assert weft.config.compile_count() == count
    assert rates == sorted(rates, reverse=True) and rates[0] > rates[-1]


def test_large_steps_meet_their_boundary():
    schedule = schedules.PiecewiseConstantDecay([2**24 + 1], [1.0, 0.5])
    assert [float(schedule(2**24 + k)) for k in (1, 2)] == [1.0, 0.5]


def test_custom_objects():
    class Linear(schedules.LearningRateSchedule):
        def __init__(self, slope):
            self.slope = slope

        def __call__(self, step):
            return self.slope * step

        def get_config(self):
            return {"slope": self.slope}

    config = schedules.serialize(Linear(0.5))
    made = schedules.deserialize(config, {"Linear": Linear})
    assert float(made(3)) == 1.5
    with pytest.raises(ValueError, match=r"unknown learning-rate schedule 'Linear'. Known are"):
        schedules.deserialize(config)


def test_bad_arguments():
    with pytest.raises(ValueError, match="decay_steps must be positive, got 0"):
        schedules.ExponentialDecay(0.1, 0, 0.5)
    with pytest.raises(ValueError, match="got 2 boundaries and 2 values"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="boundaries must increase, got \\[2, 1\\]"):
        schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3])


def test_unfinished_schedules_say_so():
    class Empty(schedules.LearningRateSchedule):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty is a .* without __call__\(self, step\)"):
        Empty()(0)
    with pytest.raises(NotImplementedError, match=r"Empty has no get_config\(\)"):
        Empty().get_config()
