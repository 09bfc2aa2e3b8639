"""Solve the members on all rows and merge them into one plain network: their features are shared, so their readouts add up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from netloom.loom.compare import moments, readout_targets
from netloom.loom.families import Selection, parts_there, select
from netloom.loom.pool import Pool
from netloom.loom.rows import Rows
from netloom.loom.shrink import SAME, shrink
from netloom.target.budget import Budget, default_budget
from netloom.target.heads import HEADS
from netloom.target.prune import bytes_of, fits, preparation_bytes, refuse_misfit
from netloom.target.solve import compress
from netloom.target.weights import Weights

__all__ = ["Member", "assemble"]

BLOCK = 20_000  # rows whose features are one matrix; more are solved from sums over such blocks
AT_ONCE = 2000  # rows whose features are made at once, with those that nobody reads
READOUT_ROWS = 45_000  # with more, a fit of many rows of 50 columns takes more than two gigabytes


@dataclass(frozen=True)
class Member:
    """A family with its penalty and its share in the average."""

    family: str
    parts: tuple[str, ...]
    penalty: float
    weight: float


def assemble(
    pool: Pool,
    rows: Rows,
    members: Sequence[Member],
    head: str,
    budget: Budget | None,
    overhead: int,
    factor: float = 1.0,
    same: float = SAME,
    quick: bool = False,
) -> tuple[Weights, dict[str, float]]:
    """One network that says what the average of all members says, its outputs times ``factor``, within the budget and as small as can be
    (``same``, ``quick``: `netloom.loom.shrink.shrink`).

    ``overhead`` bytes of its file are its description. Without a budget the default one is aimed at, and gives way where the preparation
    alone takes more. Also what it imitates: the ``bytes`` of all members merged, and how far ``apart`` they are (`Large.apart`).

    Raises
    ------
    BudgetError : if it does not fit without any neuron
    """
    rows = rows.take(np.arange(min(rows.n, READOUT_ROWS)))
    alone = solved_alone(pool, rows, members, head)
    large = merge(pool, members, alone, factor)
    limits = budget or default_budget(overhead + preparation_bytes(large))
    chances = rows.codes is not None
    weights, apart = shrink(large, rows, lambda smaller: fits(smaller, limits, overhead), chances=chances, same=same, quick=quick)
    if budget is not None:
        refuse_misfit(weights, budget, overhead)
    return weights, {"bytes": bytes_of(large) + overhead, "apart": float(f"{apart:.3g}")}


def solved_alone(pool: Pool, rows: Rows, members: Sequence[Member], head: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """`readout_of` each member. What none reads, like the cuts of trees, is not kept: with many rows it would be half of the memory."""
    wanted = {part for member in members for part in parts_there(pool, member.parts) or ()}
    read = np.unique(np.concatenate([pool.parts[part] for part in wanted]))
    narrow = replace(pool, parts={part: np.searchsorted(read, pool.parts[part]) for part in wanted})
    blocks = features_of(pool.weights, rows, read)
    mean, deviation = moments(blocks, rows.weight)
    alone = []
    for member in members:
        own, intercept = readout_of(narrow, rows, member, head, blocks, mean, deviation)
        readout = np.zeros_like(own, shape=pool.weights.readout.shape)
        readout[read] = own
        alone.append((readout, intercept))
    return alone


def features_of(weights: Weights, rows: Rows, read: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
    """Features of all rows, those at ``read``, in blocks (n_i, p) float32."""
    width = np.arange(len(weights.readout))[read].size
    blocks = []
    for X in (rows.X[i : i + BLOCK] for i in range(0, rows.n, BLOCK)):
        block = np.empty((len(X), width), np.float32)
        for i in range(0, len(X), AT_ONCE):
            block[i : i + AT_ONCE] = weights.features(X[i : i + AT_ONCE])[:, read]
        blocks.append(block)
    return blocks


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


def merge(pool: Pool, members: Sequence[Member], alone: Sequence[tuple[np.ndarray, np.ndarray]], factor: float = 1.0) -> Weights:
    """One network of the pool: the weighted sum of the members' readouts, which are ``alone``, times ``factor``."""
    readout = sum(factor * m.weight * own for m, (own, _) in zip(members, alone, strict=True))
    intercept = sum(factor * m.weight * own for m, (_, own) in zip(members, alone, strict=True))
    return replace(pool.weights, readout=np.asarray(readout, np.float32), intercept=np.asarray(intercept, np.float32))


def solve(chosen: Selection, blocks: list[np.ndarray], rows: Rows, head: str, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Readout (p, O) and intercept (O,) in scaled features: float64, or float32 features with float64 sums for many rows."""
    Y = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head)
    weight = torch.as_tensor(rows.weight)
    if len(blocks) == 1:
        F = torch.as_tensor(chosen.of(blocks[0]))
        small = compress(F) if F.shape[0] < F.shape[1] else None
        path = HEADS[head].fit_path(F if small is None else small.features, Y, [penalty], weight)
        coef = path.coef[0] if small is None else small.expand(path.coef[0])
    else:
        single = Selection(chosen.index, chosen.mean.astype(np.float32), chosen.prior.astype(np.float32))
        path = HEADS[head].fit_path([torch.as_tensor(single.of(block)) for block in blocks], Y, [penalty], weight)
        coef = path.coef[0]
    return coef.numpy(), path.intercept[0].numpy()
