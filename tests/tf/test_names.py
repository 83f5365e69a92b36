"""The TensorFlow spelling: its functions against NumPy, its names, and imports as users write them.

The expected values were compared with TensorFlow 2.21's own for each of these calls.
"""

import importlib
import pkgutil

import numpy as np
import pytest

import weft
from weft import tf

rng = np.random.default_rng(0)
x = rng.normal(size=(3, 4)).astype("float32")
b = rng.normal(size=(2, 3, 4)).astype("float32")
p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
image = rng.normal(size=(2, 7, 6, 3)).astype("float32")
kernel = rng.normal(size=(3, 3, 3, 5)).astype("float32")
logp = np.log(p)
sigmoid = 1 / (1 + np.exp(-x))
norm = np.sqrt((x**2).sum() + (b**2).sum())
at = tf.constant

CALLS = {
    "constant": (lambda: tf.constant([1, 2, 3, 4], shape=(2, 2)), [[1, 2], [3, 4]]),
    "constant one": (lambda: tf.constant(3.0, shape=(2,)), [3, 3]),
    "fill": (lambda: tf.fill((2, 3), 1.5), np.full((2, 3), 1.5)),
    "eye": (lambda: tf.eye(2, batch_shape=[3]), np.stack([np.eye(2)] * 3)),
    "range": (lambda: tf.range(1, 10, 3), [1, 4, 7]),
    "linspace": (lambda: tf.linspace(0.0, 1.0, 3), [0, 0.5, 1]),
    "one_hot": (lambda: tf.one_hot([0, 2], 3, 5.0, -1.0), [[5, -1, -1], [-1, -1, 5]]),
    "one_hot axis": (lambda: tf.one_hot([0, 2], 3, axis=0), np.eye(3)[:, [0, 2]]),
    "shape": (lambda: tf.reshape(x, tf.shape(x)[::-1]), x.reshape(4, 3)),
    "concat": (lambda: tf.concat([x, x], 1), np.concatenate([x, x], 1)),
    "concat shapes": (lambda: tf.concat([tf.shape(b)[:1], [7]], 0), [2, 7]),
    "transpose": (lambda: tf.transpose(b, perm=[2, 0, 1]), b.transpose(2, 0, 1)),
    "split": (lambda: tf.split(x, [1, -1], axis=1)[1], x[:, 1:]),
    "split even": (lambda: tf.split(x, num_or_size_splits=2, axis=1)[0], x[:, :2]),
    "unstack": (lambda: tf.unstack(x, axis=1)[2], x[:, 2]),
    "pad": (lambda: tf.pad(x, [[1, 0], [0, 2]]), np.pad(x, [[1, 0], [0, 2]])),
    "pad reflect": (lambda: tf.pad(x, [[1, 1], [1, 1]], "REFLECT"), np.pad(x, 1, "reflect")),
    "reverse": (lambda: tf.reverse(x, [1]), x[:, ::-1]),
    "slice": (lambda: tf.slice(x, [0, 1], [-1, 2]), x[:, 1:3]),
    "gather": (lambda: tf.gather(x, [1, 0]), x[[1, 0]]),
    "gather axis": (lambda: tf.gather(x, [1, 0], axis=1), x[:, [1, 0]]),
    "gather batch": (lambda: tf.gather(x, [[1], [2], [3]], batch_dims=1),
                     x[range(3), [1, 2, 3], None]),
    "gather_nd": (lambda: tf.gather_nd(x, [[0, 1], [2, 3]]), x[[0, 2], [1, 3]]),
    "gather_nd batch": (lambda: tf.gather_nd(b, [[0], [1]], 1), b[[0, 1], [0, 1]]),
    "scatter_nd": (lambda: tf.scatter_nd([[2], [2]], x[:2], (3, 4)), [[0] * 4] * 2 + [x[0] + x[1]]),
    "boolean_mask": (lambda: tf.boolean_mask(x, x > 0), x[x > 0]),
    "boolean_mask axis": (lambda: tf.boolean_mask(x, x[0] > 0, axis=1), x[:, x[0] > 0]),
    "where": (lambda: tf.where(x > 0), np.argwhere(x > 0)),
    "where choice": (lambda: tf.where(x > 0, x, 0.0), np.maximum(x, 0)),
    "sort": (lambda: tf.sort(x, direction="DESCENDING"), -np.sort(-x)),
    "argsort": (lambda: tf.argsort(x, direction="DESCENDING"), np.argsort(-x)),
    "reduce_sum": (lambda: tf.reduce_sum(input_tensor=x, axis=1, keepdims=True), x.sum(1)[:, None]),
    "reduce_std": (lambda: tf.math.reduce_std(x, 1), x.std(1)),
    "argmax": (lambda: tf.argmax(x), x.argmax(0)),
    "argmin": (lambda: tf.argmin(x, 1), x.argmin(1)),
    "count_nonzero": (lambda: tf.math.count_nonzero(x > 0, 0), (x > 0).sum(0)),
    "cumsum": (lambda: tf.cumsum(x, 1, exclusive=True), x.cumsum(1) - x),
    "cumsum reverse": (lambda: tf.cumsum(x, 1, reverse=True), x[:, ::-1].cumsum(1)[:, ::-1]),
    "cumprod": (lambda: tf.math.cumprod([2.0, 3, 4], 0, True, True), [12, 4, 1]),
    "norm": (lambda: tf.norm(x, ord=1, axis=1), np.abs(x).sum(1)),
    "matmul": (lambda: tf.matmul(x, x, transpose_b=True), x @ x.T),
    "matmul a": (lambda: tf.matmul(x, x, transpose_a=True), x.T @ x),
    "add_n": (lambda: tf.add_n([x, x, x]), 3 * x),
    "clip_by_value": (lambda: tf.clip_by_value(x, -0.5, 0.5), x.clip(-0.5, 0.5)),
    "clip_by_norm": (lambda: tf.clip_by_norm(x, 1.0), x / np.linalg.norm(x)),
    "clip_by_norm zero": (lambda: tf.clip_by_norm(0 * x, 1.0), 0 * x),
    "clip_by_global_norm": (lambda: tf.clip_by_global_norm([x, None, b], 2.0)[0][2], b * 2 / norm),
    "global_norm": (lambda: tf.linalg.global_norm([x, b]), norm),
    "softmax": (lambda: tf.nn.softmax(x), p),
    "leaky_relu": (lambda: tf.nn.leaky_relu(x, alpha=0.1), np.maximum(x, 0.1 * x)),
    "swish": (lambda: tf.nn.swish(x), x * sigmoid),
    "silu": (lambda: tf.nn.silu(x, 2.0), x / (1 + np.exp(-2 * x))),
    "sigmoid cross": (lambda: tf.nn.sigmoid_cross_entropy_with_logits(labels=p, logits=x),
                      -p * np.log(sigmoid) - (1 - p) * np.log(1 - sigmoid)),
    "softmax cross": (lambda: tf.nn.softmax_cross_entropy_with_logits(p, x), -(p * logp).sum(1)),
    "sparse cross": (lambda: tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 3], x),
                     -logp[range(3), [0, 1, 3]]),
    "conv2d": (lambda: tf.nn.conv2d(image, kernel, [1, 2, 2, 1], "VALID")[:, 1, 1],
               np.einsum("bhwi,hwio->bo", image[:, 2:5, 2:5], kernel)),
    "max_pool2d": (lambda: tf.nn.max_pool2d(image, 2, 2, "VALID")[:, 0, 0],
                   image[:, :2, :2].max((1, 2))),
    "avg_pool2d": (lambda: tf.nn.avg_pool2d(image, [1, 2, 2, 1], [1, 1, 1, 1], "SAME")[:, -1, -1],
                   image[:, -1, -1]),
    "bias_add": (lambda: tf.nn.bias_add(image, [1.0, 2, 3]), image + np.array([1.0, 2, 3])),
    "batch_normalization": (lambda: tf.nn.batch_normalization(x, 0.5, 2.0, 1.0, 3.0, 1e-3),
                            (x - 0.5) / np.sqrt(2.001) * 3 + 1),
    "l2_normalize": (lambda: tf.nn.l2_normalize(x, 1), x / np.linalg.norm(x, axis=1)[:, None]),
    "embedding_lookup": (lambda: tf.nn.embedding_lookup(x, [2, 0]), x[[2, 0]]),
    "switch_case": (lambda: tf.switch_case(at(1), [lambda: at(x), lambda: at(x) * 2]), 2 * x),
    "switch_case out": (lambda: tf.switch_case(at(-1), [lambda: at(x), lambda: at(x) * 2]), 2 * x),
    "switch_case default": (lambda: tf.switch_case(at(5), [(0, lambda: at(x))],
                                                   lambda: at(x) * 3), 3 * x),
    "map_fn": (lambda: tf.map_fn(tf.reduce_sum, x), x.sum(1)),
    "scan": (lambda: tf.scan(lambda a, r: a + r, x), x.cumsum(0)),
    "scan reverse": (lambda: tf.scan(lambda a, r: a + r, x, reverse=True), x[::-1].cumsum(0)[::-1]),
    "scan initial": (lambda: tf.scan(lambda a, r: a + tf.reduce_sum(r), x, at(1.0)),
                     1 + x.sum(1).cumsum()),
    "cond": (lambda: tf.cond(at(x[0, 0]) > 9, lambda: at(1.0), lambda: at(2.0)), 2),
    "top_k": (lambda: tf.math.top_k(x, 2)[0], -np.sort(-x)[:, :2]),
    "segment_sum": (lambda: tf.math.unsorted_segment_sum(x, [1, 0, 1], 2), [x[1], x[0] + x[2]]),
    "cast": (lambda: tf.cast(x, tf.int32), x.astype("int32")),
    "boolean": (lambda: tf.reduce_any(x > 1, 1), (x > 1).any(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_value(name):
    call, want = CALLS[name]
    got = np.asarray(call())
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# -- random -----------------------------------------------------------------------------------


def test_a_seeded_operation_goes_on_in_its_stream():
    runs = []
    for _ in range(2):
        tf.random.set_seed(3)
        runs.append([tf.random.normal((4,), seed=1).numpy() for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][0] != runs[0][1]).all()


def test_random_ranges():
    whole = tf.random.uniform((500,), 2, 5, tf.int32).numpy()
    assert set(whole) == {2, 3, 4}
    assert tf.random.uniform((9,)).numpy().min() >= 0
    with pytest.raises(ValueError, match="needs maxval for an integer dtype"):
        tf.random.uniform((2,), dtype=tf.int32)
    assert sorted(tf.random.shuffle([3, 1, 2]).numpy()) == [1, 2, 3]
    assert tf.random.categorical([[0.0, 0.0]], 4).shape == (1, 4)
    assert (tf.nn.dropout(tf.ones(100), 0.5, seed=1).numpy() == 0).any()


# -- functions --------------------------------------------------------------------------------


def test_function_and_tape():
    w = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32)])
    def step(scale):
        assert not tf.executing_eagerly()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(w) * scale)
        return tape.gradient(loss, w)

    assert step(tf.constant([1.0, 3.0])).numpy().tolist() == [2, 12]
    assert tf.executing_eagerly()
    assert tf.function(lambda t: t + 1)(tf.ones(2)).numpy().tolist() == [2, 2]


