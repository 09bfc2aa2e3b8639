"""ONNX: the table goes in as it is, one input per column, and the whole preparation is part of the graph.

    number, boolean   double (n, 1)   NaN is missing; true and false are 1 and 0
    category          string (n, 1)   the text of the level; the text named ``missing`` in the metadata (usually "") is missing
    date              int64 (n, 1)    microseconds since 1970, wall clock (numpy: astype("datetime64[us]").astype("int64")); NaT is missing

With ``grouped`` all columns of a kind are one input: ``numbers`` (n, m), ``texts`` (n, c), ``dates`` (n, D), in the order of the metadata.
A runtime called from Python spends a microsecond on every input, so that is faster for one row.

Outputs: ``label`` (n,) and ``chances`` (n, C), or ``values`` (n, O). A runtime spends about half a microsecond on every node, however
small, so the graph has few: scaling and ranks of all views are one Gemm and one Clip, levels become one Gather, neurons of one depth
are one Gemm. Columns are cleaned and scaled in double precision, as dates and years need it; the rest is single.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from netloom.export import onnx_columns
from netloom.export.describe import as_json, class_names, describe
from netloom.export.fuse import Fused, fuse, ramps
from netloom.export.onnx_graph import Graph
from netloom.export.plan import Plan, make_plan
from netloom.export.rules import Rules, take_out
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP

__all__ = ["to_onnx", "write"]

DENSE = 200_000  # numbers in a matrix that scales all columns at once; wider tables are scaled column by column


def to_onnx(network: TargetNetwork, *, grouped: bool = False, label: bool = True) -> Any:
    """The network as an ``onnx.ModelProto``, checked by ``onnx.checker``.

    Parameters
    ----------
    grouped : an input per kind of column, not per column
    label : the most likely class is an output; without it only the chances are, and one row takes a tenth less
    """
    plan = make_plan(network)
    fused, rules = take_out(fuse(plan, pairs=network.classes is not None), sum(len(view.slots) for view in plan.views))
    graph = Graph()
    inputs = onnx_columns.read(graph, network, plan, grouped=grouped)
    outputs = _outputs(graph, plan, fused, rules, _features(graph, plan, inputs.numbers, inputs.order), inputs)
    if network.classes is None:
        values = graph.add("Add", graph.add("Cast", outputs, to="double"), fused.shift[None])
        graph.output(values, "values", np.float64, fused.shift.shape)
    else:
        chances = graph.add("Softmax", outputs, axis=1)
        if label:
            best = graph.add("ArgMax", outputs, axis=1, keepdims=0)
            whole = network.classes.dtype.kind in "iu"
            labels = network.classes.astype(np.int64) if whole else np.array(class_names(network), dtype=object)
            graph.output(graph.add("Gather", labels, best), "label", np.int64 if whole else np.str_, ())
        graph.output(chances, "chances", np.float32, (len(network.classes),))
    document = describe(network, plan) | {"inputs": inputs.described}
    model = graph.model("netloom", {"netloom": as_json(document)}, ", ".join(network.target_names))
    onnx.checker.check_model(model, full_check=True)
    return model


def write(network: TargetNetwork, name: str) -> bytes:
    """The file's content."""
    return to_onnx(network).SerializeToString(deterministic=True)


