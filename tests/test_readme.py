"""README.md's Python runs as it stands, from the first block to the last."""

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_code_blocks_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    names = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["model"](names["images"]).shape == (len(names["labels"]), 10)
    assert "epoch 5: loss" in capsys.readouterr().out
