"""Columns as they come, to numbers, codes and flags: the preparation of a table as ONNX nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.export.describe import input_names
from netloom.export.onnx_dates import date_parts
from netloom.export.onnx_graph import Graph
from netloom.export.plan import Plan
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import LARGEST

__all__ = ["EDGE", "MISSING", "Inputs", "Levels", "missing_text", "read_columns", "tell_levels"]

HALVES = 10  # bits of the length of a text; longer ones count as 2**HALVES - 1 characters


@dataclass(frozen=True)
class Levels:
    """What the texts are: ``name`` is (n, R) float, 1 where a text is one of R levels, or (n, c) rows of a table to look effects up in.

    rows : (R,) which of the plan's codes each of them is.  others : (R,) the code that another text would be; None for a table.
    first : how many of the rows are of the first column.
    """

    name: str
    rows: np.ndarray
    others: np.ndarray | None
    first: int


@dataclass(frozen=True)
class Inputs:
    """Names of results: ``numbers`` (n, q) double, column i is slot ``order[i]``, with `MISSING` and `EDGE` in them where they are marked
    and as the network reads them where not; ``flags`` (n, f) bool, what else is missing, column i of slot ``flag_slots[i]``. None where
    there are none. ``described`` says what each input takes."""

    numbers: str | None
    order: list[int]
    levels: Levels | None
    flags: str | None
    flag_slots: list[int]
    described: list[dict[str, Any]]


def missing_text(levels: tuple[str, ...]) -> str:
    """The text that stands for a missing value: "" unless that is a level itself."""
    return next(text for text in ("", "<missing>", *(f"<missing {i}>" for i in range(len(levels) + 1))) if text not in levels)


EDGE, MISSING = 1.79e308, -1.77e308  # stand for infinite (of either sign) and for missing among numbers; a double holds 1.7977e308
INDICATORS = 5000  # of levels in all columns: with more, a table to look them up in
FOREIGN = 60  # features of words in columns that do not have them, from which on it is faster to leave them out
GROUPS = {"number": "numbers", "boolean": "numbers", "date": "dates", "category": "texts", "constant": "texts"}


def read_columns(graph: Graph, network: TargetNetwork, plan: Plan, *, grouped: bool, marked: bool) -> Inputs:
    """Make the inputs and prepare them; ``marked``: what is missing or infinite is left to whoever reads the numbers."""
    columns, kinds = network.schema.columns, [network.schema.columns[slot.column].kind for slot in plan.slots]
    wanted = sorted({slot.column for slot in plan.slots} | {code.column for code in plan.codes}) or [0]
    described, sources = _inputs(graph, network, wanted, grouped)
    plain = [i for i, kind in enumerate(kinds) if kind in ("number", "boolean")]
    dates = [i for i, kind in enumerate(kinds) if kind == "date"]
    extras = [i for i, kind in enumerate(kinds) if kind == "category"]
    parts, flags, order, flag_slots = [], [], [*plain], []
    if plain:
        raw = sources.all_of("numbers", [plan.slots[i].column for i in plain])
        missing = graph.add("IsNaN", raw)
        parts.append((_marked if marked else _clean)(graph, plan, plain, raw, missing))
        if not marked and any(plan.slots[i].flag >= 0 for i in plain):
            flags.append(missing)
            flag_slots += plain
    if dates:
        date_columns = sorted({plan.slots[i].column for i in dates})
        found, date_order, missing = date_parts(graph, plan, dates, sources.all_of("dates", date_columns))
        parts.append(found)
        order += date_order
        if any(plan.slots[i].flag >= 0 for i in dates):
            flags.append(missing)  # a column per date, told of by the first of its slots
            flag_slots += [next(i for i in dates if plan.slots[i].column == j) for j in date_columns]
    for i in extras:
        column = columns[plan.slots[i].column]
        assert isinstance(column, Category)
        parts.append(_extra(graph, column, sources.one(plan.slots[i].column), sources.missing[plan.slots[i].column]))
    order += extras
    levels = _levels(graph, plan, sources)
    if levels is None and not flags and not any(len(view.slots) for view in plan.views):  # something must say how many rows there are
        levels = Levels(_nothing(graph, sources.one(wanted[0]), columns[wanted[0]].kind), np.zeros(1, dtype=int), None, 1)
    return Inputs(_joined(graph, parts), order, levels, _joined(graph, flags), flag_slots, described)


class _Sources:
    """Where each column comes from: an input of its own, or a column of a group's input."""

    def __init__(self, graph: Graph, names: dict[int, str], groups: dict[str, list[int]], missing: dict[int, str]) -> None:
        self.graph, self.names, self.groups, self.missing = graph, names, groups, missing

    def one(self, column: int) -> str:
        """(n, 1)."""
        if column not in self.names:
            group = next(name for name, columns in self.groups.items() if column in columns)
            self.names[column] = self.graph.add("Gather", group, np.array([self.groups[group].index(column)]), axis=1)
        return self.names[column]

    def all_of(self, group: str, columns: list[int]) -> str:
        """(n, number of columns) of columns that are all of a group."""
        if group in self.groups:
            return group
        joined = _joined(self.graph, [self.names[column] for column in columns])
        assert joined is not None
        return joined


