"""`Callback`: the hooks that training, evaluation and prediction call."""

from __future__ import annotations

from typing import Any

from weft.engine.names import near

__all__ = ["HOOKS", "Callback"]

HOOKS = (
    "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
    "on_epoch_end", "on_train_end",
    "on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end",
    "on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end",
)  # fmt: skip


class Callback:
    """Base of everything that looks on, or takes part, while a model is trained.

    Override the hooks that are wanted; the others cost nothing. `logs` is a dict of metric values
    that are fetched from the device when they are read: a batch hook that leaves them alone does
    not slow training down, one that reads the loss waits for it. Training stops after
    the step or epoch in which a hook sets `self.model.stop_training = True`.

    Attributes:
        model: the model at work.
        params: `{"verbose": ..., "epochs": ..., "steps": ...}`; steps is None while the length of
            the data is unknown.

    Example:
        >>> class StopWhenGood(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         if logs["val_accuracy"] > 0.9:
        ...             self.model.stop_training = True
    """

    model: Any = None
    params: dict[str, Any] | None = None
    _state: tuple[str, ...] = ()  # the attributes that `get_state` gives

    def get_state(self) -> dict[str, Any]:
        """What the callback remembers of the run: names and values that JSON can hold.

        A callback of one's own that counts or compares gives it here, and takes it back in
        `set_state`; both are empty otherwise.
        """
        return {name: getattr(self, name) for name in self._state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave; to be called after `on_train_begin`.

        Raises:
            ValueError: names that are none of this callback's state; nothing is set then.
        """
        for name in state:
            if name not in self._state:
                raise ValueError(
                    f"{type(self).__name__} has no state {name!r}. "
                    + (near(name, self._state) if self._state else "It keeps none.")
                )
        for name, value in state.items():
            setattr(self, name, value)

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the run's `verbose`, `epochs` and `steps`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model."""
        self.model = model

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """`fit` begins."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """`fit` is at its end; `logs` are the last epoch's."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch, counted from 0, begins."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch and its validation are done; validation's values are named `val_...`."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A training step, counted from 0 in its epoch, begins."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A training step was started; `logs` hold the epoch's values up to it."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """`evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """`evaluate`, or the validation of an epoch, is at its end."""

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """An evaluation step begins."""

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """An evaluation step was started."""

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """`predict` begins."""

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """`predict` is at its end."""

    def on_predict_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A prediction step begins."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A prediction step was started; `logs["outputs"]` is what the model gave for it."""
