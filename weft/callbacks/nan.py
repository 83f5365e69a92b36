"""`TerminateOnNaN`: end a training whose loss is no number any more."""

from __future__ import annotations

import math
from typing import Any

from weft.training.callback import Callback

__all__ = ["TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """Stops after the first step whose loss is NaN or infinite.

    It reads the loss at every step, so each step is waited for.

    Args:
        raise_error: raise instead of ending the training quietly.

    Raises:
        RuntimeError: (in training) there is such a loss, and `raise_error` is set.

    Example:
        >>> strict = TerminateOnNaN(raise_error=True)
        >>> strict.on_train_batch_end(7, {"loss": float("nan")})
        Traceback (most recent call last):
        RuntimeError: TerminateOnNaN: the loss is nan at step 7 of this epoch. Look for ...
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"TerminateOnNaN: the loss is {loss} at step {batch} of this epoch. Look for "
                "non-finite values in the data, or lower the learning rate."
            )
        print(f"Step {batch}: the loss is {loss}, training stops.")
        self.model.stop_training = True
