"""A file is there as a whole, or as it was: whatever fails while it is written."""

import errno
import os
import stat
import zipfile

import h5py
import numpy as np
import pytest

import weft
from tests.saving.cases import dense
from weft.saving import archive, atomic


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def cut(*args, **kwargs):
    raise KeyboardInterrupt


def late(function, fail):
    """`function` that writes a part and fails then."""

    def wrapped(*args, **kwargs):
        function(*args, **kwargs)
        fail()

    return wrapped


FAILURES = {
    "creating the file": (os, "open", no_space),
    "an array": (h5py.Group, "create_dataset", late(h5py.Group.create_dataset, no_space)),
    "interrupted": (h5py.Group, "create_dataset", late(h5py.Group.create_dataset, cut)),
    "reaching the disk": (os, "fsync", no_space),
    "moving it": (os, "replace", no_space),
}


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_the_old_file_stays(tmp_path, monkeypatch, ending, what):
    path = tmp_path / f"model{ending}"
    model = dense(weft)
    save = model.save if ending == ".keras" else model.save_weights
    save(path)
    before = path.read_bytes()
    model.layers[0].kernel.assign(np.ones((5, 3)))
    owner, name, replacement = FAILURES[what]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, replacement)
        with pytest.raises((OSError, KeyboardInterrupt)):
            save(path)
    assert path.read_bytes() == before
    assert listing(tmp_path) == [path.name]
    save(path)
    other = dense(weft)
    other.load_weights(path)
    np.testing.assert_array_equal(other.layers[0].kernel, np.ones((5, 3)))
    assert listing(tmp_path) == [path.name]


def test_a_failing_archive_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    monkeypatch.setattr(
        zipfile.ZipFile, "writestr", late(zipfile.ZipFile.writestr, no_space)
    )  # fmt: skip
    with pytest.raises(OSError, match="No space left"):
        dense(weft).save(path)
    assert listing(tmp_path) == []


def test_what_cannot_be_written_down_touches_no_file(tmp_path):
    path = tmp_path / "model.keras"
    dense(weft).save(path)
    before = path.read_bytes()
    x = weft.Input((2,))
    with pytest.raises(NotImplementedError, match="is a lambda, which cannot be written down"):
        weft.Model(x, weft.layers.Lambda(lambda v: v * 2)(x)).save(path)
    assert path.read_bytes() == before and listing(tmp_path) == [path.name]


def test_a_reader_sees_the_old_file_until_the_end(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    model = dense(weft)
    model.save(path)
    seen = []
    write = archive.write

    def watched(file, *args):
        write(file, *args)
        weft.saving.load_model(path)
        seen.append(file)

    monkeypatch.setattr(archive, "write", watched)
    model.save(path)
    (aside,) = seen
    assert aside.parent == path.parent and not aside.exists()


def test_an_earlier_reader_keeps_what_it_opened(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = dense(weft)
    model.save_weights(path)
    before = model.layers[0].kernel.numpy()
    with h5py.File(path) as opened:
        model.layers[0].kernel.assign(before + 1)
        model.save_weights(path)
        np.testing.assert_array_equal(opened["layers/dense/vars/0"][()], before)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_links_and_permissions_stay(tmp_path):
    real, link = tmp_path / "real.weights.h5", tmp_path / "link.weights.h5"
    model = dense(weft)
    old = os.umask(0o022)
    try:
        model.save_weights(real)
    finally:
        os.umask(old)
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    real.chmod(0o640)
    link.symlink_to(real)
    model.save_weights(link)
    assert link.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    dense(weft).load_weights(link)


def test_nothing_is_written_through_a_link_left_beside(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path = tmp_path / "model.weights.h5"
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda n: "00")
    (tmp_path / ".model.weights.h5.00.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        dense(weft).save_weights(path)
    assert victim.read_text() == "kept"


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root may write where nobody else may"
)
def test_a_folder_that_cannot_be_written_to(tmp_path):
    path = tmp_path / "model.weights.h5"
    dense(weft).save_weights(path)
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            dense(weft).save_weights(path)
        assert path.read_bytes() == before
    finally:
        tmp_path.chmod(0o700)


def test_pipes_and_devices_are_no_files():
    with pytest.raises(ValueError, match="is no regular file"):
        dense(weft).load_weights("/dev/null")
