"""Layers against overfitting: the distributions they draw from, and what they refuse."""

import numpy as np
import pytest

import weft
from weft.engine import ShapeError
from weft.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)

ONES = np.ones((200, 400), "float32")
NORMAL = np.random.default_rng(0).normal(size=(200, 400)).astype("float32")
ALL = [
    lambda **k: Dropout(0.3, **k),
    lambda **k: SpatialDropout1D(0.3, **k),
    lambda **k: GaussianDropout(0.3, **k),
    lambda **k: GaussianNoise(0.3, **k),
    lambda **k: AlphaDropout(0.3, **k),
]
every_layer = pytest.mark.parametrize("make", ALL, ids=lambda make: type(make()).__name__)

# 80,000 draws: a mean of unit variance is off by 0.0035, so bounds of 0.02 are five of those.


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    y = Dropout(rate, seed=1)(ONES, training=True).numpy()
    assert (y == 0).mean() == pytest.approx(rate, abs=0.01)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)
    for axis in (0, 1):  # each row and each column has draws of its own
        assert (y == 0).mean(axis).std() < 0.05


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_gaussian_dropout_has_dropout_s_mean_and_variance(rate):
    y = GaussianDropout(rate, seed=1)(ONES, training=True).numpy()
    stddev = np.sqrt(rate / (1 - rate))
    assert y.mean() == pytest.approx(1, abs=0.02 * stddev)
    assert y.std() == pytest.approx(stddev, rel=0.02)


@pytest.mark.parametrize("stddev", [0.1, 3.0])
def test_gaussian_noise_is_added(stddev):
    noise = GaussianNoise(stddev, seed=1)(NORMAL, training=True).numpy() - NORMAL
    assert noise.mean() == pytest.approx(0, abs=0.02 * stddev)
    assert noise.std() == pytest.approx(stddev, rel=0.02)
    assert abs((noise / stddev) ** 4).mean() == pytest.approx(3, rel=0.05)
    assert np.corrcoef(noise.ravel(), NORMAL.ravel())[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate):
    y = AlphaDropout(rate, seed=1)(NORMAL, training=True).numpy()
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.std() == pytest.approx(1, abs=0.02)
    values, counts = np.unique(y, return_counts=True)
    assert counts.max() / y.size == pytest.approx(rate, abs=0.01)
    low = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    assert values[counts.argmax()] == pytest.approx(a * low * (1 - rate), abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "places"),
    [
        (SpatialDropout1D(0.4, seed=2), (30, 6, 20), (1,)),
        (SpatialDropout2D(0.4, seed=2), (30, 3, 4, 20), (1, 2)),
        (SpatialDropout2D(0.4, "channels_first", seed=2), (30, 20, 3, 4), (2, 3)),
        (SpatialDropout3D(0.4, seed=2), (30, 2, 3, 2, 20), (1, 2, 3)),
        (SpatialDropout3D(0.4, data_format="channels_first", seed=2), (30, 20, 2, 3, 2), (2, 3, 4)),
    ],
)
def test_spatial_dropout_takes_whole_channels(layer, shape, places):
    y = layer(np.ones(shape, "float32"), training=True).numpy()
    assert (y.min(places) == y.max(places)).all()
    kept = y.max(places) > 0
    assert kept.shape == (30, 20)
    assert 1 - kept.mean() == pytest.approx(0.4, abs=0.1)  # 600 draws
    assert len({tuple(row) for row in kept}) > 25  # each sample has its own


@every_layer
def test_it_is_there_while_training_only(make):
    layer = make()
    x = weft.convert_to_tensor(NORMAL.reshape(20, 10, 400))
    assert layer(x) is layer(x, training=False) is x
    assert (layer(x, training=True).numpy() != x.numpy()).any()


@every_layer
def test_a_seed_says_what_is_drawn(make):
    x = NORMAL.reshape(20, 10, 400)
    layer, again, other = make(seed=5), make(seed=5), make(seed=6)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    np.testing.assert_array_equal(again(x, training=True).numpy(), first)
    np.testing.assert_array_equal(again(x, training=True).numpy(), second)
    assert (first != second).any() and (other(x, training=True).numpy() != first).any()


