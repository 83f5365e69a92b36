"""`fit` of several models, timed while they take turns."""

from __future__ import annotations

import time
from typing import Any


def fit_ms(models: dict[str, Any], x: Any, y: Any, rounds: int) -> dict[str, list[float]]:
    """ms per step of one epoch in batches of 32, unshuffled, by model; each is compiled already."""
    steps = len(x) // 32
    ms: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.fit(x[:64], y[:64], verbose=0)  # compiles
    for _ in range(rounds):
        for name, model in models.items():
            begin = time.perf_counter()
            history = model.fit(x, y, epochs=1, batch_size=32, verbose=0, shuffle=False)
            history.history  # noqa: B018  waits for the last step
            ms[name].append((time.perf_counter() - begin) / steps * 1e3)
    return ms
