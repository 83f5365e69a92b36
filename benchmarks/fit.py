"""What `fit`, its callbacks and its progress bar add to a step: ``python -m benchmarks.fit``.

The small MLP, an epoch of 1,500 steps (MNIST has 1,875): hand-written JAX + Optax in one `jit`;
`fit` alone; with the usual callbacks, which save the model, write a line of CSV and so on at the
epoch's end; with a bar that rich draws five times a second, or with a line an epoch; with both. The
ways take turns, and each figure is the median of what is between two ways in the same round.

The bar's share of a step is too small for that: it is the time that its hooks take of three such
epochs, less that of a hook that does nothing; more than they add where the device is working
meanwhile. A callback before it has waited for each epoch's last loss, which somebody must.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import turns
from benchmarks.cases import CASES, LEARNING_RATE
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

STEPS = 1500
HAND, FIT = "hand-written jit", "fit"
USUAL, BAR, LINES, BOTH = "fit, callbacks", "fit, bar", "fit, lines", "fit, callbacks and bar"


def usual(folder: Path) -> list[Any]:
    """The callbacks that most runs have; `fit` itself adds the History."""
    from weft import callbacks

    return [
        callbacks.EarlyStopping("loss", patience=1000),
        callbacks.ModelCheckpoint(folder / "model.keras", "loss"),
        callbacks.ReduceLROnPlateau("loss", patience=1000),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.LearningRateScheduler(lambda epoch, rate: LEARNING_RATE),
    ]


def shown(terminal: bool) -> Any:
    """The progress of `verbose=1` in a terminal, or elsewhere; it is written to a string."""
    from rich.console import Console

    from weft.callbacks import ProgbarLogger

    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    return ProgbarLogger(verbose=1, console=console)


def bar_percent(model: Any, x: Any, y: Any) -> float:
    """The bar's part of a run of `model`, a `models_weft.Fit`, in percent."""
    from weft.callbacks import Callback, CallbackList, LambdaCallback

    class Nothing(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    def wait(batch: int, logs: Any) -> None:
        if batch == STEPS - 1:
            float(logs["loss"])

    others = LambdaCallback(on_train_batch_end=wait), Nothing()
    callbacks = CallbackList([*others, shown(True)], timed=True)
    begin = time.perf_counter()
    model.loop(x, y, 32, callbacks, epochs=3)
    whole = time.perf_counter() - begin
    # What it takes to call and time a hook is no part of the bar.
    return 100 * (callbacks.seconds["ProgbarLogger"] - callbacks.seconds["Nothing"]) / whole


def ways(fit: Any, x: Any, y: Any, folder: Path) -> dict[str, Callable[[], object]]:
    """One epoch of each way, waited for; `fit` is a `models_weft.Fit`."""
    case = CASES["mlp_small"]
    batches = case.batches(x, y)
    hand = HandWritten(*MODELS["mlp_small"])
    made: dict[str, Callable[[], list[Any]]] = {
        FIT: list,
        USUAL: lambda: usual(folder),
        BAR: lambda: [shown(terminal=True)],
        LINES: lambda: [shown(terminal=False)],
        BOTH: lambda: [*usual(folder), shown(terminal=True)],
    }

    def epoch(callbacks: Callable[[], list[Any]]) -> None:
        fit.loop(x, y, case.batch, callbacks())

    return {
        HAND: lambda: hand.loop(batches),
        **{way: partial(epoch, callbacks) for way, callbacks in made.items()},
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="times each way is timed")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    args = parser.parse_args(argv)
    reason = weft_missing()
    if reason:
        print(f"skipped: {reason}")
        return
    from benchmarks import models_weft

    x, y = CASES["mlp_small"].data(STEPS)
    fit = models_weft.Fit(models_weft.MODELS["mlp_small"]())
    with tempfile.TemporaryDirectory() as folder:
        timed = ways(fit, x, y, Path(folder))
        turns.seconds(timed, 1)  # compiles
        ms = turns.per(turns.seconds(timed, args.rounds), STEPS)

    def over(way: str, other: str) -> float:
        return median([a - b for a, b in zip(ms[way], ms[other], strict=True)])

    rows = [
        [way, f"{median(each):.4f}", spread(each)]
        + [f"{over(way, other):.4f}" for other in (HAND, FIT)]
        for way, each in ms.items()
    ]
    header = ["way", "ms/step", "min-max", "over hand", "over fit"]
    print_table(f"{CASES['mlp_small'].title}: {args.rounds} rounds of {STEPS} steps", header, rows)
    named = "fit's overhead over hand-written"
    bar = [bar_percent(fit, x, y) for _ in range(args.rounds)]
    checks = [
        Check(f"{named}, alone", over(FIT, HAND), 0.05, "ms"),
        Check(f"{named}, usual callbacks", over(USUAL, HAND), 0.05, "ms"),
        Check(f"{named}, callbacks and bar", over(BOTH, HAND), 0.05, "ms"),
        Check("the bar's share of a step", median(bar), 1, "%"),
    ]
    print_checks("Targets: what fit adds to a step", checks)
    write_json(args.json, checks, {**ms, "the bar's percent": bar})


if __name__ == "__main__":
    main()
