"""tf-keras 2: ``fit``, the GradientTape loop as people write it, and its step compiled."""

import os

from benchmarks.peers._peer import WARM_UP, arguments, report

os.environ["TF_USE_LEGACY_KERAS"] = "1"
PACKAGES = ("tf_keras", "tensorflow")


def main() -> None:
    name, case, steps, rounds = arguments("tf_keras", *PACKAGES)

    import tensorflow as tf
    import tf_keras as keras

    from benchmarks.cases import LEARNING_RATE
    from benchmarks.peers._keras import build, compiled, fit_way, parameter_count

    def loop_way(compile_step: bool):
        model = build(keras, name, case)
        optimizer = keras.optimizers.Adam(LEARNING_RATE)
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        count = max(steps, WARM_UP)
        batches = case.batches(*case.data(count))

        def train_step(x, y):
            with tf.GradientTape() as tape:
                logits = model(x, training=True)
                loss = loss_fn(y, logits)
            grads = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
            return loss

        step = tf.function(train_step) if compile_step else train_step

        def loop(n: int) -> None:
            for x, y in batches[:n]:
                loss = step(tf.constant(x), tf.constant(y))
            float(loss)

        return loop

    model = compiled(keras, name, case)
    ways = {
        "fit": fit_way(model, case, max(steps, WARM_UP)),
        "loop": loop_way(False),
        "tf.function": loop_way(True),
    }
    report("tf_keras", name, steps, rounds, ways, parameter_count(model), PACKAGES)


if __name__ == "__main__":
    main()
