"""`Progress`: how far a run has come, as a live bar or as plain lines."""

from __future__ import annotations

import math
import os
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.training.logs import Logs

__all__ = ["Progress"]

_BAR = 20  # characters
_STYLES = {"bar": "green", "rest": "bright_black", "time": "cyan", "stage": "yellow"}


class Progress:
    """Shows the stages of a run (epochs, an evaluation): steps, speed, time left, metrics.

    On a terminal it is a bar that is drawn anew ten times a second, with a line left behind for
    each finished stage; what is printed meanwhile appears above it. In a notebook the bar is text
    that is replaced. Anywhere else there is one line for each finished stage.

    Metric values are fetched when they are drawn. A value that the device is still working on is
    drawn the next time, so that the device never waits for the drawing.

    Args:
        verbose: 0 nothing, 1 or "auto" as above, 2 a line for each finished stage.
        console: a `rich.console.Console` to draw on in place of stdout.
        every: seconds between two drawings.
        clock: seconds, from any start.

    Raises:
        ValueError: `verbose` is none of those.

    Example:
        >>> progress = Progress(verbose=2)
        >>> progress.start("Epoch 1/1", total=2)
        >>> for step in (1, 2):
        ...     progress.step(step, {"loss": 1 / step})
        >>> progress.finish()
        Epoch 1/1  2/2  ...  loss: 0.5000
    """

    def __init__(
        self,
        verbose: int | str = "auto",
        *,
        console: Any = None,
        every: float = 0.1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(
                f"verbose must be 0 (silent), 1 or 'auto' (a progress bar) or 2 (a line an epoch), "
                f"got {verbose!r}."
            )
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self._console = console
        self._every = every
        self._clock = clock
        self._painter: Any = None
        self._status: Status | None = None  # of the stage that is running
        self._total: int | None = None
        self._count = 0
        self._logs: Any = None
        self._held: tuple[int, Logs] | None = None  # drawn when the device has done it
        self._first: tuple[int, float] | None = None  # after the first step, which compiles
        self._began = 0.0
        self._due = -math.inf

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps (None: not known) called `label`."""
        if not self.verbose:
            return
        if self._painter is None:
            self._painter = _painter(self.verbose, self._console)
        self._status = Status(label, total)
        self._total = total
        self._count, self._logs = 0, None
        self._held = self._first = None
        self._due = -math.inf
        self._began = self._clock()
        self._painter.draw(self._status)

    def step(self, count: int, logs: Any = None) -> None:
        """`count` steps of the stage have been started; `logs` are its values up to here."""
        self._count = count
        self._logs = logs
        if self._status is not None and (count == self._total or self._clock() >= self._due):
            self._draw()

    def aside(self, what: str, count: int = 0) -> None:
        """Tell of something besides the stage's steps, such as step `count` of a validation."""
        status = self._status
        if status is None:
            return
        if not status.note:
            self._settle()
            self._due = -math.inf
        if self._painter.live and self._clock() >= self._due:
            status.note = f"{what} {count}" if count else what
            self._painter.draw(status)
            self._due = self._clock() + self._every

    def finish(self, logs: Any = None) -> None:
        """End the stage; its line stays, with all of `logs` (default: the last step's)."""
        status = self._status
        if status is None:
            return
        self._settle()
        if logs is not None:
            status.metrics = dict(_as_logs(logs))
        status.note = ""
        status.seconds = self._clock() - self._began
        self._status = None
        self._painter.keep(status)

    def close(self) -> None:
        """Give the terminal back; a stage broken off leaves its last line."""
        painter, self._painter = self._painter, None
        status, self._status = self._status, None
        if painter is not None:
            if status is not None and painter.live:
                painter.keep(status)
            painter.close()

    def _draw(self) -> None:
        status, painter = self._status, self._painter
        assert status is not None
        if self._first is None:
            self._first = (self._count, self._clock())
        if self._count == self._total:
            self._settle()  # before validation and callbacks take their time
        elif not painter.live:
            self._due = math.inf
            return
        else:
            logs = _as_logs(self._logs)
            shown, self._held = self._held, (self._count, logs)
            if logs.ready():
                shown = self._held
            if shown is not None:
                self._take(*shown)
        painter.draw(status)
        self._due = self._clock() + self._every

    def _settle(self) -> None:
        """Take the values and the speed of all steps, waiting for them."""
        assert self._status is not None
        if not self._status.settled:
            self._take(self._count, _as_logs(self._logs))
            self._status.settled = True

    def _take(self, step: int, logs: Logs) -> None:
        """Read the values after `step` steps, then the clock."""
        status = self._status
        assert status is not None
        status.step, status.metrics = step, dict(logs)
        now = self._clock()
        if self._first is not None and step > self._first[0]:
            status.per_step = (now - self._first[1]) / (step - self._first[0])
        elif step == self._total:
            status.per_step = (now - self._began) / step
        remaining = (self._total or 0) - step
        status.left = None
        if remaining > 0 and status.per_step is not None:
            status.left = remaining * status.per_step


@dataclass
class Status:
    """What is drawn of a stage. Times are in seconds."""

    label: str
    total: int | None
    step: int = 0
    per_step: float | None = None
    left: float | None = None  # to the end of the stage
    seconds: float | None = None  # all of it, once it is finished
    note: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    settled: bool = False  # step, speed and metrics are final

    def parts(self, bar: str = "") -> list[tuple[str, str]]:
        """The line as (text, style name); `bar` holds the characters of a bar's two ends."""
        made = [(self.label, "")] if self.label else []
        total = self.total or (self.step if self.seconds is not None else 0)
        if bar:
            done = min(_BAR, _BAR * self.step // total) if total else 0
            made += [(" ", ""), (bar[0] * done, "bar"), (bar[1] * (_BAR - done), "rest")]
        gap = (" " if bar else "  ") if made else ""
        made.append((f"{gap}{self.step}" + (f"/{total}" if total else ""), ""))
        if self.seconds is not None:
            made.append(("  " + duration(self.seconds), "time"))
        if self.per_step is not None:
            made.append((f"  {pace(self.per_step)}/step", "time"))
        if self.left is not None:
            made.append((f"  {duration(self.left)} left", "time"))
        if self.note:
            made.append((f"  {self.note}", "stage"))
        made += [(f"  {name}: {number(value)}", "") for name, value in self.metrics.items()]
        return made

    def text(self, bar: str = "") -> str:
        """The line without styles."""
        return "".join(text for text, _ in self.parts(bar))


def _as_logs(logs: Any) -> Logs:
    return logs if isinstance(logs, Logs) else Logs(logs or ())


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 0.3 s, 45 s, 2:05, 1:02:05."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pace(seconds: float) -> str:
    """The time of a step with three digits and a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < 999.5 * size else duration(seconds)
    return f"{seconds * 1e6:.3g} µs"


def number(value: Any) -> str:
    """A metric's value, short."""
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=4, threshold=8, max_line_width=10**6)
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.4e}"
    return str(value)


