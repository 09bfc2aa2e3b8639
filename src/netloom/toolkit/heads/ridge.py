"""Ridge readout in closed form, differentiable in everything (R2-D2, Bertinetto et al. 2019), through the smaller of n and p."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.toolkit.heads.readout import Readout, add_diagonal, checked, factor

__all__ = ["ridge"]


def ridge(features: Tensor, targets: Tensor, penalty: float | Tensor = 1.0, weight: Tensor | None = None) -> Readout:
    """Minimise ``sum_i w_i |y_i - f_i coef - b|^2 + penalty |coef|^2``; the intercept b is free.

    Parameters
    ----------
    features : Tensor (..., n, p)
    targets : Tensor (..., n, O)
    penalty : float or Tensor (...) > 0, in units of features squared
    weight : Tensor (..., n) >= 0 of rows, or None

    Returns
    -------
    Readout : coef (..., p, O), intercept (..., O)
    """
    penalty, weight = checked(features, targets, penalty, weight)
    share = (weight / weight.sum(-1, keepdim=True))[..., None, :]  # (..., 1, n)
    feature_mean, target_mean = share @ features, share @ targets  # (..., 1, p), (..., 1, O)
    root = weight.clamp(min=torch.finfo(weight.dtype).tiny).sqrt()[..., None]  # the root of 0 has no gradient
    A, T = (features - feature_mean) * root, (targets - target_mean) * root
    if features.shape[-2] < features.shape[-1]:
        coef = A.mT @ torch.cholesky_solve(T, factor(add_diagonal(A @ A.mT, penalty)))
    else:
        coef = torch.cholesky_solve(A.mT @ T, factor(add_diagonal(A.mT @ A, penalty)))
    return Readout(coef, (target_mean - feature_mean @ coef)[..., 0, :])
