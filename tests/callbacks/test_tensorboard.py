"""TensorBoard: the files, read back with TensorBoard's own reader."""

import builtins
import json
import struct
import zlib

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.util import tensor_util

import weft
from tests.callbacks.models import Boom, broken, files, fit, model
from weft.callbacks import ReduceLROnPlateau, TensorBoard
from weft.callbacks.events import histogram, image


def read(folder, run="train"):
    """Of each tag its plugin, steps and values."""
    sizes = dict.fromkeys(("tensors", "scalars", "images", "histograms", "compressedHistograms"), 0)
    events = EventAccumulator(str(folder / run), sizes)
    events.Reload()
    return {
        tag: (
            events.SummaryMetadata(tag).plugin_data.plugin_name,
            [e.step for e in events.Tensors(tag)],
            [tensor_util.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)],
        )
        for tag in events.Tags()["tensors"]
    }


def scalars(found, tag):
    plugin, steps, values = found[tag]
    assert plugin == "scalars"
    return steps, [float(v) for v in values]


def test_the_epochs_are_those_of_the_history(tmp_path):
    made = model(weft)
    history = fit(made, 3, [ReduceLROnPlateau("loss", 0.5, 1, mode="max"),
                            TensorBoard(tmp_path)]).history  # fmt: skip
    train, validation = read(tmp_path), read(tmp_path, "validation")
    assert set(train) == {"keras", "epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for name in ("loss", "mae"):
        assert scalars(train, f"epoch_{name}") == ([0, 1, 2], history[name])
        wanted = history[f"val_{name}"]
        assert scalars(validation, f"epoch_{name}") == ([0, 1, 2], wanted)
        steps = [4, 8, 12]  # of the optimizer
        assert scalars(validation, f"evaluation_{name}_vs_iterations") == (steps, wanted)
    assert len(validation) == 4
    np.testing.assert_allclose(scalars(train, "epoch_learning_rate")[1], [0.05, 0.025, 0.0125])


def test_batches_on_request(tmp_path):
    seen = []
    each = weft.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(
        logs["loss"]))  # fmt: skip
    for freq in ("batch", 3):
        board = TensorBoard(tmp_path / str(freq), update_freq=freq, write_steps_per_second=True,
                            write_graph=False)  # fmt: skip
        fit(model(weft), 2, [each, board])
    every, third = read(tmp_path / "batch"), read(tmp_path / "3")
    assert scalars(every, "batch_loss") == ([*range(1, 9)], seen[:8])
    assert scalars(third, "batch_loss") == ([3, 6], [seen[2], seen[5]])
    assert scalars(third, "epoch_loss")[0] == [0, 1]
    for tag, count in (("batch_steps_per_second", 8), ("epoch_steps_per_second", 2)):
        speeds = scalars(every, tag)[1]
        assert len(speeds) == count and min(speeds) > 0


def test_steps_per_execution(tmp_path):
    made = model(weft)
    made.compile("sgd", "mse", steps_per_execution=3)
    fit(made, 2, [TensorBoard(tmp_path, update_freq=2)])
    assert scalars(read(tmp_path), "batch_loss")[0] == [3, 7]


def test_weights_as_histograms_and_pictures(tmp_path):
    made = model(weft)
    fit(made, 3, [TensorBoard(tmp_path, histogram_freq=2, write_images=True)])
    found = read(tmp_path)
    for weight in made.weights:
        plugin, steps, values = found[f"{weight.path}/histogram"]
        assert plugin == "histograms" and steps == [0, 2]
        numbers = weight.numpy()
        assert values[-1].shape == (30, 3) and values[-1][:, 2].sum() == numbers.size
        if numbers.size > 1:
            assert values[-1][0, 0] == numbers.min() and values[-1][-1, 1] == numbers.max()
            plugin, steps, values = found[f"{weight.path}/image"]
            assert plugin == "images" and steps == [0, 2]
            assert values[0][2].startswith(b"\x89PNG")
    assert "hid/kernel/image" in found or "net/hid/kernel/image" in found


