"""A summary says what made-up lines were made to say."""

import numpy as np
import pandas as pd
import pytest

from netloom.errors import DataError
from netloom.evaluate.summary import summarise


def lines(tables=12, seeds=2):
    """netloom is .01 better than `near` in AUC on every table, and than `far` by .1 but on one table; losses accordingly."""
    rng = np.random.default_rng(0)
    rows = []
    for t in range(tables):
        base = rng.uniform(0.7, 0.85)
        for seed in range(seeds):
            luck = rng.normal(scale=0.02)  # shared by all models of a split
            for model, gap in (("netloom", 0.0), ("near", -0.01), ("far", 0.1 if t == 0 else -0.1)):
                good = base + luck + gap
                scores = {"accuracy": good, "auc": good, "log_loss": 1 - good, "ece": 0.1}
                cost = {"fit_s": 1.0 + t, "predict_s": 0.1, "bytes": 2000, "parameters": np.nan}
                rows.append({"name": f"t{t}", "kind": "classification", "seed": seed, "model": model, **scores, **cost, "error": None})
                value = {"r2": good, "rmse": 1 - good}
                rows.append({"name": f"r{t}", "kind": "regression", "seed": seed, "model": model, **value, **cost, "error": None})
    return pd.DataFrame(rows)


def pick(summary, score, model):
    (line,) = summary.table[(summary.table["score"] == score) & (summary.table["model"] == model)].to_dict("records")
    return line


def test_means_ranks_and_wins():
    frame = lines()
    summary = summarise(frame)
    auc = pick(summary, "auc", "netloom")
    assert auc["mean"] == pytest.approx(frame[frame["model"] == "netloom"]["auc"].mean())
    assert (auc["wins"], auc["tables"]) == (11, 12)
    assert auc["rank"] == pytest.approx((11 * 1 + 2) / 12)
    assert pick(summary, "log_loss", "netloom")["rank"] == pytest.approx(auc["rank"])  # less is better
    assert pick(summary, "ece", "far")["wins"] == pytest.approx(4)  # all alike: shared
    assert pick(summary, "r2", "far")["wins"] == 1


def test_paired_differences_leave_out_what_is_shared():
    summary = summarise(lines())
    near, far = pick(summary, "auc", "near"), pick(summary, "auc", "far")
    assert near["difference"] == pytest.approx(0.01) and near["low"] == pytest.approx(0.01) and near["high"] == pytest.approx(0.01)
    assert far["difference"] == pytest.approx((11 * 0.1 - 0.1) / 12) and far["low"] < far["difference"] < far["high"]
    assert (near["ahead"], far["ahead"], pick(summary, "log_loss", "far")["ahead"]) == (12, 11, 11)
    assert pick(summary, "log_loss", "near")["difference"] == pytest.approx(-0.01)
    assert np.isnan(pick(summary, "auc", "netloom")["difference"])


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(150):
        gaps = rng.normal(0.02, 0.05, size=30)
        same = {"kind": "regression", "seed": 0, "fit_s": 1.0, "predict_s": 1.0, "bytes": 1, "parameters": 1, "error": None}
        frame = pd.DataFrame(
            same | {"name": f"t{t}", "model": m, "r2": 0.5 + g} for t, gap in enumerate(gaps) for m, g in (("netloom", gap), ("other", 0.0))
        )
        line = pick(summarise(frame, resamples=500), "r2", "other")
        hits.append(line["low"] <= 0.02 <= line["high"])
    assert 0.86 < np.mean(hits) <= 0.99


def test_splits_that_a_model_did_not_finish_do_not_count_for_anyone():
    frame = lines()
    lost = (frame["name"] == "t3") & (frame["model"] == "far")
    frame.loc[lost, "error"] = "MemoryError: too large"
    frame.loc[lost, ["accuracy", "auc", "log_loss", "ece"]] = np.nan
    summary = summarise(frame)
    assert pick(summary, "auc", "netloom")["tables"] == 11
    assert pick(summary, "r2", "netloom")["tables"] == 12
    assert summary.costs.set_index(["kind", "model"]).loc[("classification", "far"), "failed"] == 2
    assert "t3" not in summary.values["classification", "auc"].index


def test_markdown_names_every_model_and_what_is_certain(tmp_path):
    text = summarise(lines()).to_markdown()
    assert "## Classification: 12 tables" in text and "## Regression: 12 tables" in text
    assert "**+0.01 [+0.01, +0.01]** 12/12" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count("|") in (6, 4, 8), line
    written = summarise(lines()).write(tmp_path, plots=False)
    assert [path.name for path in written] == ["summary.md", "summary.csv", "costs.csv"]
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 18


def test_without_ours_there_are_means_but_no_differences():
    summary = summarise(lines(), ours="absent")
    assert summary.table["difference"].isna().all() and "minus" not in summary.to_markdown()


def test_pictures_are_written(tmp_path):
    pytest.importorskip("matplotlib")
    written = [path.name for path in summarise(lines()).write(tmp_path)]
    assert [name for name in written if name.endswith(".png")] == [
        f"{plot}_{kind}.png" for kind in ("classification_auc", "classification_log_loss", "regression_r2") for plot in ("ranks", "paired")
    ]
    assert all((tmp_path / name).stat().st_size > 5000 for name in written if name.endswith(".png"))


def test_without_matplotlib_there_are_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr("netloom.evaluate.summary.find_spec", lambda name: None)
    assert [path.suffix for path in summarise(lines()).write(tmp_path)] == [".md", ".csv", ".csv"]


def test_nothing_to_summarise():
    with pytest.raises(DataError, match="run the suite first"):
        summarise(lines().iloc[:0])
