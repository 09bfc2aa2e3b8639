"""One network, rewritten for runtimes that know neither tables nor netloom: numbers and codes in, outputs out.

Two kinds of columns reach an exported network. A *number* (number columns, booleans, parts of a date, the frequency or length of a text)
is a float64, NaN where missing. A *code* says which level a category has. Whatever takes only finitely many values (a level, a missing
value) is not computed but looked up: its whole effect on a neuron, standardised, ranked, bent and weighed, is one row of a table, found by
asking the views themselves. So no exporter repeats a rule of the preparation, and 50 one-hot features cost one addition.

    numbers -> views (standardised, ranked) -> cells -> neurons (+ rows of the codes, + rows of what is missing) -> outputs
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.target.network import TargetNetwork
from netloom.target.weights import View
from netloom.tasks.columns.boolean import Boolean
from netloom.tasks.columns.category import UNSEEN, Category
from netloom.tasks.columns.column import LARGEST
from netloom.tasks.columns.date import Date
from netloom.tasks.columns.number import Number

__all__ = ["Code", "Part", "Plan", "PlanView", "Slot", "make_plan"]


@dataclass(frozen=True)
class Slot:
    """One number that the network reads: missing (NaN) becomes ``fill``, infinities ``low`` and ``high``.

    column : index in the schema.  part : "" (the value), a part of a date, "frequency" or "length" of a category.
    value, flag : encoded features it becomes, -1 for none; ``flag`` says that it is missing.
    """

    column: int
    part: str
    value: int
    flag: int
    fill: float
    low: float
    high: float


@dataclass(frozen=True)
class Code:
    """One category: codes 0, 1, ... are its ``levels``, then one for any other text, then one for a missing value."""

    column: int
    levels: tuple[str, ...]

    @property
    def unseen(self) -> int:
        return len(self.levels)

    @property
    def missing(self) -> int:
        return len(self.levels) + 1

    @property
    def size(self) -> int:
        return len(self.levels) + 2


@dataclass(frozen=True, eq=False)
class PlanView:
    """A view of the numbers only: k of them, the m of ``many`` with cells.

    Its features: [z (k) | tanh 2z (m) | cos 2z (m) | parabola (m) | steps (4 m, column by column)].

    slots : (k,) which numbers.  centre, scale : (k,).  ranked : (r,) positions, with their knots and heights (r, Q).  thresholds : (m, 4).
    """

    slots: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    ranked: np.ndarray
    knots: np.ndarray
    heights: np.ndarray
    many: np.ndarray
    thresholds: np.ndarray

    @property
    def width(self) -> int:
        return len(self.slots) + 7 * len(self.many)


@dataclass(frozen=True, eq=False)
class Part:
    """One layer of neurons, or the readout: ``features[start:stop] @ weight + h[earlier] @ onto + bias + rows``.

    weight : (stop - start, H).  onto : (sum of H of ``earlier``, H).  codes : (sum of sizes of all codes, H), a row per code.
    flags : (number of flags, H), added where missing.  bias : (H,).  All float64; neurons are ReLU, the readout is not.
    """

    start: int
    stop: int
    weight: np.ndarray
    bias: np.ndarray
    codes: np.ndarray
    flags: np.ndarray
    earlier: tuple[int, ...]
    onto: np.ndarray

    @property
    def width(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything an exporter writes down. ``readout`` gives logits, a log odds, or values in the unit of the target."""

    slots: tuple[Slot, ...]
    codes: tuple[Code, ...]
    views: tuple[PlanView, ...]
    layers: tuple[Part, ...]
    readout: Part

    @property
    def flags(self) -> list[int]:
        """The slots whose missing values are told to the network, in the order of the rows of ``Part.flags``."""
        return [i for i, slot in enumerate(self.slots) if slot.flag >= 0]

    @property
    def offsets(self) -> np.ndarray:
        """The first row of each code in ``Part.codes``."""
        return np.concatenate([[0], np.cumsum([code.size for code in self.codes])]).astype(np.int64)

    @property
    def starts(self) -> np.ndarray:
        """Where each view's features begin; the last is how many there are."""
        return np.concatenate([[0], np.cumsum([view.width for view in self.views])]).astype(np.int64)

    @property
    def outputs(self) -> int:
        return self.readout.width

    def column(self, name: str) -> np.ndarray:
        """One entry (fill, low or high) of all slots: (q,)."""
        return np.array([getattr(slot, name) for slot in self.slots], dtype=np.float64)


