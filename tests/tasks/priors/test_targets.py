"""Classes and values from latents."""

import numpy as np
import pytest
import torch

from netloom.tasks.priors import Draw
from netloom.tasks.priors.targets import argmax_classes, cut_classes, mislabel, to_values


@pytest.mark.parametrize("outputs", [2, 3, 10])
def test_cut_classes_are_stretches_of_the_latent(outputs):
    runs = []
    for seed in range(30):
        y = torch.randn(1, 400, generator=torch.Generator().manual_seed(seed))
        label = cut_classes(Draw(seed, 0, 0), y, outputs)[0]
        assert int(label.min()) >= 0 and int(label.max()) < outputs
        runs.append(int((label[y[0].argsort()].diff() != 0).sum()) + 1)
    assert np.median(runs) <= 2 * outputs + 6  # cuts are blurred by a thousandth of a deviation
    assert max(runs) > outputs  # some classes consist of several stretches


def test_exact_cuts_keep_equal_values_together():
    for seed in range(20):
        y = torch.randint(0, 6, (2, 200), generator=torch.Generator().manual_seed(seed)).float()
        label = cut_classes(Draw(seed, 0, 0), y, 3, exact=True)
        for b in range(2):
            assert all(len(label[b][y[b] == value].unique()) == 1 for value in y[b].unique())


def test_some_tasks_are_imbalanced():
    largest = []
    for seed in range(300):
        label = cut_classes(Draw(seed, 0, 0), torch.randn(1, 500), 4)
        largest.append(float(label.flatten().bincount().max()) / 500)
    assert np.quantile(largest, 0.98) > 0.75 and np.median(largest) < 0.5


def test_argmax_prefers_the_largest_latent():
    latents = torch.randn(2, 500, 4, generator=torch.Generator().manual_seed(0))
    label = argmax_classes(Draw(0, 0, 0), latents)
    chosen = latents.gather(2, label[..., None]).mean()
    assert set(label.unique().tolist()) <= {0, 1, 2, 3} and float(chosen) > 0.5


def test_labels_are_wrong_within_the_stated_share():
    wrong = [float((mislabel(Draw(seed, 0, 0), torch.zeros(2, 2000).long(), 2) != 0).float().mean()) for seed in range(40)]
    assert max(wrong) < 0.09 and max(wrong) > 0.04 and min(wrong) < 0.02  # half of the replacements fall on the right class


def test_values_are_plain_skewed_heavy_tailed_ordinal_or_often_zero():
    skew, distinct, largest = [], [], []
    for seed in range(100):
        y = to_values(Draw(seed, 0, 0), torch.randn(1, 600, 1, generator=torch.Generator().manual_seed(seed)))[0, :, 0].double().numpy()
        assert abs(y.mean()) < 1e-3 and abs(y.std() - 1) < 0.01
        skew.append((y**3).mean())
        distinct.append(len(np.unique(y)))
        largest.append(np.unique(y, return_counts=True)[1].max() / 600)
    assert np.mean(np.array(skew) > 1) > 0.1
    assert 0.05 < np.mean(np.array(distinct) < 25) < 0.2
    assert np.mean((np.array(largest) > 0.3) & (np.array(distinct) > 100)) > 0.02
