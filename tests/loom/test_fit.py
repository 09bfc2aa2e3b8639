"""The whole fit: families compared on held-out rows, averaged, merged into one plain network within its budget."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from netloom import Budget, Task, fit
from netloom.errors import BudgetError, ConfigError, DataError
from netloom.loom.assemble import Member, merge, readout_of, solve, solved_alone
from netloom.loom.compare import Candidate, compare, moments, weigh
from netloom.loom.families import FAMILIES, GROUPS, families_named, select
from netloom.loom.fit import CHOOSE_ROWS
from netloom.loom.pool import WIDE, weave_pool
from netloom.loom.rows import canonical_rows, folds_of, spread
from netloom.tasks import Schema

KINDS = pytest.mark.parametrize("kind", ["classification", "regression"])


def rows_of(task):
    return canonical_rows(Schema.learn(task.frame, named=task.named).encode(task.frame), task)


def test_a_default_fit_beats_a_linear_model_where_there_is_more_to_see(make):
    task, fresh = make(n=200, classes=2), make(n=500, classes=2, seed=1)
    network = fit(task)
    linear = LogisticRegression().fit(task.frame, task.y).score(fresh.frame, fresh.y)
    right = network.predict(fresh.frame) == fresh.classes[fresh.y]
    assert right.mean() > linear + 0.1
    assert network.n_bytes <= 64_000
    # what it says of itself on held-out rows is true on fresh ones, within four standard errors of both
    error = network.metrics["accuracy_se"] + right.std() / np.sqrt(len(right))
    assert abs(network.metrics["accuracy"] - right.mean()) < 4 * error


@KINDS
def test_members_merged_are_their_average(loom, make, kind):
    """One network's outputs are the weighted sum of the outputs of its members, each solved for itself."""
    rows, head = rows_of(make(kind)), "logistic" if kind == "classification" else "gaussian"
    members = [Member("linear", FAMILIES["linear"], 0.1, 0.3), Member("woven", FAMILIES["woven"], 0.3, 0.7)]
    pool = weave_pool(loom, rows, parts={"values", "woven"}, seed=0)
    blocks = [pool.weights.features(rows.X)]
    mean, deviation = moments(blocks, rows.weight)
    merged = merge(pool, members, [readout_of(pool, rows, member, head, blocks, mean, deviation) for member in members])
    expected = np.zeros((rows.n, rows.head_targets.shape[1]))
    for member in members:
        chosen = select(pool, member.parts, mean, deviation)
        coef, intercept = solve(chosen, blocks, rows, head, member.penalty)
        expected += member.weight * (chosen.of(blocks[0].astype(np.float64)) @ coef + intercept)
    given = (merged.forward(rows.X) - merged.centre) / merged.scale
    np.testing.assert_allclose(given, expected, rtol=2e-3, atol=2e-3)


@KINDS
def test_members_are_solved_from_the_features_they_read(loom, make, kind, monkeypatch):
    """As from all features of the pool, and in as many pieces as rows ask for."""
    rows, head = rows_of(make(kind)), "logistic" if kind == "classification" else "gaussian"
    members = [Member("linear", FAMILIES["linear"], 0.1, 0.3), Member("cells + rules", FAMILIES["cells + rules"], 0.3, 0.7)]
    pool = weave_pool(loom, rows, parts={"values", "cells", "rules", "random"}, seed=0)
    blocks = [pool.weights.features(rows.X)]
    expected = [readout_of(pool, rows, member, head, blocks, *moments(blocks, rows.weight)) for member in members]
    monkeypatch.setattr("netloom.loom.assemble.AT_ONCE", 7)
    for (readout, intercept), (own, offset) in zip(solved_alone(pool, rows, members, head), expected, strict=True):
        np.testing.assert_allclose(readout, own, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(intercept, offset, rtol=1e-4, atol=1e-5)
        assert not readout[pool.parts["random"]].any()


@KINDS
def test_folds_hold_out_every_row_once(loom, make, kind):
    rows = rows_of(make(kind, n=80))
    seen = np.concatenate([test for _, test in folds_of(rows, 3)])
    assert sorted(seen) == list(range(rows.n))
    for train, test in folds_of(rows, 3):
        assert not set(train) & set(test)
        if rows.codes is not None:
            assert set(rows.codes[train]) == set(rows.codes)


def test_held_out_outputs_come_from_neurons_that_never_saw_the_row(loom, make):
    """Changing a row's label changes nothing in its own held-out output."""
    task = make("regression", n=45)
    rows = rows_of(task)
    head, families = "ridge", families_named("woven")
    before = {c.family: c for c in compare(loom, rows, families, head)}
    test = folds_of(rows, 3)[0][1]
    from dataclasses import replace

    targets = rows.targets.copy()
    targets[test] += 5.0
    after = {c.family: c for c in compare(loom, replace(rows, targets=targets), families, head)}
    compared = 0
    for name, c in before.items():
        for penalty in set(c.outputs) & set(after[name].outputs):
            first, second = c.outputs[penalty][test], after[name].outputs[penalty][test]
            if first.any() and second.any():  # this fold's walk got as far as this penalty
                np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)
                compared += 1
    assert compared >= len(before)


