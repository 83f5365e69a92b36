"""ms per training step: hand-written JAX, weft's ``fit``, weft's plain loop, and the peers.

``python -m benchmarks.steps`` times the first three in turn in one process, round after round, so
that whatever else the machine does falls on all of them; each peer then runs in a process of its
own. A round trains on as many batches as take about ``--seconds`` by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import turns
from benchmarks.cases import CASES, Case
from benchmarks.models_jax import MODELS, HandWritten
from benchmarks.report import (
    Check,
    median,
    print_checks,
    print_table,
    spread,
    weft_missing,
    write_json,
)

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("keras_jax", "keras_tf", "tf_keras", "torch_eager", "torch_compile", "flax_nnx")
HAND, FIT, LOOP = "hand-written jit", "weft fit", "weft plain loop"
MAX_DATA_BYTES = 150e6
PEER_TIMEOUT_S = 900


def steps_per_round(case: Case, run: HandWritten, seconds: float) -> int:
    """How many hand-written steps take about ``seconds``, bounded by the data's size."""
    batches = case.batches(*case.data(8))
    run.loop(batches)
    start = time.perf_counter()
    run.loop(batches)
    one = (time.perf_counter() - start) / len(batches)
    return max(5, min(int(seconds / one), int(MAX_DATA_BYTES / case.step_bytes)))


def weft_ways(name: str, case: Case, x, y, batches) -> dict[str, Callable[[], object]]:
    """weft's two ways, warmed up, or none (with the reason printed)."""
    reason = weft_missing()
    if reason is not None:
        print(f"  weft skipped: {reason}")
        return {}
    from benchmarks import models_weft

    fit = models_weft.Fit(models_weft.MODELS[name]())
    loop = models_weft.PlainLoop(models_weft.MODELS[name]())
    fit.loop(x[: 3 * case.batch], y[: 3 * case.batch], case.batch)
    loop.loop(batches[:3])
    for run in (fit, loop):
        models_weft.check_parameters(name, run.model)
    return {FIT: lambda: fit.loop(x, y, case.batch), LOOP: lambda: loop.loop(batches)}


def time_here(name: str, rounds: int, seconds: float) -> tuple[dict[str, list[float]], int]:
    """Times hand-written JAX and weft; returns ms per step for each way, one a round."""
    case = CASES[name]
    hand = HandWritten(*MODELS[name])
    if hand.parameters != case.parameters:
        raise ValueError(
            f"the hand-written {name} has {hand.parameters} parameters, not the "
            f"{case.parameters} that benchmarks/cases.py says"
        )
    steps = steps_per_round(case, hand, seconds)
    x, y = case.data(steps)
    batches = case.batches(x, y)
    ways = {HAND: lambda: hand.loop(batches), **weft_ways(name, case, x, y, batches)}
    return turns.per(turns.seconds(ways, rounds), steps), steps


def time_peer(pythons: list[str], peer: str, name: str, steps: int, rounds: int) -> dict:
    """Asks each Python in turn; returns the first figures, or the first one's reason."""
    lines = []
    for python in pythons:
        lines.append(run_peer(python, peer, name, steps, rounds))
        if "skipped" not in lines[-1]:
            return lines[-1]
    return lines[0]


def run_peer(python: str, peer: str, name: str, steps: int, rounds: int) -> dict:
    """Runs one peer's process; returns its JSON line, or a reason under ``skipped``."""
    command = [python, "-m", f"benchmarks.peers.{peer}", name, str(steps), str(rounds)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=PEER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"took more than {PEER_TIMEOUT_S} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"skipped": f"failed with status {done.returncode}: {last}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def table_rows(ms: dict[str, list[float]]) -> list[list[str]]:
    """A row a way: median, spread, ratio to hand-written; for weft's loop the ratio to fit."""
    floor = median(ms[HAND])
    fit = median(ms[FIT]) if FIT in ms else None
    rows = []
    for way, samples in ms.items():
        value = median(samples)
        beside_fit = f"{value / fit:.2f}" if fit and way == LOOP else ""
        row = [way, f"{value:.3f}", spread(samples), f"{value / floor:.2f}", beside_fit]
        rows.append(row)
    return rows


def checks_of(name: str, ms: dict[str, list[float]]) -> list[Check]:
    """The targets that hold for this model, where weft ran."""
    if FIT not in ms:
        return []
    hand, fit, loop = (median(ms[way]) for way in (HAND, FIT, LOOP))
    checks = [Check(f"{name}: fit / hand-written", fit / hand, 1.15, "x")]
    if fit >= 5:
        checks.append(Check(f"{name}: plain loop / fit", loop / fit, 1.3, "x"))
    if name == "mlp_small":
        checks.append(Check(f"{name}: plain loop's step", loop, 0.45, "ms"))
    return checks


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7, help="times each way is timed")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round, about")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="PATH",
        help="a further Python to look for peers in; may be given several times",
    )
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    args = parser.parse_args(argv)

    checks: list[Check] = []
    figures: dict[str, dict[str, list[float]]] = {}
    for name in args.models:
        title = f"{CASES[name].title} ({name})"
        print(f"\n{title}: timing", flush=True)
        ms, steps = time_here(name, args.rounds, args.seconds)
        for peer in PEERS if args.peers else ():
            line = time_peer([sys.executable, *args.peer_python], peer, name, steps, args.rounds)
            if "skipped" in line:
                print(f"  {peer} skipped: {line['skipped']}", flush=True)
                continue
            ms |= {f"{peer} {way}": samples for way, samples in line["ms"].items()}
        figures[name] = ms
        header = ["way", "ms/step", "min-max", "x hand", "x fit"]
        title += f": median of {args.rounds} rounds of {steps} steps"
        print_table(title, header, table_rows(ms))
        checks += checks_of(name, ms)
    if checks:
        print_checks("Targets: training steps", checks)
    write_json(args.json, checks, figures)


if __name__ == "__main__":
    main()
