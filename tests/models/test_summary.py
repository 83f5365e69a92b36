"""summary: each cell against Keras's for the same model, its options, models without shapes."""

import time

import keras
import numpy as np
import pytest

import weft
from weft import Input, Model, Sequential, layers, ops
from weft.engine.names import clear_names

X = np.ones((6, 4), "float32")


@pytest.fixture(autouse=True)
def alike(monkeypatch):
    """Lines of one length, and names that are numbered from the beginning."""
    monkeypatch.setenv("COLUMNS", "200")
    clear_names()
    keras.utils.clear_session(free_memory=False)


def text_of(model, **options):
    """The whole text that a summary is given out as."""
    texts = []
    model.summary(print_fn=lambda text, **_: texts.append(text), **options)
    (text,) = texts
    return text


def table(model, line_length=200, **options):
    """The cells of each row of the table, the header first, and the lines below it."""
    text = text_of(model, line_length=line_length, **options)
    lines = text.splitlines()
    rows = [line for line in lines if line[:1] in "┃│"]
    below = [line.strip() for line in lines if line.startswith(" ")]
    return [
        [cell.strip() for cell in row[1:-1].replace("┃", "│").split("│")] for row in rows
    ], below


def branched(lib):
    """Two inputs, a frozen layer, a shared one, operations, a nested model."""
    x, y = lib.Input((8,), name="x"), lib.Input((8,), name="y")
    first = lib.layers.Dense(4, name="first", trainable=False)
    both = lib.ops.concatenate([first(x), first(y)], axis=-1)
    side = lib.layers.Dense(8, name="side")(y) + 1.0
    norm = lib.layers.BatchNormalization(name="norm")
    z = lib.layers.Add(name="sum")([norm(norm(both)), side])
    inner = lib.Sequential(
        [lib.layers.Dense(4, name="in1"), lib.layers.Dropout(0.5, name="in2")], name="inner"
    )
    return lib.Model([x, y], [inner(z), z], name="branched")


def test_every_cell_is_keras():
    model, original = branched(weft), branched(keras)
    assert table(model) == table(original)
    rows, below = table(model, show_trainable=True)
    assert (rows, below) == table(original, show_trainable=True)
    assert rows[0] == ["Layer (type)", "Output Shape", "Param #", "Connected to", "Trainable"]
    by_name = {row[0].split()[0]: row for row in rows}
    assert by_name["norm"][3] == "concatenate[0][0], norm[0][0]"
    assert by_name["first"][2:] == ["36", "x[0][0], y[0][0]", "N"]


def test_a_chain_has_no_column_of_connections():
    def chain(lib):
        x = lib.Input((3,), name="x")
        h = lib.layers.Embedding(5, 2, name="embed")(x)
        outputs = lib.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(h)
        return lib.Model(x, outputs, name="chain")

    rows, below = table(chain(weft))
    assert (rows, below) == table(chain(keras))
    assert rows[0] == ["Layer (type)", "Output Shape", "Param #"]
    assert rows[-1][1] == "[(None, 3, 4), (None, 4), (None, 4)]"


def test_nested_models_are_indented():
    i = Input((8,), name="i")
    split = layers.Dense(3, name="d")(i)
    inner = Model(i, layers.Add(name="add")([split, split]), name="inner")
    deep = Sequential([Sequential([layers.Dense(2, name="bottom")], name="mid")], name="outer")
    rows, below = table(Sequential([inner, deep], name="all"), expand_nested=True)
    assert [row[0] for row in rows[1:]] == [
        "inner (Functional)", "└ i (InputLayer)", "└ d (Dense)", "└ add (Add)",
        "outer (Sequential)", "└ mid (Sequential)", "└ bottom (Dense)",
    ]  # fmt: skip
    assert [row[3] for row in rows] == [
        "Connected to", "-", "-", "i[0][0]", "d[0][0], d[0][0]", "inner[0][0]", "-", "-"
    ]  # fmt: skip
    assert below[0] == "Total params: 35 (140.00 B)"
    lines = text_of(Sequential([deep]), expand_nested=True).splitlines()
    assert [line[2:12] for line in lines if "└ " in line] == ["   └ mid (", "      └ bo"]


def test_shared_weights_count_once():
    shared = layers.Dense(4, name="shared")
    a = Sequential([Input((4,)), shared], name="a")
    b = Sequential([Input((4,)), shared], name="b")
    x = Input((4,))
    rows, below = table(Model(x, [a(x), b(x)]))
    assert [row[2] for row in rows[1:]] == ["0", "20", "20"]
    assert below[0] == "Total params: 20 (80.00 B)"


