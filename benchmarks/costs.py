"""What weft itself costs: a node, a layer's call, the import, the first step of a process.

``python -m benchmarks.costs`` prints each figure beside its target.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Check, median, print_checks, weft_missing, write_json

ROOT = Path(__file__).resolve().parents[1]
CHAIN = 100
COPIES = 20


def node_us(repeats: int) -> dict[str, list[float]]:
    """µs per node recorded, by op: chains of ``CHAIN`` nodes, run outside of the timing."""
    import jax.numpy as jnp

    import weft

    def chain(op, start) -> float:
        t = start
        begin = time.perf_counter()
        for _ in range(CHAIN):
            t = op(t, start)
        took = time.perf_counter() - begin
        t.numpy()
        return took / CHAIN * 1e6

    start = weft.ops.convert_to_tensor(jnp.ones((8, 8)))
    ops = {
        "weft.ops.add": weft.ops.add,
        "the + operator": lambda a, b: a + b,
        "weft.ops.matmul": weft.ops.matmul,
        "a user's weft.op": weft.op(lambda x, y: jnp.tanh(x) * y),
    }
    us: dict[str, list[float]] = {name: [] for name in ops}
    for i in range(repeats + 3):
        for name, op in ops.items():
            took = chain(op, start)
            if i >= 3:
                us[name].append(took)
    return us


def layer_cases() -> dict[str, tuple]:
    """For each built-in layer: how to make one, its input's shape (or token ids), its keywords."""
    from weft import layers

    flat, image, steps = (32, 64), (8, 12, 12, 8), (8, 16, 12)
    training = {"training": True}
    return {
        "Dense": (lambda: layers.Dense(64), flat, {}),
        "Dense with relu": (lambda: layers.Dense(64, activation="relu"), flat, {}),
        "Activation": (lambda: layers.Activation("relu"), flat, {}),
        "Dropout": (lambda: layers.Dropout(0.5), flat, training),
        "Flatten": (layers.Flatten, image, {}),
        "Reshape": (lambda: layers.Reshape((8, 8)), flat, {}),
        "BatchNormalization": (layers.BatchNormalization, flat, training),
        "LayerNormalization": (layers.LayerNormalization, flat, {}),
        "Embedding": (lambda: layers.Embedding(100, 16), "tokens", {}),
        "Conv2D": (lambda: layers.Conv2D(8, 3), image, {}),
        "MaxPooling2D": (lambda: layers.MaxPooling2D(2), image, {}),
        "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, image, {}),
        "Conv1D": (lambda: layers.Conv1D(8, 3), steps, {}),
        "Conv2DTranspose": (lambda: layers.Conv2DTranspose(8, 3), image, {}),
        "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), image, {}),
        "SeparableConv2D": (lambda: layers.SeparableConv2D(8, 3), image, {}),
        "UpSampling2D": (layers.UpSampling2D, image, {}),
        "ZeroPadding2D": (layers.ZeroPadding2D, image, {}),
        "GroupNormalization": (lambda: layers.GroupNormalization(4), image, {}),
        "RMSNormalization": (layers.RMSNormalization, flat, {}),
        "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", (None, 9)), steps, {}),
        "SimpleRNN": (lambda: layers.SimpleRNN(8), steps, {}),
        "GRU": (lambda: layers.GRU(8), steps, {}),
        "LSTM": (lambda: layers.LSTM(8), steps, {}),
    }


def layer_call_us(make, shape, keywords: dict, repeats: int) -> list[float]:
    """µs per call inside a plain loop's tape: ``COPIES`` layers side by side, once a step.

    Only the calls are timed; the step is finished each time, so that nothing stays pending.
    """
    import numpy as np

    import weft

    rng = np.random.default_rng(0)
    if shape == "tokens":
        x = rng.integers(0, 100, (8, 16), dtype=np.int32)
    else:
        x = rng.standard_normal(shape, dtype=np.float32)
    x = weft.ops.convert_to_tensor(x)
    scale = weft.Variable(1.0)
    copies = [make() for _ in range(COPIES)]
    optimizer = weft.optimizers.SGD(1e-3)
    us = []
    for i in range(repeats + 3):
        with weft.GradientTape() as tape:
            begin = time.perf_counter()
            outputs = [layer(x, **keywords) for layer in copies]
            took = time.perf_counter() - begin
            total = weft.ops.mean(outputs[0])
            for y in outputs[1:]:
                total = total + weft.ops.mean(y)
            loss = scale * total
        variables = [scale, *(v for layer in copies for v in layer.trainable_variables)]
        grads = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(grads, variables, strict=True))
        float(loss)
        if i >= 3:
            us.append(took / COPIES * 1e6)
    return us


