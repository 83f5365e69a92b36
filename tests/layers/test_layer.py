"""The base class: building, tracking, weights, losses, training, dtypes, names, configs."""

import gc
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft import layers
from weft.layers import BatchNormalization, Dense, Dropout, Layer

X = np.arange(6.0, dtype="float32").reshape(2, 3)


class Affine(Layer):
    """As in the specification's text."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.builds = 0

    def build(self, input_shape):
        self.builds += 1
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return weft.ops.matmul(inputs, self.w) + self.b


class Apply(Layer):
    """Calls a function; what it needs to hold is set from outside."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


# -- building -----------------------------------------------------------------------------------


def test_built_once_on_the_first_call():
    layer = Affine(4)
    assert layer.weights == [] and not layer.built
    y = layer(X)
    np.testing.assert_allclose(y.numpy(), X @ layer.w.numpy() + layer.b.numpy(), rtol=1e-5)
    layer(X)
    assert layer.built and layer.builds == 1
    assert [tuple(w.shape) for w in layer.trainable_variables] == [(3, 4), (4,)]
    assert layer.count_params() == 16


def test_built_by_hand():
    layer = Affine(4)
    layer.build((None, 3))
    assert layer.built
    layer(X)
    assert layer.builds == 1 and len(layer.weights) == 2


def test_building_names_the_weights_after_the_layers_around():
    class Outer(Layer):
        def build(self, input_shape):
            self.inner = Dense(2, name="inner")
            self.inner.build(input_shape)

        def call(self, x):
            return self.inner(x)

    outer = Outer(name="outer")
    outer(X)
    assert [w.path for w in outer.weights] == ["outer/inner/kernel", "outer/inner/bias"]
    late = Apply(Dense(2, name="inner"), name="late")
    late(X)
    assert [w.path for w in late.weights] == ["late/inner/kernel", "late/inner/bias"]


def test_build_is_given_the_shapes_of_several_arguments():
    seen = []

    class Two(Layer):
        def build(self, a_shape, b_shape):
            seen.append((tuple(a_shape), tuple(b_shape)))

        def call(self, a, b):
            return a + b

    Two()(X, X[:1])
    Two()(X, b=X[:1])
    assert seen == [((2, 3), (1, 3))] * 2

    class Many(Layer):
        def build(self, input_shape):
            seen.append([tuple(s) for s in input_shape])

        def call(self, inputs):
            return inputs[0] + inputs[1]

    Many()([X, X[:1]])
    assert seen[-1] == [(2, 3), (1, 3)]


def test_weights_in_all_ways_to_ask_for_them():
    layer = Layer()
    assert tuple(layer.add_weight((2, 3), "zeros").shape) == (2, 3)  # Keras 3
    keras_2 = layer.add_weight("table", (2,), initializer="ones")
    assert keras_2.name == "table" and keras_2.numpy().tolist() == [1, 1]
    assert layer.add_weight("other", (2,), "int32", "zeros").dtype == "int32"
    assert layer.add_weight(shape=(), initializer=2.5).numpy() == 2.5
    assert layer.add_weight(shape=4, dtype="int32").numpy().tolist() == [0] * 4
    own = layer.add_weight(shape=(2,), initializer=lambda shape, dtype: np.full(shape, 7, dtype))
    assert own.numpy().tolist() == [7, 7]
    glorot = layer.add_weight(shape=(50, 50)).numpy()
    assert 0.2 < np.abs(glorot).max() <= np.sqrt(6 / 100)
    for shape in [(None, 3), (-1,)]:
        with pytest.raises(ValueError, match=r"'layer'.*cannot have shape"):
            layer.add_weight(shape=shape)
    assert len(layer.weights) == 7


# -- structure ----------------------------------------------------------------------------------


