"""Initial values: their distributions, their configs, and how they are found."""

import math

import keras
import numpy as np
import pytest
from scipy import stats

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
    initializers.Zeros(), initializers.Ones(), initializers.Constant(2.5), initializers.Identity(),
    initializers.STFT("imag", "hamming", "spectrum", True), initializers.STFT(window=None),
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


# Longer than the pieces that are drawn at a time, and of an odd size.
MANY = (41, 2441)
CUT = stats.truncnorm(-2, 2)
GLOROT = math.sqrt(2 / sum(MANY))


@pytest.mark.parametrize(
    ("ours", "law"),
    [
        (initializers.RandomNormal(0.5, 0.2, seed=1), stats.norm(0.5, 0.2)),
        (initializers.TruncatedNormal(-1.0, 0.5, seed=2), stats.truncnorm(-2, 2, -1.0, 0.5)),
        (initializers.RandomUniform(-1.0, 3.0, seed=3), stats.uniform(-1.0, 4.0)),
        (initializers.GlorotNormal(seed=4), stats.truncnorm(-2, 2, 0, GLOROT / CUT.std())),
        (initializers.GlorotUniform(seed=5),
         stats.uniform(-GLOROT * math.sqrt(3), 2 * GLOROT * math.sqrt(3))),
        (initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=6),
         stats.norm(0, math.sqrt(2 / 41))),
    ],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_distribution_by_its_law(ours, law):
    values = ours(MANY).ravel().astype("float64")
    assert stats.kstest(values, law.cdf).pvalue > 0.01
    n, spread = values.size, law.std()
    assert abs(values.mean() - law.mean()) < 4 * spread / math.sqrt(n)
    assert values.std() == pytest.approx(spread, rel=0.01)
    # Neighbours are independent, and so are the two halves of a piece, drawn in pairs.
    scaled = (values - law.mean()) / spread
    for apart in (1, 2, 1 << 14):
        for f in (lambda z: z, np.abs):
            pairs = np.corrcoef(f(scaled[:-apart]), f(scaled[apart:]))[0, 1]
            assert abs(pairs) < 4.5 / math.sqrt(n - apart)
    if isinstance(ours, initializers.TruncatedNormal | initializers.GlorotNormal):
        low, high = law.support()
        assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6


@pytest.mark.parametrize("shape", [(), (1,), (3,), (0, 4), (1 << 15,), ((1 << 15) + 1,)], ids=str)
@pytest.mark.parametrize("name", ["RandomNormal", "TruncatedNormal", "RandomUniform", "HeUniform"])
def test_any_size(name, shape):
    values = getattr(initializers, name)(seed=1)(shape)
    assert values.shape == shape and np.isfinite(values).all()
    assert (values != 0).mean() > 0.99 if values.size else True


@pytest.mark.parametrize(
    ("shape", "options", "fans"),
    [
        ((), {}, (1, 1)),
        ((7,), {}, (7, 7)),
        ((4, 6), {}, (4, 6)),
        ((3, 4, 6), {}, (12, 18)),
        ((3, 5, 4, 6), {}, (60, 90)),
        ((4, 2, 3), {"input_axes": (0,), "output_axes": (1, 2)}, (4, 6)),
        ((2, 3, 5), {"input_axes": (-1, -2), "output_axes": (0,)}, (15, 2)),
    ],
    ids=str,
)
def test_fans(shape, options, fans):
    # In a uniform distribution all numbers are below √(3/n), and with the same seed the largest
    # one's share of it is always the same.
    def largest(n):
        limit = math.sqrt(3 / n)
        return np.abs(initializers.RandomUniform(-limit, limit, seed=1)(shape)).max()

    for mode, n in zip(("fan_in", "fan_out", "fan_avg"), (*fans, sum(fans) / 2), strict=True):
        made = initializers.VarianceScaling(1.0, mode, "uniform", seed=1, **options)
        assert np.abs(made(shape)).max() == pytest.approx(largest(n), rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 5), (2, 3, 2, 7), (5, 5), (1, 4)])
