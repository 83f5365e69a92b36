"""A picture of a model drawn by matplotlib, for where Graphviz's `dot` is not installed."""

from __future__ import annotations

import io
from typing import Any

from weft.models.picture import Box, Picture
from weft.models.plot_layout import Layout, layout_of

__all__ = ["COLOURS", "draw"]

COLOURS = {"title": "#35486b", "text": "#ffffff", "detail": "#f3f5f9", "line": "#35486b",
           "frame": "#e3e8f2"}  # fmt: skip

_SIZE = 10  # points
_ROW = 0.26  # inches
_SIDE = 0.12
_EDGE = 0.2  # around everything
_PIXELS = 50_000  # the most on a side that can be drawn


def draw(picture: Picture, form: str, rankdir: str, dpi: float) -> bytes:
    """The image file of a picture.

    Args:
        picture: a model's.
        form: "png", "svg", "pdf" or another format of matplotlib's.
        rankdir: where the arrows go: "TB", "BT", "LR" or "RL".
        dpi: pixels in an inch.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    across = rankdir in ("LR", "RL")
    texts = _Texts()

    def measure(box: Box) -> tuple[float, float]:
        width, height = texts.size(box)
        return (height, width) if across else (width, height)

    layout = layout_of(picture, measure)
    length, breadth = (layout.height, layout.width), (layout.width, layout.height)
    width, height = (n + 2 * _EDGE for n in (length if across else breadth))
    figure = Figure(figsize=(width, height), dpi=min(dpi, _PIXELS / max(width, height)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-_EDGE, width - _EDGE)
    axes.set_ylim(height - _EDGE, -_EDGE)  # downwards
    _Drawing(axes, layout, rankdir).all(picture)
    file = io.BytesIO()
    figure.savefig(file, format=form, facecolor="white")
    return file.getvalue()


class _Texts:
    """How long texts are."""

    def __init__(self) -> None:
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextToPath

        self.paths = TextToPath()
        self.font = {bold: FontProperties(size=_SIZE, weight=bold) for bold in ("normal", "bold")}

    def length(self, text: str, weight: str = "normal") -> float:
        return self.paths.get_text_width_height_descent(text, self.font[weight], False)[0] / 72

    def size(self, box: Box) -> tuple[float, float]:
        lengths = [self.length(box.title, "bold")]
        lengths += [self.length(f"{label}: {value}") for label, value in box.details]
        return max(lengths) + 2 * _SIDE, _ROW * len(lengths)


class _Drawing:
    """Puts a layout's boxes and arrows on the axes, turned as `rankdir` says."""

    def __init__(self, axes: Any, layout: Layout, rankdir: str) -> None:
        self.axes, self.layout, self.rankdir = axes, layout, rankdir

    def all(self, picture: Picture) -> None:
        self.boxes(picture)
        for points in self.layout.arrows:
            self.arrow([self.turned(x, y) for x, y in points])

    def turned(self, x: float, y: float) -> tuple[float, float]:
        if self.rankdir in ("BT", "RL"):
            y = self.layout.height - y
        return (y, x) if self.rankdir in ("LR", "RL") else (x, y)

    def rectangle(self, x: float, y: float, w: float, h: float) -> tuple[float, ...]:
        (x0, y0), (x1, y1) = self.turned(x, y), self.turned(x + w, y + h)
        return min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)

    def boxes(self, picture: Picture) -> None:
        for box in picture.boxes:
            if box.inside is None:
                self.box(box, *self.rectangle(*self.layout.boxes[box.key]))
            else:
                x, y, w, h = self.rectangle(*self.layout.frames[box.key])
                self.patch(x, y, w, h, COLOURS["frame"], 1)
                self.text(x + 0.05, y + _ROW / 2, box.title, COLOURS["line"], "bold", "left")
                self.boxes(box.inside)

    def box(self, box: Box, x: float, y: float, w: float, h: float) -> None:
        if box.details:
            self.patch(x, y, w, h, COLOURS["detail"], 3)
        self.patch(x, y, w, _ROW, COLOURS["title"], 3)
        self.text(x + w / 2, y + _ROW / 2, box.title, COLOURS["text"], "bold")
        for k, (label, value) in enumerate(box.details, 1):
            middle = y + (k + 0.5) * _ROW
            self.text(x + w / 2, middle, f"{label}: {value}", "black", "normal")

    def patch(self, x: float, y: float, w: float, h: float, colour: str, layer: int) -> None:
        from matplotlib.patches import Rectangle

        line = {"facecolor": colour, "edgecolor": COLOURS["line"], "linewidth": 0.8}
        self.axes.add_patch(Rectangle((x, y), w, h, zorder=layer, **line))

    def text(
        self, x: float, y: float, text: str, colour: str, weight: str, side: str = "center"
    ) -> None:
        look = {"color": colour, "fontsize": _SIZE, "fontweight": weight, "parse_math": False}
        self.axes.text(x, y, text, ha=side, va="center_baseline", zorder=4, **look)

    def arrow(self, points: list[tuple[float, float]]) -> None:
        *_, before, end = points
        self.axes.plot(*zip(*points, strict=True), color=COLOURS["line"], linewidth=0.9, zorder=2)
        style = {"arrowstyle": "-|>,head_width=0.2,head_length=0.4", "shrinkA": 0, "shrinkB": 0}
        look = {"color": COLOURS["line"], "linewidth": 0.9}
        self.axes.annotate("", end, before, arrowprops={**style, **look}, zorder=2)
