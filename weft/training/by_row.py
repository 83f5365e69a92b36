"""A short last batch filled up: the program of the others takes it, and only its rows count."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft import metrics as metrics_module
from weft.engine import ArrayOp, Tensor, nest
from weft.engine.symbolic import KerasTensor
from weft.layers.layer import Layer, get_mask, set_mask
from weft.losses import Loss
from weft.losses import get as get_loss
from weft.metrics import Metric

__all__ = ["Filled", "counted", "counting", "filled", "goes_by_row", "number"]

_OURS = "weft."
_BY_SHAPE = frozenset(["accuracy", "acc", "crossentropy", "ce"])  # metrics chosen by shapes
# Operations of a graph that pair the rows of symbols of one rank, with anything of a lower one.
_PAIRING = frozenset(
    [
        "add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "power",
        "negative", "abs", "exp", "log", "sqrt", "square", "tanh", "sigmoid", "relu", "gelu",
        "silu", "swish", "elu", "selu", "softplus", "softsign", "leaky_relu",
    ]
)  # fmt: skip


@jax.tree_util.register_pytree_with_keys_class
class Filled:
    """A batch whose first `rows` rows are data, and all others there to make it whole."""

    def __init__(self, data: Any, rows: Any) -> None:
        self.data, self.rows = data, rows

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """Its parts, for JAX."""
        return (self.data, self.rows), None

    def tree_flatten_with_keys(self) -> Any:
        """Its parts with their names, for messages: the data's are those of a batch as it is."""
        keys = jax.tree_util.FlattenedIndexKey(0), jax.tree_util.GetAttrKey("rows")
        return tuple(zip(keys, (self.data, self.rows), strict=True)), None

    @classmethod
    def tree_unflatten(cls, _: None, parts: tuple[Any, Any]) -> Filled:
        """A batch of these parts, for JAX."""
        return cls(*parts)


def filled(part: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Rows of an array, the last one repeated until there are `size`."""
    missing = size - len(part)
    return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part


# -- within a step ------------------------------------------------------------------------------

_now: ContextVar[tuple[int, Tensor] | None] = ContextVar("rows", default=None)
_row_mask = ArrayOp(lambda rows, *, size: jnp.arange(size) < rows, "rows_that_count")
_both = ArrayOp(
    lambda rows, mask: rows.reshape(-1, *(1,) * (mask.ndim - 1)) & (mask != 0), "masked_rows"
)


@contextlib.contextmanager
def counting(batch: Filled) -> Iterator[None]:
    """Within this, what is computed from the batch counts its rows of data alone."""
    size = jax.tree.leaves(batch.data)[0].shape[0]
    token = _now.set((size, batch.rows))
    try:
        yield
    finally:
        _now.reset(token)


def counted(output: Any) -> Any:
    """An output of the model, with a mask that leaves out the rows that do not count."""
    now = _now.get()
    if now is not None:
        size, rows = now
        mask = _row_mask(rows, size=size)
        own = get_mask(output)
        set_mask(output, mask if own is None else _both(mask, own))
    return output


def number(rows: int) -> Any:
    """How many of a batch's rows count."""
    now = _now.get()
    return rows if now is None else now[1]


# -- whether a model may be given such batches ----------------------------------------------------


def goes_by_row(model: Any, base: type, mode: str) -> bool:
    """Whether a step computes each row by itself, so that further rows change nothing.

    It is known of weft's own layers, losses and metrics; others say so by an attribute `by_row`.
    A model with steps of its own gets its batches as they are.

    Args:
        model: a Trainer.
        base: the class whose steps are known.
        mode: "train", "test" or "predict".
    """
    own = [f"{mode}_step", f"make_{mode}_function", "compute_loss", "compute_metrics"]
    if mode == "predict":
        own = own[:2]
    if any(getattr(type(model), name) is not getattr(base, name) for name in own):
        return False
    if any(name in vars(model) for name in own):
        return False
    layers = model._flatten_layers()
    if not all(_layer(layer, mode) for layer in layers):
        return False
    if mode == "predict":
        return True
    compiled = model._compiled
    losses = nest.walk(compiled.loss.given)
    metrics = nest.walk([compiled.metrics.given, compiled.metrics.weighted])
    return all(map(_loss, losses)) and all(map(_metric, metrics))


def _says(thing: Any) -> Any:
    """What an object or a function says of itself; True of weft's own that say nothing."""
    said = getattr(thing, "by_row", None)
    kept = isinstance(thing, Layer | Loss | Metric)
    ours = (getattr(type(thing) if kept else thing, "__module__", None) or "").startswith(_OURS)
    if said is None or ours:
        return ours if said is None else said
    if kept and "by_row" not in vars(thing):
        # What a class of weft's says of itself does not hold of what was made from it.
        owner = next(base for base in type(thing).__mro__ if "by_row" in vars(base))
        return said and not owner.__module__.startswith(_OURS)
    return said


def _layer(layer: Any, mode: str) -> bool:
    said = _says(layer)
    if said == "inference":
        said = mode != "train" or not layer.trainable
    if not said or (mode != "predict" and layer.activity_regularizer is not None):
        return False
    activation = getattr(layer, "activation", None)
    if activation is not None and not isinstance(activation, Layer) and not _says(activation):
        return False
    if _along_rows(*(getattr(layer, name, None) for name in ("axis", "axes"))):
        return False
    graph = getattr(layer, "_graph", None)
    return graph is None or (not graph.extras and all(map(_node, graph.nodes)))


def _along_rows(*axes: Any) -> bool:
    """Whether one of these axes may be that of the rows: 0, or some -2 of no known rank."""
    return any(axis is not None and axis != -1 and axis < 1 for axis in nest.walk(axes))


def _node(node: Any) -> bool:
    """Whether a call of a graph goes by row: a layer (looked at by itself), or a pairing."""
    if isinstance(node.operation, Layer):
        return True
    name = getattr(node.operation.function, "public_name", "").split(".")[-1]
    operands = [x for x in nest.walk([node.args, node.kwargs]) if x is not None]
    ranks = {len(x.shape) for x in operands if isinstance(x, KerasTensor)}
    beside = (x for x in operands if not isinstance(x, KerasTensor))
    return name in _PAIRING and len(ranks) == 1 and all(np.ndim(x) < max(ranks) for x in beside)


def _loss(given: Any) -> bool:
    loss = get_loss(given)
    return loss is None or _function_too(loss, getattr(loss, "fn", None))


def _metric(given: Any) -> bool:
    if given is None or (isinstance(given, str) and given in _BY_SHAPE):
        return True
    metric = metrics_module.get(given)
    return _function_too(metric, getattr(metric, "_fn", None))


def _function_too(thing: Any, function: Any) -> bool:
    if function is not None and not _says(function):
        return False
    return bool(_says(thing)) and not _along_rows(getattr(thing, "_fn_kwargs", {}).get("axis"))
