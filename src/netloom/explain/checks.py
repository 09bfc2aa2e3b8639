"""What is often wrong with a labelled table: a column that only numbers the rows, one that tells the target by itself, repeated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from netloom.explain.findings import Finding
from netloom.tasks.columns.kinds import kind_of
from netloom.tasks.columns.number import floats
from netloom.tasks.task import Task

__all__ = ["check_task", "told_by"]

ENOUGH = 30  # rows, below which every column looks like an id
ROWS = 5_000  # looked at
BINS = 32
LEAK = 0.95  # share of the target's variance that one column may explain, on rows it was not averaged over
NEARLY = 0.9  # of the rows having a text of their own


def check_task(task: Task, repeated: int = 0, tested: int = 0) -> list[Finding]:
    """Findings about a labelled table; ``repeated`` of ``tested`` held-out rows also occurred in training."""
    found = []
    some = np.linspace(0, task.n - 1, min(task.n, ROWS)).astype(int)
    y = np.asarray(task.y)[some]
    targets = y.reshape(len(y), -1).astype(np.float64) if task.classes is None else np.eye(task.outputs)[y]
    for j, label in enumerate(task.frame.columns):
        name, values = str(label), task.frame.iloc[:, j]
        numbers_rows = task.n >= ENOUGH and _is_id(values, name)
        if numbers_rows:
            found.append(Finding("id", name, numbers_rows))
        told = told_by(values.iloc[some], name, targets) if task.n >= ENOUGH and not numbers_rows else 0.0
        if told > LEAK:
            said = f"tells {told:.1%} of {task.target_names[0] if task.classes is not None else 'the target'} by itself"
            found.append(Finding("leak", name, f"{said}; leave it out unless it is known when you predict"))
    if repeated > 0.01 * tested:
        said = f"{repeated} of {tested} held-out rows have the same inputs as a training row"
        found.append(Finding("repeated", "", f"{said}, so the held-out scores flatter; drop duplicates or hold out whole groups"))
    return found


def _is_id(values: pd.Series, name: str) -> str:
    """Why a column looks like a number or name of each row, "" if it does not."""
    present = values.dropna()
    n = len(present)
    if n < ENOUGH:
        return ""
    kind = kind_of(values, name)
    if kind == "category":
        own = present.astype(str).nunique() / n
        if own > NEARLY:
            return f"has a text of its own in {own:.0%} of the rows, like an id; leave it out, or split what it says into columns"
        return ""
    if kind != "number" or values.dtype.kind == "m":
        return ""
    x = np.sort(floats(present, name))
    if not np.isfinite(x).all() or (x != np.floor(x)).any():
        return ""
    counts = len(np.unique(x)) == n and x[-1] - x[0] < 1.5 * n
    return "numbers the rows, one by one, like an id; leave it out" if counts else ""


def told_by(values: pd.Series, name: str, targets: np.ndarray) -> float:
    """Share of the variance of targets (n, O) that the column alone explains: means per bin or level of one half, tried on the other."""
    codes = _codes(values, name)
    n, O = targets.shape
    even = np.random.default_rng(0).permutation(n) % 2 == 0
    error = usual = 0.0
    for train in (even, ~even):
        count = np.bincount(codes[train], minlength=codes.max() + 1)
        middle = targets[train].mean(axis=0)
        for o in range(O):
            mean = np.bincount(codes[train], targets[train, o], codes.max() + 1) / np.maximum(count, 1)
            said = np.where(count > 0, mean, middle[o])[codes[~train]]
            scale = targets[:, o].var() or 1.0
            error += float(np.square(targets[~train, o] - said).sum()) / scale
            usual += float(np.square(targets[~train, o] - middle[o]).sum()) / scale
    return 1 - error / usual if usual > 0 else 0.0


def _codes(values: pd.Series, name: str) -> np.ndarray:
    """A bin or level per row (n,), missing is one of its own."""
    if kind_of(values, name) == "number":
        x = floats(values, name)
        seen = x[np.isfinite(x)]
        if not len(seen):
            return np.zeros(len(x), dtype=int)
        edges = np.unique(np.quantile(seen, np.linspace(0, 1, min(BINS, max(4, len(seen) // 15)) + 1)[1:-1]))
        return np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="left"))
    return pd.factorize(values.astype(str).to_numpy(dtype=object))[0] + 1  # missing is -1
