"""`plot_model` and `model_to_dot`: a model's layers as boxes, and arrows between them."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from weft.engine.names import near
from weft.models.outline import is_model
from weft.models.picture import Box, Details, Picture, picture_of
from weft.models.plot_figure import COLOURS, draw

__all__ = ["model_to_dot", "plot_model"]

_FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "ps", "eps", "webp", "dot", "gv")
_DIRECTIONS = ("TB", "BT", "LR", "RL")


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model into a file: Graphviz's `dot` does it where it is installed, else matplotlib.

    A subclass, whose `call` no graph describes, is drawn as its layers without arrows.

    Args:
        model: a model.
        to_file: the file's name; its ending says the format: png, svg, pdf, jpg, ps, eps, webp, or
            dot for the source that Graphviz reads. Without an ending it is png.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what the
            boxes say beside the layer's class.
        rankdir: where the arrows go: "TB" down, "BT" up, "LR" right, "RL" left.
        expand_nested: whether models inside are drawn with their layers, in a frame.
        dpi: pixels in an inch.
        splines: how `dot` draws the arrows: "ortho", "polyline", "spline", "curved" or "line".

    Returns:
        In a notebook the image, so that it is shown; None elsewhere.

    Raises:
        ImportError: neither matplotlib nor pydot with Graphviz is installed.
        ValueError: a format, direction or argument that there is not.
        TypeError: no model.

    Example:
        >>> import tempfile, weft
        >>> x = weft.Input((4,))
        >>> model = weft.Model(x, weft.layers.Dense(2)(x))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     weft.utils.plot_model(model, f"{folder}/model.svg", show_shapes=True)
    """
    path = Path(to_file)
    form = path.suffix[1:].lower() or "png"
    if form not in _FORMATS:
        raise ValueError(
            f"plot_model cannot write {path.name!r}: the ending {path.suffix!r} is none of its "
            f"formats. {near(form, _FORMATS)}"
        )
    details = _details(
        kwargs, shapes=show_shapes, dtype=show_dtype, names=show_layer_names,
        activations=show_layer_activations, trainable=show_trainable, nested=expand_nested,
    )  # fmt: skip
    picture = _picture(model, details, rankdir)
    if form in ("dot", "gv"):
        content = _graph(picture, rankdir, dpi, splines, "plot_model").to_string().encode()
    else:
        content = _image(picture, form, rankdir, dpi, splines)
    _write(path, content)
    return _shown(path, form)


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """A model as a graph of pydot's, whose nodes are layers and operations.

    Args:
        model: a model.
        subgraph: whether it is given as a `pydot.Cluster`, to be put into another graph.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what the
            nodes say beside the layer's class.
        rankdir, expand_nested, dpi, splines: as of `plot_model`.

    Returns:
        A `pydot.Dot`, or a `pydot.Cluster`.

    Raises:
        ImportError: pydot is not installed.
        ValueError: a direction or argument that there is not.
        TypeError: no model.

    Example:
        >>> import weft
        >>> x = weft.Input((4,), name="x")
        >>> graph = weft.utils.model_to_dot(weft.Model(x, weft.layers.Dense(2, name="d")(x)))
        >>> [(edge.get_source(), edge.get_destination()) for edge in graph.get_edges()]
        [('n0', 'n1')]
    """
    details = _details(
        kwargs, shapes=show_shapes, dtype=show_dtype, names=show_layer_names,
        activations=show_layer_activations, trainable=show_trainable, nested=expand_nested,
    )  # fmt: skip
    picture = _picture(model, details, rankdir)
    return _graph(picture, rankdir, dpi, splines, "model_to_dot", subgraph)


def _details(unknown: dict[str, Any], **wanted: bool) -> Details:
    # Keras 2's; a graph of layers has it no more.
    unknown.pop("layer_range", None)
    if unknown:
        raise ValueError(f"plot_model and model_to_dot have no arguments {sorted(unknown)}.")
    return Details(**wanted)