def test_totals_and_their_sizes():
    model = branched(weft)
    original = branched(keras)
    for m, lib in ((model, weft), (original, keras)):
        m.compile("adam", lib.losses.MeanSquaredError())
        m.fit([np.ones((2, 8))] * 2, [np.ones((2, 4)), np.ones((2, 8))], verbose=0)
    _, below = table(model)
    assert below == table(original)[1]
    assert below[-1].startswith("Optimizer params: ")
    half = Sequential([Input((1024,)), layers.Dense(1024, dtype="bfloat16", use_bias=False)])
    assert table(half)[1][0] == "Total params: 1,048,576 (2.00 MB)"


def test_a_layer_called_on_several_shapes_shows_each():
    x, y = Input((3,)), Input((5, 3))
    dense = layers.Dense(2, name="dense")
    rows, _ = table(Model([x, y], [dense(y), dense(x)]))
    assert {row[1] for row in rows if row[0] == "dense (Dense)"} == {"(None, 5, 2), (None, 2)"}


# -- subclasses -------------------------------------------------------------------------------


class Net(Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3, name="dense")
        self.rest = [
            layers.Dense(3, name="again"),
            Sequential([layers.Dense(5, name="last")], name="s"),
        ]
        self.unused = layers.Dense(7, name="unused")
        self.drop = layers.Dropout(0.5, name="drop")

    def call(self, inputs, training=False):
        h = self.drop(self.rest[0](self.dense(inputs)))
        self.add_loss(ops.sum(h))
        return {"out": self.rest[1](self.rest[0](h))}


def shapes(model, **options):
    return {row[0].split(" (")[0]: row[1] for row in table(model, **options)[0][1:]}


def test_a_subclass_shows_the_shapes_it_was_called_with():
    model = Net(name="net")
    unbuilt = text_of(model)
    assert unbuilt.count("0 (unbuilt)") == 4
    assert "Not all is built: call the model on data or build(input_shape)" in unbuilt
    assert set(shapes(model).values()) == {"?"}
    loss = model(X, training=True) and model.losses[0]
    seed = model.drop.variables[0].numpy()
    assert shapes(model, expand_nested=True) == {
        "dense": "(6, 3)", "again": "(6, 3)", "s": "(6, 5)", "└ last": "(6, 5)",
        "unused": "?", "drop": "(6, 3)",
    }  # fmt: skip
    # The model is as before: its losses, its seeds, its layers' own methods.
    assert model.losses[0] is loss
    np.testing.assert_array_equal(model.drop.variables[0].numpy(), seed)
    assert all("call" not in layer.__dict__ for layer in model._flatten_layers())


def test_a_subclass_built_from_a_shape_shows_what_is_unknown():
    model = Net()
    model.build((None, 4))
    assert shapes(model)["drop"] == "(None, 3)"
    assert shapes(model)["unused"] == "?"

    class Owner(Net):
        def build(self, input_shape):
            self.dense.build(input_shape)
            for layer in self.rest:
                layer.build((None, 3))

    model = Owner()
    model.build(input_shape=(None, 4))
    assert shapes(model)["dense"] == "(None, 3)"


def test_several_inputs_of_a_subclass():
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(2, name="a"), layers.Dense(3, name="b")

        def call(self, inputs, scale):
            return self.a(inputs["x"]) * scale, self.b(inputs["y"])

    model = Two()
    model({"x": X, "y": X[:, :2]}, ops.ones((6, 1)))
    assert shapes(model) == {"a": "(6, 2)", "b": "(6, 3)"}


def test_python_that_needs_values_leaves_the_shapes_open():
    class Branching(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, name="dense")

        def call(self, inputs):
            return self.dense(inputs) if float(ops.sum(inputs)) > 0 else inputs

    model = Branching()
    model(X)
    rows, below = table(model)
    assert rows[1] == ["dense (Dense)", "?", "10"]
    assert below[0] == "Total params: 10 (40.00 B)"


def test_a_subclass_inside_a_graph_is_expanded():
    x = Input((None, 4))
    model = Model(x, Net(name="net")(x)["out"])
    assert shapes(model, expand_nested=True)["└ dense"] == "(None, None, 3)"


def test_layers_outside_of_the_graph_are_listed():
    class M(Model):
        def __init__(self):
            x = Input((4,), name="x")
            super().__init__(x, layers.Dense(2, name="a")(x))
            self.extra = layers.Dense(3, name="extra")

    assert [row[0] for row in table(M())[0][1:]] == ["x (InputLayer)", "a (Dense)", "extra (Dense)"]


# -- sequential -------------------------------------------------------------------------------


