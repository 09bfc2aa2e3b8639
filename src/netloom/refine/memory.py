"""What is kept beside a network so that new rows can be added to it: its readout's problem, the sums of all rows, the newest rows, and
its errors.

Lives in a file of its own, ``m.netloom.memory`` beside ``m.netloom``: the sums are p x p numbers, often more than the network, and the
rows are the user's own data, which must not travel with a network by accident. Predicting never needs it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.errors import DataError, FileError
from netloom.loom.rows import canonical_rows
from netloom.refine.again import same_task
from netloom.refine.prequential import Prequential
from netloom.refine.readout import Readout, RowSums, features_of, is_closed, targets_for
from netloom.target import file
from netloom.target.description import HEADS
from netloom.target.network import TargetNetwork
from netloom.tasks import Task

__all__ = ["Memory", "feature_print", "readout_print"]

FORMAT = 1
MAX_BYTES = 2**29
NUMBERS = 4_000_000  # of kept rows, all columns
ROWS = 20_000  # kept at most
SEEN = 64  # tables whose rows are remembered, so that none is added twice


@dataclass(frozen=True, eq=False)
class Memory:
    """Make one with `begin` or `load`; `netloom.refine.update` gives a new one each time.

    Attributes
    ----------
    features : fingerprint of the views and layers that the sums belong to
    readouts : fingerprints of the readouts it may stand beside, the newest last
    readout : the problem that is solved anew
    sums : of all rows (ridge, gaussian), else None
    X, y, weight : the rows that are kept, encoded, oldest first; class codes (n,) or values (n, O)
    pending : how many of the newest rows the network has not learned
    rows : seen in all;  woven : of them, when neurons were last woven or tried to be;  dropped : no longer kept
    errors : prequential
    seen : digests of the tables that were added
    """

    features: str
    readouts: tuple[str, ...]
    readout: Readout
    sums: RowSums | None
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    pending: int
    rows: int
    woven: int
    dropped: int
    errors: Prequential
    seen: tuple[str, ...] = field(default=())

    @classmethod
    def begin(cls, network: TargetNetwork, task: Task) -> Memory:
        """The memory of a network that has learned the rows of ``task``, however it was made: woven, merged, pruned or refined.

        Raises
        ------
        DataError : if the task is not the network's
        """
        task = same_task(network, task)
        X = network.schema.encode(task.frame)
        weight = np.ones(task.n) if task.weight is None else np.asarray(task.weight, dtype=np.float64)
        different = canonical_rows(X, task).n
        return begin_from(network, X, task.y, weight, different, _promised(network)).marked(digest_of(X, task.y, weight))

    def update(self, network: TargetNetwork, task: Task, **options: Any) -> Any:
        """`netloom.refine.update` with this memory; what ``network.update(task, memory)`` calls."""
        from netloom.refine.regenerate import update

        return update(network, task, self, **options)

    def marked(self, digest: str) -> Memory:
        """The same, knowing that a table was added."""
        return replace(self, seen=(*self.seen, digest)[-SEEN:])

    def check(self, network: TargetNetwork) -> None:
        """DataError unless the memory belongs to the network."""
        if feature_print(network) != self.features or readout_print(network) not in self.readouts:
            raise DataError("the memory belongs to another network (refitted or refined since?); begin a new one from the table it learned")
        classes, outputs = network.classes, network.weights.readout.shape[1]
        fits = self.readout.theta.shape == (len(network.weights.readout) + 1, outputs) and self.X.shape[1] == len(network.schema.features)
        fits &= self.readout.head == network.architecture.get("head", self.readout.head)
        if classes is None:
            fits &= self.y.shape[1:] == (outputs,) and (not len(self.errors.residuals) or self.errors.residuals.shape[1] == outputs)
        else:
            fits &= self.y.ndim == 1 and self.y.dtype.kind in "iu" and bool(((self.y >= 0) & (self.y < len(classes))).all())
        if not fits:
            raise DataError("the memory does not fit its network, so it is damaged or forged; begin a new one from the table it learned")

    def learned(self) -> np.ndarray:
        """Which of the kept rows the network has learned (n,)."""
        return np.arange(len(self.X)) < len(self.X) - self.pending

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, atomically."""
        r, e = self.readout, self.errors
        tensors: dict[str, np.ndarray] = {"mean": r.mean, "prior": r.prior, "start": r.start, "gradient": r.gradient, "theta": r.theta}
        tensors |= {"X": self.X, "y": self.y, "weight": self.weight, "losses": e.losses, "residuals": e.residuals}
        if self.sums is not None:
            tensors |= {"gram": self.sums.gram[np.tril_indices(len(self.sums.gram))], "cross": self.sums.cross}
        header = {
            "memory": FORMAT,
            "features": self.features,
            "readouts": list(self.readouts),
            "head": r.head,
            "penalty": r.penalty,
            "factor": r.factor,
            "pending": self.pending,
            "rows": self.rows,
            "woven": self.woven,
            "dropped": self.dropped,
            "errors": {"promised": e.promised, "spread": e.spread, "of": e.of, "rows": e.rows, "total": e.total},
            "seen": list(self.seen),
        }
        file.write(path, tensors, header, max_bytes=MAX_BYTES)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Memory:
        """Read it; FileError in one line if it is cut, forged or not a memory."""
        tensors, header = file.read(path, max_bytes=MAX_BYTES)
        if header.get("memory") != FORMAT:
            raise FileError(f"{path}: not the memory of a network; give the .netloom.memory file that netloom update wrote")
        try:
            return _put_together(tensors, header)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise FileError(f"{path}: its parts do not fit together ({type(error).__name__}); the file is damaged or forged") from None


