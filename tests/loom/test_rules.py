"""Rules: leaves of a forest, written down as two layers of ReLU neurons."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from netloom import Task, fit
from netloom.loom import rules
from netloom.loom.compare import moments
from netloom.loom.families import select
from netloom.loom.pool import weave_pool
from netloom.loom.rows import canonical_rows
from netloom.loom.rules import rule_layers
from netloom.loom.views import make_view
from netloom.target.network import TargetNetwork
from netloom.target.weights import Layer, Weights, is_sparse
from netloom.tasks import Schema


def table(n=200, kind="classification", seed=0, classes=2):
    """Whole numbers, far apart, so that a rule is exactly 0 or 1; a product of two cuts decides."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{j}": rng.integers(0, 12, n) for j in range(4)} | {"flag": rng.integers(0, 2, n)})
    signal = 2.0 * ((frame["x0"] > 5) & (frame["x1"] <= 7)) + frame["flag"] * (frame["x2"] > 3) + 0.1 * rng.normal(size=n)
    if kind == "regression":
        return Task.from_frame(frame, target=signal.to_numpy(), kind=kind)
    y = np.where(signal > 1, "many", "few") if classes == 2 else pd.qcut(signal, classes, labels=[f"c{i}" for i in range(classes)])
    return Task.from_frame(frame, target=y, kind=kind)


def rows_of(task):
    return canonical_rows(Schema.learn(task.frame, named=task.named).encode(task.frame), task)


def activations(layers, view, X):
    """What the last of the layers gives."""
    p = view.width + sum(layer.width for layer in layers)
    weights = Weights((view,), tuple(layers), np.zeros((p, 1), np.float32), np.zeros(1, np.float32), np.zeros(1), np.ones(1))
    return weights.features(X)[:, -layers[-1].width :]


def sets_of_rows(leaves):
    """The rows of each leaf, given in which leaf of every tree (n, trees) a row lies; without a leaf that holds them all."""
    found = {tuple(leaves[:, t] == leaf) for t in range(leaves.shape[1]) for leaf in np.unique(leaves[:, t])}
    return found - {tuple([True] * len(leaves))}


@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 5), ("regression", 0)])
@pytest.mark.parametrize("ranked", [False, True])
def test_neurons_are_the_leaves_that_the_forest_itself_finds(kind, classes, ranked):
    rows = rows_of(table(kind=kind, classes=classes))
    view = make_view(rows.X, rows.weight, ranked=ranked)
    given = activations(rule_layers(rows, view, 0, seed=3), view, rows.X)
    forest = RandomForestClassifier if kind == "classification" else RandomForestRegressor
    order = np.argsort(rows.columns, kind="stable")
    values = view.values(rows.X)[:, order]
    targets = rows.codes if kind == "classification" else rows.targets[:, 0]
    forest = forest(rules.TREES, max_leaf_nodes=8, min_samples_leaf=rules.LEAST_ROWS, max_features=0.5, random_state=3)
    leaves = forest.fit(values, targets, rows.weight).apply(values)  # (n, trees)
    assert {tuple(column > 0.5) for column in given.T} == sets_of_rows(leaves)
    assert np.minimum(given, 1 - given).max() < 1e-3  # slopes are kept in half precision


