"""``python -m benchmarks``: every measurement, then every target and whether it is met.

Each part runs in a process of its own. A target that is missed is printed, and does not make the
exit status non-zero; a part that fails does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import print_checks, read_checks

ROOT = Path(__file__).resolve().parents[1]

QUICK = {
    "steps": ["--models", "mlp_small", "mlp", "--rounds", "3", "--seconds", "0.3", "--no-peers"],
    "costs": ["--rounds", "1", "--repeats", "10"],
    "memory": ["--steps", "200", "--rounds", "1"],
    "functional": ["--rounds", "3", "--repeats", "20"],
    "updates": ["--rounds", "5"],
    "fit": ["--rounds", "5"],
    "predict": ["--rounds", "3", "--processes", "1"],
    "data": ["--rounds", "1"],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three minutes: two models, no peers")
    parser.add_argument("--no-peers", action="store_true", help="time weft and JAX alone")
    parser.add_argument("--peer-python", action="append", default=[], metavar="PATH")
    args = parser.parse_args()

    options: dict[str, list[str]] = QUICK if args.quick else {part: [] for part in QUICK}
    if args.no_peers and not args.quick:
        options["steps"].append("--no-peers")
    for python in args.peer_python:
        options["steps"] += ["--peer-python", python]

    checks, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for part, extra in options.items():
            print(f"\n=== {part} ===", flush=True)
            file = Path(folder, f"{part}.json")
            command = [sys.executable, "-m", f"benchmarks.{part}", "--json", str(file), *extra]
            if subprocess.run(command, cwd=ROOT).returncode:
                failed.append(part)
            elif file.exists():
                checks += read_checks(file)
    if checks:
        met = sum(c.met for c in checks)
        print_checks(f"All targets: {met} of {len(checks)} met", checks)
    if failed:
        print(f"\nparts that failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
