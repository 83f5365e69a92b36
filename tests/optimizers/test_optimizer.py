"""The optimizer itself: learning rate, variables, custom subclasses, lookups."""

import os
import subprocess
import sys

import keras
import numpy as np
import optax
import pytest

import weft
from weft import optimizers
from weft.optimizers import SGD, Adam, schedules


def variable(value=(1.0, 2.0), name="v", **options):
    return weft.Variable(list(value), name=name, **options)


# The learning rate ---------------------------------------------------------------------------


def test_learning_rate_is_a_variable():
    optimizer = SGD(0.1)
    rate = optimizer.learning_rate
    assert isinstance(rate, weft.Variable) and not rate.trainable
    optimizer.learning_rate = 0.5
    assert float(rate) == 0.5
    optimizer.lr = np.float32(0.25)
    assert float(optimizer.lr) == float(rate) == 0.25
    optimizer.learning_rate = weft.Variable(2.0) * 0.5  # a tensor
    assert float(rate) == 1.0
    assert int(SGD(1).learning_rate) == 1


def test_learning_rate_given_as_a_variable():
    rate, held = weft.Variable(0.5), variable()
    optimizer = SGD(rate)
    assert optimizer.learning_rate is rate and optimizer.variables[1] is rate
    optimizer.apply_gradients([([1.0, 1.0], held)])
    rate.assign(0.25)
    optimizer.apply_gradients([([1.0, 1.0], held)])
    assert held.numpy().tolist() == [0.25, 1.25]


def test_learning_rate_given_as_a_callable():
    rates, held = iter([1.0, 0.5, 0.25]), variable((0.0,))
    optimizer = SGD(lambda: next(rates))
    optimizer.apply_gradients([([1.0], held)])
    count = weft.config.compile_count()
    for _ in range(2):
        optimizer.apply_gradients([([1.0], held)])
    assert held.numpy().tolist() == [-1.75]
    assert weft.config.compile_count() == count


def test_a_function_of_the_step_is_no_learning_rate_by_itself():
    message = "Adam: .* called without arguments, but <function .* needs count. .* weft.op"
    with pytest.raises(TypeError, match=message):
        Adam(optax.cosine_decay_schedule(0.5, 10))

    class Wrapped(schedules.LearningRateSchedule):
        def __call__(self, step):
            return weft.op(optax.linear_schedule(0.5, 0.0, 2))(step)

    held = variable((1.0,))
    optimizer = SGD(Wrapped())
    for _ in range(3):
        optimizer.apply_gradients([([1.0], held)])
    assert held.numpy().tolist() == [0.25]


def test_a_schedule_takes_the_variables_place():
    optimizer, held = SGD(0.1), variable((0.0,))
    optimizer.learning_rate = schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25])
    assert [v.name for v in optimizer.variables] == ["iteration"]
    for _ in range(3):
        optimizer.apply_gradients([([1.0], held)])
    assert held.numpy().tolist() == [-1.75]
    with pytest.raises(TypeError, match="PiecewiseConstantDecay, so a value cannot be assigned"):
        optimizer.learning_rate = 0.5


@pytest.mark.parametrize(
    ("rate", "kind", "message"),
    [
        (-0.1, ValueError, "learning rate cannot be negative or NaN, got -0.1"),
        (float("nan"), ValueError, "cannot be negative or NaN, got nan"),
        ("fast", TypeError, "must be a number, .* got 'fast' of type str"),
        (None, TypeError, "must be a number, .* got None of type NoneType"),
        ([0.1, 0.2], TypeError, "must be a number, .* of type list"),
        (schedules.CosineDecay, TypeError, "must be a number, .* of type type"),
        (weft.Variable([0.1, 0.2]), ValueError, r"is a scalar, got shape \(2,\)"),
    ],
    ids=str,
)
def test_bad_learning_rates(rate, kind, message):
    with pytest.raises(kind, match=f"SGD: .*{message}"):
        SGD(rate)
    optimizer = SGD(0.5, name="mine")
    with pytest.raises(kind, match=f"mine: .*{message}"):
        optimizer.learning_rate = rate
    assert float(optimizer.learning_rate) == 0.5


# Hyperparameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"clipnorm": 1.0, "clipvalue": 0.5},
            "only one of clipnorm, clipvalue and global_clipnorm can be used, got clipnorm=1.0, "
            "clipvalue=0.5",
        ),
        ({"clipnorm": 0.0}, "clipnorm must be positive, got 0.0"),
        ({"global_clipnorm": -1}, "global_clipnorm must be positive, got -1"),
        ({"loss_scale_factor": 0}, "loss_scale_factor must be positive, got 0"),
        ({"weight_decay": -0.1}, "weight_decay cannot be negative, got -0.1"),
        ({"ema_momentum": 1.5}, r"ema_momentum must be in \[0, 1\], got 1.5"),
        ({"ema_overwrite_frequency": 0}, "must be an integer of at least 1 or None, got 0"),
        ({"gradient_accumulation_steps": 1}, "must be an integer of at least 2 or None, got 1"),
    ],
    ids=str,
)
def test_bad_hyperparameters(options, message):
    with pytest.raises(ValueError, match=f"Adam: .*{message}"):
        Adam(**options)


def test_bad_hyperparameters_of_one_optimizer():
    with pytest.raises(ValueError, match=r"SGD: momentum must be a number in \[0, 1\], got 1.5"):
        SGD(momentum=1.5)
    with pytest.raises(ValueError, match=r"AdamW: beta_2 must be a number in \[0, 1\), got 1"):
        optimizers.AdamW(beta_2=1)
    with pytest.raises(ValueError, match="AdamW needs a weight_decay, got None"):
        optimizers.AdamW(weight_decay=None)


def test_unknown_arguments():
    message = r"\['beta', 'clip_norm'\]. beta: Did you .*clip_norm: Did you mean 'clipnorm'"
    with pytest.raises(TypeError, match=message):
        Adam(beta=0.9, clip_norm=1.0)


def test_keras_2_s_names_of_arguments():
    held = variable((1.0, 1.0))
    optimizer = optimizers.legacy.SGD(lr=0.5, decay=1.0)
    for rate in (0.5, 0.25, 0.5 / 3):
        before = held.numpy()
        optimizer.apply_gradients([([1.0, 2.0], held)])
        np.testing.assert_allclose(before - held.numpy(), [rate, 2 * rate], rtol=1e-6)
    assert float(optimizer.lr) == float(optimizer.learning_rate) == 0.5
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["decay"] == 1.0 and "decay" not in SGD().get_config()
    assert not hasattr(Adam(jit_compile=False, is_legacy_optimizer=False), "jit_compile")
    with pytest.raises(ValueError, match="SGD: decay cannot be negative, got -1"):
        SGD(decay=-1.0)


def test_changed_hyperparameters_take_effect():
    held, same = variable((0.0,)), variable((0.0,))
    optimizer = SGD(1.0, momentum=0.0)
    optimizer.apply_gradients([([1.0], held)])
    optimizer.momentum, optimizer.clipvalue = 0.5, 0.25
    other = SGD(1.0, momentum=0.5, clipvalue=0.25)
    other.apply_gradients([([0.0], same)])
    for _ in range(2):
        optimizer.apply_gradients([([1.0], held)])
        other.apply_gradients([([1.0], same)])
    np.testing.assert_allclose(held.numpy(), same.numpy() - 1.0)


def test_a_variable_that_comes_later_is_its_own_average():
    first, later = variable((1.0,)), variable((4.0,))
    optimizer = SGD(0.0, use_ema=True)
    for pairs in ([([1.0], first)], [([1.0], first), ([1.0], later)]):  # unfrozen, as it were
        optimizer.apply_gradients(pairs)
    optimizer.finalize_variable_values([first, later])
    assert first.numpy().tolist() == [1.0] and later.numpy().tolist() == [4.0]


def test_averages_that_are_switched_on_begin_with_the_values():
    held = variable((4.0,))
    optimizer = SGD(0.0)
    optimizer.apply_gradients([([1.0], held)])
    optimizer.use_ema = True
    optimizer.finalize_variable_values([held])
    assert held.numpy().tolist() == [4.0]
    optimizer.apply_gradients([([1.0], held)])
    optimizer.finalize_variable_values([held])
    assert held.numpy().tolist() == [4.0]


def test_equal_optimizers_share_their_program():
    held = variable()
    for k in range(3):
        Adam(0.1 * (k + 1)).apply_gradients([([1.0, 1.0], held)])
        if k == 0:
            count = weft.config.compile_count()
    assert weft.config.compile_count() == count


