"""Rows in canonical form: the same whatever order rows, columns and classes come in, also where few values make many rows alike."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom import Task
from netloom.loom import keys
from netloom.loom.keys import content_keys, row_keys
from netloom.loom.rows import _dense_ranks, canonical_rows
from netloom.tasks import Schema


def rows_of(frame, y, weight=None):
    kind = "regression" if np.asarray(y).dtype.kind == "f" else "classification"
    task = Task.from_frame(frame, target=y, weight=weight, kind=kind)
    return canonical_rows(Schema.learn(task.frame, named=task.named).encode(task.frame), task)


def by_key(rows):
    """Values and targets with columns and outputs in the order of their keys, and of their content where a symmetry makes keys equal."""
    return rows.X[:, np.lexsort((*rows.X[::-1], rows.columns))], rows.targets[:, np.lexsort((*rows.targets[::-1], rows.outputs))]


COLUMNS = {
    "truth values": lambda rng, n: rng.random(n) < rng.uniform(0.2, 0.8),
    "few whole numbers": lambda rng, n: rng.integers(0, 3, n),
    "words": lambda rng, n: rng.choice(list("abcd"), n),
    "numbers": lambda rng, n: rng.normal(size=n),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(20, 120), d=st.integers(2, 5))
@example(seed=3368, n=85, d=2)  # truth values of three classes: swapping the columns gives the same table
def test_order_and_names_do_not_matter(kind, classes, weighted, seed, n, d):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"c{j}": COLUMNS[kind](rng, n) for j in range(d)})
    y = rng.normal(size=n)
    if classes:
        y = np.array(["u", "v", "w"])[np.append(np.arange(classes), rng.integers(classes, size=n - classes))]
    weight = rng.choice([0.1, 0.3, 0.7, 1.9], n) if weighted else None
    first = rows_of(frame, y, weight)
    shuffled, columns = rng.permutation(n), rng.permutation(d)
    named = {"u": "z", "v": "b", "w": "a"}
    other = y[shuffled] if not classes else np.array([named[label] for label in y[shuffled]])
    second = rows_of(frame.iloc[shuffled, columns].reset_index(drop=True), other, None if weight is None else weight[shuffled])
    np.testing.assert_array_equal(np.sort(first.columns), np.sort(second.columns))
    np.testing.assert_array_equal(np.sort(first.outputs), np.sort(second.outputs))
    for one, two in zip(by_key(first), by_key(second), strict=True):
        np.testing.assert_array_equal(one, two) if classes else np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(first.weight, second.weight, rtol=1e-12)
    np.testing.assert_array_equal(first.times, second.times)


@pytest.mark.parametrize("at_once", [1, 100, 10**6], ids=["column by column", "a few columns", "all columns"])
def test_a_few_columns_at_a_time_give_the_same_rows(monkeypatch, at_once):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({f"c{j}": COLUMNS[kind](rng, 40) for j, kind in enumerate([*COLUMNS] * 2)} | {"same": 1.0})
    y = rng.choice(["u", "v", "w"], 40)
    before = rows_of(frame, y)
    monkeypatch.setattr(keys, "AT_ONCE", at_once)
    after = rows_of(frame, y)
    for name in ("X", "targets", "weight", "times", "codes", "columns", "outputs"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    table = rng.integers(0, 5, (40, 6)) / 4
    np.testing.assert_array_equal(_dense_ranks(table), np.stack([np.unique(c, return_inverse=True)[1] for c in table.T], axis=1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("alike", [2, 4], ids=["two columns", "all columns"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_table_that_is_the_same_with_columns_swapped_has_rows_in_one_order(classes, alike):
    symmetric = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        often = rng.integers(1, 4, (2**4, classes))  # of each row with the first columns sorted, and class
        cube = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
        which = np.concatenate([np.sort(cube[:, :alike], axis=1), cube[:, alike:]], axis=1) @ [8, 4, 2, 1]
        X = np.repeat(np.repeat(cube, classes, axis=0), often[which].ravel(), axis=0)
        codes = np.repeat(np.tile(np.arange(classes), len(cube)), often[which].ravel())
        shuffled, columns, named = rng.permutation(len(X)), rng.permutation(4), rng.permutation(classes)
        first = rows_of(pd.DataFrame(X > 0), np.array(list("uvw"))[codes])
        second = rows_of(pd.DataFrame(X[shuffled][:, columns] > 0), np.array(list("uvw"))[named[codes[shuffled]]])
        symmetric += len(np.unique(first.columns)) <= 5 - alike
        for one, two in zip(by_key(first), by_key(second), strict=True):
            np.testing.assert_array_equal(one, two)
    assert symmetric == 40


def test_rows_that_each_have_a_column_of_their_own_are_in_one_order():
    """Any of them may be exchanged for any other of its class; more of them than are singled out."""
    rng = np.random.default_rng(0)
    X, y = np.eye(60) > 0, rng.integers(0, 2, 60)
    first = rows_of(pd.DataFrame(X), y)
    shuffled = rng.permutation(60)
    second = rows_of(pd.DataFrame(X[shuffled][:, rng.permutation(60)]), y[shuffled])
    for one, two in zip(by_key(first), by_key(second), strict=True):
        np.testing.assert_array_equal(one, two)


def test_columns_that_only_the_target_tells_apart_have_keys_of_their_own():
    """Every row of a full cube is one of others in another order of columns."""
    cube = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    y = (cube @ [0, 1, 3, 7]).astype(float)
    rows = rows_of(pd.DataFrame(cube), y)
    assert len(np.unique(content_keys(cube, row_keys(cube)))) == 1
    assert len(np.unique(rows.columns)) == 4


def test_keys_of_columns_that_differ_at_once_are_those_of_their_content():
    X = np.random.default_rng(0).normal(size=(50, 4))
    rows = rows_of(pd.DataFrame(X), np.arange(50) % 3)
    ranks = rows.X.argsort(axis=0).argsort(axis=0)
    np.testing.assert_array_equal(rows.columns, content_keys(ranks, row_keys(ranks)))
    np.testing.assert_array_equal(rows.X, X[np.argsort(row_keys(X.argsort(axis=0).argsort(axis=0)))])


def test_columns_of_the_same_content_share_a_key():
    X = np.random.default_rng(0).integers(0, 4, (60, 3))
    rows = rows_of(pd.DataFrame(np.concatenate([X, X[:, :1]], axis=1)), np.arange(60) % 2)
    assert rows.columns[0] == rows.columns[3] and len(np.unique(rows.columns)) == 3
