"""Updates that fail: whatever is wrong, weights, slots and counts are bitwise as before."""

import numpy as np
import pytest

import weft
from weft import ops, optimizers
from weft.optimizers import SGD, Adam, LossScaleOptimizer, MultiOptimizer

GRADS = [np.ones(2, "float32"), np.full(3, 2.0, "float32")]


class Stepwise(optimizers.Optimizer):
    """As people write one for Keras; `fault` is what goes wrong at the second variable."""

    fault = staticmethod(lambda variable: None)

    def build(self, variables):
        super().build(variables)
        self.sums = self.add_optimizer_variables(variables, "sum")

    def update_step(self, gradient, variable, learning_rate):
        place = self._get_variable_index(variable)
        self.assign_add(self.sums[place], gradient)
        if place == len(self.sums) - 1:
            self.fault(variable)
        self.assign_sub(variable, learning_rate * self.sums[place])


class Ruled(optimizers.Optimizer):
    """One node; `fault` makes of the right result another one."""

    fault = None

    def options(self):
        return (("fault", self.fault),)

    def slot_names(self):
        return (("last",),)

    @staticmethod
    def rule(grads, params, slots, rate, count, *, fault):
        made = [p - rate * g for p, g in zip(params, grads, strict=True)], list(grads)
        return made if fault is None else fault(*made)


MAKERS = {
    "rule": lambda a, b: Adam(0.1),
    "update_step": lambda a, b: Stepwise(0.1),
    "update_step with sums": lambda a, b: Stepwise(0.1, gradient_accumulation_steps=2),
    "parts": lambda a, b: MultiOptimizer([(Adam(0.1), a), (SGD(0.1, momentum=0.9), b)]),
    "parts by update_step": lambda a, b: MultiOptimizer([(Adam(0.1), a), (Stepwise(0.1), b)]),
    "scaled": lambda a, b: LossScaleOptimizer(Stepwise(0.1)),
    "scaled parts": lambda a, b: LossScaleOptimizer(
        MultiOptimizer([(Adam(0.1), a), (SGD(0.1), b)])
    ),
}


class Ready:
    """An optimizer that has made a step, and what it must not change from there on."""

    def __init__(self, make):
        self.variables = weft.Variable([1.0, 2.0], name="a"), weft.Variable([1.0] * 3, name="b")
        self.optimizer = make(*self.variables)
        self.step()
        self.before = self.state()

    def step(self, grads=GRADS):
        self.optimizer.apply_gradients(zip(grads, self.variables, strict=True))

    def state(self):
        return [v.numpy().tobytes() for v in (*self.variables, *self.optimizer.variables)]

    def refuse(self, error, message, call):
        with pytest.raises(error, match=message):
            call()
        assert self.state() == self.before

    def goes_on(self):
        self.step()
        self.step()  # two, for those that accumulate
        assert all(np.isfinite(v.numpy()).all() for v in self.variables)
        assert self.state() != self.before


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_gradients_that_cannot_be_meant(make):
    ready = Ready(make)
    a, b = ready.variables
    first, _ = GRADS
    optimizer = ready.optimizer
    for error, message, given in (
        (ValueError, r"for variable 'b' has shape \(4,\), the variable \(3,\)", np.ones(4)),
        (TypeError, "for variable 'b': expected a tensor, an array or a number, got 'x'", "x"),
        (TypeError, "for variable 'b': expected numbers, got <object", object()),
        (TypeError, "for variable 'b' is of dtype complex64, the variable of", np.ones(3) * 1j),
    ):
        ready.refuse(error, message, lambda given=given: ready.step([first, given]))
    twice = [(g, v) for g, v in zip([first, *[np.ones(3, "float32")] * 2], (a, b, b), strict=True)]
    ready.refuse(
        ValueError, "variable 'b' was given twice", lambda: optimizer.apply_gradients(twice)
    )
    ready.refuse(TypeError, "type weft.Variable, got str", lambda: optimizer.apply(GRADS, "ab"))
    ready.goes_on()


def wrong_shape(variable):
    variable.assign(ops.ones((3, 1)))


def fails(variable):
    float(ops.sum(variable))  # runs what is pending
    raise ZeroDivisionError("mine")


def interrupted(variable):
    raise KeyboardInterrupt


