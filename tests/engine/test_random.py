"""Randomness as state: reproducible, moved on by each draw, the same compiled and not."""

import jax
import numpy as np
import pytest

import weft
from weft.engine import (
    SeedGenerator,
    as_tensor,
    draw,
    function,
    global_generator,
    next_host_seed,
    set_seed,
)


def uniform(generator, **params):
    return draw(generator, jax.random.uniform, **params)


def test_a_seed_gives_a_stream():
    a, b = SeedGenerator(7), SeedGenerator(7)
    first = [float(uniform(a)) for _ in range(4)]
    assert first == [float(uniform(b)) for _ in range(4)]
    assert len(set(first)) == 4
    assert [float(uniform(SeedGenerator(8)))] != first[:1]


def test_the_counter_is_state():
    g = SeedGenerator(7)
    assert g.state.numpy().tolist() == [7, 0]
    assert not g.state.trainable and g.state.dtype == "uint32"
    x = [float(uniform(g)) for _ in range(3)]
    assert g.state.numpy().tolist() == [7, 3]
    g.state.assign(np.array([7, 1], "uint32"))
    assert float(uniform(g)) == x[1]


def test_a_function_draws_what_the_loop_draws():
    def run(generator):
        return uniform(generator, shape=(3,)), uniform(generator)

    loop, compiled = SeedGenerator(1), SeedGenerator(1)
    step = function(lambda: run(compiled))
    for _ in range(3):
        for a, b in zip(run(loop), step()):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert len(step.programs) == 1


def test_drawing_compiles_once():
    g = SeedGenerator(1)
    float(uniform(g))
    before = weft.config.compile_count()
    for _ in range(5):
        float(uniform(g))
    assert weft.config.compile_count() == before


def test_operands_and_parameters_of_a_sampler():
    g = SeedGenerator(0)
    low = as_tensor(np.float32(5.0))
    x = draw(
        g, lambda key, low, *, shape: jax.random.uniform(key, shape) + low, (low,), shape=(50,)
    )
    assert x.shape == (50,)
    assert ((x.numpy() >= 5.0) & (x.numpy() < 6.0)).all()


def test_keys():
    g = SeedGenerator(5)
    key = g.next()
    assert (key.shape, key.dtype) == ((2,), "uint32")
    assert g.next().numpy().tolist() != key.numpy().tolist()


def test_set_seed_makes_what_follows_reproducible():
    def run():
        generators = SeedGenerator(), SeedGenerator(), global_generator()
        return [next_host_seed(), *(float(uniform(g)) for g in generators)]

    set_seed(3)
    first = run()
    assert run() != first
    set_seed(3)
    assert run() == first
    set_seed(4)
    assert run() != first
    assert len(set(first)) == 4


def test_configs():
    g = SeedGenerator(9)
    assert SeedGenerator.from_config(g.get_config()).state.numpy().tolist() == [9, 0]


def test_bad_seeds():
    for odd in (-1, 1.5, "a", None):
        with pytest.raises(ValueError, match="set_seed needs a non-negative integer, got"):
            set_seed(odd)
    for odd in (-1, 1.5, "a"):
        with pytest.raises(
            ValueError, match="SeedGenerator needs a non-negative integer seed, got"
        ):
            SeedGenerator(odd)