def _inputs(graph: Graph, network: TargetNetwork, wanted: list[int], grouped: bool) -> tuple[list[dict[str, Any]], _Sources]:
    """Declare the inputs, and describe them column by column for the metadata."""
    names = input_names(network)
    by_column: dict[int, str] = {}
    groups: dict[str, list[int]] = {}
    missing: dict[int, str] = {}
    described = []
    everything = tuple(level for column in network.schema.columns if isinstance(column, Category) for level in column.levels)
    for j in wanted:
        column, group = network.schema.columns[j], GROUPS[network.schema.columns[j].kind]
        entry: dict[str, Any] = {"name": names[j], "column": j, "kind": column.kind}
        if group == "numbers":
            entry |= {"type": "double", "missing": "NaN"}
            doc = f"{column.kind}; NaN is missing"
        elif group == "dates":
            entry |= {"type": "int64", "missing": int(np.iinfo(np.int64).min), "unit": "microseconds since 1970"}
            entry["zone"] = getattr(column, "zone", "")
            doc = "microseconds since 1970, wall clock; the smallest int64 is missing"
        else:
            missing[j] = missing_text(everything if grouped else getattr(column, "levels", ()))
            entry |= {"type": "string", "missing": missing[j]}
            doc = f"text of the category; {missing[j]!r} is missing"
        if grouped:
            groups.setdefault(group, []).append(j)
            entry |= {"input": group, "at": len(groups[group]) - 1}
        else:
            by_column[j] = graph.input(names[j], DTYPE[group], doc)
        described.append(entry)
    for group, columns in groups.items():
        graph.input(group, DTYPE[group], "columns: " + ", ".join(names[j] for j in columns), width=len(columns))
    return described, _Sources(graph, by_column, groups, missing)


DTYPE: dict[str, Any] = {"numbers": np.float64, "dates": np.int64, "texts": np.str_}


def _joined(graph: Graph, parts: list[str]) -> str | None:
    return None if not parts else parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _marked(graph: Graph, plan: Plan, slots: list[int], x: str, missing: str) -> str:
    """Nothing that is no number: what is missing or infinite becomes a number that no column holds."""
    return graph.add("Clip", graph.add("Where", missing, np.float64(MISSING), x), np.float64(-EDGE), np.float64(EDGE))


def _clean(graph: Graph, plan: Plan, slots: list[int], x: str, missing: str) -> str:
    """Missing values become the mean, infinities the extremes of training, the rest stays within what single precision holds."""
    fill, low, high = (plan.column(name)[slots][None] for name in ("fill", "low", "high"))
    x = graph.add("Where", missing, fill, x)
    bounded = graph.add("Min", graph.add("Max", x, low), high)
    x = graph.add("Where", graph.add("IsInf", x), bounded, x)
    reach = [view.scale * 2 * CLIP + np.abs(view.centre) for view in plan.views]
    if max((r.max(initial=0) for r in reach), default=0) >= LARGEST:  # else a value so large is cut after scaling
        x = graph.add("Clip", x, np.float64(-LARGEST), np.float64(LARGEST))
    return x


def tell_levels(plan: Plan) -> bool:
    """Whether every level in every column may be a feature."""
    words = {level for code in plan.codes for level in code.levels}
    return len(plan.codes) * (len(words) + 1) <= INDICATORS


def _levels(graph: Graph, plan: Plan, sources: _Sources) -> Levels | None:
    """What a text is in any column is found at once, and then what that is in its own."""
    if not plan.codes:
        return None
    codes, offsets = plan.codes, plan.offsets[:-1].tolist()
    words = sorted({level for code in codes for level in code.levels} | {sources.missing[code.column] for code in codes})
    tables = []
    for code, offset in zip(codes, offsets, strict=True):
        own = {level: i for i, level in enumerate(code.levels)} | {sources.missing[code.column]: code.missing}
        tables.append([offset + own.get(word, code.unseen) for word in words] + [offset + code.unseen])
    if tell_levels(plan):
        texts = sources.all_of("texts", [code.column for code in codes])
        one_hot = graph.add("OneHotEncoder", texts, cats_strings=words)  # (n, c, words), a text that is none of them is none
        flat = graph.add("Reshape", one_hot, np.array([0, len(codes) * len(words)]))
        rows, others = np.concatenate([table[:-1] for table in tables]), np.repeat([table[-1] for table in tables], len(words))
        mine = np.flatnonzero(rows != others)  # a word may be a level in some of the columns
        if len(rows) - len(mine) > FOREIGN:
            flat, rows, others = graph.add("Gather", flat, mine.astype(np.int32), axis=1), rows[mine], others[mine]
        return Levels(flat, rows, others, 0)
    every = np.arange(plan.offsets[-1])
    if "texts" in sources.groups:
        what = graph.add("LabelEncoder", "texts", keys_strings=words, values_int64s=list(range(len(words))), default_int64=len(words))
        if len(tables) > 1:
            what = graph.add("Add", what, np.arange(len(tables))[None] * len(tables[0]))
        return Levels(graph.add("Gather", np.concatenate(tables), what), every, None, codes[0].size)
    found = []
    for code, offset in zip(codes, offsets, strict=True):
        keys = [*code.levels, sources.missing[code.column]]
        values = [*range(offset, offset + len(code.levels)), offset + code.missing]
        text = sources.one(code.column)
        found.append(graph.add("LabelEncoder", text, keys_strings=keys, values_int64s=values, default_int64=offset + code.unseen))
    name = _joined(graph, found)
    assert name is not None
    return Levels(name, every, None, codes[0].size)


def _extra(graph: Graph, column: Category, text: str, missing: str) -> str:
    """How often a level occurred in training, or the length of the text: (n, 1) double."""
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