@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 5), ("regression", 0)])
def test_neurons_are_the_leaves_of_extremely_randomised_trees(kind, classes):
    rows = rows_of(table(kind=kind, classes=classes))
    view = make_view(rows.X, rows.weight)
    given = activations(rule_layers(rows, view, 0, seed=3, part="extra"), view, rows.X)
    options = {"max_leaf_nodes": rules.EXTRA_LEAVES, "min_samples_leaf": rules.EXTRA_LEAST_ROWS, "max_features": 1.0, "random_state": 3}
    values = view.values(rows.X)[:, np.argsort(rows.columns, kind="stable")]
    targets = rows.targets[:, 0] if kind == "regression" else np.eye(classes)[rows.codes] if classes > 2 else rows.codes.astype(float)
    leaves = ExtraTreesRegressor(rules.EXTRA_TREES, **options).fit(values, targets, rows.weight).apply(values)  # (n, trees)
    found = {tuple(column > 0.5) for column in given.T}
    assert found == sets_of_rows(leaves)
    assert np.minimum(given, 1 - given).max() < 1e-3
    if kind == "classification":  # the same trees but for cuts that are equally good: half of Gini's impurity is the variance
        of_classes = sets_of_rows(ExtraTreesClassifier(rules.EXTRA_TREES, **options).fit(values, rows.codes, rows.weight).apply(values))
        assert len(found & of_classes) > 0.9 * len(of_classes)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_neurons_are_the_leaves_that_boosting_finds(kind):
    rows = rows_of(table(kind=kind))
    view = make_view(rows.X, rows.weight)
    given = activations(rule_layers(rows, view, 0, seed=3, part="boosted"), view, rows.X)
    model = GradientBoostingClassifier if kind == "classification" else GradientBoostingRegressor
    steps, rate = (rules.STEPS, rules.RATE) if kind == "classification" else (rules.VALUE_STEPS, rules.VALUE_RATE)
    options = {"n_estimators": steps, "learning_rate": rate, "subsample": rules.SEEN, "max_depth": None, "random_state": 3}
    options |= {"max_leaf_nodes": rules.BOOSTED_LEAVES, "min_samples_leaf": rules.LEAST_ROWS, "max_features": 1 / 3}
    values = view.values(rows.X)[:, np.argsort(rows.columns, kind="stable")]
    targets = np.argsort(np.argsort(rows.outputs))[rows.codes] if kind == "classification" else rows.targets[:, 0]
    leaves = model(**options).fit(values, targets, rows.weight).apply(values).reshape(rows.n, -1)
    assert {tuple(column > 0.5) for column in given.T} == sets_of_rows(leaves)


@pytest.mark.parametrize("part", rules.GROWN)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_trees_do_not_see_the_order_of_classes(classes, part):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(150, 3)), columns=list("abc"))
    codes = np.digitize(frame["a"] + (frame["b"] > 0), np.linspace(-1, 1.5, classes - 1))
    again = np.r_[np.arange(150), np.arange(40), np.arange(15)]  # weights are then no whole numbers, and sums round
    frame, codes = frame.iloc[again], codes[again]
    found = []
    for names in (list("pqrst"), list("tsrqp")):
        rows = rows_of(Task.from_frame(frame, target=np.array(names)[codes], kind="classification"))
        view = make_view(rows.X, rows.weight)
        found.append({tuple(c > 0.5) for c in activations(rule_layers(rows, view, 0, seed=1, part=part), view, rows.X).T})
    assert found[0] == found[1]


def test_between_training_values_a_rule_is_a_ramp():
    task = Task.from_frame(pd.DataFrame({"x": [0.0, 0, 0, 0, 10, 10, 10, 10]}), target=np.array(list("aaaabbbb")), kind="classification")
    rows = rows_of(task)
    rows = rows.take(np.repeat(np.arange(rows.n), 4))  # equal rows were merged
    view = make_view(rows.X, rows.weight)
    given = activations(rule_layers(rows, view, 0, seed=0), view, np.array([[-5.0], [0], [2.5], [5], [7.5], [10], [20]]))
    low = given[:, given[0] == 1][:, 0]
    np.testing.assert_allclose(low, [1, 1, 0.75, 0.5, 0.25, 0, 0], atol=1e-3)


def test_the_order_of_columns_does_not_matter():
    task = table()
    shuffled = Task.from_frame(task.frame[["flag", "x3", "x1", "x0", "x2"]], target=task.classes[task.y], kind="classification")
    first, second = fit(task, families="cells + rules"), fit(shuffled, families="cells + rules")
    np.testing.assert_allclose(first.predict_proba(task.frame), second.predict_proba(shuffled.frame), atol=1e-5)


