"""Tasks made of a table at hand: any column as target, random rows and columns, numbers cut into classes or kept.

A `RealTable` holds encoded features and the raw columns as tensors, so that sampling needs torch only; pack.py makes it from files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.tasks.priors.batch import Tasks
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.sizes import Ranges, cost
from netloom.tasks.priors.targets import cut_classes

__all__ = ["RealTable", "held_out", "sample_table"]

WIDEST = 128  # features the loom reads of a wide table
RAREST = 0.02  # a class with a smaller share of the rows is left out
OWN = 0.4  # how often the table's own target is asked for


@dataclass(frozen=True, eq=False)
class RealTable:
    """A table of n rows.

    Attributes
    ----------
    name : what it is called
    X : (n, d) encoded features of all columns, standardised
    of : (d,) the column each feature comes from
    values : (n, columns) numbers in deviations, or level numbers; NaN where missing
    levels : (columns,) how many levels a column has, 0 for numbers
    target : the column that the table is about
    """

    name: str
    X: Tensor
    of: Tensor
    values: Tensor
    levels: Tensor
    target: int

    def to(self, device: str | torch.device) -> RealTable:
        X, of, values, levels = (part.to(device) for part in (self.X, self.of, self.values, self.levels))
        return RealTable(self.name, X, of, values, levels, self.target)


def sample_table(draw: Draw, table: RealTable, ranges: Ranges, work: float) -> Tasks | None:
    """A batch of tasks of one table and target that differ in their rows; None where the target is constant or has too few rows."""
    columns = len(table.levels)
    t = table.target if draw.chance(OWN) else draw.between(0, columns - 1)
    y, classes = _target(table, t, ranges.outputs[1])
    rows = torch.nonzero(~torch.isnan(y))[:, 0]
    R = len(rows)
    queries = min(ranges.queries, R // 3)
    if 3 * ranges.rows[0] > R or queries < 1 or classes == 1:
        return None
    n = int(draw.log_between(ranges.rows[0], min(ranges.rows[1], R - queries) + 0.99))
    others = [j for j in range(columns) if j != t]
    if not others:
        return None
    if draw.chance(0.5):
        others = draw.rng.sample(others, draw.between(1, len(others)))
    features = torch.nonzero(torch.isin(table.of, torch.tensor(others, device=table.of.device)))[:, 0]
    features = features[draw.order(len(features))[: min(WIDEST, max(ranges.columns[1], 1))]]
    d = len(features)
    if not d:
        return None
    B = max(2, min(int(4 * work), round(work / cost(n, d, queries))))
    pool = rows[draw.order(R)[: 4 * (n + queries)]]  # of a long table each batch sees a part, so that nothing long is sorted B times
    picked = pool[draw.order(B, len(pool))[:, : n + queries]]  # (B, n + queries)
    X, y = table.X[picked[..., None], features], y[picked]
    if classes:
        return Tasks(X, y.long(), classes, n, table.name)
    if draw.chance(ranges.values):
        return Tasks(X, y[..., None], 0, n, table.name)
    low, high = ranges.outputs
    classes = low if draw.chance(0.5) else draw.between(low, max(low, min(high, n // 4)))
    return Tasks(X, cut_classes(draw, y, classes, exact=draw.chance(0.5)), classes, n, table.name)


def held_out(table: RealTable, rows: int = 1000, seed: int = 0) -> Tasks | None:
    """The table's own task, half of its rows to read (at most ``rows``), the others to predict; always the same."""
    draw = Draw(seed, 0, 0, table.X.device)
    y, classes = _target(table, table.target, 100)
    known = torch.nonzero(~torch.isnan(y))[:, 0]
    if len(known) < 10 or classes == 1:
        return None
    known = known[draw.order(len(known))][: 2 * rows]
    features = torch.nonzero(table.of != table.target)[:, 0]
    features = features[draw.order(len(features))[:WIDEST]]
    if not len(features):
        return None
    X, y = table.X[known][:, features][None], y[known][None]
    return Tasks(X, y.long() if classes else y[..., None], classes, len(known) // 2, table.name)


def _target(table: RealTable, t: int, most: int) -> tuple[Tensor, int]:
    """Column t as a target (n,), NaN where it is not known, and its number of classes: 0 for numbers, 1 where it says nothing."""
    y = table.values[:, t]
    seen = y[~torch.isnan(y)]
    if not len(seen) or bool((seen == seen[0]).all()):
        return y, 1
    if not int(table.levels[t]):
        return y, 0
    count = torch.bincount(seen.long(), minlength=int(table.levels[t]))
    kept = torch.nonzero(count >= max(2, RAREST * len(seen)))[:, 0]
    kept = kept[torch.argsort(-count[kept], stable=True)][:most]
    if len(kept) < 2:
        return y, 1
    place = torch.full((len(count),), float("nan"), device=y.device)
    place[kept] = torch.arange(len(kept), device=y.device, dtype=place.dtype)
    return torch.where(torch.isnan(y), y, place[torch.nan_to_num(y).long()]), len(kept)
