"""Functional models: described by symbolic tensors, run on data."""

import json

import keras
import numpy as np
import pytest

import weft
from weft import Input, Model, layers, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")


def by_hand(x, *denses):
    for dense in denses:
        x = x @ dense.kernel.numpy() + dense.bias.numpy()
    return x


def close(mine, theirs):
    np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), rtol=1e-5, atol=1e-5)


# -- running ------------------------------------------------------------------------------------


def test_a_chain():
    first, second = layers.Dense(5, bias_initializer="ones"), layers.Dense(2)
    x = Input((4,))
    model = Model(x, second(first(x)), name="chain")
    assert type(model).__name__ == "Functional" and model.name == "chain"
    close(model(X), by_hand(X, first, second))
    assert model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert [tuple(w.shape) for w in model.weights] == [(4, 5), (5,), (5, 2), (2,)]
    assert model.layers[0] is model.get_layer(index=0) and model.layers[1:] == [first, second]


def test_several_inputs_and_outputs_in_every_structure():
    a, b = Input((4,), name="a"), Input((3,), name="b")
    dense = layers.Dense(3, name="dense")
    total = dense(a) + b
    Y = RNG.normal(size=(6, 3)).astype("float32")
    expected = by_hand(X, dense) + Y
    listed = Model([a, b], [total, dense.output])
    out = listed([X, Y])
    assert isinstance(out, list)
    close(out[0], expected)
    close(out[1], by_hand(X, dense))
    close(listed({"a": X, "b": Y})[0], expected)  # by name
    nested = Model({"p": [a], "q": b}, {"sum": total, "more": (total, {"d": dense.output})})
    out = nested({"q": Y, "p": [X]})
    assert list(out) == ["sum", "more"] and isinstance(out["more"], tuple)
    close(out["more"][1]["d"], by_hand(X, dense))
    close(nested.predict({"p": [X], "q": Y}, verbose=0)["sum"], expected)
    assert nested.input_names == ["a", "b"] and nested.output_names[2] == "dense"


def test_a_shared_layer_and_one_called_at_several_places():
    shared = layers.Dense(4)
    x, y = Input((4,)), Input((4,))
    model = Model([x, y], shared(shared(x)) - shared(y))
    close(model([X, 2 * X]), by_hand(X, shared, shared) - by_hand(2 * X, shared))
    assert len(model.weights) == 2
    assert shared.input is x  # the first call counts


def test_a_model_is_a_layer():
    x = Input((4,))
    inner = Model(x, layers.Dense(3, name="inner_dense")(x), name="inner")
    a, b = Input((4,)), Input((4,))
    siamese = Model([a, b], layers.Subtract()([inner(a), inner(b)]))
    close(siamese([X, X]), np.zeros((6, 3)))
    assert inner in siamese.layers and len(siamese.weights) == 2
    outer = Model(a, layers.Dense(1)(weft.Sequential([inner, layers.ReLU()])(a)))
    assert outer(X).shape == (6, 1) and len(outer.trainable_variables) == 4


def test_operations_on_symbols_are_nodes():
    x = Input((4,))
    y = (1 - x) * 2.0 + np.ones(4, "float32") @ np.eye(4, dtype="float32")
    y = ops.concatenate([y, x[:, 1:3], x[:, :1] ** 2], axis=-1)
    y = ops.reshape(y, (-1, 7))
    top, where = ops.top_k(y, 2)
    model = Model(x, [y, top, where, -x, x.T, abs(x), x > 0, weft.Variable(2.0) * x])
    out = model(X)
    whole = np.concatenate([(1 - X) * 2 + 1, X[:, 1:3], X[:, :1] ** 2], -1)
    close(out[0], whole)
    close(out[1], np.sort(whole, -1)[:, :-3:-1])
    for got, wanted in zip(out[3:], [-X, X.T, np.abs(X), X > 0, 2 * X]):
        close(got, wanted)
    assert model.layers == [x.node.operation]
    names = [operation.name for operation in model.operations]
    assert "concatenate" in names and "get_item" in names
    assert isinstance(y.shape, tuple) and ops.shape(x) == (None, 4) and x.ndim == 2


