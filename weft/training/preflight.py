"""What a training step will cost, found before the first one is made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

__all__ = ["Preflight", "measure"]


@dataclass(frozen=True)
class Preflight:
    """What is known of a step's program before it runs.

    Attributes:
        operations: weft's operations in it.
        trace_seconds, compile_seconds: what tracing the Python and compiling took.
        flops: XLA's estimate of floating-point operations of one run.
        state_bytes: weights, slots and the rest that the step reads or assigns.
        batch_bytes: the batch.
        temporary_bytes: what XLA needs beside those while it runs.
    """

    operations: int
    trace_seconds: float
    compile_seconds: float
    flops: float
    state_bytes: int
    batch_bytes: int
    temporary_bytes: int

    @property
    def peak_bytes(self) -> int:
        """State, batch and temporaries together; the state is updated in place."""
        return self.state_bytes + self.batch_bytes + self.temporary_bytes

    def __str__(self) -> str:
        return (
            f"one program of {self.operations} operations, traced in {self.trace_seconds:.2f} s, "
            f"compiled in {self.compile_seconds:.2f} s; {self.flops / 1e9:.3g} GFLOP a step; peak "
            f"memory {_size(self.peak_bytes)} (state {_size(self.state_bytes)}, batch "
            f"{_size(self.batch_bytes)}, temporaries {_size(self.temporary_bytes)})"
        )


def measure(function: Any, batch: Any) -> Preflight:
    """Trace and compile a `weft.function` for a nest of arrays; nothing is run."""
    began = time.perf_counter()
    program = function.program_for(batch)
    traced = time.perf_counter()
    compiled = program.compiled()
    done = time.perf_counter()
    memory = compiled.memory_analysis()
    given = sum(_bytes(spec) for spec in program.in_specs[: program.n_args])
    state = sum(_bytes(spec) for spec in program.in_specs[program.n_args :])
    return Preflight(
        operations=len(program.graph.nodes),
        trace_seconds=traced - began,
        compile_seconds=done - traced,
        flops=float((compiled.cost_analysis() or {}).get("flops", 0.0)),
        state_bytes=state,
        batch_bytes=given,
        temporary_bytes=int(memory.temp_size_in_bytes),
    )


def _bytes(spec: Any) -> int:
    return int(spec.shape.num_elements() * spec.dtype.itemsize)


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:.3g} {unit}"
        n /= 1024
    raise AssertionError
