"""Tuned lowerings behind an operation, where XLA's own is slow on a platform."""
