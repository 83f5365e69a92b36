"""Variables and gradients of unusual shape and size, and hyperparameters out of range."""

import numpy as np
import pytest

import weft
from weft import optimizers

NAMES = [
    "Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "Ftrl", "Lamb", "Lion", "Muon", "Nadam",
    "RMSprop", "SGD", "ScheduleFreeAdamW",
]  # fmt: skip
SHAPES = [(), (1,), (0,), (0, 3), (3, 0), (1, 1), (1, 4), (2, 3, 4), (2, 0, 4)]
BAD = [
    ("Adadelta", {"rho": 1.0}, r"Adadelta: rho must be a number in \[0, 1\), got 1.0"),
    ("Adadelta", {"epsilon": -1.0}, "Adadelta: epsilon must be a number of at least 0, got -1.0"),
    ("Adafactor", {"beta_2_decay": 0.8}, "Adafactor: beta_2_decay must be at most 0, got 0.8"),
    ("Adafactor", {"epsilon_1": -1e-3}, "Adafactor: epsilon_1 .* at least 0, got -0.001"),
    ("Adafactor", {"epsilon_2": None}, "Adafactor: epsilon_2 must be a number .* got None"),
    ("Adafactor", {"clip_threshold": 0}, "Adafactor: clip_threshold must be above 0, got 0"),
    ("Adagrad", {"initial_accumulator_value": -0.1}, "initial_accumulator_value .*, got -0.1"),
    ("Adagrad", {"epsilon": float("nan")}, "Adagrad: epsilon .* got nan"),
    ("Adamax", {"beta_1": 1.0}, r"Adamax: beta_1 must be a number in \[0, 1\), got 1.0"),
    ("Adamax", {"beta_2": -0.1}, "Adamax: beta_2"),
    ("Ftrl", {"learning_rate": 0.0}, "Ftrl: the learning rate must be above 0"),
    ("Ftrl", {"learning_rate_power": 0.5}, "Ftrl: learning_rate_power .* at most 0, got 0.5"),
    ("Ftrl", {"initial_accumulator_value": -1}, "Ftrl: initial_accumulator_value .*, got -1"),
    ("Ftrl", {"l1_regularization_strength": -1}, "Ftrl: l1_regularization_strength"),
    ("Ftrl", {"l2_regularization_strength": -1}, "Ftrl: l2_regularization_strength"),
    ("Ftrl", {"l2_shrinkage_regularization_strength": -1}, "Ftrl: l2_shrinkage"),
    ("Ftrl", {"beta": -1}, "Ftrl: beta must be a number of at least 0, got -1"),
    ("Lamb", {"beta_2": 1.5}, "Lamb: beta_2"),
    ("Lamb", {"epsilon": -1e-9}, "Lamb: epsilon"),
    ("Lion", {"beta_1": 0.0}, r"Lion: beta_1 must be a number in \(0, 1\], got 0.0"),
    ("Lion", {"beta_2": 1.0}, "Lion: beta_2"),
    ("Muon", {"momentum": 1.0}, "Muon: momentum"),
    ("Muon", {"adam_beta_1": 2.0}, "Muon: adam_beta_1"),
    ("Muon", {"ns_steps": 0}, "Muon: ns_steps must be an integer of at least 1, got 0"),
    ("Muon", {"ns_steps": 2.5}, "Muon: ns_steps must be an integer of at least 1, got 2.5"),
    ("Muon", {"adam_weight_decay": -1.0}, "Muon: adam_weight_decay"),
    ("Muon", {"adam_lr_ratio": -1.0}, "Muon: adam_lr_ratio"),
    ("Muon", {"rms_rate": -0.2}, "Muon: rms_rate"),
    ("Nadam", {"beta_1": "0.9"}, "Nadam: beta_1 must be a number .* got '0.9'"),
    ("ScheduleFreeAdamW", {"warmup_steps": -1}, "warmup_steps must be an integer .* got -1"),
    ("ScheduleFreeAdamW", {"warmup_steps": 1.5}, "warmup_steps must be an integer .* got 1.5"),
    ("ScheduleFreeAdamW", {"beta_1": 1.0}, "ScheduleFreeAdamW: beta_1"),
]


def made(name, rate=0.1, **further):
    """Without the decay that is one of its defaults."""
    if name == "Muon":
        further = {"weight_decay": None, "adam_weight_decay": None, **further}
    return getattr(optimizers, name)(rate, **further)


@pytest.mark.parametrize(("name", "options", "text"), BAD, ids=lambda x: str(x)[:40])
def test_bad_hyperparameters(name, options, text):
    with pytest.raises(ValueError, match=text):
        getattr(optimizers, name)(**options)


