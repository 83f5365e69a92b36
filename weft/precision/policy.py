"""Dtype policies: in which dtype a layer keeps its variables and in which it computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine import as_dtype

__all__ = ["DTypePolicy", "get", "global_policy", "set_global_policy"]

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """The dtypes of a layer's variables and of its computations.

    Args:
        name: a float dtype ("float32", "bfloat16", ...), or "mixed_float16" or "mixed_bfloat16",
            which compute in half precision on float32 variables; by default the global policy's.

    Raises:
        ValueError: the name is none of those.
    """

    __slots__ = ("compute", "name", "variable")

    def __init__(self, name: str | None = None) -> None:
        self.compute: np.dtype[Any]
        self.variable: np.dtype[Any]
        name = name or _global.name
        if name in _MIXED:
            self.compute, self.variable = as_dtype(_MIXED[name]), as_dtype("float32")
        else:
            try:
                self.compute = self.variable = as_dtype(name)
            except TypeError as error:
                raise ValueError(
                    f"{name!r} is not a dtype policy. Use a dtype's name ('float32', 'bfloat16', "
                    "'float16'), 'mixed_float16' or 'mixed_bfloat16'."
                ) from error
        self.name = name

    @property
    def compute_dtype(self) -> str:
        """The dtype of computations."""
        return self.compute.name

    @property
    def variable_dtype(self) -> str:
        """The dtype of variables."""
        return self.variable.name

    def get_config(self) -> dict[str, Any]:
        """What makes an equal policy."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy of a config."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<DTypePolicy {self.name!r}>"


_known: dict[str, DTypePolicy] = {}
_global = DTypePolicy("float32")


def get(identifier: Any) -> DTypePolicy:
    """The policy of a name, dtype or policy; None gives the global one."""
    if identifier is None:
        return _global
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        config = identifier.get("config", identifier)
        return DTypePolicy.from_config({"name": config["name"]})
    name = identifier if isinstance(identifier, str) else as_dtype(identifier).name
    policy = _known.get(name)
    if policy is None:
        policy = _known[name] = DTypePolicy(name)
    return policy


def global_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return _global


def set_global_policy(policy: Any) -> None:
    """Set the policy of layers made from now on."""
    global _global
    _global = get(policy) if policy is not None else get("float32")
