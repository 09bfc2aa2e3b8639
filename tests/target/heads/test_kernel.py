"""Many small tasks at once against each head alone: readouts, leave-one-out, padding, weights, classes that a fold has not seen."""

import numpy as np
import pytest
import torch

from netloom.target.heads import HEADS, outputs_of
from netloom.target.heads.kernel import SOLVERS

PENALTIES = [3.0, 0.3, 0.03]
CASES = [("ridge", 1), ("gaussian", 2), ("logistic", 1), ("logistic", 3), ("logistic", 7)]


def task(name, outputs, n, p, seed):
    """Features (n, p) with a mean, targets (n, O) as the head wants them, integer weights (n,)."""
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(n, p)) / np.sqrt(p) + rng.normal(size=p)
    values = F @ rng.normal(size=(p, max(outputs, 2))) + 0.3 * rng.gumbel(size=(n, max(outputs, 2)))
    if name == "logistic":
        codes = (values - values.mean(axis=0)).argmax(axis=1)
        codes[: max(outputs, 2)] = np.arange(max(outputs, 2))  # all are there: the intercept of an absent class has no optimum
        Y = np.eye(max(outputs, 2))[codes][:, -outputs:]
    else:
        Y = values[:, :outputs]
    return torch.tensor(F), torch.tensor(Y), torch.tensor(rng.integers(1, 4, n).astype(float))


def batched(tasks):
    """Kernels (B, n, n), targets and weights, padded to the largest task."""
    most = max(len(F) for F, _, _ in tasks)
    B, outputs = len(tasks), tasks[0][1].shape[1]
    K, Y, weight = (torch.zeros(B, most, *rest, dtype=torch.float64) for rest in ((most,), (outputs,), ()))
    for b, (F, y, w) in enumerate(tasks):
        n = len(F)
        K[b, :n, :n], Y[b, :n], weight[b, :n] = F @ F.T, y, w
    return K, Y, weight


@pytest.mark.parametrize("name, outputs", CASES)
def test_each_task_gets_what_its_head_gives_it_alone(name, outputs):
    tasks = [task(name, outputs, n, p, seed) for seed, (n, p) in enumerate([(40, 6), (25, 60), (33, 33)])]
    tight, apart = ({"tolerance": 1e-10}, {"together": 0}) if name == "logistic" else ({}, {})
    K, targets, weights = batched(tasks)
    found = SOLVERS[name](K, targets, PENALTIES, weights, **tight)
    for b, (F, Y, weight) in enumerate(tasks):
        path = HEADS[name].fit_path(F, Y, PENALTIES, weight, **tight)
        left_out = HEADS[name].leave_one_out(F, Y, path, PENALTIES, weight, **apart)
        n = len(F)
        given = F @ (F.T @ found.dual[:, b, :n]) + found.intercept[:, b, None]
        assert not found.dual[:, b, n:].any()
        if outputs > 1 and name == "logistic":
            left_out, given = (a - a.mean(-1, keepdim=True) for a in (left_out, given))
        np.testing.assert_allclose(given, outputs_of(F, path), rtol=1e-3, atol=1e-3)
        mine = found.left_out[:, b, :n]
        mine = mine - mine.mean(-1, keepdim=True) if outputs > 1 and name == "logistic" else mine
        np.testing.assert_allclose(mine, left_out, rtol=2e-3, atol=5e-3)


@pytest.mark.parametrize("name, outputs", CASES)
def test_padding_and_company_change_nothing(name, outputs):
    small, large = task(name, outputs, 20, 30, 0), task(name, outputs, 45, 10, 1)
    K, Y, weight = batched([small])
    alone = SOLVERS[name](K, Y, PENALTIES, weight)
    K, Y, weight = batched([large, small])
    together = SOLVERS[name](K, Y, PENALTIES, weight)
    np.testing.assert_allclose(together.dual[:, 1, :20], alone.dual[:, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together.left_out[:, 1, :20], alone.left_out[:, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_hopelessly_separable_and_constant_features_stay_finite(outputs, scale):
    F, Y, weight = task("logistic", outputs, 30, 40, 0)
    for features in (F * scale, torch.ones_like(F)):
        K, targets, w = batched([(features, Y, weight)])
        found = SOLVERS["logistic"](K, targets, PENALTIES, w)
        assert all(part.isfinite().all() for part in (found.dual, found.intercept, found.left_out))


@pytest.mark.parametrize("outputs", [1, 3])
def test_without_features_the_chances_are_the_shares(outputs):
    F, Y, weight = task("logistic", outputs, 30, 4, 0)
    K, targets, w = batched([(0 * F, Y, weight)])
    found = SOLVERS["logistic"](K, targets, PENALTIES, w)
    chances = torch.sigmoid(found.intercept) if outputs == 1 else torch.softmax(found.intercept, -1)
    np.testing.assert_allclose(chances[:, 0], ((weight @ Y) / weight.sum()).expand(3, -1), rtol=1e-4)
