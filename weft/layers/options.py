"""What Keras lets one choose of each weight: its initializer, regularizer and constraint."""

from __future__ import annotations

from typing import Any

from weft import constraints, initializers, regularizers
from weft.engine import ShapeError, Variable
from weft.engine.names import looked_up
from weft.layers.layer import Layer

__all__ = [
    "check_rank", "data_format_of", "make_weight", "not_negative", "option_config", "padding_of",
    "positive", "positive_many", "rate_of", "set_options", "without",
]  # fmt: skip

_KINDS = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


def set_options(layer: Layer, weight: str, **given: Any) -> None:
    """Keep the options of a weight: `kernel_initializer` and the like become attributes."""
    for kind, value in given.items():
        what = f"{weight}_{kind}"
        setattr(layer, what, looked_up(layer, what, _KINDS[kind].get, value))


def make_weight(
    layer: Layer, weight: str, shape: tuple[int, ...], name: str | None = None, **more: Any
) -> Variable:
    """The variable of that name, or of `name`, made with the options that begin with `weight`."""
    chosen = {kind: getattr(layer, f"{weight}_{kind}", None) for kind in _KINDS}
    return layer.add_weight(shape=shape, name=name or weight, **chosen, **more)


def option_config(layer: Layer, *weights: str) -> dict[str, Any]:
    """The options of weights, as a config has them."""
    return {
        f"{weight}_{kind}": module.serialize(getattr(layer, f"{weight}_{kind}"))
        for kind, module in _KINDS.items()
        for weight in weights
        if hasattr(layer, f"{weight}_{kind}")
    }


def positive(layer: str, what: str, value: Any, least: int = 1) -> int:
    """`value`, checked to be a whole number, not below `least`."""
    try:
        number = None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        number = None
    if number is None or number != value or number < least:
        kind = "positive" if least else "non-negative"
        raise ValueError(f"{layer}: {what} must be a {kind} integer, got {what}={value!r}.")
    return number


def positive_many(layer: str, what: str, value: Any, n: int, least: int = 1) -> tuple[int, ...]:
    """One int, not below `least`, for each of `n` axes, given as one for all or as a sequence."""
    many = tuple(value) if isinstance(value, list | tuple) else (value,) * n
    if len(many) != n:
        raise ValueError(f"{layer}: {what} must be an int or {n} of them, got {what}={value!r}.")
    return tuple(positive(layer, what, each, least) for each in many)


def not_negative(layer: str, what: str, value: Any) -> float:
    """`value`, checked to be a number, not below 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{layer}: {what} must be a number, not below 0, got {what}={value!r}.")
    return value


def rate_of(layer: str, what: str, value: Any) -> float:
    """`value`, checked to be a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{layer}: {what} must be a number in [0, 1], got {what}={value!r}.")
    return value


def check_rank(input_shape: Any, rank: int, axes: str, hint: str = "") -> None:
    """Raise unless the input has `rank` axes; `axes` names them."""
    if input_shape is None or len(input_shape) != rank:
        came = "nothing with a shape" if input_shape is None else f"shape {tuple(input_shape)}"
        raise ShapeError(f"expected an input of shape {axes}, got {came}.{hint}")


def data_format_of(layer: str, given: Any) -> str:
    """A data format, "channels_last" where none is given."""
    if given not in (None, "channels_last", "channels_first"):
        raise ValueError(
            f"{layer}: data_format is 'channels_last' or 'channels_first', got {given!r}."
        )
    return given or "channels_last"


def padding_of(layer: str, given: Any, known: tuple[str, ...] = ("valid", "same")) -> str:
    """A padding in lower case."""
    if not isinstance(given, str) or given.lower() not in known:
        names = " or ".join(map(repr, known))
        raise ValueError(f"{layer}: padding is {names}, got {given!r}.")
    return given.lower()


def without(layer: str, options: dict[str, Any], *names: str) -> dict[str, Any]:
    """`options` without those that Keras's configs hold and weft does not offer, all of them off.

    Raises:
        ValueError: one is on.
    """
    for name in names:
        if options.get(name):
            raise ValueError(f"{layer}: {name}={options[name]!r} is not offered; leave it out.")
    return {k: v for k, v in options.items() if k not in names}
