"""Training that looks at every step for values that are not finite, and says where they began."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayLike, ArrayOp, Variable, config, nest
from weft.training.logs import Logs
from weft.training.sources import unpack
from weft.training.steps import Batches

__all__ = ["FiniteSteps", "NonFiniteError", "replay"]

_all_finite = ArrayOp(
    lambda *arrays: jnp.stack([jnp.isfinite(a).all() for a in arrays]).all(), "all_finite"
)


class NonFiniteError(ArithmeticError):
    """A step of training gave a value that is not finite.

    Attributes:
        where: what was the first such value ("the output of layer 'dense' (Dense)").
        capsule: the file that `replay` runs the step from, or None.
    """

    def __init__(self, message: str, where: str | None = None, capsule: str | None = None) -> None:
        super().__init__(message)
        self.where, self.capsule = where, capsule


class _Found(Exception):
    """The first value that is not finite, met while a step is run op by op."""

    def __init__(self, where: str, details: str) -> None:
        super().__init__(where)
        self.where, self.details = where, details


class FiniteSteps:
    """A model's training step, looked at each time: for debugging, since every step is waited for.

    Args:
        model: a compiled model.
        step: the step function that `fit` would call.
        explain: whether to keep the state before each step, and to run one that fails again op by
            op, to name the first value that is not finite and to save a capsule.
    """

    def __init__(self, model: Any, step: Callable[..., Any], explain: bool) -> None:
        self.model, self.step, self.explain = model, step, explain
        self.taken = 0

    def __call__(self, batches: Iterator[Any]) -> Any:
        batch = next(batches)
        self.taken += 1
        if self.explain and self.taken == 1:
            self._build(batch)
        before = [(v, v.array()) for v in _state(self.model)] if self.explain else []
        logs = Logs(self.step(Batches([batch])))
        bad = self._bad(logs)
        if not bad:
            return logs
        what = f"fit: step {self.taken} leaves {bad}"
        if not self.explain:
            raise NonFiniteError(
                f"{what}. fit(check_finite='explain') names the first value that was not finite."
            )
        for variable, value in before:
            variable.assign(value)
        where, details = _first(self.model, batch)
        capsule = _save(self.model, batch, self.taken)
        raise NonFiniteError(
            f"{what}. Run again op by op from the state before it, the first value that is not "
            f"finite is {where}{details}. The model has its state from before that step, which "
            f"weft.training.replay(model, {capsule!r}) runs again.",
            where,
            capsule,
        )

    def _build(self, batch: Any) -> None:
        """Make the weights and slots, so that there is a state before the first step."""
        model = self.model
        if not model.built:
            model(unpack(batch)[0], training=False)
        if model.optimizer is not None:
            model.optimizer._ready(model.trainable_variables)

    def _bad(self, logs: Logs) -> str | None:
        """What of the logs and the trained variables is not finite."""
        names = ["loss"] if "loss" in logs else list(logs)
        for name in names:
            if not np.isfinite(logs[name]).all():
                return f"{name} = {logs[name]}"
        trained = self.model.trainable_variables
        if trained and not bool(_all_finite(*trained)):
            bad = [v.path for v in trained if not np.isfinite(v.numpy()).all()]
            return f"values that are not finite in {bad}"
        return None


def replay(model: Any, capsule: str | os.PathLike[str]) -> dict[str, Any]:
    """Run the step of a capsule again, op by op, from the state that it was run from.

    Args:
        model: compiled, and built as the one that the capsule is of.
        capsule: a file that `fit(check_finite="explain")` wrote.

    Returns:
        The step's logs, if everything stays finite this time.

    Raises:
        NonFiniteError: something does not; the model has the state from before the step.
        ValueError: the model's variables are not those of the capsule; nothing is changed.
    """
    with np.load(capsule, allow_pickle=False) as held:
        about = json.loads(str(held["about"]))
        values = [held[f"variable_{k}"] for k in range(len(about["paths"]))]
        batch = _nested(about["batch"], held)
    variables = _state(model)
    shapes = [tuple(v.shape) for v in variables[: len(values)]]
    if len(variables) < len(values) or shapes != [v.shape for v in values]:
        raise ValueError(
            f"{os.fspath(capsule)!r} holds the values of {len(values)} variables "
            f"({', '.join(about['paths'][:4])}, ...), the model has {len(variables)} of other "
            "shapes. Make and compile the model as it was, and build it and its optimizer."
        )
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
    where, details = _first(model, batch)
    if where != _NOWHERE:
        raise NonFiniteError(
            f"the first value that is not finite is {where}{details}.", where, os.fspath(capsule)
        )
    return dict(Logs(model.make_train_function()(Batches([batch]))))


def _state(model: Any) -> list[Variable]:
    """Everything that a step may change, the model's own first."""
    own = [*model.variables]
    own += model.optimizer.variables if model.optimizer is not None else []
    own += model.metrics_variables
    return list({id(v): v for v in own}.values())


# -- looking for it ---------------------------------------------------------------------------

_NOWHERE = "not found: op by op the step stays finite, so it arises in the compiled step only"