@pytest.mark.parametrize("wrong", ["dense", [1]], ids=str)
def test_muon_needs_a_list_of_names(wrong):
    with pytest.raises(TypeError, match="Muon: exclude_layers must be a list of strings, got"):
        optimizers.Muon(exclude_layers=wrong)


@pytest.mark.parametrize("name", NAMES)
def test_every_shape(name):
    """Nothing but finite numbers, of one shape and dtype, for the gradient 0 and another."""
    held = [
        weft.Variable(np.ones(shape, "float32"), name=f"v{k}") for k, shape in enumerate(SHAPES)
    ]
    optimizer = made(name)
    specs = []
    for scale in (0.0, 0.5, 0.5, 0.0):
        optimizer.apply_gradients([(np.full(v.shape, scale, "float32"), v) for v in held])
        specs.append([(v.path, v.shape, v.dtype) for v in (*held, *optimizer.variables)])
        assert all(np.isfinite(v.numpy()).all() for v in (*held, *optimizer.variables))
    assert specs.count(specs[0]) == 4
    assert [v.shape for v in held] == SHAPES
    assert all(np.all(v.numpy() < 1) for v in held)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-30, 1e18])
def test_tiny_and_huge_gradients(name, scale):
    held = [weft.Variable(np.ones(shape, "float32")) for shape in ((2, 3), (3,), ())]
    optimizer = made(name, clipvalue=1e4)
    for sign in (1, -1, 1):
        optimizer.apply_gradients([(np.full(v.shape, sign * scale, "float32"), v) for v in held])
    assert all(np.isfinite(v.numpy()).all() for v in (*held, *optimizer.variables))


@pytest.mark.parametrize("name", NAMES)
def test_groupings(name):
    """One variable at each update, in turn, is as an optimizer for each that saw every update."""
    shapes, grads = ((2, 3), (3,)), np.random.default_rng(0).normal(size=(6, 6)).astype("float32")
    together = [weft.Variable(np.ones(shape, "float32")) for shape in shapes]
    alone = [weft.Variable(np.ones(shape, "float32")) for shape in shapes]
    one, others = made(name), [made(name) for _ in shapes]
    one.build(together)
    for k, row in enumerate(grads):
        turn = k % 2
        pair = together[turn], alone[turn]
        grad = row[: pair[0].numpy().size].reshape(shapes[turn])
        one.apply_gradients([(grad, pair[0])])
        others[turn].build([pair[1]])
        # The count of updates, and what depends on it alone, are all that the two share.
        others[turn].iterations.assign(k)
        products = [v for v in others[turn].variables if v.path.endswith("u_product")]
        for v in products:
            v.assign(np.prod([0.9 * (1 - 0.5 * 0.96**t) for t in range(1, k + 1)]))
        others[turn].apply_gradients([(grad, pair[1])])
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6)
    assert int(one.iterations) == 6


def test_ftrl_without_gradients():
    """What was never of use is 0, whatever it was at first."""
    v = weft.Variable([3.0, -2.0])
    optimizers.Ftrl(0.1, initial_accumulator_value=0.0).apply_gradients([([0.0, 0.0], v)])
    assert np.array_equal(v.numpy(), [0.0, 0.0])


def test_ftrl_makes_zeros():
    """A feature of no weight in the loss has exactly none, under an l1 penalty."""
    v = weft.Variable([0.1, 0.1])
    optimizer = optimizers.Ftrl(0.5, l1_regularization_strength=0.3)
    for _ in range(50):
        value = v.numpy()
        optimizer.apply_gradients([((value - [2.0, 0.0]).astype("float32"), v)])
    assert v.numpy()[1] == 0
    assert v.numpy()[0] > 1


def test_lamb_of_norm_zero():
    """Where the variable or the step is 0, the ratio of the two norms is 1."""
    zeros, ones = weft.Variable([0.0, 0.0]), weft.Variable([1.0, 1.0])
    lamb = optimizers.Lamb(0.5)
    lamb.apply_gradients([([1.0, -4.0], zeros), ([0.0, 0.0], ones)])
    np.testing.assert_allclose(zeros.numpy(), [-0.5, 0.5], rtol=1e-4)
    assert np.array_equal(ones.numpy(), [1.0, 1.0])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_muon_steps_along_the_polar_factor(shape):
    """With coefficients for which the iteration converges: U Vᵀ of the gradient U S Vᵀ."""
    grad = np.random.default_rng(3).normal(size=shape).astype("float32")
    v = weft.Variable(np.zeros(shape, "float32"))
    muon = made(
        "Muon", 1.0, nesterov=False, rms_rate=None, ns_steps=25, muon_a=1.5, muon_b=-0.5, muon_c=0.0
    )
    muon.apply_gradients([(grad, v)])
    u, _, vt = np.linalg.svd(grad, full_matrices=False)
    np.testing.assert_allclose(-v.numpy(), u @ vt, atol=1e-5)


