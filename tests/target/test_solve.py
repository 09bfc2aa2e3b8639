"""The closed form against slow and obvious references: augmented least squares, refitting without the row, whole matrices."""

import numpy as np
import pytest
import torch

from netloom.errors import ConfigError, NotWovenError
from netloom.target.solve import RidgeInverse, Sums, cholesky, compress, solve_readout

SIZES = pytest.mark.parametrize("n, p", [(12, 3), (12, 12), (12, 40), (1, 3), (2, 1)], ids=lambda value: str(value))


def numbers(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def slow(F, Y, penalty, weight, intercept=True):
    """Ridge as one least-squares problem with penalty rows, by numpy's SVD."""
    n, p = F.shape
    root = np.sqrt(weight)[:, None]
    A = np.vstack([np.hstack([F, np.full((n, 1), float(intercept))]) * root, np.sqrt(penalty) * np.eye(p, p + 1)])
    solution = np.linalg.lstsq(A, np.vstack([Y * root, np.zeros((p, Y.shape[1]))]), rcond=None)[0]
    return solution[:p], solution[p] * float(intercept)


@SIZES
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_readout_and_residual_equal_refitting(n, p, intercept, weighted):
    F, Y = numbers(n, p), numbers(n, 2, seed=1) + 3
    weight = torch.arange(1.0, n + 1, dtype=torch.float64) if weighted else None
    w = np.ones(n) if weight is None else weight.numpy()
    found = solve_readout(F, Y, 0.3, weight, intercept=intercept)
    coef, offset = slow(F.numpy(), Y.numpy(), 0.3, w, intercept)
    np.testing.assert_allclose(found.coef, coef, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.intercept, offset, rtol=1e-8, atol=1e-10)
    for i in range(n):
        keep = np.arange(n) != i
        coef, offset = slow(F.numpy()[keep], Y.numpy()[keep], 0.3, w[keep], intercept) if n > 1 else (np.zeros((p, 2)), 0.0)
        np.testing.assert_allclose(found.residual[i], Y.numpy()[i] - F.numpy()[i] @ coef - offset, rtol=1e-7, atol=1e-9)
    assert ((found.leverage >= -1e-12) & (found.leverage <= 1 + 1e-12)).all()


@pytest.mark.parametrize("n, p", [(9, 4), (6, 20)])
def test_batched_equals_one_by_one(n, p):
    F, Y, weight = numbers(2, 3, n, p), numbers(2, 3, n, 2, seed=1), numbers(2, 3, n, seed=2).abs()
    penalty = torch.tensor([[0.1, 1, 10], [0.2, 2, 20]], dtype=torch.float64)
    together = solve_readout(F, Y, penalty, weight)
    for b in np.ndindex(2, 3):
        alone = solve_readout(F[b], Y[b], penalty[b], weight[b])
        for name in ("coef", "intercept", "residual", "leverage"):
            np.testing.assert_allclose(getattr(together, name)[b], getattr(alone, name), rtol=1e-9, atol=1e-12)


def test_float32_stays_float32_and_close():
    F, Y = numbers(50, 10), numbers(50, 1, seed=1)
    single, double = solve_readout(F.float(), Y.float(), 1.0), solve_readout(F, Y, 1.0)
    assert single.coef.dtype == torch.float32
    np.testing.assert_allclose(single.residual, double.residual, atol=1e-4)


def test_sums_of_chunks_add_up_to_the_whole():
    F, Y, weight = numbers(30, 5), numbers(30, 2, seed=1), numbers(30, seed=2).abs()
    parts = [Sums.of(F[rows], Y[rows], weight[rows]) for rows in (slice(0, 7), slice(7, 8), slice(8, 30))]
    total = parts[0] + parts[1] + parts[2]
    coef, intercept = total.solve(0.5)
    whole = solve_readout(F, Y, 0.5, weight)
    assert total.rows == 30
    np.testing.assert_allclose(coef, whole.coef, rtol=1e-9)
    np.testing.assert_allclose(intercept, whole.intercept, rtol=1e-9)


@SIZES
def test_inverse_and_its_update_equal_the_whole_inverse(n, p):
    F, more = numbers(2, n, p), numbers(2, n, 4, seed=1)
    penalty = torch.tensor([0.5, 2.0], dtype=torch.float64)
    S = F.numpy() @ F.numpy().transpose(0, 2, 1) + penalty.numpy()[:, None, None] * np.eye(n)
    identity = torch.eye(n, dtype=torch.float64).expand(2, n, n)
    inverse = RidgeInverse.of(F, penalty)
    assert inverse.factored == (n > 2 * p)
    wider = S + more.numpy() @ more.numpy().transpose(0, 2, 1)
    tight, updated = {"rtol": 1e-8, "atol": 1e-10}, {"rtol": 1e-7, "atol": 1e-9}
    for found, system, tolerance in ((inverse, S, tight), (inverse.beside(more), wider, updated)):
        expected = np.linalg.inv(system)
        np.testing.assert_allclose(found @ identity, expected, **tolerance)
        np.testing.assert_allclose(found.diagonal(), np.diagonal(expected, axis1=1, axis2=2), **tolerance)


@pytest.mark.parametrize("repeated", [False, True])
def test_compressed_features_give_the_same_readout(repeated):
    F, Y = numbers(8, 50), numbers(8, 2, seed=1)
    if repeated:
        F[3] = F[0]
    packed = compress(F)
    assert packed.features.shape == (8, 8)
    np.testing.assert_allclose(packed.features @ packed.features.T, F @ F.T, atol=1e-9)
    small, large = solve_readout(packed.features, Y, 0.1), solve_readout(F, Y, 0.1)
    np.testing.assert_allclose(packed.expand(small.coef), large.coef, atol=1e-7)
    np.testing.assert_allclose(small.residual, large.residual, atol=1e-7)


def test_tall_features_are_left_alone():
    F, coef = numbers(9, 4), numbers(4, 2)
    packed = compress(F)
    assert packed.features is F and packed.expand(coef) is coef


def test_singular_system_gets_jitter_in_the_batch_that_needs_it():
    good, bad = torch.eye(3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    factor = cholesky(torch.stack([good, bad]))
    np.testing.assert_array_equal(factor[0], good)
    np.testing.assert_allclose(factor[1] @ factor[1].T, bad, atol=1e-6)
    assert cholesky(torch.zeros(2, 2)).isfinite().all()


@pytest.mark.parametrize(
    "matrix, why",
    [(-torch.eye(2), "stays singular"), (torch.full((2, 2), torch.nan), "NaN"), (torch.full((2, 2), torch.inf), "NaN or infinite")],
)
def test_hopeless_systems_say_so(matrix, why):
    with pytest.raises(NotWovenError, match=why):
        cholesky(matrix)


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_penalty_must_be_positive(penalty):
    with pytest.raises(ConfigError, match="must be above 0"):
        solve_readout(numbers(3, 2), numbers(3, 1), penalty)


def test_gradients_flow_through_the_residual():
    F = numbers(6, 3).requires_grad_()
    Y = numbers(6, 1, seed=1)
    assert torch.autograd.gradcheck(lambda F: solve_readout(F, Y, 0.5).residual, (F,))
    assert torch.autograd.gradcheck(lambda F: RidgeInverse.of(F, 0.5).beside(F[:, :1]) @ Y, (F,))
