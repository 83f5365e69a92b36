"""The examples run: a short form of each, and the exit status when what they state is missed."""

import importlib.util
import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "examples"

# Each with settings under which it cannot reach what it states.
MISSING = {
    "cartpole": {"EPISODES": 2},
    "fine_tuning": {"DRAWS": 1, "EPOCHS": 4, "GOAL": 1.1},
    "gan": {"STEPS": 10},
    "multi_task": {"ACCURACY": 1.1, "EPOCHS": 2},
}


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example(name):
    if name == "cartpole":
        pytest.importorskip("gymnasium")
    return load(name)


@pytest.mark.parametrize("name", MISSING)
def test_the_short_form_runs(name, capsys):
    assert example(name).main(["--quick"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missed_shows_in_the_exit_status(name, capsys, monkeypatch):
    module = example(name)
    for setting, value in MISSING[name].items():
        monkeypatch.setattr(module, setting, value)
    assert module.main([]) == 1
    assert "missed" in capsys.readouterr().out.lower()


def test_every_example_is_run_here_or_by_the_demo():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*MISSING, "digits"}


def test_the_cartpole_example_names_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(SystemExit, match=r"pip install 'weft\[examples\]'"):
        load("cartpole")