def make_plan(network: TargetNetwork) -> Plan:
    """Sort a network's columns into numbers and codes, and its weights into what is computed and what is looked up."""
    slots, codes = _inputs(network)
    of_slot = {slot.value: i for i, slot in enumerate(slots) if slot.value >= 0}
    w, d = network.weights, len(network.schema.features)
    flags = [slot.flag for slot in slots if slot.flag >= 0]
    tables = [_encoded(network, code, d) for code in codes]
    fixed = sorted(set(range(d)) - set(of_slot) - set(flags) - {f for columns, _ in tables for f in columns})  # always 0
    views, places, effects = [], [], []
    for view in w.views:
        plan_view, place = _numbers_of(view, of_slot)
        views.append(plan_view)
        places.append(place)
        on_flags = [_effect(view, [f], np.array([[0.0], [1.0]])) for f in flags]
        effects.append(
            ([_effect(view, columns, rows) for columns, rows in tables], on_flags, _effect(view, fixed, np.zeros((1, len(fixed)))))
        )
    starts = np.concatenate([[0], np.cumsum([view.width for view in views])]).astype(int)

    def part(weight: np.ndarray, reads: list[int], bias: np.ndarray, earlier: tuple[int, ...], onto: np.ndarray) -> Part:
        H, at, bias = weight.shape[1], 0, bias.astype(np.float64).copy()
        kept, on_codes, on_flags = [], [np.zeros((code.size, H)) for code in codes], np.zeros((len(flags), H))
        for v in reads:
            rows = weight[at : at + w.views[v].width].astype(np.float64)
            at += len(rows)
            kept.append(rows[places[v][places[v] < len(rows)]])  # a layer may read the values and not the cells
            by_code, by_flag, always = effects[v]
            for table, effect in zip(on_codes, by_code, strict=True):
                table += effect[:, : len(rows)] @ rows
            for i, effect in enumerate(by_flag):
                bias += effect[0, : len(rows)] @ rows
                on_flags[i] += (effect[1] - effect[0])[: len(rows)] @ rows
            bias += always[0, : len(rows)] @ rows
        weight = np.concatenate(kept)
        table = np.concatenate([*on_codes, np.zeros((0, H))])
        return Part(int(starts[reads[0]]), int(starts[reads[0]] + len(weight)), weight, bias, table, on_flags, earlier, onto)

    layers = []
    for layer in w.layers:
        onto = np.zeros((0, layer.width)) if layer.onto is None else layer.onto.astype(np.float64)
        layers.append(part(layer.weight, [layer.view], layer.bias, layer.earlier if layer.onto is not None else (), onto))
    first = sum(view.width for view in w.views)
    readout = w.readout * w.scale  # (p, O) in the unit of the target
    last = part(readout[:first], list(range(len(views))), w.intercept * w.scale + w.centre, tuple(range(len(layers))), readout[first:])
    return Plan(tuple(slots), tuple(codes), tuple(views), tuple(layers), last)


