"""`LambdaCallback`: a callback made of functions."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from weft.training.callback import HOOKS, Callback

__all__ = ["LambdaCallback"]

_NAMES = (*HOOKS, "on_batch_begin", "on_batch_end")


class LambdaCallback(Callback):
    """Calls a function at each hook that is named.

    Args:
        hooks: hook=function, with any of `Callback`'s hooks; the function takes what the hook
            does: `(epoch, logs)`, `(batch, logs)` or `(logs)`.

    Raises:
        TypeError: there is no hook of that name, or the value cannot be called.

    Example:
        >>> seen = []
        >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
        >>> callback.on_epoch_end(0, {})
        >>> seen
        [0]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in hooks.items():
            if name not in _NAMES:
                near = difflib.get_close_matches(name, _NAMES, 1, 0.5)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise TypeError(
                    f"LambdaCallback: there is no hook {name!r}.{hint} The hooks are: "
                    f"{', '.join(_NAMES)}."
                )
            if function is not None and not callable(function):
                raise TypeError(
                    f"LambdaCallback: {name} must be a function, got {function!r} of type "
                    f"{type(function).__name__}."
                )
        for name, function in hooks.items():
            if function is not None:
                setattr(self, name, function)
