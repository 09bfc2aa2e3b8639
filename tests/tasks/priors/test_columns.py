"""What tables make of columns: widths known before, levels, missing values, twins, constants."""

import numpy as np
import pytest
import torch

from netloom.tasks.priors import Draw
from netloom.tasks.priors.columns import Layout, Source, draw_layout, encode, fill_in, warp
from netloom.tasks.priors.columns.categories import to_levels
from netloom.tasks.priors.columns.missing import missing_mask
from netloom.tasks.priors.inputs import inputs


@pytest.mark.parametrize("d", [1, 2, 3, 7, 30, 100])
def test_a_layout_has_exactly_the_features_asked_for_and_a_column_that_matters(d):
    for seed in range(60):
        layout = draw_layout(Draw(seed, 0, d), d)
        assert layout.width == d and layout.role("main")


def test_layouts_hold_every_kind_and_role():
    sources = [source for seed in range(300) for source in draw_layout(Draw(seed, 0, 0), 60).sources]
    assert {source.kind for source in sources} == {"number", "coded", "one-hot"}
    assert {source.role for source in sources} == {"main", "irrelevant", "duplicate", "constant"}
    assert any(source.missing for source in sources)
    levels = [source.levels for source in sources if source.levels]
    assert min(levels) == 2 and 30 < max(levels) <= 50


def test_inputs_are_standardised_and_sometimes_correlated_heavy_tailed_or_of_few_values():
    strongest, kurtosis, distinct = [], [], []
    for seed in range(80):
        x = inputs(Draw(seed, 0, 0), 1, 400, 5)[0].double().numpy()
        assert np.abs(x.mean(0)).max() < 1e-3 and np.abs(x.std(0) - 1).max() < 0.02
        strongest.append(np.abs(np.corrcoef(x.T) - np.eye(5)).max())
        kurtosis.append((x**4).mean(0).max())
        distinct.append(min(len(np.unique(column)) for column in x.T))
    assert np.mean(np.array(strongest) > 0.5) > 0.3 and np.min(strongest) < 0.2
    assert np.mean(np.array(kurtosis) > 8) >= 0.03
    assert 0.05 < np.mean(np.array(distinct) < 12) < 0.4


def test_warped_columns_are_of_several_kinds():
    x = warp(Draw(0, 0, 0), torch.randn(1, 500, 400, generator=torch.Generator().manual_seed(0)))[0].numpy()
    distinct = np.array([len(np.unique(column)) for column in x.T])
    x = x[:, distinct > 1]  # a column cut into levels may be left with one
    skewed = np.array([((column - column.mean()) ** 3).mean() / column.std() ** 3 for column in x.T]) > 2
    assert 0.15 < (distinct <= 12).mean() < 0.35 and 0.05 < skewed.mean() < 0.3 and (distinct > 400).mean() > 0.5


def test_levels_are_all_numbers_below_their_count_in_random_order():
    X, levels = torch.randn(2, 2000, 3), torch.tensor([2, 5, 50])
    given = to_levels(Draw(0, 0, 0), X, levels)
    assert [int(given[..., j].max()) for j in range(3)] == [1, 4, 49] and int(given.min()) == 0
    means = [X[0, given[0, :, 2] == level, 2].mean() for level in given[0, :, 2].unique()]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.6  # the numbers do not follow the values


@pytest.mark.parametrize("seeds", [range(40)])
def test_values_are_missing_at_random_or_not(seeds):
    shares, leaning = [], []
    for seed in seeds:
        X = torch.randn(2, 500, 4, generator=torch.Generator().manual_seed(seed))
        mask = missing_mask(Draw(seed, 0, 0), X)
        shares.append(mask.float().mean((0, 1)).max())
        gap = [abs(X[0, mask[0, :, j], j].mean() - X[0, ~mask[0, :, j], j].mean()) for j in range(4) if 20 < mask[0, :, j].sum() < 480]
        leaning += gap
    assert min(shares) > 0.005 and max(shares) < 0.65
    assert np.mean(np.array(leaning) > 0.8) > 0.1 and np.mean(np.array(leaning) < 0.3) > 0.3


def test_encoding_is_that_of_a_schema():
    hot = [Source("one-hot", 3), Source("one-hot", 2), Source("coded", 4), Source("one-hot", 3, missing=True)]
    layout, n = Layout((Source("number", missing=True), *hot)), 200
    X = torch.randn(2, n, 5, generator=torch.Generator().manual_seed(0))
    table = encode(Draw(3, 0, 0), X, layout, 150)
    assert table.shape == (2, n, layout.width) == (2, n, 2 + 3 + 1 + 1 + 4)
    number, gone = table[..., 0], table[..., 1].bool()
    kept = X[..., 0][~gone]
    assert torch.equal(number[~gone], kept)
    for b in range(2):
        fill = X[b, :150, 0][~gone[b, :150]].mean()
        np.testing.assert_allclose(number[b][gone[b]], fill.expand(int(gone[b].sum())), rtol=1e-5, atol=1e-6)
    assert torch.equal(table[..., 2:5].sum(-1), torch.ones(2, n))  # one of three levels
    assert set(table[..., 5].unique().tolist()) == {0.0, 1.0} and set(table[..., 6].unique().tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert torch.equal(table[..., 7:10].sum(-1), 1 - table[..., 10])  # a missing category is all zeros


def test_spare_columns_are_twins_constants_or_strangers():
    roles = ("main", "duplicate", "constant", "irrelevant", "main")
    layout = Layout(tuple(Source("number", role=role) for role in roles))
    main = torch.randn(1, 4000, 2, generator=torch.Generator().manual_seed(0))
    X = fill_in(Draw(0, 0, 0), main, layout)[0]
    assert torch.equal(X[:, [0, 4]], main[0]) and float(X[:, 2].std()) == 0
    correlation = np.abs(np.corrcoef(X[:, [0, 4, 1, 3]].T.numpy()))
    assert correlation[2, :2].max() > 0.9 and correlation[3, :2].max() < 0.1
