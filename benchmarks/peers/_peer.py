"""What every peer script shares: its arguments, the check that it is installed, the timing.

A peer is run as ``python -m benchmarks.peers.NAME MODEL STEPS [ROUNDS]`` and prints one line of
JSON: either
``{"peer", "model", "ms": {way: [ms per step, one a round]}, "parameters", "versions"}`` or
``{"peer", "model", "skipped": reason}``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import time
from collections.abc import Callable

from benchmarks.cases import CASES, Case

WARM_UP = 3


def arguments(peer: str, *packages: str) -> tuple[str, Case, int, int]:
    """Reads the command line; prints why and exits where a package is missing."""
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in CASES:
        usage = f"python -m benchmarks.peers.{peer} MODEL STEPS [ROUNDS]"
        sys.exit(f"usage: {usage}, with MODEL one of {', '.join(CASES)}")
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed"
        print(json.dumps({"peer": peer, "model": sys.argv[1], "skipped": reason}))
        sys.exit(0)
    rounds = int(sys.argv[3]) if len(sys.argv) == 4 else 5
    return sys.argv[1], CASES[sys.argv[1]], int(sys.argv[2]), rounds


def report(
    peer: str,
    model: str,
    steps: int,
    rounds: int,
    ways: dict[str, Callable[[int], None]],
    parameters: int,
    packages: tuple[str, ...],
) -> None:
    """Times each way, in turn within every round, and prints the peer's line.

    A way is called with a number of steps, trains that many, and returns when they are done.
    """
    for way in ways.values():
        way(WARM_UP)
    ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(steps)
            ms[name].append((time.perf_counter() - start) / steps * 1e3)
    versions = {p: importlib.metadata.version(p) for p in packages}
    line = {"peer": peer, "model": model, "ms": ms, "parameters": parameters, "versions": versions}
    print(json.dumps(line))
