"""What is asked: inputs and targets of any type, and one clear line for what cannot be learned."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from netloom.errors import ColumnTypeError, ConfigError, DataError
from netloom.tasks import Task

N = 40
X = np.random.default_rng(0).normal(size=(N, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=["u", "v"] * 20, w=1.0, user=[1, 2, 3, 4] * 10)


def test_the_target_and_the_weight_are_no_inputs():
    task = Task.from_frame(FRAME, "label", weight="w")
    assert task.frame.columns.tolist() == ["a", "b", "c", "user"] and task.target_names == ("label",) and task.named
    assert task.kind == "classification" and task.classes.tolist() == ["u", "v"] and task.y.tolist() == [0, 1] * 20
    assert task.weight.tolist() == [1.0] * N and task.n == N and task.outputs == 2 and task.dropped == 0


def test_rows_without_a_target_are_left_out_and_counted():
    frame = FRAME.assign(label=FRAME.label.where(FRAME.a < 1), a=np.arange(N)).set_index("b")
    task = Task.from_frame(frame, "label", weight=np.arange(N))
    kept = frame.label.notna().to_numpy()
    assert task.dropped == (~kept).sum() > 0 and task.n == kept.sum()
    assert task.frame.a.tolist() == task.weight.tolist() == np.arange(N)[kept].tolist()
    assert task.frame.index.tolist() == list(range(task.n))


def test_several_targets_are_regression():
    task = Task.from_frame(FRAME, ["a", "b"])
    assert task.kind == "regression" and task.outputs == 2 and task.target_names == ("a", "b") and task.classes is None
    np.testing.assert_array_equal(task.y, X[:, :2])


def test_targets_may_be_given_as_values():
    for values in (FRAME.label.to_numpy(), FRAME.label, FRAME.label.tolist(), pd.Categorical(FRAME.label)):
        task = Task.from_frame(FRAME[["a"]], values)
        assert task.classes.tolist() == ["u", "v"] and task.frame.columns.tolist() == ["a"]


def test_a_table_without_names_has_its_target_by_number():
    task = Task.from_frame(X, 2)
    assert task.frame.shape == (N, 2) and not task.named


def test_the_table_given_is_not_changed():
    frame = FRAME.copy()
    task = Task.from_frame(frame, "label", weight="w")
    task.frame.loc[:, "a"] = 0.0
    task.weight[:] = 5
    pd.testing.assert_frame_equal(frame, FRAME)


@pytest.mark.parametrize(
    "y, kind",
    [
        (["u", "v"] * 20, "classification"),
        (pd.Categorical([1, 2] * 20), "classification"),
        ([True, False] * 20, "classification"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)] * 20, "classification"),
        (np.arange(N) % 2, "classification"),
        (np.arange(N) % 2 * 1.0, "classification"),
        (np.arange(N) % 3, "regression"),  # three values of 40 rows are more than max(2, 40 // 20)
        (np.arange(N) % 2 * 0.5, "regression"),
        (np.arange(N), "regression"),
        (X[:, 0], "regression"),
        ([Decimal("1.5"), Decimal("2.5")] * 20, "regression"),
        (pd.array([1, 2] * 20, dtype="Int64"), "classification"),
        (pd.to_timedelta(np.arange(N), unit="s"), "regression"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kind_is_told_by_the_target(y, kind):
    assert Task.from_arrays(X, y).kind == kind


def test_twenty_whole_numbers_in_many_rows_are_classes():
    many = np.zeros((1000, 1))
    assert Task.from_arrays(many, np.arange(1000) % 20).outputs == 20
    assert Task.from_arrays(many, np.arange(1000) % 21).kind == "regression"


def test_the_kind_can_be_said():
    assert Task.from_arrays(X, np.arange(N), kind="classification").outputs == N
    assert Task.from_arrays(X, [True, False] * 20, kind="regression").y[:2].tolist() == [[1.0], [0.0]]
    with pytest.raises(ConfigError, match=r"^kind = 'rank': must be 'classification', 'regression' or None$"):
        Task.from_arrays(X, X[:, 0], kind="rank")


def test_a_heavy_tailed_target_is_kept_as_it_is():
    y = np.random.default_rng(0).standard_cauchy(N) ** 3
    np.testing.assert_array_equal(Task.from_arrays(X, y).y[:, 0], y)


def test_a_hundred_and_more_classes():
    y = [f"class {i % 130:03d}" for i in range(260)]
    task = Task.from_arrays(np.zeros((260, 1)), y)
    assert task.outputs == 130 and [task.classes[code] for code in task.y] == y


@pytest.mark.parametrize(
    "y, classes, dtype",
    [
        (np.array(["b", "a"] * 20), ["a", "b"], "<U1"),
        (np.array(["b", "a"] * 20, dtype=object), ["a", "b"], "O"),
        (np.array([7, -3] * 20, dtype=np.int8), [-3, 7], "i1"),
        (np.array([7, 3] * 20, dtype=">i4"), [3, 7], "i4"),
        (np.array([2.0, 1.0] * 20, dtype=np.float32), [1, 2], "f4"),
        ([True, False] * 20, [False, True], "bool"),
        ([True, None] * 20 + [False] * 2, [False, True], "bool"),
        (pd.array([1, 2] * 20, dtype="Int64"), [1, 2], "i8"),
        (pd.array([True, False] * 20, dtype="boolean"), [False, True], "bool"),
        (pd.array(["x", "y"] * 20, dtype="string"), ["x", "y"], "O"),
        (pd.Categorical([3, 1] * 20, categories=[3, 2, 1]), [1, 3], "i8"),
        ([1, "a"] * 20, [1, "a"], "O"),
        ([10, 9] * 20, [9, 10], "i8"),
        ([1, True, 0, False] * 10, [0, 1, False, True], "O"),
        (pd.cut(np.arange(40.0), [-1, 20, 40]), ["(-1, 20]", "(20, 40]"], "O"),
        (np.array([b"x", b"y"] * 20), ["x", "y"], "O"),
    ],
    ids=str,
)
def test_classes_are_sorted_labels_in_their_own_dtype(y, classes, dtype):
    frame = pd.DataFrame({"a": np.arange(len(y))})
    task = Task.from_frame(frame, y, kind="classification")
    assert task.classes.tolist() == classes and task.classes.dtype == np.dtype(dtype)
    assert [type(label) for label in task.classes.tolist()] == [type(label) for label in classes] or task.classes.dtype.kind == "f"


def test_some_rows_of_a_task_keep_all_classes():
    task = Task.from_frame(FRAME, "label", weight=np.arange(N))
    part = task.rows(task.y == 1)
    assert part.outputs == 2 and part.y.tolist() == [1] * 20 and part.weight.tolist() == list(range(1, N, 2))
    assert task.rows([3, 1, 3]).frame.a.tolist() == [X[3, 0], X[1, 0], X[3, 0]]
    assert task.rows([]).n == 0


def test_a_task_per_group():
    tasks = Task.from_groups(FRAME, "a", "user")
    assert list(tasks) == [1, 2, 3, 4] and all(task.kind == "regression" for task in tasks.values())
    assert tasks[2].frame.columns.tolist() == ["b", "c", "label", "w"]
    np.testing.assert_array_equal(tasks[2].y[:, 0], X[1::4, 0])


def test_groups_that_cannot_be_learned_are_named_in_one_warning():
    frame = pd.DataFrame({"x": range(9), "y": list("abababaab"), "g": ["p", "p", "q", "q", "r", "s", "t", "t", None]})
    with pytest.warns(UserWarning) as caught:
        tasks = Task.from_groups(frame, "y", "g")
    assert list(tasks) == ["p", "q"]
    assert [str(warning.message) for warning in caught] == [
        "groups by 'g' left out: 'r' (too few rows), 's' (too few rows), 't' (one class), 1 rows without a group"
    ]


def test_groups_need_columns():
    with pytest.raises(DataError, match=r"^group 'usr' is not a column of the table \(did you mean 'user'\?\)"):
        Task.from_groups(FRAME, "a", "usr")
    with pytest.raises(DataError, match="other than the one of the groups"):
        Task.from_groups(FRAME, "user", "user")
    with pytest.raises(ConfigError, match=r"^minimum = 1: a task needs at least 2 rows$"):
        Task.from_groups(FRAME, "a", "user", minimum=1)


def _with(row, value):
    y = X[:, 0].copy()
    y[row] = value
    return y


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda: Task.from_frame(FRAME, "Label"),
            "target 'Label' is not a column of the table (did you mean 'label'?); it holds 'a', 'b', 'c', 'label', 'w', ...",
        ),
        (
            lambda: Task.from_frame(FRAME, ["a", "zz"]),
            "target 'zz' is not a column of the table; it holds 'a', 'b', 'c', 'label', 'w', ...",
        ),
        (lambda: Task.from_frame(FRAME, ["a", "a"]), "a target is named twice in ['a', 'a']; name each once"),
        (
            lambda: Task.from_frame(FRAME, "a", weight="weigth"),
            "weight 'weigth' is not a column of the table; it holds 'a', 'b', 'c', 'label', 'w', ...",
        ),
        (lambda: Task.from_frame(FRAME, "a", weight="a"), "column 'a' is both the target and the weight; give two columns"),
        (
            lambda: Task.from_frame(pd.DataFrame([[1, 2, 3]] * 3, columns=["a", "y", "y"]), "y"),
            "target 'y' is the name of 2 columns; rename all but one",
        ),
        (
            lambda: Task.from_frame(FRAME.assign(y=None), "y"),
            "target 'y' is missing in all 40 rows; fill it in or name another column as target",
        ),
        (lambda: Task.from_arrays(X, [1] * N), "target 'y' has only one class, 1; telling classes apart needs at least 2"),
        (
            lambda: Task.from_frame(FRAME.iloc[::2], "label"),
            "target 'label' has only one class, 'u'; telling classes apart needs at least 2",
        ),
        (lambda: Task.from_arrays(X[:1], [1]), "the table has 1 row (n_samples=1) with a target; training needs at least 2"),
        (lambda: Task.from_arrays(X[:0], []), "the table is empty; training needs at least 2 rows"),
        (lambda: Task.from_frame(FRAME.iloc[:0], "label"), "the table is empty; training needs at least 2 rows"),
        (
            lambda: Task.from_frame(pd.DataFrame({"x": [1, 2], "y": [1.5, None], "z": [None, 2.5]}), ["y", "z"]),
            "the table has no row with a target; training needs at least 2",
        ),
        (
            lambda: Task.from_arrays(X, _with(5, np.inf)),
            "target 'y': row 5 is infinite (infinity); leave the row out or rescale the target",
        ),
        (
            lambda: Task.from_frame(FRAME[["b"]].assign(y=_with([0, 5], [np.nan, np.inf])), "y"),
            "target 'y': row 5 is infinite (infinity); leave the row out or rescale the target",
        ),
        (
            lambda: Task.from_arrays(X, _with(5, 1e300)),
            "target 'y': row 5 holds 1e+300, more than 1e+100; leave the row out or rescale the target",
        ),
        (lambda: Task.from_arrays(X, _with(5, np.nan)), "target 'y': row 5 is missing (NaN), 1 of 40 in all; leave those rows out"),
        (
            lambda: Task.from_arrays(X, _with(5, np.inf), kind="classification"),
            "target 'y': row 5 is infinite; a label must be finite",
        ),
        (lambda: Task.from_arrays(X, X[:3, 0]), "target 'y' has 3 values, the table has 40 rows; one per row is needed"),
        (
            lambda: Task.from_arrays(X, ["u", "v"] * 20, kind="regression"),
            "target 'y' holds 'u', but regression needs numbers; convert it, or use kind='classification'",
        ),
        (
            lambda: Task.from_arrays(X, X[:, :2], kind="classification"),
            "2 targets at once (y0, y1) must be numbers; classify one at a time",
        ),
        (
            lambda: Task.from_arrays(X, np.zeros((2, 2, 2))),
            "the target has shape (2, 2, 2); one value per row is needed, or one column per target",
        ),
        (lambda: Task.from_arrays(X, [[1], [1, 2]]), "the target is a list of rows of different lengths; one value per row is needed"),
        (lambda: Task.from_arrays(X, X[:, 0], weight=-np.ones(N)), "weight: row 0 holds -1; weights must be finite and not negative"),
        (
            lambda: Task.from_arrays(X, X[:, 0], weight=[1.0] * 39 + [np.nan]),
            "weight: row 39 holds nan; weights must be finite and not negative",
        ),
        (
            lambda: Task.from_arrays(X, X[:, 0], weight=[1.0] * 39 + [np.inf]),
            "weight: row 39 holds inf; weights must be finite and not negative",
        ),
        (
            lambda: Task.from_arrays(X, X[:, 0], weight=np.zeros(N)),
            "weight: all are 0, so no row counts; give at least one that is above 0",
        ),
        (
            lambda: Task.from_frame(FRAME.assign(w=0), "a", weight="w"),
            "weight w: all are 0, so no row counts; give at least one that is above 0",
        ),
        (lambda: Task.from_arrays(X, X[:, 0], weight=[1]), "weight: 1 values for 40 rows; give one per row"),
        (lambda: Task.from_arrays(X, X[:, 0], weight=["a"] * N), "weight: holds 'a'; weights must be numbers"),
    ],
)
def test_what_cannot_be_learned_is_one_clear_line(make, text):
    with pytest.raises(DataError) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("label", [[1], {"a": 1}, (1, 2), 1j], ids=repr)
def test_labels_that_are_no_single_value(label):
    y = np.empty(N, dtype=object)
    for i in range(N):
        y[i] = label
    with pytest.raises(ColumnTypeError, match="^column 'y'"):
        Task.from_arrays(X, y)
