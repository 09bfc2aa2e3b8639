"""Contributions add up to the outputs exactly, equal Shapley values by their definition, and leave alone what is not read."""

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pytest

from netloom.errors import DataError
from netloom.target.explain.contributions import contributions
from netloom.target.explain.reading import Reading

KINDS = [("regression", 3), ("classification", 2), ("classification", 3)]


@pytest.mark.parametrize("kind, classes", KINDS)
@pytest.mark.parametrize("neurons", [0, 8])
def test_contributions_add_up_to_the_outputs(make_network, kind, classes, neurons):
    network, table = make_network(kind, classes=classes, neurons=neurons)
    explanation = network.explain(table)
    outputs = network.weights.forward(network.schema.encode(table))
    total = explanation.base + explanation.contributions.sum(axis=1)
    np.testing.assert_allclose(total, outputs, rtol=1e-12, atol=1e-12)
    decided = network.decision_function(table)
    np.testing.assert_allclose(total[:, 0] if decided.ndim == 1 else total, decided, rtol=1e-12, atol=1e-12)
    if not neurons:
        np.testing.assert_allclose(explanation.direct, explanation.contributions, rtol=1e-4, atol=1e-4)
        assert explanation.additive > 0.9999 and explanation.pairs == ()


def test_a_reading_is_the_network(make_network):
    network, table = make_network("classification")
    X = network.schema.encode(table)
    reading = Reading(network.schema, network.weights)
    np.testing.assert_allclose(reading.outputs(reading.say(X)), network.weights.forward(X), rtol=1e-4, atol=1e-4)


def test_the_additive_part_is_the_columns_own_values_through_the_readout(make_network):
    network, table = make_network(neurons=0)
    reading = Reading(network.schema, network.weights)
    X = network.schema.encode(table)
    said = reading.say(X).direct
    for j in (0, 3):  # moving one column changes the output by what its own part says, whatever the others are
        other = X.copy()
        own = np.flatnonzero(reading.column_of == j)
        other[:, own] = X[::-1][:, own]
        change = network.weights.forward(other) - network.weights.forward(X)
        np.testing.assert_allclose(change, said[::-1, j] - said[:, j], rtol=1e-3, atol=2e-2)


def shapley_by_definition(value, columns):
    """Sum over all coalitions."""
    C = len(columns)
    found = {}
    for c in columns:
        rest = [other for other in columns if other != c]
        total = 0.0
        for size in range(C):
            weight = factorial(size) * factorial(C - size - 1) / factorial(C)
            for coalition in combinations(rest, size):
                total = total + weight * (value({*coalition, c}) - value(set(coalition)))
        found[c] = total
    return found


def test_contributions_are_shapley_values(make_network):
    """Against every coalition of seven columns, with the network's own forward pass; orders are sampled, so within a few per cent."""
    network, table = make_network()
    reading = Reading(network.schema, network.weights)
    X = network.schema.encode(table)
    row, background = X[7], X[::5]  # 60 rows

    def value(coalition):
        mixed = background.copy()
        own = np.isin(reading.column_of, list(coalition))
        mixed[:, own] = row[own]
        return network.weights.forward(mixed).mean()

    truth = shapley_by_definition(value, list(range(7)))
    explanation = network.explain(table.iloc[[7]], background=table.iloc[::5])
    found = explanation.contributions[0, :, 0]
    assert abs(explanation.base[0] - network.weights.forward(background).mean()) < 1e-2
    error = np.array([found[c] - truth[c] for c in range(7)])
    assert np.sqrt(np.square(error).mean()) < 0.05 * np.std(list(truth.values()))


def test_forwards_and_backwards_is_exact_for_pairs(make_network):
    """Neurons that join no more than two columns: any one order, walked both ways, gives the Shapley values exactly."""
    network, table = make_network()
    reading = Reading(network.schema, network.weights)
    layer = network.weights.layers[0]
    weight = np.zeros_like(layer.weight)
    owner = reading._owners(0)
    rng = np.random.default_rng(1)
    for h in range(weight.shape[1]):
        two = rng.choice(7, 2, replace=False)
        mine = np.isin(owner, two)
        weight[mine, h] = rng.normal(size=mine.sum())
    first = sum(view.width for view in network.weights.views)
    readout = network.weights.readout[: first + layer.width]
    readout[first:] = rng.normal(size=(layer.width, 1))
    weights = replace(network.weights, layers=(replace(layer, weight=weight),), readout=readout)
    reading = Reading(network.schema, weights)
    said = reading.say(network.schema.encode(table))
    rows, one = said.take(np.arange(5)), said.take(np.arange(50, 51))
    found = [contributions(reading, rows, one, seed)[2] for seed in (0, 1)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-9)  # two orders, the same values


def test_a_column_that_is_not_read_gets_nothing(make_network):
    network, table = make_network()
    reading = Reading(network.schema, network.weights)
    silent = [(np.isin(reading._owners(v), [0])) for v in range(2)]
    layers = tuple(replace(a, weight=np.where(silent[a.view][: len(a.weight), None], 0, a.weight)) for a in network.weights.layers)
    readout = network.weights.readout.copy()
    readout[: len(silent[0])][silent[0]] = 0
    readout[len(silent[0]) : 2 * len(silent[0])][silent[1]] = 0
    quiet = replace(network, weights=replace(network.weights, layers=layers, readout=readout))
    explanation = quiet.explain(table.iloc[:20])
    assert np.abs(explanation.contributions[:, 0]).max() < 1e-9 and explanation.shares[0] < 1e-9
    assert all("size" not in (pair.first, pair.second) for pair in explanation.pairs)


def test_explaining_a_row_does_not_depend_on_the_rows_beside_it(make_network):
    network, table = make_network("classification")
    together, alone = network.explain(table.iloc[:5]), network.explain(table.iloc[[3]])
    np.testing.assert_allclose(together.contributions[3], alone.contributions[0], rtol=1e-4, atol=1e-5)


def test_shares_add_up_and_find_what_matters(make_network):
    network, table = make_network()
    explanation = network.explain()
    assert explanation.synthetic and abs(explanation.shares.sum() - 1) < 1e-12
    named = dict(zip(explanation.columns, explanation.shares, strict=True))
    assert min(named["size"], named["grade"]) > max(named["member"], named["day"])


def test_no_rows_and_old_files(make_network):
    network, table = make_network()
    assert network.explain(table.iloc[:0]).contributions.shape == (0, 7, 1)
    old = replace(network, reference=None)
    with pytest.raises(DataError, match="no summary of its training rows"):
        old.explain(table)
    assert old.explain(table.iloc[:3], background=table).contributions.shape == (3, 7, 1)


def test_as_a_table(make_network):
    network, table = make_network("classification")
    lines = network.explain(table.iloc[:4]).to_frame()
    assert len(lines) == 12 and {"row", "output", "prediction", "base", "contribution of size", "unlike"} <= set(lines)
    parts = lines[[name for name in lines if name.startswith("contribution of ")]].sum(axis=1)
    np.testing.assert_allclose(lines["base"] + parts, lines["prediction"])