@pytest.mark.parametrize("make", ["update_step", "update_step with sums", "parts by update_step"])
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (wrong_shape, ValueError, r"assign to variable 'b': it has shape \(3,\), the value .*3, 1"),
        (fails, (ZeroDivisionError, RuntimeError), "mine|value of a tensor"),
        (interrupted, KeyboardInterrupt, None),
    ],
)
def test_an_update_step_that_fails_in_the_middle(make, fault, error, message, monkeypatch):
    ready = Ready(MAKERS[make])
    with monkeypatch.context() as patched:
        patched.setattr(Stepwise, "fault", staticmethod(fault))
        for _ in range(2):
            ready.refuse(error, message, ready.step)
    ready.goes_on()


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (lambda p, s: ([x[None] for x in p], s), ValueError, r"rule returned shape \(1, \d\)"),
        (lambda p, s: (p[:-1], s), ValueError, r"Ruled.rule returned \d parameters, it was given"),
        (lambda p, s: (p, [x[..., None] for x in s]), ValueError, "for number 0 of the slots"),
        (lambda p, s: [p], ValueError, "must return two lists.* got list of length 1"),
        (lambda p, s: None, ValueError, "must return two lists.* got NoneType"),
    ],
    ids=["rank", "fewer", "slots", "one list", "None"],
)  # fmt: skip
def test_a_rule_that_returns_something_else(parts, fault, error, message):
    inner = Ruled(0.1)
    ready = Ready(lambda a, b: MultiOptimizer([(Adam(0.1), a), (inner, b)]) if parts else inner)
    inner.fault = fault
    ready.refuse(error, message, ready.step)
    inner.fault = None
    ready.goes_on()


@pytest.mark.parametrize("make", ["rule", "update_step", "parts"])
def test_a_constraint_that_fails(make):
    ready = Ready(MAKERS[make])
    b = ready.variables[1]
    for constraint, error, message in (
        (lambda w: None, TypeError, "the constraint of variable 'b' returned None: end it with"),
        (
            lambda w: w[None],
            ValueError,
            r"variable 'b' returned shape \(1, 3\), not the variable's",
        ),
    ):
        b.constraint = constraint
        fresh = Ready(MAKERS[make])
        fresh.variables[1].constraint = constraint
        fresh.refuse(error, message, fresh.step)


def test_a_schedule_of_a_part_that_fails():
    class Broken(optimizers.schedules.LearningRateSchedule):
        rate = 0.1

        def __call__(self, step):
            return self.rate

    schedule = Broken()
    ready = Ready(lambda a, b: MultiOptimizer([(Adam(0.1), a), (SGD(schedule), b)]))
    schedule.rate = -1.0
    ready.refuse(
        ValueError, "Broken: the learning rate cannot be negative or NaN, got -1", ready.step
    )
    schedule.rate = 0.1
    ready.goes_on()


@pytest.mark.parametrize("make", ["rule", "update_step"])
@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("clipnorm", -1.0, ValueError, "clipnorm must be positive, got -1.0"),
        ("weight_decay", "0.1", TypeError, "weight_decay must be a number, got '0.1'"),
        ("clipnorm", weft.Variable(1.0), TypeError, "clipnorm must be a number, got a Variable"),
    ],
)  # fmt: skip
def test_hyperparameters_are_looked_at_when_they_change(make, key, value, error, message):
    ready = Ready(MAKERS[make])
    setattr(ready.optimizer, key, value)
    ready.refuse(error, message, ready.step)
    setattr(ready.optimizer, key, None)
    ready.goes_on()


def test_two_clippings_at_once_later():
    ready = Ready(lambda a, b: Adam(0.1, clipnorm=1.0))
    ready.optimizer.clipvalue = 0.5
    ready.refuse(ValueError, "only one of .* got clipnorm=1.0, clipvalue=0.5", ready.step)


def test_a_variable_as_a_hyperparameter_of_a_rule():
    ready = Ready(MAKERS["rule"])
    ready.optimizer.beta_1 = weft.Variable(0.5)
    ready.refuse(TypeError, "beta_1 must be a number, got a Variable .* assign another", ready.step)


def test_numpy_s_numbers_are_hyperparameters():
    given = Adam(0.1, weight_decay=np.float32(0.5), clipnorm=np.array(2.0))
    config = given.get_config()
    assert type(config["weight_decay"]) is type(config["clipnorm"]) is float
    ready = Ready(MAKERS["rule"])
    ready.optimizer.beta_1 = np.array(0.5)
    ready.goes_on()


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_whole_numbers_cannot_be_trained(dtype):
    held = weft.Variable(np.ones(2, dtype), name="count")
    with pytest.raises(TypeError, match=f"variable 'count' is of dtype {dtype}, .* rounded"):
        Adam(0.1).apply_gradients([([0.5, 0.5], held)])
    assert held.numpy().tolist() == [1, 1]