def test_muon_chooses_by_path_and_rank():
    paths = ["dense/kernel", "dense/bias", "my_Embedding/table", "head/kernel", "conv/kernel"]
    shapes = [(2, 3), (3,), (4, 2), (3, 2), (2, 2, 3)]
    held = []
    for path, shape in zip(paths, shapes):
        held.append(weft.Variable(np.ones(shape, "float32"), name=path.split("/")[-1]))
        held[-1].path = path

    def by_adam(**options):
        muon = optimizers.Muon(**options)
        muon.build(held)
        slots = [v.path for v in muon.variables]
        return [p for p in paths if f"{muon.name}/{p.replace('/', '_')}_velocity" in slots]

    assert by_adam() == ["dense/bias", "my_Embedding/table", "conv/kernel"]
    assert by_adam(exclude_embeddings=False) == ["dense/bias", "conv/kernel"]
    assert by_adam(exclude_layers=["^head"]) == [p for p in paths if p != "dense/kernel"]


def test_schedule_free_variables_lie_between_the_iterates_and_their_mean():
    optimizer = optimizers.ScheduleFreeAdamW(0.1, beta_1=0.8)
    start = np.array([1.0, -2.0, 0.5], "float32")
    v = weft.Variable(start)
    optimizer.build([v])
    iterates, rng = [], np.random.default_rng(4)
    assert np.array_equal(optimizer.variables[2].numpy(), start)
    for _ in range(8):
        optimizer.apply_gradients([(rng.normal(size=3).astype("float32"), v)])
        iterates.append(optimizer.variables[2].numpy())
        expected = 0.2 * iterates[-1] + 0.8 * np.mean(iterates, 0)
        np.testing.assert_allclose(v.numpy(), expected, rtol=1e-5)


def test_schedule_free_starts_where_the_variable_is():
    """Also when its first update is being traced, after an assignment in the same function."""
    v = weft.Variable([1.0, 2.0])
    optimizer = optimizers.ScheduleFreeAdamW(0.5, beta_1=0.0)

    @weft.function
    def update(grad):
        optimizer.apply_gradients([(grad, v)])

    update(np.array([1.0, -1.0], "float32"))
    np.testing.assert_allclose(v.numpy(), [0.5, 2.5], rtol=1e-6)


def test_fit_ends_with_the_averages():
    """They are in the model when the callbacks hear of the end."""
    seen = []

    class Watch(weft.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(float(self.model.weights[0][0, 0]))

        def on_train_end(self, logs=None):
            self.on_epoch_end(-1)

    model = weft.Sequential([weft.Input((1,)), weft.layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    ones = np.ones((2, 1), "float32")
    model.fit(ones, 0 * ones, batch_size=1, verbose=0, callbacks=[Watch()])
    # Keras's numbers. The first average is the first new value, 0.8.
    np.testing.assert_allclose(seen, [0.68, 0.74], rtol=1e-6)


def test_nadam_has_one_product_for_all():
    held = [
        weft.Variable(1.0, name="a"),
        weft.Variable(1.0, name="b"),
        weft.Variable(1.0, name="c"),
    ]
    nadam = optimizers.Nadam(0.1)
    nadam.apply_gradients([(1.0, held[0]), (1.0, held[1])])
    nadam.apply_gradients([(1.0, v) for v in held])
    products = [v for v in nadam.variables if v.path.endswith("u_product")]
    assert len(products) == 1
    expected = 0.9**2 * (1 - 0.5 * 0.96) * (1 - 0.5 * 0.96**2)
    np.testing.assert_allclose(float(products[0]), expected, rtol=1e-6)


def test_adafactor_keeps_rows_and_columns():
    v = weft.Variable(np.ones((2, 3, 4), "float32"), name="k")
    adafactor = optimizers.Adafactor(name="a")
    adafactor.build([v, weft.Variable(np.ones(3, "float32"), name="b")])
    found = {w.path: (w.shape, w.dtype) for w in adafactor.variables[2:]}
    assert found == {
        "a/k_row": ((2, 3), "float32"),
        "a/k_column": ((2, 4), "float32"),
        "a/k_velocity": ((2, 3, 4), "float32"),
        "a/b_row": ((), "int32"),
        "a/b_column": ((), "int32"),
        "a/b_velocity": ((3,), "float32"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_found_by_name(name):
    assert type(optimizers.get(name)) is getattr(optimizers, name)
    assert type(optimizers.get(name.lower())) is getattr(optimizers, name)
