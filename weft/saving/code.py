"""Lambdas that Keras stored as Python bytecode: refused, or run where the file is trusted."""

from __future__ import annotations

import base64
import binascii
import builtins
import marshal
import types
from typing import Any

import numpy as np

from weft import ops

__all__ = ["with_code", "without_code"]

_KIND = "__lambda__"


def without_code(config: Any, where: str) -> None:
    """Refuse a config with code anywhere in it.

    Raises:
        ValueError: there is some.
    """
    todo = [config]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("class_name") == _KIND or value.get("function_type") == "lambda":
                of_keras_2 = isinstance(value.get("function"), list)  # never run
                raise ValueError(
                    f"{where} holds Python code (a lambda in a Lambda layer), which could do "
                    "anything, so it is not run. "
                    + ("P" if of_keras_2 else "If you trust whoever made the file, load it with "
                       "safe_mode=False; better, p")
                    + "ut the function into a layer of its own."
                )  # fmt: skip
            todo += value.values()
        elif isinstance(value, list):
            todo += value


def with_code(config: Any) -> Any:
    """A config with its stored lambdas made into functions. Only for files that are trusted.

    Raises:
        ValueError: code of another version of Python.
    """
    if isinstance(config, list):
        return [with_code(v) for v in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == _KIND:
        return _function(config["config"])
    return {k: with_code(v) for k, v in config.items()}


def _function(stored: dict[str, Any]) -> Any:
    try:
        code = marshal.loads(base64.b64decode(stored["code"]))
    except (ValueError, EOFError, TypeError, KeyError, binascii.Error) as error:
        raise ValueError(
            f"the code of a lambda cannot be read ({error}): it is of another version of Python. "
            "Write the model anew with the function in a layer of its own."
        ) from error
    cells = tuple(types.CellType(v) for v in stored.get("closure") or ())
    # What Keras's own module offers by these names, lambdas have come to use.
    names = {"__builtins__": builtins, "np": np, "ops": ops}
    defaults = tuple(stored.get("defaults") or ())
    return types.FunctionType(code, names, "<lambda>", defaults, cells)
