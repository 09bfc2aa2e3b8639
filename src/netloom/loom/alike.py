"""Members that no fold has compared: all count alike, each held back as leave-one-out says, where it can say that.

One pass over the rows instead of one for every fold: what `netloom.fit` does when it is to be quick, or when rows are too few to compare.
"""

import numpy as np
import torch

from netloom.loom.assemble import Member
from netloom.loom.compare import losses, moments, readout_targets
from netloom.loom.families import parts_there, select
from netloom.loom.pool import Pool
from netloom.loom.rows import Rows
from netloom.loom.rules import GROWN
from netloom.target.heads import HEADS
from netloom.target.solve import compress

__all__ = ["QUICK", "alike", "held_back"]

QUICK = {  # what is made when nothing is compared; see docs/decisions/0097
    "classification": ("woven", "random", "cells + extra"),
    "regression": ("woven", "random"),
}
HELD_BACK = {"logistic": 0.3, "svm": 0.3, "ridge": 1.0, "gaussian": 1.0}  # the penalty where nothing chooses one
PENALTIES = {  # walked from strong to weak, as long as leave-one-out likes the next one better
    "logistic": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003),
    "svm": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003),
    "ridge": (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03),
    "gaussian": (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03),
}
STRONG = 5  # of these are open to woven neurons: they have seen the labels, and leave-one-out would have them weaker still
ROUGHLY: dict[str, dict[str, float]] = {"logistic": {"tolerance": 1e-4}}  # of readouts that are only compared
JUDGED = 1000  # rows of a large task that are left out one by one


def held_back(pool: Pool, families: dict[str, tuple[str, ...]], head: str) -> list[Member]:
    """The families for which the table has something to read, with one weight and one penalty."""
    there = {name: parts for name, parts in families.items() if parts_there(pool, parts) is not None}
    return [Member(name, parts, HELD_BACK[head], 1 / len(there)) for name, parts in there.items()]


def alike(pool: Pool, rows: Rows, families: dict[str, tuple[str, ...]], head: str) -> tuple[list[Member], np.ndarray | None]:
    """`held_back`, but for the penalties of families without trees, which leave-one-out chooses on the first rows; also the mean of the
    outputs (n, O) that these families give for these rows without themselves, None if there is no such family.

    The leaves of trees have seen the labels of all rows: of them leave-one-out says nothing.
    """
    members = held_back(pool, families, head)
    judged = rows.take(np.arange(min(rows.n, JUDGED)))
    features = pool.weights.features(judged.X)
    mean, deviation = moments([features], judged.weight)
    left_out: list[np.ndarray] = []
    for i, member in enumerate(members):
        chosen = select(pool, member.parts, mean, deviation)
        if chosen is None or any(part in GROWN for part in member.parts):
            continue
        walked = PENALTIES[head][: STRONG if any(part.startswith("woven") for part in member.parts) else None]
        penalty, held_out = _search(torch.as_tensor(chosen.of(features)), judged, head, walked)
        members[i] = Member(member.family, member.parts, penalty, member.weight)
        left_out.append(held_out)
    return members, np.mean(left_out, axis=0) if left_out else None


def _search(F: torch.Tensor, rows: Rows, head: str, penalties: tuple[float, ...]) -> tuple[float, np.ndarray]:
    """The first penalty on the way down after which leave-one-out loses, and the outputs (n, O) of the rows of F without themselves."""
    F = compress(F).features
    Y, weight = readout_targets(rows, np.arange(rows.head_targets.shape[1]), head), torch.as_tensor(rows.weight)
    apart = {"together": 0} if head == "logistic" else {}  # class by class: a quarter of the time
    best, least, held_out = penalties[0], np.inf, np.zeros(0)
    for penalty, path in zip(penalties, HEADS[head].walk(F, Y, penalties, weight, **ROUGHLY.get(head, {})), strict=True):
        outputs = HEADS[head].leave_one_out(F, Y, path, [penalty], weight, **apart)[0].numpy()
        loss = float(np.average(losses(outputs, rows, head), weights=rows.weight))
        if loss >= least:
            break
        best, least, held_out = penalty, loss, outputs
    return best, held_out
