"""A report holds what was measured on rows that no model has seen, the same rows for all."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from netloom.errors import DataError
from netloom.evaluate import compare
from netloom.evaluate.baselines import fit_baseline
from netloom.evaluate.holdout import outputs
from netloom.evaluate.scores import score
from netloom.evaluate.splits import holdout
from netloom.tasks.task import Task


def table(n, kind="classification", seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    truth = frame["a"] + 0.5 * rng.normal(size=n)
    return Task.from_frame(frame, target=np.where(truth > 0, "yes", "no") if kind == "classification" else truth.to_numpy(), kind=kind)


def linear(task):
    return fit_baseline("linear", task)


def test_scores_are_those_of_the_held_out_rows():
    task = table(400)
    report = compare(task, linear, seed=3, baselines=["constant", "linear"])
    train, test = holdout(task, 3)
    expected = score("classification", task.y[test], linear(task.rows(train)).predict_proba(task.frame.iloc[test]))
    assert [row.model for row in report.rows] == ["netloom", "constant", "linear"]
    assert {k: v for k, (v, _) in report.rows[0].scores.items()} == expected
    assert (report.n_train, report.n_test) == (300, 100)
    assert report.differences["log_loss"] == ("linear", 0.0, 0.0)


def test_few_rows_are_each_predicted_by_the_model_that_has_not_seen_them():
    seen = []

    class Spy:
        def __init__(self, task):
            self.rows = set(map(tuple, task.frame.to_numpy()))
            self.mean = task.y.mean(axis=0)

        def predict(self, frame):
            assert not self.rows & set(map(tuple, frame.to_numpy()))
            seen.extend(map(tuple, frame.to_numpy()))
            return np.full(len(frame), self.mean)

    report = compare(table(60, "regression"), Spy, baselines=["constant"])
    assert len(seen) == len(set(seen)) == report.n_test == 60
    assert report.n_train == 48 and report.how == "5 folds of 60 rows"
    assert report.rows[0].scores == report.rows[1].scores


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_prints_as_a_table_and_as_json(kind, monkeypatch):
    monkeypatch.setattr("netloom.evaluate.baselines.find_spec", lambda name: None)
    report = compare(table(250, kind), linear, baselines=["constant", "linear", "catboost500"])
    stream = io.StringIO()
    Console(file=stream, width=120).print(report)
    text = stream.getvalue()
    for said in ("netloom", "constant", "linear", "±", "62 of 250 rows held out", "not installed: catboost500"):
        assert said in text
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["rows"][0]["model"] == "netloom" and plain["skipped"] == ["catboost500"]
    name = "log_loss" if kind == "classification" else "rmse"
    assert plain["differences"][name] == {"best_baseline": "linear", "difference": 0.0, "standard_error": 0.0, "higher_is_better": False}


def test_the_line_says_better_or_worse_and_how_sure():
    task = table(400)
    assert "better than constant" in compare(task, linear, baselines=["constant"]).line()
    worse = compare(task, lambda t: fit_baseline("constant", t), baselines=["linear"]).line()
    assert "worse than linear" in worse and "noise" not in worse
    assert "within the noise" in compare(task, linear, baselines=["linear"]).line()


def test_a_network_that_was_told_fewer_classes_gets_zeros_for_the_others():
    task = Task.from_frame(pd.DataFrame({"x": np.arange(9.0)}), target=np.array(list("abcabcabc")))

    class Two:
        classes = np.array(["a", "c"])

        def predict_proba(self, frame):
            return np.tile([0.3, 0.7], (len(frame), 1))

    np.testing.assert_array_equal(outputs(Two(), task, np.array([0, 4])), [[0.3, 0, 0.7], [0.3, 0, 0.7]])


def test_too_few_rows():
    with pytest.raises(DataError, match="3 rows: a held-out score needs at least 4"):
        compare(table(3, "regression"), linear)


def test_progress_is_told():
    said = []
    compare(table(50), linear, baselines=["constant"], progress=lambda share, message: said.append((share, message)))
    assert said == [(0.0, "held-out score: netloom"), (0.5, "held-out score: constant")]
