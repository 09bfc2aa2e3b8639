"""The network drawn from top to bottom: columns, views with their cells, chains of neurons, readout, outputs."""

from __future__ import annotations

from typing import Any

from netloom.report.charts import WIDTH, chart
from netloom.report.markup import Markup, h, plural
from netloom.target.network import TargetNetwork
from netloom.target.weights import Layer, read_rows

__all__ = ["draw_architecture"]

BOX, GAP = 30.0, 34.0  # height of a box, way between rows


def draw_architecture(network: TargetNetwork) -> Markup:
    """Boxes as wide as what they hold (by square root), lines for what reads what."""
    w = network.weights
    chains = _chains(w.layers)
    depth = max((len(chain) for chain in chains), default=0)
    inputs, view_row = 4.0, 4.0 + BOX + GAP
    first = view_row + 44 + GAP
    readout = first + depth * (BOX + GAP) if depth else view_row + 44 + GAP
    out = readout + BOX + GAP
    boxes: list[Any] = []
    lines: list[Any] = []
    views = _spread(len(w.views), 4.0, WIDTH - 4.0, 150.0)
    columns = len(network.schema.columns)
    boxes += _box(
        WIDTH / 2, inputs, 240, BOX, f"{plural(columns, 'column')} as {plural(len(network.schema.features), 'number')}", "var(--soft)"
    )
    for v, view in enumerate(w.views):
        lines.append(_line(WIDTH / 2, inputs + BOX, views[v][0], view_row))
        kind = "standardised" if view.knots is None else "ranked"
        said = f"{7 * len(view.many)} cells" if view.cells else "no cells"
        boxes += _box(views[v][0], view_row, min(views[v][1], 150), 44, f"{len(view.columns)} {kind}", "var(--accent)", said)
        edge = 3.0 if views[v][0] < WIDTH / 2 or len(w.views) == 1 else WIDTH - 3.0
        lines.append(_around(views[v][0], view_row + 22, edge, readout + BOX / 2, WIDTH / 2, v))
    room = (WIDTH - 24) / max(len(chains), 1)
    widest = max((layer.width for layer in w.layers), default=1) ** 0.5
    for k, chain in enumerate(chains):
        middle = 12 + room * (k + 0.5)
        for level, t in enumerate(chain):
            layer, at = w.layers[t], first + level * (BOX + GAP)
            width = max(22.0, (room - 6) * layer.width**0.5 / widest)
            boxes += _box(middle, at, min(width, 90.0), BOX, str(layer.width), "var(--second)")
            if level == 0 or not layer.earlier:
                lines.append(_line(views[layer.view][0], view_row + 44, middle, at))
            else:
                lines.append(_line(middle, at - GAP, middle, at))
        last = first + (len(chain) - 1) * (BOX + GAP) + BOX
        lines.append(_line(middle, last, WIDTH / 2, readout))
    if not chains:
        lines += [_line(x, view_row + 44, WIDTH / 2, readout) for x, _ in views]
    head = str(network.architecture.get("head", "linear"))
    boxes += _box(WIDTH / 2, readout, 240, BOX, f"{head} readout of {read_rows(w.readout).sum():,} features", "var(--accent)")
    lines.append(_line(WIDTH / 2, readout + BOX, WIDTH / 2, out))
    what = f"{len(network.classes)} classes" if network.classes is not None else plural(len(network.target_names), "value")
    boxes += _box(WIDTH / 2, out, 120, BOX, what, "var(--soft)")
    said = f"{plural(columns, 'column')}, {plural(sum(layer.width for layer in w.layers), 'neuron')} in {plural(len(w.layers), 'layer')}"
    return chart(out + BOX + 4, *lines, *boxes, title=f"Architecture: {said}")


def _chains(layers: tuple[Layer, ...]) -> list[list[int]]:
    """Layers that feed each other, in order: one list per weaving."""
    chains: list[list[int]] = []
    for t, layer in enumerate(layers):
        home = next((chain for chain in chains if layer.earlier and layer.earlier[-1] in chain), None)
        if home is None:
            chains.append([t])
        else:
            home.append(t)
    return chains


def _spread(count: int, low: float, high: float, most: float) -> list[tuple[float, float]]:
    """Middles and widths of boxes side by side."""
    room = (high - low) / max(count, 1)
    return [(low + room * (i + 0.5), min(room - 10, most)) for i in range(count)]


def _box(middle: float, top: float, width: float, height: float, text: str, stroke: str, second: str = "") -> list[Markup]:
    frame = h("rect", x=middle - width / 2, y=top, width=width, height=height, rx=6, fill="var(--card)", stroke=stroke, stroke_width=1.5)
    at = top + height / 2 + (4 if not second else -4)
    words = [h("text", text, x=middle, y=at, text_anchor="middle", class_="ink")]
    if second:
        words.append(h("text", second, x=middle, y=at + 15, text_anchor="middle"))
    return [frame, *words]


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    bend = (y1 + y2) / 2
    path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2:.1f}"
    return h("path", d=path, fill="none", stroke="var(--soft)", stroke_opacity=0.55, stroke_width=1.2)


def _around(x1: float, y1: float, edge: float, y2: float, x2: float, v: int) -> Markup:
    """The exact additive way: from a view past all neurons into the readout."""
    side = x2 - 120 if edge < x2 else x2 + 120
    start = x1 - 60 if edge < x2 else x1 + 60
    path = f"M{start:.1f} {y1:.1f}L{edge:.1f} {y1 + 14:.1f}L{edge:.1f} {y2 - 14:.1f}L{side:.1f} {y2:.1f}"
    return h("path", d=path, fill="none", stroke="var(--accent)", stroke_width=1.5, stroke_dasharray="4 3")
