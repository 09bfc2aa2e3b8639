"""The summary of the training rows: small, holds no row, draws rows like them, tells rows unlike them, and survives a file."""

import numpy as np
import pandas as pd
import pytest

from netloom import TargetNetwork
from netloom.errors import FileError
from netloom.target import file
from netloom.target.reference import LEVELS, learn_reference, value_features
from netloom.tasks import Schema


def test_drawn_rows_have_the_means_shares_and_correlations_of_training(make_network):
    network, table = make_network()
    X = network.schema.encode(table)
    drawn = network.reference.sample(network.schema, 2000, seed=3)
    gap = np.abs(drawn.mean(axis=0) - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9)
    assert gap.max() < 0.12
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] - np.corrcoef(X[:, 0], X[:, 1])[0, 1]) < 0.1  # size and weight
    names = [feature.label for feature in network.schema.features]
    colours = [f for f, name in enumerate(names) if name.startswith("colour=")]
    assert (drawn[:, colours].sum(axis=1) == 1).all()


def test_drawn_rows_agree_within_a_column(make_network):
    network, table = make_network()
    drawn = network.reference.sample(network.schema, 200)
    names = [feature.label for feature in network.schema.features]
    absent = drawn[:, names.index("age missing")] == 1
    assert 0.1 < absent.mean() < 0.3 and np.allclose(drawn[absent, names.index("age")], table["age"].mean())
    days = pd.to_datetime("1970-01-01") + pd.to_timedelta(np.floor(drawn[:, names.index("day")]), unit="D")
    assert (days.year == drawn[:, names.index("day:year")]).all() and (days.day == drawn[:, names.index("day:day")]).all()


def test_few_values_are_kept_as_they_are():
    frame = pd.DataFrame({"x": np.random.default_rng(0).choice([1, 2, 5], 400)})
    schema = Schema.learn(frame)
    reference = learn_reference(schema, schema.encode(frame))
    assert set(np.unique(reference.quantiles)) == {1, 2, 5}


def test_no_training_row_is_in_it(make_network):
    network, table = make_network()
    X = network.schema.encode(table)
    values = value_features(network.schema)
    inner = network.reference.quantiles[:, 1:-1]
    assert not any((np.isclose(inner.T[:, None], X[None, :, values], rtol=1e-7).all(axis=2)).ravel())


def test_distances_hold_their_shares_and_see_broken_combinations(make_network):
    network, table = make_network(n=2000)
    X = network.schema.encode(table)
    far, _ = network.reference.distance(network.schema, X)
    for level, distance in zip(LEVELS, network.reference.distances, strict=True):
        assert abs((far <= distance * (1 + 1e-5)).mean() - level) < 0.01
    broken = X.copy()
    broken[:, 1] = X[np.random.default_rng(0).permutation(len(X)), 1]  # weight no longer goes with size
    further, odd = network.reference.distance(network.schema, broken)
    assert (further > network.reference.distances[2]).mean() > 0.1 > 5 * (far > network.reference.distances[2]).mean()
    assert np.median(np.abs(odd[further > network.reference.distances[2]]).argmax(axis=1)) <= 1


def test_the_distance_is_that_of_the_factor_model(make_network):
    network, table = make_network()
    X = network.schema.encode(table)[:5]
    latent = network.reference.latent.astype(float)
    covariance = latent[:, 2:] @ latent[:, 2:].T + np.diag(latent[:, 1])
    Z = network.reference.scores(network.schema, X)
    expected = np.sqrt([z @ np.linalg.solve(covariance, z) / len(z) for z in Z])
    np.testing.assert_allclose(network.reference.distance(network.schema, X)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("n, d", [(1, 1), (2, 3), (5, 40)])
def test_tiny_and_wide_tables(n, d):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(n, d)), columns=[f"c{j}" for j in range(d)])
    schema = Schema.learn(frame)
    X = schema.encode(frame)
    reference = learn_reference(schema, X)
    assert np.isfinite(reference.distance(schema, X)[0]).all()
    assert reference.sample(schema, 9).shape == (9, X.shape[1])


def test_it_survives_a_file_and_a_forged_one_is_refused(make_network, tmp_path):
    network, _ = make_network()
    network.save(tmp_path / "n.netloom")
    again = TargetNetwork.load(tmp_path / "n.netloom").reference
    for name in ("latent", "quantiles", "distances"):
        np.testing.assert_array_equal(getattr(again, name), getattr(network.reference, name))
    tensors, header = file.read(tmp_path / "n.netloom")
    for name, wrong in [
        ("latent", tensors["reference.latent"][:-1]),
        ("quantiles", tensors["reference.quantiles"][:, ::-1].copy()),
        ("distances", np.zeros(2, np.float32)),
        ("latent", -np.abs(tensors["reference.latent"])),
    ]:
        file.write(tmp_path / "forged.netloom", tensors | {f"reference.{name}": wrong}, {k: v for k, v in header.items() if k != "format"})
        with pytest.raises(FileError, match="training rows"):
            TargetNetwork.load(tmp_path / "forged.netloom")
    old = {name: tensor for name, tensor in tensors.items() if not name.startswith("reference.")}
    file.write(tmp_path / "old.netloom", old, {k: v for k, v in header.items() if k != "format"})
    assert TargetNetwork.load(tmp_path / "old.netloom").reference is None


def test_drawn_levels_stand_at_their_places():
    rng = np.random.default_rng(0)
    levels = [*(f"{10 * i}-{10 * i + 9}" for i in range(70)), "unknown"]
    chance = np.r_[np.full(70, 1.0), 20.0]
    frame = pd.DataFrame({"age": rng.choice(levels, 1500, p=chance / chance.sum()), "x": rng.normal(size=1500)})
    frame.loc[:100, "age"] = None
    schema = Schema.learn(frame)
    column = schema.columns[0]
    assert column.other and column.extra == "frequency" and column.missing
    drawn = learn_reference(schema, schema.encode(frame)).sample(schema, 300)
    own, at = drawn[:, : len(column.labels())], column.after_levels
    named, absent = own[:, : column.kept].any(axis=1), drawn[:, len(column.labels())] == 1
    assert min(named.sum(), absent.sum(), (own[:, column.kept] > 0).sum()) > 5
    assert (own[named, at] == np.array(column.places)[own[named, : column.kept].argmax(axis=1)]).all()
    assert (own[~named, at] == column.places[-1]).all()
    assert (own[own[:, column.kept] > 0, at + 1] == column.rest).all() and (own[absent, at + 1] == column.typical).all()
