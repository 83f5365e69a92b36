"""Learning-rate schedules against Keras, and their configs."""

import keras
import numpy as np
import pytest

import weft
from weft import tf
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
    ("CosineDecay", (0.2, 20, 0.0, "c", 0.1, 0)),
    ("CosineDecayRestarts", (0.1, 10)),
    ("CosineDecayRestarts", (0.1, 10, 1.0, 0.9)),
    ("CosineDecayRestarts", (0.1, 4, 1.5, 0.8, 0.2)),
    ("CosineDecayRestarts", (0.1, 7, 3.0, 1.2, 0.5, "r")),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_values_are_keras(name, arguments):
    ours = getattr(schedules, name)(*arguments)
    original = getattr(keras.optimizers.schedules, name)(*arguments)
    for step in (0, 1, 2, 3, 4, 5, 7, 10, 11, 14, 20, 25, 30, 100, 0.5, 9.75, 10.25, 33.5):
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


def test_restarts_begin_at_their_steps():
    # The same by hand: periods of 4, 6, 9 and 13.5 steps. By a logarithm in float32 one of these
    # steps may count as the end of the period before, where the rate is lowest.
    schedule = schedules.CosineDecayRestarts(0.5, 4, 1.5, 0.5)
    found = [float(schedule(step)) for step in (0, 4, 10, 19, 32.5)]
    assert found == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.03125])
    third = 0.25 * 0.5 * (1 + np.cos(np.pi * 3 / 6))
    assert float(schedule(7)) == pytest.approx(third)


@pytest.mark.parametrize("factor", [2.0, 1.0, 3.0, 1.1])
def test_restarts_at_every_boundary(factor):
    schedule = schedules.CosineDecayRestarts(1.0, 10, factor)
    starts = np.cumsum([0, *(10 * factor ** np.arange(9))])
    for start in starts[starts == np.round(starts)]:
        assert float(schedule(int(start))) == 1.0
        assert start == 0 or float(schedule(int(start) - 1)) < 0.05


def test_shrinking_periods_end_at_one_step():
    schedule = schedules.CosineDecayRestarts(0.5, 8, 0.5, 1.0, 0.1)
    # Periods of 8, 4, 2, 1, 1, 1, ... steps; Keras gives NaN from step 16 on.
    assert [float(schedule(k)) for k in (8, 12, 14, 15, 16, 200)] == [0.5] * 6
    assert float(schedule(10)) == pytest.approx(0.275)


def test_changed_arguments_count():
    schedule = schedules.PiecewiseConstantDecay([2], [1.0, 0.5])
    schedule.values = [1.0, 0.25]
    assert float(schedule(3)) == 0.25
    assert schedule.get_config()["values"] == [1.0, 0.25]
    schedule = schedules.ExponentialDecay(np.float32(0.5), np.int64(2), 0.5)
    assert schedule.get_config()["initial_learning_rate"] == 0.5
    assert type(schedule.decay_steps) is int


# -- in an optimizer --------------------------------------------------------------------------


def schedule_of(steps=4):
    return schedules.CosineDecay(0.5, steps)


OPTIMIZERS = [
    name
    for name in weft.optimizers.__all__
    if isinstance(getattr(weft.optimizers, name), type)
    and hasattr(keras.optimizers, name)
    and name not in ("Optimizer", "OptimizerMap", "MultiOptimizer", "LossScaleOptimizer")
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_one(name):
    def run(module, variable, schedule):
        optimizer = getattr(module.optimizers, name)(schedule)
        rates = []
        for _ in range(5):
            rates.append(float(optimizer.learning_rate))
            optimizer.apply_gradients([(np.array([0.5, -2.0], "float32"), variable)])
        return np.asarray(variable), rates

    got, rates = run(weft, weft.Variable([1.0, 2.0]), schedule_of())
    original = keras.optimizers.schedules.CosineDecay(0.5, 4)
    want, expected = run(keras, keras.Variable(np.array([1.0, 2.0], "float32")), original)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-7)


def test_under_fit():
    seen = []

    class Watch(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    model = weft.Sequential([weft.layers.Dense(1)])
    model.compile(weft.optimizers.SGD(schedule_of()), "mse")
    data = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.fit(*data, batch_size=1, verbose=0, callbacks=[Watch()])
    schedule = schedule_of()
    assert seen == pytest.approx([float(schedule(k)) for k in (1, 2, 3, 4)])
    count = weft.config.compile_count()
    model.fit(*data, batch_size=1, verbose=0)
    assert weft.config.compile_count() == count


def test_the_transformer_schedule_of_the_tutorials():
    class Warmup(tf.keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self, d_model, warmup_steps=4):
            super().__init__()
            self.d_model = tf.cast(d_model, tf.float32)
            self.warmup_steps = warmup_steps

        def __call__(self, step):
            step = tf.cast(step, dtype=tf.float32)
            return tf.math.rsqrt(self.d_model) * tf.math.minimum(
                tf.math.rsqrt(step), step * (self.warmup_steps**-1.5)
            )

    optimizer = tf.keras.optimizers.Adam(Warmup(16), beta_1=0.9, beta_2=0.98, epsilon=1e-9)
    w = tf.Variable([1.0, 2.0])
    for _ in range(6):
        optimizer.apply_gradients([(tf.ones(2), w)])
    assert float(optimizer.learning_rate) == pytest.approx(0.25 / np.sqrt(6))
    w.assign([1.0, 2.0])
    count = weft.config.compile_count()
    optimizer.apply_gradients([(tf.ones(2), w)])
    assert weft.config.compile_count() == count


def test_plain_python_schedule():
    class Steps(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 if int(step) < 2 else 0.25

    optimizer, w = weft.optimizers.SGD(Steps()), weft.Variable(0.0)
    for _ in range(3):
        optimizer.apply_gradients([(-1.0, w)])
    assert float(w) == 2.25


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (lambda: weft.ops.ones(2), weft.ShapeError, r"sgd: Odd: .* a scalar, got shape \(2,\)"),
        (lambda: np.ones((1,)), TypeError, r"sgd: Odd: the learning rate must .* got array"),
        (lambda: None, TypeError, "sgd: Odd: the learning rate must be a number.* got None"),
        (lambda: -0.5, ValueError, "sgd: Odd: .* cannot be negative or NaN, got -0.5"),
    ],
)
def test_what_a_schedule_returns_is_looked_at(value, error, text):
    class Odd(schedules.LearningRateSchedule):
        def __call__(self, step):
            return value()

    optimizer, w = weft.optimizers.SGD(Odd()), weft.Variable([1.0, 2.0])
    with pytest.raises(error, match=text):
        optimizer.apply_gradients([(np.ones(2, "float32"), w)])
    assert w.numpy().tolist() == [1.0, 2.0] and int(optimizer.iterations) == 0


