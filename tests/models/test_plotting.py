"""plot_model and model_to_dot: the graph against the model's, and the picture as a picture."""

import re
import shutil
import stat
import sys
import types
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest
from matplotlib import image
from scipy import ndimage

import weft
from weft import Input, Model, Sequential, layers, ops
from weft.engine.names import clear_names
from weft.models import plotting
from weft.models.picture import Details, picture_of
from weft.models.plot_figure import COLOURS
from weft.models.plot_layout import layout_of
from weft.utils import model_to_dot, plot_model


@pytest.fixture(autouse=True)
def no_dot(monkeypatch):
    """Graphviz counts as missing, unless a test brings one; names are numbered from 0."""
    monkeypatch.setattr(plotting.shutil, "which", lambda _: None)
    clear_names()
    keras.utils.clear_session(free_memory=False)


def branched(lib=weft):
    """Two inputs, a shared layer, a loop, operations, a nested model, two outputs."""
    x, y = lib.Input((8,), name="x"), lib.Input((8,), name="y")
    first = lib.layers.Dense(4, name="first", activation="relu", trainable=False)
    both = lib.ops.concatenate([first(x), first(y)], axis=-1)
    norm = lib.layers.BatchNormalization(name="norm")
    z = lib.layers.Add(name="sum")([norm(norm(both)), lib.layers.Dense(8, name="side")(y)])
    i = lib.Input((8,), name="i")
    inner = lib.Model(i, lib.layers.Dense(4, name="in2")(lib.layers.Dense(4, name="in1")(i)))
    inner.name = "inner"
    return lib.Model([x, y], [inner(z), z], name="branched")


ARROWS = {
    ("x", "first"), ("y", "first"), ("first", "concatenate"), ("concatenate", "norm"),
    ("norm", "norm"), ("norm", "sum"), ("y", "side"), ("side", "sum"), ("sum", "inner"),
}  # fmt: skip
EXPANDED = ARROWS - {("sum", "inner")} | {("sum", "i"), ("i", "in1"), ("in1", "in2")}


def nodes_of(graph):
    """The titles of a graph's nodes, those of its clusters too, by their keys."""
    found = {}
    for node in graph.get_nodes():
        label = node.get_label()
        if label is not None:
            found[node.get_name().strip('"')] = re.sub(r"<[^<>]*>", "\n", label[1:-1]).split()[0]
    for cluster in graph.get_subgraphs():
        found |= nodes_of(cluster)
    return found


def arrows_of(graph):
    names = nodes_of(graph)

    def edges(part):
        return [*part.get_edges(), *(e for sub in part.get_subgraphs() for e in edges(sub))]

    return {
        (names[e.get_source().strip('"')], names[e.get_destination().strip('"')])
        for e in edges(graph)
    }


# -- the graph --------------------------------------------------------------------------------


def test_nodes_and_edges_are_the_models():
    model = branched()
    graph = model_to_dot(model)
    assert sorted(nodes_of(graph).values()) == sorted(op.name for op in model.operations)
    assert arrows_of(graph) == ARROWS
    assert arrows_of(model_to_dot(model, expand_nested=True)) == EXPANDED
    clusters = model_to_dot(model, expand_nested=True).get_subgraphs()
    assert [cluster.get_label() for cluster in clusters] == ['"inner (Functional)"']


def test_it_has_kerass_arrows():
    for options in ({}, {"expand_nested": True}):
        assert arrows_of(model_to_dot(branched(), **options)) == arrows_of(
            keras.utils.model_to_dot(branched(keras), **options)
        )


