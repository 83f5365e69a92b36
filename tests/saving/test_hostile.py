"""Files that were made to do harm, or are damaged: each ends in a clear error, or in nothing."""

import json
import struct
import sys
import zipfile

import h5py
import numpy as np
import pytest

import weft
from tests.saving.cases import dense
from tests.saving.golden import make_legacy
from weft.saving import archive, load_model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.h5"


@pytest.fixture
def saved(path):
    dense(weft).save_weights(path)
    return path


@pytest.fixture
def whole(tmp_path):
    model = dense(weft)
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def refused(path, match):
    """Loading says so, and changes nothing."""
    model = dense(weft)
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


# -- HDF5 -------------------------------------------------------------------------------------

KERNEL = "layers/dense/vars/0"


def external_link(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((5, 3), "float32")
    file[KERNEL] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def soft_link(file, folder):
    file[KERNEL] = h5py.SoftLink("/layers/dense_1/vars/0")


def external_storage(file, folder):
    (folder / "secret").write_bytes(b"s" * 60)
    file.create_dataset(KERNEL, (5, 3), "float32", external=[(str(folder / "secret"), 0, 60)])


def virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((5, 3), "float32")
    layout = h5py.VirtualLayout((5, 3), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (5, 3))
    file.create_virtual_dataset(KERNEL, layout)


def huge(file, folder):
    file.create_dataset(KERNEL, (2**40, 3), "float32", chunks=(1024, 3))


def packed(file, folder):
    file.create_dataset(KERNEL, data=np.zeros((5, 3), "float32"), compression="gzip")


def twice(file, folder):
    file[KERNEL] = file["layers/dense_1/vars/0"]


def circle(file, folder):
    file["layers/dense/vars/loop"] = file["layers"]


def texts(file, folder):
    file[KERNEL] = np.array(["a", "b"], h5py.string_dtype())


def compound(file, folder):
    file[KERNEL] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def opaque(file, folder):
    file[KERNEL] = np.zeros((5, 3), "V2")


def named_type(file, folder):
    file[KERNEL] = np.dtype("f4")


def empty(file, folder):
    file[KERNEL] = h5py.Empty("f4")


def outside(file, folder):
    file["layers/dense/kernel"] = np.zeros((5, 3), "float32")


def deep(file, folder):
    file["/".join("a" * 200)] = np.zeros(3, "float32")


def long_attribute(file, folder):
    dataset = file.create_dataset(KERNEL, data=np.zeros((5, 3), "V2"))
    dataset.attrs["dtype"] = ["bfloat16"] * 1000


FILES = {
    external_link: "'layers/dense/vars/0' is a external link to another place",
    soft_link: "is a soft link to another place or file",
    external_storage: "keeps its values in another file",
    virtual: "keeps its values in another file",
    huge: "says that it has shape .1099511627776, 3., 13,194,139,533,312 bytes, but the file holds",
    packed: "is compressed, which weights are not",
    twice: "is linked twice",
    circle: "is linked twice",
    texts: "which are no numbers",
    compound: "which are no numbers",
    opaque: "which are no numbers",
    named_type: "neither a group nor an array",
    empty: "has no shape",
    outside: "stands outside of any 'vars' group.*Keras 2's",
    deep: "nested more than 100 deep",
    long_attribute: "which are no numbers",
}


@pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)
def test_crafted_weights(make, saved, tmp_path):
    with h5py.File(saved, "a") as file:
        del file[KERNEL]
        make(file, tmp_path)
    refused(saved, f"(?s){FILES[make]}")


