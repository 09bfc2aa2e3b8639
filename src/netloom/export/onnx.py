"""ONNX: the table goes in as it is, one input per column, and the whole preparation is part of the graph.

    number, boolean   double (n, 1)   NaN is missing; true and false are 1 and 0
    category          string (n, 1)   the text of the level; the text named ``missing`` in the metadata (usually "") is missing
    date              int64 (n, 1)    microseconds since 1970, wall clock (numpy: astype("datetime64[us]").astype("int64")); NaT is missing

With ``grouped`` all columns of a kind are one input: ``numbers`` (n, m), ``texts`` (n, c), ``dates`` (n, D), in the order of the metadata.
A runtime called from Python spends a microsecond on every input, so that is faster for one row.

Outputs: ``label`` (n,) and ``chances`` (n, C), or ``values`` (n, O). A runtime spends about half a microsecond on every node, however
small, so the graph has few: scaling and ranks of all views are one Gemm and one Clip, what is missing or infinite among them too, levels
become one feature each or one Gather, neurons of one depth are one Gemm, and a ReLU follows it at once, as runtimes make one operation of
the two. Columns are scaled in double precision, as dates and years need it; the rest is single. Numbers beyond 1.75e308 may count as
infinite or missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from netloom.export.describe import as_json, class_names, describe
from netloom.export.fuse import Fused, Reading, fuse
from netloom.export.onnx_columns import Inputs, read_columns, tell_levels
from netloom.export.onnx_graph import Graph
from netloom.export.onnx_values import Values, read_values, worth_a_matrix
from netloom.export.plan import Plan, make_plan
from netloom.export.rules import Rules, take_out
from netloom.target.network import TargetNetwork

__all__ = ["to_onnx", "write"]

A_COPY, AN_OPERATION = 100, 30_000  # numbers of a matrix that one row reads in the time of a gathered feature, and of a small operation


def to_onnx(network: TargetNetwork, *, grouped: bool = False) -> Any:
    """The network as an ``onnx.ModelProto``, checked by ``onnx.checker``.

    Parameters
    ----------
    grouped : an input per kind of column, not per column
    """
    plan = make_plan(network)
    fused, rules = take_out(fuse(plan, pairs=network.classes is not None), sum(len(view.slots) for view in plan.views), tell_levels(plan))
    graph = Graph()
    marked = worth_a_matrix(plan)
    inputs = read_columns(graph, network, plan, grouped=grouped, marked=marked)
    seen, weight, bias = _last(graph, plan, fused, rules, read_values(graph, plan, inputs, marked=marked), inputs)
    if network.classes is None:
        outputs = graph.add("Gemm", seen, weight.astype(np.float32), bias.astype(np.float32))
        answers = graph.add("Add", graph.add("Cast", outputs, to="double"), fused.shift[None])
        graph.output(answers, "values", np.float64, fused.shift.shape)
    else:
        whole = network.classes.dtype.kind in "iu"
        names = {"classlabels_ints": network.classes.tolist()} if whole else {"classlabels_strings": class_names(network)}
        numbers = {"coefficients": weight.T.ravel().tolist(), "intercepts": bias.tolist()}
        best, chances = graph.add_both("LinearClassifier", seen, post_transform="SOFTMAX", **names, **numbers)
        graph.output(best, "label", np.int64 if whole else np.str_, ())
        graph.output(chances, "chances", np.float32, (len(network.classes),))
    document = describe(network, plan) | {"inputs": inputs.described}
    model = graph.model("netloom", {"netloom": as_json(document)}, ", ".join(network.target_names))
    onnx.checker.check_model(model, full_check=True)
    return model


def write(network: TargetNetwork, name: str, *, grouped: bool = False) -> bytes:
    """The file's content."""
    return to_onnx(network, grouped=grouped).SerializeToString(deterministic=True)


def _last(
    graph: Graph, plan: Plan, fused: Fused, rules: Rules | None, values: Values | None, inputs: Inputs
) -> tuple[str, np.ndarray, np.ndarray]:
    """All that the outputs read (n, F) float, and their weight (F, O) and bias: logits, or values without their constant."""
    table, end = fused.table, len(fused.table.bias)
    if len(fused.edges) == 1:  # no neurons
        seen = _read_table(graph, plan, table, values, inputs, lambda matrix: matrix, end)
        weight, bias = np.eye(end), np.zeros(end)
    else:
        first = int(fused.edges[1])
        later = np.flatnonzero(table.reads & (np.arange(end) >= first))

        def halves(matrix: np.ndarray) -> str:
            """What later neurons and outputs read of the table passes the first ReLU as its positive and its negative part: no operation
            has to cut it out."""
            apart = graph.constant(matrix[..., later])
            return graph.add("Concat", matrix[..., :first], apart, graph.add("Neg", apart), axis=-1)

        once = replace(table, bias=np.where(np.arange(end) < first, table.bias, 0.0))
        seen = graph.add("Relu", _read_table(graph, plan, once, values, inputs, halves, first + 2 * len(later)))
        joined = np.zeros((2 * len(later), end))
        joined[np.arange(len(later)), later], joined[len(later) + np.arange(len(later)), later] = 1, -1
        for start, stop in zip(fused.edges[1:], [*fused.edges[2:], end], strict=True):
            weight = np.concatenate([fused.onto[:first], joined, fused.onto[first:start]])[:, start:stop]
            bias = table.bias[start:stop]
            if stop != end:
                neurons = graph.add("Relu", graph.add("Gemm", seen, weight.astype(np.float32), bias.astype(np.float32)))
                seen = graph.add("Concat", seen, neurons, axis=1)
    if rules is not None:
        met = _rules(graph, plan, rules, values, inputs)
        seen, weight = graph.add("Concat", seen, met, axis=1), np.concatenate([weight, rules.readout])
    return seen, weight, bias


