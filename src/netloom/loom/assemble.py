"""Solve the members on all rows and merge them into one plain network: their features are shared, so their readouts add up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from netloom.loom.compare import moments, readout_targets
from netloom.loom.families import Selection, select
from netloom.loom.pool import Pool
from netloom.loom.rows import Rows
from netloom.target.budget import Budget, default_budget
from netloom.target.heads import HEADS
from netloom.target.prune import fits, importance, keep_neurons, prune, refuse_misfit, tidy
from netloom.target.solve import compress
from netloom.target.weights import Weights

__all__ = ["Member", "assemble"]

BLOCK = 20_000  # rows whose features are made at once
READOUT_ROWS = 50_000  # more rows than this no longer move a readout of two thousand features, and their features would take gigabytes
MOST_LOST = 0.9  # share of what neurons do that may go for a budget before a member goes


@dataclass(frozen=True)
class Member:
    """A family with its penalty and its share in the average."""

    family: str
    parts: tuple[str, ...]
    penalty: float
    weight: float


def assemble(
    pool: Pool, rows: Rows, members: Sequence[Member], head: str, budget: Budget | None, overhead: int
) -> tuple[Weights, list[Member]]:
    """One network of all members within the budget, ``overhead`` bytes of its file being its description; and the members in it.

    Neurons are dropped, the least important first, until it fits, and the readout is solved again for those that stay. Where most of
    what neurons do would go, the lightest member goes instead, and with it the views that only it reads. Without a budget the default
    one is aimed at, and gives way where the preparation alone takes more.

    Raises
    ------
    BudgetError : if it does not fit without any neuron
    """
    rows = rows.take(np.arange(min(rows.n, READOUT_ROWS)))
    blocks = features_of(pool.weights, rows)
    mean, deviation = moments(blocks, rows.weight)
    limits, members = budget or default_budget(overhead), list(members)
    while True:
        weights = merge(pool, rows, members, head, blocks, mean, deviation)
        if fits(tidy(weights), limits, overhead):
            break
        kept = prune(weights, mean, deviation, lambda smaller: fits(smaller, limits, overhead))
        if len(members) > 1 and _lost(weights, kept, deviation) > MOST_LOST:
            members = _without_lightest(members)
            continue
        pool = without_neurons(pool, kept, mean)
        del blocks
        blocks = features_of(pool.weights, rows)
        weights = merge(pool, rows, members, head, blocks, *moments(blocks, rows.weight))
        if budget is not None:
            refuse_misfit(tidy(weights), budget, overhead)
        break
    return tidy(weights), members


def _lost(weights: Weights, kept: np.ndarray, deviation: np.ndarray) -> float:
    """The share of what all neurons do that is lost without those outside ``kept`` (bool, all neurons)."""
    important = importance(weights, np.linalg.norm(weights.readout, axis=1), deviation)
    return float(important[~kept].sum() / max(important.sum(), 1e-300))


def _without_lightest(members: Sequence[Member]) -> list[Member]:
    lightest = min(range(len(members)), key=lambda i: members[i].weight)
    left = [m for i, m in enumerate(members) if i != lightest]
    total = sum(m.weight for m in left)
    return [replace(m, weight=m.weight / total) for m in left]


def features_of(weights: Weights, rows: Rows) -> list[np.ndarray]:
    """Features of all rows in blocks (n_i, p) float32."""
    return [weights.features(rows.X[i : i + BLOCK]) for i in range(0, rows.n, BLOCK)]


def merge(
    pool: Pool, rows: Rows, members: Sequence[Member], head: str, blocks: list[np.ndarray], mean: np.ndarray, deviation: np.ndarray
) -> Weights:
    """The weighted sum of the members' readouts, each solved on all rows, over the pool's features."""
    outputs = rows.head_targets.shape[1]
    readout, intercept = np.zeros((len(mean), outputs)), np.zeros(outputs)
    for member in members:
        chosen = select(pool, member.parts, mean, deviation)
        assert chosen is not None
        coef, offset = solve(chosen, blocks, rows, head, member.penalty)
        coef = coef * chosen.prior[:, None]
        np.add.at(readout, chosen.index, member.weight * coef)
        intercept += member.weight * (offset - chosen.mean @ coef)
    return replace(pool.weights, readout=readout.astype(np.float32), intercept=intercept.astype(np.float32))


def solve(chosen: Selection, blocks: list[np.ndarray], rows: Rows, head: str, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Readout (p, O) and intercept (O,) in scaled features: float64, or float32 features with float64 sums for many rows."""
    Y = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head)
    weight = torch.as_tensor(rows.weight)
    if len(blocks) == 1:
        F = torch.as_tensor(chosen.of(blocks[0].astype(np.float64)))
        small = compress(F) if F.shape[0] < F.shape[1] else None
        path = HEADS[head].fit_path(F if small is None else small.features, Y, [penalty], weight)
        coef = path.coef[0] if small is None else small.expand(path.coef[0])
    else:
        single = Selection(chosen.index, chosen.mean.astype(np.float32), chosen.prior.astype(np.float32))
        path = HEADS[head].fit_path([torch.as_tensor(single.of(block)) for block in blocks], Y, [penalty], weight)
        coef = path.coef[0]
    return coef.numpy(), path.intercept[0].numpy()


def without_neurons(pool: Pool, kept: np.ndarray, mean: np.ndarray) -> Pool:
    """The pool without some neurons; parts and generated scales follow."""
    first = sum(v.width for v in pool.weights.views)
    stay = np.concatenate([np.ones(first, dtype=bool), kept])
    place = np.cumsum(stay) - 1
    parts = {name: place[index[stay[index]]] for name, index in pool.parts.items()}
    priors = {name: prior[stay[pool.parts[name]]] for name, prior in pool.priors.items()}
    return Pool(keep_neurons(pool.weights, kept, mean), parts, priors)
