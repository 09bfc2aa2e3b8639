"""Which rows are for training and which for testing: seeded, disjoint, and stratified where there are classes."""

import numpy as np

from netloom.tasks.task import Task

__all__ = ["folds", "halves", "holdout"]


def holdout(task: Task, seed: int, share: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for testing, in order; a class with a single row stays in training, one with two or more is never without it.

    Parameters
    ----------
    task : Task with n rows
    seed : int, the same seed gives the same rows
    share : share of rows for testing, in (0, 0.5]
    """
    rng = np.random.default_rng([seed, 1])
    ordered = _by_class(task, rng)
    shared = ordered[~_single(task, ordered)]
    test = shared[_spread(len(shared), min(len(shared) // 2, round(share * task.n)), rng)]
    return np.setdiff1d(np.arange(task.n), test), np.sort(test)


def halves(task: Task, seed: int, max_train: int = 2000, max_test: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """The split of the suite (protocol B): half for training, half for testing, each then thinned to so many rows, class shares kept."""
    train, test = holdout(task, seed, share=0.5)
    rng = np.random.default_rng([seed, 2])
    return _thinned(task, train, max_train, rng), _thinned(task, test, max_test, rng)


def folds(task: Task, seed: int, count: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows for training and for testing of each fold: each row is tested once, unless its class has no other."""
    ordered = _by_class(task, np.random.default_rng([seed, 3]))
    shared = ordered[~_single(task, ordered)]
    fold = np.full(task.n, -1)
    fold[shared] = np.arange(len(shared)) % count
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count) if (fold == k).any()]


def _by_class(task: Task, rng: np.random.Generator) -> np.ndarray:
    """All rows in random order, rows of the same class next to each other."""
    shuffled = rng.permutation(task.n)
    return shuffled[np.argsort(task.y[shuffled], kind="stable")] if task.kind == "classification" else shuffled


def _single(task: Task, rows: np.ndarray) -> np.ndarray:
    """Which of the rows are the only one of their class."""
    if task.kind == "regression":
        return np.zeros(len(rows), dtype=bool)
    return np.bincount(task.y, minlength=task.outputs)[task.y[rows]] < 2


def _spread(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many of n places at equal distances from a random start: systematic sampling, so each class gets its share to within a row."""
    return np.floor((np.arange(count) + rng.uniform()) * n / max(count, 1)).astype(int)


def _thinned(task: Task, rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    if len(rows) <= most:
        return rows
    ordered = rows[_by_class(task.rows(rows), rng)]
    return np.sort(ordered[_spread(len(ordered), most, rng)])
