"""The Gaussian head against Bayes by hand: the joint normal of all rows, and what is simulated."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from netloom.target.heads import gaussian

SIZES = pytest.mark.parametrize("n, p", [(40, 5), (20, 60)], ids=["tall", "wide"])


def task(n, p, noise=0.5, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(n, p)) / np.sqrt(p) + 2
    return torch.tensor(F), torch.tensor(F @ rng.normal(size=(p, outputs)) + noise * rng.normal(size=(n, outputs)) - 4)


@SIZES
def test_variance_is_that_of_the_joint_normal(n, p):
    F, Y = task(n, p)
    new = torch.tensor(np.random.default_rng(1).normal(size=(7, p)) + 2)
    posterior = gaussian.fit(F, Y, 0.7)
    A = np.hstack([F.numpy(), np.ones((n, 1))])
    precision = A.T @ A + 0.7 * np.diag([1.0] * p + [0.0])  # the intercept's prior is flat
    rows = np.hstack([new.numpy(), np.ones((7, 1))])
    expected = posterior.noise.numpy() * (1 + np.einsum("ij,jk,ik->i", rows, np.linalg.inv(precision), rows))
    np.testing.assert_allclose(posterior.variance(new)[:, 0], expected, rtol=1e-6)


@SIZES
def test_evidence_is_the_density_of_the_targets(n, p):
    F, Y = task(n, p)
    found = gaussian.evidence(F, Y, [0.1, 1.0, 10.0])
    for penalty, value in zip([0.1, 1.0, 10.0], found, strict=True):
        noise = gaussian.fit(F, Y, penalty).noise.item()
        Q = np.linalg.qr(np.hstack([np.ones((n, 1)), np.eye(n)[:, 1:]]))[0][:, 1:]  # contrasts: what a free intercept leaves
        cov = noise * Q.T @ (np.eye(n) + F.numpy() @ F.numpy().T / penalty) @ Q
        expected = multivariate_normal(np.zeros(n - 1), cov).logpdf(Q.T @ Y.numpy()[:, 0]) - 0.5 * np.log(n)
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@SIZES
def test_penalty_found_has_the_largest_evidence(n, p):
    F, Y = task(n, p, outputs=2)
    posterior = gaussian.fit(F, Y)
    around = gaussian.evidence(F, Y, (posterior.penalty * np.logspace(-3, 3, 31)).tolist())
    assert posterior.log_evidence >= around.max() - 1e-3


def test_noise_is_found():
    F, Y = task(2000, 10, noise=0.3)
    np.testing.assert_allclose(gaussian.fit(F, Y).noise.sqrt(), 0.3, rtol=0.05)


@SIZES
def test_intervals_cover_what_they_say(n, p):
    inside = []
    for seed in range(40):
        F, Y = task(n + 50, p, seed=seed)
        posterior = gaussian.fit(F[:n], Y[:n])
        wrong = (Y[n:] - F[n:] @ posterior.coef - posterior.intercept)[:, 0]
        inside.append((wrong.abs() < 1.645 * posterior.variance(F[n:])[:, 0].sqrt()).double().mean().item())
    assert abs(np.mean(inside) - 0.9) < 0.04


@SIZES
def test_factor_of_full_rank_is_the_whole_and_smaller_ones_grow_towards_it(n, p):
    F, Y = task(n, p)
    new = torch.tensor(np.random.default_rng(1).normal(size=(7, p)) + 2)
    posterior = gaussian.fit(F, Y, 0.7)
    centred = new - posterior.mean
    truth = posterior.variance(new)[:, 0] / posterior.noise - 1 - 1 / posterior.weight
    last = torch.zeros(7, dtype=torch.float64)
    for rank in (1, p // 2, p, p + 5):
        V = posterior.variance_factor(rank)
        assert V.shape == (p, min(rank, p))
        spread = (centred @ V).square().sum(1)
        assert (spread <= truth * (1 + 1e-6)).all()
        last = spread
    np.testing.assert_allclose(last, truth, rtol=1e-6)


def test_factor_takes_the_largest_directions():
    F, Y = task(200, 6)
    F = F * torch.tensor([10.0, 5, 2, 1, 0.1, 0.01])
    posterior = gaussian.fit(F, Y, 0.5)
    centred = (F - F.mean(0)).numpy()
    values, vectors = np.linalg.eigh(np.linalg.inv(centred.T @ centred + 0.5 * np.eye(6)))
    V = posterior.variance_factor(2).numpy()
    np.testing.assert_allclose(V @ V.T, vectors[:, -2:] * values[-2:] @ vectors[:, -2:].T, atol=1e-6)


@SIZES
def test_weights_equal_repeated_rows_and_blocks_the_whole(n, p):
    F, Y = task(n, p)
    weight = torch.arange(n, dtype=torch.float64) % 3 + 1
    index = torch.repeat_interleave(torch.arange(n), weight.long())
    a, b, c = gaussian.fit(F, Y, None, weight), gaussian.fit(F[index], Y[index]), gaussian.fit([F[:5], F[5:]], Y, None, weight)
    for other in (b, c):
        np.testing.assert_allclose(np.log(a.penalty), np.log(other.penalty), atol=0.05)
        np.testing.assert_allclose(a.log_evidence, other.log_evidence, rtol=1e-4)
    d = gaussian.fit(F[index], Y[index], a.penalty)
    np.testing.assert_allclose(gaussian.fit(F, Y, a.penalty, weight).variance(F), d.variance(F), rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_targets_and_features_are_finite(value):
    F, Y = task(10, 3)
    for features, targets in ((F, torch.full_like(Y, value)), (torch.ones_like(F), Y)):
        posterior = gaussian.fit(features, targets)
        assert posterior.coef.isfinite().all() and posterior.variance(F).isfinite().all() and np.isfinite(posterior.log_evidence)
