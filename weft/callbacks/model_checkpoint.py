"""`ModelCheckpoint`: the model in a file, each so often or when it is the best."""

from __future__ import annotations

import os
import re
from pathlib import Path
from string import Formatter
from typing import Any

from weft.callbacks.saver import Saver
from weft.engine.names import near

__all__ = ["ModelCheckpoint"]

_ENDS = {True: (".weights.h5",), False: (".keras",)}


class ModelCheckpoint(Saver):
    """Saves the model, or its weights, in files.

    Each file is written aside and moved into place, so that there is never half of one.

    Args:
        filepath: the file's name, which ends in ".keras", or ".weights.h5" with
            `save_weights_only`. It may hold fields to be filled in as `str.format` does: `epoch`
            (counted from 1), `batch` (likewise, where `save_freq` is a number) and any metric of
            the logs, as in "{epoch:02d}-{val_loss:.2f}.keras". Folders are made.
        monitor: the metric that tells which model is the best.
        verbose: 1 prints what is saved and why.
        save_best_only: save only where the metric is better than it has been. Where there is no
            such metric, each model is saved, with a warning.
        save_weights_only: `model.save_weights` in place of `model.save`; the optimizer's state is
            in both.
        mode: "min", "max" or "auto" (by the metric and its name).
        save_freq: "epoch", or after how many batches.
        initial_value_threshold: the first value to be better than.
        period: Keras 2's: save every so many epochs.

    Attributes:
        best: the best value so far; it is kept from one `fit` to the next.

    Raises:
        ValueError: a file's name with another ending or broken fields, an unknown mode or
            `save_freq`.
        KeyError: (in training) a field of the name that is no value of the logs.
        OSError: (in training) the file cannot be written.

    Example:
        >>> best = ModelCheckpoint("runs/{epoch:02d}.keras", "val_accuracy", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
        *,
        period: int = 1,
        options: None = None,
    ) -> None:
        super().__init__(monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.save_weights_only = save_weights_only
        self.period = period
        if not self.filepath.endswith(_ENDS[bool(save_weights_only)]):
            raise ValueError(
                f"ModelCheckpoint: the name of the file must end in '.weights.h5' with "
                f"save_weights_only=True, and in '.keras' otherwise; got filepath="
                f"{self.filepath!r} with save_weights_only={save_weights_only}."
            )
        if options is not None:
            raise ValueError("ModelCheckpoint: options are TensorFlow's and not known here.")
        if not isinstance(period, int) or period < 1:
            raise ValueError(
                f"ModelCheckpoint: period must be a number of epochs, 1 or more, got {period!r}."
            )
        try:
            fields = [
                name for _, name, _, _ in Formatter().parse(self.filepath) if name is not None
            ]
        except ValueError as error:
            raise ValueError(
                f"ModelCheckpoint: {self.filepath!r} cannot be filled in: {error}. Fields are "
                "written {epoch} or {val_loss:.2f}; a brace of the name itself is doubled."
            ) from error
        self._fields = [re.split(r"[.\[]", name)[0] for name in fields]
        self._epochs = 0  # since the last was saved, for `period`

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        # A folder that cannot be written to shows now, and not after an epoch's work.
        folder = Path(self.filepath.split("{")[0] + "x").parent
        self._in_folder(folder, folder)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"ModelCheckpoint: the folder {str(folder)!r} is not writable.")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs += 1
        if self._epochs >= self.period:
            self._epochs = 0
            super().on_epoch_end(epoch, logs)

    def save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        path = self._path(epoch, batch, logs)
        self._in_folder(Path(path).parent, path)
        try:
            (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        except OSError as error:
            raise _os_error(path, error) from error
        return path

    def _in_folder(self, folder: Path, path: Any) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _os_error(path, error) from error

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        places = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1})}
        for name in self._fields:
            if name not in places and name not in logs:
                known = [*places, *logs]
                hint = near(name, known)
                also = "" if hint.startswith("Known") else f" Known: {', '.join(known)}."
                raise KeyError(
                    f"ModelCheckpoint: {self.filepath!r} asks for {name!r}, which is not there. "
                    f"{hint}{also}"
                )
        try:
            # Only what the name asks for is fetched from the device.
            return self.filepath.format(**{k: logs[k] for k in self._fields if k in logs} | places)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"ModelCheckpoint: {self.filepath!r} cannot be filled in: {error}."
            ) from error


def _os_error(path: Any, error: OSError) -> OSError:
    return type(error)(
        f"ModelCheckpoint cannot write {str(path)!r}: {error.strerror or error}. Give a filepath "
        "in a folder that is there, or can be made, and is writable."
    )