def test_details():
    model = branched()

    def label(name, **options):
        nodes = model_to_dot(model, **options).get_nodes()
        (found,) = [n.get_label() for n in nodes if f"{name} (" in (n.get_label() or "")]
        return [text for text in re.sub(r"<[^<>]*>", "\n", found[1:-1]).split("\n") if text]

    assert label("first") == ["first (Dense)"]
    assert label(
        "first", show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True
    ) == [
        "first (Dense)", "Activation: relu", "Input shape: (None, 8)", "Output shape: (None, 4)",
        "Output dtype: float32", "Trainable: False",
    ]  # fmt: skip
    shapes = label("concatenate", show_shapes=True)
    assert shapes[1:] == ["Input shape: [(None, 4), (None, 4)]", "Output shape: (None, 8)"]
    assert label("x", show_shapes=True) == ["x (InputLayer)", "Output shape: (None, 8)"]
    titles = nodes_of(model_to_dot(model, show_layer_names=False)).values()
    assert sorted(titles) == sorted(
        ["InputLayer"] * 2 + ["Dense"] * 2 + ["Concatenate", "BatchNormalization", "Add"]
        + ["Functional"]
    )  # fmt: skip


def test_names_are_escaped():
    x = Input((4,), name='a"<b>&c')
    source = model_to_dot(Model(x, layers.Dense(2)(x))).to_string()
    assert "a&quot;&lt;b&gt;&amp;c (InputLayer)" in source


def test_options_of_the_graph():
    model = branched()
    graph = model_to_dot(model, rankdir="LR", dpi=96, splines="curved")
    assert (graph.get_rankdir(), graph.get_dpi(), graph.get_splines()) == ("LR", 96, "curved")
    cluster = model_to_dot(model, subgraph=True)
    assert type(cluster).__name__ == "Cluster" and arrows_of(cluster) == ARROWS


def test_a_nested_model_called_twice_is_drawn_once():
    i = Input((3,), name="i")
    encoder = Model(i, layers.Dense(2, name="e")(i), name="encoder")
    x, y = Input((3,), name="x"), Input((3,), name="y")
    model = Model([x, y], layers.Subtract(name="far")([encoder(x), encoder(y)]))
    assert arrows_of(model_to_dot(model, expand_nested=True)) == {
        ("x", "i"), ("y", "i"), ("i", "e"), ("e", "far")
    }  # fmt: skip


def test_arrows_go_to_and_from_the_right_layers_of_nested_models():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    p, q = layers.Dense(2, name="p")(a), layers.Dense(2, name="q")(b)
    inner = Model([a, b], [p, q], name="inner")
    x, y = Input((3,), name="x"), Input((3,), name="y")
    first, second = inner([y, x])
    model = Model([x, y], [layers.ReLU(name="r")(first), layers.ReLU(name="s")(second)])
    assert arrows_of(model_to_dot(model, expand_nested=True)) == {
        ("y", "a"), ("x", "b"), ("a", "p"), ("b", "q"), ("p", "r"), ("q", "s")
    }  # fmt: skip


def test_sequential_built_or_not():
    inner = Sequential([layers.Dense(2, name="b"), layers.Dense(2, name="c")], name="s")
    model = Sequential([layers.Dense(3, name="a"), inner, layers.ReLU(name="d")])
    for _ in range(2):
        assert arrows_of(model_to_dot(model)) == {("a", "s"), ("s", "d")}
        expanded = arrows_of(model_to_dot(model, expand_nested=True))
        assert expanded == {("a", "b"), ("b", "c"), ("c", "d")}
        model.build((None, 4))


# -- the layout -------------------------------------------------------------------------------


def towers():
    x = h = Input((4,))
    for k in range(3):
        ways = [h, layers.Dense(4, name=f"a{k}")(h), layers.Dense(4, name=f"b{k}")(h)]
        ways.append(layers.Dense(4, name=f"d{k}")(layers.Dense(4, name=f"c{k}")(ways[1])))
        h = layers.Add(name=f"add{k}")(ways)
    return Model(x, [h, x * 2.0])


def called_again():
    x = Input((4,), name="x")
    again = layers.Dense(4, name="again")
    return Model(x, layers.ReLU()(again(layers.Dense(4, name="between")(again(x)))))