def test_evidence_prefers_the_lower_loss_and_adds_up(loom, make):
    rows = rows_of(make(n=90))
    candidates = compare(loom, rows, families_named("all"), "logistic")
    chosen = weigh(candidates, rows)
    losses, shares = [c.loss for c, _ in chosen], [share for _, share in chosen]
    assert losses == sorted(losses) and shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("n, sharpness", [(30, 6.0), (90, 18.0), (400, 60.0)])
def test_few_rows_are_little_evidence(make, n, sharpness):
    rows = rows_of(make(n=n))
    assert rows.n == n
    chosen = weigh([Candidate("linear", loss=0.50), Candidate("cells", loss=0.52)], rows)
    assert chosen[0][1] / chosen[1][1] == pytest.approx(np.exp(0.02 * sharpness))


@pytest.mark.parametrize("families", [*GROUPS, *FAMILIES])
def test_every_family_can_be_asked_for(make, families):
    network = fit(make(n=60), families=families)
    asked = set(GROUPS.get(families, (families,)))
    assert {member["family"] for member in network.architecture["members"]} <= asked


@pytest.mark.parametrize("control", ["random", "shuffled"])
def test_controls_are_other_networks_of_the_same_shape(make, control):
    task = make(n=80)
    options: dict = {"families": "woven twice", "budget": Budget(max_bytes=None)}
    plain, other = fit(task, **options), fit(task, control=control, **options)
    assert [(a.earlier, len(a.weight)) for a in plain.weights.layers] == [(a.earlier, len(a.weight)) for a in other.weights.layers]
    assert other.architecture["control"] == control
    assert not np.allclose(plain.predict_proba(task.frame), other.predict_proba(task.frame), atol=1e-3)


def test_the_same_seed_gives_the_same_network_and_another_gives_another(make):
    task = make(n=60)
    first, again, other = (fit(task, seed=seed).predict_proba(task.frame) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


@pytest.mark.parametrize("control", [None, "random", "shuffled"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_network_does_not_depend_on_the_number_of_threads(make, kind, control):
    task = make(kind, n=150)
    alone = fit(task, control=control)
    torch.set_num_threads(2)
    try:
        together = fit(task, control=control)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert alone.architecture == together.architecture and alone.metrics == together.metrics
    for one, other in zip(alone.weights.layers, together.weights.layers, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(alone.weights.readout, together.weights.readout)


@pytest.mark.parametrize("budget", [Budget(max_parameters=1500), Budget(max_bytes=20_000), Budget(max_seconds=0.01)], ids=str)
@KINDS
def test_a_budget_holds(make, kind, budget):
    task = make(kind, n=100)
    network = fit(task, budget=budget)
    assert network.n_parameters <= (budget.max_parameters or np.inf)
    assert network.n_bytes <= (budget.max_bytes or np.inf)
    assert np.isfinite(network.decision_function(task.frame)).all()


def test_an_impossible_budget_is_refused_in_one_line(make):
    with pytest.raises(BudgetError, match="max_parameters"):
        fit(make(n=60, d=9), budget=Budget(max_parameters=4))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"head": "tree"}, "head = 'tree': unknown"),
        ({"families": "forest"}, "families = 'forest': unknown; use all"),
        ({"control": "coin"}, "control = 'coin': unknown"),
    ],
)
def test_unknown_options_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        fit(make(n=30), **options)


@pytest.mark.parametrize("families", ["woven ranked", "woven twice"])
def test_a_family_that_has_nothing_to_read_is_refused(families):
    X = np.random.default_rng(0).integers(0, 2, (40, 2))
    with pytest.raises(ConfigError, match=f"families = '{families}': reads ranks, and no column"):
        fit(Task.from_arrays(X, X[:, 0] == X[:, 1], kind="classification"), families=families)


def test_classes_need_a_head_for_classes(make):
    with pytest.raises(ConfigError, match="use ridge or gaussian"):
        fit(make("regression"), head="logistic")


@pytest.mark.parametrize("n", [2, 3, 5, 7])
@KINDS
def test_a_handful_of_rows(make, kind, n):
    frame = pd.DataFrame({"x": np.arange(n) * 1.0, "z": np.arange(n) % 2})
    y = np.array(["no", "yes"])[np.arange(n) % 2] if kind == "classification" else np.arange(n) * 2.0
    network = fit(Task.from_frame(frame, target=y, kind=kind))
    assert np.isfinite(network.decision_function(frame)).all()