def test_exclude_from_weight_decay_comes_first():
    optimizer, held = Adam(weight_decay=0.1, name="a"), variable()
    optimizer.build([held])
    with pytest.raises(ValueError, match="a: exclude_from_weight_decay must be called before"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


# Updates -------------------------------------------------------------------------------------


def test_returns_iterations():
    optimizer, held = SGD(), variable()
    result = optimizer.apply_gradients([([1.0, 1.0], held)])
    assert result is optimizer.iterations and int(result) == 1 and result.dtype == "int32"


def test_names_are_made_up():
    first, second = SGD(), SGD()
    assert first.name.startswith("sgd") and first.name != second.name
    assert optimizers.AdamW().name.startswith("adam_w")


def test_apply_with_the_variables_it_was_built_with():
    held, optimizer = variable(), SGD(1.0, name="s")
    with pytest.raises(ValueError, match=r"s: apply\(grads\) without variables needs .* built"):
        optimizer.apply([[1.0, 1.0]])
    optimizer.build([held])
    optimizer.apply([[1.0, 1.0]])
    assert held.numpy().tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="s: 2 gradients were given for 1 variables"):
        optimizer.apply([[1.0, 1.0], [1.0, 1.0]])


def test_nothing_to_update_is_nothing():
    optimizer = SGD()
    optimizer.apply_gradients([])
    assert int(optimizer.iterations) == 0


def test_minimize():
    held, optimizer = variable((3.0,)), SGD(0.1)
    square = weft.op(lambda v: (v * v).sum(), name="square")
    optimizer.minimize(lambda: square(held), [held])
    with weft.GradientTape() as tape:
        loss = square(held)
    optimizer.minimize(loss, lambda: [held], tape)
    np.testing.assert_allclose(held.numpy(), [3.0 * 0.8 * 0.8], rtol=1e-6)
    with pytest.raises(ValueError, match="minimize needs the tape that the loss was recorded on"):
        optimizer.minimize(loss, [held])


def test_minimize_with_one_variable():
    held = weft.Variable(3.0)
    SGD(0.1).minimize(lambda: held**2, held)
    assert float(held) == pytest.approx(2.4)


def test_scale_loss():
    assert Adam().scale_loss(3.0) == 3.0
    assert Adam(loss_scale_factor=4).scale_loss(3.0) == 12.0


def test_pending_work_runs_at_the_end():
    held, optimizer = variable(), SGD()
    pending = weft.op(lambda x: x + 1, name="plus")(held)
    optimizer.apply_gradients([([1.0, 1.0], held)])
    assert pending._value is not None
    with weft.GradientTape():
        optimizer.apply_gradients([([1.0, 1.0], held)])
        assert held._tensor._value is None


def test_constraints_apply_to_the_new_value():
    held = variable((0.1, 5.0), constraint=weft.op(lambda x: x.clip(0), name="non_negative"))
    free = variable((0.1, 5.0))
    optimizer = SGD(1.0)
    optimizer.apply_gradients([([1.0, 1.0], held), ([1.0, 1.0], free)])
    np.testing.assert_allclose(held.numpy(), [0.0, 4.0])
    np.testing.assert_allclose(free.numpy(), [-0.9, 4.0])
    count = weft.config.compile_count()
    optimizer.apply_gradients([([1.0, 1.0], held), ([1.0, 1.0], free)])
    assert weft.config.compile_count() == count


def test_a_constraint_that_changes_the_shape():
    held = variable(constraint=weft.op(lambda x: x.sum(), name="total"))
    with pytest.raises(ValueError, match=r"constraint of variable 'v' returned shape \(\), not"):
        SGD(1.0).apply_gradients([([1.0, 1.0], held)])
    assert held.numpy().tolist() == [1.0, 2.0]


def test_gradients_of_another_dtype():
    held = variable((1.0, 2.0), dtype="float32")
    SGD(1.0).apply_gradients([(np.array([1, 1], "int32"), held)])
    assert held.numpy().tolist() == [0.0, 1.0] and held.dtype == "float32"


# Bad input -----------------------------------------------------------------------------------


