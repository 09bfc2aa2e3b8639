"""The model card: what it is, where it comes from, what it reads, and what it is not for."""

from __future__ import annotations

from typing import Any

from netloom.report.markup import Markup, h, number, percent, plural, shorten
from netloom.target.network import TargetNetwork
from netloom.tasks.columns.boolean import Boolean
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import Column
from netloom.tasks.columns.date import Date
from netloom.tasks.columns.number import Number

__all__ = ["facts", "families", "limits", "schema_table"]

COLUMNS = 60


def facts(network: TargetNetwork, file: str) -> Markup:
    """Names and numbers."""
    architecture, origin = network.architecture, network.provenance
    what = "classes" if network.classes is not None else "a number" if len(network.target_names) == 1 else "numbers"
    lines: list[tuple[str, Any]] = [("predicts", f"{', '.join(network.target_names)} ({what})")]
    if network.classes is not None:
        named = [str(label) for label in network.classes[:20]]
        more = len(network.classes) - len(named)
        lines.append(("classes", ", ".join(named) + (f" and {more} more" if more > 0 else "")))
    lines.append(("reads", f"{plural(len(network.schema.columns), 'column')} as {plural(len(network.schema.features), 'number')}"))
    rows = origin.get("rows")
    if type(rows) is int:
        different = origin.get("different_rows")
        same = f", {different:,} of them different" if type(different) is int and different != rows else ""
        lines.append(("learned from", f"{rows:,} rows{same}"))
    members = architecture.get("members")
    if isinstance(members, list):
        said = ", ".join(
            f"{m.get('family')} {percent(m['weight'])}" for m in members if isinstance(m, dict) and isinstance(m.get("weight"), float)
        )
        lines.append(("made of", said))
    if isinstance(architecture.get("why"), str):
        lines.append(("chosen because", architecture["why"]))
    lines.append(("size", f"{network.n_parameters:,} parameters, {network.n_bytes / 1000:.1f} kB"))
    for key in ("created", "loom", "seed", "seconds"):
        if key in origin:
            lines.append(({"loom": "woven by loom", "seconds": "seconds to make"}.get(key, key), origin[key]))
    if file:
        lines.append(("file", file))
    return h("div", h("dl", [[h("dt", name), h("dd", str(value))] for name, value in lines if str(value)]), class_="card")


def families(network: TargetNetwork) -> Markup | None:
    """What competed for this table, how it did on held-out folds, and its part in the network."""
    compared = network.architecture.get("compared")
    if not isinstance(compared, list) or not compared:
        return None
    rows = []
    for entry in compared[:20]:
        if isinstance(entry, dict) and all(type(entry.get(key)) in (int, float) for key in ("loss", "weight")):
            name = h("th", str(entry.get("family", "")), scope="row", class_="ours" if entry["weight"] else None)
            part = percent(entry["weight"]) if entry["weight"] else "–"
            rows.append(h("tr", name, h("td", number(float(entry["loss"])), class_="n"), h("td", part, class_="n")))
    head = h("thead", h("tr", h("th", "family"), h("th", "held-out loss", class_="n"), h("th", "part", class_="n")))
    words = "Families of features were compared on the same folds; the best were averaged by evidence and merged into this one network."
    return h("div", h("h3", "What competed"), h("table", head, h("tbody", rows)), h("p", words), class_="card")


def limits(network: TargetNetwork) -> Markup:
    """What the network is for and what it is not, in general words and its own numbers."""
    origin = network.provenance.get("rows")
    rows = f"{origin:,} rows" if type(origin) is int else "its training rows"
    said = [
        f"It stands for tables like the {rows} it was made from. For other times, places or people its scores do not hold; "
        "compare such a table first: netloom report --data.",
        "What a column does here is what the network does with it, not what would happen if the value were changed in the world.",
        "Columns that tell the same share their part; how they share it is partly chance.",
        "Rows flagged as unlike the training rows deserve a second look before they are acted on.",
    ]
    if network.classes is not None:
        said.append(f"It knows {len(network.classes)} classes and names one of them for every row, also where none is right.")
    else:
        said.append("Its intervals hold on average over rows like those of training, not for each kind of row.")
    return h("div", h("ul", [h("li", text) for text in said], style="margin:0;padding-left:1.1rem"), class_="card")


def schema_table(network: TargetNetwork) -> Markup:
    """Every column with its kind, what training had in it, and how much was missing."""
    rows, start = [], 0
    for j, column in enumerate(network.schema.columns):
        width = len(column.labels())
        missing = "–"
        if column.missing:
            missing = percent(float(network.reference.shares[start + width]), 1) if network.reference is not None else "some"
        start += width + column.missing
        if j < COLUMNS:
            rows.append(
                h("tr", h("th", column.name, scope="row"), h("td", column.kind), h("td", _held(column)), h("td", missing, class_="n"))
            )
    head = h("thead", h("tr", h("th", "column"), h("th", "kind"), h("th", "in training"), h("th", "missing", class_="n")))
    left = len(network.schema.columns) - COLUMNS
    more = h("p", f"and {left} more columns") if left > 0 else None
    return h("div", h("table", head, h("tbody", rows)), more, class_="card scroll")


def _held(column: Column) -> str:
    """What a column held in training."""
    if isinstance(column, Number):
        return f"{_plain(column.low)} to {_plain(column.high)}, mean {number(column.fill)}" if column.varies else _plain(column.low)
    if isinstance(column, Boolean):
        return f"true in {percent(column.fill)}"
    if isinstance(column, Category):
        if not column.levels:
            return "texts of their own" if column.extra else "one text"
        named = ", ".join(shorten(level, 24) for level in column.levels[:6])
        return named + (f" and {len(column.levels) - 6} more" if len(column.levels) > 6 else "") + (", others" if column.other else "")
    if isinstance(column, Date):
        return f"varies by {', '.join(column.parts)}" if column.parts else "one day"
    return "one value only"


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else number(value, 4)
