"""Levels of a category in a line: what one cut of a tree parts."""

import numpy as np
import pandas as pd
import pytest

from netloom import Task, fit
from netloom.loom.levels import FEWEST, lines_of
from netloom.loom.rows import canonical_rows
from netloom.loom.rules import GROWN, rule_layers
from netloom.loom.views import make_view
from netloom.target.weights import Weights
from netloom.tasks import Schema

AGES = ["5-9", "<5", "10-14", ">=15", "unknown"]


def table(n=400, kind="classification", classes=2, seed=0):
    """Four of ten levels matter, ages from 10 on matter; some values are missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"city": rng.choice(list("abcdefghij"), n), "age": rng.choice(AGES, n), "x": rng.normal(size=n)})
    signal = frame["city"].isin(list("bdgh")) * 1.0 + frame["age"].isin(["10-14", ">=15"]) + 0.2 * frame["x"] + 0.1 * rng.normal(size=n)
    frame.loc[: n // 20, "city"] = None
    if kind == "regression":
        return Task.from_frame(frame, target=signal.to_numpy(), kind=kind)
    return Task.from_frame(frame, target=pd.qcut(signal, classes, labels=list("pqrs")[:classes]).astype(str), kind=kind)


def rows_of(task, schema=None):
    schema = schema or Schema.learn(task.frame, named=task.named)
    return canonical_rows(schema.encode(task.frame), task, schema.levels)


def activations(layers, view, X):
    """Of the cuts and of the rules."""
    p = view.width + sum(layer.width for layer in layers)
    weights = Weights((view,), tuple(layers), np.zeros((p, 1), np.float32), np.zeros(1, np.float32), np.zeros(1), np.ones(1))
    return np.split(weights.features(X)[:, view.width :], [layers[0].width], axis=1)


def test_the_schema_says_which_features_are_levels_of_one_category():
    task = table()
    schema = Schema.learn(task.frame)
    labels = np.array([feature.label for feature in schema.features])
    found = {tuple(sorted(labels[features])): said for features, said in schema.levels}
    city, age = tuple(f"city={c}" for c in "abcdefghij"), tuple(sorted(f"age={age}" for age in AGES))
    assert set(found) == {city, age}
    assert sorted(found[city]) == list(range(10))
    assert found[age] is None  # a feature of its own has that order


@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 4), ("regression", 0)])
def test_a_line_by_target_follows_the_means_of_levels(kind, classes):
    rows = rows_of(table(kind=kind, classes=classes))
    view = make_view(rows.X, rows.weight)
    values = view.values(rows.X)
    lines = lines_of(rows, view, values)
    assert len(lines) == 3
    targets = rows.targets if classes > 2 else rows.targets[:, -1:]
    usual = sum(w * t for w, t in zip(rows.weight, targets, strict=True)) / rows.weight.sum()
    for line in (line for line in lines if not (np.diff(np.sort(line.places)) == 1).all()):
        on = rows.X[:, view.columns[line.at]] > 0.5
        means, mass = [], []
        for level in [*on.T, ~on.any(axis=1)]:  # held back by one row at the mean of all
            mass.append(rows.weight[level].sum())
            means.append(
                sum((w * (t - usual) for w, t in zip(rows.weight[level], targets[level], strict=True)), usual * 0) / (mass[-1] + 1)
            )
        means, mass = np.array(means), np.array(mass)
        direction = np.linalg.eigh((means.T * mass) @ means)[1][:, -1]
        expected = means @ direction
        given = np.append(line.places, line.rest)
        assert np.allclose(given, expected * np.sign(given @ expected), atol=1e-8)
        assert (line.values == np.where(on.any(axis=1), on @ line.places, line.rest)).all()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("rest", [-1.0, 1.5, 9.0])
def test_a_cut_is_one_or_nothing_for_every_level(side, rest):
    rows = rows_of(table())
    view = make_view(rows.X, rows.weight)
    values = view.values(rows.X)
    line = lines_of(rows, view, values)[0]
    line = type(line)(line.at, line.low, line.high, line.places, rest, line.key, line.values)
    for threshold in [0.0, 1.0, 4.0, 10.0]:
        slope, bias = line.cut(threshold, side)
        given = np.maximum(values[:, line.at] @ slope + bias, 0)
        on = rows.X[:, view.columns[line.at]] > 0.5
        place = np.where(on.any(axis=1), on @ line.places, rest)
        expected = (place >= threshold) == (side > 0)
        assert np.allclose(given[~expected], 0, atol=1e-6)
        assert (np.abs(given[expected] - 1) < 2e-3).all()
        assert (given[expected] >= 1 - 1e-6).all()  # what a rule subtracts leaves nothing of it


@pytest.mark.parametrize("part", GROWN)
@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 4), ("regression", 0)])
def test_rules_of_several_levels_are_one_or_nothing_whatever_the_level(kind, classes, part):
    task = table(kind=kind, classes=classes)
    schema = Schema.learn(task.frame)
    rows = rows_of(task, schema)
    view = make_view(rows.X, rows.weight)
    layers = rule_layers(rows, view, 0, seed=1, part=part)
    several = np.count_nonzero(layers[0].weight, axis=0) > 1
    assert several.sum() >= 5
    x = task.frame["x"].to_numpy()[:8].mean()
    strange = pd.DataFrame({"city": ["b", "z", None], "age": ["5-9", "77", None], "x": [x, x, x]})
    cuts, rules = activations(layers, view, np.concatenate([rows.X, schema.encode(strange)]))
    assert np.minimum(np.abs(cuts[:, several]), np.abs(cuts[:, several] - 1)).max() < 2e-3
    of_levels = (layers[1].onto[~several] == 0).all(axis=0)  # rules that read nothing else
    assert of_levels.any() or part != "rules"
    assert np.minimum(np.abs(rules[:, of_levels]), np.abs(rules[:, of_levels] - 1)).max(initial=0) < 2e-3


@pytest.mark.parametrize("part", GROWN)
@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 4), ("regression", 0)])
def test_trees_do_not_see_the_order_of_columns_rows_and_classes(kind, classes, part):
    task = table(kind=kind, classes=classes)
    rows = rows_of(task)
    frame = task.frame.iloc[::-1, ::-1]
    y = task.y[::-1] if kind == "regression" else np.array(list("srqp"))[task.y[::-1]]
    again = rows_of(Task.from_frame(frame, target=y, kind=kind))
    found = []
    for some in (rows, again):
        view = make_view(some.X, some.weight)
        found.append({tuple(c > 0.5) for c in activations(rule_layers(some, view, 0, seed=1, part=part), view, some.X)[1].T})
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_an_order_that_is_chance_is_no_line(kind):
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"a": rng.choice(list("pqrstuvwxyz"), 200), "b": rng.normal(size=200)})
        y = rng.choice(list("klm"), 200) if kind == "classification" else rng.normal(size=200)
        rows = rows_of(Task.from_frame(frame, target=y, kind=kind))
        view = make_view(rows.X, rows.weight)
        lines = lines_of(rows, view, view.values(rows.X))
        assert (np.sort(lines[-1].places) == np.arange(11)).all()  # that of what they say
        found += len(lines) - 1
    assert found <= 3  # of an F ratio of ten means: 2 is exceeded with a chance of 4 %


def test_few_levels_make_no_line():
    frame = pd.DataFrame({"a": list("pq") * 20 + [None] * 10, "b": np.arange(50.0)})
    rows = rows_of(Task.from_frame(frame, target=np.arange(50) % 3 * 1.0, kind="regression"))
    view = make_view(rows.X, rows.weight)
    assert FEWEST == 3
    assert lines_of(rows, view, view.values(rows.X)) == []


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_network_of_many_levels_says_the_same_by_row_and_by_table(kind):
    task = table(kind=kind, n=250)
    network = fit(task, seed=0, families="cells + rules")
    frame = pd.concat([task.frame, pd.DataFrame({"city": ["z", None], "age": ["77", None], "x": [0.0, 1.0]})], ignore_index=True)
    whole = network.predict_proba(frame) if kind == "classification" else network.predict(frame)
    assert any(layer.onto is None and np.count_nonzero(layer.weight, axis=0).max(initial=0) > 1 for layer in network.weights.layers)
    for i in [0, 7, 250, 251]:
        one = network.predict_row(frame.iloc[i].to_dict())
        assert np.allclose(one, whole[i], atol=1e-5)