def test_what_attributes_hold_belongs_to_the_layer():
    layer = Layer()
    layer.one = Dense(1)
    layer.several = [Dense(1), Dense(1)]
    layer.nested = {"a": [Dense(1)], "b": (Dense(1), {"c": Dense(1)})}
    layer.variable = weft.Variable(1.0, name="v")
    layer.metric = weft.metrics.Mean(name="m")
    for inner in layer.layers:
        inner.build((None, 2))
    assert len(layer.layers) == 6
    assert len(layer.weights) == 13 and layer.weights[0] is layer.variable
    assert [m.name for m in layer.metrics] == ["m"]

    layer.several.append(Dense(1))
    layer.nested["d"] = Dense(1)
    layer.nested["a"] += [Dense(1)]
    assert len(layer.layers) == 9
    layer.several.pop(0)
    del layer.nested["b"]
    assert len(layer.layers) == 6
    del layer.one
    layer.several = None
    assert len(layer.layers) == 3
    layer.again = layer.nested["d"]  # held twice, it counts once
    assert len(layer.layers) == 3


def test_a_shared_layer_counts_once_and_in_order():
    shared = Dense(2)
    model = Apply(lambda x: model.b(model.a(x)))
    model.a, model.b = Apply(shared), Apply(shared)
    model(np.ones((1, 2), "float32"))
    assert [id(w) for w in model.weights] == [id(shared.kernel), id(shared.bias)]


def test_attributes_that_hold_no_state_leave_the_structure_alone():
    from weft.layers import tracking

    layer = Apply(lambda x: x)
    before = tracking.version()
    layer.size, layer.label, layer.rate = (3, 4), "label", 0.5
    layer.size = X.shape
    assert tracking.version() == before


def test_trainable_toggles_reach_everything_below():
    model = Apply(lambda x: x)
    model.a, model.b = Dense(1), Apply(lambda x: x)
    model.b.inner = [BatchNormalization()]
    model.a.build((None, 2))
    norm = model.b.inner[0]
    norm.build((None, 2))
    assert len(model.trainable_variables) == 4 and len(model.non_trainable_variables) == 2

    model.b.trainable = False
    assert not norm.trainable
    assert [v.name for v in model.trainable_variables] == ["kernel", "bias"]
    norm.trainable = True
    assert len(model.trainable_variables) == 4  # its own toggle counts, not its parent's
    assert norm.trainable_variables and model.b.trainable_variables == []
    model.trainable = False
    assert model.trainable_variables == [] and len(model.non_trainable_weights) == 6
    model.trainable = True
    assert len(model.trainable_variables) == 4

    model.a.kernel.trainable = False
    assert [v.name for v in model.a.trainable_variables] == ["bias"]
    assert [v.name for v in model.a.weights] == ["bias", "kernel"]


def test_a_frozen_batch_normalization_uses_and_keeps_its_moving_moments():
    layer = BatchNormalization()
    layer.trainable = False
    y = layer(X, training=True)
    np.testing.assert_allclose(y.numpy(), X / np.sqrt(1 + 1e-3), rtol=1e-6)
    assert layer.moving_mean.numpy().tolist() == [0, 0, 0]
    layer.trainable = True
    layer(X, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.01 * X.mean(0), rtol=1e-5)


def test_freezing_is_seen_by_a_function_traced_before():
    layer = BatchNormalization(momentum=0.0)
    run = weft.function(lambda x: layer(x, training=True))
    run(X)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X.mean(0))
    layer.trainable = False
    run(X + 1)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X.mean(0))


def test_set_weights_refuses_before_it_changes():
    layer = Dense(2, name="dense")
    with pytest.raises(ValueError, match=r"has 0 weights, got 2 values. Call or build the layer"):
        layer.set_weights([X, X])
    layer(X)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="has 2 weights, got 1 values"):
        layer.set_weights([X])
    with pytest.raises(weft.ShapeError, match=r"dense/bias' has shape \(2,\), got .*\(3,\)"):
        layer.set_weights([np.ones((3, 2)), np.ones(3)])
    for a, b in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(a, b)
    layer.set_weights([np.ones((3, 2)), weft.ops.ones(2)])
    assert layer(X).numpy().tolist() == [[4, 4], [13, 13]]


