"""Shapes are what the network does: against its own forward pass with one column set."""

import numpy as np
import pandas as pd
import pytest

from netloom import Task, fit
from netloom.target.explain.reading import Reading

EXAMPLES = {"size": None, "grade": None, "colour": None, "member": None, "day": None, "age": None}


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_shape_is_the_mean_output_with_the_column_set(make_network, kind):
    network, table = make_network(kind)
    explanation = network.explain(table.iloc[:5], background=table)
    rows = table.iloc[np.linspace(0, len(table) - 1, 64).astype(int)]
    base = network.weights.forward(network.schema.encode(rows)).mean(axis=0)
    shapes = {shape.name: shape for shape in explanation.shapes}
    assert set(shapes) == set(EXAMPLES) | {"weight"}
    for name, g, value in [
        ("size", 7, shapes["size"].values[7]),
        ("colour", 1, shapes["colour"].labels[1]),
        ("member", 1, True),
        ("age", -1, np.nan),
    ]:
        changed = rows.assign(**{name: value})
        moved = network.weights.forward(network.schema.encode(changed)).mean(axis=0) - base
        np.testing.assert_allclose(shapes[name].effect[g], moved, rtol=1e-3, atol=1e-3 * np.abs(base).max())


def test_the_band_is_where_single_rows_go(make_network):
    network, table = make_network()
    (shape,) = [s for s in network.explain(table.iloc[:1], background=table).shapes if s.name == "grade"]
    assert (shape.high > shape.low).all()  # neurons join columns
    alone, _ = make_network(neurons=0)
    (shape,) = [s for s in alone.explain(table.iloc[:1], background=table).shapes if s.name == "grade"]
    np.testing.assert_array_equal(shape.high, shape.low)
    np.testing.assert_array_equal(shape.direct, shape.effect)


def test_values_are_those_of_the_training_rows(make_network):
    network, table = make_network()
    shapes = {shape.name: shape for shape in network.explain().shapes}
    assert shapes["grade"].values.tolist() == [1, 2, 3, 4] and shapes["colour"].labels == ("red", "blue", "green")
    assert shapes["age"].labels[-1] == "(missing)" and abs(shapes["age"].share[-1] - table["age"].isna().mean()) < 0.01
    assert table["size"].min() - 1e-3 <= shapes["size"].values[0] < shapes["size"].values[-1] <= table["size"].max() + 1e-3
    assert shapes["day"].labels[0].startswith("2020-") and shapes["member"].labels == ("false", "true")


def test_pairs_are_exact_differences_and_zero_without_neurons(make_network):
    network, table = make_network()
    explanation = network.explain(table.iloc[:1], background=table.iloc[:64])
    reading, X = Reading(network.schema, network.weights), explanation._X
    order = np.random.default_rng(0).permutation(len(X))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    first = explanation.pairs[0]
    a, b = (explanation.columns.index(name) for name in (first.first, first.second))

    def with_other(*columns):
        mixed = X.copy()
        own = np.isin(reading.column_of, columns)
        mixed[:, own] = X[partner][:, own]
        return network.weights.forward(mixed)

    crossed = with_other(a, b) - with_other(a) - with_other(b) + with_other()
    assert abs(first.strength - np.sqrt(np.square(crossed).mean() / 4)) < 1e-2 * first.strength
    assert make_network(neurons=0)[0].explain().pairs == ()


def test_free_text_rare_levels_and_constants_have_shapes_too(make_network):
    from netloom.loom.views import make_view
    from netloom.target.network import TargetNetwork
    from netloom.target.reference import learn_reference
    from netloom.target.weights import Weights
    from netloom.tasks import Schema

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"text": [f"{i} " + "x" * rng.integers(1, 30) for i in range(200)], "one": 1.0})
    frame["many"] = [f"level {min(int(k), 150)}" for k in rng.exponential(30, 200)]
    frame["gaps"] = np.where(rng.uniform(size=200) < 0.3, np.nan, 4.0)
    schema = Schema.learn(frame)
    X = schema.encode(frame)
    view = make_view(X, np.ones(200))
    readout = rng.normal(size=(view.width, 1)).astype(np.float32)
    weights = Weights((view,), (), readout, np.zeros(1, np.float32), np.zeros(1), np.ones(1))
    network = TargetNetwork(schema, weights, "regression", None, ("y",), reference=learn_reference(schema, X))
    explanation = network.explain(frame)
    shapes = {shape.name: shape for shape in explanation.shapes}
    assert set(shapes) == {"text", "many", "gaps"} and shapes["many"].more > 0
    assert "(rare)" in shapes["many"].labels and shapes["text"].labels[0].endswith("characters")
    assert all(np.isfinite(shape.effect).all() for shape in shapes.values())


def test_levels_in_order_are_shown_in_their_order_and_said_as_predicted():
    rng = np.random.default_rng(0)
    levels = ["<5", "5-9", "10-19", ">=20", "unknown"]
    table = pd.DataFrame({"age": rng.choice(levels, 200, p=[0.1, 0.2, 0.15, 0.25, 0.3]), "x": rng.normal(size=200)})
    y = table["age"].map({level: float(i) for i, level in enumerate(levels)}) + table["x"]
    network = fit(Task.from_frame(table, target=y.to_numpy(), kind="regression"), seed=0, families="cells")
    explanation = network.explain(table.iloc[:1], background=table)
    (shape,) = [s for s in explanation.shapes if s.name == "age"]
    assert shape.labels == tuple(levels)
    np.testing.assert_allclose(shape.share, [(table["age"] == level).mean() for level in levels], atol=2e-3)
    rows = table.iloc[np.linspace(0, 199, 64).astype(int)]
    for g, level in enumerate(levels):
        moved = network.predict(rows.assign(age=level)).mean() - network.predict(rows).mean()
        assert abs(shape.effect[g] - moved) < 1e-3 * y.std()
