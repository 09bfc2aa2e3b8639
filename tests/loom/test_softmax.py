"""Softmax regression by steps that share one inverse, against scikit-learn's, and against fits without the row."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from netloom.loom.softmax import softmax_dual
from netloom.target.solve import RidgeInverse


def problem(n=60, p=6, classes=3, seed=0):
    """Centred features (n, p), labels (n,) that they tell with doubt, one-hot targets."""
    g = torch.Generator().manual_seed(seed)
    F = torch.randn(n, p, generator=g, dtype=torch.float64)
    y = (F[:, :classes] + torch.randn(n, classes, generator=g, dtype=torch.float64)).argmax(-1)
    return F, y, torch.nn.functional.one_hot(y, classes).double()


def solved(F, T, penalty, weight=None, **options):
    weight = torch.ones(len(F), dtype=F.dtype) if weight is None else weight
    A = (F - (weight[:, None] * F).sum(0) / weight.sum()) * weight.sqrt()[:, None]
    outputs = torch.ones(1, T.shape[1], dtype=torch.bool)
    strength = torch.tensor([penalty], dtype=F.dtype)
    return softmax_dual(RidgeInverse.of(A[None], strength), strength, T[None], outputs, weight[None], **options), A


@pytest.mark.parametrize("penalty", [0.3, 3.0, 30.0])
def test_it_comes_to_where_scikit_learn_comes(penalty):
    F, y, T = problem()
    found, A = solved(F, T, penalty, steps=2000)
    reference = LogisticRegression(C=2 / penalty, tol=1e-10, max_iter=10_000).fit(A, y)
    np.testing.assert_allclose((A.T @ found.dual[0]).T, reference.coef_, atol=1e-4)
    intercept = found.intercept[0, 0]
    np.testing.assert_allclose(intercept - intercept.mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-4)


def test_eight_steps_are_near():
    F, y, T = problem()
    (few, A), (many, _) = solved(F, T, 0.5), solved(F, T, 0.5, steps=2000)
    loss = [float(torch.nn.functional.cross_entropy(A @ (A.T @ found.dual[0]) + found.intercept[0], y)) for found in (few, many)]
    assert abs(loss[0] - loss[1]) < 0.01 * loss[1]


def test_what_is_wrong_lies_between_the_fit_that_has_seen_the_row_and_the_one_that_has_not():
    F, y, T = problem(n=50)
    found, A = solved(F, T, 1.0, steps=500)
    expected = np.zeros((50, 3))
    for i in range(50):
        keep = np.arange(50) != i
        model = LogisticRegression(C=2.0, tol=1e-8, max_iter=10_000).fit(A[keep], y[keep])
        expected[i] = T[i].numpy() - model.predict_proba(A[[i]])[0]
    inside = LogisticRegression(C=2.0, tol=1e-8, max_iter=10_000).fit(A, y).predict_proba(A)
    seen, wrong = T.numpy() - inside, found.wrong[0].numpy()
    gone = ((wrong - seen) * (expected - seen)).sum() / np.square(expected - seen).sum()  # how much of the way
    assert 0.25 < gone < 1
    assert np.abs(wrong - expected).mean() < 0.75 * np.abs(seen - expected).mean()
    assert np.corrcoef((wrong - seen).ravel(), (expected - seen).ravel())[0, 1] > 0.9


def test_a_row_of_weight_two_is_the_row_twice():
    F, _, T = problem(n=30)
    weight = torch.ones(30, dtype=F.dtype)
    weight[:10] = 2
    once, A = solved(F, T, 1.0, weight, steps=1000)
    twice, B = solved(torch.cat([F[:10], F]), torch.cat([T[:10], T]), 1.0, steps=1000)
    np.testing.assert_allclose(A.T @ once.dual[0], B.T @ twice.dual[0], atol=1e-6)


def test_padded_rows_and_outputs_change_nothing():
    F, _, T = problem(n=30)
    alone, _ = solved(F, T, 1.0)
    more = torch.zeros(40, 6, dtype=F.dtype)
    more[:30] = F - F.mean(0)
    wide = torch.zeros(40, 5, dtype=F.dtype)
    wide[:30, :3] = T
    weight = torch.zeros(40, dtype=F.dtype)
    weight[:30] = 1
    A = more * weight[:, None]
    one = torch.ones(1, dtype=F.dtype)
    outputs = torch.tensor([[True, True, True, False, False]])
    padded = softmax_dual(RidgeInverse.of(A[None], one), one, wide[None], outputs, weight[None])
    for name in ("dual", "wrong"):
        np.testing.assert_allclose(getattr(padded, name)[0, :30, :3], getattr(alone, name)[0], atol=1e-9)
        assert float(getattr(padded, name)[0, 30:].abs().max()) == 0 and float(getattr(padded, name)[0, :, 3:].abs().max()) == 0