def test_forgetting_super_init():
    class Forgetful(Layer):
        def __init__(self):
            self.dense = Dense(2)

    class Later(Layer):
        def __init__(self):
            self.sizes = [2, 3]  # a plain list may come first

        def call(self, x):
            return x

    with pytest.raises(RuntimeError, match=r"Forgetful.__init__ did not call super\(\).__init__"):
        Forgetful()
    for use in (
        lambda layer: layer(X),
        lambda layer: layer.weights,
        lambda layer: layer.add_weight((2,)),
    ):
        with pytest.raises(RuntimeError, match=r"Later.__init__ did not call super"):
            use(Later())


# -- calling ------------------------------------------------------------------------------------


def test_a_layer_without_call():
    class Nothing(Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing defines no `call\(self, inputs\)`"):
        Nothing()(X)


def test_what_comes_in_becomes_tensors():
    seen = []

    class Look(Layer):
        def call(self, inputs, other=None, flag=True, text="t"):
            seen[:] = [inputs, other, flag, text]
            return weft.ops.ones(())

    layer = Look()
    for value in (X, jnp.asarray(X), X.tolist(), weft.Variable(X), weft.convert_to_tensor(X)):
        layer(value, other=np.ones(2, "int32"))
        assert isinstance(seen[0], weft.Tensor) and seen[0].dtype == "float32"
        assert isinstance(seen[1], weft.Tensor) and seen[1].dtype == "int32"
    layer({"a": X, "b": [X, None]}, None, False, "u")
    assert isinstance(seen[0]["b"][0], weft.Tensor) and seen[0]["b"][1] is None
    assert seen[1:] == [None, False, "u"]


def test_how_training_is_decided():
    seen = []

    class Inner(Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    class ByDefault(Inner):
        def call(self, inputs, training=True):
            return super().call(inputs, training)

    class Outer(Layer):
        def __init__(self, *inner, **given):
            super().__init__()
            self.inner, self.given = inner, given

        def call(self, inputs):
            for layer in self.inner:
                inputs = layer(inputs, **self.given)
            return inputs

    inner = Inner()
    inner(X), inner(X, training=True), inner(X, False), inner(X, True)
    assert seen == [None, True, False, True]
    seen.clear()
    outer = Outer(inner, ByDefault())
    outer(X)  # nobody says: the defaults
    outer(X, training=False)  # the outer call's, though `call` does not take it
    Outer(outer)(X, training=True)
    assert seen == [None, True, False, False, True, True]
    seen.clear()
    Outer(inner, training=False)(X, training=True)  # an argument counts first
    inner(X)  # and nothing stays behind
    assert seen == [False, None]


def test_training_ends_with_an_exception():
    def fail(x):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        Apply(fail, dtype="mixed_bfloat16")(X, training=True)
    assert Dropout(0.9)(np.ones(100, "float32")).numpy().sum() == 100
    assert (weft.Variable(1.0) + 1).dtype == "float32"


def test_dropout_only_while_training():
    layer = Dropout(0.5, seed=1)
    ones = np.ones((100, 10), "float32")
    assert layer(ones).numpy().sum() == 1000
    assert layer.seed_generator.state.numpy()[1] == 0
    dropped = layer(ones, training=True).numpy()
    assert set(np.unique(dropped)) == {0, 2} and 400 < (dropped == 0).sum() < 600
    assert (layer(ones, training=True).numpy() != dropped).any()
    assert layer.weights == [] and len(layer.variables) == 1


# -- dtypes -------------------------------------------------------------------------------------


def test_a_user_s_layer_in_half_precision():
    seen = {}

    class Look(Affine):
        def call(self, inputs):
            seen.update(x=inputs.dtype, w=(self.w + 0).dtype, read=self.w.value.dtype)
            return super().call(inputs)

    weft.mixed_precision.set_global_policy("mixed_bfloat16")
    layer = Look(2)
    y = layer(X)
    assert layer.compute_dtype == "bfloat16" and layer.dtype == "float32"
    assert y.dtype == "bfloat16" and set(map(str, seen.values())) == {"bfloat16"}
    assert {w.dtype for w in layer.weights} == {"float32"}
    assert (layer.w + 0).dtype == "float32"  # outside of the call
    with weft.GradientTape() as tape:
        loss = weft.ops.sum(layer(X))
    assert {g.dtype for g in tape.gradient(loss, layer.weights)} == {np.dtype("float32")}


def test_policies_meet():
    inner = Dense(2, dtype="float32")
    outer = Apply(inner, dtype="mixed_bfloat16")
    assert outer(X).dtype == "float32"
    assert Apply(lambda x: x, dtype="bfloat16")(X).dtype == "bfloat16"
    assert Apply(lambda x: x, dtype="bfloat16", autocast=False)(X).dtype == "float32"
    assert Apply(lambda x: x, dtype="bfloat16")(np.ones(2, "int32")).dtype == "int32"
    assert Apply(lambda x: x)(np.ones(2, "complex64")).dtype == "complex64"
    assert Dense(2, dtype="bfloat16").build((None, 3)) is None
    with pytest.raises(ValueError, match="'mixed_float31' is not a dtype policy"):
        Dense(2, dtype="mixed_float31")


# -- losses and metrics ----------------------------------------------------------------------------


def test_losses_are_those_of_the_last_call():
    inner = Apply(lambda x: (inner.add_loss(weft.ops.sum(x)), x)[1])
    outer = Apply(lambda x: (outer.add_loss([weft.ops.max(x), x]), inner(inner(x)))[1])
    outer.inner = inner
    assert outer.losses == []
    for scale in (1.0, 2.0):
        outer(X * scale)
        assert [float(v) for v in outer.losses] == [5 * scale, *[15 * scale] * 3]
    assert [float(v) for v in inner.losses] == [30.0, 30.0]
    outer.add_loss(lambda: weft.ops.ones(()) * 3)
    assert sorted(float(v) for v in outer.losses)[0] == 3.0


def test_penalties_follow_the_weights():
    layer = Dense(1, kernel_regularizer=weft.regularizers.L2(0.5), kernel_initializer="ones")
    assert layer.losses == []
    layer(X)
    assert [float(v) for v in layer.losses] == [1.5]
    layer.kernel.assign([[2.0], [0.0], [0.0]])
    assert [float(v) for v in layer.losses] == [2.0]
    layer.trainable = False
    assert layer.losses == []


def test_activity_regularizer_is_a_mean_over_the_batch():
    layer = Apply(lambda x: x, activity_regularizer=weft.regularizers.L1(1.0))
    layer(X)
    assert [float(v) for v in layer.losses] == [7.5]


def test_losses_inside_a_tape_have_gradients():
    layer = Dense(1, kernel_regularizer="l2", use_bias=False, kernel_initializer="ones")
    layer(X)
    with weft.GradientTape() as tape:
        loss = sum(layer.losses)
    assert tape.gradient(loss, layer.kernel).numpy() == pytest.approx(0.02)


def test_added_metrics_average_over_calls():
    layer = Apply(lambda x: (layer.add_metric(x, name="mean"), x)[1], dtype="mixed_bfloat16")
    layer(X)
    layer(X + 1)
    (metric,) = layer.metrics
    assert metric.name == "mean" and float(metric.result()) == 3.0
    assert metric.total.dtype == "float32"
    metric.reset_state()
    assert float(metric.result()) == 0.0
    for bad in ({}, {"name": "m", "aggregation": "sum"}):
        with pytest.raises(ValueError, match=r"add_metric.*averages a named value"):
            layer.add_metric(1.0, **bad)


# -- masks --------------------------------------------------------------------------------------


def test_masks_travel():
    from weft.layers.masks import masks

    seen, before = [], set(masks)

    class Look(Layer):
        def call(self, inputs, mask=None):
            seen.append(mask)
            return inputs + 0.0

    indices = np.array([[1, 2, 0], [3, 0, 0]])
    embedded = layers.Embedding(5, 2, mask_zero=True)(indices)
    handed_on = Dense(2)(layers.Activation("relu")(embedded))
    Look()(handed_on)
    assert seen[0].numpy().tolist() == (indices != 0).tolist()
    Look()(Look()(handed_on))  # taken, and not handed on by itself
    assert seen[2] is None
    Look()(X)
    assert seen[3] is None
    with pytest.warns(UserWarning, match=r"\(Flatten\) was called .* with a mask, which ends here"):
        layers.Flatten()(embedded)

    del embedded, handed_on
    seen.clear()
    weft.ops.ones(()).numpy()
    gc.collect()
    assert set(masks) <= before  # a mask lives no longer than its tensor


def test_a_masked_step_counts_nothing_in_batch_normalization():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[True, True, False], [True, False, False]])
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=mask)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x[mask].mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x[mask].var(0), rtol=1e-4)


