"""Bayesian linear readout: predictions with a variance, and the evidence for the features (MacKay 1992); all differentiable."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from netloom.toolkit.heads.readout import add_diagonal, checked, factor

__all__ = ["Gaussian", "gaussian"]


class Gaussian(NamedTuple):
    """A posterior over readouts: coef ~ N(coef, noise * (A A')^-1 ...) with one covariance for all outputs."""

    coef: Tensor  # (..., p, O)
    intercept: Tensor  # (..., O)
    lower: Tensor  # (..., p, p)  Cholesky factor of the precision, in units of the noise
    feature_mean: Tensor  # (..., p)
    total: Tensor  # (...)  weight of all rows
    noise: Tensor  # (...)  variance of a target around its mean
    evidence: Tensor  # (...)  log density of all targets given the features, nats

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means (..., n, O) and variances (..., n) of new targets at features (..., n, p)."""
        mean = features @ self.coef + self.intercept[..., None, :]
        away = (features - self.feature_mean[..., None, :]).mT  # (..., p, n)
        unsure = torch.linalg.solve_triangular(self.lower, away, upper=False).square().sum(-2)  # (..., n)
        return mean, self.noise[..., None] * (1 + 1 / self.total[..., None] + unsure)


def gaussian(
    features: Tensor, targets: Tensor, noise: float | Tensor = 1.0, prior: float | Tensor = 1.0, weight: Tensor | None = None
) -> Gaussian:
    """Posterior of ``targets ~ N(features coef + b, noise)``, ``coef ~ N(0, prior)``, b free (flat prior).

    Parameters
    ----------
    features : Tensor (..., n, p)
    targets : Tensor (..., n, O)
    noise, prior : float or Tensor (...) > 0, variances
    weight : Tensor (..., n) >= 0 of rows: a row of weight 2 counts as two

    Returns
    -------
    Gaussian : call it with features for means and variances
    """
    noise, weight = checked(features, targets, noise, weight)
    prior, _ = checked(features, targets, prior, weight)
    total = weight.sum(-1)
    share = (weight / total[..., None])[..., None, :]
    feature_mean, target_mean = share @ features, share @ targets
    A, T = features - feature_mean, targets - target_mean
    weighted = A * weight[..., None]
    p, outputs = features.shape[-1], targets.shape[-1]
    lower = factor(add_diagonal(weighted.mT @ A, noise / prior))  # (..., p, p)
    coef = torch.cholesky_solve(weighted.mT @ T, lower)
    misfit = (weight[..., None] * T * (T - A @ coef)).sum((-1, -2))  # (...)  y'(I - A (A'A + ..)^-1 A')y
    log_det = 2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1) + p * (prior / noise).log()
    free = total - 1  # the intercept takes one row's worth
    evidence = -0.5 * (misfit / noise + outputs * (free * (2 * math.pi * noise).log() + total.log() + log_det))
    return Gaussian(coef, (target_mean - feature_mean @ coef)[..., 0, :], lower, feature_mean[..., 0, :], total, noise, evidence)
