"""Whole models of `.h5` files, Keras 2's and 3's: their configs, and the optimizer's state."""

from __future__ import annotations

import json
import warnings
from typing import Any

from weft.engine import Variable
from weft.optimizers import Optimizer
from weft.optimizers.undoing import undone_on_error
from weft.saving import keras2, legacy
from weft.saving.hdf5 import Contents
from weft.saving.matching import compared

__all__ = ["config_of", "load_state", "upgraded"]


def config_of(contents: Contents) -> dict[str, Any]:
    """The config of a model, with its "compile_config", in the form of `.keras` files.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    config = _json(contents, "model_config")
    if config is None:
        raise ValueError(
            f"{contents.where} holds no model ('model_config'), so at most weights: make the model "
            "in Python, and take them with load_weights."
        )
    config["compile_config"] = _json(contents, "training_config")
    return upgraded(config, contents.where)


def upgraded(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The config of a file with its "compile_config", written by Keras 2, in Keras 3's form.

    Raises:
        ValueError: it is none, or has an operation of TensorFlow that is not known.
    """
    try:
        training = config.pop("compile_config", None)
        made = keras2.model_config(config)
        made["compile_config"] = training and keras2.compile_config(training, config)
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"the model in {where} cannot be made from the config there: {type(error).__name__}: "
            f"{error}"
        ) from error
    return made  # type: ignore[no-any-return]


def _json(contents: Contents, name: str) -> dict[str, Any] | None:
    text = contents.texts("", name)
    if text is None:
        return None
    try:
        found = json.loads("".join(text))
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else f"no JSON ({error})"
        raise ValueError(f"{contents.where}: its {name!r} is {why}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{contents.where}: its {name!r} is no object, but {found!r:.50}.")
    return found


# -- the optimizer's state ----------------------------------------------------------------------

# What Keras 2 calls a slot.
_SLOTS: dict[str, tuple[str, ...]] = {
    "momentum": ("m", "momentum"),
    "velocity": ("v", "velocity", "rms"),
    "velocity_hat": ("vhat",),
    "average_gradient": ("average_gradient", "mg"),
    "norm": ("u", "v"),
    "accumulated_grad": ("accumulated_grad", "accum_grad"),
    "accumulated_delta_var": ("accumulated_delta_var", "accum_var"),
}


def load_state(model: Any, contents: Contents, where: str) -> None:
    """Take the state of a model's optimizer; what does not fit is left out with a warning.

    Args:
        model: compiled.
        contents: of the file.
        where: the file, for messages.
    """
    optimizer = model.optimizer
    place = "optimizer_weights"
    names = legacy.listed(contents, place, "weight_names") if place in contents.places else None
    if not names or not isinstance(optimizer, Optimizer):
        return
    optimizer._ready(model.trainable_variables)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # Keras 2 keeps no loss scale
    keys = {name.partition(":")[0]: f"{place}/{name}" for name in names}
    count = len(model.trainable_variables)
    first = next(iter(keys))
    if first.endswith("/iteration"):  # Keras 3's: the variables in order
        pairs = [(first, v, k) for v, k in zip(optimizer.variables, keys.values(), strict=False)]
        whole = len(pairs) == len(keys) == len(optimizer.variables)
    else:
        pairs, whole = _slots(optimizer, keys, count, in_front=first == "iteration")
    misfit = compared("", pairs, contents.arrays) if whole else None
    if misfit is not None or not whole or any(k not in contents.arrays for k in keys.values()):
        warnings.warn(
            f"the state of the optimizer {optimizer.name!r} was not loaded from {where!r}, which "
            f"holds other variables, {list(keys)[:8]}: it starts afresh.",
            stacklevel=3,
        )
        return
    with undone_on_error([v for _, v, _ in pairs]):
        for _, variable, key in pairs:
            variable.assign(contents.arrays[key])


def _slots(
    optimizer: Any, keys: dict[str, str], count: int, in_front: bool
) -> tuple[list[tuple[str, Variable, str]], bool]:
    """The variables with their arrays, and whether all have some.

    Args:
        optimizer: with its slots made.
        keys: the arrays by names, "Adam/m/dense/kernel", "m/dense/kernel" or "Adam/dense/kernel/m".
        count: of the trained variables, whose order each slot has.
        in_front: whether it is one of the first two.
    """
    (step, *held) = keys.items()
    known = {name for names in _SLOTS.values() for name in names}
    saved: dict[str, list[str]] = {}
    for name, key in held:
        parts = name.split("/")
        slot = parts[0 if parts[0] in known else 1] if in_front else parts[-1]
        saved.setdefault(slot, []).append(key)
    pairs = [(step[0], optimizer.iterations, step[1])]
    for place, variable in optimizer._slots.items():
        if not isinstance(place, tuple):
            return [], False  # a state that is not one of a variable
        names = _SLOTS.get(place[1], (place[1],))
        found = next((saved[n] for n in names if len(saved.get(n, ())) == count), None)
        if found is None:
            return [], False
        pairs.append((place[1], variable, found[place[0]]))
    return pairs, True