def test_classes_of_one_or_two_rows_are_no_reason_to_warn():
    rows = rows_of(Task.from_frame(pd.DataFrame({"x": np.arange(60.0)}), target=[f"c{i % 40}" for i in range(60)], kind="classification"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part in rules.GROWN:
            rule_layers(rows, make_view(rows.X, rows.weight), 0, seed=0, part=part)


def test_where_nothing_can_be_cut_there_are_no_rules(loom):
    task = Task.from_frame(pd.DataFrame({"x": [0.0, 1, 2, 3]}), target=np.array(list("abab")), kind="classification")
    rows = rows_of(task)
    assert rule_layers(rows, make_view(rows.X, rows.weight), 0, seed=0) is None
    pool = weave_pool(loom, rows, parts={"cells", "rules", "woven"})
    assert "rules" not in pool.parts
    mean, deviation = moments([pool.weights.features(rows.X)], rows.weight)
    with_rules, without = (select(pool, parts, mean, deviation) for parts in (("woven", "rules"), ("woven",)))
    assert with_rules is not None and without is not None
    np.testing.assert_array_equal(with_rules.index, without.index)  # the family is there, as it is without them


def test_rules_find_what_a_linear_model_cannot_and_are_kept_in_few_bytes(tmp_path):
    task, fresh = table(600), table(600, seed=1)
    network = fit(task, families="cells + rules")
    linear = fit(task, families="linear")
    right = [(model.predict(fresh.frame) == fresh.classes[fresh.y]).mean() for model in (network, linear)]
    assert right[0] > right[1] + 0.08
    cuts, leaves = network.weights.layers[-2:]
    assert is_sparse(cuts.weight) and is_sparse(leaves.onto)
    dense = 2 * (cuts.weight.size + leaves.onto.size)
    assert network.n_bytes < dense
    network.save(tmp_path / "m.netloom")
    again = TargetNetwork.load(tmp_path / "m.netloom")
    np.testing.assert_array_equal(again.predict_proba(fresh.frame), network.predict_proba(fresh.frame))
    rows = [list(row) for row in fresh.frame.head(50).itertuples(index=False)]
    np.testing.assert_allclose([again.predict_row(row) for row in rows], network.predict_proba(fresh.frame.head(50)), atol=1e-6)


@pytest.mark.parametrize("cuts, gathers", [(400, True), (40, False)])
def test_rules_that_gather_their_cuts_are_the_same_product(cuts, gathers):
    rng = np.random.default_rng(0)
    view = make_view(rng.normal(size=(60, 4)), np.ones(60), cells=False)
    onto = np.zeros((cuts, 70), np.float32)
    for j in range(70):
        count = rng.integers(0, 6)  # a rule without cuts too
        onto[rng.choice(cuts, count, replace=False), j] = rng.normal(size=count)
    first = Layer(0, rng.normal(size=(4, cuts)).astype(np.float32), rng.normal(size=cuts).astype(np.float32))
    second = Layer(0, np.zeros((4, 70), np.float32), rng.normal(size=70).astype(np.float32), (0,), onto)
    assert second.is_rules and (second.gathered_onto is not None) == gathers
    X = rng.normal(size=(33, 4))
    hidden = np.maximum(view.values(X).astype(np.float64) @ first.weight + first.bias, 0)
    expected = np.maximum(hidden @ onto + second.bias, 0)
    np.testing.assert_allclose(activations((first, second), view, X), expected, rtol=1e-5, atol=1e-5)
    assert activations((first, second), view, X[:0]).shape == (0, 70)
    if gathers:
        places, numbers = second.gathered_onto
        again = np.zeros_like(onto.T)
        np.add.at(again, (np.arange(70)[:, None], places), numbers)
        np.testing.assert_array_equal(again, onto.T)
