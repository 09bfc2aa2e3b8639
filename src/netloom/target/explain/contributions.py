"""How much each column moves each row's output: exact for the additive part, Shapley values for the neurons.

The neurons' share is the interventional Shapley value (Lundberg & Lee 2017; Janzing 2020): a column's values are put in place of those of a
row of the background, in random order, and what changes is its share. Each order is walked forwards and backwards, which is exact where
columns act alone or in pairs (Castro 2009; Mitchell 2022), and every walk ends at the row itself, so that the shares add up exactly.
"""

import numpy as np

from netloom.target.explain.reading import Reading, Said

__all__ = ["contributions"]

AT_ONCE = 4_000_000  # numbers held while walking: bounds memory


def contributions(reading: Reading, rows: Said, background: Said, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of columns in the outputs.

    Parameters
    ----------
    rows : what the n rows to explain say
    background : what the B rows to compare with say: each begins one order of columns, walked both ways

    Returns
    -------
    base : (O,), the mean output of the background
    direct : (n, C, O), shares of the additive part, exact
    woven : (n, C, O), shares of the neurons; base + (direct + woven).sum(axis=1) is the output
    """
    n, C, O = rows.direct.shape
    B = len(background)
    direct = rows.direct - background.direct.mean(axis=0)
    woven = np.zeros((n, C, O))
    start = reading.neurons(background.neurons.sum(axis=1))  # (B, O)
    base = reading.intercept + background.direct.sum(axis=1).mean(axis=0) + start.mean(axis=0)
    walkers = np.flatnonzero(reading.heard_by_neurons)
    if not reading.H or not n or not len(walkers):
        return base, direct, woven
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(walkers) for _ in range(B)]
    H = reading.H
    chunk = max(1, AT_ONCE // (2 * H))
    for i in range(0, n, chunk):
        part = rows.neurons[i : i + chunk]
        m = len(part)
        for b, order in enumerate(orders):
            mine = background.neurons[b]  # (C, H)
            heard = np.repeat(mine.sum(axis=0)[None], 2 * m, axis=0)  # forwards on top, backwards below
            before = np.repeat(start[b][None], 2 * m, axis=0)
            for c, d in zip(order, order[::-1], strict=True):
                heard[:m] += part[:, c] - mine[c]
                heard[m:] += part[:, d] - mine[d]
                after = reading.neurons(heard)
                woven[i : i + m, c] += (after[:m] - before[:m]) / (2 * B)
                woven[i : i + m, d] += (after[m:] - before[m:]) / (2 * B)
                before = after
    return base, direct, woven