def _first(model: Any, batch: Any) -> tuple[str, str]:
    """Where a step's first value that is not finite is, and what is around it; state is kept."""
    before = [(v, v.array()) for v in _state(model)]
    eager = config.is_eager()
    try:
        with _taps(model):
            config.set_eager(True)
            Logs(model.train_step(nest.mapped(jnp.asarray, batch))).items()
            for variable in model.trainable_variables:
                _look(f"variable {variable.path!r} after the update", [variable])
    except _Found as found:
        return found.where, found.details
    finally:
        config.set_eager(eager)
        for variable, value in before:
            variable.assign(value)
    return _NOWHERE, ""


@contextlib.contextmanager
def _taps(model: Any) -> Iterator[None]:
    """Within this, layers, the loss and the optimizer look at what they get and give."""
    held: list[tuple[dict[str, Any], str, Any]] = []

    def tap(owner: Any, name: str, made: Callable[..., Any]) -> None:
        attributes = vars(owner)
        held.append((attributes, name, attributes.get(name, _ABSENT)))
        attributes[name] = made(getattr(owner, name))

    for layer in model._flatten_layers(include_self=False):
        tap(layer, "call", lambda call, layer=layer: _tapped_call(layer, call))
    tap(model, "compute_loss", lambda call: _looked_at("the loss", call))
    if model.optimizer is not None and not hasattr(model.optimizer, "dynamic_scale"):
        tap(model.optimizer, "apply", lambda apply: _tapped_apply(model.optimizer, apply))
    try:
        yield
    finally:
        for attributes, name, value in reversed(held):
            if value is _ABSENT:
                del attributes[name]
            else:
                attributes[name] = value


_ABSENT = object()


def _tapped_call(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    name = f"layer {layer.name!r} ({type(layer).__name__})"

    def tapped(*args: Any, **kwargs: Any) -> Any:
        _look(f"in the input of {name}", [args, kwargs])
        for variable in layer.weights:
            _look(f"in the weight {variable.path!r} of {name}", [variable])
        ends = f"; its inputs are {_range([args, kwargs])}"
        if layer.weights:
            ends += f", its weights {_range(layer.weights)}"
        return _checked(f"in the output of {name}", call(*args, **kwargs), ends)

    return tapped


def _looked_at(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: _checked(what, call(*args, **kwargs), "")


def _tapped_apply(optimizer: Any, apply: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(grads: Any, trainable_variables: Any = None) -> Any:
        grads = list(grads)
        variables = optimizer._trained if trainable_variables is None else trainable_variables
        variables = list(variables)
        for grad, variable in zip(grads, variables, strict=True):
            _look(f"in the gradient of the loss for {variable.path!r}", [grad])
        return apply(grads, variables)

    return tapped


def _checked(what: str, result: Any, ends: str) -> Any:
    _look(what, [result], ends)
    return result


def _arrays(nested: Any) -> list[np.ndarray[Any, Any]]:
    leaves = [x for x in nest.walk(nested) if isinstance(x, ArrayLike | jax.Array | np.ndarray)]
    arrays = [x.numpy() if isinstance(x, ArrayLike) else np.asarray(x) for x in leaves]
    return [a.astype("float32") for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)]


def _look(what: str, nested: Any, ends: str = "") -> None:
    for array in _arrays(nested):
        if not np.isfinite(array).all():
            nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
            counts = f", shape {array.shape}: {nans} NaN and {infs} infinite of {array.size} values"
            raise _Found(what, counts + ends)


def _range(nested: Any) -> str:
    arrays = [a for a in _arrays(nested) if a.size]
    if not arrays:
        return "none"
    return f"within [{min(a.min() for a in arrays):.3g}, {max(a.max() for a in arrays):.3g}]"


# -- capsules ---------------------------------------------------------------------------------


def _save(model: Any, batch: Any, step: int) -> str:
    """Write the state and a batch to a file in the working directory; its name."""
    variables = _state(model)
    arrays = {f"variable_{k}": v.numpy() for k, v in enumerate(variables)}
    about = {"paths": [v.path for v in variables], "batch": _structure(batch, arrays)}
    path = f"{model.name}_step_{step}.capsule.npz"
    handle, aside = tempfile.mkstemp(suffix=".npz", dir=os.getcwd())
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, about=json.dumps(about), **arrays)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    return path


def _structure(nested: Any, arrays: dict[str, Any]) -> Any:
    """A nest as plain values, its arrays put into `arrays`."""
    if isinstance(nested, dict):
        return {"dict": {str(k): _structure(v, arrays) for k, v in nested.items()}}
    if isinstance(nested, list | tuple):
        kind = "list" if isinstance(nested, list) else "tuple"
        return {kind: [_structure(v, arrays) for v in nested]}
    if nested is None:
        return None
    name = f"array_{len(arrays)}"
    arrays[name] = np.asarray(nested)
    return name


def _nested(structure: Any, held: Any) -> Any:
    if isinstance(structure, dict):
        ((kind, inner),) = structure.items()
        if kind == "dict":
            return {k: _nested(v, held) for k, v in inner.items()}
        parts = [_nested(v, held) for v in inner]
        return parts if kind == "list" else tuple(parts)
    return None if structure is None else held[structure]
