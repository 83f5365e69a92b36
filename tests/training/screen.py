"""A terminal for tests: a stream that says it is one, and what a person sees of its output."""

import io
import re
import sys

BAR = "━" * 20


class Terminal(io.StringIO):
    """A stream that says it is a terminal, takes what its encoding has, and is stdout in `with`."""

    encoding = "utf-8"

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self.encoding = encoding

    def isatty(self):
        return True

    def write(self, text):
        text.encode(self.encoding)
        return super().write(text)

    def __enter__(self):
        self._before = sys.stdout
        sys.stdout = self
        return self

    def __exit__(self, *_):
        now, sys.stdout = sys.stdout, self._before
        assert now is self, f"stdout was not given back: {now}"

    @property
    def lines(self):
        return screen(self.getvalue())


def screen(output):
    """What a terminal shows after `output`: its lines, without colours and trailing blanks."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", output):
        code = re.fullmatch(r"\x1b\[([0-9;?]*)([A-Za-z])", token)
        if token == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif token == "\r":
            column = 0
        elif code is None:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + len(token) :]
            column += len(token)
        elif code[2] == "A":
            row -= int(code[1] or 1)
            assert row >= 0, "the cursor left the screen"
        elif code[2] == "K":
            assert code[1] == "2"
            lines[row] = ""
        else:
            assert code[2] == "m" or code[1] == "?25", f"unknown code {token!r}"
    return [line.rstrip() for line in "\n".join(lines).rstrip().split("\n")]
