"""Whole batches of synthetic tasks."""

import numpy as np
import pytest
import torch

from netloom.tasks.priors import MECHANISMS, Draw, Ranges, Sizes, draw_sizes, sample
from netloom.tasks.priors.sizes import cost


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("outputs, targets", [(2, 1), (10, 1), (0, 1), (0, 3)])
def test_every_mechanism_gives_whole_tasks(mechanism, outputs, targets):
    sizes = Sizes(3, 25, 10, 9, outputs, targets)
    for step in range(2):
        tasks = sample(Draw(0, 0, step), sizes, mechanism)
        assert tasks.X.shape == (3, 35, 9) and torch.isfinite(tasks.X).all() and tasks.source == mechanism
        if outputs:
            assert tasks.y.shape == (3, 35) and tasks.y.dtype == torch.long
            assert int(tasks.y.min()) >= 0 and int(tasks.y.max()) < outputs
        else:
            assert tasks.y.shape == (3, 35, targets) and torch.isfinite(tasks.y).all()


def test_a_batch_is_a_function_of_seed_rank_and_step():
    def batch(*key):
        draw = Draw(*key)
        return sample(draw, draw_sizes(draw, Ranges(rows=(10, 60), columns=(1, 20)), 4))

    first, again = batch(1, 0, 7), batch(1, 0, 7)
    assert torch.equal(first.X, again.X) and torch.equal(first.y, again.y)
    torch.randn(5)  # the global generator does not matter
    shapes = {tuple(batch(*key).X.shape) for key in ((1, 0, 7), (2, 0, 7), (1, 1, 7), (1, 0, 8))}
    assert len(shapes) == 4


def test_sizes_fill_their_ranges_and_share_the_work():
    ranges, work = Ranges(), 16.0
    sizes = [draw_sizes(Draw(0, 0, step), ranges, work) for step in range(1000)]
    n, d = np.array([s.n for s in sizes]), np.array([s.d for s in sizes])
    assert n.min() < 12 and n.max() > 900 and n.max() <= 1000 and 80 < np.median(n) < 130  # the middle of a log scale from 10 to 1000
    assert d.min() == 1 and d.max() > 95 and d.max() <= 100 and np.median(d) < 25
    outputs = [s.outputs for s in sizes if s.outputs]
    assert set(outputs) == set(range(2, 11)) and 0.2 < np.mean([s.outputs == 0 for s in sizes]) < 0.3
    spent = np.array([s.B * cost(s.n, s.d, s.queries) for s in sizes])
    free = np.array([2 < s.B < 4 * work for s in sizes])
    assert free.mean() > 0.5 and np.abs(spent[free] / work - 1).max() < 0.25


def test_rows_are_in_random_order():
    drift = []
    for step in range(30):
        tasks = sample(Draw(0, 1, step), Sizes(2, 200, 100, 5, 0, 1))
        y = tasks.y[..., 0]
        drift.append(float((y[:, :200].mean() - y[:, 200:].mean()).abs()))
    assert np.mean(drift) < 0.15


def test_noise_is_a_share_that_is_often_small():
    shares = np.array([Draw(0, 0, step).noise() for step in range(3000)])
    assert shares.min() >= 0 and shares.max() < 1
    # a third each of u, u^2 and u^3: P(share < x) = (x + x^(1/2) + x^(1/3)) / 3
    for x in (0.01, 0.1, 0.5):
        assert abs((shares < x).mean() - (x + x ** (1 / 2) + x ** (1 / 3)) / 3) < 0.03