@pytest.fixture
def built():
    kernel, bias = variable(name="kernel"), variable((5.0,), name="bias")
    optimizer = Adam(0.1, name="adam")
    optimizer.apply_gradients([([1.0, 1.0], kernel), ([1.0], bias)])
    before = [v.numpy() for v in (kernel, bias, *optimizer.variables)]
    yield optimizer, kernel, bias
    after = [v.numpy() for v in (kernel, bias, *optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_no_gradient_at_all(built):
    optimizer, kernel, bias = built
    with pytest.raises(ValueError, match=r"adam: no gradient .*'kernel', 'bias' are None"):
        optimizer.apply_gradients([(None, kernel), (None, bias)])


def test_no_gradient_at_all_makes_no_slots():
    optimizer = Adam()
    with pytest.raises(ValueError, match="no gradient was given for any variable"):
        optimizer.apply_gradients([(None, variable())])
    assert len(optimizer.variables) == 2 and not optimizer.built


def test_gradient_of_another_shape(built):
    optimizer, kernel, bias = built
    message = r"the gradient for variable 'bias' has shape \(3,\), the variable \(1,\)"
    with pytest.raises(ValueError, match=message):
        optimizer.apply_gradients([([1.0, 1.0], kernel), ([1.0, 2.0, 3.0], bias)])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([1.0], r"expects pairs \(gradient, variable\), got 1.0 of type float"),
        ([(1.0, 2.0, 3.0)], r"expects pairs .* got \(1.0, 2.0, 3.0\) of type tuple"),
        ([weft.Variable([1.0, 2.0])], r"expects pairs .* got a Variable of shape \(2,\)"),
        ([([1.0], "kernel")], "updates objects of type weft.Variable, got str"),
        (
            [(variable(), variable() * 2.0)],
            r"weft.Variable, got Tensor. .*pairs are \(gradient, variable\)",
        ),
    ],
    ids=["number", "triple", "variable", "name", "tensor"],
)
def test_what_are_no_pairs(built, pairs, message):
    with pytest.raises(TypeError, match=f"adam: .*{message}"):
        built[0].apply_gradients(pairs)


def test_a_variable_of_keras(built):
    with pytest.raises(TypeError, match=r"updates objects of type weft.Variable, got Variable"):
        built[0].apply_gradients([([1.0], keras.Variable([1.0]))])


def test_a_variable_given_twice(built):
    optimizer, kernel, _ = built
    with pytest.raises(ValueError, match="adam: variable 'kernel' was given twice"):
        optimizer.apply_gradients([([1.0, 1.0], kernel), ([1.0, 1.0], kernel)])


def test_a_gradient_that_is_no_array(built):
    optimizer, kernel, _ = built
    with pytest.raises(TypeError, match="expected a tensor, an array or a number, got 'x'"):
        optimizer.apply_gradients([("x", kernel)])


def test_some_gradients_are_missing():
    kernel, bias = variable(name="kernel"), variable((5.0,), name="bias")
    optimizer = SGD(1.0, name="sgd")
    with pytest.warns(UserWarning, match="sgd: no gradient for 'bias'; the other") as caught:
        optimizer.apply_gradients([([1.0, 1.0], kernel), (None, bias)])
    assert len(caught) == 1 and caught[0].filename == __file__
    assert kernel.numpy().tolist() == [0.0, 1.0] and bias.numpy().tolist() == [5.0]
    optimizer.apply_gradients([([1.0, 1.0], kernel), (None, bias)])  # said once
    assert kernel.numpy().tolist() == [-1.0, 0.0]


# Custom optimizers ---------------------------------------------------------------------------


class Momentum(optimizers.Optimizer):
    """As people write one for Keras."""

    def __init__(self, learning_rate=0.01, decay=0.9, **kwargs):
        self.decay = decay
        super().__init__(learning_rate, **kwargs)

    def build(self, variables):
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, m * self.decay - gradient * learning_rate)
        self.assign_add(variable, m)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipnorm": 0.5, "weight_decay": 0.1},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
        {"loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5},
        {"centralize_gradients": True},
    ],
    ids=str,
)
def test_update_step(options):
    mine, theirs, traced = ([variable(), variable((5.0,))] for _ in range(3))
    custom, original = Momentum(0.1, **options), SGD(0.1, momentum=0.9, **options)
    within = Momentum(0.1, **options)
    run = weft.function(lambda *grads: within.apply_gradients(zip(grads, traced)))
    for k in range(5):
        grads = [np.array([k, 1.0], "float32"), np.array([-1.0], "float32")]
        custom.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip(grads, theirs))
        run(*grads)
        if k == 1:
            count = weft.config.compile_count()
    assert weft.config.compile_count() == count
    for a, b, c in zip(mine, theirs, traced):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
        np.testing.assert_allclose(c.numpy(), b.numpy(), rtol=1e-5)
    assert int(custom.iterations) == 5 // options.get("gradient_accumulation_steps", 1)
    assert custom.variables[-1].name == "v_momentum"


