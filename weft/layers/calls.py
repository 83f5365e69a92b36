"""What is known, on a thread, of the layers being built or called."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weft.engine.names import numbering, set_numbering
from weft.layers import tracking

__all__ = ["calls", "limited", "undoing"]


class _Calls(threading.local):
    """The layers being built or called on this thread, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.building: list[Any] = []  # those of them whose `build` runs
        self.training: bool | None = None
        self.number = 0  # of the outermost call: losses of an earlier one are stale
        self.dry = False  # whether weights are made for their shapes alone
        self.allowed: int | None = None  # how many bytes of weights may still be made
        # Inside `undoing`: the layers built there, with their attributes and number of weights
        # before.
        self.journal: list[tuple[Any, dict[str, Any], int]] | None = None

    def note(self, layer: Any) -> None:
        """Remember what a layer is like before it is built."""
        if self.journal is not None:
            self.journal.append((layer, dict(layer.__dict__), len(layer._own_weights)))

    def spend(self, layer: Any, name: str, shape: tuple[int, ...], size: int) -> None:
        """Count a weight that is about to be made.

        Raises:
            ValueError: there would be more bytes of them than are allowed.
        """
        if self.allowed is None:
            return
        self.allowed -= math.prod(shape) * size
        if self.allowed < 0:
            raise ValueError(
                f"layer {layer.name!r} would make a weight {name!r} of shape {shape}, with which "
                "there are far more bytes of weights than the file holds: it is damaged, or made "
                "to use up the memory. safe_mode=False loads it all the same."
            )


calls = _Calls()


@contextmanager
def limited(size: int | None) -> Iterator[None]:
    """A context in which layers may make so many bytes of weights; None: as many as they want."""
    before = calls.allowed
    calls.allowed = size
    try:
        yield
    finally:
        calls.allowed = before


class undoing:
    """A context after which layers built in it are as before, if it fails or `dry` is set.

    Args:
        dry: undo in any case, and spare the initial values: what is built serves for its shapes.
    """

    def __init__(self, dry: bool = False) -> None:
        self.dry = dry

    def __enter__(self) -> None:
        self.outer = calls.journal, calls.dry
        self.allowed = calls.allowed
        calls.journal, calls.dry = [], self.dry or calls.dry
        self.names = numbering()

    def __exit__(self, kind: Any, *error: Any) -> None:
        journal = calls.journal or []
        calls.journal, calls.dry = self.outer
        if kind is None and not self.dry:
            if calls.journal is not None:
                calls.journal += journal
            return
        calls.allowed = self.allowed
        set_numbering(self.names)
        for layer, attributes, weights in reversed(journal):
            layer.__dict__.clear()
            layer.__dict__.update(attributes)
            del layer._own_weights[weights:]
        tracking.changed()
