"""Networks of families that no fold has compared."""

import numpy as np
import pytest

import netloom
from netloom import TargetNetwork, Task, fit
from netloom.errors import ConfigError
from netloom.loom.alike import PENALTIES, QUICK, STEP, alike
from netloom.loom.assemble import Member, merge, solved_alone
from netloom.loom.compare import moments
from netloom.loom.families import FAMILIES, families_named, select
from netloom.loom.pool import weave_pool
from netloom.loom.rows import canonical_rows
from netloom.loom.single import BLOCKS
from netloom.refine import Steps
from netloom.tasks import Schema

KINDS = pytest.mark.parametrize("kind", ["classification", "regression"])


def rows_of(task):
    schema = Schema.learn(task.frame)
    return canonical_rows(schema.encode(task.frame), task, schema.levels)


@KINDS
def test_a_quick_network_is_the_mean_of_its_families(loom, make, kind):
    task = make(kind=kind, n=150)
    network = fit(task, quick=True)
    members = network.architecture["members"]
    assert [m["family"] for m in members] == list(QUICK)
    np.testing.assert_allclose([m["weight"] for m in members], 1 / len(members), atol=1e-4)
    rows = rows_of(task)
    parts = {part for name in QUICK for part in FAMILIES[name]}
    pool = weave_pool(loom, rows, parts=parts, blocks=BLOCKS[kind])
    chosen = [Member(m["family"], FAMILIES[m["family"]], m["penalty"], 1 / len(members)) for m in members]
    head = network.architecture["head"]
    outputs = merge(pool, chosen, solved_alone(pool, rows, chosen, head)).forward(rows.X)
    given = network.weights.forward(rows.X)
    np.testing.assert_allclose(given, outputs, atol=0.02 * outputs.std())


def test_the_penalty_of_fixed_features_is_that_of_refitting_without_each_row(loom, make):
    rows = rows_of(make(kind="regression", n=40))
    families = {"random": FAMILIES["random"]}
    pool = weave_pool(loom, rows, parts={"values", "random"})
    (member,), left_out = alike(pool, rows, families, "ridge")
    features = pool.weights.features(rows.X)
    mean, deviation = moments([features], rows.weight)
    F, y = select(pool, member.parts, mean, deviation).of(features), rows.targets
    by_hand = {}
    for penalty in PENALTIES["ridge"]:
        given = np.empty_like(y)
        for i in range(rows.n):
            kept = np.delete(np.arange(rows.n), i)
            A, w = F[kept], rows.weight[kept]
            A0, y0 = np.average(A, axis=0, weights=w), np.average(y[kept], axis=0, weights=w)
            solved = np.linalg.solve((A - A0).T * w @ (A - A0) + penalty * np.eye(A.shape[1]), (A - A0).T * w @ (y[kept] - y0))
            given[i] = (F[i] - A0) @ solved + y0
        by_hand[penalty] = given
    losses = [np.average(np.square(given - y)[:, 0], weights=rows.weight) for given in by_hand.values()]
    rises = [k for k in range(1, len(losses)) if losses[k] >= losses[k - 1]]
    assert member.penalty == PENALTIES["ridge"][rises[0] - 1 if rises else -1]
    np.testing.assert_allclose(left_out, by_hand[member.penalty], atol=2e-4)


@pytest.mark.parametrize("group", ["all", "woven", "untrained"])
def test_what_has_seen_the_labels_is_held_back_more_than_what_has_not(loom, make, group):
    rows = rows_of(make(n=120))
    families = families_named(group)
    pool = weave_pool(loom, rows, parts={part for parts in families.values() for part in parts})
    members, left_out = alike(pool, rows, families, "logistic")
    assert left_out.shape == (rows.n, 3)
    place = {m.family: PENALTIES["logistic"].index(m.penalty) for m in members}
    seen = {name for name, parts in families.items() if any(p in ("rules", "extra", "boosted") or p.startswith("woven") for p in parts)}
    fixed = [place[name] for name in families if name not in seen]
    if not fixed:  # the cells, which no family of the group reads alone, are asked instead
        (probe,), _ = alike(pool, rows, {"cells": FAMILIES["cells"]}, "logistic")
        fixed = [PENALTIES["logistic"].index(probe.penalty)]
    assert {place[name] for name in seen} == {max(int(np.median(fixed)) - STEP, 0)}


@KINDS
def test_quick_learns_what_a_linear_model_cannot(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = np.abs(X[:, 0]) + np.abs(X[:, 1]) + 0.1 * rng.normal(size=600)
    y = y > np.median(y) if kind == "classification" else y
    task = Task.from_arrays(X[:300], y[:300], kind=kind)
    quick, linear = fit(task, quick=True), fit(task, families="linear")
    wrong = [np.mean(np.abs(model.predict(X[300:]).astype(float) - y[300:])) for model in (quick, linear)]
    assert wrong[0] < 0.4 * wrong[1]
    assert quick.metrics == {}  # nothing was held out


def test_quick_values_have_intervals(make):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(900, 3))
    y = X[:, 0] + 0.5 * rng.normal(size=900)
    network = fit(Task.from_arrays(X[:400], y[:400]), quick=True)
    low, high = network.predict_interval(X[400:], coverage=0.9)[:, :2].T
    assert 0.84 < np.mean((low <= y[400:]) & (y[400:] <= high)) < 0.96
    few = fit(Task.from_arrays(X[:15], y[:15], kind="regression"), quick=True)
    assert "interval_quantiles" not in few.weights.extra


@KINDS
def test_quick_is_refined_as_it_was_woven(make, kind, tmp_path):
    network = fit(make(kind=kind, n=120), quick=True)
    assert network.architecture["blocks"] == BLOCKS[kind]
    network.save(tmp_path / "quick.netloom")
    done = netloom.refine(TargetNetwork.load(tmp_path / "quick.netloom"), make(kind=kind, n=120), until=Steps(2), folds=2)
    assert done.weights.layers


def test_families_can_be_asked_for_quickly(make):
    network = fit(make(n=80), quick=True, families="cells")
    assert [m["family"] for m in network.architecture["members"]] == ["cells"]
    assert "without folds" in network.architecture["why"]


@pytest.mark.parametrize("quick", ["no", None, 2])
def test_quick_is_true_or_false(make, quick):
    with pytest.raises(ConfigError, match="must be True or False"):
        fit(make(n=30), quick=quick)


def test_two_rows_of_a_class_among_many():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 4)), np.repeat([1, 0], [2, 19_998])
    chances = fit(Task.from_arrays(X, y, kind="classification"), quick=True).predict_proba(X)
    assert np.isfinite(chances).all() and chances[:2, 1].min() > 100 * chances[2:, 1].mean()
