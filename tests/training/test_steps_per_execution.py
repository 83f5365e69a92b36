"""Several steps in one program: the same numbers, an exact tail, nothing compiled for it."""

import numpy as np
import pytest

import weft
from weft import layers

rng = np.random.default_rng(0)
X = rng.normal(size=(88, 6)).astype("float32")
Y = X[:, :1] - 2 * X[:, 1:2]


def model(steps, **options):
    weft.random.set_seed(4)
    made = weft.Sequential(
        [
            weft.Input((6,)),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    optimizer = weft.optimizers.Adam(weft.optimizers.schedules.CosineDecay(0.05, 40))
    made.compile(optimizer, "mse", metrics=["mae"], steps_per_execution=steps, **options)
    return made


def fit(steps, **options):
    made = model(steps)
    fitted = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    history = made.fit(X, Y, validation_data=(X[:20], Y[:20]), **fitted).history
    return made, history


def assert_equal(mine, theirs, tolerance=1e-5):
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("steps", [2, 4, 11, 50])
def test_the_same_numbers(steps):
    one, history = fit(1)
    several, same = fit(steps)  # of the 11 batches, 1, 3, 0 and 11 are left over
    assert_equal(several, one)
    for name, values in history.items():
        np.testing.assert_allclose(same[name], values, rtol=1e-4)
    assert int(several.optimizer.iterations) == 33
    assert len(several.programs["train_step"]) == 1


def test_a_short_last_batch():
    one, history = fit(1, batch_size=16)  # 5 batches and one of 8
    several, same = fit(4, batch_size=16)
    assert_equal(several, one)
    np.testing.assert_allclose(same["loss"], history["loss"], rtol=1e-4)
    count = weft.config.compile_count()
    several.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert weft.config.compile_count() == count


def test_hooks_are_called_once_an_execution():
    seen = []
    callback = weft.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(("begin", batch)),
        on_train_batch_end=lambda batch, logs: seen.append(("end", batch, "loss" in logs)),
    )
    model(4).fit(X, Y, batch_size=8, verbose=0, callbacks=[callback])
    assert seen == [
        ("begin", 0), ("end", 3, True), ("begin", 4), ("end", 7, True), ("begin", 8),
        ("end", 10, True),
    ]  # fmt: skip


def test_generators_and_steps_per_epoch():
    def batches():
        while True:
            for k in range(0, 88, 8):
                yield X[k : k + 8], Y[k : k + 8]

    one, several = model(1), model(3)
    for m in (one, several):
        m.fit(batches(), steps_per_epoch=7, epochs=2, verbose=0)
    assert_equal(several, one)


def test_a_step_of_one_s_own():
    class Own(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                loss = weft.ops.mean((y - self(x)) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            self.seen.assign_add(1.0)
            return {"loss": loss, "seen": self.seen.value}

    found = []
    for steps in (1, 4):
        weft.random.set_seed(0)
        own = Own()
        own.compile("adam", steps_per_execution=steps)
        history = own.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        assert history["seen"] == [11.0, 22.0]
        found.append(own)
    assert_equal(*found)


def test_python_that_asks_for_values_goes_on_step_by_step():
    class Asking(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            logs = super().train_step(data)
            if float(logs["loss"]) < 0:
                raise AssertionError
            return logs

    weft.random.set_seed(0)
    asking = Asking()
    asking.compile("sgd", "mse", steps_per_execution=4)
    with pytest.warns(UserWarning, match="train_step asks for a tensor's value"):
        asking.fit(X, Y, batch_size=8, verbose=0)
    assert int(asking.optimizer.iterations) == 11


@pytest.mark.parametrize("options", [{"run_eagerly": True}])
def test_eagerly(options):
    one, several = model(1), model(4, **options)
    for m in (one, several):
        m.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert_equal(several, one)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "auto"])
def test_bad_numbers(steps):
    with pytest.raises(ValueError, match="steps_per_execution must be a positive integer, got"):
        model(steps)


def test_make_train_function_can_be_overridden():
    class Twice(weft.Model):
        """Each batch is trained on twice."""

        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def make_train_function(self, force=False):
            step = weft.function(self.train_step)

            def function(iterator):
                batch = next(iterator)
                step(batch)
                return step(batch)

            return function

    twice = Twice()
    twice.compile("sgd", "mse")
    history = twice.fit(X, Y, batch_size=8, epochs=2, verbose=0).history
    assert int(twice.optimizer.iterations) == 44 and len(history["loss"]) == 2
    function = model(1).make_train_function()
    assert model(1).make_test_function() is not function
    made = model(1)
    assert made.make_train_function() is made.make_train_function() is made.train_function
    assert made.make_train_function(force=True) is made.train_function
