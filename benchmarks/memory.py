"""Memory over 1,000 plain-loop steps, peak memory beside hand-written JAX, programs compiled.

``python -m benchmarks.memory`` prints each figure beside its target. Each is measured in a process
of its own: ``python -m benchmarks.memory --part flat`` runs one and prints it as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.programs import programs
from benchmarks.report import Check, median, print_checks, print_table, weft_missing, write_json

ROOT = Path(__file__).resolve().parents[1]

# For peak memory: one model whose weights dominate, one whose activations do.
BIG = {
    "wide": Case("MLP 784-4096-4096-10, b64", 64, (784,), 20_037_642),
    "deep": Case("CNN 28x28, 2 conv + pool, b512", 512, (28, 28, 1), 225_034),
}
PEAK_STEPS = 8
WAYS = ("hand-written", "fit", "plain loop")


def status_mb(field: str) -> float:
    """A field of this process's status (Linux), in MB: "VmRSS" resident now, "VmHWM" at most.

    VmHWM and not ``ru_maxrss``, which starts at the parent's peak after a spawn.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kib) * 1024 / 1e6


def flat(steps: int) -> list[dict[str, float]]:
    """Samples of memory along a plain loop, a tenth of ``steps`` apart, after one such tenth.

    Live arrays are counted before the collector runs, since a cycle that waits for it holds its
    buffers meanwhile; objects after, since only those would stay for ever.
    """
    import jax

    from benchmarks import models_weft

    case = CASES["mlp_small"]
    batches = case.batches(*case.data(max(1, steps // 10)))
    run = models_weft.PlainLoop(models_weft.MODELS["mlp_small"]())
    samples = []
    for i in range(11):
        run.loop(batches)
        sizes = [array.nbytes for array in jax.live_arrays()]
        gc.collect()
        samples.append(
            {
                "step": (i + 1) * len(batches),
                "rss_mb": status_mb("VmRSS"),
                "arrays": len(sizes),
                "array_mb": sum(sizes) / 1e6,
                "objects": len(gc.get_objects()),
            }
        )
    return samples


def flat_checks(samples: list[dict[str, float]]) -> list[Check]:
    """Growth over the ten tenths that follow the first."""
    first, last = samples[0], samples[-1]
    most = max(s["arrays"] for s in samples)
    steps = int(last["step"] - first["step"])
    return [
        Check(f"live arrays more after {steps} steps", most - first["arrays"], 0, "arrays"),
        Check(f"objects more after {steps} steps", last["objects"] - first["objects"], 50, ""),
        Check(f"memory more after {steps} steps", last["rss_mb"] - first["rss_mb"], 5, "MB"),
    ]


def peak(model: str, way: str) -> dict[str, float]:
    """Peak memory of a few steps of ``BIG[model]``: the whole process's, and that above its start.

    The start is where the libraries are loaded and the data made, before there is a model.
    """
    import jax

    case = BIG[model]
    x, y = case.data(PEAK_STEPS)
    batches = case.batches(x, y)
    jax.block_until_ready(jax.numpy.zeros(1) + 1)
    if way == "hand-written":
        from benchmarks.models_jax import MODELS, HandWritten, mlp

        start = status_mb("VmRSS")
        hand = HandWritten(*(mlp(784, 4096, 4096, 10) if model == "wide" else MODELS["cnn"]))
        hand.loop(batches)
    else:
        from benchmarks import models_weft

        start = status_mb("VmRSS")
        net = models_weft.mlp(4096, 4096) if model == "wide" else models_weft.MODELS["cnn"]()
        if way == "fit":
            models_weft.Fit(net).loop(x, y, case.batch)
        else:
            models_weft.PlainLoop(net).loop(batches)
    high = status_mb("VmHWM")
    return {"peak_mb": high, "above_start_mb": high - start}


def measure(*part: str, module: str = "memory") -> Any:
    """Runs one part of a module in a process of its own and returns what it printed."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--part", *part]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure_peaks(ways: tuple[str, ...], rounds: int) -> tuple[list[Check], dict]:
    """Peaks of every big model and way, the ways in turn; prints the table."""
    checks: list[Check] = []
    figures: dict[str, dict[str, list[dict[str, float]]]] = {}
    rows = []
    for model, case in BIG.items():
        samples: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                samples[way].append(measure("peak", model, way))
        figures[model] = samples
        middle = {
            way: {key: median([s[key] for s in taken]) for key in taken[0]}
            for way, taken in samples.items()
        }
        floor = middle["hand-written"]
        for way, m in middle.items():
            total = m["peak_mb"] / floor["peak_mb"]
            above = m["above_start_mb"] / floor["above_start_mb"]
            mb = [f"{m['peak_mb']:.0f}", f"{total:.2f}", f"{m['above_start_mb']:.0f}"]
            rows.append([f"{case.title}: {way}", *mb, f"{above:.2f}"])
            if way != "hand-written":
                checks.append(Check(f"peak above start, {model}: {way} / by hand", above, 1.2, "x"))
    header = ["model: way", "peak MB", "x hand", "above start MB", "x hand"]
    print_table(f"Peak memory of {PEAK_STEPS} steps, compiling included", header, rows)
    return checks, figures


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="steps of the plain loop")
    parser.add_argument("--rounds", type=int, default=3, help="processes per peak")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    parser.add_argument("--part", nargs="+", help="run one part here and print it as JSON")
    args = parser.parse_args(argv)
    if args.part:
        name, *rest = args.part
        parts = {"flat": lambda n: flat(int(n)), "peak": peak, "programs": programs}
        print(json.dumps(parts[name](*rest)))
        return

    reason = weft_missing()
    if reason:
        print(f"weft skipped: {reason}")
        measure_peaks(WAYS[:1], args.rounds)
        return
    samples = measure("flat", str(args.steps))
    keys = list(samples[0])
    rows = [[f"{s[key]:.6g}" for key in keys] for s in samples]
    print_table("The plain loop (MLP 784-64-10) along its steps", keys, rows)
    compiled = measure("programs")
    peak_checks, peaks = measure_peaks(WAYS, args.rounds)
    checks = flat_checks(samples)
    checks += [Check(f"programs after step 2: {k}", n, 0, "") for k, n in compiled.items()]
    checks += peak_checks
    print_checks("Targets: memory and programs", checks)
    write_json(args.json, checks, {"flat": samples, "programs": compiled, "peak": peaks})


if __name__ == "__main__":
    main()
