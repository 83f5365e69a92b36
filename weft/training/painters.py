"""Where progress is drawn: a terminal, a notebook, plain lines.

A painter has `begin` (a stage begins: whether it has to be drawn at once), `draw` (for now), `keep`
(for good) and `close`; `live` says whether `draw` shows anything, `every` how often, in seconds.
"""

from __future__ import annotations

import io
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.training.progress import Status

__all__ = ["Inline", "Lines", "Notebook", "Terminal", "painter_for"]

_STYLES = {"bar": "green", "rest": "bright_black", "time": "cyan", "stage": "yellow"}


class Lines:
    """A line for each finished stage."""

    live = False
    every = 0.0

    def __init__(self, console: Any = None) -> None:
        self._console = console

    def begin(self) -> bool:
        return False

    def draw(self, status: Status) -> None:
        pass

    def keep(self, status: Status) -> None:
        stream = self._console.file if self._console else sys.stdout
        # A notebook's stream is flushed for it, many lines at a time.
        print(_writable(status.text(), stream), file=stream, flush=not is_notebook())

    def close(self) -> None:
        pass


class Terminal:
    """A bar that rich keeps at the bottom of the terminal; stdout and stderr go above it."""

    live = True
    every = 0.2
    open = 0  # bars on the terminal: there is room for one

    def __init__(self, console: Any = None) -> None:
        from rich.live import Live

        self._console = console or _stdout()
        self._live = Live(
            "", console=self._console, auto_refresh=False, transient=True,
            vertical_overflow="visible",
        )  # fmt: skip
        self._live.start()
        Terminal.open += 1
        # Also when the run is forgotten or Python ends: the cursor must come back.
        self._stop = weakref.finalize(self, Terminal._stopped, self._live)

    @staticmethod
    def _stopped(live: Any) -> None:
        Terminal.open -= 1
        live.update("")
        live.stop()

    def begin(self) -> bool:
        return False

    def draw(self, status: Status) -> None:
        self._live.update(_styled(status, self._console), refresh=True)

    def keep(self, status: Status) -> None:
        self._live.update("", refresh=True)
        self._console.print(_styled(status, self._console))

    def close(self) -> None:
        self._stop()


class Inline:
    """A bar on the terminal's last line, which nobody has to close: nothing is taken over."""

    live = True
    every = 0.2

    def __init__(self, console: Any = None) -> None:
        self._console = console or _stdout()

    def begin(self) -> bool:
        return False

    def draw(self, status: Status) -> None:
        text = _styled(status, self._console)
        text.truncate(self._console.width - 1, overflow="crop")
        self._write(text, "")

    def keep(self, status: Status) -> None:
        self._write(_styled(status, self._console), "\n")

    def _write(self, text: Any, end: str) -> None:
        with self._console.capture() as made:
            self._console.print(text, end=end, soft_wrap=True)
        self._console.file.write("\r\x1b[2K" + made.get())
        self._console.file.flush()

    def close(self) -> None:
        pass


class Notebook:
    """Text in the cell's output that is replaced: the finished stages and the one that runs.

    It is one output, however many stages there are: frontends hide outputs after some fifty, and
    a notebook is saved with all of them. Where something else was put out since the last stage,
    such as a callback's message, a new output goes on below it.
    """

    live = True
    every = 0.2  # a drawing costs 0.7 ms of the kernel's time
    MOST = 100  # lines of an output, all of which are sent at each drawing

    def __init__(self) -> None:
        self._handle: Any = None
        self._kept: list[str] = []
        self._unsent = self._below = False
        self._seen: int | None = None  # messages of the kernel, this output's last one included

    def begin(self) -> bool:
        if self._handle is not None:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            if self._below or len(self._kept) >= self.MOST or _messages() != self._seen:
                self.close()
        return self._handle is None  # a new output has its place from now on

    def draw(self, status: Status) -> None:
        self._send(status.text("━─"))

    def keep(self, status: Status) -> None:
        self._kept.append(status.text("━─"))
        self._unsent = True  # stages may be short: sent with the next drawing
        if status.seconds is not None and status.seconds >= self.every:
            self._send()

    def close(self) -> None:
        """Leave the finished stages as they are; what follows is another output."""
        if self._unsent:
            self._send()
        self._handle, self._kept, self._below = None, [], False

    def _send(self, *running: str) -> None:
        from IPython.display import display

        shown = {"text/plain": "\n".join([*self._kept, *running])}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
            self._seen = _messages()
        else:
            self._handle.update(shown, raw=True)  # after what has been printed
            seen, self._seen = self._seen, _messages()
            self._below |= seen is not None and self._seen != seen + 1
        self._unsent = False


def _messages() -> int | None:
    """How many messages this kernel has sent: whether there is other output than progress."""
    publisher = getattr(sys.modules["IPython"].get_ipython(), "display_pub", None)
    return getattr(getattr(publisher, "session", None), "message_count", None)


def painter_for(verbose: int, console: Any = None, inline: bool = False) -> Any:
    """The painter that fits where Python's output goes.

    Args:
        verbose: 1 a bar where there can be one, 2 lines.
        console: a `rich.console.Console` to draw on in place of stdout.
        inline: whether the bar leaves the terminal to the user between two drawings.
    """
    if verbose == 1 and Terminal.open == 0:
        kept = isinstance(sys.stdout, io.StringIO | io.TextIOWrapper)  # in memory or in a file
        if console is None and is_notebook() and not kept:
            return Notebook()
        if console.is_terminal if console is not None else _is_terminal():
            return Inline(console) if inline else Terminal(console)
    return Lines(console)


def _is_terminal() -> bool:
    isatty = getattr(sys.stdout, "isatty", None)
    return isatty is not None and isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def is_notebook() -> bool:
    """Whether this Python is the kernel of a notebook, whose outputs can be replaced.

    Other frontends of kernels, such as Spyder's console, have shells of their own, and do not
    show what replaces an output.
    """
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    kind = type(shell)
    return kind.__name__ == "ZMQInteractiveShell" or kind.__module__.startswith("google.colab")


class _Writable:
    """A stream that takes any text: rich would keep, and fail on again, what was refused once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_writable(text, self._stream))  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _stdout() -> Any:
    from rich.console import Console

    return Console(file=_Writable(sys.stdout))  # type: ignore[arg-type]


def _styled(status: Status, console: Any) -> Any:
    from rich.text import Text

    encoding = (console.encoding or "").lower()
    parts = status.parts("━━" if encoding.startswith("utf") else "=-")
    return Text.assemble(
        *((_writable(text, console), _STYLES.get(style, "")) for text, style in parts)
    )


def _writable(text: str, stream: Any) -> str:
    """`text` in characters that the stream has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("µ", "u").encode(encoding, "replace").decode(encoding)
    return text
