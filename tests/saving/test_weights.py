"""`.weights.h5`: the paths inside, both ways with Keras, and what is refused."""

import re

import h5py
import keras
import numpy as np
import pytest

import weft
from tests.saving.cases import MODELS, OPTIMIZERS, data, dense, filled
from weft.engine import nest

# What Keras itself meets when it writes its variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def arrays(path):
    """Shapes and dtypes by place, without the seeds, which Keras does not save."""
    found = {}

    def note(place, item):
        if isinstance(item, h5py.Dataset) and "seed_generator" not in place:
            found[place] = (item.shape, str(item.dtype), item.attrs.get("dtype"))

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def flat(outputs):
    return [np.asarray(x, "float32") for x in nest.walk(outputs)]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("name", MODELS)
def test_files_cross_to_keras_and_back(name, path):
    theirs, shape = MODELS[name](keras)
    ours, _ = MODELS[name](weft)
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype("float32")
    tolerance = 1e-2 if name == "half precision" else 1e-6

    filled(theirs).save_weights(path)
    places = arrays(path)
    ours.load_weights(path)
    for a, b in zip(flat(theirs(x)), flat(ours(x)), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)

    fresh, _ = MODELS[name](weft)
    filled(fresh).save_weights(path)
    assert arrays(path) == places
    theirs, _ = MODELS[name](keras)
    theirs.load_weights(path)
    for a, b in zip(flat(theirs(x)), flat(fresh(x)), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_round_trip_is_exact_with_seeds(name, path):
    first, _ = MODELS[name](weft)
    filled(first).save_weights(path)
    second, _ = MODELS[name](weft)
    second.load_weights(path)
    assert len(first.variables) == len(second.variables) > 0
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_have_keras_places(name, path):
    x, y = data(8)
    found = []
    for lib in (keras, weft):
        model = dense(lib)
        model.compile(OPTIMIZERS[name](lib.optimizers), "mse")
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        model.save_weights(path)
        found.append({k: v for k, v in arrays(path).items() if k.startswith("optimizer")})
    assert found[0] == found[1] and found[0]
    # The last file is weft's: a model compiled alike takes the state, in one or the other.
    for lib in (weft, keras):
        other = dense(lib)
        other.compile(OPTIMIZERS[name](lib.optimizers), "mse")
        other.optimizer.build(other.trainable_variables)
        other.load_weights(path)
        for a, b in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), np.asarray(b))


def test_optimizer_without_slots_gets_them(path):
    model, other = dense(weft), dense(weft)
    for one in (model, other):
        one.compile("adam", "mse")
    model.fit(*data(), verbose=0)
    model.save_weights(path)
    other.load_weights(path)
    assert int(other.optimizer.iterations) == 1
    model.fit(*data(), verbose=0, shuffle=False)
    other.fit(*data(), verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_another_optimizers_state_is_left_out_with_a_warning(path):
    model, other, bare = dense(weft), dense(weft), dense(weft)
    model.compile("adam", "mse")
    model.fit(*data(), verbose=0)
    model.save_weights(path)
    other.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"state of the optimizer 'sgd.*was not loaded"):
        other.load_weights(path)
    bare.load_weights(path)  # not compiled: nothing to load it into
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(bare.get_weights()[0], model.get_weights()[0])


def test_layers_may_be_renamed(path):
    first = dense(weft, names=("a", "b"))
    second = dense(weft, names=("x", "y"))
    first.save_weights(path)
    second.load_weights(path)
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_a_block_alone_goes_into_another_model(path):
    block = weft.layers.Dense(3)
    weft.Sequential([weft.Input((5,)), block])
    block.save_weights(path)
    model = dense(weft)
    model.layers[0].load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], block.get_weights()[0])


def test_misfits_are_all_listed_and_nothing_changes(path):
    L = weft.layers
    saved = weft.Sequential([weft.Input((5,)), L.Dense(3), L.LayerNormalization(), L.Dense(2)])
    saved.save_weights(path)
    model = weft.Sequential([weft.Input((5,)), L.Dense(4), L.Dense(2), L.Dense(1)])
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        model.load_weights(path)
    text = str(caught.value)
    for part in (
        "does not fit 'sequential",
        "missing in the file (2)",
        "layers/dense_2/vars/0, for dense_4/kernel (2, 1)",
        "in the file, but not in the model (2)",
        "layers/layer_normalization/vars/1 (3,)",
        "of another shape or dtype (3)",
        "layers/dense/vars/0 (5, 3) float32, for dense_2/kernel (5, 4) float32",
        "Nothing was changed. skip_mismatch=True loads the rest.",
    ):
        assert part in text
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_skip_mismatch_loads_the_rest(path):
    saved, model = dense(weft, 3), dense(weft, 4)
    saved.save_weights(path)
    before = model.get_weights()
    with pytest.warns(UserWarning, match=r"(?s)of another shape.*These were left out"):
        model.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    saved = weft.Sequential([weft.Input((5,)), weft.layers.Dense(4), weft.layers.Dense(2)])
    saved.save_weights(path)
    with pytest.warns(UserWarning, match="missing in the file"):
        model.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], saved.get_weights()[0])
    np.testing.assert_array_equal(model.layers[2].get_weights()[0], saved.get_weights()[2])


