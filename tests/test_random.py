"""Random tensors: distributions, seeds, and state that moves on in every way of running."""

import numpy as np
import pytest

import weft
from weft import ops, random

N = (20_000,)
DRAWS = {
    "normal": (lambda **o: random.normal(N, 1.0, 2.0, **o), 1.0, 2.0),
    "uniform": (lambda **o: random.uniform(N, -1.0, 3.0, **o), 1.0, 4 / 12**0.5),
    "truncated_normal": (lambda **o: random.truncated_normal(N, 1.0, 2.0, **o), 1.0, 1.7593),
    "randint": (lambda **o: random.randint(N, 0, 5, **o), 2.0, 2**0.5),
    "gamma": (lambda **o: random.gamma(N, 4.0, **o), 4.0, 2.0),
    "beta": (lambda **o: random.beta(N, 2.0, 2.0, **o), 0.5, 0.05**0.5),
    "binomial": (lambda **o: random.binomial(N, 10.0, 0.5, **o), 5.0, 2.5**0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_distribution(name):
    draw, mean, stddev = DRAWS[name]
    drawn = draw(seed=3)
    values = drawn.numpy()
    assert values.mean() == pytest.approx(mean, abs=0.04 * stddev)
    assert values.std() == pytest.approx(stddev, rel=0.04)
    assert drawn.dtype == ("int32" if name == "randint" else "float32")
    np.testing.assert_array_equal(values, draw(seed=3).numpy())
    assert (values != draw(seed=4).numpy()).any()
    assert (draw().numpy() != draw().numpy()).any()


def test_ranges():
    assert np.abs(random.truncated_normal(N).numpy()).max() <= 2
    uniform = random.uniform(N).numpy()
    assert uniform.min() >= 0 and uniform.max() < 1
    assert set(random.randint(N, -2, 2).numpy()) == {-2, -1, 0, 1}
    assert random.uniform((3,), 0, 9, "int32").dtype == "int32"
    assert random.normal((2, 3), dtype="bfloat16").dtype == "bfloat16"


def test_parameters_may_be_tensors():
    drawn = random.normal((1000, 2), weft.Variable([0.0, 100.0]), [1.0, 0.1]).numpy()
    assert drawn.std(0) == pytest.approx([1.0, 0.1], rel=0.1)


def test_categorical():
    drawn = random.categorical(np.log([[0.2, 0.8], [1.0, 1e-9]]), 5000, seed=1).numpy()
    assert drawn.shape == (2, 5000) and drawn.mean(1) == pytest.approx([0.8, 0.0], abs=0.03)


def test_shuffle():
    x = np.arange(60).reshape(20, 3)
    rows = random.shuffle(x, seed=1).numpy()
    assert (rows != x).any() and sorted(rows.tolist()) == x.tolist()
    assert sorted(random.shuffle(x, 1, 2).numpy().T.tolist()) == x.T.tolist()


def test_dropout():
    x = np.ones((200, 50), "float32")
    dropped = random.dropout(x, 0.25).numpy()
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.02)
    together = random.dropout(x, 0.5, (None, 1)).numpy()
    assert (together == together[:, :1]).all()
    assert (random.dropout(x, 0.0).numpy() == 1).all()
    assert (random.dropout(x, 1.0).numpy() == 0).all()


def test_dropout_gradient_has_the_mask():
    x = ops.ones((50,))
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = random.dropout(x, 0.5)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), y.numpy())


def test_global_seed():
    drawn = []
    for _ in range(2):
        random.set_seed(11)
        drawn.append([random.normal((3,)).numpy(), random.normal((3,)).numpy()])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[0][1]).all()


def test_a_generator_moves_on_inside_a_function():
    def twice(generator):
        return random.normal((2,), seed=generator), random.normal((2,), seed=generator)

    loop, traced = random.SeedGenerator(7), random.SeedGenerator(7)
    compiled = weft.function(lambda: twice(traced))
    for _ in range(2):
        np.testing.assert_array_equal(
            [t.numpy() for t in twice(loop)], [t.numpy() for t in compiled()]
        )
    assert loop.state.numpy().tolist() == traced.state.numpy().tolist() == [7, 4]


def test_a_changing_rate_compiles_nothing():
    random.dropout(ops.ones(8), 0.1).numpy()
    before = weft.config.compile_count()
    for rate in (0.2, 0.3):
        random.dropout(ops.ones(8), rate).numpy()
    assert weft.config.compile_count() == before


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: random.normal((2,), seed=-1), "non-negative integer, a SeedGenerator or None"),
        (lambda: random.normal((2,), dtype="int32"), "random.normal draws floats, got dtype 'int"),
        (lambda: random.randint((2,), 0, 2, "float32"), "draws integers, got dtype 'float32'"),
        (lambda: random.dropout(ops.ones(2), 1.5), r"rate must be in \[0, 1\], got 1.5"),
        (lambda: random.categorical([0.1, 0.2], 3), r"shape \(batch, classes\), got \(2,\)"),
        (lambda: random.SeedGenerator("a"), "non-negative integer seed, got 'a'"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