def test_sequential_before_and_after_it_is_built():
    model = Sequential([layers.Dense(3, name="a"), layers.Dropout(0.1, name="b")], name="s")
    rows, below = table(model)
    assert rows[1:] == [["a (Dense)", "?", "0 (unbuilt)"], ["b (Dropout)", "?", "0"]]
    model.build((None, 4))
    rows, below = table(model)
    assert rows[1:] == [["a (Dense)", "(None, 3)", "15"], ["b (Dropout)", "(None, 3)", "0"]]
    assert len(below) == 3
    model.pop()
    model.add(layers.Dense(2, name="c"))
    assert table(model)[0][-1] == ["c (Dense)", "(None, 2)", "8"]
    assert table(Sequential([Input((3,))]))[0] == [["Layer (type)", "Output Shape", "Param #"]]


# -- how it looks -----------------------------------------------------------------------------


def test_it_is_printed_plainly_where_there_is_no_terminal(capsys):
    model = Sequential([Input((4,)), layers.Dense(2, name="d")], name="two")
    model.summary()
    printed = capsys.readouterr().out
    assert printed == text_of(model)
    assert printed.startswith('Model: "two"\n┏━━') and "\x1b" not in printed
    assert "│ d (Dense)    │ (None, 2)    │      10 │" in printed


def test_line_length_and_positions(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    model = branched(weft)
    for length in (60, 90, 150):
        lines = text_of(model, line_length=length).splitlines()
        assert {len(line) for line in lines if line[:1] in "┏┃│├└"} == {length}
    assert max(map(len, text_of(model).splitlines())) <= 80
    # Where there is room no name is broken, and where there is little, at spaces.
    long = Sequential([Input((4,)), layers.BatchNormalization(name="a_long_name_for_a_layer")])
    assert "a_long_name_for_a_layer (BatchNormalization)" in text_of(long, line_length=85)
    assert "│ (BatchNormalization)" in text_of(long, line_length=60)
    lines = text_of(model, line_length=100, positions=[0.4, 0.6, 0.7, 1.0]).splitlines()
    assert [k for k, mark in enumerate(lines[1]) if mark == "┳"] == [39, 59, 69]
    assert len(lines[1]) == 100
    lines = text_of(model, positions=[50, 70, 80, 120]).splitlines()
    assert [k for k, mark in enumerate(lines[1]) if mark == "┳"] == [49, 69, 79]


def test_a_range_of_layers():
    model = branched(weft)
    names = [row[0].split()[0] for row in table(model)[0][1:]]
    whole = table(model)[1]
    rows, below = table(model, layer_range=["norm", "side"])
    got = [row[0].split()[0] for row in rows[1:]]
    assert got == names[names.index("norm") : names.index("side") + 1] and below == whole
    rows, _ = table(model, layer_range=("n.*m", "inn"))
    assert [row[0].split()[0] for row in rows[1:]] == names[names.index("norm") :]
    # A whole name counts before a pattern.
    numbered = Sequential([Input((2,)), *(layers.Dense(2, name=f"d{k}") for k in range(12))])
    assert [r[0] for r in table(numbered, layer_range=["d1", "d1"])[0][1:]] == ["d1 (Dense)"]
    assert len(table(numbered, layer_range=["d1.*", "d1.*"])[0][1:]) == 11


def test_what_it_refuses():
    model = branched(weft)
    with pytest.raises(ValueError, match=r"no layer matches 'nrm'. Did you mean 'norm'\?"):
        model.summary(layer_range=["nrm", "sum"])
    with pytest.raises(ValueError, match=r"names of the first and the last layer.*got \['norm'\]"):
        model.summary(layer_range=["norm"])
    with pytest.raises(ValueError, match=r"'sum' comes after 'first' in the model"):
        model.summary(layer_range=["sum", "first"])
    with pytest.raises(ValueError, match=r"'x\[' is no layer's name, and no regular expression"):
        model.summary(layer_range=["x[", "sum"])
    with pytest.raises(ValueError, match=r"at least 33 for 4 columns; got 20"):
        model.summary(line_length=20)
    with pytest.raises(ValueError, match=r"ends of the 4 columns \(Layer.*got \[0.5, 1.0\]"):
        model.summary(positions=[0.5, 1.0])
    with pytest.raises(ValueError, match=r"at least 4 characters after the one before"):
        model.summary(positions=[30, 31, 60, 90])


def test_ascii_terminals(monkeypatch):
    import io
    import sys

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    inner = Sequential([Input((4,)), layers.Dense(2, name="d")], name="inner")
    Sequential([inner]).summary(expand_nested=True)
    assert b"`- d (Dense)" in out.buffer.getvalue()


def test_a_deep_model_is_instant():
    x = h = Input((4,))
    for k in range(60):
        h = layers.Add()([h, layers.Activation("relu")(layers.Dense(4, name=f"d{k}")(h))])
    model = Model(x, h)
    text_of(model)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        text_of(model)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.5  # 0.05 s where nothing else runs
