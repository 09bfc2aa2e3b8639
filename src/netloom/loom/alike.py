"""Members that no fold has compared: all count alike, held back as leave-one-out says of those that have not seen the labels.

One pass over the rows instead of one for every fold: what `netloom.fit` does when it is to be quick, or when rows are too few to compare.
"""

import numpy as np
import torch

from netloom.loom.assemble import Member
from netloom.loom.compare import losses, moments, readout_targets
from netloom.loom.families import parts_there, select
from netloom.loom.pool import Pool
from netloom.loom.readouts import APART, ROUGHLY
from netloom.loom.rows import Rows, spread
from netloom.loom.rules import GROWN
from netloom.target.heads import HEADS
from netloom.target.solve import compress

__all__ = ["QUICK", "alike", "held_back"]

QUICK = ("woven", "random", "cells + extra")  # what is made when nothing is compared; see docs/decisions/0098
HELD_BACK = {"logistic": 0.3, "svm": 0.3, "ridge": 1.0, "gaussian": 1.0}  # the penalty where nothing chooses one
PENALTIES = {  # walked from strong to weak, as long as leave-one-out likes the next one better
    "logistic": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003),
    "svm": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003),
    "ridge": (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03),
    "gaussian": (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03),
}
STEP = 1  # of these, by which features that have seen the labels are held back more
PROBE = ("cells",)  # what leave-one-out is asked of where all families have seen the labels
JUDGED = 500  # rows that are left out one by one


def held_back(pool: Pool, families: dict[str, tuple[str, ...]], head: str) -> list[Member]:
    """The families for which the table has something to read, with one weight and one penalty."""
    there = {name: parts for name, parts in families.items() if parts_there(pool, parts) is not None}
    return [Member(name, parts, HELD_BACK[head], 1 / len(there)) for name, parts in there.items()]


def alike(pool: Pool, rows: Rows, families: dict[str, tuple[str, ...]], head: str) -> tuple[list[Member], np.ndarray]:
    """The same with penalties, and the mean of what families of fixed features give for some rows without themselves (n, O): for values
    the first ones.

    The penalty of fixed features is what leave-one-out likes. Woven neurons and leaves of trees have seen the labels, so that it would
    have them too weak: they are held back one `STEP` more than the others.
    """
    members = held_back(pool, families, head)
    judged = rows.take(spread(rows, JUDGED))
    features = pool.weights.features(judged.X)
    mean, deviation = moments([features], judged.weight)
    fixed = {m.family: m.parts for m in members if not any(_has_seen_labels(part) for part in m.parts)} or {"": PROBE}
    found: dict[str, int] = {}
    left_out: list[np.ndarray] = []
    for name, parts in fixed.items():
        chosen = select(pool, parts, mean, deviation)
        assert chosen is not None
        found[name], held_out = _search(torch.as_tensor(chosen.of(features)), judged, head)
        left_out.append(held_out)
    more = max(int(np.median(list(found.values()))) - STEP, 0)
    penalties = PENALTIES[head]
    return [Member(m.family, m.parts, penalties[found.get(m.family, more)], m.weight) for m in members], np.mean(left_out, axis=0)


def _has_seen_labels(part: str) -> bool:
    return part in GROWN or part.startswith("woven")


def _search(F: torch.Tensor, rows: Rows, head: str) -> tuple[int, np.ndarray]:
    """Which of the penalties is the last one before leave-one-out loses, and the outputs (n, O) of the rows of F without themselves."""
    F = compress(F).features
    Y, weight = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head), torch.as_tensor(rows.weight)
    best, least, held_out = 0, np.inf, np.zeros(0)
    for i, path in enumerate(HEADS[head].walk(F, Y, PENALTIES[head], weight, **ROUGHLY.get(head, {}))):
        outputs = HEADS[head].leave_one_out(F, Y, path, [PENALTIES[head][i]], weight, **APART.get(head, {}))[0].numpy()
        loss = float(np.average(losses(outputs, rows, head), weights=rows.weight))
        if loss >= least:
            break
        best, least, held_out = i, loss, outputs
    return best, held_out
