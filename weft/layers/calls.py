"""What is known, on a thread, of the layers being built or called."""

from __future__ import annotations

import threading
from typing import Any

from weft.engine.names import numbering, set_numbering
from weft.layers import tracking

__all__ = ["calls", "undoing"]


class _Calls(threading.local):
    """The layers being built or called on this thread, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.building: list[Any] = []  # those of them whose `build` runs
        self.training: bool | None = None
        self.number = 0  # of the outermost call: losses of an earlier one are stale
        self.dry = False  # whether weights are made for their shapes alone
        # Inside `undoing`: the layers built there, with their attributes and number of weights
        # before.
        self.journal: list[tuple[Any, dict[str, Any], int]] | None = None

    def note(self, layer: Any) -> None:
        """Remember what a layer is like before it is built."""
        if self.journal is not None:
            self.journal.append((layer, dict(layer.__dict__), len(layer._own_weights)))


calls = _Calls()


class undoing:
    """A context after which layers built in it are as before, if it fails or `dry` is set.

    Args:
        dry: undo in any case, and spare the initial values: what is built serves for its shapes.
    """

    def __init__(self, dry: bool = False) -> None:
        self.dry = dry

    def __enter__(self) -> None:
        self.outer = calls.journal, calls.dry
        calls.journal, calls.dry = [], self.dry or calls.dry
        self.names = numbering()

    def __exit__(self, kind: Any, *error: Any) -> None:
        journal = calls.journal or []
        calls.journal, calls.dry = self.outer
        if kind is None and not self.dry:
            if calls.journal is not None:
                calls.journal += journal
            return
        set_numbering(self.names)
        for layer, attributes, weights in reversed(journal):
            layer.__dict__.clear()
            layer.__dict__.update(attributes)
            del layer._own_weights[weights:]
        tracking.changed()