def _features(graph: Graph, plan: Plan, numbers: str | None, order: list[int]) -> list[str]:
    """z of all views, cos 2z, (2z)^2, and tanh of 2z and of the steps: each (n, ...) float; none without numbers."""
    slots = np.concatenate([np.zeros(0, dtype=int), *[view.slots for view in plan.views]]).astype(int)
    if not len(slots) or numbers is None:
        return []
    place = np.empty(len(plan.slots), dtype=np.int64)
    place[order] = np.arange(len(order))  # the graph has its numbers in another order than the plan
    starts = np.concatenate([[0], np.cumsum([len(view.slots) for view in plan.views])]).astype(int)
    many = np.concatenate([view.many + at for view, at in zip(plan.views, starts[:-1], strict=True)]).astype(np.int64)
    thresholds = np.concatenate([view.thresholds for view in plan.views])  # (M, 4)
    U = sum(len(view.slots) + view.knots.shape[1] * len(view.ranked) for view in plan.views)
    tame = all(np.abs(view.heights).max(initial=0) <= CLIP for view in plan.views)
    if tame and U * max(len(order), len(slots) + 6 * len(many)) <= DENSE:
        z, twice, bent = _dense(graph, plan, numbers, place, many, thresholds)
    else:
        z, twice, bent = _column_by_column(graph, plan, numbers, place, many, thresholds)
    if not len(many):
        return [z]
    square = graph.add("Min", graph.add("Mul", twice, twice), np.float32(28))
    return [z, graph.add("Cos", twice), square, graph.add("Tanh", bent)]


def _dense(graph: Graph, plan: Plan, numbers: str, place: np.ndarray, many: np.ndarray, thresholds: np.ndarray) -> tuple[str, str, str]:
    """One matrix scales everything: a standardised value is one clipped number, a ranked one the sum of a clipped ramp per piece."""
    scale, shift, back, constant = [], [], [], []
    for view in plan.views:
        for position, slot in enumerate(view.slots):
            ranked = np.flatnonzero(view.ranked == position)
            if len(ranked):
                start, slope, rise, first = ramps(view.knots[ranked[0]], view.heights[ranked[0]])
                weight = slope / view.scale[position] * 2 * CLIP  # a ramp from 0 to 1 becomes one from -CLIP to CLIP
                offset = -(view.centre[position] / view.scale[position] + start) * slope * 2 * CLIP - CLIP
                give, always = rise / (2 * CLIP), first + rise.sum() / 2
            else:
                weight, offset = np.array([1 / view.scale[position]]), np.array([-view.centre[position] / view.scale[position]])
                give, always = np.ones(1), 0.0
            scale.append((place[slot], weight))
            shift.append(offset)
            back.append(give)
            constant.append(always)
    edges = np.concatenate([[0], np.cumsum([len(weight) for _, weight in scale])]).astype(int)
    A, B = np.zeros((len(place), edges[-1])), np.zeros((edges[-1], len(scale)))
    for i, ((slot, weight), give) in enumerate(zip(scale, back, strict=True)):
        A[slot, edges[i] : edges[i + 1]] = weight
        B[edges[i] : edges[i + 1], i] = give
    c = np.array(constant)
    u = graph.add("Clip", graph.add("Gemm", numbers, A, np.concatenate(shift)), np.float64(-CLIP), np.float64(CLIP))
    u = graph.add("Cast", u, to="float")
    simple = edges[-1] == len(scale)  # no ranks: u is z
    bent = [2 * B[:, many], 2 * B[:, many], np.repeat(3 * B[:, many], 4, axis=1)]  # the first for cos and square, the rest for tanh
    bent_shift = [2 * c[many], 2 * c[many], (3 * (c[many][:, None] - thresholds)).ravel()]
    if not len(many):
        return (u if simple else graph.add("Gemm", u, B.astype(np.float32), c.astype(np.float32))), "", ""
    W, b = np.concatenate([*([] if simple else [B]), *bent], axis=1), np.concatenate([*([] if simple else [c]), *bent_shift])
    all_of_it = graph.add("Gemm", u, W.astype(np.float32), b.astype(np.float32))
    sizes = [*([] if simple else [len(c)]), len(many), 5 * len(many)]
    parts = graph.split(all_of_it, sizes)
    return (u, parts[0], parts[1]) if simple else (parts[0], parts[1], parts[2])


def _column_by_column(
    graph: Graph, plan: Plan, numbers: str, place: np.ndarray, many: np.ndarray, thresholds: np.ndarray
) -> tuple[str, str, str]:
    """The same without large matrices, for wide tables."""
    parts = []
    for view in plan.views:
        if not len(view.slots):
            continue
        seen = graph.add("Gather", numbers, place[view.slots], axis=1)
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
        return z, "", ""
    bent = graph.add("Gather", z, many, axis=1)
    apart = graph.add("Sub", graph.add("Unsqueeze", bent, np.array([2])), thresholds[None].astype(np.float32))
    steps = graph.add("Reshape", graph.add("Mul", apart, np.float32(3)), np.array([0, 4 * len(many)]))
    twice = graph.add("Mul", bent, np.float32(2))
    return z, twice, graph.add("Concat", twice, steps, axis=1)


