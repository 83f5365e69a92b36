"""What the input pipeline costs: ``python -m benchmarks.data``.

Microseconds per batch of 32 rows of 784 floats and a label, shuffled, best of several interleaved
rounds: weft.data's idiom, on the host and as tensors; what `fit` reads its batches from; the same
rows by hand, which is the floor; and Grain, which calls a function for every element.

Then, how much of a pipeline's 2 ms a batch is seen in `fit` beside a step of about 5 ms: of a
generator's, where nobody reads the logs (JAX computes while Python goes on) and where a callback
reads the loss of every step (only a thread can hide it then), and of a PyDataset's with two
workers. The first three wait, as for a disk. What a generator computes in NumPy is shown without a
target: on a CPU it takes its time from the step. A run's first batches, which decide whether it
gets a thread, are not counted.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import weft
from benchmarks.report import Check, median, print_checks, print_table, write_json
from weft.data import Dataset
from weft.training.sources import source_for

ROWS, WIDTH, BATCH = 60_000, 784, 32
ROUNDS = 5
PIPELINE = 2e-3  # seconds a batch
STEPS, FIRST = 60, 10


def by_hand(x: np.ndarray, y: np.ndarray) -> Iterator[Any]:
    """One permutation, then one gather a leaf a batch."""
    order = np.random.default_rng(0).permutation(len(x))
    for start in range(0, len(x), BATCH):
        chosen = order[start : start + BATCH]
        yield x[chosen], y[chosen]


def with_grain(x: np.ndarray, y: np.ndarray) -> Iterator[Any]:
    """Grain's random-access pipeline on this thread."""
    import grain

    rows = grain.MapDataset.source(range(len(x))).shuffle(seed=0)
    batches = rows.map(lambda k: (x[k], y[k])).batch(BATCH)
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)))


