"""`.keras` archives: ZIP files of three members, of which nothing else is believed."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from weft.saving import hdf5

__all__ = ["CONFIG", "FORMAT", "METADATA", "WEIGHTS", "reading", "write"]

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_ASSETS = "assets/"
FORMAT = 1  # of what weft adds to Keras's; raised when older versions could not read it
_KERAS = "3.15.1"  # the version of Keras whose format is written
_MAX_JSON = 256 * 2**20
_MAX_GROWTH = 100  # of a compressed member, over the archive
_FREE = 64 * 2**20  # up to which no growth is counted
_CHUNK = 2**20


def write(file: Path, config: dict[str, Any], version: str, write_weights: Any) -> None:
    """Write an archive.

    Args:
        file: the path.
        config: the model's.
        version: weft's.
        write_weights: called with the file object to write the weights to.
    """
    metadata = {
        "keras_version": _KERAS,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "weft_version": version,
        "weft_format": FORMAT,
    }
    weights = io.BytesIO()  # a ZIP member is written from its beginning to its end, HDF5 is not
    write_weights(weights)
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(METADATA, json.dumps(metadata))
        opened.writestr(CONFIG, json.dumps(config))
        with opened.open(WEIGHTS, "w", force_zip64=True) as member:
            member.write(weights.getbuffer())


@contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """An archive to read from, its list of members checked.

    Raises:
        ValueError: it is no archive of this kind, is damaged, or was written by a newer version.
    """
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise ValueError(
            f"{str(path)!r} is no '.keras' archive, or it is damaged ({error})."
        ) from error
    with opened:
        yield Archive(opened, path)


class Archive:
    """An archive that is open.

    Args:
        opened: the ZIP file.
        path: where it is.
    """

    def __init__(self, opened: zipfile.ZipFile, path: Path) -> None:
        self._opened, self.path = opened, path
        self._members: dict[str, zipfile.ZipInfo] = {}
        size = path.stat().st_size
        total = 0
        for member in opened.infolist():
            self._check(member, size)
            total += member.file_size
            self._members[member.filename] = member
        if total > max(_FREE, size * _MAX_GROWTH):
            raise self._error(f"it would unpack to {total:,} bytes from {size:,}")
        missing = [n for n in (METADATA, CONFIG, WEIGHTS) if n not in self._members]
        if missing:
            raise self._error(f"it has no {', '.join(missing)}")
        self.metadata = self._json(METADATA)
        self._check_version()

    def _error(self, why: str) -> ValueError:
        return ValueError(f"{str(self.path)!r} cannot be read as a '.keras' archive: {why}.")

    def _check(self, member: zipfile.ZipInfo, size: int) -> None:
        name = member.filename
        parts = name.split("/")
        known = name in (METADATA, CONFIG, WEIGHTS) or (
            name.startswith(_ASSETS) and not {"..", "."} & set(parts) and "\\" not in name
            and "" not in parts[:-1] and ":" not in name
        )  # fmt: skip
        if not known:
            raise self._error(f"{name!r} is no member that such archives have")
        if name in self._members:
            raise self._error(f"it has two members named {name!r}")
        if member.flag_bits & 1:
            raise self._error(f"{name!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._error(f"{name!r} is packed in a way that is not known")
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.compress_size > size or (stored and member.file_size > size):
            raise self._error(f"{name!r} says that it is larger than the archive")
        if name in (METADATA, CONFIG) and member.file_size > _MAX_JSON:
            raise self._error(f"{name!r} has {member.file_size:,} bytes, over {_MAX_JSON:,}")

    def _check_version(self) -> None:
        made = self.metadata.get("weft_format", FORMAT)
        keras = str(self.metadata.get("keras_version", ""))
        major = keras.split(".")[0]
        if not isinstance(made, int) or made > FORMAT or (major.isdigit() and int(major) > 3):
            raise self._error(
                f"it was written by a newer version (weft {self.metadata.get('weft_version')}, "
                f"format {made}, Keras {keras}); update weft"
            )

    def _bytes(self, name: str) -> bytes:
        try:
            return self._opened.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise self._error(f"{name!r} is damaged ({error})") from error

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self._bytes(name))
        except RecursionError as error:
            raise self._error(f"{name!r} is nested too deep") from error
        except (ValueError, UnicodeDecodeError) as error:
            if "cannot be read as" in str(error):
                raise
            raise self._error(f"{name!r} is no JSON ({error})") from error
        if not isinstance(found, dict):
            raise self._error(f"{name!r} holds no object, but {type(found).__name__}")
        return found

    def config(self) -> dict[str, Any]:
        """The model's config."""
        return self._json(CONFIG)

    @contextmanager
    def weights(self) -> Iterator[hdf5.Contents]:
        """The file of the weights."""
        member = self._members[WEIGHTS]
        where = f"{WEIGHTS!r} in {str(self.path)!r}"
        if member.compress_type == zipfile.ZIP_STORED:
            start = self._verified(member)
            with open(self.path, "rb", buffering=0) as raw:
                window = _Window(raw, start, member.file_size)
                with hdf5.read(window, member.file_size, where) as contents:
                    yield contents
        else:
            data = self._bytes(WEIGHTS)
            with hdf5.read(io.BytesIO(data), len(data), where) as contents:
                yield contents

    def _verified(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of a stored member begin, its checksum compared."""
        try:
            with self._opened.open(member) as stream:
                while stream.read(_CHUNK):
                    pass
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise self._error(f"{member.filename!r} is damaged ({error})") from error
        # The local header: 30 bytes, then a name and extra fields whose lengths it says.
        with open(self.path, "rb") as raw:
            raw.seek(member.header_offset + 26)
            lengths = raw.read(4)
        start = member.header_offset + 30
        return start + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")


class _Window(io.RawIOBase):
    """A part of a file as a file of its own.

    Args:
        raw: the file, used by nobody else.
        start, size: of the part.
    """

    def __init__(self, raw: Any, start: int, size: int) -> None:
        self._raw, self._start, self._size, self._at = raw, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        self._raw.seek(self._start + self._at)
        done = 0
        while done < len(view) and (count := self._raw.readinto(view[done:])):  # 2 GiB at most
            done += count
        self._at += done
        return done