@pytest.mark.parametrize("make", [branched, towers, called_again, Sequential])
def test_boxes_do_not_overlap_and_arrows_follow_the_ranks(make):
    picture = picture_of(make(), Details(nested=True))
    layout = layout_of(picture, lambda box: (len(box.title) / 10, 0.5))
    boxes = list(layout.boxes.values())
    for k, (x, y, w, h) in enumerate(boxes):
        assert x >= -1e-9 and x + w <= layout.width + 1e-9 and 0 <= y <= layout.height - h + 1e-9
        for a, b, c, d in boxes[:k]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y
    back = 0
    for points in layout.arrows:
        ends = [any(abs(y - v) < 1e-9 for _, b, _, d in boxes for v in (b, b + d))
                for _, y in (points[0], points[-1])]  # fmt: skip
        if points[0][1] < points[-1][1]:
            assert all(ends) and points == sorted(points, key=lambda point: point[1])
            # It passes beside the boxes of the ranks between.
            for x, y in points[1:-1]:
                assert not any(a < x < a + c and b < y < b + d for a, b, c, d in boxes)
        else:
            back += 1
    assert back == {branched: 1, called_again: 1}.get(make, 0)


def test_a_frame_holds_its_boxes():
    picture = picture_of(branched(), Details(nested=True))
    layout = layout_of(picture, lambda box: (len(box.title) / 10, 0.5))
    (frame,) = [box for box in picture.boxes if box.inside]
    x, y, w, h = layout.frames[frame.key]
    inner = {box.key for box in frame.inside.boxes}
    for key, (a, b, c, d) in layout.boxes.items():
        inside = x < a and a + c < x + w and y < b and b + d < y + h
        assert inside == (key in inner)


def test_the_order_in_ranks_avoids_crossings():
    inputs = [Input((2,)) for _ in range(6)]
    # The outputs come in the opposite order: as drawn they would all cross.
    outputs = [layers.Dense(2, name=f"d{k}")(x) for k, x in enumerate(inputs)][::-1]
    layout = layout_of(picture_of(Model(inputs, outputs), Details()), lambda _: (1.0, 0.5))
    assert all(abs(start[0] - end[0]) < 1e-9 for start, end in layout.arrows)


# -- the picture ------------------------------------------------------------------------------


def titles_in(pixels):
    """How many title bars an image has: large patches of their colour."""
    colour = [int(COLOURS["title"][k : k + 2], 16) for k in (1, 3, 5)]
    pixels = pixels[..., :3] * (255 if pixels.dtype.kind == "f" else 1)
    patches, count = ndimage.label(np.abs(pixels - colour).max(-1) < 3)
    sizes = ndimage.sum_labels(np.ones_like(patches), patches, range(1, count + 1))
    return int((sizes > 400).sum())  # more than the inside of a letter


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
def test_the_picture_shows_each_box(tmp_path, rankdir):
    file = tmp_path / "model.png"
    options = {"show_shapes": True, "expand_nested": True, "show_layer_names": True}
    assert plot_model(branched(), file, rankdir=rankdir, dpi=100, **options) is None
    pixels = image.imread(file)
    assert titles_in(pixels) == 10
    height, width = pixels.shape[:2]
    assert (height > width) == (rankdir in ("TB", "BT"))
    assert [p.name for p in tmp_path.iterdir()] == ["model.png"]  # nothing else is left there
    plot_model(branched(), file, rankdir=rankdir, dpi=50, **options)
    assert image.imread(file).shape[0] == pytest.approx(height / 2, abs=2)


def test_a_subclass_is_drawn_as_its_layers(tmp_path):
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.parts = [layers.Dense(3), layers.Dropout(0.5)]
            self.out = layers.Dense(2)

        def call(self, inputs):
            return self.out(ops.tanh(self.parts[1](self.parts[0](inputs))))

    model = Net()
    for shapes in ("?", "(5, 3)"):
        file = tmp_path / "net.png"
        plot_model(model, str(file), show_shapes=True, dpi=100)
        pixels = image.imread(file)
        assert titles_in(pixels) == 3 and pixels.shape[0] > pixels.shape[1]
        source = model_to_dot(model, show_shapes=True).to_string()
        assert f"Output shape: {shapes}" in source
        assert source.count("->") == source.count("invis") == 2
        model(np.ones((5, 4)))