def cases(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[int, Callable[[], Iterator[Any]]]]:
    """Name -> (batches to time, what makes the iterator)."""
    rows = Dataset.from_tensor_slices((x, y))
    shuffled = rows.shuffle(len(x), seed=0).batch(BATCH)
    many = len(x) // BATCH
    return {
        "by hand: x[order[i:j]], y[order[i:j]]": (many, lambda: by_hand(x, y)),
        "weft, shuffle(all), on the host": (many, shuffled.host_batches),
        "weft, shuffle(all), tensors": (many, lambda: iter(shuffled)),
        "weft, shuffle(1024), tensors": (many, lambda: iter(rows.shuffle(1024).batch(BATCH))),
        "weft, shuffle.repeat.batch.prefetch": (
            many,
            lambda: iter(rows.shuffle(len(x)).repeat().batch(BATCH).prefetch(2)),
        ),
        "fit's source of arrays, shuffled": (
            many,
            source_for(x, y, batch_size=BATCH, shuffle=True).batches,
        ),
        "fit's source of arrays, in order": (many, source_for(x, y, batch_size=BATCH).batches),
        "fit's source of a generator's batches": (many, lambda: from_generator(x, y)),
        "grain, shuffle.map.batch": (many // 8, lambda: with_grain(x, y)),
    }


def from_generator(x: np.ndarray, y: np.ndarray) -> Iterator[Any]:
    """What `fit` makes of a generator: it copies, since a generator may fill its buffers again."""
    return source_for(by_hand(x, y)).batches()


class Clock(weft.callbacks.Callback):
    """Times an epoch from step `FIRST` on; may wait for every step by reading its loss."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.reads = reads
        self.begun = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == FIRST:
            self.begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.reads:
            float(logs["loss"])


def waits() -> None:
    """2 ms as a disk or a network takes them."""
    time.sleep(PIPELINE)


def computes() -> None:
    """2 ms of NumPy."""
    until = time.perf_counter() + PIPELINE
    numbers = np.arange(4096.0)
    while time.perf_counter() < until:
        np.sin(numbers)


def nothing() -> None:
    """What the step is like without a pipeline."""


def generator(batch: Any, work: Callable[[], None]) -> Iterator[Any]:
    """The same batch again and again, each after some work."""
    for _ in range(STEPS):
        work()
        yield batch


class Numbered(weft.utils.PyDataset):
    """The same batches by number, made by two workers."""

    def __init__(self, batch: Any, work: Callable[[], None]) -> None:
        super().__init__(workers=2)
        self.batch, self.work = batch, work

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Any:
        self.work()
        return self.batch


PIPELINES = {
    "generator that waits, logs unread": (generator, waits, False),
    "generator that waits, each loss read": (generator, waits, True),
    "PyDataset that waits, 2 workers, each loss read": (Numbered, waits, True),
    "generator that computes, each loss read": (generator, computes, True),
}


def exposed(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """ms of a step of `fit` without and with each pipeline of 2 ms, one after the other."""
    rng = np.random.default_rng(0)
    width = 1024
    batch = rng.normal(size=(128, width)).astype("f4"), rng.integers(0, 10, 128).astype("i4")
    dense = weft.layers.Dense
    model = weft.Sequential([dense(width, "relu"), dense(width, "relu"), dense(10)])
    loss = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(weft.optimizers.SGD(0.01), loss)

    def step(make: Callable[..., Any], work: Callable[[], None], reads: bool) -> float:
        clock = Clock(reads)
        model.fit(make(batch, work), verbose=0, callbacks=[clock])
        model.weights[0].numpy()
        return (time.perf_counter() - clock.begun) / (STEPS - FIRST) * 1e3

    step(generator, nothing, False)  # compiles
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in PIPELINES}
    for _ in range(rounds):
        for name, (make, work, reads) in PIPELINES.items():
            pairs[name].append((step(make, nothing, reads), step(make, work, reads)))
    return pairs


def overlap(pairs: dict[str, list[tuple[float, float]]]) -> list[Check]:
    """What the pipelines that wait make a step longer; prints all of them."""
    rows, checks = [], []
    whole = PIPELINE * 1e3
    for name, each in pairs.items():
        added = [beside - alone for alone, beside in each]
        alone, more = median([alone for alone, _ in each]), median(added)
        hidden = f"{100 * (1 - more / whole):.0f}%"
        between = f"{min(added):.2f} to {max(added):.2f}"
        rows.append([name, f"{alone:.2f}", f"{more:.3f}", between, hidden])
        if PIPELINES[name][1] is waits:
            checks.append(Check(f"{name}: seen of {whole:g} ms", more, 0.05 * whole, "ms"))
    header = ["pipeline of 2 ms a batch", "step, ms", "longer by", "between", "hidden"]
    print_table("What fit shows of a pipeline", header, rows)
    return checks


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="times each source is timed")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, WIDTH), dtype=np.float32)
    y = rng.integers(0, 10, ROWS, dtype=np.int32)
    timed = cases(x, y)
    best = dict.fromkeys(timed, float("inf"))
    for _ in range(args.rounds):
        for name, (count, begin) in timed.items():
            started = time.perf_counter()
            batches = sum(1 for _ in itertools.islice(begin(), count))
            best[name] = min(best[name], (time.perf_counter() - started) / batches * 1e6)
    floor = next(iter(best.values()))
    print(f"input pipeline, batches of {BATCH} from {ROWS} x {WIDTH} float32, order drawn anew")
    print(f"{'':40}{'us/batch':>9}{'over by hand':>14}")
    for name, microseconds in best.items():
        print(f"{name:40}{microseconds:9.1f}{microseconds - floor:14.1f}")
    pairs = exposed(max(5, 3 * args.rounds))
    checks = overlap(pairs)
    print_checks("Targets: input pipelines", checks)
    write_json(args.json, checks, {"us a batch": best, "ms a step": pairs})


if __name__ == "__main__":
    main()
