"""Where a picture's boxes and arrows go: in ranks along the arrows, ordered to cross little.

Boxes stand in ranks by their greatest distance from the first; an arrow over several ranks goes
through a point in each of them. The order within a rank follows the mean place of the neighbours
(the barycentre), and so do the places, as near to it as the widths allow.

Reference: Sugiyama, Tagawa & Toda, Methods for Visual Understanding of Hierarchical System
Structures (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from weft.models.picture import Box, Picture

__all__ = ["Layout", "layout_of"]

Point = tuple[float, float]
Place = tuple[float, float, float, float]  # x, y, width, height

_BETWEEN_RANKS = 0.36  # inches
_BETWEEN_BOXES = 0.25
_MARGIN = 0.3  # around what is inside a frame
_SWEEPS = 20


@dataclass
class Layout:
    """Places in inches, x across and y along the ranks, from the corner where those begin."""

    width: float = 0.0
    height: float = 0.0
    boxes: dict[str, Place] = field(default_factory=dict)
    frames: dict[str, Place] = field(default_factory=dict)
    arrows: list[list[Point]] = field(default_factory=list)

    def add(self, other: Layout, x: float, y: float) -> None:
        """Take another layout in, at this place."""
        for mine, more in ((self.boxes, other.boxes), (self.frames, other.frames)):
            mine.update({k: (x + a, y + b, w, h) for k, (a, b, w, h) in more.items()})
        self.arrows += [[(x + a, y + b) for a, b in points] for points in other.arrows]


@dataclass(eq=False)
class _Item:
    """What stands in a rank: a box, a model with its layers, or a point of a long arrow."""

    width: float
    height: float
    rank: int = 0
    x: float = 0.0  # of the middle
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)
    inside: Layout | None = None
    box: Box | None = None

    @property
    def weight(self) -> float:
        return 1.0 if self.box else 4.0  # long arrows are better straight


def layout_of(picture: Picture, measure: Callable[[Box], tuple[float, float]]) -> Layout:
    """Places for all of a picture.

    Args:
        picture: a model's.
        measure: gives a box's size across and along the ranks, in inches.
    """
    items, owner = [], {}
    for box in picture.boxes:
        item = _Item(*(measure(box) if box.inside is None else (0.0, 0.0)), box=box)
        if box.inside is not None:
            item.inside = inner = layout_of(box.inside, measure)
            item.width = max(inner.width + 2 * _MARGIN, measure(Box(box.key, box.title))[0])
            item.height = inner.height + 2 * _MARGIN
        items.append(item)
        owner.update(dict.fromkeys(_keys(box), item))
    place = {id(item): k for k, item in enumerate(items)}
    # An arrow against the order, of a layer that is called again further on, has no say in it.
    forward = [(a, b) for a, b in picture.arrows if place[id(owner[a])] < place[id(owner[b])]]
    if picture.arrows:
        _rank(items, [(owner[a], owner[b]) for a, b in forward])
    else:  # nothing says how they stand: one after the other
        for k, item in enumerate(items):
            item.rank = k
    ranks: list[list[_Item]] = [[] for _ in range(1 + max((i.rank for i in items), default=-1))]
    for item in items:
        ranks[item.rank].append(item)
    chains = [_chain(owner[a], owner[b], ranks) for a, b in forward]
    _order(ranks)
    _place(ranks)
    return _finish(picture, ranks, dict(zip(forward, chains, strict=True)))


def _keys(box: Box) -> list[str]:
    """The keys of a box and of those inside it."""
    inner = box.inside.boxes if box.inside else []
    return [box.key, *(key for each in inner for key in _keys(each))]


def _rank(items: list[_Item], arrows: list[tuple[_Item, _Item]]) -> None:
    sources: dict[int, list[_Item]] = {}
    targets: dict[int, list[_Item]] = {}
    for before, after in arrows:
        sources.setdefault(id(after), []).append(before)
        targets.setdefault(id(before), []).append(after)
    for item in items:  # in an order that the arrows follow
        item.rank = max((s.rank + 1 for s in sources.get(id(item), ())), default=0)
    for item in reversed(items):  # an input stands just above what takes it
        if id(item) in targets and id(item) not in sources:
            item.rank = min(t.rank for t in targets[id(item)]) - 1


def _chain(before: _Item, after: _Item, ranks: list[list[_Item]]) -> list[_Item]:
    """The items that an arrow goes through; points are put into the ranks between its ends."""
    points = [_Item(0.0, 0.0, rank) for rank in range(before.rank + 1, after.rank)]
    for point in points:
        ranks[point.rank].append(point)
    chain = [before, *points, after]
    for upper, lower in pairwise(chain):
        upper.below.append(lower)
        lower.above.append(upper)
    return chain


def _order(ranks: list[list[_Item]]) -> None:
    """Order each rank by where its neighbours stand in the next, down and up by turns."""
    best, crossings = [list(rank) for rank in ranks], _crossings(ranks)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for rank in ranks if down else reversed(ranks):
            for row in ranks:
                for k, item in enumerate(row):
                    item.x = (k + 0.5) / len(row)
            rank.sort(key=lambda item: _mean(item, item.above if down else item.below))
        if (now := _crossings(ranks)) < crossings:
            best, crossings = [list(rank) for rank in ranks], now
    for rank, row in zip(ranks, best, strict=True):
        rank[:] = row


def _crossings(ranks: list[list[_Item]]) -> int:
    """How often arrows cross."""
    count = 0
    for upper, lower in pairwise(ranks):
        place = {id(item): k for k, item in enumerate(lower)}
        ends: list[int] = []
        for item in upper:
            mine = [place[id(other)] for other in item.below]
            count += sum(end > other for other in mine for end in ends)
            ends += mine
    return count


def _mean(item: _Item, others: list[_Item]) -> float:
    return sum(other.x for other in others) / len(others) if others else item.x


def _place(ranks: list[list[_Item]]) -> None:
    """Give each item an x near its neighbours', in the order of its rank and without overlaps."""
    for rank in ranks:
        _spread(rank, [0.0] * len(rank))
    for sweep in range(_SWEEPS):
        for rank in ranks if sweep % 2 == 0 else reversed(ranks):
            _spread(rank, [_mean(item, item.above + item.below) for item in rank])


