"""`.keras` files: whole models, both ways with Keras, and what is refused."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest

import weft
from tests.saving.cases import MODELS, OPTIMIZERS, data, dense, filled
from weft.saving import load_model

# What Keras itself meets when it writes its variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LIBRARIES = {"weft": weft, "keras": keras}
# Their classes are made anew for each library, so they cannot be found by name in both.
PLAIN = [name for name in MODELS if name in ("layers", "images", "half precision")]


def config_of(path):
    with zipfile.ZipFile(path) as opened:
        return json.loads(opened.read("config.json"))


def rewritten(path, change):
    """The archive with its config changed."""
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    config = json.loads(members["config.json"])
    members["config.json"] = json.dumps(change(config) or config).encode()
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.keras")


def trained(model, batches, start=0):
    x, y = data(64)
    rows = slice(start * 8, (start + batches) * 8)
    model.fit(x[rows], y[rows], batch_size=8, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("optimizer", ["Adam", "loss scale", "several", "schedule"])
@pytest.mark.parametrize("first, second", [("weft", "keras"), ("keras", "weft"), ("weft", "weft")])
def test_training_goes_on_in_the_other_library(first, second, optimizer, path):
    lib = LIBRARIES[first]
    model = dense(lib)
    model.compile(OPTIMIZERS[optimizer](lib.optimizers), "mse", metrics=["mae"])
    trained(model, 3).save(path)
    loaded = LIBRARIES[second].saving.load_model(path)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for one in (model, loaded):
        trained(one, 5, start=3)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=0 if first == second else 1e-6)
    assert loaded.evaluate(*data(), verbose=0, return_dict=True).keys() == {"loss", "mae"}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("first, second", [("weft", "keras"), ("keras", "weft"), ("weft", "weft")])
def test_models_cross(first, second, name, path):
    model, shape = MODELS[name](LIBRARIES[first])
    filled(model).save(path)
    loaded = LIBRARIES[second].saving.load_model(path)
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype("float32")
    tolerance = 1e-2 if name == "half precision" else 1e-6
    a, b = model(x), loaded(x)
    a, b = (list(v) if isinstance(v, list | tuple) else [v] for v in (a, b))
    for one, other in zip(a, b, strict=True):
        one, other = np.asarray(one, "float32"), np.asarray(other, "float32")
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=1e-6)


def two_classes(lib):
    """Classes of one name in a library: a layer inside a model that is a subclass."""

    class Scale(lib.layers.Layer):
        def __init__(self, power=1, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def build(self, input_shape):
            self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

        def call(self, x):
            return x * self.factor**self.power

        def get_config(self):
            return {**super().get_config(), "power": self.power}

    class Net(lib.Model):
        def __init__(self, units=2, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.scale, self.dense = Scale(2), lib.layers.Dense(units)

        def call(self, x):
            return self.dense(self.scale(x))

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return {"Net": Net, "Scale": Scale}


@pytest.mark.parametrize("first, second", [("weft", "keras"), ("keras", "weft"), ("weft", "weft")])
def test_subclasses_cross_through_custom_objects(first, second, path):
    model = two_classes(LIBRARIES[first])["Net"](3)
    x, _ = data()
    expected = np.asarray(model(x))
    model.save(path)
    custom = two_classes(LIBRARIES[second])
    loaded = LIBRARIES[second].saving.load_model(path, custom_objects=custom)
    assert type(loaded) is custom["Net"] and loaded.units == 3
    np.testing.assert_allclose(np.asarray(loaded(x)), expected, atol=1e-6)
    if second == "weft":
        with pytest.raises(ValueError, match=r"unknown layer 'Net'.*register_keras_serializable"):
            load_model(path)


def test_registered_classes_are_found_and_no_module_is_imported(path, monkeypatch):
    @weft.saving.register_keras_serializable("mine")
    class Doubled(weft.layers.Layer):
        def call(self, x):
            return x * 2.0

    model = weft.Sequential([weft.Input((5,)), Doubled()])
    model.save(path)
    monkeypatch.setattr("importlib.import_module", lambda *a: pytest.fail(f"imports {a}"))
    assert type(load_model(path).layers[0]) is Doubled
    rewritten(path, lambda c: c["config"]["layers"][1].update(
        module="os", class_name="system", registered_name=None, config={"command": "true"}
    ))  # fmt: skip
    with pytest.raises(ValueError, match="unknown layer 'system'"):
        load_model(path)


class Two(weft.Model):
    """Several arguments, of several dtypes, one of them by name only."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dense = weft.layers.Embedding(7, 3), weft.layers.Dense(2)

    def call(self, tokens, parts, *, scale=None):
        pooled = weft.ops.mean(self.embedding(tokens % 7), axis=1)
        out = self.dense(pooled) + self.dense(parts["a"])
        return out if scale is None else out * scale


