"""Single rows explained: from the mean output, column by column, to the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from netloom.report.charts import Frame, chart, nice_ticks
from netloom.report.markup import Markup, h, number, percent, shorten
from netloom.target.calibration import log_chances
from netloom.target.explain import Explanation
from netloom.target.network import TargetNetwork

__all__ = ["row_cards"]

PARTS = 8
ROOM = 20  # letters of a name with its value


def row_cards(network: TargetNetwork, explanation: Explanation, frame: pd.DataFrame, step: int = 1) -> list[Markup]:
    """A usual row, an unsure or extreme one, and the first that is unlike the training rows; each stands for ``step`` of the table."""
    n = len(explanation.predictions)
    if not n:
        return []
    out = explanation.predictions
    if network.classes is not None:
        sure = np.exp(log_chances(out)).max(axis=1)
        chosen = {"usual": int(np.argsort(sure, kind="stable")[n // 2]), "least sure": int(sure.argmin())}
    else:
        order = np.argsort(out[:, 0], kind="stable")
        chosen = {"usual": int(order[n // 2]), "lowest": int(order[0]), "highest": int(order[-1])}
    strange = next((i for i, reasons in enumerate(explanation.unlike) if reasons), None)
    if strange is not None:
        chosen = {"usual": chosen["usual"], "unlike the training rows": strange} | chosen
    cards: list[Markup] = []
    seen: set[int] = set()
    for what, i in chosen.items():
        if i not in seen and len(cards) < 4:
            seen.add(i)
            cards.append(_card(network, explanation, frame, i, f"Row {i * step} ({what})"))
    return cards


def _card(network: TargetNetwork, explanation: Explanation, frame: pd.DataFrame, i: int, what: str) -> Markup:
    out = explanation.predictions[i]
    o, unit = 0, explanation.unit
    parts, base, total = explanation.contributions[i], explanation.base, out
    if unit == "logit":  # of the class it names, against the mean of all
        o = int(out.argmax())
        parts, base, total = parts - parts.mean(axis=1, keepdims=True), base - base.mean(), out - out.mean()
    said = f"{explanation.outputs[o]}: {number(float(out[0]), 4)}"
    if network.classes is not None:
        chances = np.exp(log_chances(out[None]))[0]
        code = int(chances.argmax())
        said = f"{network.classes[code]}, chance {_chance(float(chances[code]))}"
    head = h("h3", f"{what}: {said}")
    note = [h("p", f"Unlike the training rows: {reason}.") for reason in explanation.unlike[i][:3]]
    unit_said = {"value": f"in units of {explanation.outputs[o]}", "log odds": f"in log odds of {explanation.outputs[o]}"}
    foot = h("p", unit_said.get(unit, f"in logits of {explanation.outputs[o]} against the mean of all classes"))
    return h("figure", head, _waterfall(explanation, frame, i, parts[:, o], float(base[o]), float(total[o])), note, foot, class_="card")


def _waterfall(explanation: Explanation, frame: pd.DataFrame, i: int, parts: np.ndarray, base: float, total: float) -> Markup:
    order = np.argsort(-np.abs(parts), kind="stable")
    steps = [(_named(explanation, frame, i, int(j)), float(parts[j])) for j in order[:PARTS]]
    if len(order) > PARTS:
        steps.append((f"{len(order) - PARTS} others", float(parts[order[PARTS:]].sum())))
    ends = np.cumsum([base, *(size for _, size in steps)])
    left, step, top = 128.0, 22.0, 4.0
    frame_ = Frame([*ends.tolist(), total], [0, 1], left=left, height=step * (len(steps) + 2) + 30)
    span = frame_.high_x - frame_.low_x
    frame_.low_x, frame_.high_x = frame_.low_x - 0.12 * span, frame_.high_x + 0.12 * span
    bottom = top + step * (len(steps) + 2)
    drawn: list[Any] = []
    for value in nice_ticks(frame_.low_x, frame_.high_x, 3):
        drawn.append(h("line", class_="axis", x1=frame_.x(value), x2=frame_.x(value), y1=top, y2=bottom))
        drawn.append(h("text", number(value), x=frame_.x(value), y=bottom + 15, text_anchor="middle"))
    drawn += _end(frame_, top, step, "on average", base, left)
    for k, (name, size) in enumerate(steps):
        at = top + step * (k + 1)
        x0, x1 = frame_.x(float(ends[k])), frame_.x(float(ends[k + 1]))
        fill = "var(--accent)" if size >= 0 else "var(--second)"
        drawn.append(h("g", h("title", name), h("text", _fitted(name), x=left - 8, y=at + step / 2 + 4, text_anchor="end", class_="ink")))
        drawn.append(h("rect", x=min(x0, x1), y=at + 4, width=max(abs(x1 - x0), 1.0), height=step - 8, fill=fill, rx=2))
        text = f"+{number(size)}" if size >= 0 else number(size)
        room = max(x0, x1) + 4 + 6.5 * len(text) < 340
        place = {"x": max(x0, x1) + 4, "text_anchor": "start"} if room else {"x": min(x0, x1) - 4, "text_anchor": "end"}
        drawn.append(h("text", text, y=at + step / 2 + 4, **place))
    drawn += _end(frame_, top + step * (len(steps) + 1), step, "this row", total, left)
    return chart(frame_.height, *drawn, title=f"Contributions of row {i}")


def _end(frame: Frame, at: float, step: float, name: str, value: float, left: float) -> list[Markup]:
    x = frame.x(value)
    anchor = "start" if x < 280 else "end"
    return [
        h("text", name, x=left - 8, y=at + step / 2 + 4, text_anchor="end"),
        h("circle", cx=x, cy=at + step / 2, r=4, fill="var(--ink)"),
        h("text", number(value, 4), x=x + (8 if anchor == "start" else -8), y=at + step / 2 + 4, text_anchor=anchor, class_="ink"),
    ]


def _named(explanation: Explanation, frame: pd.DataFrame, i: int, j: int) -> str:
    """A column with its value in the row."""
    name = explanation.columns[j]
    names = [str(column) for column in frame.columns]
    at = names.index(name) if names.count(name) == 1 else j if j < len(names) else None
    if at is None:
        return name
    value = frame.iloc[i, at]
    if pd.isna(value):
        return f"{name} missing"
    return f"{name} = {value:.5g}" if isinstance(value, float | np.floating) else f"{name} = {value}"


def _chance(value: float) -> str:
    return "above 99.9 %" if value > 0.9994 else percent(value, 1)


def _fitted(name: str) -> str:
    """A name with its value in the room there is: the value is kept, the name is cut."""
    column, sign, value = name.rpartition(" = ")
    if len(name) <= ROOM or not sign or len(value) > ROOM - 8:
        return shorten(name, ROOM)
    return f"{shorten(column, ROOM - len(value) - 3)} = {value}"
