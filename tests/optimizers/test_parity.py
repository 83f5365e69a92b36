"""Trajectories against Keras 3 on JAX: twenty steps, each optimizer with each of its options."""

import inspect
import itertools

import keras
import numpy as np
import pytest

import weft
from weft import optimizers

# Keras's own variables lack `copy` in `__array__`, and its configs are made by way of it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SHAPES = {"dense/kernel": (3, 4), "dense/bias": (4,), "scale": ()}


def start(dtype="float32"):
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    mine, theirs = [], []
    for path, value in values.items():
        name = path.split("/")[-1]
        variable = weft.Variable(value, dtype=dtype, name=name)
        variable.path = path
        mine.append(variable)
        theirs.append(keras.Variable(value, dtype=dtype, name=name))
    return mine, theirs


def gradients(steps=20, scale=1.0):
    rng = np.random.default_rng(2)
    return [
        [(scale * rng.normal(size=shape)).astype("float32") for shape in SHAPES.values()]
        for _ in range(steps)
    ]


def assert_same(mine, theirs, rtol=2e-5, atol=2e-6):
    for a, b in zip(mine, theirs, strict=True):
        b = keras.ops.convert_to_numpy(b)
        np.testing.assert_allclose(
            a.numpy().astype("float32"), b.astype("float32"), rtol=rtol, atol=atol
        )


def assert_same_state(ours, original):
    mine, theirs = ours.variables, original.variables
    assert [v.shape for v in mine] == [tuple(v.shape) for v in theirs]
    assert [v.dtype for v in mine] == [v.dtype for v in theirs]
    if isinstance(ours, optimizers.Adafactor):  # a matrix's velocity is a slot that is never used
        used = [not v.path.endswith("kernel_velocity") for v in mine]
        mine, theirs = itertools.compress(mine, used), itertools.compress(theirs, used)
    assert_same(mine, theirs)


def follow(name, options, steps=20, scale=1.0, setup=lambda optimizer, variables: None):
    mine, theirs = start()
    ours = getattr(optimizers, name)(**options(optimizers))
    original = getattr(keras.optimizers, name)(**options(keras.optimizers))
    setup(ours, mine)
    setup(original, theirs)
    for grads in gradients(steps, scale):
        ours.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip(grads, theirs))
        assert_same(mine, theirs)
    assert_same_state(ours, original)
    return ours, original, mine, theirs


OWN = [
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.5, "epsilon": 0.01}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.2, "relative_step": False}),
    (
        "Adafactor",
        {
            "learning_rate": 0.5,
            "beta_2_decay": -0.3,
            "epsilon_1": 0.01,
            "epsilon_2": 0.1,
            "clip_threshold": 0.5,
        },
    ),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.5, "initial_accumulator_value": 0.0, "epsilon": 0.01}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True, "beta_2": 0.5}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.5, "amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.5, "learning_rate_power": -0.8, "initial_accumulator_value": 0.3}),
    ("Ftrl", {"learning_rate": 0.5, "learning_rate_power": 0.0}),
    ("Ftrl", {"learning_rate": 0.5, "l1_regularization_strength": 0.5}),
    ("Ftrl", {"learning_rate": 0.5, "l2_regularization_strength": 0.7}),
    ("Ftrl", {"learning_rate": 0.5, "l2_shrinkage_regularization_strength": 0.7}),
    ("Ftrl", {"learning_rate": 0.5, "beta": 0.7}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.5}),
    ("Lion", {"beta_1": 1.0}),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.1, "nesterov": False, "momentum": 0.5}),
    (
        "Muon",
        {
            "learning_rate": 0.1,
            "rms_rate": None,
            "ns_steps": 2,
            "muon_a": 3.0,
            "muon_b": -4.0,
            "muon_c": 2.0,
        },
    ),
    (
        "Muon",
        {
            "learning_rate": 0.1,
            "exclude_layers": ["ern"],
            "adam_beta_1": 0.5,
            "adam_beta_2": 0.5,
            "epsilon": 0.1,
            "adam_lr_ratio": 0.5,
            "adam_weight_decay": 0.3,
        },
    ),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.7, "momentum": 0.9}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "centered": True}),
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("ScheduleFreeAdamW", {}),
    (
        "ScheduleFreeAdamW",
        {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1, "warmup_steps": 7},
    ),
]
NAMES = list(dict.fromkeys(name for name, _ in OWN))
SHARED = [
    {"weight_decay": 0.1},
    {"clipvalue": 0.3},
    {"clipnorm": 0.5},
    {"global_clipnorm": 0.5},
    {"global_clipnorm": 1000.0},
    {"loss_scale_factor": 8.0},
    {"use_ema": True, "ema_momentum": 0.7},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "weight_decay": 0.1},
]


