"""TensorBoard itself, started on the logs: what it serves, and what a browser shows of it."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

import weft
from tests.callbacks.models import fit, model
from weft.callbacks import TensorBoard

pytest.importorskip("tensorboard")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a TensorBoard on the logs of a run, and that run's history."""
    folder = tmp_path_factory.mktemp("logs")
    board = TensorBoard(folder, histogram_freq=1, write_images=True, update_freq=2)
    history = fit(model(weft), 3, [board]).history
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0",
         "--load_fast", "false"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ports = (re.search(r"http://[^:]+:(\d+)/", line) for line in process.stderr)
        address = f"http://127.0.0.1:{next(filter(None, ports)).group(1)}/"
        for _ in range(50):  # the files are read in the background
            if len(get(address, "scalars/tags")) == 2:
                break
            time.sleep(0.2)
        yield address, history
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def get(address, what):
    with urllib.request.urlopen(f"{address}data/plugin/{what}") as answer:
        return json.loads(answer.read())


def test_it_serves_what_was_written(served):
    address, history = served
    tags = get(address, "scalars/tags")
    assert {"epoch_loss", "epoch_mae", "epoch_learning_rate", "batch_loss"} <= set(tags["train"])
    for run, prefix in (("train", ""), ("validation", "val_")):
        points = get(address, f"scalars/scalars?run={run}&tag=epoch_loss")
        assert [step for _, step, _ in points] == [0, 1, 2]
        assert [value for _, _, value in points] == history[f"{prefix}loss"]
    tag = next(tag for tag in get(address, "histograms/tags")["train"] if "hid/kernel" in tag)
    rows = get(address, f"histograms/histograms?run=train&tag={tag}")
    assert [step for _, step, _ in rows] == [0, 1, 2]
    assert all(sum(count for *_, count in bins) == 12 for _, _, bins in rows)
    assert any("hid/kernel" in tag for tag in get(address, "images/tags")["train"])
    graphs = get(address, "graphs/info")["train"]
    assert graphs["run_graph"] and graphs["tags"]["keras"]["conceptual_graph"]


def page(address, folder, milliseconds):
    """What Chromium makes of a page in so much of its own time, and its picture's size."""
    picture = folder / "page.png"
    shown = subprocess.run(
        [shutil.which("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
         f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1200",
         f"--virtual-time-budget={milliseconds}", f"--screenshot={picture}", "--dump-dom", address],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    return re.sub(r"\s+", " ", shown.stdout), picture.stat().st_size


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed")
@pytest.mark.parametrize(
    ("tags", "card"), [("epoch_loss", "scalar-card"), ("hid/kernel/hist", "histogram-card")]
)
def test_a_browser_shows_it(tags, card, served, tmp_path):
    address, _ = served
    address = f"{address}?tagFilter={tags.replace('/', '%2F')}#timeseries"
    # The axis has the steps, which come with the data only.
    drawn = re.compile(rf"<{card} .*<text[^>]*> ?(0\.5|1\.5|1|2) ?</text>")
    for attempt in range(1, 9):  # the page's time also runs while it waits for the server
        folder = tmp_path / str(attempt)
        folder.mkdir()
        text, size = page(address, folder, 10_000 * attempt)
        if drawn.search(text):
            break
    assert drawn.search(text) and tags in text and size > 10_000
