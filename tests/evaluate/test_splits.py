"""Splits are disjoint, complete, repeatable, and keep the shares of the classes."""

import numpy as np
import pandas as pd
import pytest

from netloom.evaluate.splits import folds, halves, holdout
from netloom.tasks.task import Task


def classes(*counts):
    y = np.repeat([f"c{i}" for i in range(len(counts))], counts)
    return Task.from_frame(pd.DataFrame({"x": np.arange(len(y), dtype=float), "y": np.random.default_rng(0).permutation(y)}), target="y")


def values(n):
    return Task.from_frame(pd.DataFrame({"x": np.arange(n, dtype=float), "y": np.linspace(0, 1, n)}), target="y", kind="regression")


@pytest.mark.parametrize("task", [classes(60, 33, 7), values(101)], ids=["classes", "values"])
@pytest.mark.parametrize("seed", [0, 1])
def test_splits_are_disjoint_and_complete(task, seed):
    for train, test in [holdout(task, seed), halves(task, seed), *folds(task, seed)]:
        assert sorted([*train, *test]) == list(range(task.n))
    assert sorted(row for _, test in folds(task, seed) for row in test) == list(range(task.n))


def test_shares():
    task = values(1000)
    assert [len(rows) for rows in holdout(task, 0)] == [750, 250]
    assert [len(rows) for rows in halves(task, 0)] == [500, 500]
    assert [len(rows) for rows in halves(task, 0, max_train=300, max_test=100)] == [300, 100]
    assert [len(test) for _, test in folds(task, 0)] == [200] * 5


@pytest.mark.parametrize("seed", range(5))
def test_classes_keep_their_shares_to_within_a_row(seed):
    task = classes(200, 90, 13, 2)
    counts = np.bincount(task.y)
    for test, share in [(holdout(task, seed)[1], 0.25), (halves(task, seed)[1], 0.5), *((test, 0.2) for _, test in folds(task, seed))]:
        assert np.abs(np.bincount(task.y[test], minlength=4) - share * counts).max() <= 1
    train, test = halves(task, seed, max_train=61)
    assert np.abs(np.bincount(task.y[train], minlength=4) / 61 - counts / task.n).max() <= 2 / 61


@pytest.mark.parametrize("seed", range(10))
def test_a_class_with_one_row_trains_and_one_with_two_is_on_both_sides_of_halves(seed):
    task = classes(10, 2, 1)
    train, test = halves(task, seed)
    assert np.bincount(task.y[train], minlength=3)[1:].tolist() == [1, 1]
    assert np.bincount(task.y[test], minlength=3)[1:].tolist() == [1, 0]
    assert set(task.y[holdout(task, seed)[0]]) == {0, 1, 2}
    for train, _ in folds(task, seed):
        assert set(task.y[train]) == {0, 1, 2}


def test_same_seed_same_rows_other_seed_other_rows():
    task = classes(50, 50)
    for one, again, other in [(halves(task, s)[0], halves(task, s)[0], halves(task, s + 1)[0]) for s in range(3)]:
        assert (one == again).all() and not np.array_equal(one, other)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_tiny_tasks_split(n):
    train, test = halves(values(n), 0)
    assert len(train) >= 1 and len(test) >= 1 and len(train) + len(test) == n
