"""Figures beside their targets, tables, and the one JSON shape every part writes."""

from __future__ import annotations

import importlib.util
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Check:
    """One figure and the most it may be."""

    name: str
    value: float
    target: float
    unit: str

    @property
    def met(self) -> bool:
        return self.value <= self.target


def weft_missing() -> str | None:
    """Why weft's rows cannot run, or None if they can."""
    if importlib.util.find_spec("weft") is None:
        return "weft is not installed"
    import weft

    needed = ("Sequential", "Model", "GradientTape", "Variable", "layers", "losses", "optimizers")
    absent = [name for name in needed if not hasattr(weft, name)]
    return f"this weft has no {', '.join(absent)}" if absent else None


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """Lowest and highest value, as text."""
    return f"{min(values):.3g}-{max(values):.3g}"


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Prints left-aligned first column, right-aligned others."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * w for w in widths], *rows]:
        cells = [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip(), flush=True)


def print_checks(title: str, checks: list[Check]) -> None:
    """Prints each figure with its target and whether it is met."""
    rows = []
    for c in checks:
        measured, target = f"{c.value:.3g} {c.unit}", f"<= {c.target:g} {c.unit}"
        rows.append([c.name, measured, target, "met" if c.met else "MISSED"])
    print_table(title, ["figure", "measured", "target", ""], rows)


def write_json(path: str | None, checks: list[Check], figures: object) -> None:
    """Writes a part's checks and raw figures to ``path`` (nothing where it is None)."""
    if path:
        content = {"checks": [asdict(c) for c in checks], "figures": figures}
        Path(path).write_text(json.dumps(content, indent=1) + "\n")


def read_checks(path: str | Path) -> list[Check]:
    """Reads the checks that ``write_json`` wrote."""
    return [Check(**c) for c in json.loads(Path(path).read_text())["checks"]]
