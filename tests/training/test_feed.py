"""What the trainer feeds is what the product reads: the same cells as through a view and a padded batch."""

import numpy as np
import pytest
import torch

from netloom.loom.batch import Batch, Sample
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.views import make_view
from netloom.tasks.priors import Draw, Sizes, sample
from netloom.tasks.priors.batch import Tasks
from netloom.training.feed import feed
from netloom.training.loss import identities, query_losses


def table(n=60, rows=80):
    """Columns of every kind: smooth, wide-tailed, of two, three and twelve values, rare, nearly constant."""
    rng = np.random.default_rng(0)
    columns = [
        rng.normal(size=rows),
        rng.standard_t(1.5, size=rows) * 1e3,
        rng.integers(0, 2, rows),
        rng.integers(0, 3, rows),
        np.round(2 * rng.normal(size=rows)),
        np.arange(rows) == 7,
        5 + 0.05 * rng.normal(size=rows),
    ]
    return np.stack(columns, 1).astype(np.float64), n


@pytest.mark.parametrize("ranked", [False, True], ids=["plain", "ranked"])
@pytest.mark.parametrize("classes", [0, 3])
def test_cells_are_those_of_the_product(ranked, classes):
    X, n = table()
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, len(X)) if classes else rng.normal(size=(len(X), 2)) * 7 + 3
    view = make_view(X[:n], np.ones(n), ranked=ranked)
    targets = np.eye(3)[y[:n]] if classes else (y[:n] - y[:n].mean(0)) / y[:n].std(0)
    keys = np.zeros(X.shape[1], dtype=np.uint64)
    expected = Batch.of([Sample(view.values(X[:n]), view.many, view.thresholds, targets, np.ones(n), int(not classes), keys, keys)])
    asked = Batch.of([Sample(view.values(X[n:]), view.many, view.thresholds, targets[: len(X) - n], np.ones(len(X) - n), 0, keys, keys)])
    given = torch.as_tensor(y)[None] if classes else torch.as_tensor(y, dtype=torch.float32)[None]
    fed = feed(Tasks(torch.as_tensor(X, dtype=torch.float32)[None], given, classes, n, "test"), ranked=ranked)
    np.testing.assert_allclose(fed.batch.cells, expected.cells, atol=3e-3, rtol=1e-3)  # float32 beside float64
    np.testing.assert_allclose(fed.cells, asked.cells, atol=3e-3, rtol=1e-3)
    np.testing.assert_allclose(fed.batch.targets, expected.targets, atol=1e-5, rtol=1e-5)
    assert torch.equal(fed.batch.weight, expected.weight) and torch.equal(fed.batch.kind, expected.kind)
    assert torch.equal(fed.batch.columns, expected.columns) and torch.equal(fed.batch.outputs, expected.outputs)


def test_columns_of_two_values_have_one_live_cell_and_values_stay_within_six_deviations():
    X, n = table()
    fed = feed(Tasks(torch.as_tensor(X, dtype=torch.float32)[None], torch.zeros(1, len(X), 1), 0, n, "test"))
    live = (fed.batch.cells[0] != 0).any(0)  # (d, K)
    assert [int(count) for count in live.sum(1)] == [8, 8, 1, 8, 8, 1, 8]
    assert float(fed.batch.cells[..., 0].abs().max()) <= 6


def test_what_is_constant_in_the_support_says_nothing_in_the_query():
    X = torch.zeros(1, 20, 2)
    X[:, :, 0] = torch.randn(1, 20)
    X[:, 15:, 1] = 4.0
    fed = feed(Tasks(X, torch.zeros(1, 20).long(), 2, 15, "test"))
    assert not fed.batch.cells[:, :, 1].any() and not fed.cells[:, :, 1].any()


def test_targets_are_standardised_by_the_support_and_clipped():
    y = torch.cat([torch.randn(1, 30, 1, generator=torch.Generator().manual_seed(0)) * 9 + 4, torch.full((1, 2, 1), 1e6)], 1)
    fed = feed(Tasks(torch.randn(1, 32, 3), y, 0, 30, "test"))
    assert abs(float(fed.batch.targets.mean())) < 1e-5 and abs(float(fed.batch.targets.std(correction=0)) - 1) < 1e-4
    assert fed.targets.max() == 6


def test_every_prior_batch_can_be_fed_both_ways():
    for step in range(12):
        draw = Draw(0, 0, step)
        tasks = sample(draw, Sizes(2, 12 + 5 * step, 9, 1 + 4 * step, 2 * (step % 3), 1))
        for ranked in (False, True):
            fed = feed(tasks, ranked=ranked)
            assert torch.isfinite(fed.batch.cells).all() and torch.isfinite(fed.cells).all() and len(fed) == 2


def test_random_neurons_are_those_of_the_product_in_kind():
    """Standardised by the support alone and scaled to a norm of one per row; each a ReLU of few to all columns; the draw decides."""
    X = torch.randn(3, 250, 12, generator=torch.Generator().manual_seed(0))
    tasks = Tasks(X, torch.zeros(3, 250).long(), 2, 200, "test")
    fed = feed(tasks, beside=Draw(1, 0, 0))
    inside, asked = fed.batch.beside, fed.beside
    assert inside.shape == (3, 200, 256) and asked.shape == (3, 50, 256)
    assert float(inside.mean(1).abs().max()) < 1e-5
    size = inside.std(1, correction=0) * 16
    assert float(size.max()) < 1.001 and float((size > 0.999).float().mean()) > 0.9  # the others hardly ever fire
    assert float(inside.square().sum(2).mean()) == pytest.approx(1, abs=0.1)
    assert torch.equal(feed(tasks, beside=Draw(1, 0, 0)).batch.beside, inside)
    assert not torch.allclose(feed(tasks, beside=Draw(1, 0, 1)).batch.beside, inside, atol=1e-2)
    other = Tasks(tasks.X.clone(), tasks.y, tasks.outputs, tasks.support, tasks.source)
    other.X[:, 200:] += 9
    assert torch.equal(feed(other, beside=Draw(1, 0, 0)).batch.beside, inside)


def test_what_stands_beside_enters_the_readout():
    """A task whose target is one of the neurons beside it is solved; without them it is not."""
    torch.manual_seed(0)
    loom = Hypernetwork(16, 2, 2)
    tasks = sample(Draw(0, 0, 5), Sizes(2, 150, 60, 6, 0, 1), "linear")
    seen = feed(tasks, beside=Draw(1, 0, 0))
    wanted = torch.cat([seen.batch.beside, seen.beside], 1)[..., [7, 50, 90]].sum(2, keepdim=True)
    tasks = Tasks(tasks.X, wanted, 0, 150, "test")
    left = {}
    for name, draw in (("beside", Draw(1, 0, 0)), ("alone", None)):
        fed = feed(tasks, beside=draw)
        with torch.no_grad():
            left[name] = float(query_losses(loom, fed, *identities(fed, 16, Draw(2, 0, 0).generator), 2)[-1])
    assert left["beside"] < 0.7 * left["alone"]