def import_seconds(module: str) -> float:
    """Seconds that ``import module`` takes in a fresh process, the interpreter's start left out."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


FIRST_STEP = {
    "hand-written": """
import jax, numpy as np
from benchmarks.models_jax import HandWritten, mlp
run = HandWritten(*mlp(64, 128, 10))
run.loop([(np.zeros((32, 64), np.float32), np.zeros(32, np.int32))])
""",
    "fit": """
import numpy as np
import weft
model = weft.Sequential([weft.layers.Dense(128, activation="relu"), weft.layers.Dense(10)])
model.compile(
    optimizer=weft.optimizers.Adam(1e-3),
    loss=weft.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(np.zeros((32, 64), np.float32), np.zeros(32, np.int32), batch_size=32, verbose=0)
""",
    "plain loop": """
import numpy as np
import weft
model = weft.Sequential([weft.layers.Dense(128, activation="relu"), weft.layers.Dense(10)])
optimizer = weft.optimizers.Adam(1e-3)
loss_fn = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
with weft.GradientTape() as tape:
    logits = model(np.zeros((32, 64), np.float32), training=True)
    loss = loss_fn(np.zeros(32, np.int32), logits)
grads = tape.gradient(loss, model.trainable_variables)
optimizer.apply_gradients(zip(grads, model.trainable_variables))
float(loss)
""",
}


def first_step_seconds(way: str, cache_dir: str) -> float:
    """Seconds from a process's start to its first trained step (a 64-128-10 MLP, batch 32)."""
    code = FIRST_STEP[way] + "\nprint('trained', flush=True)\n"
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "WEFT_CACHE_DIR": cache_dir},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
    if line.strip() != "trained" or process.returncode:
        raise RuntimeError(f"the first step's process ({way}) failed: its output is above")
    return seconds


def first_steps(rounds: int) -> dict[str, list[float]]:
    """First and second start of each way, each round with an empty cache folder of its own."""
    seconds: dict[str, list[float]] = {"hand-written": []}
    for _ in range(rounds):
        seconds["hand-written"].append(first_step_seconds("hand-written", "off"))
        for way in ("fit", "plain loop"):
            with tempfile.TemporaryDirectory() as folder:
                for start in ("first", "second"):
                    took = first_step_seconds(way, folder)
                    seconds.setdefault(f"{way}, {start} start", []).append(took)
    return seconds


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="processes per start-up figure")
    parser.add_argument("--repeats", type=int, default=50, help="samples per call figure")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    args = parser.parse_args(argv)
    reason = weft_missing()
    if reason:
        seconds = [first_step_seconds("hand-written", "off") for _ in range(args.rounds)]
        print(f"weft skipped: {reason}; hand-written first step: {median(seconds):.2f} s")
        return

    figures: dict[str, list[float]] = {}
    checks: list[Check] = []

    def add(name: str, samples: list[float], target: float, unit: str) -> None:
        figures[name] = samples
        checks.append(Check(name, median(samples), target, unit))

    for name, samples in node_us(args.repeats).items():
        add(f"a node: {name}", samples, 3, "us")
    for name, case in layer_cases().items():
        add(f"a call: {name}", layer_call_us(*case, args.repeats), 10, "us")

    pairs = [(import_seconds("jax"), import_seconds("weft")) for _ in range(args.rounds + 1)][1:]
    figures["import jax"], figures["import weft"] = ([p[i] for p in pairs] for i in (0, 1))
    ratio = median(figures["import weft"]) / median(figures["import jax"])
    checks.append(Check("import weft / import jax", ratio, 1.15, "x"))

    for name, samples in first_steps(args.rounds).items():
        if name == "hand-written":
            figures["first step, hand-written"] = samples
            print(f"for comparison, a hand-written first step: {median(samples):.2f} s after start")
        else:
            add(f"first step: {name}", samples, 3 if "first start" in name else 1.5, "s")
    print_checks("Targets: costs (medians)", checks)
    write_json(args.json, checks, figures)


if __name__ == "__main__":
    main()