@pytest.mark.parametrize(("name", "options"), OWN, ids=str)
def test_own_options(name, options):
    follow(name, lambda module: options)


@pytest.mark.parametrize("options", SHARED, ids=str)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_shared_options(name, options):
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    follow(name, lambda module: {"learning_rate": 0.1, **momentum, **options}, steps=9)


TOGETHER = [
    {"clipnorm": 0.5, "weight_decay": 0.5},
    {"clipvalue": 0.3, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {
        "global_clipnorm": 0.5,
        "weight_decay": 0.1,
        "use_ema": True,
        "ema_momentum": 0.7,
        "ema_overwrite_frequency": 4,
        "gradient_accumulation_steps": 2,
    },
]


@pytest.mark.parametrize("options", TOGETHER, ids=["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("name", NAMES)
def test_everything_together(name, options):
    """A schedule, a way of clipping, decay with exclusions, averages, accumulation."""
    steps = 12 if "gradient_accumulation_steps" in options else 20  # they are slow in Keras

    def make(module):
        rate = module.schedules.ExponentialDecay(0.1, 8, 0.5, staircase=True)
        return {"learning_rate": rate, **options}

    def spare(optimizer, variables):
        optimizer.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bias"])

    follow(name, make, steps, setup=spare)


@pytest.mark.parametrize(("name", "options"), OWN, ids=str)
def test_state_goes_over_from_keras(name, options):
    """Variable by variable, as a file has it, and the trajectory goes on."""
    mine, theirs = start()
    ours = getattr(optimizers, name)(**options)
    original = getattr(keras.optimizers, name)(**options)
    first, second, *rest = gradients(5)
    for grads in (first, second):
        original.apply_gradients(zip(grads, theirs))
    ours.build(mine)
    for a, b in zip([*ours.variables, *mine], [*original.variables, *theirs], strict=True):
        a.assign(np.array(keras.ops.convert_to_numpy(b)))
    for grads in rest:
        ours.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip(grads, theirs))
        assert_same(mine, theirs)
    assert_same_state(ours, original)


def test_accumulation_with_average():
    options = {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 2}
    ours, original, *_ = follow("Adam", lambda module: options, steps=10)
    assert int(ours.iterations) == int(original.iterations) == 5


def test_schedules():
    for make in (
        lambda m: m.schedules.ExponentialDecay(0.1, 3, 0.5),
        lambda m: m.schedules.PiecewiseConstantDecay([2, 5], [0.1, 0.02, 0.5]),
    ):
        ours, original, *_ = follow("Adam", lambda m, make=make: {"learning_rate": make(m)})
        np.testing.assert_allclose(
            float(ours.learning_rate), float(original.learning_rate), rtol=1e-6
        )


def test_changed_rate():
    mine, theirs = start()
    ours, original = optimizers.Adam(0.1), keras.optimizers.Adam(0.1)
    for k, grads in enumerate(gradients()):
        ours.learning_rate = original.learning_rate = 0.1 / (k + 1)
        ours.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip(grads, theirs))
    assert_same(mine, theirs)


def test_exclude_from_weight_decay():
    def spare(optimizer, variables):
        optimizer.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bias"])

    options = {"learning_rate": 0.1, "weight_decay": 0.5}
    _, _, mine, _ = follow("AdamW", lambda m: options, setup=spare)
    _, _, decayed, _ = follow("AdamW", lambda m: options)
    same = [np.array_equal(a.numpy(), b.numpy()) for a, b in zip(mine, decayed)]
    assert same == [True, False, False]  # only the kernel decays in both


def test_finalize_variable_values():
    options = {"use_ema": True, "ema_momentum": 0.6}
    ours, original, mine, theirs = follow("SGD", lambda m: options)
    before = mine[0].numpy()
    ours.finalize_variable_values(mine)
    original.finalize_variable_values(theirs)
    assert_same(mine, theirs)
    assert not np.array_equal(before, mine[0].numpy())


@pytest.mark.parametrize("name", NAMES)
def test_variables_have_keras_names_and_order(name):
    options = {"use_ema": True, "gradient_accumulation_steps": 2, "name": "opt"}
    options |= {"amsgrad": True} if name.startswith("Adam") and name != "Adamax" else {}
    ours, original, *_ = follow(name, lambda m: options, steps=1)
    # Keras's own variables were made with their bare names as paths.
    names = [v.path.replace("dense_", "") for v in ours.variables]
    theirs = [v.path for v in original.variables]
    if name == "Nadam":  # Keras makes up a name
        assert names.pop() == "opt/u_product"
        theirs.pop()
    if name == "Adafactor":  # Keras names rows, columns and their stand-ins after the variable
        named = [k for k, v in enumerate(names) if not v.endswith(("_row", "_column"))]
        assert len(names) - len(named) == 6
        names, theirs = ([paths[k] for k in named] for paths in (names, theirs))
    assert names == theirs
    assert [v.dtype for v in ours.variables] == [v.dtype for v in original.variables]


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_keras(name):
    def defaults(module):
        given = inspect.signature(getattr(module, name)).parameters.values()
        return {p.name: p.default for p in given if p.kind is not p.VAR_KEYWORD}

    theirs, mine = defaults(keras.optimizers), defaults(optimizers)
    # What all optimizers take stands in one place, after each one's own.
    assert mine.items() <= theirs.items()
    assert list(mine) == [key for key in theirs if key in mine]
    shared = inspect.signature(optimizers.Optimizer).parameters
    assert set(theirs) - set(mine) <= set(shared)


@pytest.mark.parametrize(("name", "options"), OWN, ids=str)
def test_config_is_keras(name, options):
    ours = getattr(optimizers, name)(**options, name="o")
    original = getattr(keras.optimizers, name)(**options, name="o")
    assert ours.get_config() == original.get_config()
    # Keras itself does not find "Lamb" by its name.
    own = {"Lamb": keras.optimizers.Lamb}
    made = keras.optimizers.deserialize(optimizers.serialize(ours), custom_objects=own)
    assert type(made) is type(original)
    assert made.get_config() == original.get_config()
    again = optimizers.deserialize(keras.optimizers.serialize(original))
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_vanish_or_overflow(name):
    mine, theirs = start()
    ours, original = getattr(optimizers, name)(0.1), getattr(keras.optimizers, name)(0.1)
    for scale in (0.0, 1e-25, 1e15, 0.0):
        (grads,) = gradients(1, scale)
        ours.apply_gradients(zip(grads, mine))
        original.apply_gradients(zip(grads, theirs))
        assert_same(mine, theirs)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_narrow_variables(name, dtype):
    """Closer to the float32 trajectory than Keras, which computes in the narrow dtype."""
    runs = {}
    for kind, module in (("ours", optimizers), ("keras", keras.optimizers)):
        for wide in (dtype, "float32"):
            mine, theirs = start(wide)
            variables = mine if kind == "ours" else theirs
            # An epsilon that float16 can represent.
            extra = {"epsilon": 1e-3} if name == "Adam" else {"momentum": 0.9}
            optimizer = getattr(module, name)(0.05, **extra)
            for grads in gradients():
                cast = [weft.engine.as_tensor(g, wide) for g in grads]
                cast = cast if kind == "ours" else [keras.ops.cast(g, wide) for g in grads]
                optimizer.apply_gradients(zip(cast, variables))
            runs[kind, wide] = [
                np.asarray(keras.ops.convert_to_numpy(v) if kind == "keras" else v.numpy())
                .astype("float32")
                .ravel()
                for v in variables
            ]
    exact = np.concatenate(runs["keras", "float32"])
    errors = {k: np.abs(np.concatenate(runs[k, dtype]) - exact).max() for k in ("ours", "keras")}
    assert errors["ours"] <= max(1.1 * errors["keras"], 1e-3)
    tolerance = {"bfloat16": 5e-2, "float16": 5e-3}[dtype]
    assert errors["ours"] < tolerance
