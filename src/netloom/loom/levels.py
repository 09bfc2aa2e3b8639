"""The levels of a category in a line, for trees: one cut parts several levels from the others, where 0/1 columns part one at a time.

There are two such lines. One follows what the levels say, where that is not a feature already. The other follows their mean targets:
for values and two classes one of its cuts is the best way to part the levels in two (Fisher 1958; Breiman et al. 1984, section 4.2.2);
with more outputs the means stand in the order of their first principal component (Coppersmith, Hong & Hosking 1999).
"""

from dataclasses import dataclass

import numpy as np

from netloom.loom.keys import mix
from netloom.loom.rows import Rows
from netloom.target.weights import View

__all__ = ["Line", "lines_of"]

FEWEST = 3  # levels of a line
PRIOR = 1.0  # rows at the mean of all that each level's mean is held back by
CHANCE = 2.0  # times the spread of means that levels would have by chance: with less their order is noise, which trees like to cut
DIGITS = 9  # of places, which differ by rounding where they are the same
STEEP = 1.001  # so that rounding to half precision leaves no level between 0 and 1


@dataclass(frozen=True, eq=False)
class Line:
    """Where levels stand: columns ``at`` (L,) of a view, with values ``low`` and ``high``, at ``places`` (L,); rows of none at ``rest``.

    key : follows what the columns hold.  values : (n,) of the rows it was made of.
    """

    at: np.ndarray
    low: np.ndarray
    high: np.ndarray
    places: np.ndarray
    rest: float
    key: np.uint64
    values: np.ndarray

    def cut(self, threshold: float, side: int) -> tuple[np.ndarray, float]:
        """Weights (L,) and bias of a ReLU neuron that is 1 for places from ``threshold`` on and 0 for others (side -1: the reverse)."""
        outside = (self.places >= threshold) == (side > 0)
        usual = (self.rest >= threshold) == (side > 0)  # without any of the levels
        slope = np.where(outside == usual, 0.0, np.where(outside, STEEP, -STEEP)) / (self.high - self.low)
        slope = slope.astype(np.float16).astype(np.float64)
        return slope, float(usual) - float(slope @ self.low)


def lines_of(rows: Rows, view: View, values: np.ndarray) -> list[Line]:
    """The lines of every category of which the view has a few levels; ``values`` (n, k) are its values of the rows."""
    column = {int(c): i for i, c in enumerate(view.columns)}
    low, high = values.min(axis=0), values.max(axis=0)
    found = []
    for levels, said in rows.levels:
        seen = [i for i, c in enumerate(levels.tolist()) if c in column and low[column[c]] < high[column[c]]]
        if len(seen) < FEWEST:
            continue
        at = np.array([column[c] for c in levels[seen].tolist()])
        on = values[:, at] > (low[at] + high[at]) / 2  # (n, L)
        none = ~on.any(axis=1)
        key = rows.columns[view.columns[at]].sum(dtype=np.uint64)
        by_target = _by_target(rows, on, none)
        lines = ([] if by_target is None else [by_target]) + ([] if said is None else [(said[seen], -1.0)])
        for nth, (places, rest) in enumerate(lines, start=1):
            own = mix(np.array([key]) + np.uint64(nth))[0]
            found.append(Line(at, low[at], high[at], places, rest, own, np.where(none, rest, on @ places)))
    return found


def _by_target(rows: Rows, on: np.ndarray, none: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Places (L,) of levels by their mean targets, and that of rows of none of them; None where these differ no more than by chance."""
    targets = rows.keyed_targets
    targets = targets - np.average(targets, axis=0, weights=rows.weight)
    held = rows.weight[:, None] * np.concatenate([on, none[:, None]], axis=1)  # (n, L + 1)
    mass = held.sum(axis=0)
    sums = held.T @ targets
    L = int((mass > 0).sum())
    between = float((np.square(sums[mass > 0]) / mass[mass > 0, None]).sum())
    within = float(rows.weight @ np.square(targets).sum(axis=1)) - between
    if between * (rows.n - L) < CHANCE * within * (L - 1):  # F ratio
        return None
    means = sums / (mass + PRIOR)[:, None]
    if means.shape[1] > 1:
        direction = np.linalg.svd(np.sqrt(mass)[:, None] * means, full_matrices=False)[2][0]
        means = means @ (direction * np.sign(direction[np.abs(direction).argmax()]))[:, None]
    places = np.round(means[:, 0], DIGITS)
    return places[:-1], float(places[-1])
