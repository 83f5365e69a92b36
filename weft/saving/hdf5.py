"""HDF5 files of weights, written and read; what is read is believed only as far as it is checked.

A file may name other files (external and soft links, external and virtual datasets), declare sizes
that it does not have, or unpack to more than it holds: such files are refused before any value is
read. What is left is groups and plain arrays of numbers whose bytes are in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
import numpy as np

from weft.saving.heaps import check_heaps

__all__ = ["Contents", "Group", "read", "write"]

_MAX_OBJECTS = 1_000_000
_MAX_DEPTH = 100
# Types that HDF5 does not have are stored as plain bytes, with their name in an attribute.
_NAMED = {
    name: np.dtype(getattr(jnp, name)) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")
}


class Group(Mapping[str, np.ndarray[Any, Any]]):
    """The arrays of one part, by name; each is read when it is asked for."""

    def __init__(self, optional: bool = False) -> None:
        self._datasets: dict[str, Any] = {}
        self.optional = optional  # whether a model that has no use for them may pass them over

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        dataset = self._datasets[name]
        array = np.empty(dataset.shape, dataset.dtype)
        if array.size:
            try:
                dataset.read_direct(array)
            except (OSError, RuntimeError) as error:
                raise ValueError(
                    f"the array {dataset.name!r} is damaged and cannot be read ({_line(error)})."
                ) from error
        return array.view(self.dtype(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, which is not read."""
        return tuple(self._datasets[name].shape)

    def dtype(self, name: str) -> np.dtype[Any]:
        """The dtype of an array, which is not read."""
        dataset = self._datasets[name]
        if dataset.dtype.kind != "V":
            return dataset.dtype  # type: ignore[no-any-return]
        return _NAMED[_text(dataset, "dtype")]

    @property
    def nbytes(self) -> int:
        """The bytes of all its arrays."""
        return sum(d.size * d.dtype.itemsize for d in self._datasets.values())

    def _add(self, name: str, dataset: Any) -> None:
        self._datasets[name] = dataset


# -- writing --------------------------------------------------------------------------------


def write(file: Any, groups: Iterable[tuple[str, str, Mapping[str, Any], bool]]) -> None:
    """Write arrays to a new file.

    Args:
        file: a path or a file object.
        groups: the parts: path, name, arrays, and whether a model may be without them.
    """
    import h5py  # not with weft: it takes 0.1 s

    with h5py.File(file, "w") as opened:
        for path, name, arrays, optional in groups:
            group = opened.create_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = name
            if optional:
                group.attrs["optional"] = True
            for key, value in arrays.items():
                array = np.asarray(value)
                dataset = group.create_dataset(
                    str(key), data=array.view(f"V{array.itemsize}") if _named(array) else array
                )
                if _named(array):
                    dataset.attrs["dtype"] = array.dtype.name


