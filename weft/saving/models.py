"""Models written to `.keras` files and made from them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from weft.engine import CustomObjectScope
from weft.layers.calls import limited
from weft.layers.serialization import deserialize, serialize
from weft.models import Model
from weft.saving import archive, code
from weft.saving.atomic import existing, replacing, target
from weft.saving.weights import load_into, write_weights

__all__ = ["load_model", "save_model"]

ENDING = ".keras"
# Weights made for a config, over those in the file: other dtypes, layers that keep less than all.
_GROWTH, _FREE = 8, 64 * 2**20


def save_model(model: Any, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Write a model to a `.keras` file: config, weights, compile's arguments, optimizer's state.

    Keras 3 reads it too. It is written aside and moved into its place: it is there as a whole, or
    as it was.

    Args:
        model: a model.
        filepath: ends in ".keras".
        overwrite: whether a file that is there is replaced.
        kwargs: `zipped=True` and `include_optimizer=True`, for Keras's sake.

    Raises:
        ValueError: another ending.
        NotImplementedError: something in the model has no config.
        FileExistsError, IsADirectoryError, OSError: the path cannot be written to.

    Example:
        >>> import weft, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> model = weft.Sequential([weft.Input((2,)), weft.layers.Dense(1)])
        >>> model.save(path)
        >>> weft.models.load_model(path).count_params()
        3
    """
    if kwargs.pop("zipped", None) is False:
        raise ValueError("save_model: models are written to one file; leave zipped out.")
    with_optimizer = kwargs.pop("include_optimizer", True)
    if kwargs.pop("save_format", None) not in (None, "keras"):
        raise ValueError("save_model: the format follows from the path's ending, '.keras'.")
    if kwargs:
        raise TypeError(f"save_model got unknown arguments {sorted(kwargs)}.")
    if not isinstance(model, Model):
        raise TypeError(
            f"save_model takes a model, got {type(model).__name__}. Of a layer, save_weights "
            "writes the weights."
        )
    path = target(filepath, (ENDING,), "a whole model", overwrite)
    config = serialize(model)
    build = model.get_build_config()
    if build is not None:
        config["build_config"] = build
    if with_optimizer and model.compiled:
        compiling = model.get_compile_config()
        if compiling is not None:
            config["compile_config"] = compiling
    with replacing(path) as aside:
        archive.write(aside, config, _version(), lambda file: write_weights(model, file))


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model of a `.keras` file, weft's or Keras 3's, with its weights.

    Nothing in a file is run or imported: it can name weft's own classes and functions, and those
    that were registered or are given here.

    Args:
        filepath: the file.
        custom_objects: the user's classes and functions by name.
        compile: whether the model is compiled as it was, and its optimizer's state loaded.
        safe_mode: False lets code in the file run, as Lambda layers of Keras may hold: only for
            files of someone trusted.

    Returns:
        The model.

    Raises:
        ValueError: no such file, a damaged one or one of a newer version; a class that is not
            known, with how to make it known; weights that do not fit.
        FileNotFoundError, IsADirectoryError: there is no such file.
    """
    path = existing(filepath)
    if not path.name.endswith(ENDING):
        raise ValueError(
            f"load_model reads files whose names end in {ENDING!r}, got {str(path)!r}. Weights "
            "alone ('.weights.h5') are loaded into a model by load_weights."
        )
    with (
        archive.reading(path) as opened, opened.weights() as groups,
        CustomObjectScope(custom_objects or {}),
    ):  # fmt: skip
        config = opened.config()
        if safe_mode is False:
            config, allowed = code.with_code(config), None
        else:
            code.without_code(config, repr(str(path)))
            allowed = _FREE + _GROWTH * sum(group.nbytes for group in groups.values())
        with limited(allowed):
            model = _made(config, repr(str(path)))
        if compile and config.get("compile_config"):
            model.compile_from_config(config["compile_config"])
        load_into(model, groups, str(path), skip_mismatch=False, undo=False)
    return model


def _made(config: dict[str, Any], where: str) -> Any:
    """The model of a config, its weights made."""
    try:
        model = deserialize(config)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"the model in {where} cannot be made from the config there: {what}"
        ) from error
    if not isinstance(model, Model):
        raise ValueError(f"{where} holds a {type(model).__name__}, which is no model.")
    if not model.built:
        model.build_from_config(config.get("build_config"))
    return model


def _version() -> str:
    try:
        return version("weft")
    except PackageNotFoundError:  # run from its source
        return "unknown"
