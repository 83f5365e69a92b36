"""`Progress`: how far a run has come, as a live bar or as plain lines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.training.logs import Logs
from weft.training.painters import painter_for

__all__ = ["Progress", "Status", "checked_verbose", "duration", "number", "pace"]


_NEVER = 1 << 62


class Progress:
    """Shows the stages of a run (epochs, an evaluation): steps, speed, time left, metrics.

    On a terminal it is a bar that is drawn anew five times a second, with a line left behind for
    each finished stage; what is printed meanwhile appears above it. In a notebook it is one
    output, whose text is replaced as often, with a line for each stage. Anywhere else
    there is one line for each finished stage.

    Metric values are fetched when they are drawn. A value that the device is still working on is
    drawn the next time, so that the device never waits for the drawing.

    Args:
        verbose: 0 nothing, 1 or "auto" as above, 2 a line for each finished stage.
        console: a `rich.console.Console` to draw on in place of stdout.
        every: seconds between two drawings, in place of the above.
        clock: seconds, from any start.
        width: characters of the bar.
        unit: what a step is called.
        inline: whether the terminal is left to the user between two drawings: what is printed then
            follows the bar, and `close` need not be called.

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
        every: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        width: int = 20,
        unit: str = "step",
        inline: bool = False,
    ) -> None:
        checked_verbose(verbose)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self._console = console
        self._given_every = every
        self._every = 0.0
        self._clock = clock
        self._width = width
        self._unit = unit
        self._inline = inline
        self._painter: Any = None
        self._status: Status | None = None  # of the stage that is running
        self._total: int | None = None
        self._count = 0
        self._logs: Any = None
        self._held: tuple[int, Logs] | None = None  # drawn when the device has done it
        self._first: tuple[int, float] | None = None  # after the first step, which compiles
        self._began = 0.0
        self._due = -math.inf  # when a step is looked at
        self._look = 0  # from which step on
        self._seen = (0, 0.0)  # the last one looked at, and when
        self._next = -math.inf  # when something is drawn

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps (None: not known) called `label`."""
        if not self.verbose:
            return
        if self._painter is None:
            self._painter = painter_for(self.verbose, self._console, self._inline)
            self._every = self._painter.every if self._given_every is None else self._given_every
            self._next = -math.inf
        self._status = Status(label, total, width=self._width, unit=self._unit)
        self._total = total
        self._count, self._logs = 0, None
        self._held = self._first = None
        self._began = self._clock()
        self._look, self._seen = 0, (0, self._began)
        if self._painter.begin():
            self._next = -math.inf
        self._paint()
        self._due = -math.inf

    def step(self, count: int, logs: Any = None) -> None:
        """`count` steps of the stage have been started; `logs` are its values up to here."""
        before, self._count = self._count, count
        self._logs = logs
        if count >= self._look or count == self._total or count < before:
            self._look_at(count)

    def aside(self, what: str, count: int = 0) -> None:
        """Tell of something besides the stage's steps, such as step `count` of a validation."""
        status = self._status
        if status is None:
            return
        if not status.note:
            self._settle()
            self._turn()
        if self._painter.live and self._clock() >= self._next:
            status.note = f"{what} {count}" if count else what
            self._paint()

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
        self._turn()
        self._status = None
        self._painter.keep(status)

    def close(self) -> None:
        """Give the terminal back; a stage broken off leaves the line that it had come to."""
        painter, self._painter = self._painter, None
        status = self._status
        if painter is not None:
            if status is not None and painter.live:
                with suppress(Exception):  # there is another on its way, and values may be broken
                    logs = _as_logs(self._logs)
                    if not status.settled and logs.ready():
                        self._take(self._count, logs)
                status.left = None
                painter.keep(status)
            painter.close()
        self._status = None

    def _look_at(self, count: int) -> None:
        """Draw a step if it is time, and choose the next to be looked at: reading a clock costs."""
        now = self._clock()
        if self._status is None:
            self._look = _NEVER
            return
        if count == self._total or now >= self._due:
            self._draw()
            if self._due == math.inf:  # not before the stage's last step
                self._look = _NEVER
                return
        steps, seconds = count - self._seen[0], now - self._seen[1]
        self._seen = (count, now)
        # A tenth of the time between two drawings, at the speed of the last steps.
        ahead = 0.1 * self._every / seconds * steps if seconds > 0 else 1
        self._look = count + max(1, int(min(ahead, 2 * steps)))

    def _paint(self) -> None:
        now = self._clock()
        if now >= self._next:
            self._painter.draw(self._status)
            self._next = now + self._every
        self._due = self._next

    def _turn(self) -> None:
        """At the stage's end, or before something else begins: have that shown at once.

        Except where stages take less than the time between two drawings.
        """
        if self._clock() - self._began >= self._every:
            self._next = -math.inf

    def _draw(self) -> None:
        if self._first is None:
            self._first = (self._count, self._clock())
        if self._count == self._total:
            self._settle()  # before validation and callbacks take their time
            self._turn()
        elif not self._painter.live:
            self._due = math.inf
            return
        elif self._clock() >= self._next:
            logs = _as_logs(self._logs)
            shown, self._held = self._held, (self._count, logs)
            if logs.ready():
                shown = self._held
            if shown is not None:
                self._take(*shown)
        self._paint()

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
    width: int = 20  # of the bar
    unit: str = "step"

    def parts(self, bar: str = "") -> list[tuple[str, str]]:
        """The line as (text, style name); `bar` holds the characters of a bar's two ends."""
        made = [(self.label, "")] if self.label else []
        bar = bar if self.width else ""
        total = self.total or (self.step if self.seconds is not None else 0)
        if bar:
            width = self.width
            done = min(width, width * self.step // total) if total else 0
            made += [(" ", "")] if made else []
            made += [(bar[0] * done, "bar"), (bar[1] * (width - done), "rest")]
        gap = (" " if bar else "  ") if made else ""
        made.append((f"{gap}{self.step}" + (f"/{total}" if total else ""), ""))
        if self.seconds is not None:
            made.append(("  " + duration(self.seconds), "time"))
        if self.per_step is not None:
            made.append((f"  {pace(self.per_step)}/{self.unit}", "time"))
        if self.left is not None:
            made.append((f"  {duration(self.left)} left", "time"))
        if self.note:
            made.append((f"  {self.note}", "stage"))
        made += [(f"  {name}: {number(value)}", "") for name, value in self.metrics.items()]
        return made

    def text(self, bar: str = "") -> str:
        """The line without styles."""
        return "".join(text for text, _ in self.parts(bar))


def checked_verbose(verbose: Any) -> None:
    """Refuse what is no `verbose`.

    Raises:
        ValueError: it is none of 0, 1, 2 and "auto".
    """
    if not isinstance(verbose, str | int | float | np.number) or verbose not in (0, 1, 2, "auto"):
        raise ValueError(
            "verbose must be 0 (silent), 1 or 'auto' (a progress bar) or 2 (a line an epoch), "
            f"got {verbose!r}."
        )


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
