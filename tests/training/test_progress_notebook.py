"""A notebook that trains, run by a kernel: what is in it when it has been saved."""

import io
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

BAR = "━" * 20

CELLS = {
    "names": """
import os, signal, sys, time
import numpy as np
import weft
from weft.training.loop_bar import Progbar
x, y = np.ones((64, 3), "float32"), np.ones((64, 1), "float32")
model = weft.Sequential([weft.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])

class At(weft.callbacks.Callback):
    "Does something at the sixth step."
    def __init__(self, what):
        self.what = what
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            self.what()

def fit(*callbacks, **options):
    model.fit(x, y, batch_size=2, callbacks=list(callbacks), **options)
""",
    "fit": "fit(epochs=3, validation_data=(x, y))",
    "evaluate": "values = model.evaluate(x, y, batch_size=2)",
    "predict": "outputs = model.predict(x, batch_size=2)",
    "two fits": "fit()\nfit()",
    "many epochs": "fit(epochs=230, steps_per_epoch=2)",
    "lines": "fit(epochs=20, verbose=2)",
    "silent": "fit(verbose=0)",
    "messages": """
class Says(weft.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch % 2:
            print("end of", epoch + 1)
fit(Says(), epochs=5)
""",
    "messages at steps": """
def says():
    print("six")
    time.sleep(0.25)  # so that the bar is drawn again
fit(At(says), epochs=2)
""",
    "cleared": """
from IPython.display import clear_output
class Clears(weft.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        clear_output(wait=True)
        print("cleared", epoch + 1)
fit(Clears(), epochs=3)
""",
    "nested": """
class Evaluates(weft.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        model.evaluate(x, y)
fit(Evaluates(), epochs=2)
""",
    "error": "def fail():\n    raise RuntimeError('the user\\'s own')\nfit(At(fail), epochs=2)",
    "interrupt": "fit(At(lambda: signal.raise_signal(signal.SIGINT)), epochs=2)",
    "afterwards": "fit()",
    "slow": "fit(At(lambda: time.sleep(0.25)))",
    "loop": """
bar = Progbar(3, unit_name="batch")
for loss in (3.0, 2.0, 1.0):
    bar.add(1, [("loss", weft.Variable(loss))])
""",
    "redirected": """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as text:
    fit()
print(text.getvalue(), end="")
""",
    "captured": "%%capture caught\nfit()",
    "what was captured": "print(caught.stdout, len(caught.outputs))",
    "modules": "print(sorted({'rich', 'ipywidgets', 'matplotlib'} & set(sys.modules)))",
}