def test_a_symbol_has_a_tensor_s_methods():
    x = Input((4,))
    made = [x.reshape(-1, 2), x.reshape((2, -1)), x.sum(axis=-1, keepdims=True), x.astype("int32")]
    out = Model(x, [*made, x.mean(), x.max(axis=0)])(X)
    expected = [X.reshape(-1, 2), X.reshape(2, -1), X.sum(-1, keepdims=True), X.astype("int32")]
    for got, wanted in zip(out, [*expected, X.mean(), X.max(0)]):
        close(got, wanted)
    assert x.size is None and x.shape.num_elements() is None and not x.shape.is_fully_defined()
    assert Input((4,), batch_size=2).size == 8 and X.shape == weft.ops.ones((6, 4)).shape


def test_tensorflow_s_spelling_on_symbols():
    from weft import tf

    x = tf.keras.Input((4,))
    y = tf.nn.relu(tf.reduce_mean(tf.expand_dims(x, 1), axis=2))
    model = tf.keras.Model(inputs=x, outputs=tf.concat([y, tf.cast(x > 0, tf.float32)], -1))
    mean = X.mean(1, keepdims=True)
    close(model(X), np.concatenate([np.maximum(mean, 0), (X > 0)], -1))
    assert x.shape.as_list() == [None, 4]
    again = Model.from_config(json.loads(json.dumps(model.get_config())))
    close(again(X), model(X))


def test_an_operation_of_the_user_s_own():
    twice = weft.op(lambda a, *, by: a * by, name="twice")
    x = Input((4,))
    model = Model(x, twice(x, by=3.0))
    close(model(X), 3 * X)
    with pytest.raises(NotImplementedError, match=r"'twice' cannot be written.*Register yours"):
        model.get_config()


def test_a_function_of_the_user_s_own():
    factor = weft.Variable(2.0)

    @weft.function
    def scaled(a, by):
        return a * factor * by, a.sum()

    x = Input((4,))
    y, total = scaled(x, by=3.0)
    model = Model(x, [y, total])
    assert y.shape == (None, 4) and total.shape == ()
    close(model(X)[0], 6 * X)
    factor.assign(1.0)
    close(model(X)[0], 3 * X)


def test_features_of_an_inner_layer_and_a_new_head():
    x = Input((4,))
    y = layers.Dense(5, name="feature", activation="relu")(x)
    base = Model(x, layers.Dense(10, name="old_head")(y))
    extractor = Model(base.inputs, base.get_layer("feature").output)
    close(extractor(X), np.maximum(by_hand(X, base.get_layer("feature")), 0))
    tuned = Model(base.input, layers.Dense(2, name="new_head")(base.layers[-2].output))
    assert [layer.name for layer in tuned.layers[1:]] == ["feature", "new_head"]
    base.get_layer("feature").trainable = False
    assert [w.path for w in tuned.trainable_variables] == ["new_head/kernel", "new_head/bias"]


def test_a_model_may_begin_in_the_middle_of_another():
    x = Input((4,))
    middle = layers.Dense(5)(x)
    head = layers.Dense(2)
    model = Model(middle, head(middle))
    close(model(np.ones((3, 5))), by_hand(np.ones((3, 5)), head))
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense"]
    again = Model.from_config(model.get_config())
    assert again.input_shape == (None, 5)


def test_unknown_dimensions():
    x = Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    pooled = layers.GlobalAveragePooling2D()(y)
    model = Model(x, [y, pooled])
    assert y.shape == (None, None, None, 4) and pooled.shape == (None, 4)
    for side in (8, 13):
        assert model(np.ones((2, side, side + 1, 3)))[0].shape == (
            2, (side + 1) // 2, (side + 2) // 2, 4,
        )  # fmt: skip
    fixed = Input((5, None), batch_size=2)
    assert layers.Dense(3).compute_output_shape((None, None, 7)) == (None, None, 3)
    assert ops.transpose(fixed).shape == (None, 5, 2)


def test_arguments_of_calls_are_kept():
    x = Input((4,))
    dropped = layers.Dropout(0.5, seed=1)(x, training=True)
    plain = layers.Dropout(0.5, seed=1)(x)
    model = Model(x, [dropped, plain])
    dropped, plain = model(X)
    assert (dropped.numpy() == 0).any() and (plain.numpy() == X).all()
    trained = model(X, training=True)
    assert (trained[1].numpy() == 0).any()