@every_layer
def test_without_a_seed_the_global_one_decides(make):
    x = NORMAL.reshape(20, 10, 400)
    found = []
    for seed in (3, 3, 4):
        weft.random.set_seed(seed)
        found.append(make()(x, training=True).numpy())
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_the_rate_may_change_later():
    layer = Dropout(0.5, seed=1)
    layer.rate = 0.0
    np.testing.assert_array_equal(layer(ONES, training=True), ONES)
    layer.rate = 0.25
    assert (layer(ONES, training=True).numpy() == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_everything_may_be_dropped():
    x = weft.convert_to_tensor(ONES)
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = Dropout(1.0)(x, training=True)
    assert not y.numpy().any() and not tape.gradient(y, x).numpy().any()


@pytest.mark.parametrize("layer", [Dropout, AlphaDropout])
def test_a_noise_shape_is_shared_along_its_ones(layer):
    x = np.ones((5, 6, 7), "float32")
    y = layer(0.5, noise_shape=(None, 1, 7), seed=1)(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len({tuple(row) for row in y[:, 0].tolist()}) > 1


def test_activities_are_punished_over_the_batch():
    model = weft.Sequential([ActivityRegularization(l1=0.5, l2=0.25)])
    x = weft.convert_to_tensor([[2.0, -2.0], [1.0, 4.0]])
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
        (loss,) = model.losses
    assert y.numpy().tolist() == x.numpy().tolist()
    assert float(loss) == (0.5 * 9 + 0.25 * 25) / 2
    expected = [[0.75, -0.75], [0.5, 1.25]]
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(-0.1), r"Dropout: rate must be a number in \[0, 1\], got rate=-0.1"),
        (lambda: Dropout(None), "Dropout: rate must be a number"),
        (lambda: SpatialDropout1D(1.1), "SpatialDropout1D: rate must be a number"),
        (lambda: SpatialDropout2D("a"), "SpatialDropout2D: rate must be a number"),
        (lambda: SpatialDropout2D(0.5, "last"), "data_format is 'channels_last' or .* got 'last'"),
        (lambda: GaussianDropout(1.0), r"GaussianDropout: rate must be a number in \[0, 1\), as"),
        (lambda: AlphaDropout(1), r"AlphaDropout: rate must be a number in \[0, 1\), as nothing"),
        (lambda: GaussianNoise(-1), "GaussianNoise: stddev must be a number, not below 0"),
        (lambda: Dropout(0.5, seed="x"), "non-negative integer seed, got 'x'"),
        (lambda: Dropout(0.5, noise_shape="a"), "Dropout: noise_shape is a tuple .* got 'a'"),
        (lambda: Dropout(0.5, noise_shape=(0, 1)), r"positive integers and None, got \(0, 1\)"),
        (lambda: AlphaDropout(0.5, noise_shape=(None, -1)), "AlphaDropout: noise_shape is a tuple"),
        (lambda: ActivityRegularization(l1=-1.0), "l1 must be a number, not below 0, got l1=-1.0"),
        (lambda: ActivityRegularization(l2="a"), "l2 must be a number"),
    ],
)
def test_arguments_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "rank", "message"),
    [
        (SpatialDropout1D(0.5), 4, r"\(batch, steps, channels\), got shape"),
        (SpatialDropout2D(0.5), 3, r"\(batch, height, width, channels\), got shape"),
        (SpatialDropout2D(0.5, "channels_first"), 5, r"\(batch, channels, height, width\), got"),
        (SpatialDropout3D(0.5), 4, r"\(batch, depth, height, width, channels\), got shape"),
        (AlphaDropout(0.5, noise_shape=(1, 2)), 3, r"noise_shape \(1, 2\) does not broadcast"),
        (AlphaDropout(0.5, noise_shape=(1, 3)), 2, r"noise_shape \(1, 3\) does not broadcast"),
    ],
)
def test_shapes_refused(layer, rank, message):
    with pytest.raises(ShapeError, match=rf"layer '{layer.name}' .*{message}"):
        layer(np.ones((2,) * rank, "float32"), training=True)
