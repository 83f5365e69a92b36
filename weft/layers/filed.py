"""`Filed`: what a layer gives to files and takes from them.

How files are written and read is `weft.saving`'s, which stands above the layers: it is found
through the package when a file is wanted.
"""

from __future__ import annotations

import sys
from inspect import signature
from typing import Any

from weft.engine import nest
from weft.engine.symbolic import KerasTensor
from weft.layers.described import is_shape
from weft.layers.structure import Structure, own_weights

__all__ = ["Filed", "saving", "shapes_of"]


def saving() -> Any:
    """`weft.saving`, imported now if it was not before."""
    return sys.modules["weft"].saving


class Filed(Structure):
    """The part of `Layer` that has to do with files."""

    built: bool

    # -- weights --------------------------------------------------------------------------

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a file, for `load_weights` of an equal layer or model.

        A model's file holds its optimizer's state too. The file is written aside and moved into
        its place: it is there as a whole, or as it was before.

        Args:
            filepath: ends in ".weights.h5".
            overwrite: whether a file that is there is replaced.

        Raises:
            ValueError: another ending, or nothing to save: no weights were made yet.
            FileExistsError: there is a file, and `overwrite` is False.
            OSError: the file cannot be written; one that was there is as it was.
        """
        saving().save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Take the weights of a file that `save_weights` wrote, weft's, Keras 3's or Keras 2's.

        Args:
            filepath: a ".weights.h5" file; a ".keras" file or Keras 2's ".h5" file of a whole
                model, of which the weights are taken; or Keras 2's ".h5" file of weights.
            skip_mismatch: whether layers whose weights do not fit are left as they are, with a
                warning that lists them.
            kwargs: `by_name=True` loads the layers that are named as one in the file, and leaves
                all others as they are. It matches the layers held directly, with all inside them.

        Raises:
            ValueError: weights missing in the file, or in it but not here, or of other shapes: all
                are listed, and nothing is changed. Or it is no file of this kind; or no layer has
                a name that is in the file.
            FileNotFoundError: there is no such file.
        """
        saving().load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Put the values of this layer's own variables, not those of layers inside, into `store`.

        They stand there as "0", "1", ..., those that are trained first. A subclass may override
        it, and then `load_own_variables`, to keep something else.

        Args:
            store: a dict from names to arrays.
        """
        for k, variable in enumerate(own_weights(self)):
            store[str(k)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take what `save_own_variables` put into `store`.

        Args:
            store: a mapping from names to arrays.

        Raises:
            ValueError: a value is missing.
        """
        mine = own_weights(self)
        missing = [v.path for k, v in enumerate(mine) if str(k) not in store]
        if missing:
            raise ValueError(
                f"layer {self.name!r}: of its {len(mine)} variables the file has no values for "
                f"{missing}; it holds {sorted(store)}."
            )
        for k, variable in enumerate(mine):
            variable.assign(store[str(k)])

    # -- building -------------------------------------------------------------------------

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` needs to make the weights again; None if none were made."""
        made_with = self.__dict__.get("_built_with")
        if made_with is None:
            return None
        args, kwargs = made_with
        # A model that is built by its first call keeps what it was called on, all else shapes.
        symbols = any(isinstance(x, KerasTensor) for x in nest.walk([list(args), kwargs]))
        names = signature(self.call if symbols else self.build).parameters  # type: ignore[attr-defined]
        given = dict(zip(names, args, strict=False)) | kwargs
        given = {k.removesuffix("_shape"): v for k, v in given.items() if _shapes(v) is not None}
        if len(given) != 1:
            return {"shapes_dict": {f"{k}_shape": _shapes(v) for k, v in given.items()}}
        (value,) = given.values()
        config = {"input_shape": _shapes(value)}
        if symbols and any(x.dtype.kind in "biu" for x in nest.walk(value)):
            config["input_dtype"] = nest.mapped(lambda x: x.dtype.name, value)
        return config

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Make the weights, as they were when `get_build_config` was called."""
        config = config or {}
        if config.get("input_shape") is not None:
            self.build(shapes_of(config["input_shape"]))  # type: ignore[attr-defined]
        elif config.get("shapes_dict"):
            shapes = {k: shapes_of(v) for k, v in config["shapes_dict"].items()}
            self.build(**shapes)  # type: ignore[attr-defined]


def _shapes(value: Any) -> Any:
    """The shapes in an argument as a config has them; None of what is neither shape nor tensor."""
    if isinstance(value, KerasTensor):
        return list(value.shape)
    if isinstance(value, dict):
        return {k: _shapes(v) for k, v in value.items()}
    if not isinstance(value, list | tuple) or not value:
        return None
    return list(value) if is_shape(value) else [_shapes(v) for v in value]


def shapes_of(config: Any) -> Any:
    """Shapes read from a config: lists of numbers become tuples."""
    if isinstance(config, dict):
        return {k: shapes_of(v) for k, v in config.items()}
    return tuple(config) if is_shape(config) else [shapes_of(v) for v in config]
