"""Solved heads against scikit-learn and brute force; gradients against finite differences in float64."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from netloom.errors import ToolkitError
from netloom.toolkit.heads import HEADS, gaussian, logistic, ridge, svm


def problem(n=20, p=3, outputs=2, batch=(), seed=0):
    g = torch.Generator().manual_seed(seed)
    F = torch.randn(*batch, n, p, generator=g, dtype=torch.float64)
    logits = F @ torch.randn(p, outputs, generator=g, dtype=torch.float64) + torch.randn(
        *batch, n, outputs, generator=g, dtype=torch.float64
    )
    return F, torch.nn.functional.one_hot(logits.argmax(-1), outputs).double(), logits


@pytest.mark.parametrize("n, p", [(20, 3), (6, 15)], ids=["tall", "wide"])
def test_ridge_equals_scikit_learn(n, p):
    F, _, Y = problem(n, p)
    weight = torch.rand(n, dtype=torch.float64)
    ours = ridge(F, Y, 0.7, weight)
    theirs = Ridge(alpha=0.7).fit(F.numpy(), Y.numpy(), weight.numpy())
    np.testing.assert_allclose(ours.coef.T, theirs.coef_, rtol=1e-8)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, rtol=1e-8)
    np.testing.assert_allclose(ours(F), theirs.predict(F.numpy()), rtol=1e-8)


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_logistic_equals_scikit_learn(outputs):
    F, Y, _ = problem(40, 3, max(outputs, 2))
    labels = Y.argmax(-1).numpy()
    ours = logistic(F, Y[:, 1:] if outputs == 1 else Y, 0.5)
    theirs = LogisticRegression(C=2.0 if outputs != 2 else 1.0, tol=1e-10, max_iter=10_000).fit(F.numpy(), labels)
    expected = theirs.predict_proba(F.numpy())
    got = torch.sigmoid(ours(F)).numpy()[:, 0] if outputs == 1 else torch.softmax(ours(F), -1).numpy()
    if outputs == 2:  # two softmax columns share the penalty: half of it per column of the difference
        pair = LogisticRegression(C=1 / 0.25, tol=1e-10, max_iter=10_000).fit(F.numpy(), labels)
        expected = pair.predict_proba(F.numpy())
    np.testing.assert_allclose(got, expected[:, 1] if outputs == 1 else expected, atol=1e-6)


def test_svm_equals_scikit_learn_but_for_its_penalised_intercept():
    F, Y, _ = problem(40, 3, 3)
    ours = svm(F, Y, 1.0)
    for k in range(3):
        theirs = LinearSVC(C=1.0, loss="squared_hinge", intercept_scaling=100.0, tol=1e-10, max_iter=200_000).fit(
            F.numpy(), Y[:, k].numpy()
        )
        margins = theirs.decision_function(F.numpy())
        np.testing.assert_allclose(ours(F)[:, k], margins, atol=2e-3)


def test_svm_solution_fulfils_the_kkt_conditions():
    F, Y, _ = problem(30, 4, 1)
    Y = (F[:, :1] > 0.2).double()
    solved = svm(F, Y, 0.3)
    sign, margin = 2 * Y[:, 0] - 1, solved(F)[:, 0]
    alpha = 2 * (1 - sign * margin).clamp(min=0)  # multiplier of each row: 0 outside its margin
    np.testing.assert_allclose(solved.coef[:, 0] * 0.3, F.T @ (alpha * sign), atol=1e-7)
    assert abs(float((alpha * sign).sum())) < 1e-7
    assert 0 < int((alpha > 0).sum()) < 30


def test_gaussian_equals_the_joint_normal_of_all_targets():
    F, _, Y = problem(9, 4, 1)
    noise, prior = 0.3, 2.0
    new = torch.randn(3, 4, dtype=torch.float64)
    every = torch.cat([F, new])
    flat = 1e8  # the intercept's prior variance, as good as flat
    joint = (prior * every @ every.T + flat).numpy() + noise * np.eye(12)
    known, cross, rest = joint[:9, :9], joint[9:, :9], joint[9:, 9:]
    gain = np.linalg.solve(known, cross.T).T
    mean, variance = gaussian(F, Y, noise, prior)(new)
    np.testing.assert_allclose(mean, gain @ Y.numpy(), atol=1e-5)
    np.testing.assert_allclose(variance, np.diag(rest - gain @ cross.T), rtol=1e-5)
    density = multivariate_normal(np.zeros(9), known).logpdf(Y[:, 0].numpy()) + 0.5 * np.log(2 * np.pi * flat)
    np.testing.assert_allclose(gaussian(F, Y, noise, prior).evidence, density, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 3), (4, 6)], ids=["tall", "wide"])
@pytest.mark.parametrize("name", list(HEADS))
def test_gradients_equal_finite_differences(name, shape):
    F, Y, values = problem(*shape, 2, batch=(2,), seed=3)
    targets = values if name in ("ridge", "gaussian") else Y
    weight = torch.rand(2, shape[0], dtype=torch.float64) + 0.5
    penalty = torch.tensor([0.4, 1.3], dtype=torch.float64)

    def outputs(F, Y, penalty, weight):
        solved = HEADS[name](F, Y, penalty, weight=weight)
        return tuple(solved[:2]) + ((solved.evidence, solved(F)[1]) if name == "gaussian" else (solved(F),))

    inputs = [F.requires_grad_(), targets.requires_grad_(name in ("ridge", "gaussian")), penalty.requires_grad_(), weight.requires_grad_()]
    assert torch.autograd.gradcheck(outputs, inputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(HEADS))
def test_a_batch_of_tasks_is_each_task_alone(name):
    F, Y, _ = problem(12, 3, 2, batch=(3,))
    together = HEADS[name](F, Y, 0.8)
    for b in range(3):
        alone = HEADS[name](F[b], Y[b], 0.8)
        torch.testing.assert_close(together.coef[b], alone.coef, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(together.intercept[b], alone.intercept, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", list(HEADS))
def test_separable_and_repeated_rows_in_float32_stay_finite(name):
    F = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]]).repeat(4, 1)
    Y = torch.nn.functional.one_hot((F[:, 0] > 0).long(), 2).float()
    solved = HEADS[name](F, Y, 1e-3)
    assert torch.isfinite(solved.coef).all() and torch.isfinite(solved.intercept).all()


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(penalty=0.0), "penalty = 0.0: must be above 0"),
        (dict(penalty=float("nan")), "must be above 0 and finite"),
        (dict(F=torch.zeros(0, 3)), "must be"),
        (dict(F=torch.zeros(4, 3, dtype=torch.long)), "floating-point"),
        (dict(F=torch.full((4, 3), float("nan"))), "NaN|finite"),
        (dict(weight=torch.ones(3)), r"weight has shape \(3,\)"),
    ],
)
def test_bad_input_is_one_line(name, change, message):
    given = dict(F=torch.randn(4, 3), Y=torch.eye(2)[[0, 1, 0, 1]], penalty=1.0, weight=None) | change
    with pytest.raises(ToolkitError, match=message) as caught:
        HEADS[name](given["F"], given["Y"], given["penalty"], weight=given["weight"])
    assert "\n" not in str(caught.value)
