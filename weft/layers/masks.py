"""Masks: which steps of a sequence count, travelling with the tensors that layers hand on."""

from __future__ import annotations

from typing import Any
from weakref import ref

import jax

from weft.engine import Tensor

__all__ = ["get_mask", "mask_of", "masks", "set_mask"]

# By identity: tensors compare elementwise, so they cannot be keys themselves.
masks: dict[int, tuple[ref[Tensor], Any]] = {}


def get_mask(tensor: Any) -> Any:
    """The mask that travels with a tensor, or None."""
    found = masks.get(id(tensor))
    return None if found is None else found[1]


def set_mask(tensor: Tensor, mask: Any) -> None:
    """Let a mask travel with a tensor; None takes it away."""
    key = id(tensor)
    if mask is None:
        masks.pop(key, None)
    else:
        masks[key] = ref(tensor, lambda _: masks.pop(key, None)), mask


def mask_of(nest: Any) -> Any:
    """The mask of a tensor; of a nest of tensors the nest of masks, None if none has one."""
    if isinstance(nest, Tensor):
        return get_mask(nest)
    leaves, tree = jax.tree.flatten(nest)
    found = [get_mask(leaf) for leaf in leaves]
    return None if all(m is None for m in found) else jax.tree.unflatten(tree, found)


# Keras's name of the mask, which losses and metrics look for.
Tensor._keras_mask = property(get_mask, set_mask)  # type: ignore[attr-defined]
