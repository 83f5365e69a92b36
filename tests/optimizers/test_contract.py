"""What holds for every optimizer: being listed here is passing these."""

import copy
import pickle

import numpy as np
import optax
import pytest

import weft
from weft import optimizers


def around(make):
    """An optimizer made of another: what is asked for is for the one inside."""

    def outer(name=None, **further):
        return make(optimizers.Adam(0.1, name=name and f"{name}_inside", **further), name=name)

    return outer


# Each is listed with every way of being made that changes its mathematics or its slots.
REGISTRY = {
    "sgd": lambda **k: optimizers.SGD(0.1, **k),
    "sgd momentum": lambda **k: optimizers.SGD(0.1, momentum=0.9, **k),
    "sgd nesterov": lambda **k: optimizers.SGD(0.1, momentum=0.9, nesterov=True, **k),
    "rmsprop": lambda **k: optimizers.RMSprop(0.1, **k),
    "rmsprop all": lambda **k: optimizers.RMSprop(0.02, momentum=0.9, centered=True, **k),
    "adam": lambda **k: optimizers.Adam(0.1, **k),
    "adam amsgrad": lambda **k: optimizers.Adam(0.1, amsgrad=True, **k),
    "adamw": lambda **k: optimizers.AdamW(0.1, **k),
    "adam schedule": lambda **k: optimizers.Adam(optimizers.schedules.CosineDecay(0.2, 60), **k),
    "adadelta": lambda **k: optimizers.Adadelta(1.0, rho=0.8, epsilon=0.1, **k),
    "adafactor": lambda **k: optimizers.Adafactor(0.5, **k),
    "adafactor free": lambda **k: optimizers.Adafactor(
        0.1, beta_2_decay=-0.5, clip_threshold=2.0, relative_step=False, **k
    ),
    "adagrad": lambda **k: optimizers.Adagrad(1.0, **k),
    "adamax": lambda **k: optimizers.Adamax(0.2, **k),
    "ftrl": lambda **k: optimizers.Ftrl(1.0, **k),
    "ftrl all": lambda **k: optimizers.Ftrl(
        1.0,
        learning_rate_power=-0.4,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.01,
        l2_shrinkage_regularization_strength=0.01,
        beta=0.1,
        **k,
    ),
    "lamb": lambda **k: optimizers.Lamb(0.1, **k),
    "lion": lambda **k: optimizers.Lion(0.1, **k),
    "muon": lambda **k: optimizers.Muon(0.3, adam_weight_decay=None, **k),
    "muon all": lambda **k: optimizers.Muon(
        0.1, adam_weight_decay=None, nesterov=False, rms_rate=None, adam_lr_ratio=2.0, **k
    ),
    "muon by adam": lambda **k: optimizers.Muon(
        0.1, adam_weight_decay=None, exclude_layers=["kernel"], **k
    ),
    "nadam": lambda **k: optimizers.Nadam(0.1, **k),
    "schedule_free": lambda **k: optimizers.ScheduleFreeAdamW(0.3, **k),
    "schedule_free warmup": lambda **k: optimizers.ScheduleFreeAdamW(0.3, warmup_steps=3, **k),
    "loss_scale": around(optimizers.LossScaleOptimizer),
    "multi": around(
        lambda inside, **k: optimizers.MultiOptimizer(
            optimizers.OptimizerMap(inside, {"bias": optimizers.SGD(0.1, name="other")}), **k
        )
    ),
    "optax": lambda **k: optimizers.OptaxOptimizer(optax.adam(0.1), **k),
    "optax scaled": lambda **k: optimizers.OptaxOptimizer(
        optax.scale_by_adam(), learning_rate=0.1, **k
    ),
}
WITH_CONFIG = [name for name in REGISTRY if not name.startswith("optax")]
WRAPPED = {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.5}

ONE_OF_EACH = {name: make for name, make in REGISTRY.items() if " " not in name}

every = pytest.mark.parametrize("make", REGISTRY.values(), ids=REGISTRY)
error = weft.op(lambda k, b: ((k.sum(1) - b - 1) ** 2).mean(), name="loss")


def variables(dtype="float32"):
    return [
        weft.Variable(np.arange(6.0).reshape(2, 3), dtype=dtype, name="kernel"),
        weft.Variable([1.0, -1.0], dtype=dtype, name="bias"),
    ]


