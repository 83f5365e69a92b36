"""Configs and files: models and weights written and read, the user's own objects found by name."""

from weft.engine import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from weft.saving import compiling
from weft.saving.models import load_model, save_model
from weft.saving.weights import load_weights, save_weights

__all__ = [
    "CustomObjectScope", "custom_object_scope", "get_custom_objects", "get_registered_name",
    "get_registered_object", "load_model", "load_weights", "register_keras_serializable",
    "save_model", "save_weights",
]  # fmt: skip
