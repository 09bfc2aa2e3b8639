"""One pass, no folds: weave a task (or many, in padded batches), solve the readout, done.

The strength of the readout is chosen by leave-one-out, which flatters neurons that have seen the labels; so it is never chosen weak.
Where quality matters more than milliseconds, use `netloom.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.loom.assemble import features_of
from netloom.loom.compare import moments
from netloom.loom.families import Selection
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.pool import WEAVE_ROWS, WIDE, most_telling
from netloom.loom.readouts import FEW_ROWS, Readout, left_out_intervals, readouts
from netloom.loom.rows import Rows, canonical_rows, spread
from netloom.loom.views import make_view
from netloom.loom.weave import Threads, sample_of, weave_layers
from netloom.target.budget import Budget, default_budget
from netloom.target.network import TargetNetwork
from netloom.target.prune import fits, importance, keep_neurons, keep_within, refuse_misfit
from netloom.target.reference import learn_reference
from netloom.target.store import described_bytes
from netloom.target.weights import View, Weights
from netloom.tasks import Schema, Task
from netloom.threads import side_by_side

__all__ = ["weave_tasks"]

# Further blocks of classes are woven at what leave-one-out says is wrong, which flatters them; see docs/decisions/0088
BLOCKS = {"classification": 1, "regression": 3}
TOGETHER = 25_000  # padded rows x columns woven in one batch: larger ones are not faster, and leave fewer to share among threads


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task on its way to the loom."""

    task: Task
    schema: Schema
    rows: Rows
    view: View


@dataclass(frozen=True, eq=False)
class Draft:
    """A network without its readout, and what the readout is solved from: `netloom.loom.readouts.Question`, whose penalties are in units
    of the loom's own, ``unit``.
    """

    network: TargetNetwork
    rows: Rows
    head: str
    blocks: list[np.ndarray]
    chosen: Selection
    unit: float


def weave_tasks(
    loom: Hypernetwork, tasks: Sequence[Task], budget: Budget | None, *, blocks: int | None, seed: int, fingerprint: str, summary: bool
) -> list[TargetNetwork]:
    """A network per task, in the order of the tasks; with ``summary`` each keeps what its rows looked like, if there is no tight budget."""

    def weave_some(some: list[int]) -> dict[int, TargetNetwork]:
        prepared = [_prepare(tasks[i]) for i in some]
        networks: dict[int, TargetNetwork] = {}
        for group in _groups([(p.task.kind, p.rows.n, len(p.view.columns)) for p in prepared]):
            networks |= zip((some[g] for g in group), weave_group([prepared[g] for g in group]), strict=True)
        return networks

    def weave_group(group: list[Prepared]) -> list[TargetNetwork]:
        samples = [sample_of(p.rows.take(spread(p.rows, WEAVE_ROWS)), p.view) for p in group]
        threads = weave_layers(loom, samples, seeds=[seed] * len(samples), blocks=blocks or BLOCKS[group[0].task.kind])
        drafts = [
            _draft(p, own, budget, {"loom": fingerprint, "seed": seed, "rows": p.task.n}, summary and budget is None)
            for p, own in zip(group, threads, strict=True)
        ]
        return [_finish(draft, readout) for draft, readout in zip(drafts, readouts(drafts), strict=True)]

    networks: dict[int, TargetNetwork] = {}
    # grouped by the size of the tables first, so that each thread prepares its own: one waits for Python while another computes
    with side_by_side() as each:
        for woven in each(weave_some, list(_groups([(task.kind, task.n, task.frame.shape[1]) for task in tasks]))):
            networks |= woven
    return [networks[i] for i in range(len(tasks))]


def _prepare(task: Task) -> Prepared:
    schema = Schema.learn(task.frame, named=task.named)
    rows = canonical_rows(schema.encode(task.frame), task, schema.levels)
    columns = most_telling(rows, WIDE) if rows.X.shape[1] > WIDE else None
    return Prepared(task, schema, rows, make_view(rows.X, rows.weight, columns=columns))


def _groups(sizes: Sequence[tuple[str, int, int]]) -> Iterator[list[int]]:
    """Tasks of one kind and similar size, so that padding is cheap: sorted by rows and columns, cut where a batch would grow too large."""
    sizes = [(kind, min(n, WEAVE_ROWS), d) for kind, n, d in sizes]
    group: list[int] = []
    for i in sorted(range(len(sizes)), key=sizes.__getitem__):
        kind, n, d = sizes[i]
        largest = max([d, *(sizes[j][2] for j in group)])
        first = sizes[group[0]] if group else sizes[i]
        if group and (kind != first[0] or (len(group) + 1) * n * largest > TOGETHER or n > 1.5 * first[1] + 8):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _draft(prepared: Prepared, threads: Threads, budget: Budget | None, provenance: dict, summary: bool) -> Draft:
    """The network before its readout is solved; neurons that the loom holds least relevant are dropped until the budget holds."""
    rows, task = prepared.rows, prepared.task
    head = "logistic" if rows.codes is not None else "gaussian"
    outputs = rows.head_targets.shape[1]
    centre, scale = (rows.centre, rows.scale) if rows.codes is None else (np.zeros(outputs), np.ones(outputs))
    readout, intercept = np.full((len(threads.prior), outputs), np.nan, np.float32), np.zeros(outputs, np.float32)  # not solved yet
    extra = {"interval_quantiles": np.zeros((99, outputs), np.float32)} if rows.codes is None and rows.n >= FEW_ROWS else {}
    weights = Weights((prepared.view,), threads.layers, readout, intercept, centre, scale, extra)
    member: dict[str, Any] = {"family": "woven", "penalty": 0.0, "weight": 1.0}
    architecture = {"head": head, "members": [member], "why": "woven in one pass; the penalty by leave-one-out"}
    reference = learn_reference(prepared.schema, rows.X, rows.weight) if summary else None
    overhead = described_bytes({"schema": prepared.schema.to_json(), "architecture": architecture, "provenance": provenance}, reference)
    limits, prior = budget or default_budget(overhead), threads.prior / np.sqrt(threads.penalty)
    if not fits(weights, limits, overhead):
        kept = keep_within(weights, importance(weights, prior * threads.deviation, threads.deviation), limits, overhead)
        weights = keep_neurons(weights, kept, threads.mean)
        prior = np.concatenate([prior[: prepared.view.width], prior[prepared.view.width :][kept]])
        if budget is not None:  # the default one gives way where the preparation alone takes more
            refuse_misfit(weights, budget, overhead)
    blocks = features_of(weights, rows)
    mean, _ = moments(blocks, rows.weight)
    draft = TargetNetwork(prepared.schema, weights, task.kind, task.classes, task.target_names, architecture, {}, provenance, reference)
    return Draft(draft, rows, head, blocks, Selection(np.arange(len(prior)), mean, prior), threads.penalty)


def _finish(draft: Draft, readout: Readout) -> TargetNetwork:
    """The network with its readout, folded into the unscaled features."""
    coef = readout.coef * draft.chosen.prior[:, None]
    weights = replace(
        draft.network.weights,
        readout=coef.astype(np.float32),
        intercept=(readout.intercept - draft.chosen.mean @ coef).astype(np.float32),
        extra=left_out_intervals(readout.left_out, draft.rows),
    )
    draft.network.architecture["members"][0]["penalty"] = readout.penalty * draft.unit  # as families have it: of the generated scales
    return replace(draft.network, weights=weights)