def _inputs(network: TargetNetwork) -> tuple[list[Slot], list[Code]]:
    slots: list[Slot] = []
    codes: list[Code] = []
    at = 0
    for j, column in enumerate(network.schema.columns):
        width = len(column.labels())
        flag = at + width if column.missing else -1
        if isinstance(column, Number) and (width or column.missing):
            slots.append(Slot(j, "", at if width else -1, flag, column.fill, column.low, column.high))
        elif isinstance(column, Boolean) and (width or column.missing):
            slots.append(Slot(j, "", at if width else -1, flag, column.fill, 0.0, 1.0))
        elif isinstance(column, Date) and (width or column.missing):
            parts = list(zip(column.parts, column.fill, strict=True)) or [("days", 0.0)]
            for i, (part, fill) in enumerate(parts):
                slots.append(Slot(j, part, at + i if width else -1, flag if i == 0 else -1, fill, -LARGEST, LARGEST))
        elif isinstance(column, Category) and (width or column.missing):
            codes.append(Code(j, column.levels[: column.kept]))
            if column.extra:
                slots.append(Slot(j, column.extra, at + width - 1, -1, column.typical, -LARGEST, LARGEST))
        at += width + column.missing
    return slots, codes


def _encoded(network: TargetNetwork, code: Code, d: int) -> tuple[list[int], np.ndarray]:
    """Which encoded features a code decides (its number feature is a slot), and their values for each code: (size, features)."""
    column = network.schema.columns[code.column]
    assert isinstance(column, Category)
    mine = [f for f, feature in enumerate(network.schema.features) if feature.column == code.column]
    rows = np.zeros((code.size, len(mine)))
    for i, text in enumerate([*code.levels, UNSEEN, None]):
        if column.encode_value(text, rows[i], 0) and column.missing:
            rows[i, -1] = 1
    keep = [i for i in range(len(mine)) if not (column.extra and i == len(column.labels()) - 1)]
    return [mine[i] for i in keep], rows[:, keep]


def _where(view: View, position: int) -> np.ndarray:
    """The features of a view that come from the column at a position."""
    k, m = len(view.columns), len(view.many)
    bent = np.flatnonzero(view.many == position) if view.cells else np.zeros(0, dtype=int)
    parts = [np.array([position]), k + bent, k + m + bent, k + 2 * m + bent, (k + 3 * m + 4 * bent[:, None] + np.arange(4)).ravel()]
    return np.concatenate(parts).astype(np.int64)


def _effect(view: View, columns: list[int], rows: np.ndarray) -> np.ndarray:
    """The view's features (R, width) that come from encoded ``columns`` taking the values of ``rows`` (R, columns); 0 elsewhere."""
    found = np.zeros((len(rows), view.width))
    positions = [int(p) for p in np.flatnonzero(np.isin(view.columns, columns))]
    if positions:
        X = np.zeros((len(rows), int(view.columns.max()) + 1))
        for i, column in enumerate(columns):
            if column < X.shape[1]:
                X[:, column] = rows[:, i]
        where = np.concatenate([_where(view, p) for p in positions])
        found[:, where] = view.features(X)[:, where]
    return found


def _numbers_of(view: View, of_slot: dict[int, int]) -> tuple[PlanView, np.ndarray]:
    """The part of a view that reads numbers, and where its features lie among those of the whole view."""
    k, m = len(view.columns), len(view.many)
    stay = np.array([p for p in range(k) if int(view.columns[p]) in of_slot], dtype=np.int64)
    moved = {int(p): i for i, p in enumerate(stay)}
    bent = np.array([i for i in range(m) if int(view.many[i]) in moved], dtype=np.int64)
    many = np.array([moved[int(view.many[i])] for i in bent], dtype=np.int64)
    ranks = view.knots is not None and view.heights is not None
    knots = view.knots[bent] if ranks else np.zeros((0, 2))  # type: ignore[index]
    heights = view.heights[bent] if ranks else np.zeros((0, 2))  # type: ignore[index]
    cells = many if view.cells else many[:0]
    thresholds = view.thresholds[bent].astype(np.float64) if view.cells else np.zeros((0, 4))
    slots = np.array([of_slot[int(view.columns[p])] for p in stay], dtype=np.int64)
    place = [stay]
    if view.cells:
        place += [k + bent, k + m + bent, k + 2 * m + bent, (k + 3 * m + 4 * bent[:, None] + np.arange(4)).ravel()]
    plan_view = PlanView(slots, view.centre[stay], view.scale[stay], many if ranks else many[:0], knots, heights, cells, thresholds)
    return plan_view, np.concatenate(place)
