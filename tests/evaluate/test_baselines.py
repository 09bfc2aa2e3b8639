"""Every baseline takes every kind of table: gaps, strings, new categories, dates, constants, several targets, weights."""

import datetime

import numpy as np
import pandas as pd
import pytest

from netloom.errors import ConfigError
from netloom.evaluate.baselines import BASELINES, PACKAGES, available, fit_baseline
from netloom.evaluate.scores import score
from netloom.tasks.task import Task

INSTALLED = [pytest.param(name, marks=pytest.mark.slow if name in PACKAGES else ()) for name in available()[0]]


def messy(n, seed=0):
    """A frame with one column of each kind, and a number that it says something about."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "infinite": np.where(rng.random(n) < 0.05, np.inf, rng.normal(size=n)),
            "integer": rng.integers(5, size=n),
            "flag": rng.random(n) < 0.5,
            "word": rng.choice(["red", "green", "blue"], size=n),
            "holes": pd.Series(rng.choice(["a", "b", None], size=n), dtype=object),
            "category": pd.Categorical(rng.choice(["x", "y"], size=n)),
            "mixed": pd.Series([1, "one", 2.5, None] * (n // 4 + 1), dtype=object)[:n],
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(1000, size=n), unit="D"),
            "how long": pd.to_timedelta(rng.integers(1000, size=n), unit="s"),
            "nullable": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(3, size=n)), dtype="Int64"),
            "day": [datetime.date(2024, 1, 1 + i % 28) for i in range(n)],
            "constant": 3.0,
            "nothing": np.nan,
            "none": pd.Series([None] * n, dtype=object),
        }
    )
    return frame, frame["number"] + (frame["word"] == "red") * 2.0


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_takes_any_table_and_new_categories(name, kind):
    frame, truth = messy(120)
    target = np.digitize(truth, [0, 1.5]) if kind == "classification" else truth.to_numpy()
    model = fit_baseline(name, Task.from_frame(frame, target=target, kind=kind))
    new, truth = messy(60, seed=1)
    new["word"] = new["word"].where(np.arange(60) > 5, "violet")
    new["category"] = new["category"].astype(object).where(np.arange(60) > 5, None)
    new.loc[7, "number"] = np.nan
    if kind == "classification":
        said = model.predict_proba(new)
        assert said.shape == (60, 3) and np.allclose(said.sum(axis=1), 1)
        assert (model.predict(new) == said.argmax(axis=1)).all()
        found = score(kind, np.digitize(truth.fillna(0), [0, 1.5]), said)
        assert found["auc"] > 0.65 or name == "constant"
    else:
        assert model.predict(new).shape == (60, 1)
        assert score(kind, truth.fillna(0).to_numpy()[:, None], model.predict(new))["r2"] > 0.15 or name == "constant"
    assert model.n_bytes > 100


@pytest.mark.parametrize("name", INSTALLED)
def test_two_targets(name):
    frame, truth = messy(60)
    task = Task.from_frame(frame.assign(a=truth, b=-truth), target=["a", "b"])
    assert fit_baseline(name, task).predict(frame).shape == (60, 2)


@pytest.mark.parametrize("name", INSTALLED)
def test_classes_without_rows_get_a_column_of_zeros(name):
    frame, truth = messy(60)
    task = Task.from_frame(frame, target=np.digitize(truth, [0, 1.5]), kind="classification")
    rows = np.flatnonzero(task.y != 1)
    said = fit_baseline(name, task.rows(rows)).predict_proba(frame)
    assert said.shape == (60, 3) and (said[:, 1] == 0).all()
    alone = fit_baseline(name, task.rows(np.flatnonzero(task.y == 2))).predict_proba(frame)
    assert (alone == [0, 0, 1]).all()


@pytest.mark.parametrize("name", INSTALLED)
def test_same_seed_same_answers(name):
    frame, truth = messy(60)
    task = Task.from_frame(frame, target=(truth > 0).to_numpy(), kind="classification")
    np.testing.assert_array_equal(*(fit_baseline(name, task, seed=1).predict_proba(frame) for _ in range(2)))


@pytest.mark.parametrize("name", ["constant", "linear", "rf300", "histgb"])
def test_weights_count(name):
    frame, _ = messy(80)
    y = np.arange(80) % 2 == 0  # nothing to learn but the shares
    heavy = fit_baseline(name, Task.from_frame(frame, target=y, kind="classification", weight=np.where(y, 100.0, 0.01)))
    assert heavy.predict_proba(messy(80, seed=1)[0])[:, 1].mean() > 0.52


def test_a_frame_with_nothing_in_it():
    frame = pd.DataFrame({"empty": [np.nan] * 20, "same": ["x"] * 20})
    task = Task.from_frame(frame, target=np.arange(20) % 2, kind="classification")
    for name in ("linear", "rf300", "histgb"):
        np.testing.assert_allclose(fit_baseline(name, task).predict_proba(frame), 0.5, atol=0.1)


def test_columns_with_one_name_are_kept_apart():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 2)), columns=["a", "a"])
    task = Task.from_frame(frame, target=frame.iloc[:, 1].to_numpy(), kind="regression")
    assert score("regression", task.y, fit_baseline("linear", task).predict(frame))["r2"] > 0.99


def test_unknown_and_absent_baselines_are_named(monkeypatch):
    with pytest.raises(ConfigError, match="baseline 'forest': unknown; choose from constant, linear"):
        available(["forest"])
    monkeypatch.setattr("netloom.evaluate.baselines.find_spec", lambda name: None)
    assert available(["linear", "xgboost"]) == (["linear"], ["xgboost"])
    assert set(available()[1]) == set(PACKAGES) < set(BASELINES)
    with pytest.raises(ConfigError, match="package 'catboost' is not installed"):
        fit_baseline("catboost500", Task.from_frame(messy(20)[0], target=np.arange(20) % 2, kind="classification"))
