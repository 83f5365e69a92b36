"""`EventFile`: the files that TensorBoard reads."""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from typing import Any

import numpy as np

__all__ = ["EventFile", "histogram", "image", "png"]

_BINS = 30
_serial = itertools.count()


class EventFile:
    """A file of events in a folder; each holds a tensor for one of TensorBoard's plugins.

    Args:
        folder: where the file is made; TensorBoard shows each folder as a run.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str) -> None:
        try:
            from tensorboardX import FileWriter
        except ImportError as error:
            raise ImportError(
                "the TensorBoard callback writes with tensorboardX, which is not installed: "
                "pip install 'weft[tensorboard]', or tensorboardX itself."
            ) from error
        # Its names tell seconds apart, and no more: a second file of that second needs its own.
        self._writer = FileWriter(folder, filename_suffix=f".{os.getpid()}.{next(_serial)}")

    def add(self, plugin: str, tag: str, value: Any, step: int, content: bytes = b"") -> None:
        """Write a value.

        Args:
            plugin: "scalars", "histograms", "images", "text" or "graph_keras_model".
            tag: what it is called there.
            value: a number, an array, or strings.
            step: where it stands on the axis.
            content: what the plugin wants to know of its own version.
        """
        from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

        metadata = SummaryMetadata(
            plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        )
        entry = Summary.Value(tag=tag, metadata=metadata, tensor=_tensor(value))
        self._writer.add_summary(Summary(value=[entry]), step)

    def add_graph(self, graph: bytes) -> None:
        """Write a serialized GraphDef, the run's graph."""
        from tensorboardX.proto.event_pb2 import Event

        self._writer.add_event(Event(graph_def=graph))

    def flush(self) -> None:
        """Have everything on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flush, and end."""
        self._writer.close()


def _tensor(value: Any) -> Any:
    from tensorboardX.proto.tensor_pb2 import TensorProto
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboardX.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

    def shaped(shape: tuple[int, ...]) -> Any:
        return TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in shape])

    if isinstance(value, str | bytes | list):
        strings = value if isinstance(value, list) else [value]
        data = [s.encode() if isinstance(s, str) else s for s in strings]
        shape = (len(data),) if isinstance(value, list) else ()
        return TensorProto(dtype=DT_STRING, tensor_shape=shaped(shape), string_val=data)
    array = np.asarray(value)
    if array.ndim:
        return TensorProto(
            dtype=DT_DOUBLE, tensor_shape=shaped(array.shape), double_val=array.ravel().tolist()
        )
    return TensorProto(dtype=DT_FLOAT, tensor_shape=shaped(()), float_val=[float(array)])


def histogram(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows (left edge, right edge, how many values), 30 of them; what is not finite is left out."""
    numbers = values[np.isfinite(values)].astype(np.float64)
    counts, edges = np.histogram(numbers, _BINS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def image(values: np.ndarray[Any, Any]) -> list[bytes] | None:
    """Width, height and PNG of a weight as a grey picture, from its least to its largest value.

    A vector is a row and a matrix is itself. A kernel of more dimensions is a mosaic: a row of
    tiles for each input channel, a column for each output channel (its last two dimensions).

    Returns:
        None for a single number, or nothing.
    """
    if values.size < 2:
        return None
    grey = values.astype(np.float64)
    if grey.ndim == 1:
        grey = grey[None]
    elif grey.ndim > 2:
        *outer, height, width, rows, columns = (1, *grey.shape) if grey.ndim == 3 else grey.shape
        grey = grey.reshape(int(np.prod(outer)) * height, width, rows, columns)
        grey = grey.transpose(2, 0, 3, 1).reshape(rows * len(grey), columns * width)
    grey = np.nan_to_num(grey, posinf=0.0, neginf=0.0)
    low, high = grey.min(), grey.max()
    scaled = np.round((grey - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return [str(scaled.shape[1]).encode(), str(scaled.shape[0]).encode(), png(scaled)]


def png(grey: np.ndarray[Any, Any]) -> bytes:
    """A grey picture of bytes as PNG (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = grey.shape
    lines = b"".join(b"\0" + row.tobytes() for row in grey)  # each unfiltered
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
