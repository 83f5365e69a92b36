"""Saving: configs, .keras archives, weights, checkpoints and export."""
