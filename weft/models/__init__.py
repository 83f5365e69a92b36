"""Models: layers that can be trained."""

from weft.layers.serialization import add_members
from weft.models.cloning import clone_model, model_from_json
from weft.models.model import Functional, Model
from weft.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "clone_model", "model_from_json"]

add_members("keras", {"Model": Model, "Sequential": Sequential})
add_members("keras.src.models.functional", {"Functional": Functional})
