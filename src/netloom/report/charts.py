"""Small pictures as inline SVG: drawn for 340 pixels, so that their text is as readable on a phone as on a desk.

Colours are the page's own variables, so a picture turns dark, or black on white in print, with the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from netloom.report.markup import Markup, h, number, shorten

__all__ = ["Frame", "bar", "chart", "colour", "dots_with_intervals", "nice_ticks"]

WIDTH = 340.0
Text = Callable[[float], str]


def colour(index: int) -> str:
    """The page's colour of an output."""
    return f"var(--c{index % 5})"


def chart(height: float, *parts: Any, title: str, width: float = WIDTH) -> Markup:
    """An SVG picture with a title for those who cannot see it."""
    return h("svg", h("title", title), *parts, class_="chart", viewBox=f"0 0 {width:g} {height:g}", role="img")


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two values."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, int(math.floor(high / step + 1e-9)) + 1)]


class Frame:
    """Axes: ``x`` and ``y`` turn values into places; ``axes()`` draws the lines and numbers."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], *, height: float = 190, left: float = 44, bottom: float = 24) -> None:
        self.low_x, self.high_x = _range(xs, 0.0)
        self.low_y, self.high_y = _range(ys, 0.06)
        self.left, self.right, self.top, self.bottom = left, WIDTH - 10, 8.0, height - bottom
        self.height = height

    def x(self, value: float) -> float:
        return self.left + (value - self.low_x) / (self.high_x - self.low_x) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low_y) / (self.high_y - self.low_y) * (self.bottom - self.top)

    def axes(self, x_text: Text = number, y_text: Text = number, xticks: Sequence[float] | None = None, x_label: str = "") -> list[Markup]:
        parts = []
        for value in nice_ticks(self.low_y, self.high_y):
            at = self.y(value)
            parts.append(h("line", class_="axis", x1=self.left, x2=self.right, y1=at, y2=at))
            parts.append(h("text", y_text(value), x=self.left - 5, y=at + 4, text_anchor="end"))
        placed = -1e9
        for value in nice_ticks(self.low_x, self.high_x) if xticks is None else xticks:
            text, at = x_text(value), self.x(value)
            room = 3.2 * len(text)
            if at - room < placed:
                continue
            placed = at + room + 4
            anchor = "end" if at + room > WIDTH else "start" if at - room < 0 else "middle"
            parts.append(h("text", text, x=at, y=self.bottom + 15, text_anchor=anchor))
        if x_label:
            parts.append(h("text", x_label, x=(self.left + self.right) / 2, y=self.height - 2, text_anchor="middle"))
        return parts

    def line(self, xs: Sequence[float], ys: Any, stroke: str, width: float = 2.0, dash: str | None = None) -> Markup:
        points = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, ys, strict=True))
        style = {"stroke_linejoin": "round", "stroke_linecap": "round"}
        return h("polyline", points=points, fill="none", stroke=stroke, stroke_width=width, stroke_dasharray=dash, **style)

    def band(self, xs: Sequence[float], low: Any, high: Any, fill: str, opacity: float = 0.18) -> Markup:
        points = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, low, strict=True)]
        points += [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in reversed(list(zip(xs, high, strict=True)))]
        return h("polygon", points=" ".join(points), fill=fill, fill_opacity=opacity)

    def dot(self, x: float, y: float, fill: str, radius: float = 3.5) -> Markup:
        return h("circle", cx=self.x(x), cy=self.y(y), r=radius, fill=fill)

    def bar(self, x: float, low: float, high: float, stroke: str, width: float = 1.5) -> Markup:
        return h("line", x1=self.x(x), x2=self.x(x), y1=self.y(low), y2=self.y(high), stroke=stroke, stroke_width=width)


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        return low - pad, high + pad
    return low - margin * (high - low), high + margin * (high - low)


def dots_with_intervals(rows: Sequence[tuple[str, float, float, bool]], title: str, text: Text = number, left: float = 92) -> Markup:
    """A line per (name, value, standard error, ours): the value with two standard errors each way; one far off is named at the edge."""
    shown = [row for row in rows if math.isfinite(row[1])]
    near = [row for row in shown if row[0] != "constant"] or shown
    edges = [v + s * 2 * (e if math.isfinite(e) else 0) for _, v, e, _ in near for s in (-1, 1)]
    frame = Frame(edges, [0, 1], left=left, height=26.0 * len(shown) + 26)
    frame.low_x, frame.high_x = _range(edges, 0.06)
    parts = []
    bottom = frame.height - 24
    for value in nice_ticks(frame.low_x, frame.high_x, 3):
        parts.append(h("line", class_="axis", x1=frame.x(value), x2=frame.x(value), y1=4, y2=bottom))
        parts.append(h("text", text(value), x=frame.x(value), y=bottom + 15, text_anchor="middle"))
    for i, (name, value, error, ours) in enumerate(shown):
        at, fill = 17.0 + 26 * i, "var(--accent)" if ours else "var(--soft)"
        parts.append(h("text", shorten(name, 14), x=frame.left - 8, y=at + 4, text_anchor="end", class_="ink" if ours else None))
        if not frame.low_x <= value <= frame.high_x:
            right = value > frame.high_x
            label = f"{text(value)} →" if right else f"← {text(value)}"
            parts.append(h("text", label, x=frame.right if right else frame.left, y=at + 4, text_anchor="end" if right else "start"))
            continue
        spread = 2 * error if math.isfinite(error) else 0.0
        ends = (max(value - spread, frame.low_x), min(value + spread, frame.high_x))
        parts.append(h("line", x1=frame.x(ends[0]), x2=frame.x(ends[1]), y1=at, y2=at, stroke=fill, stroke_width=2.5, stroke_opacity=0.55))
        parts.append(h("circle", cx=frame.x(value), cy=at, r=5, fill=fill))
    return chart(frame.height, *parts, title=title)


def bar(parts: Sequence[tuple[float, str]], whole: float, title: str) -> Markup:
    """A bar of stacked parts (size, colour), full width at ``whole``."""
    at, drawn = 0.0, []
    for size, fill in parts:
        width = 100 * max(size, 0.0) / whole if whole > 0 else 0.0
        drawn.append(h("rect", x=at, y=0, width=width, height=10, fill=fill))
        at += width
    return h("svg", h("title", title), *drawn, viewBox="0 0 100 10", preserveAspectRatio="none", role="img")
