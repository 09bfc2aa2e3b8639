"""What the columns do: their shares, their shapes, and which act together."""

from __future__ import annotations

import numpy as np

from netloom.report.charts import WIDTH, Frame, bar, chart, colour, nice_ticks
from netloom.report.markup import Markup, h, number, percent, plural, shorten
from netloom.target.explain import Explanation, Shape

__all__ = ["key", "pair_card", "shape_cards", "share_table"]

SHARES, SHAPES, PAIRS, CLASSES = 25, 18, 8, 5
WORTH = 0.005  # of the output's deviation: a weaker pair is not named


def share_table(explanation: Explanation) -> Markup:
    """A bar per column: blue what is exactly additive, orange what neurons add."""
    order = [int(j) for j in np.argsort(-explanation.moves, kind="stable")]
    direct = np.abs(explanation.direct).mean(axis=(0, 2))
    woven = np.abs(explanation.contributions - explanation.direct).mean(axis=(0, 2))
    whole = float(max(explanation.shares.max(), 1e-12))
    rows = []
    for j in order[:SHARES]:
        share, total = float(explanation.shares[j]), float(direct[j] + woven[j])
        part = float(direct[j] / total) if total > 0 else 1.0
        drawn = bar([(share * part, "var(--accent)"), (share * (1 - part), "var(--second)")], whole, f"{percent(share, 1)}")
        rows.append(h("tr", h("th", explanation.columns[j], scope="row"), h("td", drawn), h("td", percent(share, 1), class_="n")))
    left = len(order) - SHARES
    if left > 0:
        rest = float(explanation.shares[order[SHARES:]].sum())
        rows.append(h("tr", h("th", f"{left} others", scope="row"), h("td"), h("td", percent(rest, 1), class_="n")))
    return h("div", h("table", h("tbody", rows), class_="bars"), class_="card")


def key(explanation: Explanation) -> Markup:
    """Which colour is which class, where several are drawn."""
    if len(explanation.outputs) < 2:
        return h("p", class_="key")
    spans = [h("span", h("i", style=f"background:{colour(i)}"), explanation.outputs[o]) for i, o in enumerate(_drawn(explanation))]
    more = len(explanation.outputs) - len(spans)
    return h("p", spans, f"and {more} more that move less" if more > 0 else None, class_="key")


def shape_cards(explanation: Explanation) -> list[Markup]:
    """A picture per column, the one that moves most first."""
    return [_shape(explanation, shape) for shape in explanation.shapes[:SHAPES]]


def pair_card(explanation: Explanation) -> Markup:
    """The strongest pairs, or that there is none."""
    strong = [pair for pair in explanation.pairs if pair.relative >= WORTH][:PAIRS]
    if not strong:
        best = explanation.pairs[0] if explanation.pairs else None
        said = f"; the strongest, {best.first} with {best.second}, moves it by {percent(best.relative, 2)}" if best else ""
        return h("p", f"No two columns act together by more than {percent(WORTH, 1)} of the output's deviation{said}.", class_="note")
    rows = []
    for pair in strong:
        drawn = bar([(pair.relative, "var(--second)")], strong[0].relative, percent(pair.relative, 1))
        name = h("th", f"{pair.first} with {pair.second}", scope="row")
        rows.append(h("tr", name, h("td", drawn), h("td", percent(pair.relative, 1), class_="n")))
    return h("div", h("table", h("tbody", rows), class_="bars"), class_="card")


def _drawn(explanation: Explanation) -> list[int]:
    """The outputs that are drawn: those that move most, in their order."""
    if len(explanation.outputs) <= CLASSES:
        return list(range(len(explanation.outputs)))
    moves = np.abs(explanation.contributions).mean(axis=(0, 1))
    return sorted(int(o) for o in np.argsort(-moves, kind="stable")[:CLASSES])


def _shape(explanation: Explanation, shape: Shape) -> Markup:
    centred = explanation.unit == "logit"

    def only(values: np.ndarray, like: np.ndarray) -> np.ndarray:
        return values - like.mean(axis=1, keepdims=True) if centred else values

    outputs = _drawn(explanation)
    effect, direct = only(shape.effect, shape.effect)[:, outputs], only(shape.direct, shape.direct)[:, outputs]
    low, high = only(shape.low, shape.effect)[:, outputs], only(shape.high, shape.effect)[:, outputs]
    share = percent(float(explanation.shares[shape.column]), 1)
    drawn = _curve(shape, effect, direct, low, high) if shape.curve else _levels(shape, effect, low, high)
    note = h("p", f"and {plural(shape.more, 'less frequent value')}") if shape.more else None
    head = h("h3", shape.name, " ", h("span", share, style="color:var(--soft);font-weight:400"))
    return h("figure", head, drawn, note, class_="card")