def test_a_model_of_several_arguments_is_built_again(path):
    tokens, parts = np.ones((2, 4), "int32"), {"a": np.ones((2, 3), "float32")}
    scale = np.full((2, 2), 3.0, "float32")
    model = Two()
    expected = model(tokens, parts, scale=scale).numpy()
    model.save(path)
    assert config_of(path)["build_config"]["shapes_dict"] == {
        "tokens_shape": [2, 4], "parts_shape": {"a": [2, 3]}, "scale_shape": [2, 2],
    }  # fmt: skip
    loaded = load_model(path, {"Two": Two})
    np.testing.assert_array_equal(loaded(tokens, parts, scale=scale), expected)


class OneHot(weft.Model):
    def __init__(self):
        super().__init__()
        self.dense = weft.layers.Dense(2)

    def call(self, inputs):
        return self.dense(weft.ops.one_hot(inputs["x"], 4))


def test_inputs_of_whole_numbers_stay_that_when_it_is_built_again(path):
    model = OneHot()
    expected = model({"x": np.arange(3, dtype="int32")}).numpy()
    model.save(path)
    assert config_of(path)["build_config"] == {
        "input_shape": {"x": [3]}, "input_dtype": {"x": "int32"},
    }  # fmt: skip
    loaded = load_model(path, {"OneHot": OneHot})
    np.testing.assert_array_equal(loaded({"x": np.arange(3, dtype="int32")}), expected)


def test_models_without_weights_yet_come_back_so(path):
    weft.Sequential([weft.layers.Dense(3), weft.layers.Dense(2)]).save(path)
    loaded = load_model(path)
    assert not loaded.built and loaded(np.ones((1, 4), "float32")).shape == (1, 2)


# -- compile ----------------------------------------------------------------------------------


def off(y_true, y_pred):
    return abs(y_true - y_pred)


def two_outputs(lib):
    x = lib.Input((5,))
    outputs = {k: lib.layers.Dense(1, name=k)(x) for k in ("a", "b")}
    model = lib.Model(x, outputs)
    model.compile(
        lib.optimizers.SGD(lib.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.5),
        {"a": lib.losses.LogCosh(), "b": off},
        loss_weights={"a": 1.0, "b": 0.25},
        metrics={"a": [lib.metrics.MeanAbsoluteError(name="q"), "mse"], "b": [off]},
        steps_per_execution=2,
    )
    return model


# Keras tells where it skips the state of an optimizer that has none yet.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.parametrize("first, second", [("weft", "keras"), ("keras", "weft"), ("weft", "weft")])
def test_compile_settings_cross(first, second, path):
    model = two_outputs(LIBRARIES[first])
    model.save(path)
    loaded = LIBRARIES[second].saving.load_model(path, custom_objects={"off": off})
    x, y = data()
    targets = {"a": y[:, :1], "b": y[:, 1:]}
    logs = [
        one.evaluate(x, targets, verbose=0, return_dict=True) for one in (model, loaded)
    ]  # fmt: skip
    assert logs[0].keys() == logs[1].keys()
    for key, value in logs[0].items():
        np.testing.assert_allclose(logs[1][key], value, rtol=1e-5)
    assert loaded.steps_per_execution == 2
    assert type(loaded.optimizer).__name__ == "SGD" and loaded.optimizer.momentum == 0.5
    with pytest.raises(ValueError, match="off"):
        load_model(path)


def test_without_compiling(path):
    model = trained_and_saved(path)
    loaded = load_model(path, compile=False)
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    weft.saving.save_model(model, path, include_optimizer=False)
    assert "compile_config" not in config_of(path)


def trained_and_saved(path):
    model = dense(weft)
    model.compile("adam", "mse")
    trained(model, 2).save(path)
    return model


def test_settings_that_have_no_config_are_left_out_with_a_warning(path):
    import optax

    model = dense(weft)
    model.compile(optax.adam(0.1), "mse", loss_weights=lambda: 1.0)
    with pytest.warns(UserWarning, match="saved without what it was compiled with.*Compile it"):
        model.save(path)
    assert not load_model(path).compiled


class Pair(weft.Model):
    """A compile of its own, with two optimizers."""

    def __init__(self):
        super().__init__()
        self.dense = weft.layers.Dense(2)

    def call(self, x):
        return self.dense(x)

    def compile(self, first, second):
        super().compile("sgd", "mse")
        self.first = first


