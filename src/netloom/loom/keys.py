"""Random numbers that follow the data: each column and class has a key made of its content, and its numbers are a function of that key.

So the order in which columns and classes come, and the unit of a column, never matter: permuted data get permuted random numbers.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

__all__ = ["content_keys", "met", "mix", "normals", "row_keys", "some_columns", "told_apart", "uniforms"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
AT_ONCE = 2**15  # numbers: so many stay in a processor's cache, and a small table takes few calls
SINGLED = 16  # rows; a table of few columns has no symmetry left then


def mix(x: np.ndarray) -> np.ndarray:
    """Scatter 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def some_columns(table: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """A table (n, d) a few columns at a time: which columns, and (k, n) of them."""
    k = max(AT_ONCE // max(len(table), 1), 1)
    for j in range(0, table.shape[1], k):
        yield slice(j, j + k), table.T[j : j + k]


def row_keys(ranks: np.ndarray) -> np.ndarray:
    """A key per row (n,) from dense ranks (n, d), the same in whatever order the columns come."""
    key = np.zeros(len(ranks), dtype=np.uint64)
    for _, some in some_columns(ranks):  # a sum does not know its order
        key += mix(some.astype(np.uint64) * GOLDEN + np.uint64(1)).sum(axis=0, dtype=np.uint64)
    return mix(key)


def content_keys(ranks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A key per column (d,) from its ranks (n, d) and the keys of the rows (n,)."""
    keys = np.empty(ranks.shape[1], dtype=np.uint64)
    for which, some in some_columns(ranks):
        keys[which] = mix(some.astype(np.uint64) * GOLDEN + rows).sum(axis=1, dtype=np.uint64)
    return mix(keys)


def told_apart(ranks: np.ndarray, targets: np.ndarray, weight: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys of rows (n,), columns (d,) and outputs (O,) of a table: ranks (n, d), targets (n, O), weight (n,), keys of the rows so far (n,).

    Rows whose values are those of another row in other columns have its key, and columns that differ by such rows share theirs, until what
    each meets tells them apart (colour refinement, Weisfeiler & Leman 1968). Keys of columns and outputs stay where that finds no more;
    rows, all of them different, get keys of their own even there, but for what `_singled_out` leaves.
    """
    columns, outputs = content_keys(ranks, rows), content_keys(targets, rows)
    own = rows + mix(_weight_ranks(weight))
    while True:
        rows = mix(own + met(ranks, columns) + met(targets, outputs))
        known = _distinct(columns, outputs)
        if known == len(columns) + len(outputs):
            return rows, columns, outputs
        finer = content_keys(ranks, rows), content_keys(targets, rows)
        if _distinct(*finer) == known:
            return _singled_out(ranks, targets, rows), columns, outputs
        columns, outputs = finer


def _singled_out(ranks: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Keys of rows that are all different. Rows that nothing tells apart are exchanged by a symmetry of the table, like a swap of columns:
    one of them is singled out, whichever, and the others are told by what they have in common with it.

    What `SINGLED` such rows leave together keeps one key: hundreds of rows that each have a column of their own, in any order the same.
    """
    for _ in range(SINGLED):
        _, first, count = np.unique(rows, return_index=True, return_counts=True)
        if len(first) == len(rows):
            return rows
        rows = rows.copy()
        rows[first[count > 1][:1]] += GOLDEN  # a slice: a scalar would warn that it wraps around
        before = 0
        while (known := _distinct(rows)) > before:
            before = known
            rows = mix(rows + met(ranks, content_keys(ranks, rows)) + met(targets, content_keys(targets, rows)))
    return rows


def _distinct(*keys: np.ndarray) -> int:
    return sum(len(np.unique(some)) for some in keys)


def met(ranks: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A key per row (n,) of what it has of which column, given by its key (d,), in whatever order these come."""
    key = np.zeros(len(ranks), dtype=np.uint64)
    for which, some in some_columns(ranks):
        key += mix(mix(some.astype(np.uint64) * GOLDEN + np.uint64(1)) + columns[which, None]).sum(axis=0, dtype=np.uint64)
    return key


def _weight_ranks(weight: np.ndarray) -> np.ndarray:
    """Which of the sorted weights each is, but for their rounding."""
    return np.unique(np.round(weight / weight.mean(), 6), return_inverse=True)[1].astype(np.uint64)


def uniforms(keys: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Numbers in (0, 1) (len(keys), count), the same for the same key and seed."""
    lane = mix(np.arange(1, count + 1, dtype=np.uint64) * GOLDEN + np.uint64(seed % 2**63))
    return ((mix(keys[:, None] ^ lane) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def normals(keys: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Standard normal numbers (len(keys), count), the same for the same key and seed."""
    return ndtri(uniforms(keys, count, seed))
