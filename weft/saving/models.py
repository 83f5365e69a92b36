"""Models written to `.keras` files and made from them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from weft.engine import CustomObjectScope
from weft.layers.calls import limited
from weft.layers.serialization import deserialize, serialize
from weft.models import Model
from weft.saving import archive, code, hdf5, legacy, legacy_models
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
    """The model of a `.keras` file, weft's or Keras 3's, or of Keras 2's `.h5`, with its weights.

    Nothing in a file is run or imported: it can name weft's own classes and functions, and those
    that were registered or are given here.

    Args:
        filepath: the file.
        custom_objects: the user's classes and functions by name.
        compile: whether the model is compiled as it was, and its optimizer's state loaded.
        safe_mode: False lets code in the file run, as Lambda layers of Keras 3 may hold: only for
            files of someone trusted. Code of Keras 2 is never run.

    Returns:
        The model.

    Raises:
        ValueError: no such file, a damaged one or one of a newer version; a class that is not
            known, with how to make it known; weights that do not fit.
        FileNotFoundError, IsADirectoryError: there is no such file.
    """
    path = existing(filepath)
    where = str(path)
    with CustomObjectScope(custom_objects or {}):
        if path.name.endswith(ENDING):
            with archive.reading(path) as opened, opened.weights() as contents:
                config, groups = opened.config(), contents.parts()
                if str(opened.metadata.get("keras_version")).startswith("2."):
                    config = legacy_models.upgraded(config, repr(where))
                model = _model_of(config, contents, where, safe_mode, compile)
                load_into(model, groups, where, skip_mismatch=False, undo=False)
        elif path.name.endswith((".h5", ".hdf5")):
            with hdf5.read(path, path.stat().st_size, repr(where)) as contents:
                config = legacy_models.config_of(contents)
                model = _model_of(config, contents, where, safe_mode, compile)
                legacy.load_into(model, contents, where)
                if model.compiled:
                    legacy_models.load_state(model, contents, where)
        else:
            raise ValueError(
                f"load_model reads files whose names end in {ENDING!r}, and Keras 2's that end in "
                f"'.h5', got {where!r}. Weights alone ('.weights.h5') are loaded into a model by "
                "load_weights."
            )
    return model


def _model_of(
    config: dict[str, Any], contents: hdf5.Contents, where: str, safe_mode: bool, compile: bool
) -> Any:
    """The model of a file's config, compiled if it was."""
    if safe_mode is False:
        config, allowed = code.with_code(config), None
    else:
        code.without_code(config, repr(where))
        allowed = _FREE + _GROWTH * contents.arrays.nbytes
    with limited(allowed):
        model = _made(config, repr(where))
    if compile and config.get("compile_config"):
        model.compile_from_config(config["compile_config"])
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
