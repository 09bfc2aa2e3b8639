"""How good the network is and how sure: scores beside baselines, calibration, coverage."""

from __future__ import annotations

import math
from typing import Any

from netloom.explain.evidence import Calibration, Scores
from netloom.report.charts import Frame, chart, dots_with_intervals
from netloom.report.markup import Markup, h, number, percent

__all__ = ["calibration_cards", "lead", "score_cards", "score_name", "shown"]

NAMES = {"accuracy": "accuracy", "auc": "ROC AUC", "log_loss": "log loss", "ece": "calibration error", "r2": "R²", "rmse": "RMSE"}
HIGHER = {"accuracy", "auc", "r2"}
MODELS = {"constant": "constant", "linear": "linear", "rf300": "random forest", "histgb": "gradient boosting"}


def score_name(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def shown(value: float, error: float) -> str:
    """A value with its standard error, as many decimals as the error has use for."""
    if value != value:
        return "–"
    if not error > 0 or not math.isfinite(error):
        return f"{value:.3f}" if abs(value) < 10 else number(value, 4)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 4)
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}".replace("-", "−")


def lead(scores: Scores | None, kind: str) -> str:
    """The main score in one sentence."""
    if scores is None:
        return "No score on held-out rows is known: the table was too small, or the network was made without one."
    own = scores.table["netloom"]
    if kind == "classification" and "accuracy" in own:
        value, error = own["accuracy"]
        said = f"It names the right class in {percent(value, 1)}" + (f" (± {100 * error:.1f})" if error > 0 else "")
    elif "r2" in own:
        value, error = own["r2"]
        said = f"It explains {percent(value, 1)}" + (f" (± {100 * error:.1f})" if error > 0 else "") + " of the variance"
    else:
        return f"Scores from {scores.how}."
    return f"{said} on rows it has not seen: {scores.how}."


def score_cards(scores: Scores | None) -> list[Markup]:
    """The table, and a picture of each of the main scores with its interval."""
    if scores is None:
        return []
    names = [name for name in NAMES if any(name in row for row in scores.table.values())]
    best = {}
    for name in names:
        models = [row for model, row in scores.table.items() if model != "constant"]  # which is calibrated, and says nothing
        values = [row[name][0] for row in models if name in row and math.isfinite(row[name][0])]
        if values:
            best[name] = (max if name in HIGHER else min)(values)
    head = h("tr", h("th", "model"), [h("th", f"{score_name(n)} {'↑' if n in HIGHER else '↓'}", class_="n") for n in names])
    body = []
    for model, row in scores.table.items():
        cells = [h("th", MODELS.get(model, model), scope="row", class_="ours" if model == "netloom" else None)]
        for name in names:
            value, error = row.get(name, (math.nan, math.nan))
            classes = " ".join(filter(None, ["n", "ours" if model == "netloom" else "", "best" if value == best.get(name) else ""]))
            cells.append(h("td", shown(value, error), class_=classes))
        body.append(h("tr", cells))
    table = h("div", h("table", h("thead", head), h("tbody", body)), class_="card scroll")
    parts: list[Markup] = [table]
    if len(scores.table) > 1:
        drawn = [name for name in ("log_loss", "auc", "rmse", "r2") if name in names]
        figures = []
        for name in drawn:
            rows = [
                ("constant" if m == "constant" else MODELS.get(m, m), *row[name], m == "netloom")
                for m, row in scores.table.items()
                if name in row
            ]
            title = f"{score_name(name)} ({'more' if name in HIGHER else 'less'} is better)"
            figures.append(h("figure", h("h3", title), dots_with_intervals(rows, title, lambda v: number(round(v, 3))), class_="card"))
        parts.append(h("div", figures, class_="grid wide"))
    main = next((name for name in ("log_loss", "rmse") if name in scores.differences), None)
    if main:
        rival, gap, error = scores.differences[main]
        if math.isfinite(gap):
            word = "better" if (gap > 0) == (main in HIGHER) else "worse"
            sure = "; this is within the noise" if not abs(gap) > 2 * error else ""
            than = f"{shown(abs(gap), error)} {word} than that of {MODELS.get(rival, rival)}"
            said = f"On the same rows its {score_name(main)} is {than}, the best"
            parts.append(h("p", f"{said} baseline{sure}. ± is one standard error; pictures show two.", class_="note"))
    return parts


