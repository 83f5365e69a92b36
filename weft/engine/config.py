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
    """Print, for each program compiled, what differs from the nearest one before, and where.

    Recording also notes the user's lines while this is on, which costs a few microseconds an
    operation.
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