def begin_from(network: TargetNetwork, X: np.ndarray, y: np.ndarray, weight: np.ndarray, different: int, errors: Prequential) -> Memory:
    """A memory of encoded rows; ``different`` of them are, and penalties count those (equal rows are one row with a weight)."""
    penalty = float(weight.sum() / different)
    F, targets = features_of(network.weights, X), targets_for(network, y)
    readout = Readout.begin(network, F, targets, weight, penalty)
    sums = RowSums.of(readout.rows(F), targets, weight) if is_closed(readout.head) else None
    made = Memory(feature_print(network), (readout_print(network),), readout, sums, X, y, weight, 0, len(X), len(X), 0, errors)
    return thinned(made)


def thinned(memory: Memory) -> Memory:
    """At most so many rows are kept: all of the newest half, and of older ones a uniform sample, each counting for those that went."""
    most = int(min(ROWS, max(NUMBERS // max(memory.X.shape[1], 1), 500)))
    n = len(memory.X)
    if n <= most:
        return memory
    newest = max(most // 2, memory.pending)
    old = n - newest
    rng = np.random.default_rng(memory.rows)
    kept = np.sort(rng.permutation(old)[: max(most - newest, 0)])
    weight = memory.weight.copy()
    if len(kept):
        weight[kept] *= memory.weight[:old].sum() / memory.weight[kept].sum()
    index = np.concatenate([kept, np.arange(old, n)])
    return replace(memory, X=memory.X[index], y=memory.y[index], weight=weight[index], dropped=memory.dropped + n - len(index))


def feature_print(network: TargetNetwork) -> str:
    """Sixteen hex digits that change with any view, layer, class or column."""
    digest = hashlib.sha256(json.dumps(network.schema.to_json(), sort_keys=True).encode())
    for v in network.weights.views:
        for a in (v.columns.astype(np.int64), v.centre, v.scale, v.many.astype(np.int64), v.thresholds, v.knots, v.heights):
            digest.update(b"-" if a is None else np.ascontiguousarray(a).tobytes())
        digest.update(b"c" if v.cells else b"v")
    for layer in network.weights.layers:
        for part in (layer.weight, layer.bias, layer.onto):
            digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
        digest.update(repr((layer.view, layer.earlier)).encode())
    return digest.hexdigest()[:16]


def readout_print(network: TargetNetwork) -> str:
    """Sixteen hex digits that change with the readout."""
    w = network.weights
    return hashlib.sha256(w.readout.astype(np.float32).tobytes() + w.intercept.astype(np.float32).tobytes()).hexdigest()[:16]


def digest_of(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> str:
    """Sixteen hex digits of a table's encoded rows."""
    parts = (np.ascontiguousarray(X, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(weight))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def _promised(network: TargetNetwork) -> Prequential:
    """What the network's held-out folds promise per row: log loss, or squared error in squared deviations of the target."""
    m = network.metrics
    rows = int(m.get("held_out_rows", 0))
    if rows < 2:
        return Prequential()
    if network.classes is not None and "log_loss" in m:
        return Prequential(float(m["log_loss"]), float(m["log_loss_se"]) * rows**0.5, rows)
    if network.classes is None and "r2" in m:
        return Prequential(1 - float(m["r2"]), float(m["r2_se"]) * rows**0.5, rows)
    return Prequential()


def _put_together(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> Memory:
    """The memory in a file; ValueError, or what a wrong entry raises, unless everything is of its kind and shape."""
    t = {name: value if name == "y" else value.astype(np.float64) for name, value in tensors.items()}
    q, outputs = t["theta"].shape
    problem = (t["mean"], t["prior"], header["penalty"], header["factor"], t["start"], t["gradient"], t["theta"])
    readout = Readout(header["head"], *problem)
    sums = None
    if is_closed(readout.head):
        _need(t["gram"].shape == (q * (q + 1) // 2,) and t["cross"].shape == (q, outputs))
        gram = np.zeros((q, q))
        gram[np.tril_indices(q)] = t["gram"]
        sums = RowSums(gram + np.tril(gram, -1).T, t["cross"])
    counts = {name: header[name] for name in ("pending", "rows", "woven", "dropped")}
    e = header["errors"]
    errors = Prequential(e["promised"], e["spread"], e["of"], t["losses"], t["residuals"], e["rows"], e["total"])
    readouts, seen = tuple(header["readouts"]), tuple(header["seen"])
    memory = Memory(header["features"], readouts, readout, sums, t["X"], t["y"], t["weight"], errors=errors, seen=seen, **counts)
    n = len(memory.X)
    _need(readout.mean.shape == readout.prior.shape == (q - 1,) and readout.start.shape == readout.gradient.shape == (q, outputs))
    _need(memory.X.ndim == 2 and memory.weight.shape == (n,) and memory.y.ndim in (1, 2) and len(memory.y) == n)
    _need(errors.losses.ndim == 1 and errors.residuals.ndim == 2)
    _need(readout.head in HEADS and isinstance(header["readouts"], list) and isinstance(header["seen"], list))
    _need(all(isinstance(text, str) for text in (memory.features, *readouts, *seen)))
    _need(all(type(count) is int and 0 <= count < 2**53 for count in (*counts.values(), errors.of, errors.rows)) and memory.pending <= n)
    numbers = (readout.penalty, readout.factor, errors.promised, errors.spread, errors.total)
    _need(all(type(number) in (int, float) and math.isfinite(number) for number in numbers))
    _need(readout.penalty > 0 and readout.factor > 0 and bool((memory.weight >= 0).all()))
    return memory


def _need(fine: bool) -> None:
    if not fine:
        raise ValueError