def test_no_rate_is_set_over_a_schedule():
    optimizer = weft.optimizers.SGD(schedule_of())
    with pytest.raises(TypeError, match=r"its learning rate is CosineDecay, so a value cannot"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.ExponentialDecay(0.25, 1, 0.5)
    assert float(optimizer.learning_rate) == 0.25


# -- configs of the user's own ----------------------------------------------------------------


class Linear(schedules.LearningRateSchedule):
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, step):
        return self.slope * step

    def get_config(self):
        return {"slope": self.slope}


def test_custom_objects():
    config = schedules.serialize(Linear(0.5))
    assert config["registered_name"] == "Linear"
    assert float(schedules.deserialize(config, {"Linear": Linear})(3)) == 1.5
    with weft.utils.custom_object_scope({"Linear": Linear}):
        assert float(schedules.deserialize(config)(3)) == 1.5
    with pytest.raises(ValueError, match=r"unknown learning-rate schedule 'Linear'. Known: Cosine"):
        schedules.deserialize(config)


def test_registered():
    @weft.utils.register_keras_serializable("rates")
    class Doubling(Linear):
        pass

    config = weft.optimizers.SGD(Doubling(0.5)).get_config()
    assert config["learning_rate"]["registered_name"] == "rates>Doubling"
    again = weft.optimizers.SGD.from_config(config)
    assert float(again.learning_rate) == 0.0 and again.get_config() == config


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_configs_open_on_both_sides(name, arguments):
    ours = getattr(schedules, name)(*arguments)
    theirs = keras.optimizers.schedules.deserialize(schedules.serialize(ours))
    assert type(theirs).__name__ == name
    back = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert type(back) is type(ours) and back.get_config() == ours.get_config()


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay: decay_steps must be a pos"),
        (lambda s: s.ExponentialDecay(0.1, 5, -0.5), "decay_rate must be a number not below 0"),
        (lambda s: s.InverseTimeDecay(-0.1, 5, 0.5), "initial_learning_rate must .* got -0.1"),
        (lambda s: s.InverseTimeDecay("a", 5, 0.5), "initial_learning_rate must .* got 'a'"),
        (lambda s: s.PolynomialDecay(0.1, -1), "decay_steps must be a positive number, got -1"),
        (lambda s: s.PolynomialDecay(0.1, 5, -1.0), "end_learning_rate must be .* got -1.0"),
        (lambda s: s.CosineDecay(float("nan"), 5), "initial_learning_rate must be .* got nan"),
        (lambda s: s.CosineDecay(0.1, 5, 2.0), r"alpha must be a number in \[0, 1\], got 2.0"),
        (lambda s: s.CosineDecay(0.1, 5, warmup_target=-1), "warmup_target must be .* got -1"),
        (lambda s: s.CosineDecay(0.1, 5, warmup_steps=-1), "warmup_steps must be .* got -1"),
        (lambda s: s.CosineDecayRestarts(0.1, 0), "first_decay_steps must be a positive number"),
        (lambda s: s.CosineDecayRestarts(0.1, 5, 0), "t_mul must be a positive number, got 0"),
        (lambda s: s.CosineDecayRestarts(0.1, 5, 2.0, -1), "m_mul must be a positive number"),
        (lambda s: s.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "got 2 boundaries and 2 values"),
        (lambda s: s.PiecewiseConstantDecay([2, 1], [0.1] * 3), r"must increase, got \[2, 1\]"),
        (lambda s: s.PiecewiseConstantDecay([1], [0.1, -0.2]), "values must be .* got -0.2"),
        (lambda s: s.PiecewiseConstantDecay(["a"], [0.1, 0.2]), "boundaries must be a finite num"),
        (lambda s: s.deserialize("CosineDecy"), "Did you mean 'CosineDecay'"),
        (lambda s: s.deserialize({"name": "a"}), "a dict with 'class_name' and 'config', got"),
    ],
)
def test_bad_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call(schedules)


def test_unfinished_schedules_say_so():
    class Empty(schedules.LearningRateSchedule):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty is a .* without __call__\(self, step\)"):
        Empty()(0)
    with pytest.raises(NotImplementedError, match=r"Empty has no get_config\(\)"):
        Empty().get_config()
