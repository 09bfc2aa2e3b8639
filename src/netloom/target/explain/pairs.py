"""Which two columns act together: the total interaction index of Liu & Owen (2006), of the neurons alone, as all else is additive.

A quarter of the mean square of  h(a, b) - h(a', b) - h(a, b') + h(a', b')  with the other columns as they are: 0 exactly where no neuron
joins the two. Its root is in units of the output.
"""

from itertools import combinations

import numpy as np

from netloom.target.explain.reading import Reading, Said

__all__ = ["pair_strengths"]

TOGETHER = 14  # of more columns, only those that move the neurons most are paired


def pair_strengths(reading: Reading, background: Said, centred: bool, seed: int = 0) -> list[tuple[int, int, float]]:
    """(column, column, strength) from the strongest, over all outputs; ``centred``: only differences between outputs count."""
    if not reading.H or len(background) < 2:
        return []
    rng = np.random.default_rng(seed)
    rows, order = background.neurons, rng.permutation(len(background))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)  # each row's partner, never itself
    gap = rows[other] - rows  # (B, C, H)
    heard = rows.sum(axis=1)

    def h(extra: np.ndarray | float) -> np.ndarray:
        out = reading.neurons(heard + extra)
        return out - out.mean(axis=1, keepdims=True) if centred else out

    here = h(0.0)
    columns = np.flatnonzero(reading.heard_by_neurons)
    alone = {int(c): h(gap[:, c]) for c in columns}
    moved = {c: float(np.square(out - here).mean()) for c, out in alone.items()}
    most = sorted(sorted(alone, key=lambda c: -moved[c])[:TOGETHER])
    found = []
    for a, b in combinations(most, 2):
        crossed = h(gap[:, a] + gap[:, b]) - alone[a] - alone[b] + here
        found.append((a, b, float(np.sqrt(0.25 * np.square(crossed).sum(axis=1).mean()))))
    return sorted(found, key=lambda pair: -pair[2])