def _picture(model: Any, details: Details, rankdir: str) -> Picture:
    if not is_model(model):
        raise TypeError(f"a model is needed, got {type(model).__name__} {model!r}.")
    if rankdir not in _DIRECTIONS:
        raise ValueError(f"rankdir must be one of {', '.join(_DIRECTIONS)}; got {rankdir!r}.")
    return picture_of(model, details)


def _image(picture: Picture, form: str, rankdir: str, dpi: float, splines: str) -> bytes:
    complaint = None
    if find_spec("pydot") is not None and (program := shutil.which("dot")) is not None:
        source = _graph(picture, rankdir, dpi, splines, "plot_model").to_string().encode()
        done = subprocess.run([program, f"-T{form}"], input=source, capture_output=True)
        if done.returncode == 0:
            return done.stdout
        # Some versions of dot end with a failed assertion on splines="ortho".
        complaint = done.stderr.decode(errors="replace").strip()
    if find_spec("matplotlib") is not None:
        return draw(picture, form, rankdir, dpi)
    if complaint is not None:
        raise RuntimeError(
            f"plot_model: Graphviz's program `dot` failed: {complaint}. Give another splines=..., "
            "or install matplotlib, which draws too: pip install weft[plot]"
        )
    raise ImportError(
        "plot_model needs matplotlib, or pydot and Graphviz's program `dot`, and found neither. "
        "Install them with: pip install weft[plot]"
    )


# -- Graphviz -------------------------------------------------------------------------------


def _graph(
    picture: Picture, rankdir: str, dpi: float, splines: str, what: str, subgraph: bool = False
) -> Any:
    try:
        import pydot
    except ImportError as error:
        raise ImportError(
            f"{what} makes a graph of pydot's, which is not installed: pip install weft[plot]"
        ) from error
    if subgraph:
        graph = pydot.Cluster(picture.title, label=_quoted(picture.title), style="dashed")
    else:
        graph = pydot.Dot(
            graph_type="digraph", rankdir=rankdir, dpi=dpi, splines=splines, nodesep=0.3,
            ranksep=0.4,
        )  # fmt: skip
        graph.set_node_defaults(shape="plain", fontname="Helvetica", fontsize=11)
        graph.set_edge_defaults(color=_quoted(COLOURS["line"]), arrowsize=0.7)
    _fill(graph, picture)
    return graph


def _fill(graph: Any, picture: Picture) -> None:
    import pydot

    for box in picture.boxes:
        if box.inside is None:
            graph.add_node(pydot.Node(box.key, label=_label(box)))
            continue
        cluster = pydot.Cluster(
            box.key, label=_quoted(box.title), labeljust="l", fontname="Helvetica",
            style="filled", fillcolor=_quoted(COLOURS["frame"]),
        )  # fmt: skip
        _fill(cluster, box.inside)
        graph.add_subgraph(cluster)
    for source, target in picture.arrows:
        graph.add_edge(pydot.Edge(source, target))
    if not picture.arrows:  # nothing says how they stand: one after the other
        for before, after in pairwise(picture.boxes):
            graph.add_edge(pydot.Edge(before.key, after.key, style="invis"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _label(box: Box) -> str:
    """A node's text: a table, the title in a row of its own."""
    title, colours = html.escape(box.title), COLOURS
    look = 'border="0" cellborder="1" cellspacing="0" cellpadding="5"'
    rows = [
        f'<tr><td bgcolor="{colours["title"]}"><font color="{colours["text"]}"><b>{title}</b>'
        "</font></td></tr>"
    ]
    for label, value in box.details:
        text = html.escape(f"{label}: {value}")
        rows.append(f'<tr><td bgcolor="{colours["detail"]}">{text}</td></tr>')
    return f"<<table {look}>{''.join(rows)}</table>>"


# -- files ----------------------------------------------------------------------------------


def _write(path: Path, content: bytes) -> None:
    """Write a file aside and move it into place, so that nobody finds half of it."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def _shown(path: Path, form: str) -> Any:
    """The image as a notebook shows it."""
    if "IPython" not in sys.modules:
        return None
    from IPython import display, get_ipython

    if get_ipython() is None:
        return None
    if form in ("png", "jpg", "jpeg"):
        return display.Image(filename=str(path))
    return display.SVG(filename=str(path)) if form == "svg" else None
