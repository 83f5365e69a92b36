"""Keras 2's `.h5` files, whole models and weights alone: what golden files hold, and refusals."""

import json

import h5py
import keras
import numpy as np
import pytest

import weft
from tests.saving.cases import data, dense, filled
from tests.saving.golden import make_legacy
from weft.engine import nest
from weft.saving import load_model

# What Keras itself meets when it writes its variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

GOLDEN = make_legacy.FOLDER
SAVED = np.load(GOLDEN / "legacy.npz")


def outputs(model, name):
    x = make_legacy.inputs(name)
    return [np.asarray(v) for v in nest.walk(model(x if len(x) > 1 else x[0]))]


def expected(name):
    return [SAVED[k] for k in sorted(SAVED.files) if k.startswith(f"{name}_") and k[-1].isdigit()]


def close(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def values(model):
    return [v.tobytes() for v in model.get_weights()]


# -- what they hold ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", make_legacy.MODELS)
def test_whole_models(name):
    model = load_model(GOLDEN / f"{name}.h5")
    close(outputs(model, name), expected(name))
    other = make_legacy.MODELS[name](weft)  # made here: other names, the same places
    other.load_weights(GOLDEN / f"{name}.h5")
    assert values(model) == values(other)
    model.load_weights(GOLDEN / f"{name}.h5", by_name=True)
    assert values(model) == values(other)


def test_weights_alone():
    for path in ("attention.h5", "attention_weights.h5"):
        model = make_legacy.attention(weft)
        model.load_weights(GOLDEN / path)
        close(outputs(model, "attention"), expected("attention"))


def test_a_model_trains_on_with_its_optimizer():
    model = load_model(GOLDEN / "trained.h5")
    assert int(model.optimizer.iterations) == 4
    assert float(model.optimizer.learning_rate) == np.float32(0.02)
    (x,) = make_legacy.inputs("trained")
    y = np.sum(x, axis=1, keepdims=True)
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert set(history.history) == {"loss", "mae"}
    np.testing.assert_allclose(model(x), SAVED["trained_on"], rtol=1e-5, atol=1e-6)
    assert load_model(GOLDEN / "trained.h5", compile=False).compiled is False


def test_half_precision_and_metrics_of_several_outputs():
    model = load_model(GOLDEN / "half.h5")
    assert model.get_layer("hidden").dtype_policy.name == "mixed_float16"
    (x,) = make_legacy.inputs("half")
    for name, value in model(x).items():
        np.testing.assert_allclose(value, SAVED[f"half_out_{name}"], rtol=2e-3, atol=2e-3)
    y = {k: np.sum(x, axis=1, keepdims=True) for k in "ab"}
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    theirs = {k[9:]: float(SAVED[k]) for k in SAVED.files if k.startswith("half_log_")}
    assert logs.keys() == theirs.keys()
    for k, v in theirs.items():
        np.testing.assert_allclose(logs[k], v, rtol=1e-2)
    assert int(model.optimizer.iterations) == 2
    adam = model.optimizer.inner_optimizer
    with h5py.File(GOLDEN / "half.h5") as file:
        held = file["optimizer_weights"]["v/hidden/kernel:0"][()]
    np.testing.assert_array_equal(adam._slots[0, "velocity"], held)


def test_archives_of_keras_2():
    with pytest.warns(UserWarning, match="state of the optimizer 'Adam' was not loaded"):
        model = load_model(GOLDEN / "trained.keras")
    (x,) = make_legacy.inputs("trained")
    np.testing.assert_allclose(model(x), SAVED["trained_on"], rtol=1e-5, atol=1e-6)
    assert model.optimizer.get_config()["learning_rate"] == pytest.approx(0.02)


def test_operations_between_layers():
    model = load_model(GOLDEN / "operations.h5")
    x = make_legacy.inputs("attention")[0]
    np.testing.assert_allclose(model(x), SAVED["operations_0"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frozen", make_legacy.FROZEN)
def test_what_was_frozen_changes_the_order_not_the_values(frozen):
    """Frozen weights come last in such files; they are found by their names."""
    path = GOLDEN / f"nested_{frozen}_weights.h5"
    model = make_legacy.nested(weft, frozen=None)
    filled = make_legacy.filled(make_legacy.nested(weft, frozen=None))
    model.load_weights(path)
    theirs = {v.path: v.numpy() for v in model.weights}
    for v in filled.weights:
        assert theirs[v.path].shape == tuple(v.shape)
    renamed = make_legacy.nested(weft, ("n", "f", "s"), frozen=None)
    if frozen != "inner":
        with pytest.raises(ValueError, match=r"(?s)order that fits none of 'inner'.*Freeze the sa"):
            renamed.load_weights(path)
        renamed.get_layer("inner").get_layer(frozen[0]).trainable = False
    renamed.load_weights(path)
    assert values(renamed) == values(model)


def test_files_that_keras_3_writes(tmp_path):
    theirs, (x, y) = dense(keras), data()
    filled(theirs).compile("adam", "mse")
    theirs.fit(x, y, verbose=0)
    theirs.save(tmp_path / "m.h5")
    model, other = load_model(tmp_path / "m.h5"), dense(weft)
    other.load_weights(tmp_path / "m.h5")
    for a, b, c in zip(theirs.get_weights(), model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for one in (theirs, model):
        one.fit(x, y, verbose=0)
    for a, b in zip(theirs.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


# -- what does not fit --------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    """A copy of a golden file, to be changed."""
    path = tmp_path / "nested.h5"
    path.write_bytes((GOLDEN / "nested.h5").read_bytes())
    return path


def unchanged(model, path, match, **options):
    before = values(model)
    with pytest.raises(ValueError, match=match):
        model.load_weights(path, **options)
    assert values(model) == before


def other_head(units=3, bias=True):
    x, y = weft.Input((3,)), weft.Input((3,))
    inner = make_legacy.nested(weft).get_layer("inner")
    h = weft.layers.Subtract()([inner(x), inner(y)])
    dense = weft.layers.Dense
    return weft.Model([x, y], [dense(1, name="a")(h), dense(units, None, bias, name="b")(h)])


def test_misfits_are_listed_and_nothing_changes(file):
    unchanged(other_head(), file, r"(?s)does not fit.*of another shape or dtype \(2\):\n  b/ker"
              r"nel:0 \(3, 2\) float32, for b/kernel \(3, 3\) float32\n.*b/bias:0")  # fmt: skip
    unchanged(other_head(2, False), file, r"(?s)in the file, but not in the model \(1\):\n"
              r"  b/bias:0 \(2,\)\nNothing was changed. skip_mismatch=True loads")  # fmt: skip
    with h5py.File(file, "a") as opened:
        del opened["model_weights/b/b/bias:0"]
        opened["model_weights/b"].attrs["weight_names"] = ["b/kernel:0"]
    unchanged(make_legacy.nested(weft), file, r"(?s)missing in the file \(1\):\n"
              r"  layer 'b', for b/bias \(2,\)")  # fmt: skip


def test_what_does_not_fit_is_skipped_with_one_warning(file, recwarn):
    model, whole = other_head(), make_legacy.nested(weft)
    whole.load_weights(file)
    before = [v.tobytes() for v in model.layers[-1].get_weights()]
    recwarn.clear()
    model.load_weights(file, skip_mismatch=True)
    (warned,) = recwarn
    assert "b/kernel:0 (3, 2) float32" in str(warned.message) and warned.filename == __file__
    assert [v.tobytes() for v in model.layers[-1].get_weights()] == before
    for name in ("inner", "a"):
        pairs = zip(model.get_layer(name).get_weights(), whole.get_layer(name).get_weights())
        assert all(a.tobytes() == b.tobytes() for a, b in pairs)


def test_another_number_of_layers(file):
    match = r"weights of 3 layers, \['inner', 'a', 'b'\]; 'two'.*3 layers.*by_name=True"
    model = dense(weft, names=("x", "b"))
    unchanged(model, GOLDEN / "trained.h5", r"of 2 layers.*has 3 layers.*by_name=True loads")
    unbuilt = weft.Sequential([weft.layers.Dense(2)], name="two")
    unchanged(unbuilt, file, match.replace("3 layers.*by", "0 layers.*no weights yet.*by"))
    x = weft.Input((3,))
    h = weft.layers.Dense(2)(weft.layers.Dense(2)(weft.layers.Dense(4)(x)))
    unchanged(weft.Model(x, h), file, r"(?s)missing in the file|of another shape|in the file, but")


def test_weights_of_the_model_itself(tmp_path):
    class Scaled(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.scale = weft.layers.Dense(2, name="d"), self.add_weight((2,), "ones")

        def call(self, x):
            return self.dense(x) * self.scale

    path = tmp_path / "scaled.h5"
    with h5py.File(path, "w") as opened:
        opened.attrs["layer_names"] = [b"d"]  # as bytes, as older versions have them
        for group, held in {
            "d": {"d/kernel:0": (3, 2), "d/bias:0": (2,)}, "top_level_model_weights": {"s:0": (2,)},
        }.items():  # fmt: skip
            opened.create_group(group).attrs["weight_names0"] = [k.encode() for k in held]
            for k, shape in held.items():
                opened[f"{group}/{k}"] = np.full(shape, 2.0, "float32")
    for options in ({}, {"by_name": True}):
        model = Scaled()
        model(np.ones((1, 3), "float32"))
        model.load_weights(path, **options)
        assert {v for w in model.get_weights() for v in w.ravel()} == {2.0}
    model = dense(weft, names=("d", "e"))
    unchanged(model, path, r"of 1 layers, \['d'\]; 'seq")


@pytest.mark.parametrize("attribute, value", [("keras_version", "1.2.2"), ("backend", "theano")])
def test_kernels_of_other_layouts(attribute, value, file):
    with h5py.File(file, "a") as opened:
        opened["model_weights"].attrs[attribute] = value
    unchanged(make_legacy.nested(weft), file, f"was written by Keras .*{value}.*laid out otherwise")


def test_the_state_of_another_optimizer(tmp_path):
    path = tmp_path / "trained.h5"
    path.write_bytes((GOLDEN / "trained.h5").read_bytes())
    with h5py.File(path, "a") as opened:
        config = json.loads(opened.attrs["training_config"])
        config["optimizer_config"] = {"class_name": "Nadam", "config": {"learning_rate": 0.5}}
        opened.attrs["training_config"] = json.dumps(config)
    with pytest.warns(UserWarning, match=r"state of the optimizer 'nadam.*starts afresh") as told:
        model = load_model(path)
    assert told[0].filename == __file__
    assert float(model.optimizer.learning_rate) == 0.5 and int(model.optimizer.iterations) == 0


def test_state_of_keras_2s_older_optimizers(tmp_path):
    """They keep one slot after the other, and name it last."""
    path = tmp_path / "trained.h5"
    path.write_bytes((GOLDEN / "trained.h5").read_bytes())
    with h5py.File(path, "a") as opened:
        old = opened["optimizer_weights"]
        names = [str(n) for n in old.attrs["weight_names"]]
        renamed = {"iteration:0": "Adam/iter:0"}
        for slot in "mv":
            for name in names:
                if name.startswith(f"Adam/{slot}/"):
                    renamed[name] = f"Adam/{name[7:-2]}/{slot}:0"
        held = {new: old[name][()] for name, new in renamed.items()}
        del opened["optimizer_weights"]
        group = opened.create_group("optimizer_weights")
        group.attrs["weight_names"] = list(held)
        for name, value in held.items():
            group[name] = value
    one, other = load_model(path), load_model(GOLDEN / "trained.h5")
    for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


# -- files made to do harm ------------------------------------------------------------------------

KERNEL = "model_weights/a/a/kernel:0"


def linked(opened, folder):
    del opened[KERNEL]
    opened[KERNEL] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def linked_inside(opened, folder):
    del opened[KERNEL]
    opened[KERNEL] = h5py.SoftLink("/model_weights/b/b/kernel:0")


def kept_elsewhere(opened, folder):
    del opened[KERNEL]
    (folder / "secret").write_bytes(b"s" * 12)
    opened.create_dataset(KERNEL, (3, 1), "float32", external=[(str(folder / "secret"), 0, 12)])


def huge(opened, folder):
    del opened[KERNEL]
    opened.create_dataset(KERNEL, (2**40, 3), "float32", chunks=(1024, 3))


def gone(opened, folder):
    del opened[KERNEL]


def layer_gone(opened, folder):
    del opened["model_weights/a"]


def elsewhere(opened, folder):
    opened["model_weights/a"].attrs["weight_names"] = ["../b/b/kernel:0", "/etc/passwd"]


def numbers(opened, folder):
    opened["model_weights"].attrs["layer_names"] = [1, 2]


def references(opened, folder):
    opened["model_weights"].attrs["layer_names"] = opened["model_weights"].ref


FILES = {
    linked: "is a external link", linked_inside: "is a soft link",
    kept_elsewhere: "keeps its values in another file", huge: "says that it has shape",
    gone: r"lists the layer 'a', but has no arrays \['model_weights/a/a/kernel:0'\]",
    layer_gone: "lists the layer 'a', of which it has nothing",
    elsewhere: r"has no arrays \['model_weights/a/../b/b/kernel:0', 'model_weights/a//etc/passwd'",
    numbers: "the attribute 'layer_names' of 'model_weights' is no text",
    references: "is no text",
}  # fmt: skip


@pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)
def test_crafted_files(make, file, tmp_path):
    with h5py.File(file, "a") as opened:
        make(opened, tmp_path)
    unchanged(make_legacy.nested(weft), file, FILES[make])
    with pytest.raises(ValueError, match=FILES[make]):
        load_model(file)


def rewritten(path, change, name="model_config"):
    with h5py.File(path, "a") as opened:
        config = json.loads(opened.attrs[name])
        opened.attrs[name] = json.dumps(change(config) or config)


@pytest.mark.parametrize(
    "text, match",
    [
        ("no", "'model_config' is no JSON"), ("[1]", "is no object, but"),
        ("[" * 100_000, "is nested too deep"), ("{}", "is a dict with 'class_name'"),
        ('{"class_name": "Functional", "config": {"layers": [1]}}', "cannot be made from the conf"),
        ('{"class_name": "Dense", "config": {"units": 1}}', "holds a Dense, which is no model"),
        ('{"class_name": "system", "module": "os", "config": {}}', "unknown layer 'system'"),
    ],
)  # fmt: skip
def test_configs_that_are_none(text, match, file):
    with h5py.File(file, "a") as opened:
        opened.attrs["model_config"] = text
    with pytest.raises(ValueError, match=match):
        load_model(file)


@pytest.mark.parametrize("safe_mode", [True, None, False])
def test_code_is_never_run(safe_mode, file):
    """Keras 2's lambdas are Python's bytecode in the config."""
    code = ["4wEAAAAAAAAA", None, None]
    entry = {"class_name": "Lambda", "config": {"function": code, "function_type": "lambda"}}

    def put(config):
        config["config"]["layers"][2].update(class_name="Lambda", config={
            **entry["config"], "name": "inner", "module": "os",
        })  # fmt: skip

    rewritten(file, put)
    with pytest.raises(ValueError, match=r"Python (byte)?code.*not run"):
        load_model(file, safe_mode=safe_mode)


def test_layers_and_operations_that_are_not_known(file):
    rewritten(file, lambda c: c["config"]["layers"][2].update(class_name="Mine"))
    with pytest.raises(ValueError, match=r"unknown layer 'Mine'.*named in custom_objects"):
        load_model(file)
    path = file.parent / "operations.h5"
    path.write_bytes((GOLDEN / "operations.h5").read_bytes())
    rewritten(path, lambda c: c["config"]["layers"][2]["config"].update(function="io.read_file"))
    with pytest.raises(ValueError, match=r"the operation 'io.read_file' of TensorFlow.*load_weig"):
        load_model(path)


def test_more_memory_than_the_file_has(file):
    rewritten(file, lambda c: c["config"]["layers"][-1]["config"].update(units=2**33))
    with pytest.raises(ValueError, match=r"of shape \(3, 8589934592\)"):
        load_model(file)


def test_truncated_anywhere(file):
    content, model = file.read_bytes(), make_legacy.nested(weft)
    for k in range(16):
        file.write_bytes(content[: len(content) * k // 16])
        unchanged(model, file, "no HDF5 file|damaged")


def test_bits_flipped_anywhere(file):
    content, model = file.read_bytes(), make_legacy.nested(weft)
    random = np.random.default_rng(0)
    shapes = [w.shape for w in model.get_weights()]
    refusals = 0
    for k in range(150):
        flipped = bytearray(content)
        flipped[random.integers(len(content))] ^= 1 << int(random.integers(8))
        file.write_bytes(flipped)
        try:
            model.load_weights(file, by_name=bool(k % 2))
        except ValueError:
            refusals += 1
    assert refusals > 5
    assert [w.shape for w in model.get_weights()] == shapes


def test_a_damaged_type_is_not_handed_to_the_library(file):
    """The attribute's type is a list of variable length, of a kind that there is not."""
    text = b"keras_version\0\0\0\x19"
    content = file.read_bytes()
    assert content.count(text + b"\x01") == 2
    file.write_bytes(content.replace(text + b"\x01", text + b"\x05"))
    unchanged(make_legacy.nested(weft), file, "attribute 'keras_version' of 'mod.* is no text")


def test_a_heap_without_an_end_is_not_walked_along(file):
    """The HDF5 library would not come back from it: after a text's size, nothing has one."""
    content = bytearray(file.read_bytes())
    at = content.index(b"GCOL")
    end = at + int.from_bytes(content[at + 8 : at + 16], "little")
    length = int.from_bytes(content[at + 24 : at + 32], "little")
    place = at + 32 + -(-length // 8) * 8  # what follows the first text
    content[place:end] = bytes(end - place)
    file.write_bytes(content)
    unchanged(make_legacy.nested(weft), file, r"is damaged \(a heap of texts at byte \d+\)")
    with pytest.raises(ValueError, match="a heap of texts"):
        load_model(file)


def test_weights_alone_are_no_model():
    with pytest.raises(ValueError, match=r"holds no model \('model_config'\).*load_weights"):
        load_model(GOLDEN / "attention_weights.h5")
