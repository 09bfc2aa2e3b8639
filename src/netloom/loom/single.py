"""One pass, no folds: weave a task (or many, in padded batches), solve the readout, done.

The strength of the readout is chosen by leave-one-out, which flatters neurons that have seen the labels; so it is never chosen weak.
Where quality matters more than milliseconds, use `netloom.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from netloom.errors import BudgetError
from netloom.loom.assemble import features_of, solve, without_neurons
from netloom.loom.compare import losses, moments, readout_targets
from netloom.loom.families import Selection, select
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.pool import WEAVE_ROWS, WIDE, Pool, most_telling
from netloom.loom.rows import Rows, canonical_rows, spread
from netloom.loom.views import make_view
from netloom.loom.weave import Threads, sample_of, weave_layers
from netloom.target.budget import Budget, default_budget
from netloom.target.calibration import interval_quantiles
from netloom.target.heads import HEADS
from netloom.target.network import TargetNetwork
from netloom.target.prune import bytes_of, prune, tidy
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
        for i, threads in zip(group, weave_layers(loom, samples, blocks=blocks, seed=seed), strict=True):
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
    bare = Weights((prepared.view,), threads.layers, np.zeros((p, outputs), np.float32), np.zeros(outputs, np.float32), centre, scale)
    pool = Pool(bare, {"woven": np.arange(p)}, {"woven": threads.prior})
    weights, penalty, residual = _solved(pool, rows, head)
    architecture = {
        "head": head,
        "members": [{"family": "woven", "penalty": penalty, "weight": 1.0}],
        "why": "woven in one pass; the penalty by leave-one-out",
    }
    overhead = described_bytes({"schema": schema.to_json(), "architecture": architecture})
    budget = budget or default_budget(overhead)

    def fits(w: Weights) -> bool:
        within = budget.max_parameters is None or w.n_parameters <= budget.max_parameters
        return within and (budget.max_bytes is None or bytes_of(w) + overhead <= budget.max_bytes)

    if not fits(weights):
        blocks = features_of(weights, rows)
        mean, deviation = moments(blocks, rows.weight)
        pool = without_neurons(Pool(weights, pool.parts, pool.priors), prune(weights, mean, deviation, fits), mean)
        weights, penalty, residual = _solved(pool, rows, head)
        if budget.max_parameters is not None and weights.n_parameters > budget.max_parameters:
            raise BudgetError(
                f"budget max_parameters = {budget.max_parameters}: without any neuron this table needs {weights.n_parameters}; allow more"
            )
    extra = {} if residual is None else {"interval_quantiles": interval_quantiles(residual, rows.weight)}
    weights = Weights(weights.views, weights.layers, weights.readout, weights.intercept, centre, scale, extra)
    return TargetNetwork(schema, weights, task.kind, task.classes, task.target_names, architecture, {}, provenance)


def _solved(pool: Pool, rows: Rows, head: str) -> tuple[Weights, float, np.ndarray | None]:
    """The network with its readout, the penalty, and for regression the leave-one-out residuals (n, O) in units of the target."""
    blocks = features_of(pool.weights, rows)
    mean, deviation = moments(blocks, rows.weight)
    chosen = select(pool, ("woven",), mean, deviation)
    assert chosen is not None
    first = rows.take(np.arange(len(blocks[0])))
    penalty, left_out = _strength(chosen, blocks[0], first, head)
    coef, offset = solve(chosen, blocks, rows, head, penalty)
    coef = coef * chosen.prior[:, None]
    readout, intercept = coef.astype(np.float32), (offset - chosen.mean @ coef).astype(np.float32)
    w = pool.weights
    solved = tidy(Weights(w.views, w.layers, readout, intercept, w.centre, w.scale))
    residual = (first.targets - left_out) * rows.scale if rows.codes is None and rows.n == first.n >= 20 else None
    return solved, penalty, residual


def _strength(chosen: Selection, features: np.ndarray, rows: Rows, head: str) -> tuple[float, np.ndarray]:
    """The penalty with the lowest leave-one-out loss, and its held-out outputs (n, O)."""
    limit = 2000
    rows, features = rows.take(np.arange(min(rows.n, limit))), features[:limit]
    F = torch.as_tensor(chosen.of(features.astype(np.float64)))
    F = compress(F).features if F.shape[0] < F.shape[1] else F
    Y = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head)
    weight = torch.as_tensor(rows.weight)
    options = {"tolerance": 1e-4} if head == "logistic" else {}
    path = HEADS[head].fit_path(F, Y, PENALTIES[head], weight, **options)
    left_out = HEADS[head].leave_one_out(F, Y, path, PENALTIES[head], weight).numpy()
    loss = [float(np.average(losses(outputs, rows, head), weights=rows.weight)) for outputs in left_out]
    best = int(np.argmin(loss))
    return PENALTIES[head][best], left_out[best]