def calibration_cards(sure: Calibration | None, unit: str = "") -> list[Markup]:
    """Pictures of what was said beside what came."""
    if sure is None:
        return []
    cards = []
    if sure.chances:
        cards.append(_chances(sure.chances))
    if sure.coverage:
        cards.append(_coverage(sure.coverage))
    cards += [_values(lines, t) for t, lines in enumerate(sure.values)]
    return cards


def _chances(lines: tuple[tuple[float, ...], ...]) -> Markup:
    frame = Frame([0, 1], [0, 1], height=250)
    frame.low_y, frame.high_y = -0.03, 1.03
    ticks = [0, 0.25, 0.5, 0.75, 1.0]
    parts: list[Any] = frame.axes(percent, percent, ticks)
    parts.append(frame.line([0, 1], [0, 1], "var(--soft)", 1, "3 3"))
    for said, true, count in lines:
        low, high = _wilson(true, count)
        parts.append(frame.bar(said, low, high, "var(--accent)", 2))
        parts.append(frame.dot(said, true, "var(--accent)", 3.5))
    words = "Dots on the dashed line: of what it gave a chance of 80 %, 80 % came true. Bars: 95 % intervals, wide where few rows were."
    return _figure("Chance it gave → how often it came true", chart(250, *parts, title="Calibration curve"), words)


def _coverage(lines: tuple[tuple[float, ...], ...]) -> Markup:
    frame = Frame([0.4, 1], [0.4, 1], height=250)
    frame.low_x, frame.high_x, frame.low_y, frame.high_y = 0.4, 1.0, min([0.4, *(line[1] - 0.03 for line in lines)]), 1.01
    parts: list[Any] = frame.axes(percent, percent, [0.5, 0.6, 0.7, 0.8, 1.0])
    parts.append(frame.line([max(0.4, frame.low_y), 1], [max(0.4, frame.low_y), 1], "var(--soft)", 1, "3 3"))
    for asked, inside in lines:
        parts.append(frame.dot(asked, inside, "var(--accent)", 4))
        label = f"{100 * asked:.0f} → {100 * inside:.0f} %"
        parts.append(h("text", label, x=frame.x(asked) - 8, y=frame.y(inside) - 6, text_anchor="end", class_="ink"))
    words = "Share of held-out values inside the intervals that were asked for. Below the dashed line: it is too sure."
    return _figure("Interval asked for → share of values inside", chart(250, *parts, title="Interval coverage"), words)


def _values(lines: tuple[tuple[float, ...], ...], target: int) -> Markup:
    said = [line[0] for line in lines]
    ends = [min(v for line in lines for v in line[:4]), max(v for line in lines for v in line[:4])]
    frame = Frame(ends, ends, height=250)
    parts: list[Any] = frame.axes()
    parts.append(frame.line(ends, ends, "var(--soft)", 1, "3 3"))
    for x, low, middle, high, _ in lines:
        parts.append(frame.bar(x, low, high, "var(--accent)", 2))
        parts.append(frame.dot(x, middle, "var(--accent)", 3.5))
    which = f" (target {target + 1})" if target else ""
    ends_said = f"from the lowest prediction ({number(said[0])}) to the highest ({number(said[-1])})"
    words = f"Groups of held-out rows {ends_said}: dots the median of what came, bars the middle 80 %."
    return _figure(f"Prediction → what came{which}", chart(250, *parts, title="Predictions beside the truth"), words)


def _figure(title: str, drawn: Markup, words: str) -> Markup:
    return h("figure", h("h3", title), drawn, h("p", words), class_="card")


def _wilson(rate: float, count: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, n = 1.96, max(count, 1.0)
    middle, half = (
        (rate + z * z / (2 * n)) / (1 + z * z / n),
        z / (1 + z * z / n) * math.sqrt(max(rate * (1 - rate), 0) / n + z * z / (4 * n * n)),
    )
    return max(0.0, middle - half), min(1.0, middle + half)
