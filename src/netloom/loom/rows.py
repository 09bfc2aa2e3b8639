"""The rows of a task in canonical form: encoded, equal rows merged into one with their summed weight, in an order of their own.

So the order of rows never matters, and a row with weight 2 is exactly a row that occurs twice.
"""

from dataclasses import dataclass, replace

import numpy as np

from netloom.errors import DataError
from netloom.loom.batch import one_hot
from netloom.loom.keys import met, row_keys, some_columns, told_apart
from netloom.tasks import Task
from netloom.tasks.schema import Levels

__all__ = ["Rows", "canonical_rows", "folds_of", "occurring", "spread"]

COUNTED = 2.0**53  # weights up to here are told from their neighbours, so that whole numbers are meant


@dataclass(frozen=True, eq=False)
class Rows:
    """X (n, d) encoded; targets (n, O) one-hot or z-scored; weight (n,) with mean 1; times (n,) how often each row occurs; codes (n,)
    classes or None.

    centre, scale (O,) bring z-scored targets back to their own unit; columns (d,) and outputs (O,) are keys of their content; levels are
    those of `netloom.tasks.schema.Schema`.
    """

    X: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    times: np.ndarray
    codes: np.ndarray | None
    kind: str
    centre: np.ndarray
    scale: np.ndarray
    columns: np.ndarray
    outputs: np.ndarray
    levels: Levels

    @property
    def n(self) -> int:
        return len(self.X)

    def take(self, index: np.ndarray) -> "Rows":
        """Some of the rows, under the same scaling of targets."""
        codes = None if self.codes is None else self.codes[index]
        parts = {name: getattr(self, name)[index] for name in ("X", "targets", "weight", "times")}
        return replace(self, **parts, codes=codes)

    @property
    def head_targets(self) -> np.ndarray:
        """Targets as a readout sees them: one column for two classes."""
        return self.targets[:, 1:] if self.codes is not None and self.targets.shape[1] == 2 else self.targets

    @property
    def keyed_targets(self) -> np.ndarray:
        """Targets as a readout sees them, in the order of the outputs' keys: for what must not follow the order of classes."""
        return replace(self, targets=self.targets[:, np.argsort(self.outputs, kind="stable")]).head_targets


def canonical_rows(X: np.ndarray, task: Task, levels: Levels = ()) -> Rows:
    """Canonical rows of ``task`` whose input columns are encoded as X (n, d), some of them the ``levels`` of categories.

    Raises
    ------
    DataError : if fewer than two different rows, or a single class, are left once rows of weight zero are gone
    """
    y = np.asarray(task.y, dtype=np.float64).reshape(task.n, -1)
    weight = np.ones(task.n) if task.weight is None else np.asarray(task.weight, dtype=np.float64)
    table = np.concatenate([X, y], axis=1)
    table += 0.0  # -0.0 is 0.0
    if (weight <= 0).any():
        table, weight = table[weight > 0], weight[weight > 0]
    d = X.shape[1]
    ranks = _dense_ranks(table)  # (n, d + targets) the unit is gone
    inputs, kept, weight = _merged(ranks, row_keys(ranks[:, :d]), weight)
    ranks = ranks.T[:, kept].T  # columns stay in one piece
    codes = table[kept, d].astype(np.int64) if task.kind == "classification" else None
    targets = ranks[:, d:] if codes is None else one_hot(codes, task.outputs)
    whole, columns, outputs = told_apart(ranks[:, :d], targets, weight, inputs)
    order = np.lexsort((whole, inputs))
    kept, weight, codes = kept[order], weight[order], None if codes is None else codes[order]
    X, y = np.ascontiguousarray(table[kept, :d]), table[kept, d:]
    times = _times(weight, codes)
    weight = weight / weight.mean()
    if codes is not None:
        if len(np.unique(codes)) < 2:
            raise DataError("the target holds a single class among rows of weight above 0; at least two are needed")
        classes = task.outputs
        return Rows(X, targets[order], weight, times, codes, task.kind, np.zeros(classes), np.ones(classes), columns, outputs, levels)
    if len(X) < 2:
        raise DataError("all rows are the same; at least two different rows are needed")
    largest = np.maximum(np.abs(y).max(axis=0), 1e-300)
    unit = y / largest
    mean = np.average(unit, axis=0, weights=weight)
    deviation = np.sqrt(np.average(np.square(unit - mean), axis=0, weights=weight))
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return Rows(X, (unit - mean) / deviation, weight, times, None, task.kind, mean * largest, deviation * largest, columns, outputs, levels)