def test_histograms_leave_out_what_is_not_finite():
    rows = histogram(np.array([0.0, 1.0, np.nan, np.inf], "float32"))
    assert rows[:, 2].sum() == 2 and rows[0, 0] == 0 and rows[-1, 1] == 1
    assert histogram(np.array([np.nan]))[:, 2].sum() == 0
    assert histogram(np.full(5, 2.0))[:, 2].max() == 5


def pixels(picture):
    """A PNG of ours as an array, its checksums checked."""
    width, height, data = int(picture[0]), int(picture[1]), picture[2]
    at, body = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length :][:4])[0] == zlib.crc32(kind + chunk)
        body += chunk if kind == b"IDAT" else b""
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_pictures():
    matrix = np.array([[-1.0, 0.0], [1.0, 3.0]])
    np.testing.assert_array_equal(pixels(image(matrix)), [[0, 64], [128, 255]])
    assert pixels(image(np.arange(3.0))).tolist() == [[0, 128, 255]]
    assert not pixels(image(np.ones((2, 2)))).any()
    kernel = np.zeros((2, 3, 4, 5))
    kernel[1, 2, 3, 4] = kernel[0, 1, 2, 0] = 1
    mosaic = pixels(image(kernel))
    assert mosaic.shape == (2 * 4, 3 * 5)
    assert np.argwhere(mosaic).tolist() == [[2 * 2 + 0, 1], [3 * 2 + 1, 4 * 3 + 2]]
    assert pixels(image(np.zeros((3, 4, 5)))).shape == (4, 15)
    assert pixels(image(np.zeros((2, 3, 3, 4, 5)))).shape == (2 * 3 * 4, 15)
    assert image(np.ones(1)) is None and image(np.ones((0, 2))) is None


def graph_model():
    a, b = weft.Input((4,), name="a"), weft.Input((4,), name="b")
    inner = weft.Sequential(
        [weft.Input((4,), name="x"), weft.layers.Dense(4, name="d")], name="inner"
    )
    shared = weft.layers.Dense(4, name="shared")
    both = weft.layers.Add(name="add")([shared(a), inner(b)])
    made = weft.Model([a, b], weft.layers.Dense(1, name="out")(shared(both)), name="m")
    made.compile("sgd", "mse")
    return made


def test_the_graph_of_layers(tmp_path):
    made, x = graph_model(), np.ones((4, 4), "float32")
    made.fit([x, x], x[:, :1], verbose=0, callbacks=[TensorBoard(tmp_path)])
    plugin, _, values = read(tmp_path)["keras"]
    assert plugin == "graph_keras_model"
    conceptual = keras_model_to_graph_def(json.loads(values[0].item()))
    assert {"m/a", "m/inner/d", "m/shared", "m/out"} <= {node.name for node in conceptual.node}
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    found = {node.name: (node.op, set(node.input)) for node in events.Graph().node}
    assert found == {
        "a": ("InputLayer", set()),
        "b": ("InputLayer", set()),
        "inner/x": ("InputLayer", {"b"}),
        "inner/d": ("Dense", {"inner/x"}),
        "shared": ("Dense", {"a"}),
        "add": ("Add", {"shared", "inner/d"}),
        "shared_call_1": ("Dense", {"add"}),
        "out": ("Dense", {"shared_call_1"}),
    }


class Own(weft.Model):
    def __init__(self):
        super().__init__()
        self.dense = weft.layers.Dense(1, name="mine")

    def call(self, inputs):
        return self.dense(inputs)


def test_a_model_without_a_graph_has_its_summary(tmp_path):
    made = Own()
    made.compile("sgd", "mse")
    fit(made, 1, [TensorBoard(tmp_path)])
    plugin, _, values = read(tmp_path)["model_summary"]
    assert plugin == "text" and "mine (Dense)" in values[0].item().decode()
    fit(made, 1, [TensorBoard(tmp_path / "without", write_graph=False)])
    assert not {"keras", "model_summary"} & set(read(tmp_path / "without"))


def test_the_profile(tmp_path):
    made = model(weft)
    fit(made, 1, [TensorBoard(tmp_path, profile_batch=(2, 3))])
    fit(made, 1, [TensorBoard(tmp_path / "none", profile_batch=9)])
    found = [name for name in files(tmp_path) if name.endswith(".xplane.pb")]
    assert len(found) == 1 and found[0].startswith("train/plugins/profile/")


