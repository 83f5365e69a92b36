"""`predict` beside a loop written by hand in JAX: ``python -m benchmarks.predict``.

100,000 rows of 20 numbers through an MLP (64, 10), and images through the small convolutional net,
with the same weights: µs per batch of `predict`, and of a jitted function called on slices of the
NumPy array, the outputs fetched and joined. Fetched at once, each batch waits for the one before;
fetched 16 batches later, the device has always something to do: this faster loop is what the
target is about.

Then memory: what a process has at most above its start, for ever more rows of a file mapped into
memory, in bytes for each byte that the joined outputs have more. The file's own pages, which the
system takes back when it needs them, are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import turns
from benchmarks.memory import measure, status_mb
from benchmarks.report import (
    Check,
    median,
    print_checks,
    print_table,
    spread,
    weft_missing,
    write_json,
)

AT_ONCE, LATER, PREDICT = "by hand, fetched at once", "by hand, fetched 16 later", "predict"
WIDTH = 20
TIMED = [("mlp", 100_000, 32), ("mlp", 100_000, 256), ("mlp", 100_000, 1000)]
TIMED += [("cnn", 4_000, 32), ("cnn", 4_000, 256)]
ROWS = (100_000, 300_000, 1_000_000)


class ByHand:
    """A model of `models_jax`, its jitted forward pass and the loops over slices of an array."""

    def __init__(self, name: str) -> None:
        import jax

        from benchmarks.models_jax import MODELS, mlp

        init, apply = mlp(WIDTH, 64, 10) if name == "mlp" else MODELS[name]
        self.params, state = jax.jit(init)(jax.random.key(0))
        self.forward = jax.jit(lambda params, x: apply(params, state, x)[0])

    def at_once(self, x: Any, batch: int) -> Any:
        """The outputs; each is fetched before the next batch is begun."""
        return self.later(x, batch, 0)

    def later(self, x: Any, batch: int, ahead: int = 16) -> Any:
        """The outputs; up to `ahead` batches are under way."""
        forward, params = self.forward, self.params
        waiting: deque[Any] = deque()
        fetched = []
        for start in range(0, len(x), batch):
            waiting.append(forward(params, x[start : start + batch]))
            if len(waiting) > ahead:
                fetched.append(np.asarray(waiting.popleft()))
        fetched += map(np.asarray, waiting)
        return np.concatenate(fetched)


def weft_model(name: str) -> Any:
    """The same model in weft."""
    from benchmarks import models_weft

    return models_weft.mlp(64) if name == "mlp" else models_weft.MODELS[name]()


def outputs_us(name: str, rows: int, batch: int, rounds: int) -> dict[str, list[float]]:
    """µs per batch of each way, which take turns; their outputs are compared first."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, *((WIDTH,) if name == "mlp" else (28, 28, 1))), dtype=np.float32)
    hand, model = ByHand(name), weft_model(name)
    predict = partial(model.predict, x, batch_size=batch, verbose=0)
    predict()
    layers = hand.params.values() if isinstance(hand.params, dict) else hand.params
    model.set_weights([p[key] for p in layers for key in ("w", "b")])
    ways: dict[str, Callable[[], Any]] = {
        AT_ONCE: partial(hand.at_once, x, batch),
        LATER: partial(hand.later, x, batch),
        PREDICT: predict,
    }
    for run in ways.values():  # compiles
        np.testing.assert_allclose(run(), ways[AT_ONCE](), rtol=1e-5, atol=1e-5)
    return turns.per(turns.seconds(ways, rounds), -(-rows // batch), 1e6)


def peak(way: str, file: str, rows: int, batch: int) -> dict[str, float]:
    """MB at most above the start, without the file's pages, of the first `rows` rows."""
    x = np.memmap(file, np.float32, "r", shape=(ROWS[-1], WIDTH))[:rows]
    predict = (
        partial(ByHand("mlp").later, batch=batch)
        if way == LATER
        else partial(weft_model("mlp").predict, batch_size=batch, verbose=0)
    )
    predict(x[: 40 * batch])  # compiles
    start = status_mb("RssAnon")
    made = predict(x)
    # The file's pages stay from when they are read, so that at its highest it had all of them.
    return {
        "above_start_mb": status_mb("VmHWM") - status_mb("RssFile") - start,
        "outputs_mb": made.nbytes / 1e6,
    }


def peaks(batch: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Medians of `peak` for each of `ROWS`, by way."""
    found: dict[str, list[dict[str, float]]] = {LATER: [], PREDICT: []}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "x.f4"))
        np.random.default_rng(0).standard_normal((ROWS[-1], WIDTH), dtype=np.float32).tofile(file)
        for rows in ROWS:
            for way, each in found.items():
                part = ("peak", way, file, str(rows), str(batch))
                runs = [measure(*part, module="predict") for _ in range(rounds)]
                each.append({key: median([run[key] for run in runs]) for key in runs[0]})
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="times each way is timed")
    parser.add_argument("--processes", type=int, default=3, help="processes per peak")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    parser.add_argument("--part", nargs="+", help="run one part here and print it as JSON")
    args = parser.parse_args(argv)
    if args.part:
        _, way, file, rows, batch = args.part
        print(json.dumps(peak(way, file, int(rows), int(batch))))
        return
    reason = weft_missing()
    if reason:
        print(f"skipped: {reason}")
        return

    figures: dict[str, Any] = {}
    checks, rows = [], []
    for name, n, batch in TIMED:
        title = f"{name}, {n:,} rows, batch {batch}"
        figures[title] = us = outputs_us(name, n, batch, args.rounds)
        ratio = median([a / b for a, b in zip(us[PREDICT], us[LATER], strict=True)])
        checks.append(Check(f"{title}: predict / by hand", ratio, 1.11, "x"))
        rows += [[f"{title}: {way}", f"{median(t):.1f}", spread(t)] for way, t in us.items()]
    print_table("Outputs of all rows", ["model: way", "us/batch", "min-max"], rows)

    figures["peaks"] = found = peaks(32, args.processes)
    rows = []
    for way, each in found.items():
        few, many = each[0], each[-1]
        grows = (many["above_start_mb"] - few["above_start_mb"]) / (
            many["outputs_mb"] - few["outputs_mb"]
        )
        rows.append([way, *(f"{e['above_start_mb']:.1f}" for e in each), f"{grows:.2f}"])
        if way == PREDICT:
            checks.append(Check("predict: memory a byte of outputs", grows, 1.1, "bytes"))
    sizes = [f"{n:,} ({e['outputs_mb']:.0f} MB)" for n, e in zip(ROWS, found[PREDICT], strict=True)]
    header = ["MB above start, by rows (outputs)", *sizes, "bytes a byte"]
    print_table("Memory, batches of 32", header, rows)
    print_checks("Targets: predict", checks)
    write_json(args.json, checks, figures)


if __name__ == "__main__":
    main()