def test_update_step_limits():
    held, late = variable(name="held"), variable(name="late")
    optimizer = Momentum(0.1, name="m")
    optimizer.apply_gradients([([1.0, 1.0], held)])
    with pytest.raises(ValueError, match="m: 'late' are not among the 1 variables"):
        optimizer.apply_gradients([([1.0, 1.0], late)])
    assert late.numpy().tolist() == [1.0, 2.0] and int(optimizer.iterations) == 1


class Halved(optimizers.Adam):
    """Keras's way of changing an optimizer that there is."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * 0.5, variable, learning_rate)


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}], ids=str)
def test_update_step_around_a_rule(options):
    mine, theirs = [variable(), variable((5.0,))], [variable(), variable((5.0,))]
    custom, original = Halved(0.1, **options), Adam(0.1, **options)
    for k in range(5):
        grads = [np.array([k, 1.0], "float32"), np.array([-1.0], "float32")]
        custom.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip([g * 0.5 for g in grads], theirs))
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    for a, b in zip(custom.variables, original.variables):
        if "accumulator" not in a.path:  # sums of what was given
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)


class Sign(optimizers.Optimizer):
    """A rule of the user's own: one node."""

    def slot_names(self):
        return (("last",),)

    @staticmethod
    def rule(grads, params, slots, rate, count):
        signs = [(g > 0) * 2.0 - 1.0 for g in grads]
        return [p - rate * s for p, s in zip(params, signs)], signs


def test_rule():
    held = variable((1.0, 1.0))
    optimizer = Sign(0.5)
    optimizer.apply_gradients([([3.0, -0.1], held)])
    assert held.numpy().tolist() == [0.5, 1.5]
    assert optimizer.variables[-1].numpy().tolist() == [1.0, -1.0]


def test_incomplete_optimizers_say_so():
    class Empty(optimizers.Optimizer):
        pass

    class Forgetful(optimizers.Optimizer):
        def __init__(self):
            pass

    with pytest.raises(NotImplementedError, match="Empty has neither a `rule` nor an `update_step"):
        Empty(0.1).apply_gradients([([1.0, 1.0], variable())])
    with pytest.raises(RuntimeError, match=r"Forgetful.__init__ does not call super\(\).__init__"):
        Forgetful().apply_gradients([([1.0, 1.0], variable())])


# Lookups -------------------------------------------------------------------------------------


def test_get():
    made = Adam()
    assert optimizers.get(made) is made
    assert type(optimizers.get("adamw")) is type(optimizers.get("AdamW")) is optimizers.AdamW
    config = optimizers.serialize(Adam(schedules.InverseTimeDecay(0.1, 5, 0.5)))
    again = optimizers.get(config)
    assert float(again.learning_rate) == pytest.approx(0.1)
    config = {"class_name": "Sign", "config": {"learning_rate": 0.5}}
    assert type(optimizers.deserialize(config, {"Sign": Sign})) is Sign


def test_get_errors():
    message = r"unknown optimizer 'adaam'. Did you mean 'adam' or 'nadam' or 'adamw'\?"
    with pytest.raises(ValueError, match=message):
        optimizers.get("adaam")
    with pytest.raises(TypeError, match=r"got <class .*Adam'> of type type. Make one: Adam\(\)"):
        optimizers.get(Adam)
    with pytest.raises(TypeError, match=r"an optimizer is given as .* got 3 of type int"):
        optimizers.get(3)
    with pytest.raises(TypeError, match="got None of type NoneType"):
        optimizers.get(None)


def test_optax_is_imported_when_it_is_used():
    code = (
        "import sys, weft.optimizers as o; o.Adam(); o.get('sgd')\n"
        "assert 'optax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
    assert optax.adam  # what the child must not have