def test_a_profile_broken_off_does_not_stop_the_next(tmp_path):
    made, board = model(weft), TensorBoard(tmp_path, profile_batch=(1, 100))
    with pytest.raises(Boom):
        fit(made, 1, [board, broken(weft, 0, 1)])
    fit(made, 1, [board])
    assert sum(name.endswith(".xplane.pb") for name in files(tmp_path)) >= 1


def embedding_model():
    made = weft.Sequential([
        weft.Input((2,)), weft.layers.Embedding(5, 3, name="words"), weft.layers.Flatten(),
        weft.layers.Dense(1),
    ])  # fmt: skip
    made.compile("sgd", "mse")
    return made, (np.ones((4, 2)), np.ones((4, 1)))


@pytest.mark.parametrize("labels", ["words.tsv", {"words": "words.tsv"}, None])
def test_embeddings_for_the_projector(labels, tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    made, (x, y) = embedding_model()
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=labels)
    made.fit(x, y, verbose=0, callbacks=[board])
    config = ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    (entry,) = config.embeddings
    assert entry.tensor_name == "words" and list(entry.tensor_shape) == [5, 3]
    assert entry.metadata_path == ("words.tsv" if labels else "")
    table = np.loadtxt(tmp_path / entry.tensor_path, delimiter="\t")
    np.testing.assert_allclose(table, made.layers[0].embeddings.numpy(), rtol=1e-6)


def test_labels_for_a_layer_that_is_not_there(tmp_path):
    made, (x, y) = embedding_model()
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": "w.tsv"})
    with pytest.raises(ValueError, match=r"names 'word', which is no Embedding .* are: words\."):
        made.fit(x, y, verbose=0, callbacks=[board])


def test_evaluation_alone_and_runs_after_another(tmp_path):
    made, board = model(weft), TensorBoard(tmp_path, write_graph=False)
    fit(made, 1, [board])
    loss, _ = made.evaluate(np.ones((2, 4)), np.ones((2, 1)), verbose=0, callbacks=[board])
    steps, values = scalars(read(tmp_path, "validation"), "evaluation_loss_vs_iterations")
    assert steps[-1] == 4 and loss in values
    fit(made, 2, [board], initial_epoch=1)
    assert scalars(read(tmp_path), "epoch_loss")[0] == [0, 1]


def test_values_that_are_arrays(tmp_path):
    made = model(weft)
    add = weft.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(f1=np.array([0.5, 0.25]), note="text")
    )
    fit(made, 1, [add, TensorBoard(tmp_path)])
    found = read(tmp_path)
    assert scalars(found, "epoch_f1_1") == ([0], [0.25]) and "epoch_note" not in found


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"update_freq": "often"}, ValueError, "update_freq must be 'epoch' or a number of batch"),
        ({"update_freq": 0}, ValueError, "update_freq must be .* got 0"),
        ({"profile_batch": -1}, ValueError, "first and last of some, counted from 1; .* Got -1"),
        ({"profile_batch": (3, 1)}, ValueError, r"Got \(3, 1\)"),
        ({"profile_batch": "a,b"}, ValueError, "Got 'a,b'"),
        ({"profile_batch": 1.5}, ValueError, r"Got 1\.5"),
        ({"histogram_frq": 1}, TypeError, "no argument 'histogram_frq'. .*'histogram_freq'"),
    ],
)
def test_refused(given, error, message):
    with pytest.raises(error, match=message):
        TensorBoard("logs", **given)


def test_keras_2_s_arguments():
    board = TensorBoard("logs", write_grads=True, batch_size=32, profile_batch="2,4")
    assert (board._first, board._last) == (2, 4)


def test_without_tensorboardx_the_error_says_what_to_install(tmp_path, monkeypatch):
    load = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "tensorboardX":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return load(name, *args, **kwargs)

    made = model(weft)
    before = made.get_weights()[0]
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'weft\[tensorboard\]'"):
        fit(made, callbacks=[TensorBoard(tmp_path)])
    np.testing.assert_array_equal(made.get_weights()[0], before)
