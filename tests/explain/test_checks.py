"""Warnings: found where they should be, silent where they should not."""

import numpy as np
import pandas as pd
import pytest

from netloom import Task
from netloom.explain import check_task, drift, losses
from netloom.explain.evidence import calibration_of, read_calibration, scores_of
from netloom.explain.findings import findings_from
from netloom.target.calibration import coverage_of_folds, fan, interval_quantiles, reliability


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    return pd.DataFrame({"x": x, "level": rng.choice(list("abc"), 300), "y": np.sin(x) + 0.3 * rng.normal(size=300)})


def whats(frame, target="y", **options):
    return {(f.what, f.column) for f in check_task(Task.from_frame(frame, target=target), **options)}


def test_a_sound_table_has_no_finding(frame):
    assert whats(frame) == set()
    assert whats(frame.assign(y=np.where(frame["y"] > 0, "up", "down"))) == set()


def test_ids_are_found(frame):
    ids = {"row": range(300), "shuffled": np.random.default_rng(0).permutation(300) + 7, "name": [f"customer {i}" for i in range(300)]}
    assert whats(frame.assign(**ids)) == {("id", "row"), ("id", "shuffled"), ("id", "name")}
    assert whats(frame.assign(amount=np.random.default_rng(0).integers(0, 10**6, 300))) == set()  # whole and unique, but no count


def test_a_column_that_tells_the_target_is_found(frame):
    assert whats(frame.assign(told=2 * frame["y"] + 3)) == {("leak", "told")}
    classes = frame.assign(y=np.where(frame["y"] > 0, "up", "down"))
    assert whats(classes.assign(told=classes["y"].map({"up": "U", "down": "D"}), gaps=classes["x"].where(classes["y"] == "up"))) == {
        ("leak", "told"),
        ("leak", "gaps"),
    }


def test_repeated_rows_are_counted(frame):
    assert whats(frame, repeated=20, tested=75) == {("repeated", "")} and whats(frame, repeated=0, tested=75) == set()


def test_the_held_out_report_counts_repeated_rows(frame):
    from netloom.evaluate import compare
    from netloom.evaluate.baselines import fit_baseline

    twice = Task.from_frame(pd.concat([frame, frame]), target="y")
    report = compare(twice, lambda task: fit_baseline("linear", task), baselines=[])
    assert 0.6 * report.n_test < report.repeated < 0.9 * report.n_test  # three quarters have their twin in training
    assert compare(Task.from_frame(frame, target="y"), lambda task: fit_baseline("linear", task), baselines=[]).repeated == 0


def test_drift_is_found_in_what_moved_and_not_elsewhere(make_network):
    network, table = make_network(n=600)
    assert not any(d.drifted for d in drift(network, table))
    moved = table.assign(size=table["size"] + 15, colour="green", age=np.nan)
    found = {d.column for d in drift(network, moved) if d.drifted}
    assert found == {"size", "colour", "age"}
    (colour,) = [d for d in drift(network, table.assign(colour="purple")) if d.column == "colour"]
    assert colour.outside == 1.0 and colour.drifted
    (size,) = [d for d in drift(network, moved) if d.column == "size"]
    now, then = np.sort(moved["size"]), np.sort(table["size"])
    truth = max(abs((then <= v).mean() - (now <= v).mean()) for v in then)
    assert abs(size.gap - truth) < 0.05


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_losses_are_scores_and_shuffling_hurts_what_is_used(make_network, kind):
    network, table = make_network(kind)
    found = losses(network, table)
    if kind == "regression":
        error = network.predict(table) - table["y"]
        assert abs(found.scores["RMSE"][0] - np.sqrt(np.mean(error**2))) < 1e-6 * np.std(table["y"])
        assert abs(found.scores["R2"][0] - (1 - np.mean(error**2) / np.var(table["y"]))) < 1e-9
    else:
        assert found.scores["accuracy"][0] == np.mean(network.predict(table) == table["y"])
    worth = found.shuffled
    assert worth["size"][0] > 5 * worth["size"][1] and worth["size"][0] > 2 * abs(worth["day"][0])


def test_losses_leave_out_what_has_no_or_a_strange_target(make_network):
    network, table = make_network("classification")
    table = table.astype({"y": object})
    table.loc[:9, "y"], table.loc[10:14, "y"] = None, "other"
    found = losses(network, table)
    assert (found.rows, found.strange) == (285, 5)


def test_reliability_counts_what_came_true():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    codes = (rng.uniform(size=20_000) < p).astype(int)
    lines = reliability(np.column_stack([1 - p, p]), codes)
    assert len(lines) == 10 and sum(line[2] for line in lines) == 20_000
    assert all(abs(said - true) < 0.04 for said, true, _ in lines)
    assert len(reliability(np.array([[0.2, 0.3, 0.5]]), np.array([2]))) == 3  # three classes, each against the rest


def test_coverage_of_folds_is_honest_and_fans_hold_the_middle():
    rng = np.random.default_rng(0)
    residual, weight = rng.normal(size=(900, 1)), np.ones(900)
    folds = [(np.flatnonzero(np.arange(900) % 3 != k), np.flatnonzero(np.arange(900) % 3 == k)) for k in range(3)]
    assert all(abs(asked - inside) < 0.03 for asked, inside in coverage_of_folds(residual, weight, folds))
    own = [np.abs(residual) <= interval_quantiles(residual, weight)[89]]
    assert np.mean(own) >= 0.9
    lines = fan(np.arange(100.0), np.arange(100.0) + 5)
    assert len(lines) == 10 and all(low < middle < high and abs(middle - said - 5) < 1e-9 for said, low, middle, high, _ in lines)


@pytest.mark.parametrize("forged", [None, 3, "x", [], {"scores": 3}, {"scores": {"netloom": 3}}, {"chances": [["a", 1, 2]], "values": {}}])
def test_forged_evidence_is_no_evidence(make_network, forged):
    from dataclasses import replace

    network, _ = make_network()
    odd = replace(network, metrics={"beside_baselines": forged, "calibration": forged, "warnings": forged})
    assert scores_of(odd) is None and calibration_of(odd) is None and findings_from(forged) == []
    assert read_calibration({"coverage": [[0.9, 0.88], [1]], "how": 3}).coverage == ((0.9, 0.88),)