class Client(nbclient.NotebookClient):
    """Runs a notebook, and notes what is shown meanwhile."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("display_data", "update_display_data"):
            name = list(CELLS)[cell_index]
            self.shown.setdefault(name, []).append(msg["content"]["data"]["text/plain"])
        return super().process_message(msg, cell, cell_index)


SHOWN = {}  # in each cell: the texts, one after another


@pytest.fixture(scope="module")
def notebook():
    """The outputs of each cell, read from the notebook as it is saved."""
    SHOWN.clear()
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(code.strip()) for code in CELLS.values()]
    client = Client(
        made, kernel_name="python3", timeout=60, allow_errors=True,
        resources={"metadata": {"path": str(Path(__file__).parents[2])}},
    )  # fmt: skip
    client.shown = SHOWN
    client.execute()
    saved = io.StringIO()
    nbformat.write(made, saved)
    nbformat.validate(made)
    saved.seek(0)
    cells = nbformat.read(saved, 4).cells
    return dict(zip(CELLS, (cell.outputs for cell in cells), strict=True))


def texts(outputs):
    """Each output as text without times; errors by their name."""
    made = []
    for output in outputs:
        if output.output_type == "error":
            made.append(output.ename)
        elif output.output_type == "stream" and made and made[-1].startswith(output.name):
            made[-1] += timeless(output.text)  # as frontends do
        elif output.output_type == "stream":
            made.append(f"{output.name}: {timeless(output.text)}")
        else:
            assert output.output_type == "display_data" and list(output.data) == ["text/plain"]
            made.append(timeless(output.data["text/plain"]))
    return made


def timeless(text):
    text = re.sub(r"  [\d.]+ (µs|ms|s)(/step|/batch)?(?=  |$)", "", text, flags=re.M)
    return re.sub(r": [\d.e+-]+(?=  |$)", "", text, flags=re.M)


def epochs(first, last, of, end="", steps=32):
    return "\n".join(f"Epoch {k}/{of} {BAR} {steps}/{steps}  loss  mae{end}"
                     for k in range(first, last + 1))  # fmt: skip


def test_a_fit_is_one_output_with_a_line_an_epoch(notebook):
    assert texts(notebook["fit"]) == [epochs(1, 3, 3, "  val_loss  val_mae")]
    line = notebook["fit"][0].data["text/plain"].splitlines()[1]
    assert re.fullmatch(
        rf"Epoch 2/3 {BAR} 32/32  \d+\.\d s  [\d.]+ (µs|ms)/step  loss: \S+  mae: \S+  "
        r"val_loss: \S+  val_mae: \S+", line,
    )  # fmt: skip


def test_each_run_has_its_own(notebook):
    assert texts(notebook["evaluate"]) == [f"Evaluate {BAR} 32/32  loss  mae"]
    assert texts(notebook["predict"]) == [f"Predict {BAR} 32/32"]
    assert texts(notebook["two fits"]) == [epochs(1, 1, 1)] * 2
    lines = [f"Epoch {k}/20  32/32  loss  mae\n" for k in range(1, 21)]
    assert texts(notebook["lines"]) == [f"stdout: {''.join(lines)}"]
    assert len(notebook["lines"]) < 10  # many lines in one message
    assert notebook["silent"] == []


def test_many_epochs_are_a_few_outputs(notebook):
    assert texts(notebook["many epochs"]) == [
        epochs(first, last, 230, steps=2) for first, last in ((1, 100), (101, 200), (201, 230))
    ]


def test_messages_stand_between_their_epochs(notebook):
    assert texts(notebook["messages"]) == [
        epochs(1, 2, 5), "stdout: end of 2\n", epochs(3, 4, 5), "stdout: end of 4\n",
        epochs(5, 5, 5),
    ]  # fmt: skip
    assert texts(notebook["messages at steps"]) == [
        epochs(1, 1, 2), "stdout: six\n", epochs(2, 2, 2), "stdout: six\n",
    ]  # fmt: skip
    assert texts(notebook["cleared"])[0] == "stdout: cleared 3\n"
    assert texts(notebook["nested"]) == [
        epochs(1, 1, 2), f"Evaluate {BAR} 2/2  loss  mae",
        epochs(2, 2, 2), f"Evaluate {BAR} 2/2  loss  mae",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "error"), [("error", "RuntimeError"), ("interrupt", "KeyboardInterrupt")]
)
def test_a_run_broken_off_says_how_far_it_came(notebook, cell, error):
    shown, raised = texts(notebook[cell])
    assert re.fullmatch(r"Epoch 1/2 ━━━─{17} [56]/32(  loss  mae)?", shown)
    assert raised == error


def test_what_runs_afterwards(notebook):
    assert notebook["names"] == []
    assert texts(notebook["afterwards"]) == [epochs(1, 1, 1)]
    assert texts(notebook["slow"]) == [epochs(1, 1, 1)]
    assert texts(notebook["loop"]) == [f"{BAR} 3/3  loss"]
    assert "loss: 2.0000" in notebook["loop"][0].data["text/plain"]
    assert texts(notebook["modules"]) == ["stdout: []\n"]


def test_it_is_live(notebook):
    first, *_, last = SHOWN["slow"]
    assert first == f"Epoch 1/1 {'─' * 20} 0/32"
    line = re.compile(r"Epoch 1/1 ━+─+ \d+/32  \S+ \S+/step  \S+ s left  loss: \S+  mae: \S+")
    assert any(map(line.fullmatch, SHOWN["slow"])), SHOWN["slow"]
    assert last == notebook["slow"][0].data["text/plain"]
    assert len(SHOWN["many epochs"]) < 100  # of 230 epochs: not one for each


def test_output_that_is_kept_elsewhere_is_lines(notebook):
    assert texts(notebook["redirected"]) == ["stdout: Epoch 1/1  32/32  loss  mae\n"]
    assert notebook["captured"] == []
    assert texts(notebook["what was captured"]) == ["stdout: Epoch 1/1  32/32  loss  mae\n 0\n"]


def test_no_codes_of_a_terminal(notebook):
    for cell, outputs in notebook.items():
        for output in outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            assert not re.search(r"[\x00-\x09\x0b-\x1f]", text), (cell, text)
