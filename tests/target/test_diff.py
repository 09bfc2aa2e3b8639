"""Two networks compared: what differs is named, what does not is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netloom import Loom
from netloom.errors import DataError
from netloom.target.diff import difference
from netloom.target.synthetic import synthetic_frame
from netloom.tasks import Task


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(10, 3, n).round(2),
            "whole": rng.integers(0, 5, n),
            "colour": rng.choice(["red", "blue", "green", None], n),
            "flag": rng.random(n) < 0.3,
            "pair": rng.choice(["x", "y"], n),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D"),
        }
    )
    frame.loc[frame.index % 9 == 0, "number"] = np.nan
    return frame.assign(y=rng.normal(size=n) + frame["number"].fillna(10), z=np.where(frame["whole"] > 2, "big", "small"))


@pytest.fixture(scope="module", params=["y", "z"])
def network(request):
    frame = table()
    return Loom.pretrained().weave(Task.from_frame(frame.drop(columns="z" if request.param == "y" else "y"), target=request.param))


def test_a_network_does_not_differ_from_itself(network):
    for rows in (None, table(30, 1)):
        found = difference(network, network, rows)
        assert found.architecture == () and found.same_neurons and found.examples == ()
        assert found.behaviour["moved"] == 0 and all(a == b for _, a, b in found.columns)
    assert found.scores["gain"] == 0 and found.source == "given" and found.rows == 30


def test_another_readout_shows_in_behaviour_and_scores(network):
    w = network.weights
    silent = replace(w, readout=0 * w.readout)
    other = replace(network, weights=silent, provenance=network.provenance | {"version": 2})
    found = difference(network, other, table(50, 1))
    assert found.same_neurons and ("version", 1, 2) in found.architecture
    assert found.behaviour["moved"] > 0 and found.scores["new"] > found.scores["old"] and len(found.examples) == 5
    assert all(new == 0 for _, _, new in found.columns) and found.columns[0][1] > 0  # it listens to nothing any more
    if network.classes is not None:
        said = [n.predict_proba(table(50, 1)) for n in (network, other)]
        assert found.behaviour["agree"] == pytest.approx((said[0].argmax(1) == said[1].argmax(1)).mean())
        assert found.behaviour["moved"] == pytest.approx(0.5 * np.abs(said[0] - said[1]).sum(1).mean())
    else:
        truth = table(50, 1)["y"].to_numpy()
        assert found.scores["old"] == pytest.approx(np.mean(((network.predict(table(50, 1)) - truth) / w.scale[0]) ** 2))


def test_the_column_that_matters_is_named(network):
    name = "number" if network.classes is None else "whole"
    w = network.weights
    other = replace(network, weights=replace(w, readout=0 * w.readout))
    assert difference(network, other, table(200, 2)).columns[0][0] == name
    assert difference(network, other).columns[0][0] == name


def test_networks_of_two_tasks_are_refused():
    frame = table()
    one = Loom.pretrained().weave(Task.from_frame(frame[["number", "y"]], target="y"))
    two = Loom.pretrained().weave(Task.from_frame(frame[["whole", "z"]], target="z"))
    with pytest.raises(DataError, match="the networks predict y .regression. and z .classification."):
        difference(one, two)
    with pytest.raises(DataError, match="the table is empty"):
        difference(one, one, frame.iloc[:0])


def test_networks_may_read_other_columns():
    frame = table()
    one = Loom.pretrained().weave(Task.from_frame(frame[["number", "y"]], target="y"))
    two = Loom.pretrained().weave(Task.from_frame(frame[["number", "whole", "y"]], target="y"))
    found = difference(one, two)
    assert {"columns", "features"} <= {name for name, _, _ in found.architecture} and not found.same_neurons
    assert found.to_dict()["rows"] == 1000


def test_synthetic_rows_look_like_the_ones_that_were_learned(network):
    frame, real = synthetic_frame(network, 2000, seed=1), table(2000, 3)
    assert frame.shape == (2000, 6) and network.predict(frame).shape == (2000,)
    if network.schema.columns[0].kind == "number":
        assert frame["number"].mean() == pytest.approx(real["number"].mean(), abs=1.5)
        assert 0.02 < frame["number"].isna().mean() < 0.25
    assert set(frame["colour"].dropna()) == {"red", "blue", "green"} and frame["colour"].isna().any()
    assert abs(frame["flag"].mean() - 0.3) < 0.2
    pd.testing.assert_frame_equal(frame, synthetic_frame(network, 2000, seed=1))


def test_synthetic_rows_keep_how_columns_go_together_where_a_summary_does(make_network):
    network, real = make_network(n=400)
    frame, alone = synthetic_frame(network, 2000), synthetic_frame(replace(network, reference=None), 2000)
    assert (
        frame["size"].corr(frame["weight"]) > 0.7 * real["size"].corr(real["weight"]) > 0.5 > abs(alone["size"].corr(alone["weight"])) + 0.4
    )
    for made in (frame, alone):
        assert made["age"].isna().mean() == pytest.approx(real["age"].isna().mean(), abs=0.05)
        assert (made["colour"] == "red").mean() == pytest.approx((real["colour"] == "red").mean(), abs=0.05)
        assert abs((made["day"] - real["day"].mean()).mean()) < pd.Timedelta(days=60)
        assert network.predict(made).mean() == pytest.approx(network.predict(real).mean(), abs=0.3 * network.predict(real).std())


@pytest.mark.parametrize("levels", [2, 5, 200, 400], ids=["two levels", "five", "some cut", "free text"])
def test_synthetic_texts_are_read_as_the_ones_learned(levels):
    rng = np.random.default_rng(0)
    text = [f"level {i}" for i in (np.arange(400) if levels == 400 else (levels * rng.random(400) ** 3).astype(int))]
    frame = pd.DataFrame({"text": text, "x": rng.normal(size=400)}).assign(y=[len(t) for t in text] + rng.normal(size=400))
    network = Loom.pretrained().weave(Task.from_frame(frame, target="y"))
    X, real = (network.schema.encode(table) for table in (synthetic_frame(network, 2000), frame))
    assert np.abs(X.mean(axis=0) - real.mean(axis=0)).max() < 0.15 + 0.05 * np.abs(real).max()
