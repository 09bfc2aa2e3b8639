"""The rows of a task in canonical form: encoded, equal rows merged into one with their summed weight, in an order of their own.

So the order of rows never matters, and a row with weight 2 is exactly a row that occurs twice.
"""

from dataclasses import dataclass

import numpy as np

from netloom.errors import DataError
from netloom.loom.batch import one_hot
from netloom.tasks import Task

__all__ = ["Rows", "canonical_rows", "folds_of", "spread"]


@dataclass(frozen=True, eq=False)
class Rows:
    """X (n, d) encoded; targets (n, O) one-hot or z-scored; weight (n,) with mean 1; codes (n,) classes or None.

    centre, scale (O,) bring z-scored targets back to their own unit.
    """

    X: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    codes: np.ndarray | None
    kind: str
    centre: np.ndarray
    scale: np.ndarray

    @property
    def n(self) -> int:
        return len(self.X)

    def take(self, index: np.ndarray) -> "Rows":
        """Some of the rows, under the same scaling of targets."""
        codes = None if self.codes is None else self.codes[index]
        return Rows(self.X[index], self.targets[index], self.weight[index], codes, self.kind, self.centre, self.scale)

    @property
    def head_targets(self) -> np.ndarray:
        """Targets as a readout sees them: one column for two classes."""
        return self.targets[:, 1:] if self.codes is not None and self.targets.shape[1] == 2 else self.targets


def canonical_rows(X: np.ndarray, task: Task) -> Rows:
    """Canonical rows of ``task`` whose input columns are encoded as X (n, d).

    Raises
    ------
    DataError : if fewer than two different rows, or a single class, are left once rows of weight zero are gone
    """
    y = np.asarray(task.y, dtype=np.float64).reshape(task.n, -1)
    weight = np.ones(task.n) if task.weight is None else np.asarray(task.weight, dtype=np.float64)
    kept = weight > 0
    table, weight = np.concatenate([X, y], axis=1)[kept] + 0.0, weight[kept]  # + 0.0: -0.0 is 0.0
    order = np.argsort(_hashes(table), kind="stable")
    table, weight = table[order], weight[order]
    new = np.concatenate([[True], (table[1:] != table[:-1]).any(axis=1)])
    weight = np.add.reduceat(weight, np.flatnonzero(new))
    table = table[new]
    d = X.shape[1]
    X, y = np.ascontiguousarray(table[:, :d]), table[:, d:]
    weight = weight / weight.mean()
    if task.kind == "classification":
        codes = y[:, 0].astype(np.int64)
        if len(np.unique(codes)) < 2:
            raise DataError("the target holds a single class among rows of weight above 0; at least two are needed")
        classes = task.outputs
        return Rows(X, one_hot(codes, classes), weight, codes, task.kind, np.zeros(classes), np.ones(classes))
    if len(X) < 2:
        raise DataError("all rows are the same; at least two different rows are needed")
    largest = np.maximum(np.abs(y).max(axis=0), 1e-300)
    unit = y / largest
    mean = np.average(unit, axis=0, weights=weight)
    deviation = np.sqrt(np.average(np.square(unit - mean), axis=0, weights=weight))
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return Rows(X, (unit - mean) / deviation, weight, None, task.kind, mean * largest, deviation * largest)


def _hashes(table: np.ndarray) -> np.ndarray:
    """A 64-bit number per row, the same for equal rows whatever their order; 0.1 s for 100,000 x 50."""
    odd = np.random.default_rng(20).integers(0, 2**63, size=table.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    bits = np.ascontiguousarray(table).view(np.uint64)
    mixed = np.zeros(len(table), dtype=np.uint64)
    for j in range(table.shape[1]):
        word = bits[:, j] * odd[j]
        word ^= word >> np.uint64(29)
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def spread(rows: Rows, size: int) -> np.ndarray:
    """Indices of at most ``size`` rows: the first of each class, in proportion, and at least eight of every class while there are."""
    if rows.n <= size:
        return np.arange(rows.n)
    if rows.codes is None:
        return np.arange(size)  # canonical order is as good as random
    count = np.bincount(rows.codes, minlength=rows.targets.shape[1])
    share = np.minimum(count, np.maximum(8, np.floor(count * size / rows.n).astype(int)))
    return np.flatnonzero(_place_in_class(rows.codes) < share[rows.codes])[: 2 * size]


def folds_of(rows: Rows, K: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """K pairs (training, held-out) of row indices, stratified by class."""
    fold = np.arange(rows.n) % K if rows.codes is None else _dealt(rows.codes, K)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(K)]


def _place_in_class(codes: np.ndarray) -> np.ndarray:
    """The how-manieth of its class each row is (n,)."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.flatnonzero(first)
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return place


def _dealt(codes: np.ndarray, K: int) -> np.ndarray:
    """Deal rows to K folds, class after class, as cards are dealt."""
    order = np.argsort(codes, kind="stable")
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % K
    return fold