def test_eager_switch():
    tf.config.run_functions_eagerly(True)
    assert weft.config.is_eager() and tf.config.functions_run_eagerly()


def test_dtypes():
    t = tf.zeros((2,), tf.float16)
    assert t.dtype == tf.float16 and tf.float16.name == "float16"
    assert tf.Variable(1).dtype == tf.int32
    assert tf.TensorShape([2, 3]).as_list() == [2, 3]
    assert x[tf.newaxis].shape == (1, 3, 4)


# -- names ------------------------------------------------------------------------------------

MODULES = ["weft.tf", *(m.name for m in pkgutil.walk_packages(tf.__path__, "weft.tf."))]


@pytest.mark.parametrize("name", MODULES)
def test_every_listed_name_is_there(name):
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))
    assert [n for n in module.__all__ if not hasattr(module, n)] == []
    with pytest.raises(AttributeError, match=rf"{name} has no 'no_such_name'. Known: "):
        _ = module.no_such_name


def test_imports_as_users_write_them():
    from weft.tf.keras import layers, mixed_precision
    from weft.tf.keras.layers import Dense
    from weft.tf.keras.optimizers.schedules import ExponentialDecay

    assert layers.Dense is Dense is weft.layers.Dense is tf.keras.layers.Dense
    assert mixed_precision.set_global_policy is weft.precision.set_global_policy
    assert ExponentialDecay is tf.keras.optimizers.schedules.ExponentialDecay
    assert tf.data.Dataset is weft.data.Dataset and tf.keras.Model is weft.Model


@pytest.mark.parametrize(
    "name",
    [
        "DTypePolicy", "Initializer", "Input", "InputSpec", "KerasTensor", "Layer", "Loss",
        "Metric", "Model", "Optimizer", "Regularizer", "Sequential", "Variable", "ops", "random",
    ],
)  # fmt: skip
def test_keras_3s_own_names_are_there_too(name):
    """`from tensorflow import keras` is Keras 3 today, and its code uses keras.ops, keras.Layer."""
    assert getattr(tf.keras, name) is getattr(weft, name)


@pytest.mark.parametrize(
    ("path", "near"),
    [("reduce_meen", "reduce_mean"), ("keras.layers.Dens", "Dense"), ("nn.rellu", "relu")],
)
def test_an_unknown_name_lists_the_near_ones(path, near):
    *parents, name = path.split(".")
    holder = tf
    for parent in parents:
        holder = getattr(holder, parent)
    with pytest.raises(AttributeError, match=rf"has no '{name}'. Did you mean '{near}'"):
        getattr(holder, name)


def test_split_sizes_must_fit():
    with pytest.raises(ValueError, match=r"sizes \[1, 2\] do not sum to 4, the size of axis 1"):
        tf.split(x, [1, 2], axis=1)