def step(optimizer, held):
    with weft.GradientTape() as tape:
        loss = error(*held)
        scaled = optimizer.scale_loss(loss)
    optimizer.apply_gradients(zip(tape.gradient(scaled, held), held))
    return loss


def values(things):
    return [np.asarray(v.numpy(), "float32") for v in things]


def assert_equal(mine, theirs, rtol=0.0):
    for a, b in zip(values(mine), values(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def test_every_optimizer_is_listed():
    classes = {
        value
        for value in map(optimizers.__dict__.get, optimizers.__all__)
        if isinstance(value, type) and issubclass(value, optimizers.Optimizer)
    }
    assert {type(make()) for make in REGISTRY.values()} == classes - {optimizers.Optimizer}


@every
def test_loss_falls(make):
    optimizer, held = make(), variables()
    losses = [float(step(optimizer, held)) for _ in range(30)]
    assert losses[-1] < 0.2 * losses[0]
    assert int(optimizer.iterations) == 30


@every
def test_second_step_compiles_nothing(make):
    optimizer, held = make(), variables()
    settable = isinstance(getattr(optimizer, "learning_rate", None), weft.Variable)
    step(optimizer, held)
    step(optimizer, held)
    count = weft.config.compile_count()
    for k in range(4):
        if settable:
            optimizer.learning_rate = 0.1 / (k + 2)
        step(optimizer, held)
    assert weft.config.compile_count() == count


@every
@pytest.mark.parametrize("further", [{}, {"gradient_accumulation_steps": 2}], ids=str)
def test_loop_and_function_are_the_same(make, further):
    in_loop, in_function = variables(), variables()
    one, other = make(name="o", **further), make(name="o", **further)
    run = weft.function(lambda: step(other, in_function))
    for _ in range(5):
        step(one, in_loop)
        run()
    assert_equal(in_loop, in_function, 1e-6)
    assert_equal(one.variables, other.variables, 1e-6)
    assert [v.path for v in one.variables] == [v.path for v in other.variables]


@pytest.mark.parametrize("make", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_fit_is_the_loop(make):
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
    y = np.stack([x.sum(1), x[:, 0]], 1)
    shared = {"clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}

    def made():
        weft.random.set_seed(1)
        model = weft.Sequential([weft.Input((3,)), weft.layers.Dense(2)])
        return model, make(name="o", **shared)

    model, optimizer = made()
    model.compile(optimizer, "mse")
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    twin, other = made()
    for _ in range(2):
        for k in (0, 4):
            with weft.GradientTape() as tape:
                loss = ((twin(x[k : k + 4], training=True) - y[k : k + 4]) ** 2).mean()
                loss = other.scale_loss(loss)
            grads = tape.gradient(loss, twin.trainable_variables)
            other.apply_gradients(zip(grads, twin.trainable_variables))
    assert_equal(model.weights, twin.weights, 1e-6)
    assert_equal(optimizer.variables, other.variables, 1e-6)


@every
def test_eager_is_the_same(make):
    lazy, eager = variables(), variables()
    one, other = make(), make()
    for _ in range(3):
        step(one, lazy)
    weft.config.set_eager(True)
    for _ in range(3):
        step(other, eager)
    weft.config.set_eager(False)
    assert_equal(lazy, eager, 1e-5)


@every
def test_an_update_is_one_node(make):
    held = variables()
    optimizer = make(clipnorm=1.0, use_ema=True)
    if optimizer.rule is None:
        return  # it leaves updates to others
    run = weft.function(lambda a, b: optimizer.apply_gradients([(a, held[0]), (b, held[1])]))
    run(np.ones((2, 3), "float32"), np.ones(2, "float32"))
    names = [name for program in run.programs for name in program.graph.op_names()]
    assert names.count("apply_gradients") == 1
    assert set(names) <= {"apply_gradients", "cosine_decay", "read"}


@every
def test_zero_gradient_moves_nothing_at_first(make):
    held = variables()
    optimizer = make(weight_decay=0.0)
    if isinstance(optimizer, optimizers.Ftrl):
        return  # its first update forgets where it began: test_ftrl_without_gradients
    optimizer.apply_gradients([(np.zeros(v.shape, "float32"), v) for v in held])
    assert_equal(held, variables())


@every
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_variables_keep_their_dtype(make, dtype):
    wide, narrow = variables(), variables(dtype)
    one, other = make(), make()
    scale = float(one.scale_loss(weft.convert_to_tensor(0.5)))
    grads = [np.full(v.shape, scale, "float32") for v in wide]
    specs = []
    for _ in range(3):
        one.apply_gradients(zip(grads, wide))
        other.apply_gradients(zip(grads, narrow))
        specs.append([(v.path, v.shape, v.dtype) for v in other.variables])
    assert specs[0] == specs[1] == specs[2]
    assert {v.dtype for v in narrow} == {dtype}
    assert_equal(wide, narrow, {"bfloat16": 3e-2, "float16": 4e-3}[dtype])


@every
def test_a_tape_around_the_update(make):
    """Recorded inside a tape, the update is the same, and runs when it is wanted."""
    inside, outside = variables(), variables()
    one, other = make(), make()
    for _ in range(3):
        with weft.GradientTape():
            step(one, inside)
        step(other, outside)
    assert_equal(inside, outside, 1e-6)


@every
def test_variables_that_come_and_go(make):
    """Freezing and unfreezing: what is left out rests, what joins starts from nothing."""
    held = variables()
    optimizer = make()
    kernel, bias = held
    ones = [np.ones(v.shape, "float32") for v in held]
    optimizer.apply_gradients([(ones[0], kernel)])
    before = values(optimizer.variables)
    rest = bias.numpy()
    optimizer.apply_gradients([(ones[0], kernel)])
    assert np.array_equal(bias.numpy(), rest)
    optimizer.apply_gradients(zip(ones, held))
    assert not np.array_equal(bias.numpy(), rest)
    assert len(optimizer.variables) >= len(before)
    kernel_now = kernel.numpy()
    optimizer.apply_gradients([(ones[1], bias)])
    assert np.array_equal(kernel.numpy(), kernel_now)
    optimizer.apply_gradients(zip(reversed(ones), reversed(held)))
    assert not np.array_equal(kernel.numpy(), kernel_now)
    assert len({v.path for v in optimizer.variables}) == len(optimizer.variables)


@every
def test_order_of_pairs_does_not_matter(make):
    forth, back = variables(), variables()
    one, other = make(), make()
    grads = [np.full((2, 3), 0.5, "float32"), np.array([1.0, -2.0], "float32")]
    for k in range(4):
        one.apply_gradients(zip(grads, forth))
        pairs = list(zip(grads, back))
        other.apply_gradients(pairs if k % 2 else pairs[::-1])
    assert_equal(forth, back, 1e-6)


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize(
    ("make", "through"),
    [(make, copy.deepcopy) for make in REGISTRY.values()]
    # Optax makes its functions inside functions, which cannot be pickled.
    + [(REGISTRY[name], pickled) for name in WITH_CONFIG],
    ids=[f"copy {name}" for name in REGISTRY] + [f"pickle {name}" for name in WITH_CONFIG],
)
def test_a_copy_goes_on_by_itself(make, through):
    held = variables()
    optimizer = make()
    step(optimizer, held)
    twin, twins = through((optimizer, held))
    for _ in range(2):
        step(optimizer, held)
    assert int(twin.iterations) == 1
    for _ in range(2):
        step(twin, twins)
    assert_equal(held, twins)
    assert_equal(optimizer.variables, twin.variables)


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_config_round_trip(name):
    optimizer = REGISTRY[name](**{**WRAPPED, "name": "o"})
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    one, other = variables(), variables()
    for _ in range(3):
        step(optimizer, one)
        step(again, other)
    assert_equal(one, other)


@every
def test_memory_of_the_old_values_is_given_back(make):
    """The buffers that an update replaces are donated to it."""
    held = variables()
    optimizer = make()
    step(optimizer, held)
    everything = [*held, *optimizer.variables]
    old = [v._tensor.array() for v in everything]
    step(optimizer, held)
    replaced = [a for a, v in zip(old, everything) if v._tensor.array() is not a]
    assert len(replaced) > len(held)
    assert all(array.is_deleted() for array in replaced)
