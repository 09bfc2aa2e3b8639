"""Numbers to what neurons read of them, as ONNX nodes: scaling and ranks of all views at once, and their bends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.export.fuse import ramps
from netloom.export.onnx_columns import EDGE, MISSING, Inputs
from netloom.export.onnx_graph import Graph
from netloom.export.plan import Plan, PlanView
from netloom.target.weights import CLIP
from netloom.tasks.columns.column import LARGEST

__all__ = ["Values", "read_values", "worth_a_matrix"]

DENSE = 200_000  # numbers in a matrix that scales all columns at once; wider tables are scaled column by column
SQUARE = 28.0  # (2z)^2 is cut there
MOST, APART = 1.75e308, 0.01e308  # the largest number that is neither infinite nor missing; how far apart marks are


@dataclass(frozen=True)
class Values:
    """Names of results (n, ...) float: ``z`` of all views and, behind them, 1 where a slot of ``flags`` is missing; ``bent``: cos 2z,
    (2z)^2, and tanh of 2z and of the steps, none where no view has cells."""

    z: str
    bent: tuple[str, ...]
    flags: list[int]


def worth_a_matrix(plan: Plan) -> bool:
    """Whether one matrix may scale all columns; missing and infinite numbers come to it marked, not cleaned."""
    pieces = sum(len(view.slots) + view.knots.shape[1] * len(view.ranked) for view in plan.views) + 3 * len(plan.slots)
    z, bent = sum(len(view.slots) for view in plan.views) + len(plan.flags), sum(6 * len(view.many) for view in plan.views)
    tame = all(np.abs(view.heights).max(initial=0) <= CLIP for view in plan.views)
    near = all((view.scale * 2 * CLIP + np.abs(view.centre)).max(initial=0) < LARGEST for view in plan.views)
    return tame and near and max(pieces * len(plan.slots), pieces * z, z * bent) <= DENSE


def read_values(graph: Graph, plan: Plan, inputs: Inputs, *, marked: bool) -> Values | None:
    """Everything that neurons read of the numbers; none where there are none."""
    slots = np.concatenate([np.zeros(0, dtype=int), *[view.slots for view in plan.views]]).astype(int)
    if inputs.numbers is None or not (len(slots) or marked):
        return None
    place = np.empty(len(plan.slots), dtype=np.int64)
    place[inputs.order] = np.arange(len(inputs.order))  # the graph has its numbers in another order than the plan
    starts = np.concatenate([[0], np.cumsum([len(view.slots) for view in plan.views])]).astype(int)
    many = np.concatenate([view.many + at for view, at in zip(plan.views, starts[:-1], strict=True)]).astype(np.int64)
    thresholds = np.concatenate([view.thresholds for view in plan.views])  # (M, 4)
    return (_dense if marked else _column_by_column)(graph, plan, inputs, place, many, thresholds)


def _dense(graph: Graph, plan: Plan, inputs: Inputs, place: np.ndarray, many: np.ndarray, thresholds: np.ndarray) -> Values | None:
    """One matrix scales everything, to ramps that are cut at both ends: a standardised value is one, a ranked one the sum of one per piece,
    and others tell the marks from numbers. What a mark says in their place is added."""
    ramp = _Ramps(place)
    marks = {i: ramp.marks(i) for i, slot in enumerate(plan.slots) if slot.part == ""}
    columns = [ramp.of(view, position) for view in plan.views for position in range(len(view.slots))]
    flags = [i for i in marks if plan.slots[i].flag >= 0]
    if not columns and not flags:
        return None
    A, shift = ramp.matrix()
    B, c = np.zeros((len(shift), len(columns) + len(flags))), np.zeros(len(columns) + len(flags))
    at = 0
    for view in plan.views:
        for position, slot in enumerate(view.slots):
            first, gives, constant = columns[at]
            B[first : first + len(gives), at] = gives
            c[at] = constant
            if slot in marks:
                mark, entry = marks[slot], plan.slots[slot]
                least, most, *told = (_value(view, position, x) for x in (-np.inf, np.inf, entry.fill, entry.low, entry.high))
                _tell(B, c, at, mark, told[0] - least, told[1] - least, told[2] - most)
            at += 1
    for slot in flags:
        _tell(B, c, at, marks[slot], 1.0, 0.0, 0.0)
        at += 1
    used = (B != 0).any(axis=1)
    A, shift, B = A[:, used], shift[used], B[used]
    u = graph.add("Clip", graph.add("Gemm", inputs.numbers, A, shift), np.float64(-CLIP), np.float64(CLIP))
    z = graph.add("Cast", graph.add("Gemm", u, B, c), to="float")  # summed as doubles: a steep cut tells z from z + 1e-7
    if not len(many):
        return Values(z, (), flags)
    bend = np.eye(len(c))[:, many]
    twice = graph.add("Gemm", z, (2 * bend).astype(np.float32), np.zeros(len(many), dtype=np.float32))
    steps = np.concatenate([2 * bend, np.repeat(3 * bend, 4, axis=1)], axis=1)
    shift = np.concatenate([np.zeros(len(many)), -3 * thresholds.ravel()])
    tanh = graph.add("Tanh", graph.add("Gemm", z, steps.astype(np.float32), shift.astype(np.float32)))
    return Values(z, (graph.add("Cos", twice), _square(graph, twice), tanh), flags)


class _Ramps:
    """Ramps from -CLIP to CLIP, each of one number: slopes and shifts, to be written as one matrix."""

    def __init__(self, place: np.ndarray) -> None:
        self.place, self.slot, self.slope, self.shift = place, list[int](), list[float](), list[float]()

    def add(self, slot: int, slope: np.ndarray, shift: np.ndarray) -> int:
        """More ramps of a slot; returns the column of the first."""
        first = len(self.slot)
        self.slot += [int(self.place[slot])] * len(slope)
        self.slope += slope.tolist()
        self.shift += shift.tolist()
        return first

    def of(self, view: PlanView, position: int) -> tuple[int, np.ndarray, float]:
        """A value of a view: its first column, what each of its ramps gives, and the constant."""
        slot, scale, centre, pieces = int(view.slots[position]), view.scale[position], view.centre[position], _pieces(view, position)
        if pieces is None:
            return self.add(slot, np.array([1 / scale]), np.array([-centre / scale])), np.ones(1), 0.0
        start, slope, rise, first = pieces
        shift = -(centre / scale + start) * slope * 2 * CLIP - CLIP  # a ramp from 0 to 1 becomes one from -CLIP to CLIP
        return self.add(slot, slope / scale * 2 * CLIP, shift), rise / (2 * CLIP), first + rise.sum() / 2

    def marks(self, slot: int) -> int:
        """Ramps that are up: unless it is -infinite; unless that or missing; if it is infinite. Returns the column of the first."""
        middle = np.array([MISSING / 2 - EDGE / 2, MISSING / 2 - MOST / 2, MOST / 2 + EDGE / 2])  # their sums would be infinite
        slope = np.full(3, 2 * CLIP / APART)
        return self.add(slot, slope, -middle * slope)

    def matrix(self) -> tuple[np.ndarray, np.ndarray]:
        A = np.zeros((len(self.place), len(self.slot)))
        A[self.slot, np.arange(len(self.slot))] = self.slope
        return A, np.array(self.shift)


def _pieces(view: PlanView, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """The ramps of a value that is ranked."""
    ranked = np.flatnonzero(view.ranked == position)
    return ramps(view.knots[ranked[0]], view.heights[ranked[0]]) if len(ranked) else None


def _value(view: PlanView, position: int, x: float) -> float:
    """z of one number, as the ramps make it."""
    raw, pieces = (x - view.centre[position]) / view.scale[position], _pieces(view, position)
    if pieces is None:
        return float(np.clip(raw, -CLIP, CLIP))
    start, slope, rise, first = pieces
    return float(first + (rise * np.clip((raw - start) * slope, 0, 1)).sum())


def _tell(B: np.ndarray, c: np.ndarray, column: int, mark: int, missing: float, low: float, high: float) -> None:
    """Add to a column what is said where a number is missing, -infinite or infinite."""
    B[mark : mark + 3, column] += np.array([missing - low, -missing, high]) / (2 * CLIP)
    c[column] += (low + high) / 2


def _column_by_column(graph: Graph, plan: Plan, inputs: Inputs, place: np.ndarray, many: np.ndarray, thresholds: np.ndarray) -> Values:
    """The same without large matrices, for wide tables; nothing is missing."""
    parts = []
    for view in plan.views:
        if not len(view.slots):
            continue
        seen = graph.add("Gather", inputs.numbers, place[view.slots], axis=1)
        z = graph.add("Div", graph.add("Sub", seen, view.centre[None]), view.scale[None])
        if len(view.ranked):
            start, slope, rise, first = (np.stack(x) for x in zip(*map(ramps, view.knots, view.heights), strict=True))
            raw = graph.add("Unsqueeze", graph.add("Gather", z, view.ranked, axis=1), np.array([2]))
            share = graph.add("Mul", graph.add("Sub", raw, start[None]), slope[None])
            share = graph.add("Clip", share, np.float64(0), np.float64(1))
            summed = graph.add("ReduceSum", graph.add("Mul", share, rise[None]), np.array([2]), keepdims=0)
            both = graph.add("Concat", z, graph.add("Add", summed, first[None]), axis=1)
            take = np.arange(len(view.slots))
            take[view.ranked] = len(view.slots) + np.arange(len(view.ranked))
            z = graph.add("Gather", both, take, axis=1)
        parts.append(graph.add("Cast", graph.add("Clip", z, np.float64(-CLIP), np.float64(CLIP)), to="float"))
    z = graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    if not len(many):
        return Values(z, (), [])
    bent = graph.add("Gather", z, many, axis=1)
    apart = graph.add("Sub", graph.add("Unsqueeze", bent, np.array([2])), thresholds[None].astype(np.float32))
    steps = graph.add("Reshape", graph.add("Mul", apart, np.float32(3)), np.array([0, 4 * len(many)]))
    twice = graph.add("Mul", bent, np.float32(2))
    tanh = graph.add("Tanh", graph.add("Concat", twice, steps, axis=1))
    return Values(z, (graph.add("Cos", twice), _square(graph, twice), tanh), [])


def _square(graph: Graph, twice: str) -> str:
    return graph.add("Min", graph.add("Mul", twice, twice), np.float32(SQUARE))
