"""`BackupAndRestore`: a training that was broken off goes on where it was."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from weft.callbacks.cadence import Cadence
from weft.training.callback import Callback

__all__ = ["BackupAndRestore"]

_POSITION, _BEFORE = "training_metadata.json", "training_metadata.json.bkp"
_ENDING = ".weights.h5"


class BackupAndRestore(Callback):
    """Keeps a backup of a training, and goes on from the one that it finds.

    The backup is the model's weights with the optimizer's state, and the position in the run. The
    file of the position names the file of the weights and is moved into place last, so a run that
    is killed at any moment leaves a whole backup. The next `fit` with the same model, data and
    folder begins with the epoch that was not done; one broken off in its middle begins again, with
    the weights of its last backup.

    Args:
        backup_dir: a folder for this callback of this run alone; it is made.
        save_freq: "epoch", or after how many batches; False for no backups.
        double_checkpoint: keep the backup before the last too, for when the last cannot be read.
        delete_checkpoint: take the backup away when the training is done.
        save_before_preemption: TensorFlow's; only False is taken.

    Raises:
        ValueError: no folder, or another `save_freq`; (in training) the backup is of another
            model, or cannot be read, or the model has no weights yet to load it into.

    Example:
        >>> backup = BackupAndRestore("runs/backup", save_freq=1000)
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        save_before_preemption: bool = False,
    ) -> None:
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir is empty; name a folder for the backup.")
        if save_before_preemption:
            raise ValueError(
                "BackupAndRestore: save_before_preemption is TensorFlow's and not known here. "
                "Give save_freq a number of batches."
            )
        self._cadence = Cadence(
            "BackupAndRestore: save_freq", None if save_freq is False else save_freq
        )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._epoch = 0

    @property
    def _folder(self) -> Path:
        return Path(self.backup_dir)

    # -- restoring ------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / _POSITION).exists() and not self.model.built:
            raise ValueError(
                f"BackupAndRestore: there is a backup in {self.backup_dir!r}, but the model has no "
                "weights yet to load it into: call it on a batch, or model.build(input_shape), "
                "before fit."
            )
        position = self._restore(_POSITION)
        if position is not None:
            # Read by `fit` when every callback has begun.
            object.__setattr__(self.model, "_initial_epoch", position["epoch"])

    def _restore(self, name: str) -> dict[str, Any] | None:
        """Load the backup that a position's file names; the position, or None without one."""
        path = self._folder / name
        if not path.exists():
            return None
        try:
            position = json.loads(path.read_text(encoding="utf-8"))
            self.model.load_weights(str(self._folder / position["weights"]))
        except (OSError, ValueError, KeyError) as error:
            if name == _POSITION and (self._folder / _BEFORE).exists():
                warnings.warn(
                    f"BackupAndRestore: the last backup in {self.backup_dir!r} cannot be read "
                    f"({error}); the one before it is taken.",
                    stacklevel=2,
                )
                return self._restore(_BEFORE)
            raise ValueError(
                f"BackupAndRestore: the backup in {self.backup_dir!r} cannot be loaded into this "
                f"model: {error} Delete that folder to begin anew."
            ) from error
        return position  # type: ignore[no-any-return]

    # -- backing up -----------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._cadence.after_batch(batch):
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._cadence.epochs:
            self._save(epoch + 1, 0)

    def _save(self, epoch: int, batch: int) -> None:
        """Back up what is there when `epoch` epochs and `batch` further batches are done."""
        weights = f"epoch_{epoch}_batch_{batch}{_ENDING}"
        self.model.save_weights(str(self._folder / weights))
        last, before = self._folder / _POSITION, self._folder / _BEFORE
        position = {"epoch": epoch, "batch": batch, "weights": weights}
        aside = self._folder / f"{_POSITION}.new"
        aside.write_text(json.dumps(position), encoding="utf-8")
        if self.double_checkpoint and last.exists():
            _copy(last, before)
        os.replace(aside, last)
        self._tidy(last, before)

    def _tidy(self, *positions: Path) -> None:
        """Delete the weights that none of these positions names."""
        kept = {
            json.loads(path.read_text(encoding="utf-8"))["weights"]
            for path in positions
            if path.exists()
        }
        for path in self._folder.glob(f"epoch_*_batch_*{_ENDING}"):
            if path.name not in kept:
                path.unlink()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.delete_checkpoint:
            for name in (_POSITION, _BEFORE):
                (self._folder / name).unlink(missing_ok=True)
            self._tidy()
            if not any(self._folder.iterdir()):
                self._folder.rmdir()


def _copy(source: Path, target: Path) -> None:
    aside = target.with_name(target.name + ".new")
    aside.write_bytes(source.read_bytes())
    os.replace(aside, target)
