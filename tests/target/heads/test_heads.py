"""Contracts of every head, against references computed another way: scipy on the objective, refitting without the row."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from netloom.errors import ConfigError
from netloom.target.heads import HEADS, outputs_of
from netloom.target.heads.design import design_of
from netloom.target.heads.path import Path

PENALTIES = [0.03, 1.0, 30.0]
SIZES = {"tall": (40, 6), "wide": (25, 60)}
CLASSES = {"logistic", "svm"}
EXACT = {"ridge", "gaussian"}

every_head = pytest.mark.parametrize("name", list(HEADS))
every_size = pytest.mark.parametrize("size", list(SIZES))
every_count = pytest.mark.parametrize("outputs", [1, 3])


def task(name, size, outputs, seed=0):
    """Features with a mean, targets as the head wants them, integer weights."""
    rng = np.random.default_rng(seed)
    n, p = SIZES[size]
    F = rng.normal(size=(n, p)) * np.linspace(0.3, 1.5, p) + rng.normal(size=p)
    values = F[:, :3] @ rng.normal(size=(3, max(outputs, 2))) + rng.gumbel(size=(n, max(outputs, 2)))
    if name in CLASSES:
        codes = values.argmax(1)
        codes[: max(outputs, 2)] = np.arange(max(outputs, 2))
        Y = np.eye(max(outputs, 2))[codes]
        Y = Y[:, :1] if outputs == 1 else Y
    else:
        Y = values[:, :outputs]
    return torch.tensor(F), torch.tensor(Y), torch.tensor(rng.integers(1, 4, n).astype(float))


def fit(name, F, Y, penalties, weight=None, start=None):
    tight = {"tolerance": 1e-12} if name in CLASSES else {}
    return HEADS[name].fit_path(F, Y, penalties, weight, start, **tight)


def outputs(name, F, Y, penalties, weight=None, at=None):
    found = outputs_of(F if at is None else at, fit(name, F, Y, penalties, weight)).numpy()
    return found


def objective(name, F, Y, penalty, weight):
    """The head's loss of flat (p + 1, O) numbers and its gradient, in numpy."""
    n, p = F.shape

    def loss(flat):
        b = flat.reshape(p + 1, -1)
        M = F @ b[:-1] + b[-1]
        if name in EXACT:
            rows, pull, scale = ((Y - M) ** 2).sum(1), 2 * (M - Y), 2.0
        elif name == "svm":
            s = 2 * Y - 1
            gap = np.maximum(0, 1 - s * M)
            rows, pull, scale = (gap**2).sum(1), -2 * s * gap, 1.0
        elif Y.shape[1] == 1:
            rows, pull, scale = (np.logaddexp(0, M) - Y * M)[:, 0], expit(M) - Y, 1.0
        else:
            logs = log_softmax(M, 1)
            rows, pull, scale = -(Y * logs).sum(1), np.exp(logs) - Y, 1.0
        pull = pull * weight[:, None]
        gradient = np.vstack([F.T @ pull + scale * penalty * b[:-1], pull.sum(0)])
        return weight @ rows + 0.5 * scale * penalty * (b[:-1] ** 2).sum(), gradient.ravel()

    return loss


@every_head
@every_size
@every_count
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_is_where_scipy_finds_the_least_objective(name, size, outputs, weighted):
    F, Y, weight = task(name, size, outputs)
    weight = weight if weighted else None
    path = fit(name, F, Y, PENALTIES, weight)
    assert path.coef.shape == (3, F.shape[1], outputs) and path.intercept.shape == (3, outputs)
    for at, penalty in enumerate(PENALTIES):
        loss = objective(name, F.numpy(), Y.numpy(), penalty, np.ones(len(F)) if weight is None else weight.numpy())
        options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-10}
        best = minimize(loss, np.zeros((F.shape[1] + 1) * outputs), jac=True, method="L-BFGS-B", options=options)
        mine = np.vstack([path.coef[at].numpy(), path.intercept[at].numpy()[None]])
        value, gradient = loss(mine.ravel())
        assert value <= best.fun + 1e-6 * max(1, abs(best.fun))
        assert abs(gradient).max() < 1e-3
        there = best.x.reshape(-1, outputs)
        margins = F.numpy() @ (mine[:-1] - there[:-1]) + mine[-1] - there[-1]
        np.testing.assert_allclose(margins - margins.mean(1, keepdims=True) * (name == "logistic" and outputs > 1), 0, atol=2e-3)


@every_head
@every_size
@every_count
def test_integer_weights_equal_repeated_rows(name, size, outputs):
    F, Y, weight = task(name, size, outputs)
    index = torch.repeat_interleave(torch.arange(len(F)), weight.long())
    weighted = outputs_of(F, fit(name, F, Y, PENALTIES, weight))
    repeated = outputs_of(F, fit(name, F[index], Y[index], PENALTIES))
    np.testing.assert_allclose(weighted, repeated, atol=1e-4)


