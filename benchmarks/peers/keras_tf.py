"""Keras 3 on TensorFlow: ``fit``."""

import os

from benchmarks.peers._peer import WARM_UP, arguments, report

os.environ["KERAS_BACKEND"] = "tensorflow"
PACKAGES = ("keras", "tensorflow")


def main() -> None:
    name, case, steps, rounds = arguments("keras_tf", *PACKAGES)

    import keras

    from benchmarks.peers._keras import compiled, fit_way, parameter_count

    model = compiled(keras, name, case)
    ways = {"fit": fit_way(model, case, max(steps, WARM_UP))}
    report("keras_tf", name, steps, rounds, ways, parameter_count(model), PACKAGES)


if __name__ == "__main__":
    main()