def _read_table(
    graph: Graph, plan: Plan, table: Reading, values: Values | None, inputs: Inputs, arrange: Callable[[np.ndarray], Any], width: int
) -> str:
    """What is read of the table, and the bias: (n, E) float. ``arrange`` makes columns of those of ``table``, of constants that runtimes
    put together as they load the file, so that in it nothing stands twice; ``width`` are made in all of the same features."""
    read, bias, lookup = list[tuple[tuple[str, ...], np.ndarray]](), table.bias, None
    told = dict(zip(plan.flags, table.flags, strict=True))
    straight = sum(len(view.slots) for view in plan.views)
    if values is not None:
        read.append(((values.z,), np.concatenate([table.weight[:straight], *[told[slot][None] for slot in values.flags]])))
    levels = inputs.levels
    if levels is not None and levels.others is not None:
        read.append(((levels.name,), table.codes[levels.rows] - table.codes[levels.others]))
        bias = bias + table.codes[[offset + code.unseen for code, offset in zip(plan.codes, plan.offsets, strict=False)]].sum(axis=0)
    elif levels is not None and (table.codes.any() or values is None):
        effects = table.codes[levels.rows] if len(table.codes) else np.zeros((1, len(bias)))
        one = (np.arange(len(effects)) < levels.first)[:, None].astype(np.float32)
        # every row of the table has exactly one of the first column's codes; in the file the bias stands once
        always = graph.add("Mul", one, arrange(bias[None].astype(np.float32)))
        rows = graph.add("Gather", graph.add("Add", arrange(effects.astype(np.float32)), always), levels.name)  # (n, c, E)
        lookup = graph.add("ReduceSum", rows, np.array([1]), keepdims=0)
    if values is not None and values.bent:
        read.append((values.bent, table.weight[straight:]))
    if inputs.flags is not None:
        weight = np.stack([told.get(slot, np.zeros(len(bias))) for slot in inputs.flag_slots])
        read.append(((graph.add("Cast", inputs.flags, to="float"),), weight))
    read = [(names, weight) for names, weight in read if weight.any()] or ([] if lookup else read[:1])
    if not read:
        return str(lookup)
    names = [name for some, _ in read for name in some]
    seen = names[0] if len(names) == 1 else graph.add("Concat", *names, axis=1)
    weight = np.concatenate([weight for _, weight in read]).astype(np.float32)
    used = np.flatnonzero(weight.any(axis=1))
    if (len(weight) - len(used)) * width > A_COPY * len(used) + AN_OPERATION:
        seen, weight = graph.add("Gather", seen, used.astype(np.int32), axis=1), weight[used]
    return graph.add("Gemm", seen, arrange(weight), lookup or arrange(bias.astype(np.float32)))


def _taking(graph: Graph, places: np.ndarray) -> Callable[[np.ndarray], str]:
    """Columns of a constant, some of them several times."""
    return lambda matrix: graph.add("Gather", matrix, places, axis=-1)


def _rules(graph: Graph, plan: Plan, rules: Rules, values: Values | None, inputs: Inputs) -> str:
    """How far every rule is met: (n, R)."""
    unmet, width = [], sum(group.inputs.size for group in rules.groups)
    for group in rules.groups:
        places = group.inputs.ravel().astype(np.int32)
        cuts = graph.add("Relu", _read_table(graph, plan, rules.cuts, values, inputs, _taking(graph, places), width))
        heard = graph.add("Reshape", cuts, np.array([0, *group.inputs.shape]))  # (n, k, R)
        if (group.numbers[group.numbers != 0] != -1).any():  # as rules are made they are all -1
            heard = graph.add("Mul", heard, -group.numbers[None].astype(np.float32))
        unmet.append(graph.add("ReduceSum", heard, np.array([1]), keepdims=0))
    whole = unmet[0] if len(unmet) == 1 else graph.add("Concat", *unmet, axis=1)
    return graph.add("Relu", graph.add("Sub", rules.bias[None].astype(np.float32), whole))