def _outputs(graph: Graph, plan: Plan, fused: Fused, rules: Rules | None, features: list[str], inputs: onnx_columns.Inputs) -> str:
    """Logits (n, C), or values (n, O) without their constant, float."""
    z = features[0] if features else None
    total: Any = fused.bias.astype(np.float32)
    if inputs.codes is not None:
        table = fused.codes[inputs.rows] if len(fused.codes) else np.zeros((1, len(fused.bias)))
        first = (np.arange(len(table)) < inputs.first)[:, None].astype(np.float32)
        # every row of the table has exactly one of the first column's codes; in the file the bias stands once
        always = graph.add("Mul", first, fused.bias[None].astype(np.float32))
        rows = graph.add("Gather", graph.add("Add", table.astype(np.float32), always), inputs.codes)  # (n, c, E)
        total = graph.add("ReduceSum", rows, np.array([1]), keepdims=0)
    weight = [fused.weight] if features else []
    if inputs.flags is not None:
        told = np.zeros((len(inputs.flag_slots), len(fused.bias)))
        for i, slot in enumerate(inputs.flag_slots):
            if slot in plan.flags:
                told[i] = fused.flags[plan.flags.index(slot)]
        features, weight = [*features, graph.add("Cast", inputs.flags, to="float")], [*weight, told]
    if features:
        seen = features[0] if len(features) == 1 else graph.add("Concat", *features, axis=1)
        total = graph.add("Gemm", seen, np.concatenate(weight).astype(np.float32), total)
    edges, nearest = fused.edges, None
    if len(edges) > 1:
        levels = graph.split(total, [*np.diff(edges).tolist(), len(fused.shift)])
        hidden = nearest = graph.add("Relu", levels[0])
        onto = fused.onto.astype(np.float32)
        for level, start, stop in zip(levels[1:-1], edges[1:-1], edges[2:], strict=True):
            neurons = graph.add("Relu", graph.add("Gemm", hidden, onto[:start, start:stop], level))
            hidden = graph.add("Concat", hidden, neurons, axis=1)
        total = graph.add("Gemm", hidden, onto[:, edges[-1] :], levels[-1])
    return total if rules is None else _with_rules(graph, rules, z, nearest, total)


def _with_rules(graph: Graph, rules: Rules, z: str | None, nearest: str | None, outputs: str) -> str:
    """Outputs (n, O) and what rules add to them. What is gathered has a column per row of the table, so that many are gathered as lines."""
    cuts = graph.add("Relu", graph.add("Gemm", z, rules.weight.astype(np.float32), rules.constant.astype(np.float32)))
    if len(rules.others):
        assert nearest is not None
        cuts = graph.add("Concat", cuts, graph.add("Gather", nearest, rules.others.astype(np.int32), axis=1), axis=1)
    cuts = graph.add("Transpose", cuts, perm=[1, 0])
    unmet = []
    for group in rules.groups:
        heard = graph.add("Gather", cuts, group.inputs.astype(np.int32))  # (k, R, n)
        if (group.numbers[group.numbers != 0] != -1).any():  # as rules are made they are all -1
            heard = graph.add("Mul", heard, -group.numbers[:, :, None].astype(np.float32))
        unmet.append(graph.add("ReduceSum", heard, np.array([0]), keepdims=0))
    whole = unmet[0] if len(unmet) == 1 else graph.add("Concat", *unmet, axis=0)
    met = graph.add("Relu", graph.add("Sub", rules.bias[:, None].astype(np.float32), whole))
    return graph.add("Gemm", met, rules.readout.astype(np.float32), outputs, transA=1)
