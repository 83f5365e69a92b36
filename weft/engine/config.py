"""`weft.config`: how the engine works, to be changed while it runs."""

from __future__ import annotations

import os
import pathlib

import jax

from weft.engine import explain
from weft.engine.trace import _State, flush, state

__all__ = [
    "compile_count",
    "is_eager",
    "log_compiles",
    "set_compilation_cache",
    "set_eager",
    "set_max_pending",
]


def log_compiles(on: bool = True) -> None:
    """Say, for each program compiled, why: what differs from the nearest one before, and where.

    A note is a line on stderr, `weft: <what> compiled ... (program <number>: <operations>,
    <seconds of tracing and compiling>; run at <the user's line>)`:

    - Of a `weft.function`, and of a model's `train_step`, `test_step` and `predict_step`:
      "compiled for the first time", or "compiled again" and why: each argument that is another, by
      its name and path (`batch[0] float32 (32, 28) → (7, 28)`), came or went; whose `trainable`
      was changed.
    - Of pending work, the plain loop's steps: the first operation that is another, with its line:
      its operands' shapes and dtypes, its options, or that it came or went.

    Without this a warning comes, once, where a step, a function or a loop has been compiled for a
    dozen sizes of one axis, most of them never seen again. Recording notes the user's lines while
    this is on, which costs a few microseconds an operation.

    Args:
        on: whether to.

    Example:
        >>> import contextlib, io, weft
        >>> double = weft.function(lambda x: x * 2.0, name="double")
        >>> with contextlib.redirect_stderr(io.StringIO()) as notes:
        ...     weft.config.log_compiles(True)
        ...     _ = double(weft.ops.ones((4, 3))), double(weft.ops.ones((5, 3)))
        ...     weft.config.log_compiles(False)
        >>> print(notes.getvalue().splitlines()[-1].split(" (program")[0])
        weft: double compiled again: x float32 (4, 3) → (5, 3)
    """
    flush()
    _State.lines = bool(on)
    explain.watch(bool(on))
    if on and state.trace.lazy:
        state.trace.lines = []


def compile_count() -> int:
    """How many programs weft has compiled in this process."""
    return explain.count()


def set_eager(on: bool = True) -> None:
    """Run every operation at once, each compiled by itself: for debugging."""
    flush()
    _State.eager = bool(on)


def is_eager() -> bool:
    """Whether operations run at once."""
    return _State.eager


def set_max_pending(operations: int = 1000) -> None:
    """Run pending work when this many operations wait outside of any tape."""
    if operations < 1:
        raise ValueError(f"set_max_pending needs a positive number, got {operations}.")
    _State.limit = int(operations)


def set_compilation_cache(folder: str | os.PathLike[str] | None) -> None:
    """Keep compiled programs in a folder, so that the next start finds them; None: do not.

    The default is `weft/xla` in the user's cache folder. The environment variable WEFT_CACHE_DIR
    names another, or switches it off with the value `off`; a cache that was set up for JAX itself
    (JAX_COMPILATION_CACHE_DIR) is left alone.
    """
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _default_cache() -> None:
    """Called once at import."""
    chosen = os.environ.get("WEFT_CACHE_DIR")
    set_up = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if chosen == "off" or set_up:
        return
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    set_compilation_cache(chosen or pathlib.Path(base) / "weft" / "xla")


_default_cache()