def test_arrays_that_share_their_bytes(path, saved):
    """Each array is within the file, all of them together are not."""
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/2"] = np.zeros(10_000, "float32")
        file["layers/dense/vars/3"] = np.zeros(10_001, "float32")
        offsets = [file[f"layers/dense/vars/{k}"].id.get_offset() for k in (2, 3)]
    content = path.read_bytes()
    second, first = (struct.pack("<QQ", o, n * 4) for o, n in zip(offsets[::-1], (10_001, 10_000)))
    assert content.count(second) == 1
    path.write_bytes(content.replace(second, first[:8] + second[8:])[: offsets[1] + 100])
    refused(path, "bytes, but the file holds|is damaged|no HDF5 file")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" + b"\0" * 50]
)
def test_no_files_of_the_kind(content, path, tmp_path):
    path.write_bytes(content)
    refused(path, "is no HDF5 file of weights, or it is damaged")
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no '.keras' archive, or it is damaged"):
        load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_truncated_anywhere(name, saved, whole):
    path = saved.parent / name
    content = path.read_bytes()
    for k in range(16):
        path.write_bytes(content[: len(content) * k // 16])
        refused(path, "no HDF5 file|damaged|no '.keras' archive|missing in the file")


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_bits_flipped_anywhere(name, saved, whole):
    """A checksum guards the weights inside an archive; in plain files the structure is checked."""
    path = saved.parent / name
    content = path.read_bytes()
    model = dense(weft)
    random = np.random.default_rng(0)
    shapes = [w.shape for w in model.get_weights()]
    refusals = 0
    for _ in range(150):
        flipped = bytearray(content)
        flipped[random.integers(len(content))] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            model.load_weights(path)
        except ValueError:
            refusals += 1
    assert refusals > (90 if name == "model.keras" else 5)
    assert [w.shape for w in model.get_weights()] == shapes


# -- archives ---------------------------------------------------------------------------------


def members(path):
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def archived(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, value in content.items() if isinstance(content, dict) else content:
            opened.writestr(name, value)


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "assets/../../evil", "assets\\..\\evil", "assets//evil", "evil.py",
        "C:/evil", "assets/C:evil", "model.weights.h5/x",
    ],
)  # fmt: skip
def test_members_of_other_names(name, whole):
    archived(whole, {**members(whole), name: b"x"})
    with pytest.raises(ValueError, match="is no member that such archives have"):
        load_model(whole)
    assert sorted(p.name for p in whole.parent.iterdir()) == ["model.keras"]


def test_assets_may_be_there(whole):
    archived(whole, {**members(whole), "assets/layers/x/vocabulary.txt": b"x"})
    load_model(whole)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_there_twice_or_not(whole):
    held = members(whole)
    archived(whole, [*held.items(), ("config.json", b"{}")])
    with pytest.raises(ValueError, match=r"two members named 'config.json'"):
        load_model(whole)
    archived(whole, {k: v for k, v in held.items() if k == "config.json"})
    with pytest.raises(ValueError, match=r"it has no metadata\.json, model\.weights\.h5"):
        load_model(whole)


def test_bombs(whole, monkeypatch):
    monkeypatch.setattr(archive, "_FREE", 2**20)
    held = members(whole)
    held["model.weights.h5"] = b"\0" * 2**23
    archived(whole, held, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"it would unpack to 8,3\d\d,\d{3} bytes from"):
        load_model(whole)
    monkeypatch.setattr(archive, "_MAX_JSON", 100)
    with pytest.raises(ValueError, match=r"'metadata.json' has [\d,]+ bytes, over 100"):
        load_model(whole)


def test_sizes_that_are_not_there(whole):
    content = whole.read_bytes()
    at = content.rindex(b"PK\x01\x02")  # the last entry of the directory: the weights
    sizes = struct.pack("<II", 2**31, 2**31)
    whole.write_bytes(content[: at + 20] + sizes + content[at + 28 :])
    with pytest.raises(ValueError, match="says that it is larger than the archive"):
        load_model(whole)


@pytest.mark.parametrize("at, value, match", [(8, 1, "is encrypted"), (10, 12, "not known")])
def test_members_that_are_packed_otherwise(at, value, match, whole):
    content = bytearray(whole.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + at] = value
    whole.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        load_model(whole)


@pytest.mark.parametrize(
    "config, match",
    [
        (b"no", "'config.json' is no JSON"),
        (b"\xff\xfe", "'config.json' is no JSON"),
        (b"[" * 100_000, "'config.json' is nested too deep"),
        (b"[1]", "holds no object, but list"),
        (b"{}", "is a dict with 'class_name'"),
        (b'{"class_name": "Sequential"}', "does not fit"),
        (
            b'{"class_name": "Functional", "config": {"layers": 1}}',
            "cannot be made from the config",
        ),
    ],
)
def test_configs_that_are_none(config, match, whole):
    archived(whole, {**members(whole), "config.json": config})
    with pytest.raises(ValueError, match=match):
        load_model(whole)


def test_configs_that_want_more_memory_than_the_file_has(whole):
    held = members(whole)
    config = json.loads(held["config.json"])
    config["config"]["layers"][1]["config"]["units"] = 2**33
    archived(whole, {**held, "config.json": json.dumps(config)})
    with pytest.raises(ValueError, match=r"'kernel' of shape \(5, 8589934592\), with which there"):
        load_model(whole)
    weft.layers.Dense(2**25)(np.ones((1, 1), "float32"))  # 128 MiB: there is no limit elsewhere


GADGETS = [
    {"module": "os", "class_name": "system", "config": {"command": "touch evil"}},
    {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"},
    {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "evil"]}},
    {"module": "weft.saving", "class_name": "load_model", "config": {"filepath": "evil"}},
    {"module": "keras.utils", "class_name": "get_file", "config": {"fname": "evil", "origin": "x"}},
    {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "evil"}},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "evil"}},
]  # fmt: skip


@pytest.mark.parametrize(
    "place", ["model", "layer", "activation", "initializer", "optimizer", "loss"]
)
@pytest.mark.parametrize("gadget", GADGETS, ids=lambda g: g["class_name"])
def test_configs_that_name_something_else(gadget, place, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = members(whole)
    config = json.loads(held["config.json"])
    layer = config["config"]["layers"][1]
    if place == "model":
        config.update(gadget)
    elif place == "layer":
        layer.update(gadget, registered_name=None)
    elif place == "activation":
        layer["config"]["activation"] = gadget
    elif place == "initializer":
        layer["config"]["kernel_initializer"] = gadget
    else:
        config["compile_config"][place] = gadget
    archived(whole, {**held, "config.json": json.dumps(config)})
    imported = set(sys.modules)
    with pytest.raises((ValueError, TypeError), match=r"unknown|is not run|known|is no"):
        load_model(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.keras"]
    assert set(sys.modules) == imported


WATCHED = {"open", "socket", "subprocess", "exec", "marshal", "pickle", "ctypes", "import", "os"}


class _Watch:
    """What Python tells of, while it is on; a hook cannot be taken away again."""

    def __init__(self):
        self.on, self.told, self.added = False, [], False

    def __call__(self, event, args):
        if self.on and event.split(".")[0] in WATCHED:
            self.told.append((event, str(args[0])))

    def __enter__(self):
        if not self.added:
            sys.addaudithook(self)
            self.added = True
        self.on, self.told = True, []
        return self.told

    def __exit__(self, *error):
        self.on = False


watch = _Watch()


@pytest.mark.parametrize("name", ["model.keras", "nested.h5"])
def test_loading_opens_the_file_and_nothing_else(name, whole):
    whole = whole if name == "model.keras" else make_legacy.FOLDER / name
    load_model(whole)  # what is imported and compiled is, by now
    with watch as told:
        load_model(whole)
    new = [(event, name) for event, name in told if event != "import" or name not in sys.modules]
    assert set(new) == {("open", str(whole))}