@every_head
@every_size
def test_permuting_rows_changes_nothing(name, size):
    F, Y, weight = task(name, size, 3)
    order = torch.randperm(len(F), generator=torch.Generator().manual_seed(0))
    straight, permuted = fit(name, F, Y, PENALTIES, weight), fit(name, F[order], Y[order], PENALTIES, weight[order])
    np.testing.assert_allclose(outputs_of(F, straight), outputs_of(F, permuted), atol=1e-5)
    held = HEADS[name].leave_one_out(F, Y, straight, PENALTIES, weight)
    np.testing.assert_allclose(
        held[:, order], HEADS[name].leave_one_out(F[order], Y[order], straight, PENALTIES, weight[order]), rtol=1e-5, atol=1e-5
    )


@every_head
@every_size
def test_permuting_outputs_permutes_the_readout(name, size):
    F, Y, _ = task(name, size, 3)
    order = [2, 0, 1]
    straight, permuted = outputs_of(F, fit(name, F, Y, PENALTIES)), outputs_of(F, fit(name, F, Y[:, order], PENALTIES))
    np.testing.assert_allclose(straight[:, :, order], permuted, atol=1e-5)


@every_head
@every_size
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scaling_features_and_penalty_leaves_outputs_equal(name, size, scale):
    F, Y, weight = task(name, size, 3)
    plain = outputs_of(F, fit(name, F, Y, PENALTIES, weight))
    scaled = outputs_of(F * scale, fit(name, F * scale, Y, [penalty * scale**2 for penalty in PENALTIES], weight))
    np.testing.assert_allclose(plain, scaled, atol=1e-4)


@every_head
@every_size
@every_count
def test_walking_down_the_penalties_finds_the_whole_path(name, size, outputs):
    F, Y, weight = task(name, size, outputs)
    tight = {"tolerance": 1e-12} if name in CLASSES else {}
    whole, walk = fit(name, F, Y, PENALTIES, weight), HEADS[name].walk(F, Y, PENALTIES, weight, **tight)
    for penalty, path in zip(sorted(PENALTIES, reverse=True), walk, strict=True):
        at = PENALTIES.index(penalty)
        np.testing.assert_allclose(outputs_of(F, path)[0], outputs_of(F, whole)[at], atol=1e-5)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_preconditioner_of_the_last_penalty_is_made_anew_where_it_does_not_serve(name):
    """From a penalty that moves nothing to one that holds nothing, where chances are sure and few rows are inside their margin."""
    F, Y, weight = task(name, "wide", 3)
    far = [1e5, 1e-3]
    path, loss = fit(name, F, Y, far, weight), objective(name, F.numpy(), Y.numpy(), far[1], weight.numpy())
    found = np.vstack([path.coef[1].numpy(), path.intercept[1].numpy()]).ravel()
    least = minimize(loss, np.zeros_like(found), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 0, "gtol": 1e-12})
    assert loss(found)[0] == pytest.approx(least.fun, rel=1e-6)


@every_head
@every_size
@every_count
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_blocks_of_rows_equal_the_whole(name, size, outputs, kind):
    F, Y, weight = task(name, size, outputs)
    blocks = [part.to(kind) for part in F.split([7, 1, len(F) - 8])]
    whole, chunked = fit(name, F, Y, PENALTIES, weight), fit(name, blocks, Y, PENALTIES, weight)
    assert chunked.coef.dtype == torch.float64
    close = {"rtol": 1e-4, "atol": 1e-4 if kind == torch.float64 else 5e-3}
    np.testing.assert_allclose(outputs_of(F, whole), outputs_of(blocks, chunked), **close)
    np.testing.assert_allclose(
        HEADS[name].leave_one_out(F, Y, whole, PENALTIES, weight),
        HEADS[name].leave_one_out(blocks, Y, whole, PENALTIES, weight),
        rtol=1e-3,
        atol=1e-3 if kind == torch.float64 else 2e-2,
    )


@every_head
def test_zero_features_beside_the_others_change_nothing(name):
    """Wide through the rows, tall through the features: the same numbers (primal = dual)."""
    F, Y, weight = task(name, "tall", 3)
    wide = torch.cat([F, torch.zeros(len(F), 100, dtype=F.dtype)], 1)
    tall, dual = fit(name, F, Y, PENALTIES, weight), fit(name, wide, Y, PENALTIES, weight)
    np.testing.assert_allclose(tall.coef, dual.coef[:, : F.shape[1]], atol=1e-4)
    np.testing.assert_allclose(dual.coef[:, F.shape[1] :], 0, atol=1e-12)
    np.testing.assert_allclose(tall.intercept, dual.intercept, atol=1e-4)


