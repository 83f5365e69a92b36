"""Models: layers that can be trained."""

from weft.engine.names import unknown
from weft.layers.filed import saving
from weft.layers.serialization import add_members
from weft.models.cloning import clone_model, model_from_json
from weft.models.model import Functional, Model
from weft.models.sequential import Sequential

__all__ = [
    "Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json",
    "save_model",
]  # fmt: skip

add_members("keras", {"Model": Model, "Sequential": Sequential})
add_members("keras.src.models.functional", {"Functional": Functional})


def __getattr__(name):  # type: ignore[no-untyped-def]
    if name in ("load_model", "save_model"):  # they stand above this package
        return getattr(saving(), name)
    raise unknown(__name__, name, __all__)