def test_formats(tmp_path):
    begins = {
        "png": b"\x89PNG",
        "pdf": b"%PDF",
        "jpg": b"\xff\xd8",
        "eps": b"%!PS",
        "webp": b"RIFF",
    }
    for form, begin in begins.items():
        plot_model(branched(), tmp_path / f"m.{form}")
        assert (tmp_path / f"m.{form}").read_bytes().startswith(begin)
    plot_model(branched(), tmp_path / "m.svg", show_layer_names=True)
    assert ET.parse(tmp_path / "m.svg").getroot().tag.endswith("svg")
    assert "first (Dense)" in (tmp_path / "m.svg").read_text()
    plot_model(branched(), tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text().startswith("digraph")
    plot_model(branched(), tmp_path / "ending")
    assert (tmp_path / "ending").read_bytes().startswith(b"\x89PNG")


def test_a_model_of_many_layers(tmp_path):
    x = h = Input((4,))
    for k in range(40):
        h = layers.Add()([h, layers.Dense(4, name=f"d{k}")(h)])
    plot_model(Model(x, h), tmp_path / "deep.png", dpi=100)
    assert titles_in(image.imread(tmp_path / "deep.png")) == 81


# -- Graphviz ---------------------------------------------------------------------------------


def program(folder, monkeypatch, text):
    """A stand-in for `dot`."""
    path = folder / "dot"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(plotting.shutil, "which", lambda name: str(path) if name == "dot" else None)


def test_dot_draws_where_it_is_installed(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, 'echo "$@"; cat')
    plot_model(branched(), tmp_path / "m.svg", rankdir="LR")
    given = (tmp_path / "m.svg").read_text()
    assert given.startswith("-Tsvg\ndigraph") and "rankdir=LR" in given


def test_where_dot_fails_matplotlib_draws(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, "echo maze.c: Assertion failed >&2; exit 134")
    plot_model(branched(), tmp_path / "m.png", dpi=100)
    assert titles_in(image.imread(tmp_path / "m.png")) == 8
    found = plotting.find_spec
    monkeypatch.setattr(
        plotting, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    with pytest.raises(RuntimeError, match=r"`dot` failed: maze.c: Assertion failed. Give another"):
        plot_model(branched(), tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_the_real_dot(tmp_path, monkeypatch):
    monkeypatch.undo()
    plot_model(branched(), tmp_path / "m.png", show_shapes=True, expand_nested=True, dpi=100)
    assert titles_in(image.imread(tmp_path / "m.png")) == 10


# -- what it refuses --------------------------------------------------------------------------


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"needs matplotlib, or pydot.*pip install weft\[plot\]"):
        plot_model(branched(), tmp_path / "m.png")
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match=r"model_to_dot makes.*pydot.*pip install weft\[plot\]"):
        model_to_dot(branched())
    with pytest.raises(ImportError, match=r"plot_model makes.*pydot.*pip install weft\[plot\]"):
        plot_model(branched(), tmp_path / "m.dot")
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"'m.pgn': the ending '.pgn' is none.*mean 'png'"):
        plot_model(branched(), tmp_path / "m.pgn")
    with pytest.raises(ValueError, match=r"rankdir must be one of TB, BT, LR, RL; got 'down'"):
        plot_model(branched(), tmp_path / "m.png", rankdir="down")
    with pytest.raises(TypeError, match="a model is needed, got Dense"):
        plot_model(layers.Dense(2), tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"no arguments \['show_name'\]"):
        model_to_dot(branched(), show_name=True)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_gets_the_image(tmp_path, monkeypatch):
    display = types.SimpleNamespace(Image=lambda filename: ("image", filename), SVG=None)
    notebook = types.ModuleType("IPython")
    notebook.display, notebook.get_ipython = display, lambda: object()
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    file = tmp_path / "m.png"
    assert plot_model(branched(), file) == ("image", str(file))
    notebook.get_ipython = lambda: None  # IPython is imported, but nothing runs in it
    assert plot_model(branched(), file) is None
