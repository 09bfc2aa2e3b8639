"""Columns as they come, to numbers, codes and flags: the preparation of a table as ONNX nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.export.describe import input_names
from netloom.export.onnx_dates import date_parts
from netloom.export.onnx_graph import Graph
from netloom.export.plan import Plan, Slot
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import LARGEST

__all__ = ["Inputs", "missing_text", "read"]

HALVES = 10  # bits of the length of a text; longer ones count as 2**HALVES - 1 characters


@dataclass(frozen=True)
class Inputs:
    """Names of results: ``numbers`` (n, q) double, nothing missing, column i is slot ``order[i]``; ``codes`` (n, c) rows of the table of
    codes; ``flags`` (n, f) bool, what is missing. None where there are none. ``described`` says what each input takes."""

    numbers: str | None
    order: list[int]
    codes: str | None
    flags: str | None
    described: list[dict[str, Any]]
    first: int  # rows of the first column's codes


def missing_text(levels: tuple[str, ...]) -> str:
    """The text that stands for a missing value: "" unless that is a level itself."""
    return next(text for text in ("", "<missing>", *(f"<missing {i}>" for i in range(len(levels) + 1))) if text not in levels)


def read(graph: Graph, network: TargetNetwork, plan: Plan) -> Inputs:
    """Make the inputs and prepare them."""
    names = input_names(network)
    raw: dict[int, str] = {}
    described = []
    wanted = sorted({slot.column for slot in plan.slots} | {code.column for code in plan.codes}) or [0]
    for j in wanted:
        column = network.schema.columns[j]
        entry: dict[str, Any] = {"name": names[j], "column": j, "kind": column.kind}
        if column.kind in ("number", "boolean"):
            entry |= {"type": "double", "missing": "NaN"}
            raw[j] = graph.input(names[j], np.float64, f"{column.kind}; NaN is missing")
        elif column.kind == "date":
            entry |= {"type": "int64", "missing": int(np.iinfo(np.int64).min), "unit": "microseconds since 1970", "zone": column.zone}  # type: ignore[attr-defined]
            raw[j] = graph.input(names[j], np.int64, "microseconds since 1970, wall clock; the smallest int64 is missing")
        else:
            text = missing_text(column.levels) if isinstance(column, Category) else ""
            entry |= {"type": "string", "missing": text}
            raw[j] = graph.input(names[j], np.str_, f"text of the category; {text!r} is missing")
        described.append(entry)
    kinds = {i: network.schema.columns[slot.column].kind for i, slot in enumerate(plan.slots)}
    plain = [i for i, kind in kinds.items() if kind in ("number", "boolean")]
    dates = [i for i, kind in kinds.items() if kind == "date"]
    extras = [i for i, kind in kinds.items() if kind == "category"]
    parts, flags = [], []
    if plain:
        cleaned, missing = _clean(graph, plan, plain, raw)
        parts.append(cleaned)
        flags += _flags(graph, plan, plain, missing)
    order = list(plain)
    if dates:
        found, date_order, missing = date_parts(graph, plan, dates, raw)
        parts.append(found)
        order += date_order
        flags += _flags(
            graph, plan, dates, missing, [sorted({plan.slots[i].column for i in dates}).index(plan.slots[i].column) for i in dates]
        )
    for i in extras:
        parts.append(_extra(graph, plan.slots[i], network.schema.columns[plan.slots[i].column], raw))  # type: ignore[arg-type]
    order += extras
    flag_order = [i for group in (plain, dates) for i in group if plan.slots[i].flag >= 0]
    codes = _codes(graph, network, plan, raw)
    numbers = _joined(graph, parts)
    read_at_all = any(len(view.slots) for view in plan.views)
    if codes is None and not flags and not read_at_all:  # something must say how many rows there are
        codes = _nothing(graph, raw[wanted[0]], network.schema.columns[wanted[0]].kind)
    joined = _joined(graph, flags)
    if joined is not None and flag_order != plan.flags:
        joined = graph.add("Gather", joined, np.array([flag_order.index(i) for i in plan.flags]), axis=1)
    return Inputs(numbers, order, codes, joined, described, plan.codes[0].size if plan.codes else 1)


def _joined(graph: Graph, parts: list[str]) -> str | None:
    return None if not parts else parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _clean(graph: Graph, plan: Plan, slots: list[int], raw: dict[int, str]) -> tuple[str, str]:
    """Missing values become the mean, infinities the extremes of training, the rest stays within what single precision holds."""
    x = _joined(graph, [raw[plan.slots[i].column] for i in slots])
    fill, low, high = (plan.column(name)[slots][None] for name in ("fill", "low", "high"))
    missing = graph.add("IsNaN", x)
    x = graph.add("Where", missing, fill, x)
    bounded = graph.add("Min", graph.add("Max", x, low), high)
    x = graph.add("Where", graph.add("IsInf", x), bounded, x)
    reach = [view.scale * 2 * CLIP + np.abs(view.centre) for view in plan.views]
    if max((r.max(initial=0) for r in reach), default=0) >= LARGEST:  # else a value so large is cut after scaling
        x = graph.add("Clip", x, np.float64(-LARGEST), np.float64(LARGEST))
    return x, missing


def _flags(graph: Graph, plan: Plan, slots: list[int], missing: str, columns: list[int] | None = None) -> list[str]:
    """The columns of ``missing`` that the network is told of."""
    at = range(len(slots)) if columns is None else columns
    told = [c for c, i in zip(at, slots, strict=True) if plan.slots[i].flag >= 0]
    if not told:
        return []
    return [missing if told == list(range(len(slots))) and columns is None else graph.add("Gather", missing, np.array(told), axis=1)]


def _codes(graph: Graph, network: TargetNetwork, plan: Plan, raw: dict[int, str]) -> str | None:
    """Rows of the table of codes (n, c)."""
    found = []
    for code, offset in zip(plan.codes, plan.offsets.tolist(), strict=False):
        column = network.schema.columns[code.column]
        assert isinstance(column, Category)
        keys = [*code.levels, missing_text(column.levels)]
        values = [*range(offset, offset + len(code.levels)), offset + code.missing]
        default = offset + code.unseen
        found.append(graph.add("LabelEncoder", raw[code.column], keys_strings=keys, values_int64s=values, default_int64=default))
    return _joined(graph, found)


def _extra(graph: Graph, slot: Slot, column: Category, raw: dict[int, str]) -> str:
    """How often a level occurred in training, or the length of the text: (n, 1) double."""
    text, missing = raw[slot.column], missing_text(column.levels)
    if column.extra == "frequency":
        keys = [*column.levels, missing]
        which = graph.add("LabelEncoder", text, keys_strings=keys, values_int64s=list(range(len(keys))), default_int64=len(keys))
        return graph.add("Gather", np.array([*column.logs, column.typical, column.rest]), which)
    length = None
    for bit in range(HALVES):  # no operator measures a text, but a regular expression can tell every bit of its length
        one = graph.add("RegexFullMatch", text, pattern=_odd(bit))
        counted = graph.add("Mul", graph.add("Cast", one, to="double"), np.float64(2**bit))
        length = counted if length is None else graph.add("Add", length, counted)
    long = graph.add("RegexFullMatch", text, pattern=f"(?s){_many(2 ** (HALVES - 1))}{_many(2 ** (HALVES - 1))}.*")
    length = graph.add("Where", long, np.float64(2**HALVES - 1), length)
    is_missing = graph.add("LabelEncoder", text, keys_strings=[missing], values_int64s=[1], default_int64=0)
    return graph.add("Where", graph.add("Cast", is_missing, to="bool"), np.float64(column.typical), length)


def _odd(bit: int) -> str:
    """Matches texts whose length, divided by 2**bit and rounded down, is odd."""
    half = 2**bit
    return f"(?s)(?:{_many(half)}{_many(half)})*{_many(half)}.{{0,{half - 1}}}" if bit else "(?s)(?:..)*."


def _many(count: int) -> str:
    return f".{{{count}}}"


def _nothing(graph: Graph, raw: str, kind: str) -> str:
    """Row 0 for every row of the table."""
    if kind == "date":
        return graph.add("Mul", raw, np.int64(0))
    if kind in ("number", "boolean"):
        return graph.add("Mul", graph.add("Cast", graph.add("IsNaN", raw), to="int64"), np.int64(0))
    return graph.add("LabelEncoder", raw, keys_strings=[""], values_int64s=[0], default_int64=0)