def test_inputs_are_fitted_to_their_declaration():
    column = Input((1,))
    model = Model(column, column * 2)
    assert model(np.ones(3)).shape == (3, 1)  # as Keras: an axis is added
    flat = Input(())
    assert Model(flat, flat * 2)(np.ones((3, 1))).shape == (3,)
    ids = Input((2,), dtype="int32")
    assert Model(ids, ids + 1)(np.array([[1.0, 2.0]])).dtype == "int32"


def test_masks_go_through_a_functional_model():
    ids = Input((3,), dtype="int32")
    embedded = layers.Embedding(5, 2, mask_zero=True)(ids)
    model = Model(ids, layers.Dense(2)(embedded))
    out = model(np.array([[1, 2, 0]]))
    assert out._keras_mask.tolist() == [[True, True, False]]


# -- subclasses ---------------------------------------------------------------------------------


def test_a_functional_subclass():
    class Net(Model):
        def __init__(self, units, **kwargs):
            x = Input((4,))
            super().__init__(x, layers.Dense(units)(x), **kwargs)
            self.scale = layers.ReLU()
            self.units = units

    class Stepping(Model):
        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = ops.mean((self(x) - y) ** 2)
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
            return {"mine": loss}

    net = Net(3)
    assert net(X).shape == (6, 3) and net.layers[-1] is net.scale and net.output_shape == (None, 3)
    assert Net.from_config({"units": 3}).count_params() == net.count_params()
    x = Input((4,))
    stepping = Stepping(inputs=x, outputs=layers.Dense(1)(x))
    stepping.compile("sgd")
    assert "mine" in stepping.fit(X, X[:, :1], verbose=0).history
    assert type(Stepping.from_config(stepping.get_config())) is Stepping


def test_a_subclassed_model_in_a_graph():
    class Block(Model):
        def __init__(self):
            super().__init__()
            self.dense, self.norm = layers.Dense(3), layers.BatchNormalization()

        def call(self, x, training=None):
            return {"y": self.norm(self.dense(x), training=training), "z": x}

    x = Input((4,))
    block = Block()
    model = Model(x, block(x)["y"] + 1)
    assert [tuple(w.shape) for w in block.weights][:2] == [(4, 3), (3,)]
    np.testing.assert_array_equal(block.norm.moving_mean.numpy(), 0)
    assert model(X).shape == (6, 3)


def test_attributes_may_have_the_names_of_what_is_described():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.inputs, self.outputs = layers.Dense(3), layers.Dense(2)
            self.output_shape = (1, 2)

        def call(self, x):
            return self.outputs(self.inputs(x))

    net = Net()
    assert net(X).shape == (6, 2) and len(net.layers) == 2 and net.output_shape == (1, 2)


# -- training -----------------------------------------------------------------------------------


def test_fit_and_the_plain_loop_train_alike():
    def make():
        weft.random.set_seed(3)
        x = Input((4,))
        y = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(x))
        return Model(x, layers.Dense(1)(layers.BatchNormalization()(y)))

    Y = X.sum(1, keepdims=True)
    fitted, looped = make(), make()
    fitted.compile(weft.optimizers.SGD(0.1), "mse")
    fitted.fit(X, Y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    optimizer = weft.optimizers.SGD(0.1)
    for _ in range(3):
        with weft.GradientTape() as tape:
            loss = ops.mean((looped(X, training=True) - Y) ** 2)
        grads = tape.gradient(loss, looped.trainable_variables)
        optimizer.apply_gradients(zip(grads, looped.trainable_variables))
    for a, b in zip(fitted.weights, looped.weights):
        close(a, b)
    assert len(fitted.programs["train_step"]) == 1


def test_losses_by_output_name():
    x = Input((4,))
    a, b = layers.Dense(1, name="a")(x), layers.Dense(2, name="b")(x)
    for outputs in ([a, b], {"a": a, "b": b}):
        model = Model(x, outputs)
        model.compile("sgd", {"a": "mse", "b": "mae"}, loss_weights={"a": 1.0, "b": 0.5},
                      metrics={"b": ["mae"]})  # fmt: skip
        logs = model.fit(X, {"a": X[:, :1], "b": X[:, :2]}, verbose=0).history
        assert sorted(logs) == ["a_loss", "b_loss", "b_mae", "loss"]


def test_symbolic_losses_and_metrics():
    x = Input((4,))
    dense = layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")
    y = dense(x)
    model = Model(x, y)
    model.add_loss(ops.mean(y**2) * 0.5)
    model.add_metric(ops.mean(y), name="level")
    out = model(X)
    assert len(model.losses) == 2
    close(model.losses[0], 0.5 * np.mean(out.numpy() ** 2))
    model.compile(weft.optimizers.SGD(0.0))
    logs = model.fit(X, verbose=0).history
    close(logs["loss"][0], 0.5 * np.mean(out.numpy() ** 2) + 0.01 * 8)
    close(logs["level"][0], out.numpy().mean())
    assert model.evaluate(X, verbose=0, return_dict=True)["level"] == pytest.approx(
        out.numpy().mean(), abs=1e-5
    )


def test_nothing_is_left_of_the_stand_ins():
    x = Input((4,))
    layer = layers.Dense(2, activity_regularizer="l2")
    layer(x)
    assert layer.losses == []
    norm = layers.BatchNormalization()
    norm(x, training=True)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)


