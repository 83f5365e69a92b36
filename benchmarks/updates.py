"""Updates: an optimizer's over many variables beside Optax's, and what metrics add to `fit`.

``python -m benchmarks.updates`` prints each figure beside its target. The variables hold 2.5
million values in 200 arrays of unlike sizes; Optax's update is one donated `jit`, hand-written.
"""

from __future__ import annotations

import argparse
import functools
import time

from benchmarks import turns
from benchmarks.report import Check, median, print_checks, weft_missing, write_json

SHAPES = [(128, 187), (187,)] * 99 + [(64, 256), (256,)]  # 2,501,089 values
ROWS = 784


def update_ms(rounds: int) -> dict[str, list[float]]:
    """ms of one update of all variables, waited for, the ways of doing it taking turns."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import weft

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in SHAPES]
    grads = [jnp.asarray(a) for a in arrays]
    tensors = [weft.engine.as_tensor(g) for g in grads]

    def hand_written(transformation):
        held = {"params": [jnp.asarray(a) for a in arrays]}
        held["state"] = transformation.init(held["params"])

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(params, state, grads):
            updates, state = transformation.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        def run():
            held["params"], held["state"] = step(held["params"], held["state"], grads)
            np.asarray(held["params"][-1])

        return run

    def weft_s(optimizer, traced):
        variables = [weft.Variable(a) for a in arrays]

        def update(given):
            optimizer.apply_gradients(zip(given, variables, strict=True))

        call = weft.function(update) if traced else update

        def run():
            call(tensors)
            variables[-1].numpy()  # 256 values, of the one program that makes them all

        return run

    ways = {
        "Adam: Optax": hand_written(optax.adam(1e-3, eps=1e-7)),
        "Adam: function": weft_s(weft.optimizers.Adam(1e-3), True),
        "Adam: loop": weft_s(weft.optimizers.Adam(1e-3), False),
        "SGD momentum: Optax": hand_written(optax.sgd(1e-3, 0.9)),
        "SGD momentum: function": weft_s(weft.optimizers.SGD(1e-3, 0.9), True),
        "AdamW: Optax": hand_written(optax.adamw(1e-3, eps=1e-7, weight_decay=4e-3)),
        "AdamW: function": weft_s(weft.optimizers.AdamW(1e-3), True),
    }
    ms: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(rounds + 3):
        for name, run in ways.items():
            begin = time.perf_counter()
            run()
            if k >= 3:
                ms[name].append((time.perf_counter() - begin) * 1e3)
    return ms


def fit_ms(rounds: int, steps: int = 200) -> dict[str, list[float]]:
    """ms per step of `fit` on the small MLP, with no metrics and with five."""
    import numpy as np

    import weft
    from weft import layers, losses, metrics

    rng = np.random.default_rng(0)
    x = rng.standard_normal((32 * steps, ROWS), dtype=np.float32)
    y = rng.integers(0, 10, 32 * steps).astype("int32")
    five = [
        "accuracy",
        "sparse_categorical_crossentropy",
        metrics.SparseTopKCategoricalAccuracy(3, name="top_3"),
        metrics.SparseTopKCategoricalAccuracy(5, name="top_5"),
        metrics.MeanMetricWrapper(lambda y, p: weft.ops.max(p, -1), name="certainty"),
    ]
    models = {}
    for name, given in (("none", None), ("one", ["accuracy"]), ("five", five)):
        weft.random.set_seed(0)
        last = layers.Dense(10, "softmax")
        model = weft.Sequential([weft.Input((ROWS,)), layers.Dense(64, "relu"), last])
        model.compile("adam", losses.SparseCategoricalCrossentropy(), metrics=given)
        models[name] = model
    return turns.fit_ms(models, x, y, rounds)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="samples of each figure")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    args = parser.parse_args(argv)
    reason = weft_missing()
    if reason:
        print(f"skipped: {reason}")
        return
    updates, fits = update_ms(4 * args.rounds), fit_ms(args.rounds)
    for name, ms in updates.items():
        print(f"{name}: {median(ms):.2f} ms")
    for name, ms in fits.items():
        print(f"fit, {name} metrics: {median(ms):.3f} ms a step")

    def ratio(ms: dict[str, list[float]], one: str, other: str) -> float:
        return median([a / b for a, b in zip(ms[one], ms[other], strict=True)])

    checks = [
        Check(
            f"{kind}, 200 variables: function / Optax",
            ratio(updates, f"{kind}: function", f"{kind}: Optax"),
            1.1,
            "x",
        )
        for kind in ("Adam", "AdamW")
    ]
    checks.append(Check("fit, five metrics / none", ratio(fits, "five", "none"), 1.15, "x"))
    print_checks("Targets: updates", checks)
    write_json(args.json, checks, {**updates, **{f"fit, {k}": v for k, v in fits.items()}})


if __name__ == "__main__":
    main()
