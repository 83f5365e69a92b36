"""Ctrl-C at any moment of training leaves a model that can be used, and trained on."""

import itertools
import signal

import numpy as np
import pytest

import weft

X = np.random.default_rng(0).normal(size=(640, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 640)


def interrupted(run, after):
    """Run until a KeyboardInterrupt `after` so many seconds."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    # Again a little later: one that comes while an object is being deleted is lost (Python's rule).
    signal.setitimer(signal.ITIMER_REAL, after, 0.3)
    try:
        run()
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["fit", "loop"])
def test_interrupts_leave_the_model_usable(way):
    model = weft.Sequential([weft.layers.Dense(8, "relu"), weft.layers.Dropout(0.1)])
    model.add(weft.layers.Dense(3))
    loss_fn = weft.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(weft.optimizers.Adam(0.01), loss_fn, metrics=["accuracy"])

    def fit(rounds=None):
        for _ in range(rounds) if rounds else itertools.count():
            model.fit(X, Y, verbose=0)

    def loop(rounds=None):
        batches = range(0, 640, 32)
        for k in batches if rounds else itertools.cycle(batches):
            with weft.GradientTape() as tape:
                loss = loss_fn(Y[k : k + 32], model(X[k : k + 32], training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    run = fit if way == "fit" else loop
    run(rounds=1)  # what is to be compiled, is
    rng = np.random.default_rng(2)
    steps = int(model.optimizer.iterations)
    for _ in range(40):
        interrupted(run, 0.004 + 0.01 * rng.random())
        for variable in (*model.variables, *model.optimizer.variables):
            assert np.isfinite(variable.numpy()).all()
    assert int(model.optimizer.iterations) > steps
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()
