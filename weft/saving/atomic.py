"""Files written aside and moved into place: a reader sees the old file or the new, never half."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["existing", "replacing", "target"]


def target(filepath: Any, endings: tuple[str, ...], what: str, overwrite: bool) -> Path:
    """The path to write to, checked before anything is done.

    Args:
        filepath: a path.
        endings: those that say the format.
        what: that is written, for messages.
        overwrite: whether a file may be there.

    Raises:
        ValueError: another ending.
        IsADirectoryError: the path is a folder.
        FileNotFoundError: its folder is not there.
        FileExistsError: a file is there and may not be overwritten.
    """
    path = Path(os.fspath(filepath))
    if not path.name.endswith(endings):
        hint = " Keras 2's layout is read, not written." if path.suffix in (".h5", ".hdf5") else ""
        raise ValueError(
            f"{what} is written to a file whose name ends in {' or '.join(map(repr, endings))}, "
            f"got {str(path)!r}.{hint}"
        )
    path = Path(os.path.realpath(path))  # a link stays, and what it points to is replaced
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the path of a file.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(path.parent)!r} to write {path.name!r} into. Make it first."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{str(path)!r} is there already. Pass overwrite=True to replace it, or give another "
            "path."
        )
    return path


def existing(filepath: Any) -> Path:
    """The path of a file to read.

    Raises:
        FileNotFoundError: nothing is there.
        IsADirectoryError: it is a folder.
        ValueError: it is neither file nor folder, but a pipe or a device, say.
    """
    path = Path(os.fspath(filepath))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no file {str(path)!r} (looked for from {os.getcwd()!r})."
        ) from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the path of a file.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{str(path)!r} is no regular file.")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there at the end takes the place of `path`.

    It is on the disk before it does. Where the body fails it is removed, and `path` stays as it
    was.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    # Made here, so that it cannot be a link that somebody put there.
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield aside
        if path.exists():
            os.chmod(aside, stat.S_IMODE(path.stat().st_mode))
        _to_disk(aside, os.O_RDWR)
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)
        raise
    with suppress(OSError):  # the file is whole by now; some systems cannot do this to a folder
        _to_disk(path.parent, os.O_RDONLY)


def _to_disk(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
