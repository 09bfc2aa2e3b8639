"""One pass, no folds: weave a task (or many, in padded batches), solve the readout, done.

The strength of the readout is chosen by leave-one-out, which flatters neurons that have seen the labels; so it is never chosen weak.
Where quality matters more than milliseconds, use `netloom.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from netloom.loom.assemble import solve, within
from netloom.loom.compare import losses, readout_targets
from netloom.loom.families import Selection, select
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.pool import WEAVE_ROWS, WIDE, Pool, most_telling
from netloom.loom.rows import Rows, canonical_rows, spread
from netloom.loom.views import make_view
from netloom.loom.weave import Threads, sample_of, weave_layers
from netloom.target.budget import Budget
from netloom.target.calibration import interval_quantiles
from netloom.target.heads import HEADS
from netloom.target.network import TargetNetwork
from netloom.target.solve import compress
from netloom.target.store import described_bytes
from netloom.target.weights import View, Weights
from netloom.tasks import Schema, Task

__all__ = ["weave_tasks"]

PENALTIES = {"logistic": (1.0, 0.3, 0.1, 0.03), "gaussian": (10.0, 3.0, 1.0, 0.3, 0.1)}
TOGETHER = 400_000  # padded rows x columns woven in one batch


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task on its way to the loom."""

    task: Task
    schema: Schema
    rows: Rows
    view: View


def weave_tasks(
    loom: Hypernetwork, tasks: Sequence[Task], budget: Budget | None, *, blocks: int, seed: int, fingerprint: str
) -> list[TargetNetwork]:
    """A network per task, in the order of the tasks."""
    prepared = [_prepare(task) for task in tasks]
    networks: dict[int, TargetNetwork] = {}
    for group in _groups(prepared):
        samples = []
        for i in group:
            rows, view = prepared[i].rows, prepared[i].view
            read = rows.take(spread(rows, WEAVE_ROWS))
            samples.append(sample_of(read, view))
        for i, threads in zip(group, weave_layers(loom, samples, seeds=[seed] * len(samples), blocks=blocks), strict=True):
            provenance = {"loom": fingerprint, "seed": seed, "rows": tasks[i].n}
            networks[i] = _finish(prepared[i], threads, budget, provenance)
    return [networks[i] for i in range(len(tasks))]


def _prepare(task: Task) -> Prepared:
    schema = Schema.learn(task.frame, named=task.named)
    rows = canonical_rows(schema.encode(task.frame), task)
    columns = most_telling(rows, WIDE) if rows.X.shape[1] > WIDE else None
    return Prepared(task, schema, rows, make_view(rows.X, rows.weight, columns=columns))


def _groups(prepared: Sequence[Prepared]) -> Iterator[list[int]]:
    """Tasks of similar size, so that padding is cheap: sorted by rows and columns, cut where a batch would grow too large."""
    sizes = [(min(p.rows.n, WEAVE_ROWS), len(p.view.columns)) for p in prepared]
    group: list[int] = []
    for i in sorted(range(len(sizes)), key=sizes.__getitem__):
        n, d = sizes[i]
        largest = max([d, *(sizes[j][1] for j in group)])
        if group and ((len(group) + 1) * n * largest > TOGETHER or n > 1.5 * sizes[group[0]][0] + 8):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _finish(prepared: Prepared, threads: Threads, budget: Budget | None, provenance: dict) -> TargetNetwork:
    """Solve the readout on all rows; drop neurons until the budget holds."""
    rows, schema, task = prepared.rows, prepared.schema, prepared.task
    head = "logistic" if rows.codes is not None else "gaussian"
    outputs = rows.head_targets.shape[1]
    centre, scale = (rows.centre, rows.scale) if rows.codes is None else (np.zeros(outputs), np.ones(outputs))
    p = len(threads.prior)
    readout, intercept = np.zeros((p, outputs), np.float32), np.zeros(outputs, np.float32)
    extra = {"interval_quantiles": np.zeros((99, outputs), np.float32)} if rows.codes is None and rows.n >= 20 else {}
    bare = Weights((prepared.view,), threads.layers, readout, intercept, centre, scale, extra)
    pool = Pool(bare, {"woven": np.arange(p)}, {"woven": threads.prior})
    member: dict[str, Any] = {"family": "woven", "penalty": 0.0, "weight": 1.0}
    architecture = {"head": head, "members": [member], "why": "woven in one pass; the penalty by leave-one-out"}
    overhead = described_bytes({"schema": schema.to_json(), "architecture": architecture, "provenance": provenance})

    def solved(pool: Pool, blocks: list[np.ndarray], mean: np.ndarray, deviation: np.ndarray) -> Weights:
        chosen = select(pool, ("woven",), mean, deviation)
        assert chosen is not None
        first = rows.take(np.arange(len(blocks[0])))
        own = pool.weights.extra
        if own or not member["penalty"]:  # classes choose once, and keep the penalty when neurons are dropped
            member["penalty"], left_out = _strength(chosen, blocks[0], first, head)
        coef, offset = solve(chosen, blocks, rows, head, member["penalty"])
        coef = coef * chosen.prior[:, None]
        if own:
            judged = first.take(np.arange(len(left_out)))
            own = {"interval_quantiles": interval_quantiles((judged.targets - left_out) * rows.scale, judged.weight)}
        return replace(pool.weights, readout=coef.astype(np.float32), intercept=(offset - chosen.mean @ coef).astype(np.float32), extra=own)

    weights = within(pool, rows, budget, overhead, solved)
    return TargetNetwork(schema, weights, task.kind, task.classes, task.target_names, architecture, {}, provenance)


def _strength(chosen: Selection, features: np.ndarray, rows: Rows, head: str) -> tuple[float, np.ndarray]:
    """The penalty with the lowest leave-one-out loss, and its held-out outputs (n, O)."""
    limit = 2000
    rows, features = rows.take(np.arange(min(rows.n, limit))), features[:limit]
    F = torch.as_tensor(chosen.of(features.astype(np.float64)))
    F = compress(F).features if F.shape[0] < F.shape[1] else F
    Y = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head)
    weight = torch.as_tensor(rows.weight)
    rough: dict[str, dict[str, Any]] = {"fit": {"tolerance": 1e-4}, "left out": {"together": 0}} if head == "logistic" else {}
    path = HEADS[head].fit_path(F, Y, PENALTIES[head], weight, **rough.get("fit", {}))
    left_out = HEADS[head].leave_one_out(F, Y, path, PENALTIES[head], weight, **rough.get("left out", {})).numpy()
    loss = [float(np.average(losses(outputs, rows, head), weights=rows.weight)) for outputs in left_out]
    best = int(np.argmin(loss))
    return PENALTIES[head][best], left_out[best]