def _named(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.name in _NAMED


# -- reading --------------------------------------------------------------------------------


class Contents:
    """What is in a file, all of it checked.

    Args:
        file: the HDF5 file.
        source: the path or file object that it is read from.
        size: in bytes.
        where: what to call it in messages.
    """

    def __init__(self, file: Any, source: Any, size: int, where: str) -> None:
        self._file, self._source, self._size, self.where = file, source, size, where
        self._heaps_checked = False
        self.arrays = Group()  # by the whole path
        self.places: set[str] = {""}  # of all groups
        self._check()

    def _check(self) -> None:
        """Each object's kind and size is compared with what a file of weights has."""
        import h5py

        where = self.where
        seen: set[int] = set()
        left = self._size  # the arrays of a file cannot have more bytes than it has
        todo: list[tuple[tuple[str, ...], Any]] = [((), self._file)]
        while todo:
            path, group = todo.pop()
            if len(path) > _MAX_DEPTH:
                raise ValueError(f"{where}: its groups are nested more than {_MAX_DEPTH} deep.")
            for name in group:
                place = "/".join([*path, name])
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(
                        f"{where}: {place!r} is a {_kind_of(link)} to another place or file. Files "
                        "of weights have none; it is not followed."
                    )
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen or len(seen) >= _MAX_OBJECTS:
                    raise ValueError(f"{where}: {place!r} is linked twice, or there are too many.")
                seen.add(address)
                if isinstance(item, h5py.Group):
                    self.places.add(place)
                    todo.append(((*path, name), item))
                    continue
                if not isinstance(item, h5py.Dataset):
                    raise ValueError(f"{where}: {place!r} is neither a group nor an array.")
                if item.dtype.kind == "V":
                    self._check_heaps()  # its type's name is in one
                left -= _checked_size(item, f"{where}: {place!r}", left)
                self.arrays._add(place, item)

    def _check_heaps(self) -> None:
        if not self._heaps_checked:
            check_heaps(self._source, self._size, self.where)
        self._heaps_checked = True

    def texts(self, place: str, name: str) -> list[str] | None:
        """An attribute that is a text or a list of them, of a group; None where there is none.

        Raises:
            ValueError: it is something else, or says that it is larger than the file.
        """
        what = f"{self.where}: the attribute {name!r} of {place or '/'!r}"
        with _damage_named(self.where):
            item = self._file[place] if place else self._file
            if name not in item.attrs:
                return None
            held = item.attrs.get_id(name)
            if held.shape is None or 0 in held.shape:
                return []  # no names: of no text, as Keras writes it
            if not _is_of(held, "STRING"):
                raise ValueError(f"{what} is no text.")
            count = int(np.prod([int(n) for n in held.shape], dtype=object))
            if count > _MAX_OBJECTS or held.get_storage_size() > self._size:
                raise ValueError(f"{what} says that it is larger than the file.")
            self._check_heaps()
            found = np.ravel(item.attrs[name]).tolist()
            return [t.decode() if isinstance(t, bytes) else t for t in found]

    def parts(self) -> dict[str, Group]:
        """The arrays of the parts of a model, by the parts' paths: those in 'vars' groups.

        Raises:
            ValueError: there are arrays elsewhere.
        """
        found: dict[str, Group] = {}
        for place, dataset in self.arrays._datasets.items():
            path, _, name = f"/{place}".rpartition("/")
            if not path.endswith("/vars"):
                raise ValueError(
                    f"{self.where}: the array {place!r} stands outside of any 'vars' group, and "
                    "there are no 'layer_names' as in Keras 2's files: this is no file of weights."
                )
            key = path.removesuffix("/vars")[1:]
            if key not in found:
                with _damage_named(self.where):
                    found[key] = Group(bool(_attribute(dataset.parent, "optional")))
            found[key]._add(name, dataset)
        return found

    def names(self) -> dict[str, str]:
        """The names of the parts that are written with them, by the parts' paths."""
        found: dict[str, str] = {}
        for place in sorted(self.places):
            if f"/{place}".endswith("/vars") and (name := self.texts(place, "name")):
                found[f"/{place}".removesuffix("/vars")[1:]] = name[0]
        return found


@contextmanager
def read(file: Any, size: int, where: str) -> Iterator[Contents]:
    """The contents of a file.

    Args:
        file: a path or a file object.
        size: of the file in bytes.
        where: what to call it in messages.

    Raises:
        ValueError: it is no HDF5 file, or holds what a file of weights does not.
    """
    import h5py

    try:
        opened = h5py.File(file, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{where} is no HDF5 file of weights, or it is damaged ({_line(error)})."
        ) from error
    with opened:
        with _damage_named(where):
            contents = Contents(opened, file, size, where)
        yield contents


@contextmanager
def _damage_named(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
        raise ValueError(f"{where} is damaged ({_line(error)}).") from error


def _checked_size(dataset: Any, where: str, left: int) -> int:
    """The bytes of an array, if they are in the file and are numbers."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{where} keeps its values in another file, which is not read.")
    dtype = dataset.dtype
    if dtype.kind not in "fiucb" and not (
        dtype.kind == "V" and not dtype.names and dtype.subdtype is None
        and _text(dataset, "dtype") in _NAMED
        and _NAMED[_text(dataset, "dtype")].itemsize == dtype.itemsize
    ):  # fmt: skip
        raise ValueError(f"{where} holds {dtype}, which are no numbers.")
    if dataset.shape is None:
        raise ValueError(f"{where} has no shape.")
    if dataset.id.get_create_plist().get_nfilters():
        raise ValueError(f"{where} is compressed, which weights are not; it is not unpacked.")
    declared = int(np.prod([int(n) for n in dataset.shape], dtype=object)) * dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > min(stored, left):
        raise ValueError(
            f"{where} says that it has shape {dataset.shape}, {declared:,} bytes, but the file "
            f"holds {stored:,} of it, and {left:,} in all."
        )
    return declared


def _attribute(item: Any, name: str) -> Any:
    """An attribute, if it is one small value."""
    if name not in item.attrs:
        return None
    held = item.attrs.get_id(name)
    plain = _is_of(held, "STRING", "ENUM", "INTEGER") and held.shape == ()
    return item.attrs[name] if plain and held.get_storage_size() <= 1024 else None


def _is_of(held: Any, *classes: str) -> bool:
    """Whether an attribute is of one of these classes of types: damaged ones crash the library."""
    import h5py

    return held.get_type().get_class() in [getattr(h5py.h5t, name) for name in classes]


def _text(dataset: Any, name: str) -> str:
    found = _attribute(dataset, name)
    return found if isinstance(found, str) else ""


def _kind_of(link: Any) -> str:
    return f"{type(link).__name__.removesuffix('Link').lower()} link"


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
