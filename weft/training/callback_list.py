"""`CallbackList`: one call that reaches every callback with something to do there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from weft.training.callback import HOOKS, Callback
from weft.training.history import History
from weft.training.logs import Logs
from weft.training.progbar import ProgbarLogger

__all__ = ["CallbackList"]

# A hook does something if it, or the other name that its default calls, was replaced.
_OTHER_NAMES = {
    "on_train_batch_begin": "on_batch_begin",
    "on_train_batch_end": "on_batch_end",
}


class CallbackList(Callback):
    """Calls the hooks of several callbacks, in order; usable in a training loop of one's own too.

    Which callbacks override which hook is looked up when a run begins, so that a batch that
    nobody watches costs a fraction of a microsecond. Where somebody does, all see the same
    `Logs`: what one adds, the next finds.

    Args:
        callbacks: `Callback`s, in any nest of lists; or None.
        add_history: append a `History` if there is none.
        add_progbar: append a `ProgbarLogger` if there is none.
        model: given to each callback; gets a `history` attribute if there is a `History`.
        timed: whether to note in `seconds` what each callback's hooks take.
        params: given to each callback (`verbose`, `epochs`, `steps`).

    Raises:
        TypeError: something in `callbacks` is not a callback.

    Attributes:
        seconds: what each callback's hooks took in all, by its class's name, if `timed`: pass
            `CallbackList([...], timed=True)` to `fit`, and look at it afterwards.

    Example:
        >>> callbacks = CallbackList([Callback()], add_history=True, epochs=1, steps=10)
        >>> callbacks.on_train_begin()
        >>> callbacks.on_epoch_end(0, {"loss": 0.5})
        >>> callbacks.history.history
        {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        timed: bool = False,
        **params: Any,
    ) -> None:
        self.callbacks = list(_flat(callbacks))
        self.timed = timed
        self.seconds: dict[str, float] = {}
        self._hooks: dict[str, tuple[Callable[..., Any], ...]] = {}
        self._drawn: set[str] = set()
        self.complete(add_history, add_progbar, model, **params)

    def complete(
        self, add_history: bool, add_progbar: bool, model: Any = None, **params: Any
    ) -> None:
        """Take what a run gives to its callbacks: the arguments are those of the class."""
        if add_history and not self._find(History):
            self.callbacks.append(History())
        if add_progbar and not self._find(ProgbarLogger):
            self.callbacks.append(ProgbarLogger())
        self._look_up()
        if params:
            self.set_params(params)
        if model is not None:
            self.set_model(model)

    @property
    def history(self) -> History | None:
        """The `History` among the callbacks."""
        return self._find(History)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        self.callbacks += _flat(callback)
        self._look_up()

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        self.model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def close(self) -> None:
        """A run is over, whole or broken off: what callbacks hold for it is given back.

        The progress bar leaves the terminal, files are closed, weights that were swapped for a
        while come back (`_run_over`).
        """
        with ExitStack() as stack:  # each of them, even where one raises
            for callback in self.callbacks:
                over = "close" if isinstance(callback, ProgbarLogger) else "_run_over"
                stack.callback(getattr(callback, over, _nothing))

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def reads(self, hook: str) -> bool:
        """Whether any callback has something to do at `hook`, such as "on_train_batch_end"."""
        return bool(self._hooks[hook])

    def watches(self, prefix: str) -> bool:
        """Whether a callback has hooks of these names, the progress bar left out."""
        hooks = (h for name, found in self._hooks.items() if name.startswith(prefix) for h in found)
        return any(not isinstance(getattr(h, "__self__", None), ProgbarLogger) for h in hooks)

    def _find(self, kind: type) -> Any:
        return next((callback for callback in self.callbacks if isinstance(callback, kind)), None)

    def _look_up(self) -> None:
        for name in HOOKS:
            names = (name, _OTHER_NAMES.get(name, name))
            self._hooks[name] = tuple(
                self._clocked(k, callback, name) if self.timed else getattr(callback, name)
                for k, callback in enumerate(self.callbacks)
                if any(_replaced(callback, each) for each in names)
            )

        # Hooks of the progress bar alone: it makes logs of a step's values where it draws them.
        self._drawn = {n for n in HOOKS if "batch" in n and not self.watches(n)}

    def _clocked(self, k: int, callback: Any, name: str) -> Callable[..., Any]:
        """A hook whose time is added to its callback's, waiting for the device included."""
        hook, kinds = getattr(callback, name), [type(c) for c in self.callbacks]
        label = type(callback).__name__
        if kinds.count(type(callback)) > 1:
            label = f"{label} {k}"  # its place among the callbacks
        self.seconds.setdefault(label, 0.0)

        def clocked(*args: Any) -> None:
            began = time.perf_counter()
            try:
                hook(*args)
            finally:
                self.seconds[label] += time.perf_counter() - began

        return clocked

    def _begin(self, name: str, logs: Any) -> None:
        self._look_up()
        self._call(name, logs)

    def _call(self, name: str, logs: Any, *where: int) -> None:
        hooks = self._hooks[name]
        if hooks:
            if logs.__class__ is not Logs and not (name in self._drawn and logs):
                logs = Logs(logs or ())
            for hook in hooks:
                hook(*where, logs)

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_train_batch_begin", logs, batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call("on_train_batch_end", logs, batch)

    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end

    def on_test_begin(self, logs: Any = None) -> None:
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_test_batch_begin", logs, batch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call("on_test_batch_end", logs, batch)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call("on_predict_batch_begin", logs, batch)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        # Outputs keep their structure, which `Logs` would take for a dict of metrics.
        for hook in self._hooks["on_predict_batch_end"]:
            hook(batch, logs or {})


def _flat(callbacks: Any) -> Iterable[Any]:
    """The callbacks of a nest of lists, each checked."""
    if callbacks is None:
        return
    if isinstance(callbacks, dict):
        callbacks = list(callbacks.values())
    if isinstance(callbacks, list | tuple):
        for each in callbacks:
            yield from _flat(each)
    elif isinstance(callbacks, type) or not (
        hasattr(callbacks, "set_model") and hasattr(callbacks, "set_params")
    ):
        what = getattr(callbacks, "__name__", None) or repr(callbacks)
        hint = (
            f"That is a class; pass an object of it: {what}()."
            if isinstance(callbacks, type)
            else "For a plain function there is LambdaCallback(on_epoch_end=function)."
            if callable(callbacks)
            else "Subclass weft.callbacks.Callback."
        )
        raise TypeError(f"callbacks must be Callback objects, got {what}. {hint}")
    else:
        yield callbacks


def _nothing() -> None:
    pass


def _replaced(callback: Any, name: str) -> bool:
    hook = getattr(callback, name, None)
    return hook is not None and getattr(hook, "__func__", hook) is not getattr(Callback, name)
