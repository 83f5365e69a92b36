"""`OrbaxCheckpoint`: checkpoints of the model's state, written in the background."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from weft.callbacks.saver import Saver

__all__ = ["OrbaxCheckpoint"]


class OrbaxCheckpoint(Saver):
    """Saves the model's state with Orbax while training goes on; it needs orbax-checkpoint.

    A checkpoint is the folder `directory/STEP`, STEP being the epoch (from 0), or the optimizer's
    step where `save_freq` is a number of batches. Its item `pytree` holds, as Keras's does, the
    values of `trainable_variables`, `non_trainable_variables`, `optimizer_variables` and
    `metrics_variables`, nested by their paths; with `save_weights_only` the first two alone.

    Args:
        directory: the folder of the checkpoints; it is made.
        monitor: the metric that tells which model is the best.
        verbose: 1 prints what is saved and why.
        save_best_only: save only where the metric is better than it has been.
        mode: "min", "max" or "auto" (by the metric and its name).
        save_freq: "epoch", or after how many batches.
        initial_value_threshold: the first value to be better than.
        max_to_keep: how many checkpoints stay, the newest; None for all.
        save_on_background: write while training goes on.
        save_weights_only: leave out the optimizer and the metrics.

    Raises:
        ImportError: orbax-checkpoint is not installed.
        ValueError: an unknown mode or `save_freq`, `max_to_keep` below 1.

    Example:
        >>> import tempfile, weft
        >>> model = weft.Sequential([weft.Input((2,)), weft.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> saver = OrbaxCheckpoint(tempfile.mkdtemp(), max_to_keep=3)
        >>> _ = model.fit([[1.0, 2.0]], [[3.0]], epochs=2, callbacks=[saver], verbose=0)
        >>> saver.restore(model)
        1
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold)
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(
                f"OrbaxCheckpoint: max_to_keep must be 1 or more, or None, got {max_to_keep}."
            )
        self.directory = os.fspath(directory)
        self.max_to_keep = max_to_keep
        self.save_on_background = save_on_background
        self.save_weights_only = save_weights_only
        _orbax()
        self._manager: Any = None

    def _open(self) -> Any:
        if self._manager is None:
            orbax = _orbax()
            options = orbax.CheckpointManagerOptions(
                max_to_keep=self.max_to_keep,
                enable_async_checkpointing=self.save_on_background,
            )
            folder = Path(self.directory).absolute()
            self._manager = orbax.CheckpointManager(folder, options=options, item_names=("pytree",))
        return self._manager

    def save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        step = epoch if batch is None else int(self.model.optimizer.iterations)
        args = _orbax().args
        manager = self._open()
        variables = _variables(self.model, self.save_weights_only)
        if not self.save_weights_only:
            found = (v for metric in self.model.metrics for v in metric.variables)
            variables |= {("metrics_variables", *v.path.split("/")): v for v in found}
        state = args.PyTreeSave(_nested(variables))
        if step in manager.all_steps():  # of a run before this one
            manager.delete(step)
        manager.save(step, args=args.Composite(pytree=state), force=True)
        return str(Path(self.directory, str(step)))

    def restore(self, model: Any, step: int | None = None) -> int:
        """Give a model the values of a checkpoint.

        Args:
            model: built, and compiled like the one saved (unless `save_weights_only`).
            step: which; the newest by default.

        Returns:
            The step.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it is of a model with other variables; nothing is changed then.
        """
        manager = self._open()
        steps = manager.all_steps()
        step = max(steps, default=-1) if step is None else step
        if step not in steps:
            raise FileNotFoundError(
                f"OrbaxCheckpoint: {self.directory!r} has no checkpoint {step if step >= 0 else ''}"
                f"; those there are: {', '.join(map(str, steps)) or 'none'}."
            )
        manager.wait_until_finished()
        found = self._read(step)
        variables = _variables(model, self.save_weights_only, found)
        wrong = [
            f"{'/'.join(path[1:])} {tuple(variable.shape)}"
            for path, variable in variables.items()
            if path not in found or np.shape(found[path]) != tuple(variable.shape)
        ]
        if wrong:
            raise ValueError(
                f"OrbaxCheckpoint: checkpoint {step} in {self.directory!r} is of another model: "
                f"it has no {', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}."
            )
        for path, variable in variables.items():
            variable.assign(found[path])
        return step

    def _read(self, step: int) -> dict[tuple[str, ...], Any]:
        """The values of a checkpoint, as host arrays, by where they stand in it."""
        orbax = _orbax()
        folder = Path(self.directory, str(step), "pytree").absolute()
        host = orbax.RestoreArgs(restore_type=np.ndarray)
        with orbax.PyTreeCheckpointer() as reader:
            saved = reader.metadata(folder).item_metadata.tree
            kinds = jax.tree.map(lambda _: host, saved, is_leaf=lambda x: not isinstance(x, dict))
            tree = reader.restore(folder, args=orbax.args.PyTreeRestore(restore_args=kinds))
        leaves, _ = jax.tree.flatten_with_path(tree)
        return {tuple(part.key for part in path): value for path, value in leaves}

    def wait_until_finished(self) -> None:
        """Wait until everything is written."""
        if self._manager is not None:
            self._manager.wait_until_finished()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._run_over()

    def _run_over(self) -> None:  # also where the run was broken off
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()

    def is_multihost_enabled(self) -> bool:
        """Whether several processes write one checkpoint together."""
        return jax.process_count() > 1

    def is_primary_host(self) -> bool:
        """Whether this process is the first."""
        return jax.process_index() == 0


def _orbax() -> Any:
    try:
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(
            "OrbaxCheckpoint needs Orbax: pip install 'weft[orbax]', or orbax-checkpoint itself. "
            "ModelCheckpoint writes files without it."
        ) from error
    return orbax.checkpoint


def _variables(
    model: Any, weights_only: bool, saved: Iterable[tuple[str, ...]] = ()
) -> dict[tuple[str, ...], Any]:
    """The variables of a model by where their values stand in a checkpoint.

    An optimizer made a second time has another name: in `saved` it is looked for by its own.
    """
    groups = {
        "trainable_variables": model.trainable_variables,
        "non_trainable_variables": model.non_trainable_variables,
    }
    optimizer = None if weights_only else model.optimizer
    if optimizer is not None:
        if not optimizer.built:
            optimizer._build(list(model.trainable_variables))
        groups["optimizer_variables"] = optimizer.variables
    found = {(name, *v.path.split("/")): v for name, group in groups.items() for v in group}
    there = {path[1] for path in saved if path[0] == "optimizer_variables"}
    mine = {path[1] for path in found if path[0] == "optimizer_variables"}
    if len(there) == len(mine) == 1:
        rename = dict(zip(mine, there, strict=True))
        found = {
            (path[0], rename[path[1]], *path[2:]) if path[0] == "optimizer_variables" else path: v
            for path, v in found.items()
        }
    return found


def _nested(variables: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (*folders, name), variable in variables.items():
        inside = tree
        for folder in folders:
            inside = inside.setdefault(folder, {})
        # A copy: the variable's own buffer is donated to the next step while this one is written.
        inside[name] = jax.numpy.array(variable.array(), copy=True)
    return tree