@pytest.mark.parametrize("mean", [0, 300, 30_000])
def test_batch_normalization_far_from_zero(mean):
    """Its one pass over the batch keeps its digits, whatever the first sample is."""
    x = (mean + np.random.default_rng(0).normal(size=(64, 5))).astype("float32")
    x[0, 0] += 1000
    exact = (x - x.mean(0, dtype="float64")) / np.sqrt(x.var(0, dtype="float64") + 1e-3)
    layer = BatchNormalization(momentum=0.0)
    np.testing.assert_allclose(layer(x, training=True).numpy(), exact, atol=1e-4)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.var(0, dtype="float64"), rtol=1e-4)


def test_a_masked_softmax():
    x = np.array([[1.0, 2.0, 3.0]], "float32")
    y = layers.Softmax()(x, mask=np.array([[True, True, False]])).numpy()
    np.testing.assert_allclose(y, [[1 / (1 + np.e), np.e / (1 + np.e), 0]], rtol=1e-6)


# -- names and configs -----------------------------------------------------------------------------


def test_names_are_unique_and_keras_s():
    from weft.engine import names

    names.clear_names()
    made = [Dense(1), Dense(1), layers.Conv2D(1, 1), layers.ReLU(), layers.MaxPooling2D()]
    assert [m.name for m in made] == ["dense", "dense_1", "conv2d", "re_lu", "max_pooling2d"]
    assert Dense(1, name="mine").name == "mine"
    assert repr(made[1]) == "<Dense name=dense_1>"