# -- where it is drawn ------------------------------------------------------------------------


class _Lines:
    """A line for each finished stage."""

    live = False

    def __init__(self, console: Any) -> None:
        self._console = console

    def draw(self, status: Status) -> None:
        pass

    def keep(self, status: Status) -> None:
        print(status.text(), file=self._console.file if self._console else None, flush=True)

    def close(self) -> None:
        pass


class _Terminal:
    """A bar that rich keeps at the bottom of the terminal; stdout and stderr go above it."""

    live = True
    open = 0  # bars on the terminal: there is room for one

    def __init__(self, console: Any) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._console = console or Console()
        utf8 = (self._console.encoding or "").lower().startswith("utf")
        self._bar = "━━" if utf8 else "=-"
        self._text = Text
        self._live = Live(
            Text(), console=self._console, auto_refresh=False, transient=True,
            vertical_overflow="visible",
        )  # fmt: skip
        self._live.start()
        _Terminal.open += 1
        # Also when the run is forgotten or Python ends: the cursor must come back.
        self._stop = weakref.finalize(self, _Terminal._stopped, self._live)

    @staticmethod
    def _stopped(live: Any) -> None:
        _Terminal.open -= 1
        live.update("")
        live.stop()

    def _styled(self, status: Status) -> Any:
        parts = [(text, _STYLES.get(style, "")) for text, style in status.parts(self._bar)]
        return self._text.assemble(*parts)

    def draw(self, status: Status) -> None:
        self._live.update(self._styled(status), refresh=True)

    def keep(self, status: Status) -> None:
        self._live.update("", refresh=True)
        self._console.print(self._styled(status))

    def close(self) -> None:
        self._stop()


class _Notebook:
    """Text in the cell's output that is replaced; no widgets are needed."""

    live = True

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, status: Status) -> None:
        from IPython.display import display

        shown = {"text/plain": status.text("━─")}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def keep(self, status: Status) -> None:
        self.draw(status)
        self._handle = None

    def close(self) -> None:
        pass


def _painter(verbose: int, console: Any) -> Any:
    if verbose == 1 and _Terminal.open == 0:
        if console.is_terminal if console is not None else _is_terminal():
            return _Terminal(console)
        if console is None and _is_notebook():
            return _Notebook()
    return _Lines(console)


def _is_terminal() -> bool:
    isatty = getattr(sys.stdout, "isatty", None)
    return isatty is not None and isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _is_notebook() -> bool:
    """Whether this Python is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return hasattr(shell, "kernel")
