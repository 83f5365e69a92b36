"""Training: compile, fit, evaluate and predict, their data and their progress."""

from weft.training.finite import NonFiniteError, replay

__all__ = ["NonFiniteError", "replay"]
