"""Every mechanism keeps the contract, and shows the statistics its name promises; references by numpy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import SplineTransformer

from netloom.tasks.priors import MECHANISMS, Draw

TASKS = 6


def draws(name, n=300, d=4, count=TASKS):
    """X (n, d), y (n,) of ``count`` batches of one mechanism, a task of each."""
    for seed in range(count):
        X, y = MECHANISMS[name].sample(Draw(seed, 0, 0), 2, n, d, 1)
        yield X[0].double().numpy(), y[0, :, 0].double().numpy()


def explained(model, X, y):
    """R2 on the second half of the rows."""
    half = len(X) // 2
    model.fit(X[:half], y[:half])
    return model.score(X[half:], y[half:])


def linear_fit(X, y):
    return explained(LinearRegression(), X, y)


def roughness(X, y):
    """Mean squared difference of y between nearest neighbours, over twice its variance: 1 where neighbours tell nothing."""
    distance = np.square(X[:, None] - X).sum(-1) + np.diag(np.full(len(X), np.inf))
    return np.square(y - y[distance.argmin(1)]).mean() / (2 * y.var() + 1e-12)


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("B, n, d, q", [(3, 40, 5, 1), (2, 10, 1, 3), (1, 50, 60, 2)], ids=["usual", "one column", "wide"])
def test_contract(name, B, n, d, q):
    X, y = MECHANISMS[name].sample(Draw(1, 2, 3), B, n, d, q)
    assert X.shape == (B, n, d) and y.shape == (B, n, q)
    assert torch.isfinite(X).all() and torch.isfinite(y).all()
    again = MECHANISMS[name].sample(Draw(1, 2, 3), B, n, d, q)
    assert torch.equal(X, again[0]) and torch.equal(y, again[1])
    if B > 1:
        assert not torch.equal(X[0], X[1])


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("other", [(2, 2, 3), (1, 3, 3), (1, 2, 4)], ids=["seed", "rank", "step"])
def test_seed_rank_and_step_each_change_the_numbers(name, other):
    first, second = (MECHANISMS[name].sample(Draw(*key), 2, 30, 3, 1)[0] for key in ((1, 2, 3), other))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_linear_is_explained_by_a_line_up_to_its_noise():
    gains = [explained(RandomForestRegressor(12, random_state=0), X, y) - linear_fit(X, y) for X, y in draws("linear")]
    assert max(gains) < 0.05  # of R2: nothing is left for curves to find
    assert np.median([linear_fit(X, y) for X, y in draws("linear")]) > 0.3


def test_additive_is_explained_by_curves_of_single_columns():
    lines, curves = [], []
    for X, y in draws("additive", n=1000):
        bent = SplineTransformer(8, degree=1, extrapolation="linear").fit_transform(X)
        lines.append(linear_fit(X, y))
        curves.append(explained(LinearRegression(), bent, y))
    assert np.median(curves) > np.median(lines) + 0.2


def test_products_need_products():
    lines, pairs = [], []
    for X, y in draws("products", n=600, d=3):
        two = np.einsum("ni,nj->nij", X, X)[:, *np.triu_indices(3)]
        three = X.prod(1, keepdims=True)
        lines.append(linear_fit(X, y))
        pairs.append(linear_fit(np.concatenate([X, two, three], 1), y))
    assert np.median(pairs) > 0.5 and np.median(lines) < 0.3


def test_rules_give_equal_rows_equal_values():
    for X, y in draws("rules", d=3):
        values = {}
        for row, value in zip(map(tuple, X), y, strict=True):
            assert values.setdefault(row, value) == value
        assert len(values) < len(X)  # rows do repeat, so the claim was tested
        assert set(np.unique(X)) <= set(range(6))


def test_forest_is_found_by_a_forest_and_less_by_a_line():
    gains = [explained(RandomForestRegressor(12, random_state=0), X, y) - linear_fit(X, y) for X, y in draws("forest", d=3)]
    assert np.median(gains) > 0.03


@pytest.mark.parametrize("name", ["gaussian process", "nearest"])
def test_neighbours_have_similar_values(name):
    assert np.median([roughness(X, y) for X, y in draws(name, d=2, count=16)]) < 0.55


def test_clusters_have_few_values_and_columns_that_differ_between_them():
    shares = []
    for X, y in draws("clusters", d=6, count=20):
        groups = np.unique(y)
        assert 2 <= len(groups) <= 24
        between = sum((y == g).mean() * np.square(X[y == g].mean(0) - X.mean(0)) for g in groups) / X.var(0)
        shares.append(between.max())
    assert np.median(shares) > 0.3


@pytest.mark.slow  # 24 forests
def test_uneven_noise_follows_a_column():
    def leaning(name):
        found = []
        for X, y in draws(name, n=500, d=3, count=12):
            forest = RandomForestRegressor(25, max_samples=0.5, min_samples_leaf=5, oob_score=True, random_state=0).fit(X, y)
            rest = np.abs(y - forest.oob_prediction_)
            found.append(max(abs(np.corrcoef(rest, X[:, j])[0, 1]) for j in range(3)))
        return np.mean(found)

    assert leaning("uneven") > leaning("linear") + 0.05


def test_columns_of_a_causal_network_tell_of_its_target():
    found = [explained(RandomForestRegressor(12, random_state=0), X, y) for X, y in draws("causal network", d=8, count=9)]
    assert np.median(found) > 0.3
