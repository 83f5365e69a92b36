"""Initial values: their distributions, their configs, and how they are found."""

import keras
import numpy as np
import pytest

import weft
from weft import initializers

SHAPES = [(120, 80), (3, 3, 20, 30), (4000,)]
RANDOM = [
    initializers.RandomNormal(0.5, 0.2), initializers.RandomUniform(-1.0, 3.0),
    initializers.TruncatedNormal(-1.0, 0.5), initializers.GlorotNormal(),
    initializers.GlorotUniform(), initializers.HeNormal(), initializers.HeUniform(),
    initializers.LecunNormal(), initializers.LecunUniform(),
    initializers.VarianceScaling(0.5, "fan_out", "untruncated_normal"),
    initializers.VarianceScaling(2.0, "fan_avg", "uniform"),
    initializers.VarianceScaling(3.0, "fan_in", "truncated_normal", None, (0, 1), (-1,)),
]  # fmt: skip
FIXED = [
    initializers.Zeros(), initializers.Ones(), initializers.Constant(2.5), initializers.Identity()
]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "shape"),
    [(i, s) for i in RANDOM for s in SHAPES if len(s) > 1 or not getattr(i, "input_axes", None)],
    ids=lambda v: type(v).__name__ if not isinstance(v, tuple) else None,
)
def test_distribution_is_keras(ours, shape):
    theirs = getattr(keras.initializers, type(ours).__name__)(**{**ours.get_config(), "seed": 1})
    got, want = ours(shape), np.asarray(theirs(shape))
    assert got.shape == shape and got.dtype == np.float32
    spread = float(want.std())
    assert got.mean() == pytest.approx(want.mean(), abs=0.1 * spread)
    assert got.std() == pytest.approx(spread, rel=0.06)
    # Cut and uniform distributions end where Keras's do; a normal's ends are a matter of chance.
    bounded = np.abs(want - want.mean()).max() < 2.4 * spread
    assert (np.abs(got - got.mean()).max() < 2.4 * got.std()) == bounded
    if bounded:
        assert got.max() == pytest.approx(want.max(), abs=0.05 * spread)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 5)])
def test_orthogonal(shape):
    flat = initializers.Orthogonal(2.0)(shape).reshape(-1, shape[-1])
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_fixed_values():
    assert (initializers.Zeros()((2, 3)) == 0).all()
    assert (initializers.Ones()((2,), "int32") == 1).all()
    assert initializers.Constant([1.0, 2.0])((3, 2)).tolist() == [[1, 2]] * 3
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), 3 * np.eye(2, 3))
    assert initializers.Zeros()(()).shape == ()
    assert initializers.GlorotUniform()((3, 4), "bfloat16").dtype == "bfloat16"


# -- seeds ------------------------------------------------------------------------------------


def test_seeds():
    made = initializers.HeNormal(seed=3)
    np.testing.assert_array_equal(made((3, 4)), made((3, 4)))
    np.testing.assert_array_equal(made((3, 4)), initializers.HeNormal(seed=3)((3, 4)))
    assert (made((3, 4)) != initializers.HeNormal(seed=4)((3, 4))).all()
    assert (initializers.HeNormal()((3, 4)) != initializers.HeNormal()((3, 4))).all()
    assert (made.clone()((3, 4)) == made((3, 4))).all()


def test_global_seed_gives_the_same_weights():
    drawn = []
    for _ in range(2):
        weft.random.set_seed(5)
        drawn.append([initializers.GlorotUniform()((3, 4)), initializers.Orthogonal()((3, 4))])
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_generator_draws_on():
    generator = weft.random.SeedGenerator(3)
    made = initializers.RandomNormal(seed=generator)
    assert (made((4,)) != made((4,))).all()
    again = initializers.RandomNormal.from_config(made.get_config())
    np.testing.assert_array_equal(again((4,)), initializers.RandomNormal(
        seed=weft.random.SeedGenerator(3))((4,)))  # fmt: skip


def test_nothing_is_compiled():
    before = weft.config.compile_count()
    for made in RANDOM:
        made((5, 6))
    assert weft.config.compile_count() == before


# -- configs and names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ours", [*RANDOM, *FIXED, initializers.Orthogonal(2.0, seed=1)], ids=lambda i: type(i).__name__
)
def test_config_opens_on_both_sides(ours):
    config = initializers.serialize(ours)
    again = initializers.deserialize(config)
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    theirs = keras.initializers.deserialize(config)
    assert type(theirs).__name__ == type(ours).__name__
    back = initializers.deserialize(keras.initializers.serialize(theirs))
    assert back.get_config() == ours.get_config() or type(ours).__name__ == "Identity"


def test_every_keras_name_is_known():
    for name in keras.src.initializers.ALL_OBJECTS_DICT:
        # Not the base class, nor the windows of signals.
        if name.lower() not in ("initializer", "stft", "stftinitializer"):
            assert isinstance(initializers.get(name), initializers.Initializer)


def test_get():
    made = initializers.Ones()
    assert initializers.get(made) is made and initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    assert initializers.get(np.ones(2))((3, 2)).tolist() == [[1, 1]] * 3
    function = lambda shape, dtype=None: np.zeros(shape)  # noqa: E731
    assert initializers.get(function) is function


class Ramp(initializers.Initializer):
    def values(self, shape):
        return np.arange(np.prod(shape)).reshape(shape)


def test_custom():
    assert Ramp()((2, 2), "int32").tolist() == [[0, 1], [2, 3]]
    config = initializers.serialize(Ramp())
    assert config["class_name"] == config["registered_name"] == "Ramp"
    assert isinstance(initializers.deserialize(config, {"Ramp": Ramp}), Ramp)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: initializers.get("gloort_uniform"),
            "initializer 'gloort_uniform'. Did you mean 'glorot_uniform'",
        ),
        (lambda: initializers.get("xyz"), "Known: Constant, GlorotNormal, "),
        (lambda: initializers.get(3), "3 is no initializer"),
        (lambda: initializers.deserialize({"name": "Zeros"}), "a dict with 'class_name'"),
        (lambda: initializers.RandomNormal(seed="a"), "RandomNormal: seed must be .* got 'a'"),
        (lambda: initializers.VarianceScaling(-1), "scale must be positive, got -1"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode is 'fan_in'.* got 'fan'"),
        (lambda: initializers.VarianceScaling(distribution="t"), "distribution is .* got 't'"),
        (lambda: initializers.Orthogonal()((3,)), r"two or more axes; the shape asked for is \(3"),
        (lambda: initializers.Identity()((3,)), r"Identity makes matrices; .* \(3,\)"),
        (lambda: initializers.Zeros()((-1, 2)), r"no array has the shape \(-1, 2\)"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_unfinished_initializer():
    class Empty(initializers.Initializer):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty needs a method values\(shape\)"):
        Empty()((2,))
