"""The mathematics of weaving: leave-one-out is exact, padding changes nothing, any number of blocks, gradients reach every weight."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from netloom.loom.batch import Batch, Sample
from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.weave import weave_layers
from netloom.target.weights import View, Weights


def sample(n=40, d=4, O=3, kind=0, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d)).astype(np.float32)
    z[:, -1] = z[:, -1] > 0
    many = np.arange(d - 1)
    targets = np.eye(O, dtype=np.float32)[rng.integers(0, O, n)] if kind == 0 else rng.normal(size=(n, O)).astype(np.float32)
    keys = rng.integers(1, 2**63, d + O).astype(np.uint64)
    thresholds = np.quantile(z[:, many], [0.15, 0.38, 0.62, 0.85], axis=0).T.astype(np.float32)
    return Sample(z, many, thresholds, targets, np.ones(n), kind, keys[:d], keys[d:])


def identities(batch, D, seed=0):
    g = torch.Generator().manual_seed(seed)
    B, d, O = len(batch.kind), batch.columns.shape[1], batch.outputs.shape[1]
    return torch.randn(B, d, D, generator=g), torch.randn(B, O, D, generator=g)


def features(woven, batch):
    """All readout features (B, n, p), computed from the woven blocks."""
    Z = (batch.cells.flatten(2) - woven.centre[:, None]) / woven.scale[:, None]
    parts, hidden = [Z * woven.relevance[:, None]], []
    for block in woven.blocks:
        hidden.append(block.activations(Z, hidden))
        parts.append(hidden[-1] * block.relevance[:, None])
    return torch.cat(parts, -1)


def test_the_residual_fed_back_is_that_of_refitting_without_the_row(loom):
    batch = Batch.of([sample(kind=1)])
    woven = loom(batch, *identities(batch, loom.D), blocks=2)
    F, penalty = features(woven, batch)[0].double().numpy(), float(woven.penalty[0])
    Y = (batch.targets[0] - batch.targets[0].mean(0)).double().numpy()

    def left_out(i):  # the slow truth: drop row i, solve the ridge again, predict it
        keep = np.arange(len(F)) != i
        A = F[keep] @ F[keep].T + penalty * np.eye(keep.sum())
        return Y[i] - F[i] @ F[keep].T @ np.linalg.solve(A, Y[keep])

    expected = np.clip([left_out(i) for i in range(len(F))], -4, 4)
    np.testing.assert_allclose(woven.residual[0], expected, rtol=2e-3, atol=2e-3)


def test_readouts_are_the_ridge_solution_after_every_block(loom):
    batch = Batch.of([sample(kind=1)])
    woven = loom(batch, *identities(batch, loom.D), blocks=3)
    F = features(woven, batch)[0].double().numpy()
    Y = (batch.targets[0] - batch.targets[0].mean(0)).double().numpy()
    for readout in woven.readouts:
        p = readout.shape[1]
        A = F[:, :p].T @ F[:, :p] + float(woven.penalty[0]) * np.eye(p)
        np.testing.assert_allclose(readout[0], np.linalg.solve(A, F[:, :p].T @ Y), rtol=5e-3, atol=2e-3)


def test_readouts_of_classes_are_a_softmax_regression_after_every_block(loom):
    batch = Batch.of([sample()])
    woven = loom(batch, *identities(batch, loom.D), blocks=3)
    F, labels = features(woven, batch)[0].double().numpy(), batch.targets[0].argmax(-1).numpy()
    for readout, outputs in zip(woven.readouts, woven.outputs(batch.cells), strict=True):
        p = readout.shape[1]
        reference = LogisticRegression(C=2 / float(woven.penalty[0]), tol=1e-8, max_iter=10_000).fit(F[:, :p], labels)
        expected = reference.predict_proba(F[:, :p])
        np.testing.assert_allclose(torch.softmax(outputs[0], -1), expected, atol=0.03)


def test_a_task_is_woven_alike_alone_and_in_a_padded_batch(loom):
    small, large = sample(n=25, d=3, O=2, seed=1), sample(n=60, d=7, O=4, kind=1, seed=2)
    alone = weave_layers(loom, [small], seeds=[3])[0]
    together = weave_layers(loom, [large, small], seeds=[9, 3])[1]
    for a, b in zip(alone.layers, together.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=5e-3, atol=5e-3)
        np.testing.assert_allclose(a.bias, b.bias, rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(alone.prior, together.prior, rtol=2e-3)
    assert alone.penalty == pytest.approx(together.penalty, rel=1e-3)


@pytest.mark.parametrize("rounded, most, mean", [(False, 1e-4, 1e-6), (True, 0.025, 2**-11)], ids=["exact", "in half precision"])
def test_plain_layers_compute_what_the_hypernetwork_computed(loom, monkeypatch, rounded, most, mean):
    if not rounded:
        monkeypatch.setattr("netloom.loom.weave.halved", lambda a: a.astype(np.float32))
    one = sample(n=50, d=4)
    batch = Batch.of([one])
    threads = weave_layers(loom, [one], seeds=[5], blocks=3)[0]
    d, m = one.z.shape[1], len(one.many)
    view = View(np.arange(d), np.zeros(d), np.ones(d), one.many, one.thresholds)
    width = d + 7 * m
    p = width + sum(layer.width for layer in threads.layers)
    weights = Weights((view,), threads.layers, np.zeros((p, 1), np.float32), np.zeros(1, np.float32), np.zeros(1), np.ones(1))
    plain = weights.features(one.z.astype(np.float64)) * threads.prior
    from netloom.loom.weave import _identities

    woven = loom(batch, _identities([one.columns], loom.D, [10]), _identities([one.outputs], loom.D, [11]), blocks=3)
    F = features(woven, batch)[0].numpy()
    neurons = F[:, F.shape[1] - (p - width) :]
    difference = plain[:, width:] - neurons  # centred in one, not in the other
    difference -= difference.mean(axis=0)
    relevance = torch.cat([block.relevance[0] for block in woven.blocks]).numpy()
    difference = np.abs(difference / relevance)  # in deviations of each neuron
    assert difference.max() < most and difference.mean() < mean  # 2**-11: half a unit in the last place of half precision


@pytest.mark.parametrize("blocks", [1, 2, 9])
def test_any_number_of_blocks(loom, blocks):
    threads = weave_layers(loom, [sample()], seeds=[0], blocks=blocks)[0]
    assert len(threads.layers) == blocks
    assert all(layer.earlier == tuple(range(t)) for t, layer in enumerate(threads.layers))
    assert np.isfinite(threads.prior).all() and (threads.prior > 0).all()


def test_gradients_reach_every_weight():
    torch.manual_seed(0)
    loom = Hypernetwork(D=16, H=3, copies=2)
    for parameter in loom.parameters():  # a fresh loom starts some at zero, where their gradient is zero too
        torch.nn.init.normal_(parameter, std=0.3)
    batch = Batch.of([sample(), sample(kind=1, seed=1)])
    woven = loom(batch, *identities(batch, 16), blocks=9)
    loss = sum(out.square().mean() for out in woven.outputs(batch.cells)) + woven.residual.square().mean()
    loss.backward()
    still = [name for name, parameter in loom.named_parameters() if parameter.grad is None or not parameter.grad.abs().max() > 0]
    assert not still


def test_identities_break_ties_and_nothing_else(loom):
    """Other identities, other weights; the same identities, the same weights."""
    batch = Batch.of([sample()])
    first, again, other = (loom(batch, *identities(batch, loom.D, seed)).blocks[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=1e-2)
