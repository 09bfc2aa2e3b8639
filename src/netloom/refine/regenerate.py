"""New rows: predicted first, then added exactly, judged on what the network had not learned, and woven anew when its own error says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import ConfigError, DataError
from netloom.loom import Loom
from netloom.loom.rows import canonical_rows
from netloom.refine.again import same_task, weave_again, with_weights
from netloom.refine.memory import Memory, begin_from, digest_of, feature_print, readout_print, thinned
from netloom.refine.prequential import Prequential
from netloom.refine.readout import RowSums, features_of, targets_for
from netloom.target.calibration import class_losses, interval_quantiles
from netloom.target.network import TargetNetwork
from netloom.target.weights import Weights
from netloom.tasks import Task

__all__ = ["Updated", "update"]

LEAST = 12  # rows that a verdict needs; fewer wait
FOLDS = 3
DOUBLED = 2  # so many times the rows that neurons were woven from: they may now be finer
NEWEST = 200  # a network woven on the newest rows alone needs at least so many
INTERVALS = 100  # rows predicted before they were learned, from which intervals are measured anew
Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Updated:
    """What became of new rows.

    Attributes
    ----------
    network, memory : as they are now; the network is the old object where it was kept
    action : "added" (readout solved with the new rows), "rewoven", "kept" (the old one is better on the newest rows) or "waiting" (too
    few rows) why : that, in words
    rows : new rows;  version : of the network now
    prequential, recent, promised : mean loss of new rows predicted before they were learned: since weaving, of the newest, and as held-out
        folds promised (log loss, or squared error in squared deviations)
    broken : whether that error called for weaving anew
    before, after, gain, error : loss per row of the old network and of the best new one on rows that neither had learned; difference, and
        its standard error
    """

    network: TargetNetwork
    memory: Memory
    action: str
    why: str
    rows: int
    version: int
    prequential: float
    recent: float
    promised: float
    broken: bool
    before: float = float("nan")
    after: float = float("nan")
    gain: float = float("nan")
    error: float = float("nan")


def update(
    network: TargetNetwork,
    task: Task,
    memory: Memory,
    *,
    reweave: str = "auto",
    loom: Loom | None = None,
    progress: Progress | None = None,
) -> Updated:
    """Add rows to a network.

    The rows are predicted first (prequential error), then added to the sums: the readout is the exact solution on all rows ever given,
    for the network's neurons. It replaces the old one only if it is better on the rows that the old one has not learned, of which each
    third is judged by the solution without it. If the prequential error is clearly above what the network promised when it was woven,
    or rows have doubled since, neurons are woven anew on the rows that are kept, all of them or the newest half, and judged alike.

    Parameters
    ----------
    network : the network as it is
    task : the new rows only, with the network's target
    memory : `Memory.begin(network, task it was woven from)` once, then what the last update gave
    reweave : "auto" (when the error says so, or rows have doubled), "always" or "never"
    loom : the hypernetwork that weaves anew, by default the one that comes with netloom

    Raises
    ------
    DataError : if the rows are not the network's task, the memory is not the network's, or the very same table was added before
    ConfigError : for an unknown ``reweave``
    """
    if reweave not in ("auto", "always", "never"):
        raise ConfigError(f"reweave = {reweave!r}: must be auto, always or never")
    tell = progress or (lambda share, message: None)
    memory.check(network)
    task = same_task(network, task)
    X = network.schema.encode(task.frame)
    weight = np.ones(task.n) if task.weight is None else np.asarray(task.weight, dtype=np.float64)
    digest = digest_of(X, task.y, weight)
    if digest in memory.seen:
        raise DataError(f"these {task.n} rows were added before; give new rows only")
    tell(0.1, f"predicting {task.n} new rows")
    said = network.weights.forward(X)
    residual = None if network.classes is not None else task.y - said
    errors = memory.errors.add(_losses(network, said, task.y), residual)
    F, targets = features_of(network.weights, X), targets_for(network, task.y)
    A = memory.readout.rows(F)
    sums = None if memory.sums is None else memory.sums + RowSums.of(A, targets, weight)
    memory = replace(
        memory,
        sums=sums,
        X=np.concatenate([memory.X, X]),
        y=np.concatenate([memory.y, task.y]),
        weight=np.concatenate([memory.weight, weight]),
        pending=memory.pending + task.n,
        rows=memory.rows + task.n,
        errors=errors,
    ).marked(digest)
    tell(0.3, f"solving for {memory.rows} rows")
    return _decide(network, memory, task.n, reweave, loom, tell)


def _decide(network: TargetNetwork, memory: Memory, rows: int, reweave: str, loom: Loom | None, tell: Progress) -> Updated:
    """Judge the old network, the added and the rewoven ones on the pending rows."""
    errors = memory.errors
    version = int(network.provenance.get("version", 1))

    def result(made: TargetNetwork, kept: Memory, action: str, why: str, **judged: float) -> Updated:
        now = int(made.provenance.get("version", 1))
        return Updated(made, kept, action, why, rows, now, errors.mean, errors.recent, errors.promised, errors.broken, **judged)

    new = np.flatnonzero(~memory.learned())
    if len(new) < LEAST and reweave != "always":
        return result(network, thinned(memory), "waiting", f"{len(new)} new rows say too little yet; {LEAST} are needed to judge")
    folds = [new[k::FOLDS] for k in range(FOLDS)]
    A_all = memory.readout.rows(features_of(network.weights, memory.X)) if memory.sums is None else None
    T_all = targets_for(network, memory.y)
    old = _losses(network, network.weights.forward(memory.X[new]), memory.y[new])
    share = memory.weight[new] / memory.weight[new].sum()
    outputs = _held_out(memory, network, folds, A_all, T_all)
    found: dict[str, np.ndarray] = {"added": _losses(network, outputs[new], memory.y[new])}
    if reweave == "always" or (reweave == "auto" and (errors.broken or memory.rows >= DOUBLED * memory.woven)):
        memory = replace(memory, woven=memory.rows)
        loom = loom or Loom.pretrained()
        for name, among in _amounts(memory):
            tell(0.5, f"weaving anew on {name}")
            losses = _woven_losses(network, memory, folds, among, loom)
            if losses is not None:
                found[name] = losses[new]
    best = min(found, key=lambda name: float(share @ found[name]))
    gap = old - found[best]
    gain = float(share @ gap)
    judged = {"before": float(share @ old), "after": float(share @ found[best]), "gain": gain}
    judged["error"] = float(np.sqrt(share @ np.square(gap - gain) / len(gap)))
    by = f"{gain:.3g} +- {judged['error']:.2g} per row on {len(new)} rows that neither had learned"
    if not gain > 0:
        why = f"version {version} stays: the best new one ({best}) is not better, {by}"
        return result(network, thinned(memory), "kept", why, **judged)
    tell(0.8, "solving on all rows")
    if best == "added":
        theta = memory.readout.solve(sums=memory.sums, A=A_all, targets=T_all, weight=memory.weight)
        readout = replace(memory.readout, theta=theta)
        made = _versioned(network, readout.weights(theta, network.weights), memory, {})
        kept = replace(memory, readout=readout, pending=0, readouts=(readout_print(network), readout_print(made)))
        why = f"version {version + 1}: {memory.rows} rows solved exactly; better by {by}"
        return result(made, thinned(kept), "added", why, **judged)
    among = dict(_amounts(memory))[best]
    weights = _weave(network, memory, np.flatnonzero(among), loom)  # type: ignore[arg-type]
    assert weights is not None
    made = _versioned(network, weights, memory, {"rewoven": int(network.provenance.get("rewoven", 0)) + 1})
    fresh = Prequential(judged["after"], float(found[best].std()), len(new), residuals=errors.residuals)
    begun = begin_from(made, memory.X[among], memory.y[among], memory.weight[among], _different(made, memory, among), fresh)
    kept = replace(begun, rows=memory.rows, woven=memory.rows, dropped=memory.rows - int(among.sum()), seen=memory.seen)
    why = f"version {version + 1}: woven anew on {best} ({int(among.sum())}); better by {by}"
    return result(made, thinned(kept), "rewoven", why, **judged)


def _held_out(memory: Memory, network: TargetNetwork, folds: list[np.ndarray], A: np.ndarray | None, T: np.ndarray) -> np.ndarray:
    """Outputs (n, O) in the target's unit for the rows of the folds, each solved on all other rows."""
    w, r = network.weights, memory.readout
    outputs = np.zeros((len(memory.X), w.readout.shape[1]))
    for fold in folds:
        if not len(fold):
            continue
        mine = r.rows(features_of(w, memory.X[fold])) if A is None else A[fold]
        if memory.sums is not None:
            theta = r.solve(sums=memory.sums - RowSums.of(mine, T[fold], memory.weight[fold]))
        else:
            assert A is not None
            rest = np.setdiff1d(np.arange(len(A)), fold)
            theta = r.solve(A=A[rest], targets=T[rest], weight=memory.weight[rest])
        outputs[fold] = r.outputs(mine, theta) * w.scale + w.centre
    return outputs


