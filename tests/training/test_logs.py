"""`Logs` is a dict to whoever reads it, and fetches nothing before."""

import copy
import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import op
from weft.training.logs import Logs, as_number


class Value:
    """Counts how often it is asked for its value."""

    def __init__(self, value):
        self.value, self.fetched = value, 0

    def __float__(self):
        self.fetched += 1
        return self.value


@pytest.fixture
def values():
    return {"loss": Value(0.5), "accuracy": Value(0.75)}


def fetched(values):
    return [value.fetched for value in values.values()]


def test_is_a_dict(values):
    logs = Logs(values)
    assert isinstance(logs, dict)
    assert logs["accuracy"] > 0.7
    plain = {"loss": 0.5, "accuracy": 0.75}
    assert logs == plain and plain == logs and logs != {"loss": 0.5}
    assert Logs(values) == Logs(values)


@pytest.mark.parametrize(
    "look",
    [
        len, list, bool, sorted, iter, reversed, Logs.keys, Logs.copy, copy.copy, Logs.unfetched,
        lambda logs: "loss" in logs,
        lambda logs: "other" in logs,
        lambda logs: logs.get("other"),
        lambda logs: logs | {"more": 1},
        lambda logs: {"more": 1} | logs,
        lambda logs: Logs().update(logs),
        lambda logs: Logs().__ior__(logs),
        lambda logs: Logs(logs),
        lambda logs: Logs(train=logs),
        lambda logs: logs.__setitem__("more", 1),
        lambda logs: logs.pop("other", None),
        Logs.clear,
    ],
)  # fmt: skip
def test_looking_fetches_nothing(look, values):
    look(Logs(values))
    assert fetched(values) == [0, 0]


@pytest.mark.parametrize(
    "read",
    [
        dict,
        lambda logs: {**logs},
        lambda logs: (lambda **given: given)(**logs),
        lambda logs: dict(logs.items()),
        lambda logs: dict(zip(logs, logs.values())),
        lambda logs: {name: logs[name] for name in logs},
        lambda logs: {name: logs.get(name) for name in logs},
        lambda logs: {name: logs.setdefault(name, 9.0) for name in logs},
        lambda logs: {name: logs.pop(name) for name in list(logs)},
        lambda logs: dict(logs.popitem() for _ in range(2)),
        lambda logs: {} | dict(logs),
        lambda logs: dict(logs | {}),
        lambda logs: dict({} | logs),
        lambda logs: dict(Logs(logs)),
        lambda logs: dict(logs.copy()),
        lambda logs: dict(copy.copy(logs)),
        copy.deepcopy,
        lambda logs: pickle.loads(pickle.dumps(logs)),
        lambda logs: json.loads(json.dumps(logs)),
        lambda logs: eval(repr(logs)),
        lambda logs: {k: float(v) for k, v in (part.split("=") for part in
            "loss=%(loss)f accuracy=%(accuracy)f".__mod__(logs).split())},
        lambda logs: {k: float(v) for k, v in (part.split("=") for part in
            "loss={loss:f} accuracy={accuracy:f}".format_map(logs).split())},
    ],
)  # fmt: skip
def test_every_way_of_reading_gives_floats(read, values):
    got = read(Logs(values))
    assert got == {"loss": 0.5, "accuracy": 0.75}
    assert all(type(value) is float for value in got.values())
    assert fetched(values) == [1, 1]


def test_each_value_is_fetched_once(values):
    logs = Logs(values)
    assert logs["loss"] == logs["loss"] == logs.get("loss") == 0.5
    assert fetched(values) == [1, 0]
    dict(logs), logs.items(), repr(logs)
    assert fetched(values) == [1, 1]


def test_mutation(values):
    logs = Logs(values)
    logs["epoch"] = 3
    logs["late"] = Value(2.0)
    logs |= {"a": np.float32(0.5)}
    logs.update({"b": Value(4.0)}, c="text")
    del logs["accuracy"]
    assert dict(logs) == {
        "loss": 0.5, "epoch": 3, "late": 2.0, "a": 0.5, "b": 4.0, "c": "text",
    }  # fmt: skip
    assert type(logs["epoch"]) is int and type(logs["a"]) is float
    with pytest.raises(KeyError, match="accuracy"):
        logs["accuracy"]
    with pytest.raises(KeyError, match="accuracy"):
        logs.pop("accuracy")
    with pytest.raises(TypeError, match="unhashable"):
        hash(logs)


def test_copies_are_independent(values):
    logs = Logs(values)
    twin = logs.copy()
    twin["loss"] = 9.0
    assert logs["loss"] == 0.5 and isinstance(twin, Logs)


def test_metrics_of_a_dict_are_entries():
    logs = Logs({"loss": 1.0, "f1": {"macro": Value(0.5), "micro": Value(0.25)}})
    assert dict(logs) == {"loss": 1.0, "macro": 0.5, "micro": 0.25}


def test_tensors_are_computed_when_read():
    runs = []

    def noted(x):
        runs.append(1)  # once: when the program is compiled
        return x * 2

    logs = Logs({"loss": op(noted)(weft.Variable(1.5))})
    del runs[:]  # shape inference looked at it too
    assert not logs.ready() and not runs
    assert logs["loss"] == 3.0 and runs
    assert logs.ready()


def test_a_variable_stands_for_its_value_then():
    total = weft.Variable(1.0)
    logs = Logs(total=total)
    total.assign(5.0)
    assert logs["total"] == 1.0


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (jnp.float32(0.5), 0.5),
        (jnp.asarray([0.5]), 0.5),
        (jnp.asarray(0.5, jnp.bfloat16), 0.5),
        (np.float64(0.5), 0.5),
        (np.array([[2]]), 2.0),
        (jnp.asarray(True), 1.0),
        (7, 7.0),
        ("text", "text"),
        (None, None),
    ],
)
def test_as_number(value, number):
    got = as_number(value)
    assert got == number and type(got) is type(number)


def test_larger_arrays_become_numpys():
    logs = Logs(per_class=weft.Variable([1.0, 2.0]) * 2.0)
    assert isinstance(logs["per_class"], np.ndarray)
    np.testing.assert_array_equal(logs["per_class"], [2.0, 4.0])


def test_ready():
    assert Logs(a=1.0, b="x").ready()
    done = jnp.ones(())
    done.block_until_ready()
    assert Logs(a=done).ready()
