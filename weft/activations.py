"""Activation functions by Keras's names and defaults, each one node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine import ArrayOp, Tensor
from weft.engine.custom_objects import custom_object
from weft.engine.names import function_config, near
from weft.ops import (
    celu,
    elu,
    exp,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from weft.ops import gelu as _gelu
from weft.ops import relu as _relu

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip


def _general_relu(x: Any, *, slope: float, ceiling: float | None, threshold: float) -> Any:
    # As Keras: x from the threshold up, slope·(x - threshold) below it; the ceiling last.
    y = jnp.where(x >= threshold, x, slope * (x - threshold)) if threshold else jax.nn.leaky_relu(
        x, slope
    )  # fmt: skip
    return y if ceiling is None else jnp.minimum(y, ceiling)


_general_relu_op = ArrayOp(_general_relu, "relu")
_mish = ArrayOp(lambda x: jax.nn.mish(x), "mish")


def mish(x: Any) -> Tensor:
    """x·tanh(softplus(x)). Reference: Misra, Mish (2019)."""
    return _mish(x)  # type: ignore[no-any-return]


exponential = exp
swish = silu
hard_swish = hard_silu


def relu(
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    *,
    alpha: float | None = None,
) -> Tensor:
    """max(x, 0), and its relatives.

    Args:
        x: a tensor.
        negative_slope: the slope below the threshold.
        max_value: what the result is cut off at; None for nothing.
        threshold: below it, x counts as negative.
        alpha: Keras 2's name of `negative_slope`.

    Example:
        >>> relu([-2.0, 1.0, 3.0], negative_slope=0.5, max_value=2.0).numpy().tolist()
        [-1.0, 1.0, 2.0]
    """
    negative_slope = negative_slope if alpha is None else alpha
    if not negative_slope and max_value is None and not threshold:
        return _relu(x)
    return _general_relu_op(x, slope=negative_slope, ceiling=max_value, threshold=threshold)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x·Φ(x), Φ the normal distribution function; `approximate` takes a tanh for it.

    Reference: Hendrycks & Gimpel, Gaussian Error Linear Units (2016).
    """
    return _gelu(x, approximate)


def linear(x: Any) -> Any:
    """x itself."""
    return x


_named: dict[str, Callable[..., Any]] = {
    name: value
    for name, value in list(globals().items())
    if name in __all__ and name not in ("get", "serialize", "deserialize")
}
_names = {id(function): name for name, function in reversed(_named.items())}


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from a name, a config or a callable; None is `linear`.

    Raises:
        ValueError: no activation has that name.
    """
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    if isinstance(identifier, str | dict):
        return deserialize(identifier)
    raise ValueError(f"{identifier!r} is no activation: give a name, a config or a callable.")


def serialize(activation: Any) -> Any:
    """The name of an activation; the config of an object that has one (a layer)."""
    if activation is None:
        return None
    name = _names.get(id(activation))
    if name is not None:
        return name
    if hasattr(activation, "get_config"):
        return objects[0](activation)
    return function_config("activation", activation)


# How a layer that serves as an activation is written and read: set by the layers, which stand
# above this module.
objects: list[Callable[..., Any]] = []


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[..., Any]:
    """The activation of a name or a config.

    Raises:
        ValueError: the name is not known.
    """
    if isinstance(config, dict):
        given = config.get("config")
        name = given if isinstance(given, str) else config.get("class_name")
    else:
        name, given = config, None
    registered = config.get("registered_name") if isinstance(config, dict) else None
    found = custom_object(registered or name, custom_objects) or custom_object(name, custom_objects)
    found = found or _named.get(name)
    if found is None and isinstance(given, dict) and objects:
        return objects[1](config, custom_objects)  # type: ignore[no-any-return]
    if found is None:
        raise ValueError(f"unknown activation {name!r}. {near(name, _named)}")
    if isinstance(found, type):
        return found.from_config(given or {}) if hasattr(found, "from_config") else found()  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]