def _amounts(memory: Memory) -> list[tuple[str, np.ndarray]]:
    """The rows that neurons may be woven from: all that are kept, or the newest half."""
    n = len(memory.X)
    amounts = [("all rows kept", np.ones(n, dtype=bool))]
    half = max(NEWEST, memory.pending, n // 2)
    if half < n:
        amounts.append(("the newest rows", np.arange(n) >= n - half))
    return amounts


def _woven_losses(network: TargetNetwork, memory: Memory, folds: list[np.ndarray], among: np.ndarray, loom: Loom) -> np.ndarray | None:
    """Losses (n,) of the folds' rows, each by a network woven without them; None where one cannot be woven."""
    losses = np.full(len(memory.X), np.nan)
    for fold in folds:
        if not len(fold):
            continue
        weights = _weave(network, memory, np.setdiff1d(np.flatnonzero(among), fold), loom)
        if weights is None:
            return None
        losses[fold] = _losses(network, weights.forward(memory.X[fold]), memory.y[fold])
    return losses


def _weave(network: TargetNetwork, memory: Memory, index: np.ndarray, loom: Loom) -> Weights | None:
    """The network's families woven on some of the kept rows; None if they hold one class or one row."""
    if len(index) < 4 or (network.classes is not None and len(np.unique(memory.y[index])) < 2):
        return None
    return weave_again(network, canonical_rows(memory.X[index], _task(network, memory, index), network.schema.levels), loom)


def _task(network: TargetNetwork, memory: Memory, index: np.ndarray) -> Task:
    """Kept rows as a task; their columns are encoded already."""
    frame = pd.DataFrame(index=pd.RangeIndex(len(index)))
    kind: Any = network.kind
    return Task(frame, memory.y[index], kind, network.classes, network.target_names, memory.weight[index])


def _different(network: TargetNetwork, memory: Memory, among: np.ndarray) -> int:
    index = np.flatnonzero(among)
    return canonical_rows(memory.X[index], _task(network, memory, index)).n


def _versioned(network: TargetNetwork, weights: Weights, memory: Memory, more: dict[str, Any]) -> TargetNetwork:
    """The next version: new numbers, where it comes from, and what its errors were on rows it had not learned."""
    errors = memory.errors
    extra = {}
    if network.classes is None and len(errors.residuals) >= INTERVALS:
        extra["interval_quantiles"] = interval_quantiles(errors.residuals, np.ones(len(errors.residuals)))
    provenance = network.provenance | {
        "version": int(network.provenance.get("version", 1)) + 1,
        "before": f"{feature_print(network)}/{readout_print(network)}",
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": memory.rows,
    }
    prequential = {"rows": errors.rows, "loss": float(f"{errors.mean:.5g}"), "promised": float(f"{errors.promised:.5g}")}
    return replace(
        with_weights(network, replace(weights, extra=network.weights.extra), extra),
        provenance=provenance | more,
        metrics=network.metrics | {"prequential": prequential},
    )


def _losses(network: TargetNetwork, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Loss (n,) of outputs in the target's unit: log loss, or squared error in squared deviations."""
    if network.classes is not None:
        return class_losses(outputs, y)
    return np.square((outputs - y.reshape(len(y), -1)) / network.weights.scale).mean(axis=1)
