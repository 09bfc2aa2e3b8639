"""Rows that recur: folds judge by them as often as they occur, so that remembering counts for what it is worth on new rows."""

import numpy as np
import pytest

from netloom import Task, fit
from netloom.loom.rows import canonical_rows, folds_of, occurring
from netloom.tasks import Schema


def rows_of(X, y, weight=None, kind="classification"):
    task = Task.from_arrays(X, y, kind=kind, weight=weight)
    return canonical_rows(Schema.learn(task.frame, named=task.named).encode(task.frame), task)


def table(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), rng.permutation(np.arange(n) % 2), rng.integers(1, 6, n)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_row_stands_as_often_as_it_occurs_and_keeps_its_weight(kind):
    X, y, times = table(40)
    rows = rows_of(np.repeat(X, times, axis=0), np.repeat(y, times), kind=kind)
    seen = occurring(rows, 3)
    values, place, count = np.unique(seen.X, axis=0, return_inverse=True, return_counts=True)
    expected = {tuple(x): min(m, 3) for x, m in zip(X, times, strict=True)}
    assert {tuple(x): m for x, m in zip(values, count, strict=True)} == expected
    total = np.bincount(place.ravel(), weights=seen.weight)
    merged = {tuple(x): w for x, w in zip(rows.X, rows.weight, strict=True)}
    np.testing.assert_allclose(total, [merged[tuple(x)] for x in values])
    for train, test in folds_of(seen, 3):  # the times of a row are held out one by one
        held = {tuple(x) for x in seen.X[test]}
        learned = {tuple(x) for x in seen.X[train]}
        assert len(held) == len(test)
        assert {x for x in held if expected[x] > 1} <= learned and not {x for x in held if expected[x] == 1} & learned


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_rows_of_whole_weights_are_rows_that_recur(kind):
    X, y, times = table(40)
    repeated = occurring(rows_of(np.repeat(X, times, axis=0), np.repeat(y, times), kind=kind), 3)
    for unit in (1, 3):
        weighted = occurring(rows_of(X, y, unit * times, kind=kind), 3)
        np.testing.assert_array_equal(weighted.X, repeated.X)
        np.testing.assert_allclose(weighted.weight, repeated.weight)


NO_COUNTS = {
    "spread": np.random.default_rng(0).uniform(0.5, 2, 40),
    "all alike": np.full(40, 3.0),
    "classes": np.where(np.arange(40) % 2 == 1, 7.0, 1.0),
    "halves": np.where(np.arange(40) < 20, 0.5, 1.0),  # trusted less: the others were not seen twice
    "one is doubted": np.where(np.arange(40) == 3, 0.01, 1.0),
    "next to nothing": np.where(np.arange(40) == 3, 1e-300, 1.0),
    "people": np.random.default_rng(0).integers(10_000, 99_999, 40).astype(float),  # how many a row of a survey stands for
    "no digits left": np.where(np.arange(40) < 20, 1e30, 3e30),
}


@pytest.mark.parametrize("weight", NO_COUNTS.values(), ids=NO_COUNTS)
def test_weights_that_are_no_counts_leave_rows_as_they_are(weight):
    X, _, _ = table(40)
    rows = rows_of(X, np.arange(40) % 2, weight)
    assert occurring(rows, 3) is rows


def test_counts_are_told_from_weights_of_classes():
    X, y, times = table(40)
    both = occurring(rows_of(X, y, times * np.where(y == 1, 7, 1)), 3)
    assert both.n == occurring(rows_of(X, y, times), 3).n > 40


def test_a_doubted_row_does_not_make_noise_look_learned():
    """Weights of .01 and 1 are no counts: held-out scores on noise stay those of a guess."""
    rng = np.random.default_rng(0)
    weight = np.where(np.arange(80) == 3, 0.01, 1.0)
    network = fit(Task.from_arrays(rng.normal(size=(80, 3)), rng.normal(size=80), weight=weight))
    assert network.metrics["r2"] < 0.2 and network.metrics["held_out_rows"] == 80


def test_labels_without_a_reason_are_remembered_where_rows_recur():
    """100 different rows with labels drawn by chance: nothing to learn but the rows themselves."""
    X, y, _ = table(100, seed=1)
    often = np.append(np.repeat(np.arange(90), 4), np.arange(90, 100))  # ten rows occur once
    once, recurring = fit(Task.from_arrays(X, y, kind="classification")), fit(Task.from_arrays(X[often], y[often], kind="classification"))
    assert once.metrics["accuracy"] < 0.65
    assert recurring.metrics["accuracy"] > 0.8
    assert (recurring.predict(X[:90]) == y[:90]).mean() > 0.9
