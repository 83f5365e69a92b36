"""`CSVLogger`: a table of the epochs' metrics, in a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weft.training.callback import Callback

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """Writes a line of metric values after each epoch.

    The first line names the columns: `epoch`, then the metrics of the first epoch by the alphabet,
    with `val_` columns for metrics whose validation comes later. A missing value is `NA`.

    Args:
        filename: the file; each line is on the disk as soon as its epoch is done.
        separator: between the values.
        append: go on with a file that is there instead of beginning it anew.

    Example:
        >>> log = CSVLogger("runs/log.csv", separator=";", append=True)
    """

    _state = ("keys",)

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._anew = not append

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        path = Path(self.filename)
        # The file is begun anew at its first line only: a run that goes on sets its state before.
        with open(path, "a", encoding="utf-8"):
            self._anew = not self.append
        # Columns are those that the file has, so that a resumed run goes on under them.
        header = _first_line(path, self.sep) if self.append else None
        self.keys = header[1:] if header else None

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._anew = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        # Opened for each line: nothing is lost, and nothing left open, if training breaks off.
        mode, self._anew = "w" if self._anew else "a", False
        with open(self.filename, mode, newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.sep, lineterminator="\n")
            if self.keys is None:
                self.keys = sorted(logs)
                if not any(name.startswith("val_") for name in logs):
                    self.keys += [f"val_{name}" for name in self.keys]
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self.keys)])


def _cell(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{', '.join(map(str, value))}]"
    return value


def _first_line(path: Path, separator: str) -> list[str] | None:
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file, delimiter=separator), None)
