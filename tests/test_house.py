"""The house rules: layout, import direction, public JAX only, file size, files of names only.

Each rule is a function from source text to complaints. It is run over the tree, and over small
sources that break it, so that a rule which can no longer fail is noticed.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import weft

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "weft"
MAX_LINES = 600

# Stratum of each part of weft: it may import its own stratum and lower ones. The longest matching
# name counts, so one module of a package can be given a stratum of its own.
STRATA = {
    "weft.engine": 0,
    "weft.ops": 1,
    "weft.kernels": 1,
    "weft.random": 1,
    "weft.activations": 2,
    "weft.constraints": 2,
    "weft.data": 2,
    "weft.initializers": 2,
    "weft.layers": 2,
    "weft.losses": 2,
    "weft.metrics": 2,
    "weft.optimizers": 2,
    "weft.precision": 2,
    "weft.regularizers": 2,
    "weft.models": 3,
    "weft.training": 3,
    "weft.callbacks": 4,
    "weft.distribution": 4,
    "weft.saving": 4,
    "weft.utils": 4,
    "weft.tf": 5,
    "weft": 5,  # weft/__init__.py
}
FOLDERS = {
    "engine", "ops", "kernels", "layers", "models", "training", "losses", "metrics", "optimizers",
    "initializers", "callbacks", "precision", "distribution", "saving", "data", "tf",
}  # fmt: skip
FILES = {
    "__init__.py", "activations.py", "constraints.py", "random.py", "regularizers.py", "utils.py",
    "py.typed",
}  # fmt: skip
TEST_FOLDERS = FOLDERS | {"parity", "scenarios", "faults"}


# The rules -----------------------------------------------------------------------------------


def unlisted(paths, folders, files):
    """Complaints about top-level `paths` (folders end in "/") that the layout does not list."""
    allowed = {f"{name}/" for name in folders} | set(files)
    return [f"{path} is not in the layout" for path in sorted(set(paths) - allowed)]


def stratum(name):
    """Stratum of a dotted name: that of the longest listed prefix."""
    parts = name.split(".")
    prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next(STRATA[prefix] for prefix in prefixes if prefix in STRATA)


def imported(source, module, is_package=False):
    """Yields (line, dotted name) of every import, wherever it stands in the file."""
    for node in ast.walk(ast.parse(source, module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")
                up = up[: len(up) - node.level + is_package]
                base = ".".join([*up, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            target = getattr(node.args[0], "value", None)
            if called in ("import_module", "__import__") and isinstance(target, str):
                yield node.lineno, target


def upward_imports(source, module, is_package=False):
    """Complaints about imports of a stratum above the module's own."""
    return [
        f"{module}:{line} imports {name}, which stands above it"
        for line, name in imported(source, module, is_package)
        if name.split(".")[0] == "weft" and stratum(name) > stratum(module)
    ]