# -- configs ------------------------------------------------------------------------------------


def rich(lib):
    """A graph with most that a config must hold, in weft or Keras."""
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b", dtype="int32")
    shared = lib.layers.Dense(4, name="shared")
    x = shared(shared(a))
    x = lib.ops.concatenate([x, lib.ops.cast(b, "float32")], axis=-1)
    x = (1 - x)[:, 1:7] * np.arange(6, dtype="float32")
    x = lib.ops.reshape(x, (-1, 2, 3))
    x = lib.ops.einsum("bij,bkj->bik", x, x)
    first, second = lib.ops.split(x, 2, axis=1)
    inner_in = lib.Input((1, 2))
    inner = lib.Model(inner_in, lib.layers.Flatten()(inner_in), name="inner")
    out = lib.layers.Add()([inner(first), inner(second)])
    out = lib.layers.Dropout(0.5)(out, training=False)
    return lib.Model({"a": a, "b": b}, {"out": out, "parts": [first, x]}, name="rich")


DATA = {"a": X, "b": np.arange(24, dtype="int32").reshape(6, 4)}


def test_config_round_trip():
    model = rich(weft)
    config = json.loads(json.dumps(model.get_config()))
    again = Model.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    again.set_weights(model.get_weights())
    close(again(DATA)["out"], model(DATA)["out"])
    assert again.get_layer("shared").count_params() == 20


def test_keras_s_config_is_read():
    theirs = rich(keras)
    mine = weft.models.model_from_json(theirs.to_json())
    mine.set_weights([np.asarray(w.value) for w in theirs.weights])
    close(mine(DATA)["out"], theirs(DATA)["out"])
    close(mine(DATA)["parts"][0], theirs(DATA)["parts"][0])
    assert [layer.name for layer in mine.layers] == [layer.name for layer in theirs.layers]


def test_a_config_of_layers_is_read_by_keras():
    x = Input((6, 5), name="x")
    y = layers.Conv1D(3, 2)(x)
    y = layers.Dense(2, activation="relu", kernel_regularizer="l2")(layers.Flatten()(y))
    mine = Model(x, y)
    theirs = keras.Model.from_config(json.loads(json.dumps(mine.get_config())))
    theirs.set_weights(mine.get_weights())
    data = RNG.normal(size=(2, 6, 5)).astype("float32")
    close(mine(data), theirs(data))


def test_a_graph_of_operations_is_read_by_keras():
    mine = rich(weft)
    theirs = keras.Model.from_config(json.loads(json.dumps(mine.get_config())))
    theirs.set_weights(mine.get_weights())
    close(mine(DATA)["out"], theirs(DATA)["out"])
    close(mine(DATA)["parts"][1], theirs(DATA)["parts"][1])