@pytest.mark.parametrize("ranked", [True, False])
def test_where_nothing_can_be_compared_all_families_count_alike(ranked):
    x = np.linspace(-1, 1, 20) if ranked else np.arange(20) % 2
    y = np.repeat([0, 1], [19, 1])  # in no fold could the second class be both learned and judged
    network = fit(Task.from_arrays(np.stack([x, np.arange(20) // 10], axis=1), y, kind="classification"))
    there = [name for name in GROUPS["all"] if ranked or "ranked" not in name]
    members = network.architecture["members"]
    assert [m["family"] for m in members] == there
    np.testing.assert_allclose([m["weight"] for m in members], 1 / len(there), atol=1e-4)
    assert ("rows of all classes but one" if ranked else "5 rows") + " are too few" in network.architecture["why"]


@pytest.mark.parametrize("d", [200, WIDE + 1])
def test_more_columns_than_rows(d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, d))
    y = X[:, 3] > 0
    network = fit(Task.from_arrays(X, y.astype(int)))
    fresh = rng.normal(size=(300, d))
    assert (network.predict(fresh) == (fresh[:, 3] > 0)).mean() > 0.7


def test_a_hundred_classes_some_with_one_row():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.repeat(np.arange(90), 4), np.arange(90, 105)])
    X = np.stack([y + rng.normal(size=len(y)) * 0.2, rng.normal(size=len(y))], axis=1)
    network = fit(Task.from_arrays(X, y, kind="classification"), families="cells")
    assert len(network.classes) == 105
    np.testing.assert_allclose(network.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_several_targets_at_once_are_close_to_each_alone():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    Y = np.stack([np.abs(X[:, 0]), X[:, 1] * 1000 + 5e4], axis=1) + 0.01 * rng.normal(size=(150, 2))
    network = fit(Task.from_arrays(X, Y))
    error = (network.predict(X) - Y).std(axis=0) / Y.std(axis=0)
    assert network.predict(X).shape == (150, 2) and (error < 0.3).all()
    assert network.predict_interval(X).shape == (150, 2, 2)


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_one_huge_value_does_not_rule_the_network(make, value):
    task = make("regression", n=80)
    frame = task.frame.copy()
    frame.iloc[3, 0] = value
    network = fit(Task.from_frame(frame, target=task.y))
    assert np.isfinite(network.predict(frame)).all()


@pytest.mark.filterwarnings("ignore")
def test_a_constant_target_is_predicted_as_it_is():
    frame = pd.DataFrame({"x": np.arange(30.0)})
    network = fit(Task.from_frame(frame, target=np.full(30, 7.5), kind="regression"))
    np.testing.assert_allclose(network.predict(frame), 7.5, rtol=1e-6)


def test_all_inputs_the_same_is_one_row():
    with pytest.raises(DataError, match="all rows are the same"):
        fit(Task.from_frame(pd.DataFrame({"x": [1.0] * 5}), target=np.full(5, 2.0), kind="regression"))


def test_intervals_cover_what_they_promise_on_fresh_rows(make):
    network, fresh = fit(make("regression", n=300)), make("regression", n=1000, seed=1)
    for coverage in (0.5, 0.9):
        low, high = network.predict_interval(fresh.frame, coverage).T
        covered = ((low <= fresh.y[:, 0]) & (fresh.y[:, 0] <= high)).mean()
        assert coverage - 0.08 <= covered <= coverage + 0.13  # errors are those of folds, which know two thirds of the rows


def test_many_rows_are_compared_on_some_and_solved_on_all():
    rng = np.random.default_rng(0)
    n = CHOOSE_ROWS * 2
    X = rng.normal(size=(n, 3))
    y = X[:, 0] + 0.1 * rng.normal(size=n)
    network = fit(Task.from_arrays(X, y), families="linear")
    reference = np.linalg.lstsq(np.c_[X, np.ones(n)], y, rcond=None)[0]  # all rows
    np.testing.assert_allclose(network.predict(X), np.c_[X, np.ones(n)] @ reference, atol=2e-3)
    assert network.metrics["held_out_rows"] == CHOOSE_ROWS


def test_spread_keeps_rare_classes(make):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(5000) < 12, "rare", "usual")
    rows = rows_of(Task.from_arrays(rng.normal(size=(5000, 2)), y))
    index = spread(rows, 500)
    assert len(index) <= 510 and (rows.codes[index] == 0).sum() >= 8


def test_progress_runs_from_nothing_to_done(make):
    said = []
    fit(make(n=60), progress=lambda share, message: said.append((share, message)))
    shares = [share for share, _ in said]
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)


def test_neurons_stay_where_columns_fill_the_file(make):
    """Forty rows and 300 columns: two kinds of views do not fit in the usual file together with their neurons."""
    rng = np.random.default_rng(2)
    X, fresh = rng.normal(size=(40, 300)), rng.normal(size=(300, 300))
    network = fit(Task.from_arrays(X, (X[:, 3] > 0).astype(int)))
    assert (network.predict(fresh) == (fresh[:, 3] > 0)).mean() > 0.85
    assert sum(member["weight"] for member in network.architecture["members"]) == pytest.approx(1, abs=1e-3)
    assert {m["family"] for m in network.architecture["members"]} == {c["family"] for c in network.architecture["compared"] if c["weight"]}
