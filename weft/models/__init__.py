"""Models: layers that can be trained."""

from weft.models.model import Model
from weft.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