def test_a_compile_of_ones_own(path):
    model = Pair()
    model(data()[0])
    model.compile(weft.optimizers.Adam(), 2)
    model.save(path)
    with pytest.warns(UserWarning, match="loaded but not compiled: its own compile takes other"):
        load_model(path, {"Pair": Pair})

    class Whole(Pair):
        def get_compile_config(self):
            return {"first": weft.optimizers.serialize(self.first)}

        def compile_from_config(self, config):
            self.compile(weft.optimizers.deserialize(config["first"]), 2)

    model = Whole()
    model(data()[0])
    model.compile(weft.optimizers.Adam(0.5), 2)
    model.save(path)
    assert float(load_model(path, {"Whole": Whole}).first.learning_rate) == 0.5


# -- what is written, and refused -------------------------------------------------------------


def test_what_is_in_it(path):
    trained_and_saved(path)
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert {m.compress_type for m in opened.infolist()} == {zipfile.ZIP_STORED}
        metadata = json.loads(opened.read("metadata.json"))
    assert metadata["keras_version"].startswith("3.") and metadata["weft_format"] == 1
    config = config_of(path)
    assert config["compile_config"]["loss"] == "mse"
    assert config["config"]["build_input_shape"] == [None, 5]


def test_weights_alone_are_taken_from_it(path):
    model = trained_and_saved(path)
    other = dense(weft)
    other.load_weights(path)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_deflated_archives_are_read(path, tmp_path):
    model = trained_and_saved(path)
    packed = tmp_path / "packed.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loaded = load_model(packed)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_lambdas_of_keras_are_code(path):
    x = keras.Input((5,))
    keras.Model(x, keras.layers.Lambda(lambda x, k=3.0: np.float32(k) * x)(x)).save(path)
    for safe in (True, None):  # anything but False
        with pytest.raises(ValueError, match=r"holds Python code \(a lambda.*safe_mode=False"):
            load_model(path, safe_mode=safe)
    loaded = load_model(path, safe_mode=False)
    np.testing.assert_array_equal(loaded(np.ones((1, 5), "float32")), np.full((1, 5), 3.0))

    def broken(config):
        config["config"]["layers"][1]["config"]["function"]["config"]["code"] = "bm8="

    rewritten(path, broken)
    with pytest.raises(ValueError, match="of another version of Python"):
        load_model(path, safe_mode=False)


def test_refusals(path, tmp_path):
    model = dense(weft)
    with pytest.raises(ValueError, match=r"ends in '\.keras', got '.*model\.h5'\. Keras 2's"):
        model.save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match=r"ends in '\.keras'"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file '.*model\.keras' \(looked for from"):
        load_model(path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_model(tmp_path)
    (tmp_path / "model.pb").write_text("")
    with pytest.raises(ValueError, match=r"reads files whose names end in '\.keras'.*load_weights"):
        load_model(tmp_path / "model.pb")
    model.save(path)
    with pytest.raises(FileExistsError, match="is there already"):
        model.save(path, overwrite=False)
    with pytest.raises(TypeError, match=r"takes a model, got Dense.*save_weights"):
        weft.saving.save_model(model.layers[0], path)
    with pytest.raises(TypeError, match=r"unknown arguments \['over'\]"):
        model.save(path, over=1)
    rewritten(path, lambda c: c["config"]["layers"][1]["config"].update(units=4))
    with pytest.raises(ValueError, match=r"(?s)of another shape or dtype.*layers/dense/vars/0"):
        load_model(path)
    rewritten(path, lambda c: c["config"]["layers"][1])
    with pytest.raises(ValueError, match="holds a Dense, which is no model"):
        load_model(path)


@pytest.mark.parametrize(
    "metadata", [{"weft_format": 2}, {"keras_version": "4.0.0"}, {"weft_format": "x"}]
)
def test_newer_versions(path, metadata):
    trained_and_saved(path)
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    members["metadata.json"] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    with pytest.raises(ValueError, match=r"written by a newer version.*update weft"):
        load_model(path)


def test_models_find_their_functions():
    assert weft.models.load_model is weft.tf.keras.models.load_model is load_model
    assert weft.models.save_model is weft.tf.keras.saving.save_model
    with pytest.raises(AttributeError, match=re.escape("Did you mean 'load_model'")):
        weft.models.load_models  # noqa: B018


def test_keras_subclass_whose_init_takes_nothing(path):
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    theirs = Plain()
    expected = np.asarray(theirs(data()[0]))
    theirs.save(path)
    loaded = load_model(path, {"Plain": Pair})
    np.testing.assert_allclose(loaded(data()[0]), expected, atol=1e-6)
