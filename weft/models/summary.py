"""`summary`: a model's layers, output shapes and weights as a table."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from weft.engine import KerasTensor, Variable
from weft.engine.names import near
from weft.engine.symbolic import Node
from weft.models.graph import LayerGraph
from weft.models.outline import (
    calls_in,
    is_chain,
    is_model,
    is_unbuilt,
    kind_of,
    members,
    outputs_in,
    shape_text,
    sources,
)

__all__ = ["summary"]

_WIDTH = 100  # of the lines, where no terminal says it
_BRANCH = "└ "


@dataclass
class _Row:
    """A line of the table: a layer or operation, `depth` models below the one shown."""

    operation: Any
    depth: int
    shape: str
    connected: str

    @property
    def title(self) -> str:
        indent = "   " * self.depth + _BRANCH if self.depth else ""
        return f"{indent}{self.operation.name} ({kind_of(self.operation)})"

    @property
    def params(self) -> str:
        if is_unbuilt(self.operation):
            return "0 (unbuilt)"
        return f"{_count(getattr(self.operation, 'weights', ())):,}"

    @property
    def trainable(self) -> str:
        if not getattr(self.operation, "weights", ()):
            return "-"
        return "Y" if self.operation.trainable else "N"


def summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[..., Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a model's table; arguments as of `Model.summary`."""
    from rich.console import Console
    from rich.text import Text

    rows = _within(_rows(model, expand_nested), layer_range)
    graphs = [m._graph for m in _models(model, expand_nested) if m._graph is not None]
    columns = {
        "Layer (type)": [row.title for row in rows],
        "Output Shape": [row.shape for row in rows],
        "Param #": [row.params for row in rows],
    }
    if not all(map(is_chain, graphs)):
        columns["Connected to"] = [row.connected for row in rows]
    if show_trainable:
        columns["Trainable"] = [row.trainable for row in rows]
    if positions is None:
        widths = _fitting(columns, line_length)
    else:
        widths = _between(positions, list(columns), line_length or _terminal())
    plain: dict[str, Any] = {"color_system": None, "force_terminal": False, "force_jupyter": False}
    console = Console(width=max(_line(widths), _terminal()), **(plain if print_fn else {}))
    shown = [
        Text(f'Model: "{model.name}"', "bold"),
        _table(columns, widths, console.options.ascii_only),
        *map(Text, _totals(model)),
    ]
    if print_fn is None:
        console.print(*shown, sep="\n")
        return
    with console.capture() as text:
        console.print(*shown, sep="\n")
    print_fn(text.get())


def _terminal() -> int:
    return shutil.get_terminal_size((_WIDTH, 24)).columns


# -- rows -----------------------------------------------------------------------------------


def _models(model: Any, nested: bool) -> list[Any]:
    """The model, and those among its layers that are shown with theirs."""
    inner = [x for x in members(model) if is_model(x)] if nested else []
    return [model, *(m for x in inner for m in _models(x, nested))]


def _rows(
    model: Any, nested: bool, depth: int = 0, known: dict[int, Any] | None = None
) -> list[_Row]:
    # What was seen of a layer when the model around it was run counts before its own graph.
    outputs = known or outputs_in(model)
    graph = model._graph
    shown = members(model)
    connected = _connections(graph, {id(x) for x in shown}) if graph is not None else {}
    rows = []
    for operation in shown:
        key = id(operation)
        text = shape_text(outputs.get(key, []))
        rows.append(_Row(operation, depth, text, connected.get(key) or "-"))
        if nested and is_model(operation):
            rows += _rows(operation, nested, depth + 1, outputs if graph is None else None)
    return rows


def _connections(graph: LayerGraph, shown: set[int]) -> dict[int, str]:
    """What each operation is called on, as `name[call][output]`."""
    calls = calls_in(graph)
    number = {id(node): k for nodes in calls.values() for k, node in enumerate(nodes)}

    def place(source: Node, symbol: KerasTensor) -> str:
        index = symbol.index if symbol.node is source else 0
        return f"{source.operation.name}[{number[id(source)]}][{index}]"

    return {
        key: ", ".join(
            place(source, symbol)
            for node in nodes
            for source, symbol in zip(sources(graph, node), node.inputs, strict=True)
            if id(source.operation) in shown
        )
        for key, nodes in calls.items()
    }


