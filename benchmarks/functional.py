"""Functional models: what building, describing and calling one costs, beside a subclass.

``python -m benchmarks.functional`` prints each figure beside its target.
"""

from __future__ import annotations

import argparse
import time

from benchmarks import turns
from benchmarks.report import Check, median, print_checks, weft_missing, write_json

DEPTH = 20
WIDTH = 8


def resnet50():
    """ResNet-50 with random weights, 224×224×3 to 1000 classes."""
    import weft
    from weft import layers

    def normed(x, filters: int, size: int, strides: int = 1, padding: str = "same"):
        x = layers.Conv2D(filters, size, strides=strides, padding=padding)(x)
        return layers.BatchNormalization(epsilon=1.001e-5)(x)

    def relu(x):
        return layers.Activation("relu")(x)

    def block(x, filters: int, strides: int, widens: bool):
        short = normed(x, 4 * filters, 1, strides) if widens else x
        x = relu(normed(x, filters, 1, strides))
        x = relu(normed(x, filters, 3))
        x = normed(x, 4 * filters, 1)
        return relu(layers.Add()([short, x]))

    inputs = weft.Input((224, 224, 3))
    x = relu(normed(layers.ZeroPadding2D(3)(inputs), 64, 7, 2, "valid"))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for filters, count, strides in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            x = block(x, filters, strides if k == 0 else 1, k == 0)
    x = layers.GlobalAveragePooling2D()(x)
    return weft.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def chains():
    """The same chain of Dense layers three ways."""
    import weft
    from weft import layers

    class Chain(weft.Model):
        def __init__(self):
            super().__init__()
            self.denses = [layers.Dense(WIDTH) for _ in range(DEPTH)]

        def call(self, x):
            for dense in self.denses:
                x = dense(x)
            return x

    inputs = x = weft.Input((WIDTH,))
    for _ in range(DEPTH):
        x = layers.Dense(WIDTH)(x)
    stack = [layers.Dense(WIDTH) for _ in range(DEPTH)]
    return {
        "functional": weft.Model(inputs, x),
        "subclass": Chain(),
        "Sequential": weft.Sequential([weft.Input((WIDTH,)), *stack]),
    }


def call_us(models: dict, repeats: int) -> dict[str, list[float]]:
    """µs per layer of a call inside a tape, the models taking turns."""
    import weft

    x = weft.ops.ones((4, WIDTH))
    us: dict[str, list[float]] = {name: [] for name in models}
    for k in range(repeats + 3):
        for name, model in models.items():
            with weft.GradientTape():
                begin = time.perf_counter()
                y = model(x)
                took = time.perf_counter() - begin
            y.numpy()
            if k >= 3:
                us[name].append(took / DEPTH * 1e6)
    return us


def fit_ms(models: dict, rounds: int, steps: int = 300) -> dict[str, list[float]]:
    """ms per step of `fit`, the models taking turns."""
    import numpy as np

    import weft

    rng = np.random.default_rng(0)
    x = rng.standard_normal((32 * steps, WIDTH), dtype=np.float32)
    for model in models.values():
        model.compile(weft.optimizers.Adam(1e-4), "mse")
    return turns.fit_ms(models, x, x, rounds)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functional", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="samples per build and fit figure")
    parser.add_argument("--repeats", type=int, default=50, help="samples per call figure")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    args = parser.parse_args(argv)
    reason = weft_missing()
    if reason:
        print(f"skipped: {reason}")
        return
    import weft

    weft.layers.Dense  # noqa: B018  loads the layers, which is no part of building
    figures: dict[str, list[float]] = {}
    built, summed = [], []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        model = resnet50()
        built.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        model.summary(print_fn=lambda text: None)
        summed.append(time.perf_counter() - begin)
    models = chains()
    calls = call_us(models, args.repeats)
    fits = fit_ms(models, args.rounds)
    figures.update({"ResNet-50: build": built, "ResNet-50: summary": summed})
    figures.update({f"a layer's call, {name}": us for name, us in calls.items()})
    figures.update({f"fit step, {name}": ms for name, ms in fits.items()})
    ratio = [f / s for f, s in zip(fits["functional"], fits["subclass"], strict=True)]
    checks = [
        # The first one of a process finds the shapes of each layer; it counts, so the maximum.
        Check("ResNet-50: build", max(built), 2, "s"),
        Check("ResNet-50: summary", median(summed), 0.1, "s"),
        *[Check(f"a layer's call, {name}", median(us), 10, "us") for name, us in calls.items()],
        Check("fit step, functional / subclass", median(ratio), 1.05, "x"),
    ]
    print_checks("Targets: functional models", checks)
    write_json(args.json, checks, figures)


if __name__ == "__main__":
    main()
