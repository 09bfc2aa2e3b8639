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
    limits, left = budget or default_budget(overhead), sorted(members, key=lambda m: -m.weight)
    alone = [readout_of(pool, rows, member, head, blocks, mean, deviation) for member in left]
    while True:
        weights = merge(pool, left, alone)
        if fits(tidy(weights), limits, overhead):
            return tidy(weights), left
        kept = prune(weights, mean, deviation, lambda smaller: fits(smaller, limits, overhead))
        if len(left) == 1 or _lost(weights, kept, deviation) <= MOST_LOST:
            break
        left, alone = _shared_out(left[:-1]), alone[:-1]
    pool = without_neurons(pool, kept, mean)
    del blocks
    blocks = features_of(pool.weights, rows)
    mean, deviation = moments(blocks, rows.weight)
    weights = tidy(merge(pool, left, [readout_of(pool, rows, member, head, blocks, mean, deviation) for member in left]))
    if budget is not None:
        refuse_misfit(weights, budget, overhead)
    return weights, left


def _lost(weights: Weights, kept: np.ndarray, deviation: np.ndarray) -> float:
    """The share of what all neurons do that is lost without those outside ``kept`` (bool, all neurons)."""
    important = importance(weights, np.linalg.norm(weights.readout, axis=1), deviation)
    return float(important[~kept].sum() / max(important.sum(), 1e-300))


def _shared_out(members: Sequence[Member]) -> list[Member]:
    """The members with weights that add up to one again."""
    total = sum(m.weight for m in members)
    return [replace(m, weight=m.weight / total) for m in members]


def features_of(weights: Weights, rows: Rows) -> list[np.ndarray]:
    """Features of all rows in blocks (n_i, p) float32."""
    return [weights.features(rows.X[i : i + BLOCK]) for i in range(0, rows.n, BLOCK)]


def readout_of(
    pool: Pool, rows: Rows, member: Member, head: str, blocks: list[np.ndarray], mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One member's readout (p, O) over the pool's features and its intercept (O,), solved on all rows."""
    chosen = select(pool, member.parts, mean, deviation)
    assert chosen is not None
    coef, offset = solve(chosen, blocks, rows, head, member.penalty)
    coef = coef * chosen.prior[:, None]
    readout = np.zeros((len(mean), coef.shape[1]))
    np.add.at(readout, chosen.index, coef)
    return readout, offset - chosen.mean @ coef


def merge(pool: Pool, members: Sequence[Member], alone: Sequence[tuple[np.ndarray, np.ndarray]]) -> Weights:
    """One network of the pool: the weighted sum of the members' readouts, which are ``alone``."""
    readout = sum(m.weight * own for m, (own, _) in zip(members, alone, strict=True))
    intercept = sum(m.weight * own for m, (_, own) in zip(members, alone, strict=True))
    return replace(pool.weights, readout=np.asarray(readout, np.float32), intercept=np.asarray(intercept, np.float32))


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
