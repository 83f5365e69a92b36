"""Functions in configs: written by name, found by name; code is never written or run."""

from __future__ import annotations

from typing import Any

from weft import activations
from weft.engine import get_registered_name, get_registered_object

__all__ = ["function_config", "function_from"]

_HOW = (
    "Write it with def, and make its name known: @register_keras_serializable() above the def, or "
    "custom_objects={name: function} where the config is read."
)


def function_config(function: Any, where: str) -> dict[str, Any]:
    """The config of a function: its registered name, or else its own.

    Args:
        function: a named function, or any callable with a `__name__`.
        where: whose it is, for the error.

    Raises:
        NotImplementedError: it has no name (a lambda, a `functools.partial`).
    """
    name = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        what = "a lambda" if name else f"{type(function).__name__} {function!r}"
        raise NotImplementedError(
            f"{where} is {what}, which cannot be written down: a config holds names, never code. "
            f"{_HOW}"
        )
    return {
        "module": "builtins",
        "class_name": "function",
        "config": get_registered_name(function),
        "registered_name": "function",
    }


def function_from(config: Any, where: str, custom_objects: Any = None) -> Any:
    """The function of a config, among the user's own and the activations; a callable as it is.

    Raises:
        ValueError: it holds code, or no function has that name.
    """
    if callable(config):
        return config
    name = config.get("config") if isinstance(config, dict) else config
    if not isinstance(name, str):
        raise ValueError(
            f"{where} is stored as Python bytecode, which is not run: a file could hold anything. "
            f"{_HOW}"
        )
    found = get_registered_object(name, custom_objects)
    if found is None:
        try:
            found = activations.deserialize(name, custom_objects)
        except ValueError as error:
            raise ValueError(f"{where}: no function {name!r} is known. {_HOW}") from error
    return found
