"""What the input pipeline costs: ``python -m benchmarks.data``.

Microseconds per batch of 32 rows of 784 floats and a label, shuffled, best of several interleaved
rounds: weft.data's idiom, on the host and as tensors; the same rows by hand, which is the floor;
and Grain, which calls a function for every element.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from weft.data import Dataset

ROWS, WIDTH, BATCH = 60_000, 784, 32
ROUNDS = 5


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
        "grain, shuffle.map.batch": (many // 8, lambda: with_grain(x, y)),
    }


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, WIDTH), dtype=np.float32)
    y = rng.integers(0, 10, ROWS, dtype=np.int32)
    timed = cases(x, y)
    best = dict.fromkeys(timed, float("inf"))
    for _ in range(ROUNDS):
        for name, (count, begin) in timed.items():
            started = time.perf_counter()
            batches = sum(1 for _ in itertools.islice(begin(), count))
            best[name] = min(best[name], (time.perf_counter() - started) / batches * 1e6)
    floor = next(iter(best.values()))
    print(f"input pipeline, batches of {BATCH} from {ROWS} x {WIDTH} float32, order drawn anew")
    print(f"{'':40}{'us/batch':>9}{'over by hand':>14}")
    for name, microseconds in best.items():
        print(f"{name:40}{microseconds:9.1f}{microseconds - floor:14.1f}")


if __name__ == "__main__":
    main()
