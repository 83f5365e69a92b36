"""The notes on what fit, evaluate, predict and single batches compile, and why; and the warning."""

import re
import warnings

import numpy as np
import pytest

import weft
from weft import layers
from weft.engine import explain, function
from weft.engine.program import programs

R = np.random.default_rng(0)


def xy(n, *shape):
    x = R.normal(size=(n, *(shape or (4,)))).astype("float32")
    return x, R.normal(size=(n, 2)).astype("float32")


def dense(**compiled):
    model = weft.Sequential(
        [layers.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2, name="last")]
    )
    model.compile(**{"optimizer": "adam", "loss": "mse", **compiled})
    return model


@pytest.fixture
def notes(capsys):
    """The notes since the last call, without `weft: ` and the counts; those are checked here."""
    explain._recent.clear()
    programs.kept.clear()
    weft.config.log_compiles(True)

    def found():
        told = []
        for line in capsys.readouterr().err.splitlines():
            end = r" \(program \d+: \d+ operations?, \d+\.\d\d s; run at .*test_compile_notes\.py:"
            told.append(re.fullmatch(rf"weft: (.*){end}\d+ in \w+\)", line)[1])
        return told

    yield found
    weft.config.log_compiles(False)


def test_fit_evaluate_and_predict(notes):
    model = dense()
    x, y = xy(32)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    model.evaluate(x, y, batch_size=16, verbose=0)
    model.predict_on_batch(x)
    assert notes() == [
        "train_step compiled for the first time; nothing like it was before",
        "test_step compiled for the first time; nothing like it was before",
        "predict_step compiled for the first time; nothing like it was before",
    ]
    model.fit(x, y, batch_size=16, verbose=0)
    model.evaluate(x, y, batch_size=16, verbose=0)
    assert notes() == []


def test_batches_that_differ(notes):
    model = dense()
    x, y = xy(8)
    model.train_on_batch(x, y)
    notes()
    model.train_on_batch(x[:7], y[:7])
    (note,) = notes()
    assert re.fullmatch(
        r"train_step compiled again: .*\[0\] float32 \(8, 4\) → \(7, 4\), "
        r".*\[1\] float32 \(8, 2\) → \(7, 2\)", note
    )  # fmt: skip
    model.train_on_batch(x.astype("float16"), y)
    (note,) = notes()
    assert note.endswith("[0] float32 (8, 4) → float16 (8, 4)")
    model.train_on_batch(x, y, sample_weight=np.ones(8, "float32"))
    (note,) = notes()
    assert note.endswith("[2] is new: float32 (8,)")


def test_other_lengths_in_fit(notes):
    model = weft.Sequential([layers.Input((None, 4)), layers.SimpleRNN(2)])
    model.compile("sgd", "mse")
    for length in (5, 6, 5):
        model.fit(*xy(8, length, 4), batch_size=8, verbose=0)
    first, again = notes()
    assert "first time" in first
    assert again.endswith("[0] float32 (8, 5, 4) → (8, 6, 4)")


def test_a_batch_with_another_key(notes):
    class Either(weft.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs["a"]) + (inputs["b"][:, :2] if "b" in inputs else 0.0)

    model = Either()
    model.compile("sgd", "mse")
    x, y = xy(8)
    model.train_on_batch({"a": x}, y)
    model.train_on_batch({"a": x, "b": x}, y)
    assert notes()[-1].endswith("[0]['b'] is new: float32 (8, 4)")


def test_what_is_trainable(notes):
    model = dense()
    x, y = xy(8)
    model.train_on_batch(x, y)
    notes()
    model.get_layer("first").trainable = False
    model.train_on_batch(x, y)
    assert notes() == ["train_step compiled again: trainable of 'first' True → False"]
    model.get_layer("first").trainable = True
    model.train_on_batch(x, y)
    assert notes() == []


def test_another_optimizer_and_another_layer(notes):
    model = dense()
    x, y = xy(8)
    model.train_on_batch(x, y)
    notes()
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    (note,) = notes()
    assert note.startswith(
        "train_step compiled for the first time; unlike the nearest train_step before, "
        "apply_gradients at "
    )
    assert note.endswith(": 18 → 10 operands")
    model.add(layers.Dense(2))
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    assert "1 operation (dense) more than in the nearest program, from dense at " in notes()[-1]


def test_a_learning_rate_and_the_tail_of_several_steps_compile_nothing(notes):
    model = dense(steps_per_execution=3)
    x, y = xy(16 * 5)
    model.fit(x, y, batch_size=16, verbose=0)
    assert len(notes()) == 1
    model.optimizer.learning_rate = 0.5
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    assert notes() == []


def test_a_step_whose_python_is_run_each_time(notes):
    model = dense(run_eagerly=True)
    x, y = xy(8)
    model.train_on_batch(x, y)
    assert all(note.startswith("pending work compiled for the first time") for note in notes())
    model.train_on_batch(x, y)
    assert notes() == []
    model.train_on_batch(x[:5], y[:5])
    (note,) = notes()
    assert note.startswith("pending work compiled: dense at ")
    assert note.endswith(": operand 1 float32 (8, 4) → (5, 4)")


def loop(model, optimizer):
    loss_of = weft.losses.MeanSquaredError()

    def step(x, y, rate=None):
        with weft.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        if rate is None:
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        else:
            for v, g in zip(model.trainable_variables, gradients, strict=True):
                v.assign_sub(rate * g)
        return float(loss)

    return step


def test_the_plain_loop(notes):
    model = dense()
    step = loop(model, weft.optimizers.Adam())
    x, y = xy(8)
    for _ in range(3):
        step(x, y)
    assert len(notes()) == 1
    step(x[:7], y[:7])
    (note,) = notes()
    assert note.startswith("pending work compiled: dense at ")
    assert "test_compile_notes.py" in note
    assert note.endswith(" in step: operand 1 float32 (8, 4) → (7, 4)")
    step(x.astype("float16"), y)
    assert "1 operation (cast) more than in the nearest program, from cast at " in notes()[-1]
    for k in range(4):
        step(x, y, rate=0.1 / (k + 1))
    assert len(notes()) == 1  # another number is no new program
    model.get_layer("first").trainable = False
    step(x, y)
    (note,) = notes()
    assert note.startswith("pending work compiled: trainable of 'first' True → False; gradient at")


def test_a_function(notes):
    model = dense()

    @function
    def forward(images, temperature=1.0):
        return model(images) / temperature

    x, _ = xy(8)
    forward(x)
    forward(x, 2.0)
    forward(x, 3.0)
    forward(x[:3], 3.0)
    assert notes() == [
        "forward compiled for the first time; nothing like it was before",
        "forward compiled again: temperature is new: float32 () of a Python number",
        "forward compiled again: images float32 (8, 4) → (3, 4)",
    ]


def test_a_warning_where_batches_never_settle():
    model = dense(optimizer="sgd")
    with pytest.warns(UserWarning) as told:
        for n in range(1, 16):
            model.train_on_batch(*xy(n))
    (warning,) = told
    text = str(warning.message)
    assert re.match(
        r"train_step has been compiled for 12 sizes of axis 0 of .*\[0\] \(\.\.\., 5", text
    )
    assert "drop the last short batch" in text
    assert warning.filename == __file__


def test_ordinary_use_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            model = dense(optimizer="sgd")
            for n in (33, 40, 47):
                x, y = xy(n)
                model.fit(x, y, batch_size=16, epochs=2, validation_split=0.2, verbose=0)
                model.evaluate(x, y, verbose=0)
                model.predict(x, verbose=0)
