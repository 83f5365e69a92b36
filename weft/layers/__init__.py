"""Layers: the parts a model is built from, one family a module."""