def test_operations_are_written_under_keras_s_names():
    import importlib

    from keras.src.ops.operation import Operation

    from weft.engine.symbolic import public_functions
    from weft.models.configs import _MODULES, _camel

    theirs = {}
    for module in ("numpy", "nn", "math", "core", "linalg"):
        for name, cls in vars(importlib.import_module(f"keras.src.ops.{module}")).items():
            if isinstance(cls, type) and issubclass(cls, Operation):
                theirs.setdefault(name, module)
    for name in public_functions():
        if "." not in name and _camel(name) in theirs:
            found = next((m for m, held in _MODULES.items() if name in held), "numpy")
            assert found == theirs[_camel(name)], name


def test_keras_2_s_config_is_read():
    config = {
        "name": "old",
        "layers": [
            {"class_name": "InputLayer", "name": "a", "inbound_nodes": [],
             "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "a"}},
            {"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 4},
             "inbound_nodes": [[["a", 0, 0, {}]], [["d", 0, 0, {}]]]},
            {"class_name": "Add", "name": "s", "config": {"name": "s"},
             "inbound_nodes": [[["d", 1, 0, {}], ["a", 0, 0, {}]]]},
        ],
        "input_layers": [["a", 0, 0]],
        "output_layers": [["s", 0, 0]],
    }  # fmt: skip
    model = Model.from_config(config)
    dense = model.get_layer("d")
    close(model(X)[0], by_hand(X, dense, dense) + X)


def test_to_json():
    model = rich(weft)
    again = weft.models.model_from_json(model.to_json(indent=1))
    assert again.name == "rich" and type(again) is type(model)
    stack = weft.Sequential([Input((3,)), layers.Dense(2)])
    assert weft.models.model_from_json(stack.to_json()).count_params() == 8
    with pytest.raises(ValueError, match="no JSON"):
        weft.models.model_from_json("{")
    with pytest.raises(ValueError, match="a Dense, which is no model"):
        weft.models.model_from_json(json.dumps(layers.serialize(layers.Dense(1))))


def test_custom_layers_in_a_config():
    class Twice(layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    x = Input((4,))
    config = Model(x, Twice(name="twice")(x)).get_config()
    with pytest.raises(ValueError, match=r"unknown layer 'Twice'.*register_keras_serializable"):
        Model.from_config(config)
    close(Model.from_config(config, custom_objects={"Twice": Twice})(X), 2 * X)
    with weft.saving.custom_object_scope({"Twice": Twice}):
        close(Model.from_config(config)(X), 2 * X)


# -- clones -------------------------------------------------------------------------------------


def test_clones_have_weights_of_their_own():
    model = rich(weft)
    clone = weft.models.clone_model(model)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    close(clone(DATA)["out"], model(DATA)["out"])
    stack = weft.Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
    assert weft.models.clone_model(stack).output_shape == (None, 2)


def test_a_clone_s_layers_may_be_others():
    def wider(layer):
        if isinstance(layer, layers.Dense):
            return layers.Dense(7, name=layer.name)
        return layer.from_config(layer.get_config())

    x = Input((4,))
    inner = weft.Sequential([Input((4,)), layers.Dense(2)], name="inner")
    model = Model(x, inner(x))
    assert weft.models.clone_model(model, clone_function=wider).output_shape == (None, 2)
    deep = weft.models.clone_model(model, clone_function=wider, recursive=True)
    assert deep.output_shape == (None, 7)
    other = Input((4,), batch_size=3)
    assert weft.models.clone_model(model, input_tensors=other).output_shape == (3, 2)
    calls = []

    def call(layer, *args, **kwargs):
        calls.append(layer.name)
        return layer(*args, **kwargs)

    weft.models.clone_model(model, call_function=call)
    assert calls == ["inner"]
    with pytest.raises(ValueError, match="must be 1 symbolic tensors"):
        weft.models.clone_model(model, input_tensors=[other, other])
    with pytest.raises(ValueError, match="clone_function must give a layer, got int"):
        weft.models.clone_model(model, clone_function=lambda layer: 3)


# -- errors -------------------------------------------------------------------------------------


def test_a_graph_that_is_not_connected():
    a, b = Input((4,), name="left"), Input((4,), name="right")
    y = layers.Add(name="both")([a, b])
    with pytest.raises(
        ValueError, match="not connected: output 'both' needs input 'right', which is not among"
    ):
        Model(a, y)
    with pytest.raises(ValueError, match="each input may be given once"):
        Model([a, a], a * 2)
    with pytest.raises(TypeError, match=r"outputs must be symbolic tensors.*got Tensor"):
        Model(a, ops.ones((2, 2)))
    with pytest.raises(TypeError, match=r"inputs must be symbolic tensors.*got int"):
        Model(3, a)
    with pytest.raises(TypeError, match="both inputs and outputs, got only"):
        Model(inputs=a)


def test_names_must_differ():
    x = Input((4,))
    y = layers.Dense(2, name="same")(layers.Dense(2, name="same")(x))
    with pytest.raises(ValueError, match=r"\['same'\] stand for more than one"):
        Model(x, y, name="m")


def test_wrong_inputs_are_refused():
    a, b = Input((4,), name="a"), Input((2, 3), name="b")
    model = Model([a, b], layers.Flatten()(b) @ np.ones((6, 4), "float32") + a, name="m")
    good = np.ones((6, 2, 3))
    with pytest.raises(ValueError, match=r"'m' takes 2 inputs \(a, b\), got 1: \(6, 4\)"):
        model(X)
    with pytest.raises(ValueError, match=r"no value for the inputs \['b'\]"):
        model({"a": X})
    with pytest.raises(ValueError, match=r"input 'b' takes shape \(None, 2, 3\), got \(6, 4\)"):
        model([X, X])
    with pytest.raises(ValueError, match=r"input 'a' takes shape \(None, 4\), got \(6, 5\)"):
        model([np.ones((6, 5)), good])
    assert model([X, good]).shape == (6, 4)


def test_a_symbol_is_no_value():
    x = Input((4,), name="x")
    message = r"the symbolic tensor 'x' \(shape \(None, 4\).*was used as a value"
    for use in (bool, float, int, np.asarray, list, len, lambda v: v.numpy(), lambda v: v.tolist()):
        with pytest.raises(weft.GraphError, match=message):
            use(x)
    import jax.numpy as jnp

    with pytest.raises(weft.GraphError, match=r"lift a JAX function with weft.op"):
        jnp.sin(x)
    v = weft.Variable(np.ones(4))
    with pytest.raises(weft.GraphError, match="used as a value"):
        v.assign(x)
    assert "shape=(None, 4)" in repr(x) == str(x)


def test_shape_errors_name_the_layer_and_show_what_is_unknown():
    x = Input((4,))
    dense = layers.Dense(2, name="head")
    dense(x)
    with pytest.raises(weft.ShapeError, match=r"layer 'head' .* called on float32\[None, 5\]"):
        dense(Input((5,)))
    with pytest.raises(weft.ShapeError, match=r"matmul\(float32\[None, 4\], float32\[5, 2\]\)"):
        x @ np.ones((5, 2), "float32")
    with pytest.raises(weft.ShapeError, match="expected an input of shape"):
        layers.Dense(2)(Input((None,)))


def test_a_failed_call_leaves_layers_unbuilt():
    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(3), layers.Dense(2)

        def call(self, x):
            return self.two(self.one(x)) @ ops.ones((5, 5))

    pair = Pair()
    with pytest.raises(weft.ShapeError, match="matmul"):
        pair(Input((4,)))
    assert not pair.weights and not pair.one.built and not pair.built


def test_weights_and_layers_made_in_call_are_refused():
    class Makes(layers.Layer):
        def call(self, x):
            return x * self.add_weight((1,))

    class Hides(layers.Layer):
        def call(self, x):
            return layers.Dense(2)(x)

    class Late(layers.Layer):
        def build(self, shape):
            super().build(shape)
            self.w = self.add_weight((shape[-1],))

        def call(self, x):
            return x * self.w

    with pytest.raises(RuntimeError, match=r"'makes' .* makes a weight inside call"):
        Makes()(X)
    with pytest.raises(RuntimeError, match=r"'dense.*called for the first time inside call of 'hi"):
        Hides()(X)
    assert Late()(X).shape == X.shape


def test_layers_outside_a_graph_have_no_output():
    dense = layers.Dense(2)
    dense(X)
    with pytest.raises(AttributeError, match="not called on symbolic tensors"):
        _ = dense.output
    with pytest.raises(AttributeError, match="not described by symbolic inputs"):
        _ = weft.Model().inputs