def _curve(shape: Shape, effect: np.ndarray, direct: np.ndarray, low: np.ndarray, high: np.ndarray) -> Markup:
    assert shape.values is not None
    xs, G = shape.values.tolist(), len(shape.values)
    missing = len(effect) > G
    frame = Frame(xs, [*low.ravel(), *high.ravel(), *direct.ravel()])
    if missing:
        frame.right -= 46
    dates = {float(v): label for v, label in zip(xs, shape.labels, strict=False)}
    if shape.kind == "date":
        few = [xs[0], xs[G // 2], xs[-1]]
        parts = frame.axes(lambda v: dates.get(v, ""), xticks=few)
    elif G <= 8:
        parts = frame.axes(lambda v: _plain_year(v, xs), xticks=xs)
    else:
        parts = frame.axes(lambda v: _plain_year(v, xs))
    if frame.low_y < 0 < frame.high_y:
        parts.append(h("line", class_="zero", x1=frame.left, x2=frame.right, y1=frame.y(0), y2=frame.y(0)))
    for o in range(effect.shape[1]):
        fill = colour(o)
        if np.ptp(high[:G, o] - low[:G, o]) > 0:
            parts.append(frame.band(xs, low[:G, o], high[:G, o], fill))
        if effect.shape[1] == 1 and not np.allclose(direct[:G, o], effect[:G, o], atol=0.01 * float(np.ptp(effect[:G, o]) or 1)):
            parts.append(frame.line(xs, direct[:G, o], fill, 1, "2 3"))
        parts.append(frame.line(xs, effect[:G, o], fill))
        if G <= 8:
            parts += [frame.dot(x, y, fill, 3) for x, y in zip(xs, effect[:G, o], strict=True)]
        if missing:
            at = frame.right + 26
            parts.append(h("circle", cx=at, cy=frame.y(float(effect[G, o])), r=3.5, fill=fill))
    if missing:
        parts.append(h("text", "missing", x=frame.right + 26, y=frame.bottom + 15, text_anchor="middle"))
    for mark in shape.marks[(shape.marks >= xs[0]) & (shape.marks <= xs[-1])]:  # where the training rows are
        x = frame.x(float(mark))
        parts.append(h("line", x1=x, x2=x, y1=frame.bottom, y2=frame.bottom - 5, stroke="var(--soft)", stroke_width=1, stroke_opacity=0.7))
    return chart(frame.height, *parts, title=f"Shape of {shape.name}")


def _plain_year(value: float, xs: list[float]) -> str:
    """Numbers from 1000 to 3000 in a range of a few hundred are most often years: no comma in them."""
    if xs[0] >= 1000 and xs[-1] <= 3000 and xs[-1] - xs[0] < 500 and value == int(value):
        return str(int(value))
    return number(value)


def _levels(shape: Shape, effect: np.ndarray, low: np.ndarray, high: np.ndarray) -> Markup:
    left, step, top = 110.0, 22.0, 6.0
    G = len(effect)
    frame = Frame([0, *low.ravel(), *high.ravel()], [0, 1], left=left, height=step * G + 34)
    span = frame.high_x - frame.low_x
    frame.low_x, frame.high_x = frame.low_x - 0.06 * span, frame.high_x + 0.06 * span
    bottom = top + step * G
    parts: list[Markup] = []
    for value in nice_ticks(frame.low_x, frame.high_x):
        parts.append(h("line", class_="axis", x1=frame.x(value), x2=frame.x(value), y1=top, y2=bottom))
        parts.append(h("text", number(value), x=frame.x(value), y=bottom + 15, text_anchor="middle"))
    parts.append(h("line", class_="zero", x1=frame.x(0), x2=frame.x(0), y1=top, y2=bottom))
    for g in range(G):
        at = top + step * (g + 0.5)
        share = f" {percent(float(shape.share[g]))}" if shape.share[g] == shape.share[g] else ""
        name = h(
            "text",
            shorten(shape.labels[g], 12),
            h("tspan", share, fill="var(--soft)"),
            x=left - 8,
            y=at + 4,
            text_anchor="end",
            class_="ink",
        )
        parts.append(h("g", h("title", shape.labels[g]), name))
        for o in range(effect.shape[1]):
            y = at + (o - (effect.shape[1] - 1) / 2) * min(4.0, 14 / max(effect.shape[1], 1))
            x0, x1 = frame.x(float(low[g, o])), frame.x(float(high[g, o]))
            if abs(x1 - x0) > 1:
                parts.append(h("line", x1=x0, x2=x1, y1=y, y2=y, stroke=colour(o), stroke_width=3, stroke_opacity=0.3))
            if effect.shape[1] == 1:
                parts.append(h("line", x1=frame.x(0), x2=frame.x(float(effect[g, o])), y1=y, y2=y, stroke=colour(o), stroke_width=2))
            parts.append(h("circle", cx=frame.x(float(effect[g, o])), cy=y, r=3.5, fill=colour(o)))
    return chart(frame.height, *parts, title=f"Effect of {shape.name}, {plural(G, 'value')}", width=WIDTH)