def _spread(rank: list[_Item], wanted: list[float]) -> None:
    """The places nearest to those wanted, in the sense of least squares, that leave room.

    With each item's distance from the first taken off, the places must only not decrease: items
    whose places would are pooled at their mean.
    """
    offsets = [0.0]
    for left, right in pairwise(rank):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + _BETWEEN_BOXES)
    pools: list[list[float]] = []  # the mean, the weight, how many
    for item, x, offset in zip(rank, wanted, offsets, strict=True):
        pools.append([x - offset, item.weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, v, m), (b, w, n) = pools[-2:]
            pools[-2:] = [[(a * v + b * w) / (v + w), v + w, m + n]]
    places = [mean for mean, _, count in pools for _ in range(int(count))]
    for item, place, offset in zip(rank, places, offsets, strict=True):
        item.x = place + offset


def _finish(
    picture: Picture, ranks: list[list[_Item]], chains: dict[tuple[str, str], list[_Item]]
) -> Layout:
    layout = Layout()
    spans: list[tuple[float, float]] = []
    for rank in ranks:
        top = layout.height + (_BETWEEN_RANKS * (1 + 0.04 * len(rank)) if spans else 0.0)
        layout.height = top + max(item.height for item in rank)
        spans.append((top, layout.height))
        for item in rank:
            if item.box is None:
                continue
            x, y = item.x - item.width / 2, top + (layout.height - top - item.height) / 2
            if item.inside is None:
                layout.boxes[item.box.key] = (x, y, item.width, item.height)
            else:
                layout.frames[item.box.key] = (x, y, item.width, item.height)
                layout.add(item.inside, x + (item.width - item.inside.width) / 2, y + _MARGIN)
    for a, b in picture.arrows:
        first, last = layout.boxes[a], layout.boxes[b]
        if (a, b) in chains:
            through = [(i.x, y) for i in chains[a, b][1:-1] for y in spans[i.rank]]
            start = (first[0] + first[2] / 2, first[1] + first[3])
            layout.arrows.append([start, *through, (last[0] + last[2] / 2, last[1])])
        else:
            layout.arrows.append(_back(first, last, list(layout.boxes.values())))
    return _trimmed(layout)


def _back(first: Place, last: Place, boxes: list[Place]) -> list[Point]:
    """An arrow from a box back to one above it, or to itself, on the side with fewer boxes."""
    out, into = first[1] + 0.7 * first[3], last[1] + 0.3 * last[3]
    top, bottom = sorted((out, into))
    near = [(x, x + w) for x, y, w, h in boxes if top <= y + h and y <= bottom]
    room = _BETWEEN_BOXES / 2
    left, right = min(a for a, _ in near) - room, max(b for _, b in near) + room
    leftwards = sum(b <= first[0] for _, b in near) < sum(a >= first[0] + first[2] for a, _ in near)
    side, edges = (left, (0, 0)) if leftwards else (right, (first[2], last[2]))
    return [(first[0] + edges[0], out), (side, out), (side, into), (last[0] + edges[1], into)]


def _trimmed(layout: Layout) -> Layout:
    """The layout moved to begin at x = 0, with the width that it has."""
    across = [x for x, _ in (point for points in layout.arrows for point in points)]
    for x, _, width, _ in (*layout.boxes.values(), *layout.frames.values()):
        across += [x, x + width]
    left, right = min(across, default=0.0), max(across, default=0.0)
    moved = Layout(right - left, layout.height)
    moved.add(layout, -left, 0.0)
    return moved
