"""Layers found by their names, in files of every layout; what is left as it was."""

import h5py
import keras
import numpy as np
import pytest

import weft
from tests.saving.cases import dense, filled
from tests.saving.golden import make_legacy
from weft.saving import load_model

# What Keras itself meets when it writes its variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ENDINGS = [".weights.h5", ".keras", ".h5"]


def network(lib, units=4, head="head", classes=2, flipped=False):
    """A body of two layers, one with others inside, and a head."""
    L = lib.layers
    inner = lib.Sequential([lib.Input((units,)), L.Dense(3), L.BatchNormalization()], name="inner")
    layers = [L.Dense(units, name="first"), inner, L.Dense(classes, name=head)]
    return lib.Sequential([lib.Input((5,)), *(layers[::-1] if flipped else layers)])


def saved(folder, ending, model=None):
    """A file of Keras's, which can write all of them."""
    path = folder / f"model{ending}"
    model = filled(network(keras)) if model is None else model
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    return path, {layer.name: layer.get_weights() for layer in model.layers}


def same(layer, weights):
    return [w.tobytes() for w in layer.get_weights()] == [w.tobytes() for w in weights]


@pytest.mark.parametrize("ending", ENDINGS)
def test_layers_of_these_names_are_loaded_and_no_others(ending, tmp_path):
    path, theirs = saved(tmp_path, ending)
    model = network(weft, head="other", classes=3)
    before = model.get_layer("other").get_weights()
    model.load_weights(path, by_name=True)
    assert same(model.get_layer("first"), theirs["first"])
    assert same(model.get_layer("inner"), theirs["inner"])
    assert same(model.get_layer("other"), before)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_order_of_the_layers_does_not_matter(ending, tmp_path):
    path, theirs = saved(tmp_path, ending)
    L = weft.layers
    x = weft.Input((5,))
    head = L.Dense(2, name="head")
    head.build((None, 3))
    h = L.Dense(4, name="first")(x)
    model = weft.Model(x, [head(L.Dense(3, name="between")(h)), L.Dense(1, name="new")(h)])
    model.load_weights(path, by_name=True)
    assert same(model.get_layer("first"), theirs["first"])
    assert same(model.get_layer("head"), theirs["head"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_shapes_must_fit_or_are_skipped_with_one_warning(ending, tmp_path, recwarn):
    path, theirs = saved(tmp_path, ending)
    model = network(weft, classes=3)
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"(?s)of another shape or dtype \(2\).*\(3, 2\) float32, f"
    ):
        model.load_weights(path, by_name=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    recwarn.clear()
    model.load_weights(path, by_name=True, skip_mismatch=True)
    (warned,) = recwarn
    assert "for head/kernel (3, 3) float32" in str(warned.message)
    assert warned.filename == __file__
    assert same(model.get_layer("first"), theirs["first"])
    assert same(model.get_layer("inner"), theirs["inner"])
    assert same(model.get_layer("head"), before[-2:])


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_layer_that_fits_in_part_is_left_as_a_whole(ending, tmp_path):
    """Keras's own loaders assign the first variables of such a layer, or those that fit."""
    path, theirs = saved(tmp_path, ending)
    L = weft.layers
    # The bias of "first" fits, its kernel does not; inside "inner" the Dense alone does not.
    inner = weft.Sequential(
        [weft.Input((6,)), L.Dense(3), L.BatchNormalization()], name="inner"
    )  # fmt: skip
    model = weft.Sequential(
        [weft.Input((7,)), L.Dense(4, name="first"), L.Dense(6, name="x"), inner]
    )
    before = model.get_layer("first").get_weights()
    with pytest.warns(UserWarning, match=r"(?s)of another shape or dtype \(2\).*were left out"):
        model.load_weights(path, by_name=True, skip_mismatch=True)
    assert same(model.get_layer("first"), before)
    np.testing.assert_array_equal(inner.layers[1].gamma, theirs["inner"][2])
    assert not np.array_equal(inner.layers[0].bias, theirs["inner"][1])


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_layer_of_these_names(ending, tmp_path):
    path, _ = saved(tmp_path, ending)
    model = dense(weft, names=("a", "b"))
    before = model.get_weights()
    order = "'first', 'inner', 'head'" if ending == ".h5" else "'first', 'head', 'inner'"
    with pytest.raises(ValueError, match=rf"of the layers \[{order}\], of which none is named"):
        model.load_weights(path, by_name=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_weft_writes_names_too(tmp_path):
    model = filled(network(weft))
    model.compile("adam", "mse")
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    other = network(weft, head="other")
    other.compile("adam", "mse")  # the optimizer's state is no layer's
    other.load_weights(path, by_name=True)
    assert same(other.get_layer("inner"), model.get_layer("inner").get_weights())


class Two(weft.Model):
    """Its layers are attributes, whose names in files are other ones than the layers'."""

    def __init__(self, names):
        super().__init__()
        self.one, self.parts = (
            weft.layers.Dense(2, name=names[0]),
            [weft.layers.Dense(2, name=name) for name in names[1:]],
        )

    def call(self, x):
        x = self.one(x)
        for part in self.parts:
            x = part(x)
        return x


def test_subclasses(tmp_path):
    path = tmp_path / "two.weights.h5"
    x = np.ones((1, 2), "float32")
    first, second, twice = Two("abc"), Two("cxa"), Two("abb")
    for model in (first, second, twice):
        model(x)
    first.save_weights(path)
    second.load_weights(path, by_name=True)
    assert same(second.one, first.parts[1].get_weights())
    assert same(second.parts[1], first.one.get_weights())
    twice.load_weights(path, by_name=True)  # both layers of the name
    assert same(twice.parts[0], first.parts[0].get_weights())
    assert same(twice.parts[1], first.parts[0].get_weights())
    twice.save_weights(path)
    with pytest.raises(ValueError, match=r"has 2 layers named 'b', at \['layers/.*told apart"):
        first.load_weights(path, by_name=True)


def test_layers_of_a_layer(tmp_path):
    path = tmp_path / "a.weights.h5"
    model = network(weft)
    model.get_layer("inner").save_weights(path)
    other = weft.Sequential([weft.Input((4,)), weft.layers.Dense(3, name="dense_new")])
    other.layers[0].name = model.get_layer("inner").layers[0].name
    other.load_weights(path, by_name=True)
    assert same(other, model.get_layer("inner").layers[0].get_weights())


def test_keras_2_files(tmp_path):
    path = make_legacy.FOLDER / "nested.h5"
    whole = load_model(path)
    x = weft.Input((3,))
    body = make_legacy.nested(weft).get_layer("inner")
    model = weft.Model(x, weft.layers.Dense(2, name="b")(weft.layers.Dense(3, name="c")(body(x))))
    before = model.get_layer("c").get_weights()
    model.load_weights(path, by_name=True)
    assert same(model.get_layer("inner"), whole.get_layer("inner").get_weights())
    assert same(model.get_layer("b"), whole.get_layer("b").get_weights())
    assert same(model.get_layer("c"), before)


def test_files_without_names(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = network(weft)
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        file.visititems(lambda _, item: item.attrs.clear())
    with pytest.raises(ValueError, match=r"weights of the layers \[\], of which none is named"):
        model.load_weights(path, by_name=True)
    model.load_weights(path)