def private_jax(source, module):
    """Complaints about jaxlib, and about underscored names reached through anything of JAX's."""
    found = set()
    aliases = {"jax"}
    tree = ast.parse(source, module)
    for line, name in imported(source, module):
        parts = name.split(".")
        if parts[0] == "jaxlib" or (parts[0] == "jax" and any(p.startswith("_") for p in parts)):
            found.add((line, name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = getattr(node, "module", None)
            for alias in node.names:
                if (origin or alias.name).split(".")[0] == "jax":
                    aliases.add(alias.asname or alias.name.split(".")[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in aliases:
                found.add((node.lineno, ast.unparse(node)))
    return [f"{module}:{line} uses {name}: not JAX's public API" for line, name in sorted(found)]


def too_long(source, module):
    """Complaint about a file that no longer holds one idea."""
    lines = len(source.splitlines())
    return [f"{module} has {lines} lines, over {MAX_LINES}"] if lines > MAX_LINES else []


def _is_name_value(node):
    """Whether an assigned value is a name, a constant, or a collection of those."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(map(_is_name_value, node.elts))
    if isinstance(node, ast.Dict):
        return all(k is not None and _is_name_value(k) for k in node.keys) and all(
            map(_is_name_value, node.values)
        )
    if isinstance(node, ast.BinOp):  # __all__ = [...] + other.__all__
        return _is_name_value(node.left) and _is_name_value(node.right)
    if isinstance(node, ast.Attribute):
        return _is_name_value(node.value)
    return isinstance(node, ast.Name | ast.Constant)


def logic(source, module):
    """Complaints about anything in a file of names but imports, aliases and `__getattr__`."""
    found = []
    for node in ast.parse(source, module).body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() if _is_name_value(node.value):
                continue
            case ast.FunctionDef(name="__getattr__" | "__dir__"):
                continue
        found.append(f"{module}:{node.lineno} holds logic: {ast.unparse(node).splitlines()[0]}")
    return found


def unlisted_names(source, module):
    """Complaints about names a package file binds but leaves out of `__all__`, or private ones."""
    bound, listed = {}, None
    for node in ast.parse(source, module).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                bound[alias.asname or alias.name.split(".")[0]] = node.lineno
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["__all__"]:
                listed = set(ast.literal_eval(node.value))
            bound |= dict.fromkeys(names, node.lineno)
    if listed is None:
        return [f"{module} has no __all__"]
    return [
        f"{module}:{line} binds {name}, which is not a listed public name"
        for name, line in bound.items()
        if not re.fullmatch(r"__\w+__", name) and (name.startswith("_") or name not in listed)
    ]


# Over the tree -------------------------------------------------------------------------------


def sources(folder):
    """(source, dotted module name, whether it is a package) of each Python file."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = parts[-1] == "__init__"
        yield path.read_text("utf-8"), ".".join(parts[:-1] if package else parts), package


def entries(folder):
    return [
        f"{path.name}/" if path.is_dir() else path.name
        for path in folder.iterdir()
        if path.name != "__pycache__" and not path.name.startswith(".")
    ]


def test_layout():
    missing = [name for name in sorted(FOLDERS) if not (PACKAGE / name / "__init__.py").is_file()]
    assert not missing, "folders of the layout without __init__.py"
    assert unlisted(entries(PACKAGE), FOLDERS, FILES) == []
    folders = [name for name in entries(ROOT / "tests") if name.endswith("/")]
    assert unlisted(folders, TEST_FOLDERS, ()) == []
    assert {name.removeprefix("weft.") for name in STRATA} - {"weft"} == FOLDERS | {
        name.removesuffix(".py") for name in FILES if name.endswith(".py") and "_" not in name
    }


def test_imports_point_one_way():
    assert [c for source in sources(PACKAGE) for c in upward_imports(*source)] == []


def test_only_public_jax():
    folders = (PACKAGE, ROOT / "examples", ROOT / "benchmarks")
    files = [source for folder in folders for source in sources(folder)]
    assert [c for source, module, _ in files for c in private_jax(source, module)] == []


def test_no_file_is_too_long():
    assert [c for source, module, _ in sources(PACKAGE) for c in too_long(source, module)] == []


def test_tf_holds_names_only():
    assert [c for source, module, _ in sources(PACKAGE / "tf") for c in logic(source, module)] == []


def test_package_lists_its_public_names():
    source = (PACKAGE / "__init__.py").read_text("utf-8")
    assert logic(source, "weft") + unlisted_names(source, "weft") == []
    assert len(weft.__all__) == len(set(weft.__all__))
    assert [name for name in weft.__all__ if not hasattr(weft, name)] == []


def test_version_is_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert weft.__version__ == project["version"]


# The rules can fail --------------------------------------------------------------------------


def test_layout_rule():
    assert unlisted(["ops/", "extra/", "a.py", "ops.py"], {"ops"}, {"a.py"}) == [
        "extra/ is not in the layout",
        "ops.py is not in the layout",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import weft.layers",
        "import weft",
        "from weft import layers",
        "from weft.layers import Dense",
        "from .. import layers",
        "from ..layers.core import Dense",
        "def f():\n    from weft.layers import Dense",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from weft.layers import Dense",
        "import importlib\nimportlib.import_module('weft.layers')",
    ],
)
def test_import_rule_refuses(source):
    (complaint,) = upward_imports(source, "weft.engine.tensor")
    assert complaint.startswith("weft.engine.tensor:") and "stands above it" in complaint


@pytest.mark.parametrize(
    ("source", "module", "is_package"),
    [
        ("import jax\nfrom weft.engine import op", "weft.engine.tensor", False),
        ("from . import op\nfrom .op import Op", "weft.engine.tensor", False),
        ("from . import op\nfrom .op import Op", "weft.engine", True),
        ("from weft import engine, ops\nfrom ..engine.op import Op", "weft.layers.core", False),
        ("from weft.layers import *\nimport weft", "weft.tf.keras.layers", False),
        ("from weft import tf", "weft", True),
    ],
)
def test_import_rule_accepts(source, module, is_package):
    assert upward_imports(source, module, is_package) == []


def test_import_rule_reads_relative_imports_of_packages():
    assert upward_imports("from .training import fit", "weft.engine", True) == []
    assert len(upward_imports("from ..training import fit", "weft.engine", True)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import jax._src.core",
        "from jax import _src",
        "from jax._src import core",
        "from jax._src.core import Tracer",
        "import jaxlib.xla_client",
        "import jax\njax._src.core.Tracer",
        "import jax.numpy as jnp\njnp._private(1)",
        "from jax import lax\ndef f(x):\n    return lax._reduce_sum(x)",
        "from importlib import import_module\nimport_module('jax._src.core')",
    ],
)
def test_private_jax_rule_refuses(source):
    (complaint, *_) = private_jax(source, "weft.engine.op")
    assert "not JAX's public API" in complaint


def test_private_jax_rule_accepts():
    source = (
        "import jax, jax.numpy as jnp\nfrom jax import lax\nfrom weft.engine import _x\n"
        "jax.__version__\njnp.ones(3)._mine\nself._jax\nlax.scan"
    )
    assert private_jax(source, "weft.engine.op") == []


def test_length_rule():
    assert too_long("x = 1\n" * MAX_LINES, "weft.ops.long") == []
    assert too_long("x = 1\n" * (MAX_LINES + 1), "weft.ops.long") == [
        "weft.ops.long has 601 lines, over 600"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "def matmul(a, b):\n    return a @ b",
        "class Dense:\n    pass",
        "square = lambda x: x * x",
        "float32 = make('float32')",
        "if True:\n    import weft",
        "for x in (1, 2):\n    pass",
        "names = [n for n in dir()]",
    ],
)
def test_names_only_rule_refuses(source):
    (complaint,) = logic(source, "weft.tf.math")
    assert complaint.startswith("weft.tf.math:1 holds logic: ")


def test_names_only_rule_accepts():
    source = (
        '"""Names."""\nfrom weft.ops import *\nimport weft.layers as layers\n'
        "newaxis = None\nDense = layers.core.Dense\n__all__ = ['a', 'b'] + layers.__all__\n"
        "LAZY = {'keras': 'weft.tf.keras'}\ndef __getattr__(name):\n    return LAZY[name]"
    )
    assert logic(source, "weft.tf") == []


def test_public_names_rule():
    source = "from weft.ops import add, sub\nfrom weft import engine as _engine\n__version__ = '1'"
    assert unlisted_names(source, "weft") == ["weft has no __all__"]
    complaints = unlisted_names(source + "\n__all__ = ['add', '_engine']", "weft")
    assert [re.search(r"binds (\w+)", c)[1] for c in complaints] == ["sub", "_engine"]