def test_another_kind_of_number_is_refused(path):
    class Counter(weft.layers.Layer):
        def __init__(self, dtype_of_count):
            super().__init__()
            self.count = self.add_weight((), "zeros", dtype=dtype_of_count)

        def call(self, x):
            return x

    for dtype in ("int32", "float32"):
        layer = Counter(dtype)
        layer(np.ones(1, "float32"))
        if dtype == "int32":
            layer.save_weights(path)
    with pytest.raises(ValueError, match=r"of another shape or dtype \(1\):\n.*int32.*float32"):
        layer.load_weights(path)


def test_layers_say_themselves_what_they_keep(path):
    class Kept(weft.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight((2,), "ones")

        def call(self, x):
            return x * self.factor

        def save_own_variables(self, store):
            super().save_own_variables(store)
            store["twice"] = 2 * self.factor.numpy()

        def load_own_variables(self, store):
            self.factor.assign(store["twice"] / 2)
            if broken:
                raise ValueError("no such thing")

    broken = False
    model, other = (weft.Sequential([weft.Input((2,)), Kept(), weft.layers.Dense(1)]) for _ in "ab")
    model.layers[0].factor.assign([3.0, 4.0])
    model.save_weights(path)
    other.load_weights(path)
    np.testing.assert_array_equal(other.layers[0].factor, [3.0, 4.0])
    broken = True
    third = weft.Sequential([weft.Input((2,)), Kept(), weft.layers.Dense(1)])
    before = third.get_weights()
    with pytest.raises(ValueError, match="no such thing"):
        third.load_weights(path)
    for a, b in zip(before, third.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_an_array_that_cannot_be_read_undoes_the_others(path, monkeypatch):
    saved, model = filled(dense(weft)), dense(weft)
    saved.save_weights(path)
    before = model.get_weights()
    read, reads = h5py.Dataset.read_direct, []

    def failing(dataset, *args):
        reads.append(dataset.name)
        if len(reads) == 5:
            raise OSError("Input/output error")
        return read(dataset, *args)

    monkeypatch.setattr(h5py.Dataset, "read_direct", failing)
    with pytest.raises(ValueError, match=r"array '/layers/.*' is damaged .*Input/output error"):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_refusals(path, tmp_path):
    model = dense(weft)
    unbuilt = weft.Sequential([weft.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"ends in '\.weights\.h5', got '.*x\.h5'\. Keras 2's"):
        model.save_weights(tmp_path / "x.h5")
    with pytest.raises(ValueError, match=r"has no weights yet: call it on data, or build"):
        unbuilt.save_weights(path)
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*model.weights.h5'"):
        model.load_weights(path)
    with pytest.raises(FileNotFoundError, match=r"no folder '.*gone'.*Make it first"):
        model.save_weights(tmp_path / "gone" / "x.weights.h5")
    (tmp_path / "folder.weights.h5").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.save_weights(tmp_path / "folder.weights.h5")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.load_weights(tmp_path)
    model.save_weights(path)
    with pytest.raises(FileExistsError, match=r"is there already. Pass overwrite=True"):
        model.save_weights(path, overwrite=False)
    with pytest.raises(
        ValueError, match=r"(?s)layers \['dense_\d'\] have no weights yet: call the"
    ):
        unbuilt.load_weights(path)
    with pytest.raises(ValueError, match="options are for TensorFlow's checkpoints"):
        model.load_weights(path, options=1)
    (tmp_path / "checkpoint.index").write_text("")
    with pytest.raises(ValueError, match=r"is a checkpoint of TensorFlow.*'\.h5'"):
        model.load_weights(tmp_path / "checkpoint", by_name=False, options=None)
    with pytest.raises(TypeError, match=r"unknown arguments \['nme'\]"):
        model.load_weights(path, nme=1)
    with pytest.raises(TypeError, match="takes a model or a layer, got int"):
        weft.saving.save_weights(3, path)
    (tmp_path / "x.txt").write_text("no")
    with pytest.raises(ValueError, match=re.escape("end in '.weights.h5' or '.keras'")):
        model.load_weights(tmp_path / "x.txt")