@every_head
@every_size
@every_count
def test_leave_one_out_equals_refitting_without_the_row(name, size, outputs):
    F, Y, weight = task(name, size, outputs)
    path = fit(name, F, Y, PENALTIES, weight)
    held = HEADS[name].leave_one_out(F, Y, path, PENALTIES, weight).numpy()
    truth = np.zeros_like(held)
    for i in range(len(F)):
        keep = torch.arange(len(F)) != i
        truth[:, i] = outputs_of(F[i : i + 1], fit(name, F[keep], Y[keep], PENALTIES, weight[keep])).numpy()[:, 0]
    if name in EXACT:
        np.testing.assert_allclose(held, truth, atol=1e-7)
        return
    fitted = outputs_of(F, path).numpy()
    if name == "logistic":  # as probabilities
        held, truth, fitted = (expit(values) if outputs == 1 else softmax(values, -1) for values in (held, truth, fitted))
    share = 0.5 if name == "svm" else 0.25  # approximate: the error is a part of what leaving out the row changes
    for at in range(1 if name == "svm" else 0, len(PENALTIES)):  # a hinge with little penalty jumps: nothing is promised
        assert abs(held[at] - truth[at]).mean() < share * abs(fitted[at] - truth[at]).mean()


@every_head
def test_float32_works_and_is_close(name):
    F, Y, weight = task(name, "tall", 3)
    single = fit(name, F.float(), Y.float(), PENALTIES, weight.float())
    assert single.coef.dtype == torch.float32
    np.testing.assert_allclose(outputs_of(F.float(), single), outputs_of(F, fit(name, F, Y, PENALTIES, weight)), atol=2e-2)


@every_head
def test_order_and_company_of_penalties_do_not_matter(name):
    F, Y, _ = task(name, "tall", 3)
    path = fit(name, F, Y, [1.0, 30.0, 0.03, 1.0])
    for at, penalty in enumerate([1.0, 30.0, 0.03, 1.0]):
        np.testing.assert_allclose(path.coef[at], fit(name, F, Y, [penalty]).coef[0], atol=1e-4)


@every_head
def test_a_start_changes_nothing(name):
    F, Y, _ = task(name, "tall", 3)
    path = fit(name, F, Y, PENALTIES)
    for start in (path, Path(path.coef * -3, path.intercept + 1)):
        np.testing.assert_allclose(fit(name, F, Y, PENALTIES, start=start).coef, path.coef, atol=1e-4)


@every_head
@every_count
def test_rows_without_weight_do_not_count(name, outputs):
    F, Y, weight = task(name, "tall", outputs)
    weight[20:] = 0
    np.testing.assert_allclose(
        fit(name, F, Y, PENALTIES, weight).coef, fit(name, F[:20], Y[:20], PENALTIES, weight[:20]).coef, rtol=1e-3, atol=1e-4
    )


@every_head
@pytest.mark.parametrize("n, p", [(1, 1), (1, 5), (2, 3), (3, 1)])
@every_count
def test_tiny_tasks_are_finite(name, n, p, outputs):
    rng = np.random.default_rng(0)
    F = torch.tensor(rng.normal(size=(n, p)))
    Y = torch.eye(max(outputs, 2), dtype=torch.float64)[torch.arange(n) % max(outputs, 2)][:, :outputs]
    path = HEADS[name].fit_path(F, Y, [1e-8, 1.0])
    assert path.coef.isfinite().all() and path.intercept.isfinite().all()
    assert HEADS[name].leave_one_out(F, Y, path, [1e-8, 1.0]).isfinite().all()


@every_head
@every_size
def test_separable_rows_constant_columns_and_almost_no_penalty_stay_finite(name, size):
    n, p = SIZES[size]
    F = torch.tensor(np.random.default_rng(0).normal(size=(n, p)))
    F[:, 1] = 7.0
    F[3] = F[4]
    for Y in ((F[:, :1] > 0).double(), torch.zeros(n, 1, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[torch.zeros(n).long()]):
        path = HEADS[name].fit_path(F, Y, [1e-10, 1e-4, 1e4])
        assert path.coef.isfinite().all() and path.intercept.isfinite().all()
        assert HEADS[name].leave_one_out(F, Y, path, [1e-10, 1e-4, 1e4]).isfinite().all()


@every_head
@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan")])
def test_penalty_must_be_positive(name, penalty):
    F, Y, _ = task(name, "tall", 1)
    with pytest.raises(ConfigError, match="must be above 0"):
        HEADS[name].fit_path(F, Y, [1.0, penalty])


@pytest.mark.parametrize("blocks", [[], [torch.zeros(3, 2), torch.zeros(3, 4)], [torch.zeros(3)]])
def test_blocks_must_share_their_columns(blocks):
    with pytest.raises(ConfigError, match="share p"):
        HEADS["ridge"].fit_path(blocks, torch.zeros(6, 1), [1.0])


def test_few_rows_that_hold_all_curvature():
    """Of many rows the preconditioner takes every k-th: it must weigh the intercept by the same ones, or it is not positive definite."""
    n, p = 20_000, 6
    A = torch.randn(n, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    design, _ = design_of(A, torch.ones(n, dtype=torch.float64))
    curvature = torch.full((n,), 1e-9, dtype=torch.float64)
    curvature[0] = 1.0  # the first row is one of them
    rough = design.gram(curvature, inner=True)
    assert float(torch.linalg.eigvalsh(rough.double()).min()) > -1e-4
    exact = design.gram(torch.ones(n, dtype=torch.float64), inner=True)
    torch.testing.assert_close(exact[-1, -1].double() / n, torch.tensor(design.one**2, dtype=torch.float64), rtol=2e-2, atol=0)
