"""An update that fails in the middle leaves everything as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from weft.engine import Variable
from weft.engine.trace import state

__all__ = ["undone_on_error"]


@contextmanager
def undone_on_error(variables: Sequence[Variable]) -> Iterator[None]:
    """Where the body raises, these variables hold again what they held on entry.

    Inside a trace that becomes a graph there is nothing to do: it is dropped as a whole.
    """
    held = [v._tensor for v in variables] if state.trace.lazy else []
    try:
        yield
    except BaseException:
        for variable, tensor in zip(variables, held, strict=False):
            if variable._tensor is not tensor:
                variable._hold(tensor)
        raise