def _merged(ranks: np.ndarray, inputs: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys, places and summed weights of different rows, of ``ranks`` (n, d + targets) and the keys of their inputs (n,)."""
    content = met(ranks, np.arange(ranks.shape[1], dtype=np.uint64))
    order = np.lexsort((content, inputs))  # equal rows stand together
    inputs, content = inputs[order], content[order]
    same = np.flatnonzero((inputs[1:] == inputs[:-1]) & (content[1:] == content[:-1]))
    new = np.ones(len(order), dtype=bool)
    new[same + 1] = (ranks[order[same + 1]] != ranks[order[same]]).any(axis=1)
    return inputs[new], order[new], np.add.reduceat(weight[order], np.flatnonzero(new))


def _times(weight: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    """How often each row occurs, int64 (n,): its summed weight in units of the lightest row of its class, where weights are counts.

    They are if all are whole numbers, and whole in these units too. Weights of classes, of rows that are trusted less, of how many people
    a row stands for say how much a row counts, not that it was seen again: all rows then occur once.
    """
    once = np.ones(len(weight), dtype=np.int64)
    if np.any(weight != np.rint(weight)) or weight.max() > COUNTED:
        return once
    place = once - 1 if codes is None else codes
    lightest = np.full(place.max() + 1, np.inf)
    np.minimum.at(lightest, place, weight)
    times, beyond = np.divmod(weight, lightest[place])
    return once if beyond.any() else times.astype(np.int64)


def _dense_ranks(table: np.ndarray) -> np.ndarray:
    """Which of the sorted distinct values of its column each value is: int32 (n, d), a column in one piece."""
    ranks = np.empty(table.shape, dtype=np.int32, order="F")
    for which, some in some_columns(table):
        columns = np.ascontiguousarray(some)  # (k, n)
        least, most = columns.min(axis=1, keepdims=True), columns.max(axis=1, keepdims=True)
        two = columns == most
        ranks.T[which] = two & (least < most)
        many = ~(two | (columns == least)).all(axis=1)  # few columns of a wide table are; sorting takes ten times as long
        if many.any():
            ranks.T[which][many] = _places(columns[many])
    return ranks


def _places(columns: np.ndarray) -> np.ndarray:
    """Which of the sorted distinct values of its column each value of (k, n) is."""
    order = columns.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(columns, order, axis=1)
    place, found = np.zeros(columns.shape, dtype=np.int32), np.empty(columns.shape, dtype=np.int32)
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=place[:, 1:])
    np.put_along_axis(found, order, place, axis=1)
    return found


def occurring(rows: Rows, most: int) -> Rows:
    """Rows as they occur, for folds: one that occurs m times stands min(m, ``most``) times, next to itself, its weight shared out.

    New rows will as often be rows that were seen before as the held-out ones of folds are, so that what remembers rows is judged by what
    that is worth.
    """
    count = np.minimum(rows.times, most)
    if count.max() == 1:
        return rows
    index = np.repeat(np.arange(rows.n), count)
    return replace(rows.take(index), weight=(rows.weight / count)[index])


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
    """Deal rows to K folds, class by class, as cards are dealt; each class begins where its first row says, not at the same fold."""
    first = np.full(codes.max() + 1, len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    return (_place_in_class(codes) + first[codes]) % K
