"""Randomness as explicit state: counters in variables, and seeds that follow one global seed."""

from __future__ import annotations

import threading
from typing import Any

import jax
import numpy as np

from weft.engine.op import Op
from weft.engine.tensor import Tensor
from weft.engine.trace import record
from weft.engine.variable import Variable, give_value

__all__ = ["SeedGenerator", "draw", "global_generator", "next_host_seed", "set_seed"]

_lock = threading.Lock()
_host = np.random.SeedSequence()
_spawned = 0
_global: SeedGenerator | None = None


def set_seed(seed: int) -> None:
    """Make what follows reproducible: initial weights, shuffling, dropout masks.

    The same program run after the same `set_seed` draws the same numbers, in the plain loop, under
    `fit` and on several devices.

    Args:
        seed: a non-negative integer.
    """
    global _host, _spawned, _global
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"set_seed needs a non-negative integer, got {seed!r}.")
    with _lock:
        _host = np.random.SeedSequence(int(seed))
        _spawned = 0
        _global = None


def next_host_seed() -> int:
    """A new 32-bit seed from the global one, for work on the host (initial values, shuffling)."""
    global _spawned
    with _lock:
        _spawned += 1
        entropy = np.random.SeedSequence(_host.entropy, spawn_key=(_spawned,))
    return int(entropy.generate_state(1)[0])


def _draw(state: Any, *operands: Any, sampler: Any, params: Any) -> Any:
    key = jax.random.wrap_key_data(state, impl="threefry2x32")
    sample = sampler(key, *operands, **dict(params))
    return sample, state.at[1].add(np.uint32(1))


_draw_op = Op(_draw, "random")


class SeedGenerator:
    """A stream of random keys: a seed and a counter, kept in a variable.

    Args:
        seed: an integer; by default one that follows from the global seed (`weft.random.set_seed`).
        name: the variable's name.

    Raises:
        ValueError: the seed is negative or no integer.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **_: Any) -> None:
        if seed is None:
            seed = next_host_seed()
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"SeedGenerator needs a non-negative integer seed, got {seed!r}.")
        self.seed = int(seed)
        self.name = name or "seed_generator"
        self.state = Variable(
            np.array([self.seed & 0xFFFFFFFF, 0], "uint32"),
            trainable=False,
            name="seed_generator_state",
        )

    def next(self, ordered: bool = True) -> Tensor:
        """The key of the next draw: uint32 of shape (2,)."""
        return draw(self, _key_data)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal generator."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The generator of a config."""
        return cls(**config)


def _key_data(key: Any) -> Any:
    return jax.random.key_data(key)


def draw(generator: SeedGenerator, sampler: Any, operands: tuple[Any, ...] = (), **params: Any):  # type: ignore[no-untyped-def]
    """One draw as one node: `sampler(key, *operands, **params)`, and the counter moved on.

    Args:
        generator: whose state is used.
        sampler: a pure JAX function of a key and the operands, the same object at every call.
        operands: tensors.
        params: static parameters (hashable).
    """
    settings = (("sampler", sampler), ("params", tuple(params.items())))
    sample, state = record(_draw_op, settings, (generator.state, *operands))
    give_value(generator.state, state)
    return sample


def global_generator() -> SeedGenerator:
    """The generator of operations that were given no seed."""
    global _global
    if _global is None:
        _global = SeedGenerator(next_host_seed(), name="global_seed_generator")
    return _global
