"""What the `call` and `build` of a layer's class accept, looked up once a class."""

from __future__ import annotations

import inspect

__all__ = ["Signature", "signature_of"]


class Signature:
    """The arguments of a class's `call` and `build` that the base class has to know of."""

    __slots__ = (
        "build_names", "build_needs", "mask", "masks_itself", "own_masks", "positional",
        "takes_training", "training", "training_default", "training_index",
    )  # fmt: skip

    def __init__(self, cls: type) -> None:
        call = list(inspect.signature(cls.call).parameters.values())[1:]  # type: ignore[attr-defined]
        named = {p.name: p for p in call if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        self.positional = [p.name for p in call if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.mask = "mask" in named
        self.training = "training" in named
        self.takes_training = self.training or any(p.kind is p.VAR_KEYWORD for p in call)
        self.training_default = None
        self.training_index = 1 << 30  # by position it can come only where it stands
        if self.training:
            default = named["training"].default
            self.training_default = None if default is inspect.Parameter.empty else default
            if "training" in self.positional:
                self.training_index = self.positional.index("training")
        # Arguments that have a mask of their own among the arguments: (place, name, mask's place).
        places = {p: i for i, p in enumerate(self.positional)}
        self.own_masks = [
            (i, name, places[f"{name}_mask"])
            for name, i in places.items()
            if f"{name}_mask" in places
        ]
        build = list(inspect.signature(cls.build).parameters.values())[1:]  # type: ignore[attr-defined]
        self.build_names = [
            p.name for p in build if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        optional = {p.name for p in build if p.default is not p.empty}
        self.build_needs = [name for name in self.build_names if name not in optional]
        self.masks_itself = not getattr(cls.compute_mask, "handed_on", False)  # type: ignore[attr-defined]


_known: dict[type, Signature] = {}


def signature_of(cls: type) -> Signature:
    """The signature of a layer's class."""
    found = _known.get(cls)
    if found is None:
        found = _known[cls] = Signature(cls)
    return found