def _within(rows: list[_Row], layer_range: Sequence[str] | None) -> list[_Row]:
    """The rows from the first that the one name or pattern matches to the last of the other."""
    if layer_range is None:
        return rows
    two = isinstance(layer_range, list | tuple) and len(layer_range) == 2
    if not two or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(
            "layer_range is the names of the first and the last layer to show, or regular "
            f"expressions of them, as ['conv1', 'conv3.*']; got {layer_range!r}."
        )
    first, last = (_matching(rows, name) for name in layer_range)
    if first[0] > last[-1]:
        raise ValueError(
            f"layer_range: {layer_range[0]!r} comes after {layer_range[1]!r} in the model."
        )
    return rows[first[0] : last[-1] + 1]


def _matching(rows: list[_Row], pattern: str) -> list[int]:
    names = [row.operation.name for row in rows]
    exact = [k for k, name in enumerate(names) if name == pattern]
    try:
        found = exact or [k for k, name in enumerate(names) if re.match(pattern, name)]
    except re.error as error:
        raise ValueError(
            f"layer_range: {pattern!r} is no layer's name, and no regular expression: {error}."
        ) from error
    if not found:
        raise ValueError(f"layer_range: no layer matches {pattern!r}. {near(pattern, names)}")
    return found


# -- widths ---------------------------------------------------------------------------------


def _line(widths: list[int]) -> int:
    """The length of a line: each column has a space at its sides and a rule before and after."""
    return sum(width + 3 for width in widths) + 1


def _fitting(columns: dict[str, list[str]], line_length: int | None) -> list[int]:
    """Widths as the content has them, made to fit where that is too wide: at its spaces first."""
    least = _line([5] * len(columns))
    if line_length is not None and (not isinstance(line_length, int) or line_length < least):
        raise ValueError(
            f"line_length must be a whole number, at least {least} for {len(columns)} columns; "
            f"got {line_length!r}."
        )
    texts = [[name, *cells] for name, cells in columns.items()]
    widths = [max(map(len, cells)) for cells in texts]
    words = [max(len(word) for cell in cells for word in cell.split(" ")) for cells in texts]
    space = line_length or max(_terminal(), least)
    while _line(widths) > space:
        spare = [n if n > word else 0 for n, word in zip(widths, words, strict=True)]
        most = spare if any(spare) else widths
        widths[most.index(max(most))] -= 1
    if line_length is not None:
        more, rest = divmod(space - _line(widths), len(widths))
        widths = [width + more + (k < rest) for k, width in enumerate(widths)]
    return widths


def _between(positions: Sequence[float], columns: list[str], line_length: int) -> list[int]:
    """The widths of columns that end at these positions."""
    ends = list(positions)[: len(columns)]
    if ends and ends[-1] <= 1:
        ends = [end * line_length for end in ends]
    places = [1, *(int(end) for end in ends)]
    widths = [b - a - 3 for a, b in pairwise(places)]
    if len(ends) < len(columns) or min(widths) < 1:
        raise ValueError(
            f"positions are the ends of the {len(columns)} columns ({', '.join(columns)}), as "
            f"parts of the line or in characters, each at least 4 characters after the one "
            f"before; got {list(positions)}."
        )
    return widths


# -- text -----------------------------------------------------------------------------------


def _table(columns: dict[str, list[str]], widths: list[int], ascii_only: bool) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    for (name, _), width in zip(columns.items(), widths, strict=True):
        side: Any = {"Param #": "right", "Trainable": "center"}.get(name, "left")
        table.add_column(name, width=width, justify=side, overflow="fold")
    for row in zip(*columns.values(), strict=True):
        title = row[0].replace(_BRANCH, "`- ") if ascii_only else row[0]
        kind = title.rindex(" (")
        table.add_row(Text.assemble(title[:kind], (title[kind:], "blue")), *map(Text, row[1:]))
    return table


def _totals(model: Any) -> list[str]:
    weights, trainable = model.weights, model.trainable_weights
    optimizer = model.optimizer
    slots = optimizer.variables if getattr(optimizer, "built", False) else []
    groups = {
        "Total": [*weights, *slots],
        "Trainable": trainable,
        "Non-trainable": model.non_trainable_weights,
        "Optimizer": slots,
    }
    lines = [
        f" {name} params: {_count(group):,} ({_size(group)})"
        for name, group in groups.items()
        if name != "Optimizer" or group
    ]
    if is_unbuilt(model) or any(is_unbuilt(layer) for layer in model.layers):
        lines.append(
            " Not all is built: call the model on data or build(input_shape), or begin it with "
            "weft.Input."
        )
    return lines


def _count(weights: Sequence[Variable]) -> int:
    return sum(weight.shape.num_elements() for weight in weights)


def _size(weights: Sequence[Variable]) -> str:
    """The memory of weights, in readable units."""
    size = float(sum(w.shape.num_elements() * w.spec.dtype.itemsize for w in weights))
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{size:.2f} {unit}"