def test_the_config_of_a_user_s_layer():
    class Own(Layer):
        def __init__(self, units, scale=2.0, **kwargs):
            super().__init__(**kwargs)
            self.units, self.scale = units, scale

    layer = Own(3, name="own", dtype="mixed_bfloat16")
    layer.trainable = False
    config = layer.get_config()
    assert config == {"units": 3, "name": "own", "trainable": False, "dtype": "mixed_bfloat16"}
    again = Own.from_config(config)
    assert (again.units, again.scale, again.name, again.trainable) == (3, 2.0, "own", False)
    with pytest.raises(NotImplementedError, match=r"Own.get_config: the arguments \['units'\]"):
        Own(units=X).get_config()


def test_an_input_declares_a_shape():
    for declared in (
        weft.Input((4,)),
        weft.Input(shape=4),
        weft.Input(batch_shape=(None, 4)),
        layers.InputLayer(input_shape=(4,)).output,
    ):
        assert declared.shape == (None, 4)
    declared = weft.Input((2, None), batch_size=8, dtype="int32", name="ids").node.operation
    assert declared.batch_shape == (8, 2, None) and declared.dtype == "int32"
    assert layers.InputLayer.from_config(declared.get_config()).get_config() == {
        "batch_shape": [8, 2, None],
        "dtype": "int32",
        "sparse": False,
        "ragged": False,
        "name": "ids",
        "optional": False,
    }


# -- running ------------------------------------------------------------------------------------


def test_no_warnings_and_no_growth_in_a_long_loop():
    layer = Apply(lambda x: x)
    layer.parts = [Dense(4, activation="relu"), BatchNormalization(), Dropout(0.5)]

    def forward(x):
        for part in layer.parts:
            x = part(x)
        layer.add_loss(weft.ops.sum(x))
        return x

    layer.function = forward
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            layer(X, training=True).numpy()
        before = weft.config.compile_count()
        for _ in range(20):
            layer(X, training=True).numpy()
    assert weft.config.compile_count() == before
    assert len(layer.losses) == 1
