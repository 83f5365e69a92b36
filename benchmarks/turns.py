"""Several ways of doing one thing, timed while they take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """How long each way takes, once a round; each is warmed up already.

    The order turns round, so that no way always runs on the heels of the same other.
    """
    took: dict[str, list[float]] = {way: [] for way in ways}
    for k in range(rounds):
        for way in list(ways) if k % 2 == 0 else list(reversed(ways)):
            begin = time.perf_counter()
            ways[way]()
            took[way].append(time.perf_counter() - begin)
    return took


def per(took: dict[str, list[float]], count: int, unit: float = 1e3) -> dict[str, list[float]]:
    """What `seconds` gave, for one of `count` and in a `unit` (1e3: ms)."""
    return {way: [t / count * unit for t in times] for way, times in took.items()}


def fit_ms(models: dict[str, Any], x: Any, y: Any, rounds: int) -> dict[str, list[float]]:
    """ms per step of one epoch in batches of 32, unshuffled, by model; each is compiled already."""

    def epoch(model: Any) -> Callable[[], object]:
        def run() -> object:
            history = model.fit(x, y, epochs=1, batch_size=32, verbose=0, shuffle=False)
            return history.history  # waits for the last step

        return run

    for model in models.values():
        model.fit(x[:64], y[:64], verbose=0)  # compiles
    took = seconds({name: epoch(model) for name, model in models.items()}, rounds)
    return per(took, len(x) // 32)
