"""The woven network in plain numpy: its forward pass by the definition, one row as all rows, pruning, intervals, what it says of itself."""

from dataclasses import replace

import numpy as np
import pytest

from netloom import Budget
from netloom.errors import BudgetError, ConfigError
from netloom.target import row
from netloom.target.budget import default_budget
from netloom.target.cells import K, cell_features, cell_positions, step_thresholds
from netloom.target.prune import bytes_of, keep_neurons, tidy
from netloom.target.row import RowPlan
from netloom.target.weights import Layer, View, Weights


def view(d=4, seed=0, ranked=False, cells=True, columns=None):
    rng = np.random.default_rng(seed)
    columns = np.arange(d) if columns is None else columns
    k = len(columns)
    many = np.arange(k - 1)  # the last one has two values
    thresholds = np.sort(rng.normal(size=(k - 1, 4)), axis=1).astype(np.float32)
    knots = np.sort(rng.normal(size=(k - 1, 6)), axis=1) if ranked else None
    heights = np.sort(rng.normal(size=(k - 1, 6)), axis=1) if ranked else None
    return View(columns, rng.normal(size=k), rng.uniform(0.5, 2, k), many, thresholds, knots, heights, cells)


def network(outputs=2, seed=0):
    """Three views (cells, ranked, values of some columns), four layers, two of them onto earlier ones."""
    rng = np.random.default_rng(seed)
    views = (view(), view(seed=1, ranked=True), view(seed=2, cells=False, columns=np.array([2, 0])))

    def layer(v, p, H, earlier=(), before=0):
        onto = rng.normal(size=(before, H)).astype(np.float32) if earlier else None
        return Layer(v, rng.normal(size=(p, H)).astype(np.float32), rng.normal(size=H).astype(np.float32), earlier, onto)

    layers = (layer(0, 4, 3), layer(0, views[0].width, 5), layer(1, views[1].width, 4, (1,), 5), layer(0, views[0].width, 2, (0, 1), 8))
    p = sum(v.width for v in views) + 14
    readout, intercept = rng.normal(size=(p, outputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32)
    return Weights(views, layers, readout, intercept, rng.normal(size=outputs), rng.uniform(1, 3, outputs))


def by_definition(w, x):
    """Outputs for one row, in float64, value by value."""
    seen = []
    for v in w.views:
        z = (x[v.columns] - v.centre) / v.scale
        if v.knots is not None:
            for i, j in enumerate(v.many):
                z[j] = np.interp(z[j], v.knots[i], v.heights[i])
        z = np.clip(z, -6, 6)
        parts = list(z)
        if v.cells:
            many = z[v.many]
            parts += [*np.tanh(2 * many), *np.cos(2 * many), *(0.5 * np.clip(many**2 - 1, -3, 6))]
            parts += [2 / (1 + np.exp(-6 * (value - t))) - 1 for value, own in zip(many, v.thresholds, strict=True) for t in own]
        seen.append(np.array(parts))
    hidden = []
    for layer in w.layers:
        a = seen[layer.view][: len(layer.weight)] @ layer.weight + layer.bias
        if layer.onto is not None:
            a = a + np.concatenate([hidden[e] for e in layer.earlier]) @ layer.onto
        hidden.append(np.maximum(a, 0))
    return (np.concatenate(seen + hidden) @ w.readout + w.intercept) * w.scale + w.centre


@pytest.mark.parametrize("outputs", [1, 3])
def test_forward_is_the_definition(outputs):
    w, X = network(outputs), np.random.default_rng(9).normal(size=(20, 4)) * 3
    np.testing.assert_allclose(w.forward(X), [by_definition(w, x) for x in X], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("worth", [0, row.WORTH_A_CALL, 10**9], ids=["gathered", "as it is", "one product"])
@pytest.mark.parametrize("each", [-1, 0.5], ids=["rules as made", "rules as refined"])
def test_a_row_alone_is_the_row_among_others(monkeypatch, worth, each):
    """Also where cuts, which read one value, and neurons that read values only have products of their own."""
    monkeypatch.setattr(row, "WORTH_A_CALL", worth)
    w, X = network(), np.random.default_rng(9).normal(size=(20, 4)) * 3
    cuts = np.zeros((4, 30), np.float32)
    cuts[np.arange(30) % 4, np.arange(30)] = np.linspace(-3, 3, 30)
    onto = each * (np.eye(30, 12) + np.eye(30, 12, -15)).astype(np.float32)
    onto[3, 0] = each  # one that reads more cuts than the others
    rules = Layer(0, np.zeros((4, 12), np.float32), np.ones(12, np.float32), (4,), onto)
    w = replace(w, layers=(*w.layers, Layer(0, cuts, np.linspace(-1, 1, 30).astype(np.float32)), rules))
    w = replace(w, readout=np.random.default_rng(1).normal(size=(sum(w.widths), 2)).astype(np.float32))
    plan = RowPlan(w)
    assert (len(plan.cut), len(plan.from_values), plan.whole) == (30, 3 if worth == 0 else 0, worth > 0)
    assert plan.minus == (each == -1)
    np.testing.assert_allclose([plan(x) for x in X], w.forward(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("knots, heights", [(1, 1), (1e9, 1), (1, 9)], ids=["usual", "far knots", "high heights"])
def test_a_row_alone_is_ranked_as_among_others(knots, heights):
    """On knots, between them, far beyond; with knots too far from each other for one search; with ranks beyond where values are cut."""
    w = network()
    ranked = w.views[1]
    w = replace(w, views=(w.views[0], replace(ranked, knots=knots * ranked.knots, heights=heights * ranked.heights), w.views[2]))
    X = np.zeros((10, 4))
    X[:, :3] = (w.views[1].knots.T[[0, 0, 1, 2, 3, 4, 5, 5, 0, 5]] + [[-1e-3], *[[0.0]] * 6, [1e-3], [-1e12], [1e12]]) * ranked.scale[:3]
    X[:, :3] += ranked.centre[:3]
    plan = RowPlan(w)
    assert plan.steady == (knots == 1) and plan.tame == (heights == 1)
    np.testing.assert_allclose([plan(x) for x in X], w.forward(X), rtol=1e-4, atol=1e-4)


def test_chunks_of_rows_change_nothing():
    w, X = network(), np.random.default_rng(9).normal(size=(9000, 4))
    whole = w.forward(X)
    np.testing.assert_allclose(whole[4090:4100], w.forward(X[4090:4100]), rtol=1e-4, atol=1e-4)
    assert w.forward(X[:0]).shape == (0, 2)


def test_tidy_drops_only_what_nothing_reads():
    w, X = network(), np.random.default_rng(9).normal(size=(50, 4))
    readout = w.readout.copy()
    first = sum(v.width for v in w.views)
    readout[first - 2 : first] = 0  # nothing reads the last view, nor the first layer but the last layer
    readout[first : first + 3] = 0
    readout[w.views[0].width : w.views[0].width + w.views[1].width] = 0  # only a layer reads the ranked view
    w = replace(w, readout=readout)
    small = tidy(w)
    assert len(small.views) == 2 and small.n_parameters < w.n_parameters
    np.testing.assert_allclose(small.forward(X), w.forward(X), rtol=1e-5, atol=1e-5)


def test_pruned_neurons_leave_their_mean_behind():
    """A neuron that gives the same for every row can go without a trace."""
    w, X = network(), np.random.default_rng(9).normal(size=(50, 4))
    bias = w.layers[1].bias.copy()
    bias[2] = 1e4
    weight = w.layers[1].weight.copy()
    weight[:, 2] = 0
    layers = list(w.layers)
    layers[1] = replace(layers[1], weight=weight, bias=bias)
    first, kept = sum(v.width for v in w.views), np.ones(14, dtype=bool)
    readout = w.readout.copy()
    readout[first + 5] = 0  # read by later layers only
    w = replace(w, layers=tuple(layers), readout=readout)
    kept[5] = False
    F = w.features(X)
    smaller = keep_neurons(w, kept, F.mean(axis=0))
    np.testing.assert_allclose(smaller.forward(X), w.forward(X), rtol=1e-3, atol=1e-1)
    assert sum(a.width for a in smaller.layers) == 13


def test_cells_follow_their_layout():
    """Cells of a column sit at its K places of the loom's layout; a two-valued column has one."""
    z = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    many = np.array([0, 2])
    place = cell_positions(many, 3)
    F = cell_features(z, many, step_thresholds(z[:, many]))
    assert F.shape[1] == len(place) == 3 + 7 * 2 and len(set(place)) == len(place)
    assert sorted(place[np.array(place) // K == 1]) == [K]
    for j in range(3):
        np.testing.assert_array_equal(F[:, list(place).index(j * K)], z[:, j])
    for j in many:
        np.testing.assert_allclose(F[:, list(place).index(j * K + 1)], np.tanh(2 * z[:, j]), rtol=1e-5)


def test_step_thresholds_count_weights_as_repeated_rows():
    z = np.random.default_rng(0).normal(size=(40, 2))
    weight = np.random.default_rng(1).integers(1, 5, 40)
    np.testing.assert_allclose(
        step_thresholds(z, weight.astype(float)), step_thresholds(np.repeat(z, weight, axis=0), np.ones(weight.sum())), atol=1e-6
    )


@pytest.mark.parametrize("name", ["max_parameters", "max_bytes", "max_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_impossible_budgets_are_refused(name, value):
    with pytest.raises(BudgetError, match=f"budget {name} = .*must be above 0"):
        Budget(**{name: value})


def test_the_default_budget_grows_with_a_long_description():
    assert default_budget(500).max_bytes == 96_000
    assert default_budget(50_000).max_bytes > 100_000


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_planned_bytes_are_those_of_the_file_or_a_little_more(kind):
    from netloom import Task, fit
    from netloom.target.store import described_bytes

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80) if kind == "classification" else rng.normal(size=80)
    net = fit(Task.from_arrays(rng.normal(size=(80, 5)), y))
    known = {"schema": net.schema.to_json(), "metrics": net.metrics, "provenance": net.provenance}
    rest = {name: part for name, part in net.architecture.items() if name not in ("layers", "views")}
    planned = bytes_of(net.weights) + described_bytes(known | {"architecture": rest})
    assert 0 <= planned - net.n_bytes < 2500


def test_questions_for_the_other_kind_are_refused():
    from netloom import Task, fit

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    values, classes = fit(Task.from_arrays(X, y), families="linear"), fit(Task.from_arrays(X, y > 0), families="linear")
    with pytest.raises(ConfigError, match="predicts values, not classes"):
        values.predict_proba(X)
    with pytest.raises(ConfigError, match="predicts classes"):
        classes.predict_interval(X)
    with pytest.raises(ConfigError, match="coverage = 1.5"):
        values.predict_interval(X, coverage=1.5)
    for net in (values, classes):
        assert "size" in net.summary() and "held out" in net.summary()
