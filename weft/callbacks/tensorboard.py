"""`TensorBoard`: a training written down for TensorBoard to show."""

from __future__ import annotations

import json
import os
import time
from inspect import signature
from pathlib import Path
from typing import Any

import jax
import numpy as np

from weft.callbacks.cadence import Cadence
from weft.callbacks.events import EventFile, histogram, image
from weft.callbacks.graphs import config_of, graph_of
from weft.callbacks.rates import rates
from weft.engine.names import near
from weft.layers import Embedding
from weft.training.callback import Callback

__all__ = ["TensorBoard"]

# Keras 2's arguments that its own callback takes and leaves alone.
_IGNORED = ("write_grads", "batch_size", "embeddings_layer_names", "embeddings_data")


class TensorBoard(Callback):
    """Writes what TensorBoard shows (`tensorboard --logdir LOG_DIR`); it needs tensorboardX.

    In the folders `train` and `validation` there are, under Keras's names, by epoch (from 0):
    `epoch_loss`, `epoch_` and each metric, `epoch_learning_rate`; by batch (from 1), on request,
    `batch_loss` and so on; `evaluation_loss_vs_iterations` and so on by the optimizer's steps.

    Args:
        log_dir: the folder of the run.
        histogram_freq: after how many epochs histograms of the weights are written; 0: never.
        write_graph: write the model's graph of layers (twice: from its config, TensorBoard's
            "conceptual graph", and as it is opened first); of a model that has none, its summary.
        write_images: with each histogram the weight as a picture, grey from its least to its
            largest value (Keras clips to [0, 1] instead); a kernel of a convolution as a mosaic of
            its input channels (down) and output channels (across).
        write_steps_per_second: write how many batches a second there were.
        update_freq: "epoch"; "batch" or a number: also write after so many batches, each of which
            waits for the device. (Keras then leaves out the epochs that no such batch ends.)
        profile_batch: a batch, or the first and last (counted from 1 in the run), to be recorded
            with JAX's profiler; 0: none.
        embeddings_freq: after how many epochs the vectors of `Embedding` layers are written for
            the projector; 0: never.
        embeddings_metadata: the file that labels the vectors, or a dict of them by layer's name.
        kwargs: arguments of Keras 2 that have no effect there either: `write_grads`, `batch_size`,
            `embeddings_layer_names` and `embeddings_data`.

    Raises:
        ImportError: (in training) tensorboardX is not installed.
        TypeError: an unknown argument.
        ValueError: an unknown `update_freq`, a `profile_batch` that is no range; (in training)
            `embeddings_metadata` for a layer that is not there.

    Example:
        >>> board = TensorBoard("runs/1", histogram_freq=1, update_freq=100)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        **kwargs: Any,
    ) -> None:
        unknown = next((name for name in kwargs if name not in _IGNORED), None)
        if unknown is not None:
            known = [*list(signature(TensorBoard).parameters)[:-1], *_IGNORED]
            raise TypeError(f"TensorBoard has no argument {unknown!r}. {near(unknown, known)}")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self.profile_batch = profile_batch
        self._first, self._last = _profiled(profile_batch)
        self._cadence = Cadence("TensorBoard: update_freq", self.update_freq)
        self._files: dict[str, EventFile] = {}
        self._fitting = False
        self._profiling = False
        self._batches = 0  # of this run so far
        self._in_epoch = 0
        self._epoch_began = self._batch_began = 0.0

    # -- writing --------------------------------------------------------------------------

    def _file(self, run: str) -> EventFile:
        if run not in self._files:
            self._files[run] = EventFile(str(Path(self.log_dir, run)))
        return self._files[run]

    def _scalars(self, run: str, prefix: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            for tag, number in _numbers(name, value):
                self._file(run).add("scalars", prefix + tag, number, step)

    def _close(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            file.close()

    # -- the run --------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._fitting = True
        self._batches = 0
        self._graph_due = self.write_graph
        self._file("train")  # an error of installation or folders comes before any work
        if self.embeddings_freq:
            self._embeddings()
        self._write_graph()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._run_over()

    def _run_over(self) -> None:  # also where the run was broken off
        self._fitting = False
        self._stop_profile()
        self._close()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._in_epoch = self._batches
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = dict(logs or {})
        seconds = time.perf_counter() - self._epoch_began
        validation = {k: logs.pop(k) for k in list(logs) if k.startswith("val_")}
        logs.update(rates(self.model))
        if self.write_steps_per_second:
            logs["steps_per_second"] = (self._batches - self._in_epoch) / seconds
        self._scalars("train", "epoch_", logs, epoch)
        plain = {name.removeprefix("val_"): value for name, value in validation.items()}
        self._scalars("validation", "epoch_", plain, epoch)
        self._write_graph()
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for file in self._files.values():
            file.flush()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        steps = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if steps is not None:
            values = {f"{name}_vs_iterations": value for name, value in (logs or {}).items()}
            self._scalars("validation", "evaluation_", values, int(steps))
        if not self._fitting:
            self._close()

    # -- batches --------------------------------------------------------------------------

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.write_steps_per_second:
            self._batch_began = time.perf_counter()
        if self._first and not self._profiling and self._batches + 1 >= self._first:
            if self._batches + 1 > self._last:
                self._first = 0
                return
            jax.profiler.start_trace(str(Path(self.log_dir, "train")))
            self._profiling = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before = self._batches
        self._batches = self._in_epoch + batch + 1
        if self._profiling and self._batches >= self._last:
            next(iter((logs or {}).values()), None)  # the work to be seen is done
            self._stop_profile()
        if not self._cadence.after_batch(batch):
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._batch_began
            values["steps_per_second"] = (self._batches - before) / seconds
        self._scalars("train", "batch_", values, self._batches)

    def _stop_profile(self) -> None:
        if self._profiling:
            self._profiling, self._first = False, 0
            jax.profiler.stop_trace()

    # -- the model ------------------------------------------------------------------------

    def _write_graph(self) -> None:
        """Write the graph of layers once the model is built."""
        if not (self._graph_due and getattr(self.model, "built", False)):
            return
        self._graph_due = False
        file = self._file("train")
        config, graph = config_of(self.model), graph_of(self.model)
        if config is not None:
            file.add("graph_keras_model", "keras", config, 0, b"1")
        if graph is not None:
            file.add_graph(graph)
        else:
            lines: list[str] = []
            self.model.summary(print_fn=lines.append)
            text = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
            file.add("text", "model_summary", [text], 0)

    def _write_weights(self, epoch: int) -> None:
        file = self._file("train")
        for weight in self.model.weights:
            values = np.asarray(weight.numpy())
            file.add("histograms", f"{weight.path}/histogram", histogram(values), epoch)
            picture = image(values) if self.write_images else None
            if picture is not None:
                file.add("images", f"{weight.path}/image", picture, epoch)

    def _embeddings(self) -> dict[str, tuple[Any, Any]]:
        """The `Embedding` layers by name, each with the file of its labels."""
        layers = {
            each.name: each for each in _all_layers(self.model) if isinstance(each, Embedding)
        }
        labels = self.embeddings_metadata
        if isinstance(labels, dict):
            for name in labels:
                if name not in layers:
                    raise ValueError(
                        f"TensorBoard: embeddings_metadata names {name!r}, which is no Embedding "
                        f"layer of this model. They are: {', '.join(layers) or 'none'}."
                    )
        else:
            labels = dict.fromkeys(layers, labels)
        return {name: (layer, labels.get(name)) for name, layer in layers.items()}

    def _write_embeddings(self) -> None:
        entries = []
        for name, (layer, labels) in self._embeddings().items():
            if not layer.built:
                continue
            table = np.asarray(layer.embeddings.numpy(), np.float32)
            file = f"embedding_{name.replace('/', '_')}.tsv"
            lines = ("\t".join(f"{x:.8g}" for x in row) for row in table)
            _write(Path(self.log_dir, file), "\n".join(lines) + "\n")
            entry = {"tensor_name": name, "tensor_path": file}
            if labels is not None:
                entry["metadata_path"] = os.fspath(labels)
            lines = (f"  {key}: {json.dumps(value)}" for key, value in entry.items())
            shape = "".join(f"  tensor_shape: {size}\n" for size in table.shape)
            entries.append("embeddings {\n" + "\n".join(lines) + "\n" + shape + "}\n")
        if entries:
            _write(Path(self.log_dir, "projector_config.pbtxt"), "".join(entries))


def _numbers(name: str, value: Any) -> list[tuple[str, float]]:
    """A value of the logs as numbers with tags; an array has one for each element."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        return []
    if array.ndim == 0:
        return [(name, float(array))]
    return [(f"{name}_{k}", float(each)) for k, each in enumerate(array.ravel())]


def _all_layers(layer: Any) -> list[Any]:
    inside = getattr(layer, "layers", ())
    return [each for part in inside for each in (part, *_all_layers(part))]


def _write(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".new")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def _profiled(batches: Any) -> tuple[int, int]:
    """The first and last batch of `profile_batch`; (0, 0) for none."""
    given = batches
    if isinstance(batches, str):
        batches = [int(part) if part.strip().isdigit() else -1 for part in batches.split(",")]
    first, last = batches if isinstance(batches, tuple | list) and len(batches) == 2 else (
        batches, batches
    )  # fmt: skip
    numbers = all(isinstance(n, int) and not isinstance(n, bool) for n in (first, last))
    if not numbers or first < 0 or last < first or (first == 0 and last > 0):
        raise ValueError(
            "TensorBoard: profile_batch must be a batch, or the first and last of some, counted "
            f"from 1; 0 for none. Got {given!r}."
        )
    return first, last