def test_orthogonal(shape):
    flat = initializers.Orthogonal(2.0)(shape).reshape(-1, shape[-1])
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_orthogonal_is_uniform():
    generator = weft.random.SeedGenerator(1)
    made = initializers.Orthogonal(seed=generator)
    drawn = np.stack([made((3, 3)) for _ in range(3000)]).astype("float64")
    # Rotations and reflections alike; an entry of a random unit vector in 3 dimensions is uniform.
    assert abs((np.linalg.det(drawn) > 0).mean() - 0.5) < 0.03
    for entry in drawn.reshape(-1, 9).T:
        assert stats.kstest(entry, stats.uniform(-1, 2).cdf).pvalue > 0.001
    # E tr(Q)² = 1 under the Haar measure; without the right signs the diagonal is biased.
    assert (np.trace(drawn, axis1=1, axis2=2) ** 2).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize(
    ("window", "periodic"),
    [("hann", False), ("hann", True), ("blackmanharris", True), ("flattop", False), (None, False),
     (np.linspace(0.1, 1, 12), False)],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)  # fmt: skip
def test_stft_is_keras(side, scaling, window, periodic):
    arguments = (side, window, scaling, periodic)
    got = initializers.STFT(*arguments)((12, 1, 9))
    want = np.asarray(keras.initializers.STFT(*arguments)((12, 1, 9)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_stft_is_a_fourier_transform():
    x = np.random.default_rng(0).normal(size=16)
    kernels = [initializers.STFT(s, None)((16, 1, 9))[:, 0] for s in ("real", "imag")]
    np.testing.assert_allclose(
        x @ kernels[0] + 1j * (x @ kernels[1]), np.fft.rfft(x), atol=1e-5
    )  # fmt: skip


def test_windows_of_numbers_survive_both_ways():
    ours = initializers.STFT(window=[1.0, 2.0, 3.0])
    config = initializers.serialize(ours)
    theirs = keras.initializers.deserialize(config)
    for again in (
        initializers.deserialize(config),
        initializers.deserialize(keras.initializers.serialize(theirs)),
        initializers.deserialize(
            keras.initializers.serialize(keras.initializers.STFT(window=np.array([1.0, 2.0, 3.0])))
        ),
    ):
        np.testing.assert_array_equal(again((3, 1, 4)), ours((3, 1, 4)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes(dtype):
    for made in [*RANDOM, *FIXED[:4], initializers.Orthogonal(seed=1)]:
        values = made((5, 4), dtype)
        assert values.dtype == weft.tf.as_dtype(dtype)
        assert np.isfinite(values.astype("float32")).all()
    for made in FIXED[:4]:
        assert made((2, 2), "int32").dtype == np.int32
    half = initializers.HeNormal(seed=2)
    np.testing.assert_allclose(half((9, 9), dtype).astype("float32"), half((9, 9)), rtol=1e-2)


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


def test_seeds_are_far_apart():
    drawn = np.stack([initializers.RandomNormal(seed=k)((40, 40)).ravel() for k in range(6)])
    off = np.corrcoef(drawn)[~np.eye(6, dtype=bool)]
    assert abs(off).max() < 0.12
    assert initializers.RandomNormal(seed=np.int64(3)).get_config()["seed"] == 3


def test_weights_of_a_model_follow_the_global_seed():
    def weights(seed):
        weft.random.set_seed(seed)
        model = weft.Sequential([weft.layers.Dense(3), weft.layers.Dense(3)])
        model.build((None, 3))
        return [w for w in model.get_weights() if w.ndim == 2]

    first, second = weights(1), weights(1)
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).all() and (first[0] != weights(2)[0]).all()


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
        if name.lower() != "initializer":  # the base class
            assert isinstance(initializers.get(name), initializers.Initializer)


def test_arrays_survive_both_ways():
    theirs = keras.initializers.Constant(np.array([1.0, 2.0], "float32"))
    ours = initializers.deserialize(keras.initializers.serialize(theirs))
    assert ours((2, 2)).tolist() == [[1, 2]] * 2
    back = keras.initializers.deserialize(initializers.serialize(ours))
    assert np.asarray(back((2, 2))).tolist() == [[1, 2]] * 2


def test_a_generator_survives():
    ours = initializers.HeNormal(seed=weft.random.SeedGenerator(3))
    theirs = keras.initializers.deserialize(initializers.serialize(ours))
    back = initializers.deserialize(keras.initializers.serialize(theirs))
    assert back.seed.seed == 3


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


def test_functions():
    @weft.utils.register_keras_serializable("fill")
    def sevens(shape, dtype=None):
        return np.full(shape, 7.0)

    layer = weft.layers.Dense(2, kernel_initializer=sevens)
    config = layer.get_config()
    assert config["kernel_initializer"] == keras.initializers.serialize(sevens) | {
        "config": "fill>sevens"
    }
    again = weft.layers.Dense.from_config(config)
    again.build((None, 3))
    assert (again.kernel.numpy() == 7).all()
    assert initializers.get("sevens") is sevens


def test_keras_2_arguments():
    # Where TensorFlow's own initializers are still written.
    assert weft.tf.constant_initializer(2)((2,)).tolist() == [2, 2]
    assert weft.tf.random_normal_initializer(0.0, 0.02, seed=1)((3, 3)).std() < 0.05
    v = weft.tf.Variable(weft.tf.random_uniform_initializer()(shape=(2, 3), dtype="float32"))
    assert v.shape == (2, 3)
    assert (weft.tf.ones_initializer()((2,)) == 1 + weft.tf.zeros_initializer()((2,))).all()
    assert weft.tf.initializers.GlorotUniform is initializers.GlorotUniform
    scaling = initializers.VarianceScaling(mode="FAN_AVG", distribution="normal")
    assert (scaling.mode, scaling.distribution) == ("fan_avg", "truncated_normal")


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
        (lambda: initializers.Ones()((None, 2)), r"Ones: a shape is .* got \(None, 2\)"),
        (lambda: initializers.Ones()(2.5), r"Ones: a shape is a sequence of integers, got 2.5"),
        (lambda: initializers.RandomNormal(stddev=-1), "stddev must be .* not below 0, got -1"),
        (lambda: initializers.RandomNormal("a"), "RandomNormal: mean must be .* got 'a'"),
        (lambda: initializers.RandomUniform(2, 1), "minval must not be above maxval, got minval=2"),
        (lambda: initializers.RandomUniform(0, math.inf), "maxval must be a finite .* got inf"),
        (lambda: initializers.RandomNormal()((2,), "int32"), "RandomNormal draws real .* 'int32'"),
        (lambda: initializers.HeNormal(seed=-1), "HeNormal: seed must be .* got -1"),
        (lambda: initializers.HeNormal(seed=0.5), "HeNormal: seed must be .* got 0.5"),
        (lambda: initializers.VarianceScaling("a"), "scale must be a finite number, got 'a'"),
        (lambda: initializers.VarianceScaling(mode="fanin"), "got 'fanin'. Did you mean 'fan_in'"),
        (lambda: initializers.VarianceScaling(distribution="unifrm"), "you mean 'uniform'"),
        (lambda: initializers.VarianceScaling(input_axes=[0]), "given both or neither, got input"),
        (
            lambda: initializers.HeNormal(input_axes=[3], output_axes=[0])((2, 2)),
            r"HeNormal: input_axes=\[3\] .* are not lists of axes of the shape \(2, 2\)",
        ),
        (lambda: initializers.Orthogonal("a"), "Orthogonal: gain must be a finite number"),
        (lambda: initializers.Identity(None), "Identity: gain must be a finite number, got None"),
        (lambda: initializers.Constant("a"), "Constant: value must be a number .* got 'a'"),
        (
            lambda: initializers.Constant([1.0, 2.0])((2, 3)),
            r"value of shape \(2,\) does not broadcast to \(2, 3\)",
        ),
        (lambda: initializers.STFT("left"), "STFT: side is 'real' or 'imag', got 'left'"),
        (lambda: initializers.STFT(scaling="x"), "scaling is 'density', .* got 'x'"),
        (lambda: initializers.STFT(window="hanm"), "'hanm' alone .* Did you mean 'hann'"),
        (lambda: initializers.STFT(window="kaiser"), "no window of .* is 'kaiser' alone"),
        (lambda: initializers.STFT(window=("kaiser", 3.0)), "window is a name, an array of one"),
        (lambda: initializers.STFT(window=[1.0])((4, 1, 3)), "has 1 values, and the frame 4"),
        (lambda: initializers.STFT()((4, 2, 3)), r"the shape asked for is \(4, 2, 3\)"),
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
